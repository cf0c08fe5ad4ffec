"""From source trees and facts to MLX trees: one function at a time, driven by what the root needs."""
