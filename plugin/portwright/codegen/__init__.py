"""Rewrite a PyTorch reference's own source into readable MLX, guided by what runs of it showed."""
