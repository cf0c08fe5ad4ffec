"""Build a tokenizer anew from a GGUF file's metadata: tokenizer.json and tokenizer_config.json, by `tokenizers`.

The file holds tokens, their kinds and merges, and names the way in which a text is cut before merging; what that name
means is data of the Skill. Only byte-level BPE is built. What the file does not hold is not invented: how special
tokens treat the spaces beside them, and a normalizer, are left as the library has them by default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import ExitCode, PortError, Problem

BYTE_LEVEL = "gpt2"  # tokenizer.ggml.model of a byte-level BPE, whatever model it is of
_CONTROL, _USER_DEFINED = 3, 4  # tokenizer.ggml.token_type
_ROLES = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}


def make_tokenizer(table: Mapping[str, Any], metadata: Mapping[str, Any], file: str) -> dict[str, str]:
    """The two files' texts by name; `table` is the Skill's `[gguf.pre]`. Raises PortError where it cannot be built."""
    kind, pre = metadata.get("tokenizer.ggml.model"), str(metadata.get("tokenizer.ggml.pre"))
    if kind != BYTE_LEVEL:
        raise _refused(file, f"its tokenizer is of the kind {kind!r}, and only byte-level BPE ({BYTE_LEVEL}) is built")
    if pre not in table:
        known = ", ".join(table) or "none"
        raise _refused(file, f"it cuts texts as {pre!r}, and the Skill's [gguf.pre] knows {known}")
    tokens, merges, kinds = (metadata.get(f"tokenizer.ggml.{name}", []) for name in ("tokens", "merges", "token_type"))
    if len(kinds) != len(tokens) or len(set(tokens)) != len(tokens):
        raise _refused(file, f"{len(tokens)} tokens, {len(set(tokens))} of them different, and {len(kinds)} kinds")
    body = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(i, tokens[i], kinds[i] == _CONTROL) for i in _added_ids(kinds)],
        "normalizer": None,
        "pre_tokenizer": table[pre],
        "post_processor": _post_processor(metadata, tokens),
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [merge.split(" ", 1) for merge in merges],
        },
    }
    return {
        "tokenizer.json": _checked(body, file),
        "tokenizer_config.json": json.dumps(_settings(metadata, tokens), indent=2, ensure_ascii=False) + "\n",
    }


def _checked(body: Mapping[str, Any], file: str) -> str:
    """The text as the tokenizers library writes it, after it has read it."""
    from tokenizers import Tokenizer

    try:
        text: str = Tokenizer.from_str(json.dumps(body, ensure_ascii=False)).to_str(pretty=True)
    except Exception as error:  # the library raises bare Exceptions
        raise _refused(file, f"the tokenizers library refuses its vocabulary: {error}") from None
    return text + "\n"


def _added_ids(kinds: list[int]) -> list[int]:
    return [index for index, kind in enumerate(kinds) if kind in (_CONTROL, _USER_DEFINED)]


def _added(index: int, token: str, special: bool) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special}
    return {"id": index, "content": token, **flags}


def _post_processor(metadata: Mapping[str, Any], tokens: list[str]) -> dict[str, Any] | None:
    """Put the tokens around a text that the file asks for."""
    wanted = {}
    for role, before in (("bos", True), ("eos", False)):
        index = metadata.get(f"tokenizer.ggml.{role}_token_id")
        if metadata.get(f"tokenizer.ggml.add_{role}_token") and isinstance(index, int):
            wanted[before] = index
    if not wanted:
        return None

    def around(sequence: str, kind: int) -> list[dict[str, Any]]:
        text = {"Sequence": {"id": sequence, "type_id": kind}}
        special = {b: {"SpecialToken": {"id": tokens[i], "type_id": kind}} for b, i in wanted.items()}
        return [*([special[True]] if True in special else []), text, *([special[False]] if False in special else [])]

    named = {tokens[i]: {"id": tokens[i], "ids": [i], "tokens": [tokens[i]]} for i in wanted.values()}
    pair = around("A", 0) + around("B", 1)
    return {"type": "TemplateProcessing", "single": around("A", 0), "pair": pair, "special_tokens": named}


def _settings(metadata: Mapping[str, Any], tokens: list[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    for role, name in _ROLES.items():
        index = metadata.get(f"tokenizer.ggml.{role}_token_id")
        if isinstance(index, int) and 0 <= index < len(tokens):
            settings[name] = tokens[index]
    length = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    if isinstance(length, int):
        settings["model_max_length"] = length
    if isinstance(metadata.get("tokenizer.chat_template"), str):
        settings["chat_template"] = metadata["tokenizer.chat_template"]
    return settings


def _refused(file: str, problem: str) -> PortError:
    return PortError(Problem(f"{file}: tokenizer", problem, "take the tokenizer's files from the model itself"),
                     ExitCode.SOURCE)  # fmt: skip
