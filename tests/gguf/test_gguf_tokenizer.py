"""A tokenizer made of a GGUF file's metadata cuts and merges texts as the file says, in any script."""

from __future__ import annotations

import json
import os
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import regex
import tomli
from portwright.errors import PortError
from portwright.gguf.header import read_header
from portwright.gguf.tokenizer import make_tokenizer
from tokenizers import Tokenizer
from vocabularies import PROBES, trained

ROOT = Path(__file__).parents[2]
PRE = tomli.loads((ROOT / "skills/llama/skill.toml").read_text())["gguf"]["pre"]
# How llama.cpp cuts a text for each name, one expression after the other.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CUTS = {"smollm": (r"\p{N}", _GPT2), "gpt-2": (_GPT2,)}


@cache
def bytes_as_letters() -> dict[int, str]:
    """The letter that stands for each byte in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in plain)
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def encoded(text: str, metadata: dict[str, Any]) -> list[int]:
    """Byte-pair encoding in its plainest form: special tokens, cuts, then the merge of least rank again and again."""
    tokens = metadata["tokenizer.ggml.tokens"]
    ids = {token: index for index, token in enumerate(tokens)}
    ranks = {tuple(m.split(" ", 1)): rank for rank, m in enumerate(metadata["tokenizer.ggml.merges"])}
    special = [t for t, kind in zip(tokens, metadata["tokenizer.ggml.token_type"], strict=True) if kind == 3]
    found: list[int] = []
    for part in regex.split("(" + "|".join(map(regex.escape, special)) + ")", text) if special else [text]:
        if part in special:
            found.append(ids[part])
            continue
        pieces = [part]
        for pattern in CUTS[metadata["tokenizer.ggml.pre"]]:
            pieces = [cut for piece in pieces for cut in _cut(pattern, piece)]
        for piece in pieces:
            found += [ids[word] for word in _merged([bytes_as_letters()[b] for b in piece.encode()], ranks)]
    return found


def _cut(pattern: str, text: str) -> list[str]:
    """The matches of a pattern, and what lies between them."""
    cuts, end = [], 0
    for match in regex.finditer(pattern, text):
        cuts += [text[end : match.start()], match.group()]
        end = match.end()
    return [cut for cut in [*cuts, text[end:]] if cut]


def _merged(word: list[str], ranks: dict[tuple[str, ...], int]) -> list[str]:
    while len(word) > 1:
        rank, at = min((ranks.get((a, b), len(ranks)), i) for i, (a, b) in enumerate(pairwise(word)))
        if rank == len(ranks):
            break
        word = [*word[:at], word[at] + word[at + 1], *word[at + 2 :]]
    return word


@pytest.mark.parametrize("pre", CUTS)
@pytest.mark.parametrize("text", PROBES)
def test_texts_are_encoded_as_the_file_says(pre: str, text: str) -> None:
    """The ids are those of a plain byte-pair encoding with the file's vocabulary, and they decode to the text."""
    tokenizer = Tokenizer.from_str(make_tokenizer(PRE, trained(pre), "m.gguf")["tokenizer.json"])

    ids = tokenizer.encode(text).ids

    assert ids == encoded(text, trained(pre))
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_settings_name_the_special_tokens() -> None:
    """The library's settings hold the special tokens, the greatest length and the chat template."""
    settings = json.loads(make_tokenizer(PRE, trained("smollm"), "m.gguf")["tokenizer_config.json"])

    assert (settings["bos_token"], settings["eos_token"]) == ("<|im_start|>", "<|im_end|>")
    assert settings["model_max_length"] == 77
    assert settings["chat_template"] == "{{ messages[0].content }}"


@pytest.mark.parametrize(("bos", "eos"), [(True, False), (False, True), (True, True)])
def test_a_file_that_asks_for_it_gets_tokens_around_a_text(bos: bool, eos: bool) -> None:
    """add_bos_token and add_eos_token put those tokens before and behind."""
    metadata = {**trained("gpt-2"), "tokenizer.ggml.add_bos_token": bos, "tokenizer.ggml.add_eos_token": eos}
    tokenizer = Tokenizer.from_str(make_tokenizer(PRE, metadata, "m.gguf")["tokenizer.json"])

    assert tokenizer.encode("hi").ids == [1] * bos + encoded("hi", metadata) + [2] * eos


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tokenizer.ggml.pre": "llama-bpe"}, "it cuts texts as 'llama-bpe'"),
        ({"tokenizer.ggml.model": "llama"}, "of the kind 'llama'"),
        ({"tokenizer.ggml.token_type": []}, "and 0 kinds"),
        ({"tokenizer.ggml.merges": ["not there"]}, "the tokenizers library refuses"),
    ],
)
def test_a_tokenizer_that_cannot_be_made_is_refused(change: dict[str, Any], said: str) -> None:
    """Nothing is guessed: an unknown way of cutting, another kind, and a broken vocabulary stop with the reason."""
    with pytest.raises(PortError, match=said):
        make_tokenizer(PRE, {**trained("gpt-2"), **change}, "m.gguf")


@pytest.mark.skipif("PORTWRIGHT_SMOLLM2" not in os.environ, reason="PORTWRIGHT_SMOLLM2 names no GGUF file")
def test_a_real_vocabulary() -> None:
    """The same for SmolLM2's file."""
    metadata = dict(read_header(Path(os.environ["PORTWRIGHT_SMOLLM2"])).metadata)
    tokenizer = Tokenizer.from_str(make_tokenizer(PRE, metadata, "m.gguf")["tokenizer.json"])

    for text in PROBES:
        ids = tokenizer.encode(text).ids
        assert ids == encoded(text, metadata), text
        assert tokenizer.decode(ids, skip_special_tokens=False) == text
