"""Code lines of generated ports beside the hand-written files of mlx-lm: `python tests/codegen/lines_per_port.py`.

`--keep DIR` leaves the ports in DIR to read; names run those only. Blank lines, comments and docstrings are not
counted, on either side, and both are formatted to one width first.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import black
from portwright.workers import run_worker

HERE = Path(__file__).resolve().parent
WIDTH = 88  # what mlx-lm is formatted to

# A decoder of mlx_lm.toml (written for mlx-lm) or an entry of architectures.toml (standalone) -> mlx-lm's file.
PAIRS = {
    "llama3-scaling": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
    "gemma3": "gemma3_text",
    "phi3": "phi3",
    "olmo2": "olmo2",
    "cohere2": "cohere2",
    "gpt2": "gpt2",
    "gpt-neox": "gpt_neox",
    "mixtral": "mixtral",
    "qwen3-moe": "qwen3_moe",
    "gpt-oss": "gpt_oss",
    "deepseek-v3": "deepseek_v3",
    "mamba2-lm": "mamba2",
}


def code_lines(text: str) -> int:
    """Lines that hold code: parsed, so that comments are gone, without docstrings, and formatted to `WIDTH`."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    formatted = black.format_str(ast.unparse(tree), mode=black.Mode(line_length=WIDTH))
    return sum(bool(line.strip()) for line in formatted.splitlines())


def cases() -> dict[str, dict[str, Any]]:
    """Reference, config and runtime by name."""
    decoders = tomllib.loads((HERE / "mlx_lm.toml").read_text(encoding="utf-8"))
    found = {name: {**entry, "runtime": "mlx-lm"} for name, entry in decoders.items()}
    for entry in tomllib.loads((HERE.parent / "architectures.toml").read_text(encoding="utf-8"))["architecture"]:
        case = {"reference": entry["reference"], "config": entry["a"], "runtime": "standalone"}
        found.setdefault(entry["name"], {**case, "overrides": entry.get("probes", {})})
    return found


def generated(case: dict[str, Any], folder: Path) -> str:
    """Observe and generate; the text of model.py, which folder/model.py holds."""
    job: dict[str, Any] = {"reference": case["reference"], "configs": [case["config"]], "seed": 0, "probes": None}
    job |= {"overrides": case.get("overrides", {}), "runtime": case["runtime"]}
    run_worker("portwright.codegen.observe", {**job, "out": str(folder / "trace")})
    job = {"trace": str(folder / "trace"), "out": str(folder), "runtime": case["runtime"], "licence": None}
    made = run_worker("portwright.codegen.generate", job, mlx=True)
    assert not made["holes"], made["holes"]
    return (folder / "model.py").read_text(encoding="utf-8")


def handwritten(name: str) -> str:
    """The text of mlx-lm's own file; the package is not imported."""
    spec = importlib.util.find_spec("mlx_lm")
    assert spec is not None and spec.submodule_search_locations, "pip install mlx-lm"
    return (Path(spec.submodule_search_locations[0]) / "models" / f"{name}.py").read_text(encoding="utf-8")


def main() -> None:
    """Generate each, and print a row of the table of docs/codegen.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of mlx_lm.toml or architectures.toml")
    parser.add_argument("--keep", type=Path, help="leave the ports here")
    arguments = parser.parse_args()
    table = cases()
    print("| reference | runtime | port | mlx-lm's file | lines | ratio |\n|---|---|---|---|---|---|")
    for name in arguments.names or PAIRS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = arguments.keep.resolve() / name if arguments.keep else Path(scratch)
            ours, theirs = code_lines(generated(table[name], folder)), code_lines(handwritten(PAIRS[name]))
        case = table[name]
        row = [f"`{case['reference']}`", case["runtime"], str(ours), f"`{PAIRS[name]}.py`", str(theirs)]
        print("| " + " | ".join([*row, f"{ours / theirs:.2f}"]) + " |", flush=True)


if __name__ == "__main__":
    main()
