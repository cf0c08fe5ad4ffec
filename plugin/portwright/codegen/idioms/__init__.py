"""Shorter MLX for what the reference spells out; each replacement is proved on recorded numbers."""
