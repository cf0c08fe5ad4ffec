"""Remap: stream a checkpoint's tensors through proved moves into MLX weight files, and back."""
