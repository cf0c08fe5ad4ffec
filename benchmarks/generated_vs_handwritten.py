"""Ports generated with runtime = "mlx-lm" against mlx-lm's own files: one process, the same weights.

    python benchmarks/generated_vs_handwritten.py [--families llama,qwen3] [--rounds 9] [--json]

Each port is generated from a tiny config, and then loaded with a larger one that it was not generated from. Both models
get the same random weights, and must give the same logits before anything is timed. Prefill and every decoded token are
timed by turns, the one that begins alternates, and figures are medians over all of them; a ratio above 1 says that the
generated file is faster.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BAR = 0.95
PREFILL, DECODE = 256, 64  # tokens
TINY = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
SIZES = {
    "vocab_size": 4096,
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
}
# reference, mlx-lm's file, fields of the tiny config, fields of the timed one, and what only mlx-lm's arguments need
FAMILIES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "llama": ("transformers:LlamaForCausalLM", "llama", {"tie_word_embeddings": True}, {"head_dim": 64}, {}),
    "qwen2": ("transformers:Qwen2ForCausalLM", "qwen2", {}, {"layer_types": ["full_attention"] * 8}, {}),
    "qwen3": (
        "transformers:Qwen3ForCausalLM",
        "qwen3",
        {"head_dim": 12},
        {"head_dim": 64, "layer_types": ["full_attention"] * 8},
        {},
    ),
    "mistral": (
        "transformers:MistralForCausalLM",
        "llama",
        {"sliding_window": None, "head_dim": 8},
        {"head_dim": 64},
        {},
    ),
    # mlx-lm's file has no sliding window: one that nothing reaches makes the two alike
    "gemma2": (
        "transformers:Gemma2ForCausalLM",
        "gemma2",
        {"head_dim": 12, "sliding_window": 6, "query_pre_attn_scalar": 10},
        {"head_dim": 64, "sliding_window": 2048, "layer_types": ["sliding_attention", "full_attention"] * 4},
        {},
    ),
    "phi3": ("transformers:Phi3ForCausalLM", "phi3", {}, {}, {}),
    "olmo2": ("transformers:Olmo2ForCausalLM", "olmo2", {}, {}, {}),
    "gpt_neox": (
        "transformers:GPTNeoXForCausalLM",
        "gpt_neox",
        {
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
            "hidden_act": "gelu_new",  # mlx-lm's file computes this one whatever the config says
        },
        {"intermediate_size": 4 * 512},  # mlx-lm's file takes no other
        {"rotary_pct": 0.5, "rotary_emb_base": 10000, "num_key_value_heads": None},
    ),
}

# What mlx-lm's file calls by the name that the library once had for it.
RENAMED = {"gpt_neox": {"lm_head.weight": "embed_out.weight"}}


def generate(name: str, folder: Path) -> None:
    """Write the port's model.py, and the configs that both sides are timed with."""
    from portwright.workers import run_worker

    reference, handwritten, tiny, timed, only = FAMILIES[name]
    job: dict[str, Any] = {"reference": reference, "configs": [{**TINY, **tiny}], "seed": 0, "probes": None}
    trace = str(folder / "trace")
    run_worker("portwright.codegen.observe", {**job, "overrides": {}, "runtime": "mlx-lm", "out": trace})
    job = {"trace": trace, "out": str(folder), "runtime": "mlx-lm", "licence": None}
    made = run_worker("portwright.codegen.generate", job, mlx=True)
    if made["holes"]:
        raise SystemExit(f"{name}: {made['holes']}")
    config = {**json.loads((folder / "config.json").read_text()), **SIZES, **timed}
    theta = (config.get("rope_parameters") or {}).get("rope_theta", 10000.0)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "handwritten.json").write_text(json.dumps({**config, "rope_theta": theta, **only, "file": handwritten}))


def models(folder: Path) -> tuple[Any, Any]:
    """Both models with the same weights."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    spec = importlib.util.spec_from_file_location("port", folder / "model.py")
    assert spec is not None and spec.loader is not None
    port = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(port)
    other = json.loads((folder / "handwritten.json").read_text())
    written = importlib.import_module(f"mlx_lm.models.{other['file']}")
    ours = port.Model(port.ModelArgs.from_dict(json.loads((folder / "config.json").read_text())))
    theirs = written.Model(written.ModelArgs.from_dict(other))
    mx.random.seed(0)
    weights = {k: 0.05 * mx.random.normal(v.shape) for k, v in tree_flatten(ours.parameters())}
    mx.eval(weights)
    ours.load_weights(list(ours.sanitize(dict(weights)).items()))
    earlier = {RENAMED.get(other["file"], {}).get(k, k): v for k, v in weights.items()}
    hand_written = theirs.sanitize(earlier) if hasattr(theirs, "sanitize") else earlier
    theirs.load_weights(list(hand_written.items()))
    for model in (ours, theirs):
        model.eval()
    return ours, theirs


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    """Median seconds of both, and how far their logits are apart. Raises SystemExit where they are not the same."""
    import mlx.core as mx
    from mlx_lm.models.cache import make_prompt_cache

    ours, theirs = models(folder)
    tokens = mx.random.randint(1, SIZES["vocab_size"], (1, PREFILL))

    def step(model: Any, given: mx.array, cache: Any) -> tuple[float, mx.array]:
        start = time.perf_counter()
        logits = model(given, cache=cache)
        mx.eval(logits)
        return time.perf_counter() - start, logits

    a, b = (step(model, tokens, make_prompt_cache(model))[1] for model in (ours, theirs))
    apart = float(mx.linalg.norm(a - b, stream=mx.cpu) / mx.linalg.norm(b, stream=mx.cpu))
    if not apart < 1e-4:
        raise SystemExit(f"the two models differ by {apart:.1e}: there is nothing to time")
    sides = {"generated": ours, "handwritten": theirs}
    spent: dict[str, dict[str, list[float]]] = {what: {side: [] for side in sides} for what in ("prefill", "decode")}
    turn = 0
    for _ in range(rounds):
        caches = {side: make_prompt_cache(model) for side, model in sides.items()}
        for n in range(DECODE + 1):
            turn += 1
            for side in sorted(sides, reverse=bool(turn % 2)):
                seconds, _ = step(sides[side], tokens if n == 0 else tokens[:, n : n + 1], caches[side])
                spent["decode" if n else "prefill"][side].append(seconds)
    found: dict[str, Any] = {"rel_l2": apart, "rounds": rounds}
    for what, count in (("prefill", PREFILL), ("decode", 1)):
        middle = {side: statistics.median(times) for side, times in spent[what].items()}
        best = {side: min(times) for side, times in spent[what].items()}
        found[what] = {
            **{f"{side}_tokens_per_s": count / s for side, s in middle.items()},
            "ratio": middle["handwritten"] / middle["generated"],
            "ratio_of_best": best["handwritten"] / best["generated"],
        }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.rounds)))
        return 0
    from portwright.openblas import find_openblas, preload

    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="portwright-") as scratch:
        for name in args.families.split(","):
            folder = Path(scratch) / name
            folder.mkdir()
            generate(name, folder)
            command = [sys.executable, __file__, "--measure", str(folder), "--rounds", str(args.rounds)]
            done = subprocess.run(command, env=preload(dict(os.environ)), capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{name}: {done.stderr[-2000:]}")
            results[name] = json.loads(done.stdout.splitlines()[-1])
            if not args.json:
                print(row(name, results[name]), flush=True)
    ratios = [r[what]["ratio"] for r in results.values() for what in ("prefill", "decode")]
    body = {"families": results, "median": statistics.median(ratios), "least": min(ratios), "bar": BAR}
    body["blas"] = "openblas" if find_openblas() else "mlx"
    print(json.dumps(body) if args.json else f"median {body['median']:.3f}, least {body['least']:.3f} (bar {BAR})")
    return 0 if min(ratios) >= BAR else 1


def row(name: str, found: dict[str, Any]) -> str:
    parts = [f"{name:10} logits {found['rel_l2']:.1e}"]
    for what in ("prefill", "decode"):
        f = found[what]
        speeds = f"{f['generated_tokens_per_s']:8.1f} against {f['handwritten_tokens_per_s']:8.1f} tokens/s"
        parts.append(f"{what} {speeds}, ratio {f['ratio']:.3f} (of best {f['ratio_of_best']:.3f})")
    return "   ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
