"""Functions and classes of the port, in the reference's order, as text with the reference's comments."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

from portwright.codegen.emit.globals import dtype
from portwright.codegen.emit.text import unparsed
from portwright.codegen.emit.work import Finished, Work
from portwright.codegen.program import Function
from portwright.codegen.quote import is_literal, literal
from portwright.codegen.runtime.experts import switched
from portwright.codegen.runtime.root import renamed_arguments, root_methods
from portwright.codegen.tidy.attributes import without_own_attributes
from portwright.codegen.tidy.own_config import without_own_config
from portwright.codegen.trace import PLAIN_KINDS, FunctionTrace, Plain
from portwright.codegen.translate.constructors import CONSTRUCTORS

QUANTIZE_CALL = "if config.quantization is not None:\n    quantize(self, config.quantization)"


def function_node(work: Work, done: Finished) -> ast.FunctionDef:
    """The definition of one finished function."""
    function = work.program.functions[done.fid]
    trace = function.trace
    is_method = work.is_in_class(done.fid)
    root_init = done.fid == work.program.trace.init
    arguments: list[ast.arg] = []
    defaults: list[ast.expr] = []
    if is_method and trace.binding != "static":
        arguments.append(ast.arg(function.parameters[0]))
    names = done.kept
    if root_init:
        arguments.append(ast.arg("config", ast.Name("ModelArgs", ast.Load())))
        names = []
    a = function.tree.args
    places = {x.arg for x in (*a.posonlyargs, *a.args)}
    behind = [q for q in names if done.vararg and q not in places]  # given by name only: positions go to *args
    for q in names:
        if q in behind:
            continue
        default = default_of(work, function, q)
        if default is None and defaults:
            default = literal(trace.defaults.get(q))
        arguments.append(ast.arg(q))
        if default is not None:
            defaults.append(default)
    vararg = ast.arg(done.vararg) if done.vararg else None
    body = with_comments(done.body, function)
    cached = work.program.runtime == "mlx-lm"
    if root_init:
        body = with_args(body) if cached else [*body, *quantize_call()]
    body = [*docstring(function.summary), *body]
    made = ast.FunctionDef(
        work.function_title(done.fid),
        ast.arguments(
            [],
            arguments,
            vararg,
            list(map(ast.arg, behind)),
            [default_of(work, function, q) for q in behind],
            None,
            defaults,
        ),
        body or [ast.Pass()],
        decorators(trace) if is_method else [],
        None,
        type_params=[],
    )  # type: ignore[call-arg,unused-ignore]
    made.plain = {q for q in names if q in trace.params and trace.params[q].kinds <= PLAIN_KINDS}  # type: ignore[attr-defined]
    return renamed_arguments(made) if cached and done.fid == work.program.trace.entry else made


def with_one_config(node: ast.ClassDef) -> ast.ClassDef:
    """The root of an mlx-lm model calls its config `args`, and once is enough."""
    init = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    texts = [ast.unparse(s) for s in init.body] if init is not None else []
    if init is None or not {"self.args = config", "self.config = config"} <= set(texts):
        return node
    init.body = [s for s, text in zip(init.body, texts, strict=True) if text != "self.config = config"]
    for n in ast.walk(node):
        if isinstance(n, ast.Attribute) and n.attr == "config" and isinstance(n.value, ast.Name):
            n.attr = "args" if n.value.id == "self" else n.attr
    return node


def with_args(body: list[ast.stmt]) -> list[ast.stmt]:
    """The constructor of an mlx-lm model keeps its arguments; quantization is mlx-lm's to apply."""
    kept = ast.parse("self.args = config\nself.model_type = config.model_type").body
    return [body[0], *kept, *body[1:]]


def quantize_call() -> list[ast.stmt]:
    return ast.parse(QUANTIZE_CALL).body


def decorators(trace: FunctionTrace) -> list[ast.expr]:
    names = {"static": "staticmethod", "class": "classmethod", "property": "property"}
    return [ast.Name(names[trace.binding], ast.Load())] if trace.binding in names else []


def default_of(work: Work, function: Function, q: str) -> ast.expr | None:
    """A parameter's default; None where the port always gives the argument."""
    trace = function.trace
    if q not in function.parameters:
        return ast.Constant(None)
    if q in trace.default_dtypes:
        return dtype(trace.default_dtypes[q])
    if q not in trace.defaults:
        return None
    seen = trace.params.get(q)
    if trace.defaults[q] is None:
        return None if seen is not None and "none" not in seen.kinds else ast.Constant(None)
    if (trace.fid, q) in work.always_given:
        return None
    return literal(trace.defaults[q])


def docstring(summary: str) -> list[ast.stmt]:
    """What the reference says of a function or a class."""
    return [ast.Expr(ast.Constant(summary))] if summary else []


def with_comments(body: list[ast.stmt], function: Function) -> list[ast.stmt]:
    """Statements with the comments that explain them, as marked string statements."""
    used: set[int] = set()

    def add(statements: list[ast.stmt]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for s in statements:
            origin = getattr(s, "origin", None)
            if origin is not None and origin not in used:
                used.add(origin)
                for text in function.comments.above.get(origin, ()):
                    made.append(ast.Expr(ast.Call(ast.Name("__above__", ast.Load()), [ast.Constant(text)], [])))
            for name in ("body", "orelse"):
                inner = getattr(s, name, None)
                if isinstance(inner, list):
                    setattr(s, name, add(inner))
            made.append(s)
            if origin in function.comments.beside and isinstance(s, (ast.Assign, ast.Return, ast.AugAssign, ast.Expr)):
                made.append(
                    ast.Expr(
                        ast.Call(
                            ast.Name("__beside__", ast.Load()), [ast.Constant(function.comments.beside[origin])], []
                        )
                    )
                )
        return made

    return add(body)


def definitions(work: Work) -> list[str]:
    """Texts of plain functions and classes, callee and base first."""
    program = work.program
    owners: dict[str, list[Finished]] = {}
    functions: list[Finished] = []
    roots = {program.trace.entry, program.trace.init}
    for fid, done in work.done.items():
        trace = program.functions[fid].trace
        in_class = work.is_in_class(fid)
        if fid not in work.facts.called and fid not in roots:
            continue
        if in_class:
            owners.setdefault(trace.owner, []).append(done)
        else:
            functions.append(done)
    for cls in work.facts.classes:
        if not work.is_replaced(cls):
            owners.setdefault(cls, [])
    owners.setdefault(program.trace.root, [])
    out: list[ast.stmt] = [function_node(work, f) for f in functions]
    finished: set[str] = set()

    def add(cls: str) -> None:
        if cls in finished:
            return
        finished.add(cls)
        for base in program.lineage(cls)[1:]:
            if base in owners:
                add(base)
        out.append(class_node(work, cls, owners))

    for cls in owners:
        if cls != program.trace.root:
            add(cls)
    add(program.trace.root)
    without_own_attributes(out)
    return [unparsed(node) for node in out]


def stands_alone(work: Work, cls: str, owners: Mapping[str, list[Finished]]) -> bool:
    """Whether no other class of the port inherits from a class, and it inherits from none."""
    lineage = work.program.lineage
    return not any(cls in lineage(other) or other in lineage(cls) for other in owners if other != cls)


def class_node(work: Work, cls: str, owners: dict[str, list[Finished]]) -> ast.ClassDef:
    """One class with its methods in the reference's order."""
    program = work.program
    methods = sorted(owners[cls], key=lambda f: program.functions[f.fid].trace.line)
    kept = (program.trace.entry, program.trace.init)
    emitted = [f for f in methods if f.body or f.fid in kept or program.functions[f.fid].trace.name == "__init__"]
    body: list[ast.stmt] = [*constants(work, cls, owners), *[function_node(work, f) for f in emitted]]
    if cls == program.trace.root and program.trace.init not in work.done:  # else its own or an inherited one is there
        body.insert(0, root_init(cls))
    if cls == program.trace.root and program.runtime == "mlx-lm":
        body += root_methods(work)
    bases = [ast.parse(title, mode="eval").body for title in base_titles(work, cls, owners)]
    held = program.cls(cls)
    body = [*docstring(held.summary if held is not None else ""), *body]
    made = ast.ClassDef(work.class_title(cls), bases, [], body or [ast.Pass()], [], type_params=[])  # type: ignore[call-arg,unused-ignore]
    ast.fix_missing_locations(made)
    if cls == program.trace.root and program.runtime == "mlx-lm":
        made = with_one_config(made)
    if cls != program.trace.root and stands_alone(work, cls, owners):
        made = without_own_config(made, [s for f in work.done.values() for s in f.body])
    return switched(work, cls, made)


def constants(work: Work, cls: str, owners: Mapping[str, object]) -> list[ast.stmt]:
    """Plain values of the class that the port reads from its modules, as they differ from class to class."""
    program = work.program
    found = program.cls(cls)
    inherited: dict[str, Plain] = {}
    for base in reversed(program.lineage(cls)[1:]):
        if base in owners and (held := program.cls(base)) is not None:
            inherited.update(held.constants)
    made: list[ast.stmt] = []
    for name, value in (found.constants if found is not None else {}).items():
        known = name in inherited and inherited[name] == value
        if (cls, name) in work.facts.live and name not in program.stored_attributes and not known:
            made.append(ast.Assign([ast.Name(name, ast.Store())], literal(value)))
    return made


def base_titles(work: Work, cls: str, owners: Mapping[str, object]) -> list[str]:
    """The emitted bases of a class, those left out that another one brings; a module without such a base gets one."""
    program = work.program
    found: list[str] = []
    for base in program.lineage(cls)[1:]:
        if base in owners and not any(base in program.lineage(b) for b in found):
            found.append(base)
    titles = [work.class_title(b) for b in found]
    torch_base = program.torch_base(cls)
    if torch_base and not any(program.torch_base(b) for b in found):
        known = {**{k: c.layer for k, c in CONSTRUCTORS.items()}, "Sequential": "nn.Sequential"}
        titles.append(known.get(torch_base, "nn.Module"))
    return titles


def root_init(cls: str) -> ast.stmt:
    """A constructor for a root that has none."""
    text = "def __init__(self, config: ModelArgs):\n    super().__init__()"
    made = ast.parse(text).body[0]
    assert isinstance(made, ast.FunctionDef)
    made.body += quantize_call()
    return made


def all_statements(texts: Iterable[str]) -> str:
    return "\n\n\n".join(texts)


__all__ = ["all_statements", "definitions", "is_literal"]
