"""A Skill's table makes the library's config of a GGUF file's metadata, and stops at what it does not speak of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli
from ggufs import METADATA, llama, write
from portwright.errors import PortError
from portwright.gguf.config import make_config
from portwright.gguf.header import GgufHeader, read_header

ROOT = Path(__file__).parents[2]
TABLE = tomli.loads((ROOT / "skills/llama/skill.toml").read_text())["gguf"]


def header(folder: Path, **metadata: Any) -> GgufHeader:
    return read_header(write(folder / "m.gguf", llama()[0], {**METADATA, **metadata}))


def test_the_config_is_the_librarys(tmp_path: Path) -> None:
    """Sizes, the epsilon as it was written, the rotary base, and that the embedding is tied."""
    config = make_config(TABLE, header(tmp_path), "m.gguf")

    assert config["hidden_size"] == 64
    assert (config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]) == (4, 2, 16)
    assert config["rms_norm_eps"] == 1e-05
    assert config["rope_parameters"] == {"rope_theta": 100000.0, "rope_type": "default"}
    assert config["vocab_size"] == 71
    assert config["tie_word_embeddings"] is True
    assert config["attention_bias"] is False


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"llama.expert_count": 4}, "llama.expert_count: the Skill does not speak of this metadata"),
        ({"llama.rope.scaling.type": "linear"}, "llama.rope.scaling.type: the Skill does not speak"),
        ({"llama.attention.key_length": 32}, "head_dim: .* differ: 16 and 32"),
        ({"llama.block_count": None}, "num_hidden_layers: the file does not say it: llama.block_count is missing"),
        ({"general.architecture": "mamba"}, "'mamba', and the Skill reads llama"),
    ],
)
def test_what_the_skill_does_not_read_stops(metadata: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Metadata that could change a number is never passed over."""
    found = header(tmp_path)
    changed = {**found.metadata, **{k: v for k, v in metadata.items() if v is not None}}
    for key in (key for key, value in metadata.items() if value is None):
        del changed[key]

    with pytest.raises(PortError, match=said):
        make_config(TABLE, GgufHeader(found.tensors, changed, 0, 0, ""), "m.gguf")
