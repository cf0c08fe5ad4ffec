"""What a config computes from its fields: properties of a library's config class become properties of the dataclass."""

from __future__ import annotations

import ast
import builtins
import textwrap
from collections.abc import Container, Mapping

from portwright.codegen.trace import Trace

MODULES = frozenset({"math", "functools", "operator"})  # of Python's own, that a property may use
_PRODUCT = {"np.prod": "math.prod", "numpy.prod": "math.prod"}


def properties_of(trace: Trace, key: str) -> Mapping[str, str]:
    """The sources of a config class's properties by name; `key` is "" for the root's."""
    held = trace.configs.get(key or trace.root_config)
    return held.properties if held is not None else {}


def is_saved(trace: Trace, key: str, name: str) -> bool:
    """Whether a saved config of this class has a field, or gets it by default."""
    held = trace.configs.get(key or trace.root_config)
    saved = held.saved if held is not None else tuple(m.config for m in trace.models)
    defaults = held.defaults if held is not None else trace.config_defaults
    return name in defaults or any(name in s for s in saved)


def is_computed(trace: Trace, key: str, name: str) -> bool:
    """Whether a config's attribute is a property that the port can compute as the library does."""
    source = properties_of(trace, key).get(name)
    return source is not None and not is_saved(trace, key, name) and translated(source) is not None


def setter_of(trace: Trace, key: str, name: str) -> str | None:
    """The source of what assigning a property does; None where a config has none."""
    held = trace.configs.get(key or trace.root_config)
    return held.setters.get(name) if held is not None else None


def is_assignable(trace: Trace, key: str, name: str) -> bool:
    """Whether the port can assign a config's attribute as the library does: a field, or by a setter in plain Python."""
    source = setter_of(trace, key, name)
    return not is_computed(trace, key, name) or (source is not None and translated(source) is not None)


def translated(source: str) -> ast.FunctionDef | None:
    """The property's function without what is only for readers of the library; None where it needs more than Python."""
    tree = ast.parse(textwrap.dedent(source)).body[0]
    if not isinstance(tree, ast.FunctionDef):
        return None
    tree.decorator_list = [ast.Name("property", ast.Load())]
    tree.returns = None
    for argument in tree.args.args:
        argument.annotation = None
    if isinstance(tree.body[0], ast.Expr) and isinstance(tree.body[0].value, ast.Constant):
        tree.body = tree.body[1:]
    tree = _Products().visit(tree)
    local = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    local |= {argument.arg for argument in tree.args.args}
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return tree if all(n in local | MODULES or hasattr(builtins, n) for n in read) and tree.body else None


def reads(source: str) -> set[str]:
    """The attributes of the config that a property reads."""
    return {
        n.attr
        for n in ast.walk(ast.parse(textwrap.dedent(source)))
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "self"
    }


def add_read_fields(trace: Trace, key: str, names: dict[str, None]) -> list[str]:
    """Move the computed names out of a dataclass's fields and put what they read there; gives them in order."""
    computed: dict[str, None] = {}
    pending = [n for n in names if is_computed(trace, key, n)]
    while pending:
        name = pending.pop(0)
        if name in computed:
            continue
        computed[name] = None
        names.pop(name, None)
        for read in sorted(reads(properties_of(trace, key)[name])):
            if is_computed(trace, key, read):
                pending.append(read)
            elif is_saved(trace, key, read):
                names[read] = None
    return list(computed)


def property_text(trace: Trace, key: str, name: str, fields: Container[str], written: bool) -> tuple[str, set[str]]:
    """The text of one property, indented as a class has it, and the modules that it uses.

    `written`: with what assigning it does to those of the fields that the dataclass has.
    """
    trees = [translated(properties_of(trace, key)[name])]
    source = setter_of(trace, key, name) if written else None
    if source is not None:
        setter = translated(source)
        assert setter is not None
        setter.decorator_list = [ast.Attribute(ast.Name(name, ast.Load()), "setter", ast.Load())]
        trees.append(_Fields(fields).visit(setter))
    text, modules = "", set[str]()
    for tree in trees:
        assert tree is not None
        modules |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in MODULES}
        text += "\n" + textwrap.indent(ast.unparse(ast.fix_missing_locations(tree)), "    ") + "\n"
    return text, modules


class _Fields(ast.NodeTransformer):
    """Assignments to fields that a dataclass does not have are left out."""

    def __init__(self, fields: Container[str]) -> None:
        self.fields = fields

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        target = node.targets[0]
        return node if not isinstance(target, ast.Attribute) or target.attr in self.fields else None


class _Products(ast.NodeTransformer):
    """numpy's product of a list of whole numbers is Python's."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        found = _PRODUCT.get(ast.unparse(node))
        self.generic_visit(node)
        return ast.parse(found, mode="eval").body if found is not None else node
