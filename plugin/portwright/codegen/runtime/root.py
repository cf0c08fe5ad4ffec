"""The conventions that mlx-lm expects of a model's root: argument names, `layers`, `make_cache`, `sanitize`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from portwright.codegen.emit.names import attribute_name
from portwright.codegen.program import Program
from portwright.codegen.runtime.caches import layers_of, loops
from portwright.codegen.runtime.experts import sanitizing
from portwright.codegen.runtime.tied import FLAG, tied_layers
from portwright.errors import ExitCode, PortError, Problem
from portwright.runtimes import MLX_LM_ARGUMENTS as ARGUMENTS

if TYPE_CHECKING:
    from portwright.codegen.emit.work import Work

CACHES = {
    "layer_types": """
def make_cache(self):
    return [
        RotatingKVCache(max_size=self.args.sliding_window) if kind == "sliding_attention" else KVCache()
        for kind in self.args.layer_types
    ]
""",
    "sliding_window": """
def make_cache(self):
    window = self.args.sliding_window
    return [KVCache() if window is None else RotatingKVCache(max_size=window) for _ in self.layers]
""",
}


def renamed_arguments(function: ast.FunctionDef) -> ast.FunctionDef:
    """The root's call with mlx-lm's names, in mlx-lm's order."""
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id in ARGUMENTS:
            node.id = ARGUMENTS[node.id]
        elif isinstance(node, ast.arg) and node.arg in ARGUMENTS:
            node.arg = ARGUMENTS[node.arg]
    given = {a.arg for a in function.args.args[1:]}
    order = [n for n in ("inputs", "cache", "input_embeddings") if n in given]
    left = sorted(given - set(order))
    if left or "inputs" not in given or "cache" not in given:
        problem = f"its call takes {', '.join(sorted(given))}: mlx-lm gives inputs, cache and input_embeddings"
        raise PortError(Problem("Model.__call__", problem, 'use runtime = "standalone"'), ExitCode.HOLES)
    function.args.args = [function.args.args[0], *[ast.arg(n) for n in order]]
    function.args.defaults = [ast.Constant(None) for _ in order[1:]]
    return function


def root_methods(work: Work) -> list[ast.stmt]:
    """`layers`, `make_cache` where a plain cache for each layer is not right, and `sanitize`."""
    program = work.program
    found = loops(program)
    if len(found) != 1:
        problem = "no loop over layers with a cache was seen, which mlx-lm's models have"
        raise PortError(Problem(program.trace.reference, problem, 'use runtime = "standalone"'), ExitCode.HOLES)
    fid, (_, loop) = next(iter(found.items()))
    seen = program.functions[fid].seen(layers_of(loop))
    path = ".".join(["self", *ported(program, seen.paths[0])])
    texts = [f"@property\ndef layers(self):\n    return {path}"]
    kind = window_kind(work)
    texts += [CACHES[kind]] if kind else []
    texts.append(sanitize(work))
    return [s for text in texts for s in ast.parse(text).body]


def ported(program: Program, path: str) -> list[str]:
    """A module's path in the port, part by part."""
    model, _, rest = path.partition(":")
    out, at = [], ""
    for part in rest.split("."):
        out.append(attribute_name(program, [program.modules[f"{model}:{at}"].cls], part))
        at = f"{at}.{part}" if at else part
    return out


def window_kind(work: Work) -> str:
    """Which config field says what slides: "" where nothing does."""
    windowed = any(
        isinstance(n, ast.keyword) and n.arg == "window_size"
        for f in work.done.values()
        for s in f.body
        for n in ast.walk(s)
    )
    if not windowed:
        return ""
    mixed = any(m.config.get("layer_types") for m in work.program.trace.models)
    return "layer_types" if mixed else "sliding_window"


def config_fields(work: Work) -> list[str]:
    """The config fields that these methods read."""
    kind = window_kind(work)
    return ["model_type", *dict.fromkeys([kind, "sliding_window"] if kind else [])]


def sanitize(work: Work) -> str:
    """Make any checkpoint of the library's loadable; what is so already stays as it is."""
    temporary = sorted(
        {t.name for m in work.program.trace.models[0].modules for t in m.tensors if t.role == "temporary"}
    )
    lines = ["def sanitize(self, weights):"]
    for layer in tied_layers(work.program):
        lines += [f"    if self.args.{FLAG}:", f'        weights.pop("{layer}.weight", None)']
    lines += sanitizing(work)
    if temporary:
        names = ", ".join(f'".{name}"' for name in temporary)
        lines += [
            f"    computed = ({names},)",
            "    return {k: v for k, v in weights.items() if not k.endswith(computed)}",
        ]
    else:
        lines += ["    return weights"]
    return "\n".join(lines)
