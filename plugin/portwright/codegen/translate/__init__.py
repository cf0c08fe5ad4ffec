"""Rows: a called torch function, or torch base class, and what it is in MLX."""

from __future__ import annotations


def load_rows() -> None:
    """Fill the table; each file holds the rows of one area."""
    from portwright.codegen.translate import (  # noqa: F401
        arithmetic,
        attention,
        combine,
        convolution,
        create,
        exponential,
        indexing,
        losses,
        neural,
        pixels,
        rearranged,
        reduce,
        scatter,
        shape,
        signals,
        spectral,
        windows,
    )
