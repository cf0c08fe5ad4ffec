"""What `runtime = "mlx-lm"` adds: key-value caches, masks and the conventions of mlx-lm's models."""
