"""The text part of a config: the config itself, or the one of its parts that a library takes for it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from portwright.codegen.emit.configs import config_keys
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope

PARTS = ("text_encoder", "decoder", "generator", "text_config")  # the fields among which the library looks


def text_config(scope: Scope, config: ast.expr) -> tuple[ast.expr, str]:
    """The translated text part of a config, and the key of its class ("" for the root's)."""
    trace = scope.program.trace
    keys = config_keys(scope, config)
    if len(keys) != 1:
        raise HoleError("the text part of configs of several classes")
    held = trace.configs.get(keys[0] or trace.root_config)
    found = [(name, key) for name, key in (held.children if held is not None else {}).items() if name in PARTS]
    if not found:
        return scope.expr(config), keys[0]
    if len(found) > 1:
        raise HoleError("the text part of a config with several: " + ", ".join(name for name, _ in found))
    name, key = found[0]
    made = ask(ast.Attribute(scope.expr(config), name, ast.Load()), Demand("config", name, keys[0]))
    return made, "" if key == trace.root_config else key
