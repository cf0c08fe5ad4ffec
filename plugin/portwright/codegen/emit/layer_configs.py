"""Configs of single layers: a library's config may override fields for some layers, by index or by kind of layer."""

from __future__ import annotations

import ast

from portwright.codegen.emit.configs import config_demands, config_keys, holder, holds
from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import Assumption
from portwright.codegen.quote import quote

FIELD = "per_layer_config"
SNIPPET = '''def config_of_layer(config, layer):
    """The config of one layer, given by its place, or of all layers of one kind: with what is overridden for it."""
    overrides = {int(place): own for place, own in (config.per_layer_config or {}).items()}
    if isinstance(layer, str):
        places = [place for place, kind in enumerate(config.layer_types) if kind == layer]
        layer = places[0]
        if any(overrides.get(place, {}) != overrides.get(layer, {}) for place in places):
            raise ValueError("layers of one kind have different configs")
    made = copy.copy(config)
    for name, value in overrides.get(layer, {}).items():
        setattr(made, name, value)
    return made
'''


def is_layer_config(scope: Scope, n: ast.Subscript) -> bool:
    """`config.per_layer_config[layer]` of a library's config."""
    return isinstance(n.value, ast.Attribute) and n.value.attr == FIELD and scope.kinds(n) == {"config"}


def layer_config(scope: Scope, n: ast.Subscript) -> ast.expr:
    """The layer's config. Overrides under a field's second name are refused."""
    assert isinstance(n.value, ast.Attribute)
    config = n.value.value
    made = quote("config_of_layer(c, i)", c=scope.expr(config), i=scope.expr(n.slice))
    demands = [
        *config_demands(scope, config, FIELD),
        Demand("snippet", "config_of_layer"),
        Demand("import", "import copy"),
    ]
    if "str" in scope.kinds(n.slice) and holds(scope, config, "layer_types"):
        demands += config_demands(scope, config, "layer_types")
    return ask(made, *demands, *second_names(scope, n, config))


def second_names(scope: Scope, n: ast.Subscript, config: ast.expr) -> list[Demand]:
    """That no override goes by a name that the config class maps to another."""
    trace = scope.program.trace
    held = [trace.configs.get(key or trace.root_config) for key in config_keys(scope, config)]
    others = sorted({name for c in held if c is not None for name in c.attribute_map})
    if not others:
        return []
    read = ast.unparse(ast.Attribute(holder(scope, config), FIELD, ast.Load()))
    check = f"any(name in {others!r} for own in ({read} or {{}}).values() for name in own)"
    return [Demand("assume", Assumption(scope.where(n), "overrides by second names", False, "construction", check))]
