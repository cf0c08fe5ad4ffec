"""The element types of safetensors files: their codes, widths, and the names that torch, MLX and numpy give them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DType:
    """One element type; `name` is what torch and MLX call it, `numpy` the numpy type that holds its bits."""

    code: str
    bits: int
    kind: str  # "float", "int", "uint", "bool", "complex"
    name: str
    numpy: str

    @property
    def floating(self) -> bool:
        return self.kind == "float"


_ALL = (
    DType("BOOL", 8, "bool", "bool", "bool"),
    DType("U8", 8, "uint", "uint8", "uint8"),
    DType("I8", 8, "int", "int8", "int8"),
    DType("U16", 16, "uint", "uint16", "uint16"),
    DType("I16", 16, "int", "int16", "int16"),
    DType("U32", 32, "uint", "uint32", "uint32"),
    DType("I32", 32, "int", "int32", "int32"),
    DType("U64", 64, "uint", "uint64", "uint64"),
    DType("I64", 64, "int", "int64", "int64"),
    DType("F16", 16, "float", "float16", "float16"),
    DType("BF16", 16, "float", "bfloat16", "uint16"),
    DType("F32", 32, "float", "float32", "float32"),
    DType("F64", 64, "float", "float64", "float64"),
    DType("C64", 64, "complex", "complex64", "complex64"),
    DType("F8_E4M3", 8, "float", "float8_e4m3fn", "uint8"),
    DType("F8_E5M2", 8, "float", "float8_e5m2", "uint8"),
    DType("F8_E8M0", 8, "float", "float8_e8m0fnu", "uint8"),
    DType("F8_E4M3FNUZ", 8, "float", "float8_e4m3fnuz", "uint8"),
    DType("F8_E5M2FNUZ", 8, "float", "float8_e5m2fnuz", "uint8"),
    # Narrower than a byte: such a tensor can be renamed, but not cut, transposed or cast.
    DType("F6_E2M3", 6, "float", "float6_e2m3fn", ""),
    DType("F6_E3M2", 6, "float", "float6_e3m2fn", ""),
    DType("F4", 4, "float", "float4_e2m1fn_x2", ""),
)
DTYPES = {dtype.code: dtype for dtype in _ALL}
_BY_NAME = {dtype.name: dtype for dtype in _ALL}


def dtype_of(text: str) -> DType | None:
    """The type that a safetensors code ("BF16") or a name ("bfloat16", "torch.bfloat16", "mlx.core.bfloat16") means."""
    return DTYPES.get(text) or _BY_NAME.get(text.rsplit(".", 1)[-1])
