"""The element types of GGUF files by number: name, elements and bytes of a block, and what they are read as.

A quantized type is read as float32, which holds every value that its blocks stand for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BlockType:
    """One type of GGUF: `elements` numbers take `size` bytes; `code` is what a reader of them is given."""

    number: int
    name: str
    elements: int
    size: int
    code: str

    @property
    def packed(self) -> bool:
        """Whether its bytes are blocks that have to be decoded."""
        return self.elements > 1


_PLAIN = {0: "F32", 1: "F16", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 30: "BF16"}
_WIDTH = {"F32": 4, "F16": 2, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "F64": 8, "BF16": 2}
_BLOCKS = (  # number, name, elements, bytes
    (2, "Q4_0", 32, 18),
    (3, "Q4_1", 32, 20),
    (6, "Q5_0", 32, 22),
    (7, "Q5_1", 32, 24),
    (8, "Q8_0", 32, 34),
    (10, "Q2_K", 256, 84),
    (11, "Q3_K", 256, 110),
    (12, "Q4_K", 256, 144),
    (13, "Q5_K", 256, 176),
    (14, "Q6_K", 256, 210),
    (16, "IQ2_XXS", 256, 66),
    (17, "IQ2_XS", 256, 74),
    (18, "IQ3_XXS", 256, 98),
    (19, "IQ1_S", 256, 50),
    (20, "IQ4_NL", 32, 18),
    (21, "IQ3_S", 256, 110),
    (22, "IQ2_S", 256, 82),
    (23, "IQ4_XS", 256, 136),
    (29, "IQ1_M", 256, 56),
    (34, "TQ1_0", 256, 54),
    (35, "TQ2_0", 256, 66),
    (39, "MXFP4", 32, 17),
)
TYPES = {number: BlockType(number, code, 1, _WIDTH[code], code) for number, code in _PLAIN.items()} | {
    number: BlockType(number, name, elements, size, "F32") for number, name, elements, size in _BLOCKS
}
BY_NAME = {kind.name: kind for kind in TYPES.values()}
