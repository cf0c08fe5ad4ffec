"""Output layers that share the embedding's weight where the config ties them, as the library's base class does."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from portwright.codegen.emit.names import attribute_name
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.program import Program
from portwright.codegen.quote import quote

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

FLAG = "tie_word_embeddings"  # the field by which the library's base class decides


def tied_layers(program: Program) -> dict[str, str]:
    """Paths of output layers without a bias of their own, each with the path of the embedding that it may share."""
    found = {}
    if program.runtime != "mlx-lm" or not any(FLAG in m.config for m in program.trace.models):
        return {}
    for layer, source in program.trace.tied_keys.items():
        at, embedding = layer.removesuffix(".weight"), source.removesuffix(".weight")
        modules = (program.modules.get(f"0:{at}"), program.modules.get(f"0:{embedding}"))
        if modules[0] is None or modules[1] is None or "." in at:
            continue
        bases = [program.torch_base(m.cls) for m in modules if m is not None]
        if bases == ["Linear", "Embedding"] and {t.name for t in modules[0].tensors} == {"weight"}:
            found[at] = embedding
    return found


def tied_call(scope: Scope, n: ast.Call, made: ast.expr) -> ast.expr:
    """A call of such a layer: through the embedding where the config ties them."""
    paths = {p.partition(":")[2] for p in scope.seen(n.func).paths}
    layers = tied_layers(scope.program)
    if not scope.is_root_entry or len(paths) != 1 or not paths <= set(layers) or not isinstance(made, ast.Call):
        return made
    embedding = layers[paths.pop()]
    test = quote(f"{scope.self_name}.args.{FLAG}")
    at, title = "", scope.self_name
    for part in embedding.split("."):
        title += "." + attribute_name(scope.program, [scope.program.modules[f"0:{at}"].cls], part)
        at = f"{at}.{part}" if at else part
    shared = ast.Call(quote(f"{title}.as_linear"), made.args, [])
    return ask(ast.IfExp(test, shared, made), Demand("config", FLAG, ""))


def with_tied(scope: Scope, body: list[ast.stmt]) -> list[ast.stmt]:
    """In the root's constructor, such a layer is made only where the config does not tie it."""
    layers = tied_layers(scope.program)
    if not scope.is_root_init or not layers:
        return body
    out: list[ast.stmt] = []
    for s in body:
        name = getattr(s, "attribute", "")
        if name in layers:
            test = ask(quote(f"not config.{FLAG}"), Demand("config", FLAG, ""))
            made = ast.If(test, [s], [])
            made.origin = getattr(s, "origin", 1)  # type: ignore[attr-defined]
            out.append(made)
        else:
            out.append(s)
    return out


def shared_keys(program: Program) -> dict[str, str]:
    """The reference's names of weights that the port reads from an embedding, for the first config; and from which."""
    if not program.trace.models[0].config.get(FLAG):
        return {}
    return {f"{k}.weight": f"{v}.weight" for k, v in tied_layers(program).items()}
