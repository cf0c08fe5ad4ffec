"""try: port one class or model type with random weights, and say how far it comes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference", help="module:Class, or a model type of transformers")
    parser.add_argument(
        "--config", type=Path, help="a config.json as the library saves it (default: a tiny one is made)"
    )
    parser.add_argument("--full", action="store_true", help="the library's default config, in place of a tiny one")
    parser.add_argument(
        "--snapshot", type=Path, help="a folder of config.json and *.safetensors, in place of random weights"
    )
    parser.add_argument("--inputs", type=Path, help="a safetensors file of tensors by argument name (default: drawn)")
    parser.add_argument("--out", type=Path, help="keep the port here, with the inputs and answers of the reference")
    parser.add_argument(
        "--runtime", choices=("standalone", "mlx-lm"), default="standalone", help="whose conventions the port follows"
    )
    parser.add_argument("--seed", type=int, default=0, help="what the weights are drawn from (default: 0)")
    parser.add_argument("--time-limit", type=float, metavar="SECONDS", help="end the try after this (default: none)")
    parser.add_argument(
        "--memory-limit", type=float, metavar="GIB", help="what each worker may hold (default: no limit)"
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout, all else on stderr")


def run(args: argparse.Namespace) -> int:
    from ..tryport import Options, TryResult, run_try

    memory = None if args.memory_limit is None else int(args.memory_limit * 2**30)
    options = Options(args.full, args.snapshot, args.seed, args.runtime, args.time_limit, memory)
    result: TryResult = run_try(args.reference, args.config, args.inputs, args.out, options, on_event=_show)
    print(result.to_json() if args.json else _text(result))
    return int(result.exit_code)


def _show(event: dict[str, Any]) -> None:
    if event.get("event") == "log":
        print(event["text"], file=sys.stderr)


def _text(result: Any) -> str:
    lines = [f"{result.reference}: {result.status}"]
    if result.lines:
        lines.append(f"  {result.classes} classes, {result.lines} lines, {result.modules_compared} modules compared")
    if result.layout is not None:
        found = result.layout
        lines.append(
            f"  {found['transposes']} transposes of layout, at least {found['minimum']}; {found['other']} others"
        )
    lines += [f"  output {o['name']}: rel_l2 {float(o['rel_l2']):.1e}" for o in result.outputs if "rel_l2" in o]
    lines += [f"  hole {h['where']}: {h['reason']}\n    {h['source']}" for h in result.holes]
    if result.first_divergence:
        found = result.first_divergence
        lines.append(f"  first divergence: {found['where']}: {found['detail']}")
    for problem in result.problems:
        lines.append(f"  {problem['where']}: {problem['problem']}")
        lines += [f"    fix: {problem['hint']}"] if problem.get("hint") else []
    lines += [f"  note: {note}" for note in result.notes]
    seconds = ", ".join(f"{name} {spent:.1f} s" for name, spent in result.seconds.items())
    return "\n".join([*lines, f"  {seconds}"])
