"""A small byte-level vocabulary as GGUF metadata, and texts in many scripts to try it on."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

PROBES = (
    "The quick brown fox doesn't jump; it's 1,234.56 years old.",
    "  leading and trailing   spaces  \n\n\ttabs\r\n",
    "Größe, naïve café, señor, Łódź, İstanbul",
    "Привет, как дела? Ελληνικά, עברית, العربية مرحبا ٣٤٥",
    "东京は日本の首都です。 한국어도 있습니다 ๑๒๓ ไทย हिन्दी १२३",
    "emoji 👩‍👩‍👧‍👦🏳️‍🌈 and combining é ñ",
    "x=1234567890; ½ + ⅷ ≠ 10² //comment\n    indented(code)",
    "'S 'T they'Re we'VE I'm you'd",
    "a\u00a0b\u3000c\u200bd\ufeffe\x00f",
    "<|im_start|>user\nhi<|im_end|>\n<|endoftext|>",
    "",
)


@cache
def trained(pre: str) -> dict[str, Any]:
    """The metadata of a small vocabulary, trained on the probes themselves so that merges of every script occur."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([*PROBES, *PROBES], trainer)
    body = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(body["vocab"], key=body["vocab"].__getitem__)
    return {
        "general.architecture": "llama",
        "llama.context_length": 77,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3 if token in special else 1 for token in tokens],
        "tokenizer.ggml.merges": [m if isinstance(m, str) else " ".join(m) for m in body["merges"]],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": "{{ messages[0].content }}",
    }
