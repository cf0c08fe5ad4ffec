"""Read a GGUF source for the verifier: by the gguf library alone, apart from the remap's own reading of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portwright.errors import ExitCode, PortError, Problem

Array = NDArray[Any]


class GgufTensors(Mapping[str, Array]):
    """The tensors of one file by name, each dequantized when it is asked for; raises PortError where it is none."""

    def __init__(self, path: Path) -> None:
        try:
            import gguf
        except ModuleNotFoundError:
            problem = Problem(str(path), "the package gguf is not installed", "pip install 'portwright[build]'")
            raise PortError(problem, ExitCode.SOURCE) from None
        self._dequantize = gguf.dequantize
        try:
            self._tensors = {str(tensor.name): tensor for tensor in gguf.GGUFReader(path).tensors}
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise PortError(Problem(str(path), f"cannot be read as GGUF: {error}"), ExitCode.SOURCE) from None

    def __getitem__(self, key: str) -> Array:
        tensor = self._tensors[key]
        shape = tuple(int(size) for size in reversed(tensor.shape))
        is_packed = tensor.data.dtype == np.uint8  # blocks, and bfloat16
        values = self._dequantize(tensor.data, tensor.tensor_type) if is_packed else tensor.data
        return np.ascontiguousarray(values).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)
