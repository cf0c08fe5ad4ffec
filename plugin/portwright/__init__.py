"""portwright: port PyTorch models to MLX as an incremental build, and prove each port."""

__version__ = "0.1.0"
