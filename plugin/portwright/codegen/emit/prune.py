"""Decide a test: keep it, or take the one way it was seen to go and say what that takes for granted."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from portwright.codegen.emit.pins import pinned
from portwright.codegen.emit.provenance import over_alternatives, over_config, settled
from portwright.codegen.emit.scope import Scope
from portwright.codegen.facts.record import Demand, Node, ask, assumed_in
from portwright.codegen.holes import Assumption, HoleError
from portwright.codegen.quote import is_literal, plain, stores
from portwright.codegen.trace import Callee


@dataclass(frozen=True)
class Decision:
    """Either a translated test to keep, or the value that it always has."""

    test: ast.expr | None = None
    value: bool | None = None
    assumption: Assumption | None = None
    guard: ast.expr | None = None  # a run-time test that is true when the port must refuse
    demands: tuple[Demand, ...] = ()  # what the parts took for granted that decided it

    def attach(self, node: Node) -> Node:
        """Make the assumptions count as long as `node` is in the port."""
        own = [Demand("assume", self.assumption)] if self.assumption is not None else []
        return ask(node, *own, *self.demands)


# What a test may read without depending on inputs or config: how the library or Python is set up.
SETTINGS = frozenset(
    {"training", "gradient_checkpointing", "is_tracing", "is_scripting", "is_compiling", "is_exporting"}
    | {"is_flash_attention_requested", "is_deepspeed_zero3_enabled", "is_fsdp_managed_module"}
)
# Kinds of values that say how and where a library computes, not what: types, devices, diffusers' name of a backend.
SURROUNDINGS = frozenset({"dtype", "device", "AttentionBackendName"})


def decide(scope: Scope, test: ast.expr, keep: bool = False) -> Decision:
    """Judge one test. `keep`: both ways can be emitted, so a one-sided test need not be pruned."""
    truth = scope.truth(test)
    if len(truth) == 2:
        return kept(scope, test)
    if not truth:
        return Decision(value=False)
    value = next(iter(truth))
    reason = why(scope, test, value)
    if reason == "static" or settled(scope, test):
        return Decision(value=value, demands=taken_for_granted(scope, test))
    if keep:
        try:
            whole = kept(scope, test)
            if whole.test is None or not reaches_hole(scope, whole.test):
                return whole
        except HoleError:
            pass
    where = scope.where(test)
    text = ast.unparse(test)
    config = over_config(scope, test)
    if config is None:
        config = over_alternatives(scope, test, value)
    if config is not None:
        return Decision(value=value, assumption=Assumption(where, text, value, "construction", ast.unparse(config)))
    guard = None if reason == "given" else guard_for(scope, test, value)
    pins = pinned(scope, test) if guard is None and reason != "given" else None
    if pins is not None:
        return Decision(value=value, assumption=Assumption(where, text, True, "construction", ast.unparse(pins)))
    checked = "call" if guard is not None else "no"
    return Decision(value=value, assumption=Assumption(where, text, value, checked), guard=guard)


def kept(scope: Scope, test: ast.expr) -> Decision:
    """The translated test; one that became a literal is decided."""
    translated = condition(scope, test)
    if isinstance(translated, ast.Constant):
        return Decision(value=bool(translated.value), demands=assumed_in(translated))
    return Decision(test=translated)


def taken_for_granted(scope: Scope, test: ast.expr) -> tuple[Demand, ...]:
    """What makes a test literal: an attribute that was always None, an attribute that a module does not have."""
    asked = [n for n in ast.walk(test) if isinstance(n, ast.Call) and asks_attribute(scope, n)]
    lives = [Demand("live", cls, n.args[1].value) for n in asked for cls in holder_types(scope, n.args[0])]  # type: ignore[attr-defined]
    try:
        return (*assumed_in(scope.expr(test)), *lives)
    except HoleError:
        return tuple(lives)


def asks_attribute(scope: Scope, n: ast.Call) -> bool:
    """`hasattr(module, "name")`."""
    named = isinstance(n.func, ast.Name) and n.func.id == "hasattr" and len(n.args) == 2
    return named and isinstance(n.args[1], ast.Constant) and scope.kinds(n.args[0]) == {"module"}


def holder_types(scope: Scope, node: ast.expr) -> frozenset[str]:
    from portwright.codegen.emit.names import holder_classes

    return frozenset(holder_classes(scope, node))


def condition(scope: Scope, test: ast.expr) -> ast.expr:
    """Translate an expression that is used as a test; operands of and/or that never decide are left out."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = condition(scope, test.operand)
        if isinstance(inner, ast.Constant):
            return ast.Constant(not inner.value)
        return ast.UnaryOp(ast.Not(), inner)
    if isinstance(test, ast.BoolOp):
        return connective(scope, test)
    return scope.expr(test)


def connective(scope: Scope, test: ast.BoolOp) -> ast.expr:
    passing = isinstance(test.op, ast.And)
    parts: list[ast.expr] = []
    pending: list[Decision] = []
    skipped: list[Demand] = []
    for operand in test.values:
        truth = scope.truth(operand)
        if not truth:
            break
        if len(truth) == 1:
            value = next(iter(truth))
            if why(scope, operand, value) == "static":
                skipped += taken_for_granted(scope, operand)
                if value == passing:
                    continue
                parts.append(ast.Constant(value))
                break
            try:
                part = condition(scope, operand)
            except HoleError:
                pending.append(decide(scope, operand))
                if value == passing:
                    continue
                parts.append(ast.Constant(value))
                break
        else:
            part = condition(scope, operand)
        if isinstance(part, ast.Constant) and bool(part.value) == passing:
            skipped += assumed_in(part)
            continue
        parts.append(part)
        if isinstance(part, ast.Constant):
            break
    if not parts:
        out: ast.expr = ast.Constant(passing)
    elif isinstance(parts[-1], ast.Constant):
        out = parts[-1]
    else:
        out = parts[0] if len(parts) == 1 else ast.BoolOp(test.op, parts)
    for decision in pending:
        decision.attach(out)
    return ask(out, *skipped)


def why(scope: Scope, test: ast.expr, value: bool) -> str:
    """Why a one-sided test goes its way: "static" (it cannot go another), "given", or "" (it may)."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return why(scope, test.operand, not value)
    if isinstance(test, ast.BoolOp):
        return why_connective(scope, test, value)
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], (ast.Is, ast.IsNot)):
        return why_identity(scope, test)
    if is_setting(scope, test):
        return "static"
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id in ("hasattr", "callable"):
        return "static"
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id == "isinstance":
        return "static" if scope.kinds(test.args[0]) & {"tensor", "module", "callable", "config", "output"} else ""
    if isinstance(test, ast.Compare) and any(is_signature(scope, x) for x in (test.left, *test.comparators)):
        return "static"
    if scope.kinds(test) <= {"module", "callable", "device"} and scope.kinds(test):
        return "static"
    if compares_surroundings(scope, test):
        return "static"
    try:
        translated = scope.expr(test)
    except HoleError:
        return ""
    if is_literal(translated):
        return "static"
    if isinstance(translated, ast.Compare) and all(is_literal(x) for x in (translated.left, *translated.comparators)):
        return "static"
    return ""


def compares_surroundings(scope: Scope, test: ast.expr) -> bool:
    """A comparison of types, devices or the like, or a call of a function that is nothing but one.

    Whether a value holds truth values or whole numbers is no matter of precision: masks of each kind mean other things.
    """
    if isinstance(test, ast.Compare):
        sides = (test.left, *test.comparators)
        if any(names_exact_type(scope, x) for x in sides) and any(is_tensor_type(scope, x) for x in sides):
            return False
        return any(scope.kinds(x) & SURROUNDINGS for x in sides)
    callees = scope.seen(test).callees if isinstance(test, ast.Call) else ()
    if len(callees) != 1 or not callees[0].fid or callees[0].sort not in ("function", "method"):
        return False
    inner = scope.work.scope(callees[0].fid)
    body = [s for s in inner.tree.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    only = body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None
    return isinstance(only, ast.Compare) and compares_surroundings(inner, only)


def names_exact_type(scope: Scope, node: ast.expr) -> bool:
    """`torch.bool`, `torch.long`, or several types with one of these."""
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return any(names_exact_type(scope, e) for e in node.elts)
    named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and scope.kinds(node) == {"dtype"}
    return named and not any("float" in d or "complex" in d for d in scope.seen(node).dtypes)


def is_tensor_type(scope: Scope, node: ast.expr) -> bool:
    """`x.dtype` of a tensor."""
    return isinstance(node, ast.Attribute) and node.attr == "dtype" and scope.kinds(node.value) == {"tensor"}


def is_signature(scope: Scope, node: ast.expr) -> bool:
    """Whether a value is made of a function's signature alone, which is code and no input."""
    if isinstance(node, ast.Name) and scope.reached_stores.get(node.id) == 1:
        made = [s.value for s in ast.walk(scope.tree) if isinstance(s, ast.Assign) and node.id in stores(s.targets[0])]
        node = made[0] if len(made) == 1 else node
    return any(
        isinstance(n, ast.Call) and {(c.module, c.name) for c in scope.seen(n).callees} == {("inspect", "signature")}
        for n in ast.walk(node)
    )


def why_connective(scope: Scope, test: ast.BoolOp, value: bool) -> str:
    decided_by_one = value != isinstance(test.op, ast.And)
    reasons = []
    for operand in test.values:
        truth = scope.truth(operand)
        if not truth:
            break
        reasons.append(why(scope, operand, value) if truth == {value} else "")
    if decided_by_one:
        return "static" if "static" in reasons else ""
    return "static" if reasons and all(r == "static" for r in reasons) else ""


def why_identity(scope: Scope, test: ast.Compare) -> str:
    """`x is None`: static when x is a literal in the port, or is made inside it and never None."""
    subject = test.left
    if not (isinstance(test.comparators[0], ast.Constant) and test.comparators[0].value is None):
        return ""
    try:
        if isinstance(scope.expr(subject), ast.Constant):
            return "static"
    except HoleError:
        return "given"
    kinds = scope.kinds(subject)
    if "none" in kinds:
        return ""
    if kinds & {"tensor", "module", "callable", "output", "config"}:
        return "static"
    return "static" if over_config(scope, subject) is None else ""


def is_setting(scope: Scope, test: ast.expr) -> bool:
    """Whether a test asks about training, tracing or the like, which a port for inference has no use for."""
    if isinstance(test, ast.Attribute):
        return test.attr in SETTINGS
    if isinstance(test, ast.Call):
        callees = scope.seen(test).callees
        names = {c.name for c in callees}
        return (
            bool(callees)
            and (names <= SETTINGS or all(asks_surroundings(c) for c in callees))
            and not (any(scope.kinds(a) & {"tensor"} for a in test.args))
        )
    return False


def asks_surroundings(c: Callee) -> bool:
    """Whether a function says what is installed, or how torch runs: the same wherever the port's numbers come from."""
    if c.torch:
        return c.name.startswith("is_")
    return c.module.rpartition(".")[2] == "import_utils" and c.name.startswith("is_")


def guard_for(scope: Scope, test: ast.expr, value: bool) -> ast.expr | None:
    """The test, true when the port was not generated for what happens; None where it cannot be asked."""
    try:
        translated = condition(scope, test)
    except HoleError:
        return None
    if isinstance(translated, ast.Constant) or plain(translated) is not None or reaches_hole(scope, translated):
        return None
    return negated(translated) if value else translated


def reaches_hole(scope: Scope, node: ast.expr) -> bool:
    """Whether a translated expression calls a function with a hole: it would raise there and cannot be asked."""
    calls = [d.a for n in ast.walk(node) for d in getattr(n, "demands", ()) if d.kind == "call"]
    asked: set[str] = set()
    while calls:
        done = scope.work.finished(fid) if (fid := calls.pop()) not in asked else None
        asked.add(fid)
        if done is not None:
            if done.holes:
                return True
            calls += [d.a for d in done.demands if d.kind == "call"]
    return False


def unseen_side(scope: Scope, test: ast.expr) -> ast.expr:
    """What holds where a test goes the way that no run went."""
    return negated(test) if True in scope.truth(test) else test


OPPOSITE = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def negated(node: ast.expr) -> ast.expr:
    """The opposite test, without a `not` where an operator says it."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return node.operand
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return ast.Compare(node.left, [OPPOSITE[type(node.ops[0])]()], node.comparators)
    return ast.UnaryOp(ast.Not(), node)
