"""Attributes whose names are computed: `getattr(self, f"{kind}_scale")` and the `setattr` that made them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from portwright.codegen.emit.names import attribute_name, holder_classes
from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.record import Demand, ask
from portwright.codegen.holes import HoleError
from portwright.codegen.quote import quote, stores


def read_computed(scope: Scope, n: ast.Call) -> ast.expr:
    """`getattr(module, f"...")` under the names that the port gives such attributes."""
    title = written(scope, n.args[1])
    if not isinstance(title, ast.JoinedStr) or "module" not in scope.kinds(n.args[0]) or len(n.args) != 2:
        raise HoleError("getattr with a computed name")
    classes = holder_classes(scope, n.args[0])
    made = ast.Call(ast.Name("getattr", ast.Load()), [scope.expr(n.args[0]), titled(scope, classes, title)], [])
    return ask(made, *[Demand("live", cls, pattern(title)) for cls in classes])


def write_computed(scope: Scope, n: ast.Call) -> list[ast.stmt]:
    """`setattr(self, f"...", value)`, where something reads such a name."""
    holder, title, value = n.args[0], written(scope, n.args[1]), n.args[2]
    lineage = scope.program.lineage(scope.trace.owner)
    own = isinstance(holder, ast.Name) and holder.id == scope.self_name
    names = scope.seen(title)
    if own and names.kinds == {"str"} and not names.mixed and all_modules(scope, holder, names.consts):
        if not any(scope.facts.reads(lineage, name) for name in names.consts):
            return []
        name = scope.expr(title)
        if isinstance(name, ast.Constant) and str(name.value).isidentifier():  # a constant of the class
            title_of = attribute_name(scope.program, holder_classes(scope, holder), str(name.value))
            return [ast.Assign([ast.Attribute(scope.expr(holder), title_of, ast.Store())], scope.expr(value))]
        return [ast.Expr(quote("setattr(x, name, y)", x=scope.expr(holder), name=name, y=scope.expr(value)))]
    if not (isinstance(title, ast.JoinedStr) and isinstance(holder, ast.Name) and own):
        raise HoleError("setattr with a computed name")
    named = matching(scope, lineage, title)  # by their own names: `self.x_0`
    if not scope.facts.reads(lineage, pattern(title)) and not any(scope.facts.reads(lineage, n) for n in named):
        return []
    name = titled(scope, holder_classes(scope, holder), title)
    return [ast.Expr(ast.Call(ast.Name("setattr", ast.Load()), [scope.expr(holder), name, scope.expr(value)], []))]


def all_modules(scope: Scope, holder: ast.expr, names: Iterable[str]) -> bool:
    """Whether these are submodules wherever a class has them: MLX keeps a module under any name."""
    modules = [m for cls in holder_classes(scope, holder) for m in scope.program.instances.get(cls, ())]
    return all(any(name in m.children for m in modules) for name in names) and bool(modules)


def formatted(title: ast.expr) -> ast.expr:
    """`"layer%d" % i` as the f-string that says the same."""
    if not (isinstance(title, ast.BinOp) and isinstance(title.op, ast.Mod) and isinstance(title.left, ast.Constant)):
        return title
    given = title.right.elts if isinstance(title.right, ast.Tuple) else [title.right]
    texts = re.split(r"%[ds]", str(title.left.value))
    if len(texts) != len(given) + 1 or "%" in "".join(texts):
        return title
    parts: list[ast.expr] = [ast.Constant(texts[0])] if texts[0] else []
    for value, text in zip(given, texts[1:], strict=True):
        parts += [ast.FormattedValue(value, -1, None), *([ast.Constant(text)] if text else [])]
    return ast.copy_location(ast.JoinedStr(parts), title)


def written(scope: Scope, title: ast.expr) -> ast.expr:
    """The f-string itself, or the one that a local name was given right before, in the same round of a loop."""
    title = formatted(title)
    if not isinstance(title, ast.Name) or title.id in scope.params:
        return title
    made = [s for s in scope.function.nodes if isinstance(s, ast.Assign) and title.id in stores(s)]
    bound = [n for n in scope.function.nodes if isinstance(n, ast.Name) and n.id == title.id and not is_read(n)]
    if len(made) != 1 or len(bound) != 1 or not isinstance(made[0].value, ast.JoinedStr):
        return title
    return made[0].value


def is_read(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def pattern(title: ast.JoinedStr) -> str:
    """The name with its computed parts left open; stands for all such attributes among the live ones."""
    return "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in title.values)


def as_expression(title: ast.JoinedStr) -> re.Pattern[str]:
    return re.compile("".join(re.escape(p) if p != "{}" else ".*" for p in re.split(r"(\{\})", pattern(title))))


def matching(scope: Scope, classes: Iterable[str], title: ast.JoinedStr) -> set[str]:
    """The attributes of these classes' instances that a computed name may stand for."""
    found, expression = set(), as_expression(title)
    for cls in classes:
        for module in scope.program.instances.get(cls, ()):
            found |= {n for n in (*[t.name for t in module.tensors], *module.numbers) if expression.fullmatch(n)}
    return found


def titled(scope: Scope, classes: Iterable[str], title: ast.JoinedStr) -> ast.expr:
    """The port's name: arrays that are no weights begin with `_`. Raises HoleError where only some of them are."""
    expression = as_expression(title)
    roles = set()
    for cls in classes:
        for module in scope.program.instances.get(cls, ()):
            roles |= {t.role for t in module.tensors if expression.fullmatch(t.name)}
            roles |= {"module" for child in module.children if expression.fullmatch(child)}
            roles |= {"number" for name in module.numbers if expression.fullmatch(name)}
    hidden = roles & {"temporary", "attribute"}
    if hidden and roles - hidden:
        raise HoleError(f"attributes {pattern(title)} of several kinds")
    translated = scope.expr(title)
    if hidden and not pattern(title).startswith("_"):
        assert isinstance(translated, ast.JoinedStr)
        return ast.JoinedStr([ast.Constant("_"), *translated.values])
    return translated
