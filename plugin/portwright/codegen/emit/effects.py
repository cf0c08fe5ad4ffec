"""Statements that are expressions: effects are kept, library set-up is dropped by list, anything else is a hole."""

from __future__ import annotations

import ast

from portwright.codegen.emit.assign import assign_attribute, register
from portwright.codegen.emit.children import copied
from portwright.codegen.emit.computed import write_computed
from portwright.codegen.emit.construct import container, opened, torch_arguments
from portwright.codegen.emit.initial import only_draws
from portwright.codegen.emit.keywords import is_own, set_default
from portwright.codegen.emit.names import holder_classes, slot_roles
from portwright.codegen.emit.scope import Scope
from portwright.codegen.emit.sequences import SEQUENCES, elements
from portwright.codegen.emit.supers import is_super
from portwright.codegen.emit.units import unit_call
from portwright.codegen.facts.record import Demand, ask, demands_in
from portwright.codegen.holes import HoleError
from portwright.codegen.program import is_config_update
from portwright.codegen.quote import plain, quote
from portwright.codegen.translate.constructors import CONSTRUCTORS

# Calls that change no number of a port for inference: logging, checks, weight initialisation, hooks.
DROPPED = frozenset(
    [
        "post_init",
        "warn",
        "warning",
        "warning_once",
        "info",
        "debug",
        "error",
        "deprecate",
        "requires_grad_",
        "eval",
        "train",
        "apply",
        "init_weights",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_load_state_dict_post_hook",
        "manual_seed",
        "_register_load_state_dict_pre_hook",
        "set_attention_backend",
        "set_default_attn_processor",
        "register_to_config",
        "print",
        "_check",
        "_check_is_size",
        "mark_dynamic",
        "log_api_usage",
        "_log_api_usage_once",
        "_assert",
        "torch_compilable_check",
        "empty_cache",
        "register_state_dict_pre_hook",
        "_propagate_attributes",
        "gradient_checkpointing_enable",
        "warn_if_padding_and_no_attention_mask",
        "standardize_rope_params",
        "save_for_backward",
        "mark_non_differentiable",
        "verify_out_features_out_indices",
    ]
)
REGISTERS = frozenset({"register_buffer", "register_parameter", "register_module", "add_module"})
CONTAINER_CHANGES = frozenset({"append", "extend", "insert", "update", "pop", "setdefault", "add", "reverse"})
FILLS = frozenset({"uniform_", "normal_", "zero_", "fill_", "mul_", "div_", "copy_", "clamp_"})
INITIALISERS = ("torch.nn.init", "transformers.initialization")


def expression_statement(scope: Scope, value: ast.expr) -> list[ast.stmt]:
    """An expression statement: a docstring, a registration, an effect."""
    if isinstance(value, ast.Constant):
        return []
    if not isinstance(value, ast.Call):
        if scope.seen(value).n and not isinstance(value, (ast.Name, ast.Attribute)):
            raise HoleError("an expression statement")
        return []
    f = value.func
    if isinstance(f, ast.Attribute) and is_super(f.value):
        return super_statement(scope, value, f.attr)
    seen = scope.seen(value)
    if seen.n == 0:
        return []
    names = {c.name for c in seen.callees}
    modules = {c.module for c in seen.callees}
    if names & REGISTERS and len(names) == 1:
        return register(scope, value)
    if names <= DROPPED or all(m.startswith(INITIALISERS) for m in modules):
        return []
    if names == {"setattr"} and modules <= {"builtins", ""} and len(value.args) == 3 and named_outright(scope, value):
        holder, title, given = value.args
        return assign_attribute(scope, ast.Attribute(holder, plain(scope.known(title)), ast.Store()), given)
    if names == {"setattr"} and modules <= {"builtins", ""} and len(value.args) == 3:
        return write_computed(scope, value)
    if is_config_update(scope.function, value):
        return config_update(scope, value)
    if draws_parameters(scope, value) or only_draws(scope, value):
        return []
    if all(c.fid for c in seen.callees):
        return called_for_effect(scope, value)
    if is_base_init(scope, value):
        return super_statement(scope, ast.Call(value.func, value.args[1:], value.keywords), "__init__")
    if is_drawing(scope, value):
        return []
    name = next(iter(names))
    if isinstance(f, ast.Attribute):
        if scope.is_tensor(f.value) and name.endswith("_") and not name.endswith("__"):
            return in_place(scope, value, f, name)
        if name in CONTAINER_CHANGES:
            return container_change(scope, value, f)
    raise HoleError(f"a call of {name} for its effect")


def config_update(scope: Scope, value: ast.Call) -> list[ast.stmt]:
    """Each field of `config.update({...})`, as an assignment."""
    assert isinstance(value.func, ast.Attribute) and isinstance(value.args[0], ast.Dict)
    out: list[ast.stmt] = []
    for k, v in zip(value.args[0].keys, value.args[0].values, strict=True):
        assert isinstance(k, ast.Constant)
        out += assign_attribute(scope, ast.Attribute(value.func.value, str(k.value), ast.Store()), v)
    return out


def named_outright(scope: Scope, value: ast.Call) -> bool:
    """Whether a call of `setattr` names an attribute by a literal."""
    return isinstance(value.args[1], ast.Constant) and isinstance(value.args[1].value, str)


def super_statement(scope: Scope, value: ast.Call, attr: str) -> list[ast.stmt]:
    """`super().__init__(...)`: of a rewritten base, of a torch layer, or of a library base that only sets up."""
    callees = scope.seen(value).callees
    if callees and all(c.fid for c in callees):
        return [ast.Expr(unit_call(scope, value, callees, function=quote(f"super().{attr}")))]
    if attr != "__init__":
        raise HoleError(f"super().{attr} of a class that is not rewritten")
    out: list[ast.stmt] = [ast.Expr(quote("super().__init__()"))]
    base = scope.program.torch_base(scope.trace.owner)
    if base in SEQUENCES:
        out = sequence_init(scope, value, base)
    elif base in CONSTRUCTORS:
        arguments, keywords = torch_arguments(scope, value, base)
        out = [ast.Expr(ast.Call(quote("super().__init__"), arguments, keywords))]
        out += kept_settings(scope, value, base)
        out += weights_of_sizes(scope, value, base)
    elif scope.facts.reads((scope.trace.owner,), "config") and (config := first_config(scope, value)) is not None:
        made = ast.Assign([ast.Attribute(ast.Name(scope.self_name, ast.Load()), "config", ast.Store())], config)
        made.attribute = "config"  # type: ignore[attr-defined]
        out.append(made)
    return out


def first_config(scope: Scope, value: ast.Call) -> ast.expr | None:
    """The config object that a library base's constructor is given first, by itself or as the first of `*args`."""
    given = value.args[0] if value.args else None
    if isinstance(given, ast.Starred):
        seen = scope.seen(given.value)
        if seen.kinds == {"tuple"} and seen.configs and seen.lens == {1}:
            return ast.Subscript(scope.expr(given.value), ast.Constant(0), ast.Load())
    elif given is not None and scope.kinds(given) == {"config"}:
        return scope.expr(given)
    return None


def weights_of_sizes(scope: Scope, value: ast.Call, base: str) -> list[ast.stmt]:
    """The weights of a norm over several axes, which MLX's layer has not; a class that norms by itself reads them."""
    given = opened(scope, value)
    if not base.startswith(("LayerNorm", "RMSNorm")) or not given or scope.seen(given[0]).lens in (frozenset(), {1}):
        return []
    held = {t.name for m in scope.program.instances.get(scope.trace.owner, ()) for t in m.tensors}
    first = {"weight": "mx.ones(x)", "bias": "mx.zeros(x)"}
    names = [k for k in first if k in held]
    own = ast.Name(scope.self_name, ast.Load())
    sizes = scope.expr(given[0])
    return [ast.Assign([ast.Attribute(own, k, ast.Store())], quote(first[k], x=sizes)) for k in names]


def sequence_init(scope: Scope, value: ast.Call, base: str) -> list[ast.stmt]:
    """`super().__init__(*layers)` of a class derived from Sequential or ModuleList, which keeps them in `layers`."""
    made = container(scope, value, base)
    if isinstance(made, ast.Dict):
        made = ast.List(list(made.values), ast.Load())
    elif "dict" in {k for a in value.args for k in scope.kinds(a)}:
        made = quote("list(x.values())", x=made)
    given = made.elts if isinstance(made, ast.List) else [ast.Starred(made, ast.Load())]
    if base == "Sequential":
        return [ast.Expr(ast.Call(quote("super().__init__"), list(given), []))]
    kept = ast.Assign([ast.Attribute(ast.Name(scope.self_name, ast.Load()), "layers", ast.Store())], made)
    return [ast.Expr(quote("super().__init__()")), kept]


def is_base_init(scope: Scope, value: ast.Call) -> bool:
    """`Base.__init__(self, ...)` of a library's base class that only sets up."""
    f, first = value.func, value.args[0] if value.args else None
    own = isinstance(first, ast.Name) and first.id == scope.self_name
    return own and isinstance(f, ast.Attribute) and f.attr == "__init__" and scope.trace.name == "__init__"


def is_drawing(scope: Scope, value: ast.Call) -> bool:
    """`layer.weight.data.uniform_(...)` in a constructor: what a parameter starts from, and weights are loaded."""
    root = value
    while isinstance(root, ast.Call) and isinstance(root.func, ast.Attribute) and root.func.attr in FILLS:
        held = undetached(root.func.value)
        if isinstance(held, ast.Attribute) and held.attr in ("weight", "bias") and scope.trace.name == "__init__":
            return scope.kinds(held.value) == {"module"}
        if not isinstance(held, ast.Call):
            break
        root = held
    return False


def draws_parameters(scope: Scope, value: ast.Call) -> bool:
    """A function called in a constructor with a parameter and plain numbers: it can only fill the parameter."""
    given = [*value.args, *[k.value for k in value.keywords]]
    if scope.trace.name != "__init__" or not value.args or isinstance(value.func, ast.Attribute):
        return False
    own = [is_own_parameter(scope, g) for g in given]
    return own[0] and all(
        o or scope.kinds(g) <= {"int", "float", "bool", "none"} for o, g in zip(own, given, strict=True)
    )


def is_own_parameter(scope: Scope, node: ast.expr) -> bool:
    """`self.x` that is a parameter of every instance."""
    if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == scope.self_name):
        return False
    classes = (scope.trace.owner, *holder_classes(scope, node.value))
    return slot_roles(scope.program, classes, node.attr) == {"parameter"}


def kept_settings(scope: Scope, value: ast.Call, base: str) -> list[ast.stmt]:
    """Arguments that torch's layer keeps as attributes, that the class reads, and that MLX's layer does not take."""
    table = CONSTRUCTORS[base]
    names = table.parameters.split()
    given = {
        **dict(zip(names, opened(scope, value), strict=False)),
        **{k.arg: k.value for k in value.keywords if k.arg},
    }
    taken = {*table.positional.split(), *table.keywords, *table.refused}
    out: list[ast.stmt] = []
    for name in names:
        if name in given and name not in taken and scope.facts.reads((scope.trace.owner,), name):
            holder = ast.Attribute(ast.Name(scope.self_name, ast.Load()), name, ast.Store())
            out.append(ast.Assign([holder], scope.expr(given[name])))
    return out


def called_for_effect(scope: Scope, value: ast.Call) -> list[ast.stmt]:
    """A rewritten function called as a statement; one that does nothing in the port is dropped."""
    for c in scope.seen(value).callees:
        scope.work.translate(c.fid)
    called = ast.Expr(scope.work.call(scope, value))
    if all(scope.work.is_empty(c.fid) for c in scope.seen(value).callees):
        # It may only seem to do nothing: what this call gives counts, for the pass after this one to judge by.
        scope.relied += [d for d in demands_in([called]) if d.kind in ("arg", "origin", "behind")]
        return []
    return [called]


def in_place(scope: Scope, value: ast.Call, f: ast.Attribute, name: str) -> list[ast.stmt]:
    """`x.op_()`: a new value for the name x; on a view it would have to reach the base, which MLX cannot."""
    own = copied(scope, f.value, value.args[0]) if name == "copy_" and len(value.args) == 1 else None
    if own is not None:
        return assign_attribute(scope, own, value.args[0])
    if name == "copy_" and isinstance(f.value, ast.Name) and replaces(scope, f.value, value):
        return [ast.Assign([ast.Name(f.value.id, ast.Store())], scope.expr(value.args[0]))]
    root = chain_root(f.value)
    if isinstance(root, ast.Name):
        return [ast.Assign([ast.Name(root.id, ast.Store())], scope.expr(value))]
    if name == "copy_" and isinstance(f.value, ast.Subscript) and isinstance(undetached(f.value.value), ast.Name):
        from portwright.codegen.emit.assign import assign

        stored = ast.Subscript(undetached(f.value.value), f.value.slice, ast.Store())
        return assign(scope, [stored], value.args[0])
    if isinstance(root, ast.Subscript) and isinstance(root.value, ast.Name) and name != "copy_":
        from portwright.codegen.emit.assign import assign_item

        return assign_item(scope, ast.Subscript(root.value, root.slice, ast.Store()), value, scope.expr(value))
    if isinstance(root, ast.Attribute) and scope.trace.fid in scope.program.constructing:
        return filled(scope, value, root, name)
    raise HoleError(f"in-place {name} on a view")


def filled(scope: Scope, value: ast.Call, held: ast.Attribute, name: str) -> list[ast.stmt]:
    """`self.x.copy_(y)` in a constructor: x is y from then on."""
    from portwright.codegen.emit.assign import assign_attribute

    own = isinstance(held.value, ast.Name) and held.value.id == scope.self_name
    if not own or value.func.value is not held:  # type: ignore[attr-defined]
        raise HoleError(f"in-place {name} on a view")
    target = ast.Attribute(held.value, held.attr, ast.Store())
    if name != "copy_":
        return assign_attribute(scope, target, value)
    before, given = scope.seen(held), scope.seen(value.args[0])
    if set(before.shapes) != set(given.shapes) or before.dtypes != given.dtypes:
        raise HoleError("copy_ of another shape or dtype")
    return assign_attribute(scope, target, value.args[0])


def replaces(scope: Scope, held: ast.Name, copy: ast.Call) -> bool:
    """Whether a copy gives a local name just what it copies: the same shape, dtype and layout."""
    ours, given = scope.seen(held), scope.seen(copy.args[0]) if copy.args else scope.seen(None)
    alike = bool(ours.shapes) and ours.shapes == given.shapes and ours.dtypes == given.dtypes
    return alike and scope.is_last(held) == scope.is_last(copy.args[0])


def chain_root(node: ast.expr) -> ast.expr:
    """`x` of `x.add_(a).mul_(b)`."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.endswith("_"):
        node = node.func.value
    return node


def undetached(node: ast.expr) -> ast.expr:
    """`x.data` and `x.detach()` share their memory with x."""
    if isinstance(node, ast.Attribute) and node.attr == "data":
        return node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "detach":
        return node.func.value
    return node


def container_change(scope: Scope, value: ast.Call, f: ast.Attribute) -> list[ast.stmt]:
    """`xs.append(x)` and its kin on Python's containers."""
    if "tensor" in scope.kinds(f.value):
        raise HoleError(f"{f.attr} on a tensor")
    if is_own(scope, f.value) and f.attr == "setdefault":
        return set_default(scope, value)
    if is_own(scope, f.value):
        return []  # **kwargs carries nothing in the port: what arrives through it is named
    held = elements(scope, f.value)
    out = ast.Call(ast.Attribute(held, f.attr, ast.Load()), [scope.expr(a) for a in value.args], [])
    return [ask(ast.Expr(out), Demand("name", f.attr))]
