"""The context in which one function is translated: its observations, the facts, and what it asks of others."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from portwright.codegen.facts.record import Demand, Facts
from portwright.codegen.facts.returns import Result
from portwright.codegen.holes import HoleError
from portwright.codegen.program import NOTHING, Function, Program
from portwright.codegen.quote import is_literal, literal
from portwright.codegen.source import number
from portwright.codegen.trace import Plain, Seen

if TYPE_CHECKING:
    from portwright.codegen.emit.work import Work

Expression = Callable[["Scope", ast.expr], ast.expr]
Statement = Callable[["Scope", ast.stmt], list[ast.stmt]]
EXPRESSIONS: dict[type, Expression] = {}
STATEMENTS: dict[type, Statement] = {}

DTYPES = {"float64": "float32", "int64": "int32", "bool": "bool_", "complex128": "complex64", "int16": "int16"}


def expression(*kinds: type) -> Callable[[Expression], Expression]:
    """Register the translation of a kind of expression."""

    def register(f: Expression) -> Expression:
        EXPRESSIONS.update(dict.fromkeys(kinds, f))
        return f

    return register


def statement(*kinds: type) -> Callable[[Statement], Statement]:
    """Register the translation of a kind of statement."""

    def register(f: Statement) -> Statement:
        STATEMENTS.update(dict.fromkeys(kinds, f))
        return f

    return register


class Scope:
    """One function being translated."""

    def __init__(self, work: Work, function: Function) -> None:
        self.work = work
        self.function = function
        self.trace = function.trace
        self.tree = function.tree
        self.params = function.parameters
        self.self_name = self.params[0] if function.is_method and self.params else ""
        self.reached_stores = count_stores(self, self.tree.body)
        self.folded: dict[str, Plain] = {}
        self.from_config: dict[str, ast.Attribute] = {}  # arguments that a decorator takes from the config
        self.local_literals: dict[str, ast.expr] = {}
        self.entry_literals: dict[str, tuple[Plain, int]] = {}  # value until it is first assigned, at this line
        self.defaulted: set[str] = set()  # keywords of **kwargs that have been given a default
        self.extra_params: list[str] = []  # keywords that came through **kwargs and are named now
        self.supposed: dict[str, ast.expr] = {}  # a parameter's value, while one of several is asked about
        self.vararg = ""
        self.shared = set(self.params)  # names whose array another name may hold too
        self.locals = {n.id for n in function.nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        self.locals |= {a.arg for n in function.nodes if isinstance(n, ast.arguments) for a in all_args(n)}
        self.locals |= {n.name for n in function.nodes if isinstance(n, ast.FunctionDef)} - {self.tree.name}
        self.relied: list[Demand] = []  # attributes that the translation takes to be None
        self.nested = 0
        self.in_function = 0  # depth of nested functions
        self.random_is_zero = 0  # inside a parameter's initial value
        self.result_vars: dict[str, tuple[str, ...]] = {}
        self.tests: list[ast.expr] = []  # of the branches that are being translated
        self.cache_in_loop = ""  # the cache's name inside the loop over layers
        self.parts: dict[str, Result] = {}  # names of results that have one local name for each element
        inner = [n for n in function.nodes if isinstance(n, (ast.FunctionDef, ast.Lambda)) and n is not self.tree]
        self.nested_reads = {x.id for n in inner for x in ast.walk(n) if isinstance(x, ast.Name)}

    @cached_property
    def unreached_stores(self) -> dict[str, list[tuple[ast.Name, ast.expr]]]:
        """By name, the stores that no run came to, each with the test of the branch that none took."""
        from portwright.codegen.emit.passed_over import unreached_stores

        return unreached_stores(self)

    @property
    def program(self) -> Program:
        return self.work.program

    @property
    def facts(self) -> Facts:
        return self.work.facts

    @property
    def results(self) -> Mapping[str, Result]:
        return self.work.results

    @property
    def is_root_init(self) -> bool:
        return self.trace.fid == self.program.trace.init

    @property
    def is_root_entry(self) -> bool:
        return self.trace.fid == self.program.trace.entry

    @property
    def is_public(self) -> bool:
        """Whether users call this function: the root's entry, and methods of the root without an underscore."""
        return self.is_root_entry or self.is_outer(self.trace.fid)

    def is_outer(self, fid: str) -> bool:
        """Whether calls of a function cross a boundary that users see, where values have the reference's layout."""
        trace = self.program.functions[fid].trace
        if not trace.owner:
            return False
        if trace.name == "__init__":
            return not self.program.is_module(trace.owner)
        own = trace.owner in self.program.lineage(self.program.trace.root)
        return own and trace.binding == "method" and not trace.name.startswith("_") and trace.name != "forward"

    def where(self, node: ast.AST | None = None) -> str:
        line = self.trace.line + getattr(node, "lineno", 1) - 1
        return f"{self.trace.fid.partition(':')[2]}:{line}"

    # -- observations ------------------------------------------------------------------------------------

    def seen(self, node: ast.AST | None) -> Seen:
        """What an expression was; a tree that stands for no expression of the source may say so itself."""
        stands = getattr(node, "stands", None)
        if isinstance(stands, Seen):
            return stands
        return self.function.seen(node) if node is not None else NOTHING

    def kinds(self, node: ast.AST | None) -> frozenset[str]:
        """What kinds of values an expression had; literals know theirs."""
        if isinstance(node, (ast.Starred, ast.NamedExpr)):
            return self.kinds(node.value)
        if isinstance(node, ast.Constant):
            return frozenset({"none" if node.value is None else type(node.value).__name__})
        return self.seen(node).kinds

    def is_tensor(self, node: ast.AST | None) -> bool:
        return self.kinds(node) == {"tensor"}

    def rank(self, node: ast.AST | None) -> int | None:
        """The rank of a tensor, None when it was not always the same."""
        ranks = self.seen(node).ranks
        return next(iter(ranks)) if len(ranks) == 1 else None

    def truth(self, test: ast.expr) -> frozenset[bool]:
        if isinstance(test, ast.Constant):
            return frozenset({bool(test.value)})
        return self.seen(test).truth

    def is_last(self, node: ast.AST | None) -> bool:
        """Whether a tensor is held channels-last in the port. Raises HoleError when it was both."""
        if getattr(node, "first", False):
            return False  # its value has been brought to channels-first
        tags = self.seen(node).tags
        if len(tags) > 1:
            raise HoleError("mixed layout: sometimes channels-last, sometimes not")
        return tags == {"cl"}

    # -- translation -------------------------------------------------------------------------------------

    def expr(self, node: ast.expr) -> ast.expr:
        """The MLX tree of one expression. Raises HoleError when it cannot be translated."""
        translate = EXPRESSIONS.get(type(node))
        if translate is None:
            raise HoleError(f"no translation for the expression {type(node).__name__}")
        if self.seen(node).always_none and isinstance(node, (ast.Attribute, ast.Subscript)):
            return self.none(node)
        return translate(self, node)

    def none(self, node: ast.Attribute | ast.Subscript) -> ast.expr:
        """An attribute or item that was always None. It may not have to be: then the port takes that for granted."""
        from portwright.codegen.emit.layer_attributes import bias_demands
        from portwright.codegen.emit.nothing import none_at_first, stays_none
        from portwright.codegen.emit.provenance import over_config
        from portwright.codegen.facts.record import Demand, ask
        from portwright.codegen.holes import Assumption

        if self.kinds(node.value) & {"output", "tuple"}:
            return ast.Constant(None)
        self.note_none(node)
        text = f"{ast.unparse(node)} is None"
        config = over_config(self, node) or none_at_first(self, node)
        if config is None and stays_none(self, node):
            return ast.Constant(None)
        said = bias_demands(self, node) if isinstance(node, ast.Attribute) and node.attr == "bias" else []
        if said:
            return ask(ast.Constant(None), *said)
        checked = "construction" if config is not None else "no"
        check = f"{ast.unparse(config)} is None" if config is not None else ""
        return ask(ast.Constant(None), Demand("assume", Assumption(self.where(node), text, True, checked, check)))

    def note_none(self, node: ast.Attribute | ast.Subscript) -> None:
        """The port relies on an attribute's being None: a constructor that would set it must refuse."""
        from portwright.codegen.emit.names import holder_classes

        if isinstance(node, ast.Attribute):
            self.relied += [Demand("none", cls, node.attr) for cls in holder_classes(self, node.value)]

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """The MLX statements of one statement; each remembers the source line that it came from."""
        translate = STATEMENTS.get(type(node))
        if translate is None:
            raise HoleError(f"no translation for the statement {type(node).__name__}")
        aliased = self.trace.aliased
        if aliased and not hasattr(node, "body") and any(number(n) in aliased for n in ast.walk(node)):
            raise HoleError("a change in place that is read under another name")
        out = translate(self, node)
        for s in out:
            if not hasattr(s, "origin"):
                s.origin = node.lineno  # type: ignore[attr-defined]
        return out

    def known(self, node: ast.expr | None) -> ast.expr | None:
        """The expression's value where it was always one plain value, else the expression itself."""
        seen = self.seen(node)
        return literal(seen.consts[0]) if seen.const else node

    def global_(self, name: str):  # type: ignore[no-untyped-def]
        return self.trace.globals.get(name) if name not in self.locals else None

    def note_assignment(self, target: ast.expr, value: ast.expr) -> None:
        """Remember names that are assigned once, to a literal, and those that hold what others hold too."""
        if isinstance(target, ast.Name):
            if not is_new(value):
                self.shared.add(target.id)
            elif not self.nested:
                self.shared.discard(target.id)
        if (
            isinstance(target, ast.Name)
            and self.reached_stores.get(target.id) == 1
            and not self.nested
            and is_literal(value)
            and isinstance(value, ast.Constant)
        ):
            self.local_literals[target.id] = value


def is_new(node: ast.expr) -> bool:
    """Whether a translated expression makes an array of its own; a rewritten function may hold on to its result."""
    if isinstance(node, ast.Call):
        return not any(d.kind == "call" for d in getattr(node, "demands", ()))
    return isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Compare))


# Config fields that a library's wrapper around forward reads by itself: each adds outputs.
ADDS_OUTPUTS = ("output_attentions", "output_hidden_states", "output_router_logits")


def keyword_name(scope: Scope, title: str) -> ast.expr:
    """What arrives through `**kwargs` under a name: a parameter from here on, or the root's config field."""
    from portwright.codegen.facts.record import Demand, ask
    from portwright.codegen.quote import literal, quote

    if scope.is_root_init and scope.program.trace.config_style != "object":
        return ask(quote(f"config.{title}"), Demand("config", title))
    trace = scope.program.trace
    if (
        scope.is_root_entry
        and title in trace.supplied
        and (title in ADDS_OUTPUTS or title not in trace.config_defaults)
    ):
        return literal(trace.supplied[title])  # no caller gives it, and no config field does
    if title not in scope.params and title not in scope.extra_params and title not in scope.defaulted:
        scope.extra_params.append(title)
    return ast.Name(title, ast.Load())


def expanded_keywords(scope: Scope, n: ast.Call) -> list[ast.keyword]:
    """A call's keywords, with `**` of a dict literal (in place or in a local name) written out."""
    out: list[ast.keyword] = []
    for k in n.keywords:
        made = literal_dict(scope, k.value) if k.arg is None else k.value
        if k.arg is None and isinstance(made, ast.Dict) and all(isinstance(q, ast.Constant) for q in made.keys):
            out += [ast.keyword(q.value, v) for q, v in zip(made.keys, made.values, strict=True)]  # type: ignore[union-attr]
        else:
            out.append(k)
    return out


def literal_dict(scope: Scope, node: ast.expr) -> ast.expr:
    """The dict literal behind a local name or a copy of it, where nothing that ran changes either; else the node."""
    return chosen_dict(scope, node)[0]


def chosen_dict(scope: Scope, node: ast.expr) -> tuple[ast.expr, list[ast.expr]]:
    """That dict literal, and the tests seen to go one way that chose it (`a if flag else b`)."""
    found, tests = node, []
    for _ in range(4):
        if isinstance(found, ast.Call) and isinstance(found.func, ast.Attribute) and found.func.attr == "copy":
            found = found.func.value
        if isinstance(found, ast.IfExp) and len(scope.truth(found.test)) == 1:
            tests.append(found.test)
            found = found.body if True in scope.truth(found.test) else found.orelse
        if not isinstance(found, ast.Name):
            break
        if scope.reached_stores.get(found.id) != 1 or is_changed(scope, found.id):
            return node, []
        name = found.id
        values = [
            s.value
            for s in ast.walk(scope.tree)
            if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name) and s.targets[0].id == name
        ]
        if len(values) != 1:
            return node, []
        found = values[0]
    return (found, tests) if isinstance(found, ast.Dict) else (node, [])


def is_changed(scope: Scope, name: str) -> bool:
    """Whether code that ran sets or removes items of what a local name holds."""
    for s in ast.walk(scope.tree):
        if isinstance(s, (ast.Assign, ast.AugAssign)):
            targets = s.targets if isinstance(s, ast.Assign) else [s.target]
            held = [t.value for t in targets if isinstance(t, ast.Subscript)]
            if any(isinstance(h, ast.Name) and h.id == name for h in held) and scope.seen(s.value).n:
                return True
        if isinstance(s, ast.Call) and isinstance(s.func, ast.Attribute) and scope.seen(s).n:
            holder = s.func.value
            if isinstance(holder, ast.Name) and holder.id == name and s.func.attr in ("update", "pop", "setdefault"):
                return True
    return False


def grows(scope: Scope, name: str) -> bool:
    """Whether code changes what a local name holds: it calls a method of it in a statement, or assigns an item."""
    for s in scope.function.nodes:
        if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call) and isinstance(s.value.func, ast.Attribute):
            holder = s.value.func.value
        elif isinstance(s, ast.Subscript) and isinstance(s.ctx, (ast.Store, ast.Del)):
            holder = s.value
        else:
            continue
        if isinstance(holder, ast.Name) and holder.id == name:
            return True
    return False


def all_args(a: ast.arguments) -> list[ast.arg]:
    return [x for x in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if x]


def count_stores(scope: Scope, body: list[ast.stmt]) -> dict[str, int]:
    """How often each name is bound by code that ran (branches never taken are left out)."""
    counts: dict[str, int] = dict.fromkeys(scope.params, 1)

    def walk(statements: list[ast.stmt], weight: int) -> None:
        for s in statements:
            if isinstance(s, ast.If):
                truth = scope.truth(s.test)
                for part, taken in ((s.body, True), (s.orelse, False)):
                    if taken in truth:
                        walk(part, weight)
                bind(s.test, weight)
            elif isinstance(s, (ast.For, ast.While)):
                bind(s.target if isinstance(s, ast.For) else s.test, 2)
                walk(s.body, 2)
                walk(s.orelse, weight)
            elif isinstance(s, (ast.With, ast.Try)):
                walk(s.body, weight)
                for handler in getattr(s, "handlers", []):
                    walk(handler.body, weight)
            else:
                bind(s, weight)

    def bind(node: ast.AST, weight: int) -> None:
        for n in ast.walk(node):
            if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Store, ast.Del)):
                counts[n.id] = counts.get(n.id, 0) + weight

    walk(body, 1)
    return counts
