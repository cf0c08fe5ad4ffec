"""The portmap: each parameter and module of the port, its reference name, layout and arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from portwright.codegen.emit.chains import chain_layouts
from portwright.codegen.emit.names import attribute_name
from portwright.codegen.emit.sequences import is_own, place
from portwright.codegen.emit.work import Work
from portwright.codegen.facts.returns import returned_elements, returns_of
from portwright.codegen.holes import HoleError
from portwright.codegen.layout import to_last_perm
from portwright.codegen.program import Function, Program
from portwright.codegen.runtime.caches import is_cache, is_cached
from portwright.codegen.runtime.experts import stack_of
from portwright.codegen.runtime.rope import given_tables
from portwright.codegen.runtime.tied import shared_keys
from portwright.codegen.trace import ModuleTrace
from portwright.codegen.translate.constructors import CONVOLUTIONS, TRANSPOSED_CONVOLUTIONS

Entry = dict[str, Any]

PARAMETRIZED = "parametrizations"  # where torch keeps what a computed weight is computed from
# Norms over channels: axis 1 in torch, the last axis in MLX. The rank of their input, 0 where the class takes several.
CHANNEL_NORMS = {"BatchNorm1d": 3, "BatchNorm2d": 4, "BatchNorm3d": 5, "GroupNorm": 0, "PReLU": 0}
CHANNEL_NORMS |= {"InstanceNorm1d": 3, "InstanceNorm2d": 4, "InstanceNorm3d": 5}
# What torch's layers of several arguments call them, in the order of the layer that a port carries.
STATE = ("input", "hx")
ENCODER = ("src", "src_mask", "src_key_padding_mask")
DECODER = ("tgt", "memory", "tgt_mask", "memory_mask", "tgt_key_padding_mask", "memory_key_padding_mask")
ARGUMENTS = {
    "MultiheadAttention": ("query", "key", "value", "key_padding_mask", "attn_mask"),
    **dict.fromkeys(("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"), STATE),
    "TransformerEncoderLayer": ENCODER,
    "TransformerEncoder": ("src", "mask", "src_key_padding_mask"),
    **dict.fromkeys(("TransformerDecoderLayer", "TransformerDecoder"), DECODER),
}


def port_path(program: Program, model: int, path: str) -> str:
    """A module's path in the port: each attribute under the name that MLX allows."""
    out, at = [], ""
    for part in path.split(".") if path else []:
        parent = program.modules.get(f"{model}:{at}")  # none where it is a module that stands in another place too
        own = parent is not None and is_own(program, parent.cls) and part in parent.children
        classes = [parent.cls] if parent is not None else []
        out.append(place(program, parent, part) if own and parent else attribute_name(program, classes, part))
        at = f"{at}.{part}" if at else part
    return ".".join(out)


def portmap(work: Work, text: str, holes: list[Entry], assumptions: list[Entry]) -> Entry:
    """The file's content, for the first observed config."""
    program = work.program
    params: Entry = {}
    modules: Entry = {}
    unused: dict[str, str] = {}
    state = program.trace.models[0].state
    shared = shared_keys(program)
    for module in program.trace.models[0].modules:
        path = port_path(program, 0, module.path)
        for slot in module.tensors:
            key = f"{module.path}.{slot.name}" if module.path else slot.name
            if slot.role not in ("parameter", "buffer") or key not in state:
                continue
            if key in shared:
                unused[key] = f"tied to {shared[key]}"
                continue
            if not is_ported(work, module, slot.name):
                unused[key] = "nothing that the port computes reads it"
                continue
            title = attribute_name(program, [module.cls], slot.name)
            target = f"{path}.{title}" if path else title
            ops = layout_ops(program, module, slot.name, len(slot.shape))
            stack = stack_of(work, module.cls, title)
            if stack is not None:
                target, ops = f"{target}.weight", [{"transpose": [0, 2, 1]}] if stack.transposed else []
            shape = [slot.shape[i] for i in ops[0]["transpose"]] if ops else list(slot.shape)
            params[target] = {"from": [key], "ops": ops, "shape": shape, "dtype": slot.dtype}
        if module.path and holds_parameters(program, module) and reached(work, module):
            modules[path] = module_entry(work, module)
    return {
        "schema": 1,
        "reference": program.trace.reference,
        "params": params,
        "modules": modules,
        "holes": holes,
        "assumptions": assumptions,
        "unused": unused,
    }


def holds_parameters(program: Program, module: ModuleTrace) -> bool:
    """Whether a module or one inside it has parameters."""
    prefix = f"{module.path}."
    return any(
        t.role == "parameter"
        for m in program.trace.models[0].modules
        if m.path == module.path or m.path.startswith(prefix)
        for t in m.tensors
    )


def chain(module: ModuleTrace) -> list[str]:
    """Paths from the root's child down to the module."""
    parts = module.path.split(".") if module.path else []
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def reached(work: Work, module: ModuleTrace) -> bool:
    """Whether every attribute on the way to a module is read by the port."""
    program, at = work.program, ""
    for path in chain(module):
        parent = program.modules[f"0:{at}"]
        name = path.rpartition(".")[2]
        container = program.torch_base(parent.cls) in ("ModuleList", "Sequential", "ModuleDict")
        if program.is_torch(parent.cls) and not container:
            return True  # a layer's own parts are the layer's to read
        if not container and not work.facts.reads((parent.cls,), name):
            return False
        at = path
    return True


def is_ported(work: Work, module: ModuleTrace, slot: str) -> bool:
    """Whether a tensor of the reference is a parameter of the port."""
    if not reached(work, module):
        return False
    program = work.program
    if program.is_torch(module.cls) or work.is_replaced(module.cls):
        return slot != "num_batches_tracked"
    if slot == "num_batches_tracked" and program.torch_base(module.cls).startswith("BatchNorm"):
        return False
    layer = program.torch_base(module.cls)
    return layer != "Module" or work.facts.reads((module.cls,), slot)


def layout_ops(program: Program, module: ModuleTrace, slot: str, rank: int) -> list[Entry]:
    """How a weight is laid out in MLX: convolutions want their input channels last."""
    holder, parametrized, name = module.path.partition(f".{PARAMETRIZED}.")
    if parametrized:  # the parts of a weight are laid out as the weight
        module, slot = program.modules[f"0:{holder}"], name
    base = program.torch_base(module.cls)
    if slot not in ("weight", "weight_g", "weight_v") or base not in CONVOLUTIONS or rank < 3:
        return []
    if base in TRANSPOSED_CONVOLUTIONS:
        return [{"transpose": [1, *range(2, rank), 0]}]
    return [{"transpose": list(to_last_perm(rank))}]


def module_entry(work: Work, module: ModuleTrace) -> Entry:
    """Reference path, arguments and layouts of one module, so that it can be fed on its own."""
    program = work.program
    entry: Entry = {"ref": module.path}
    forward = program.method(module.cls, "forward")
    if is_own(program, module.cls) and program.torch_base(module.cls) == "Sequential" and not forward:
        return sequence_entry(work, module)
    if program.torch_base(module.cls) in ("ModuleList", "Sequential", "ModuleDict") and not forward:
        return {**entry, "isolate": False, "why": "a list of layers in MLX, not a module"}
    if any(f"{module.path}.{slot.name}" in shared_keys(program) for slot in module.tensors):
        return {**entry, "isolate": False, "why": "the embedding computes it, with the weight that they share"}
    if PARAMETRIZED in module.path.split("."):
        return {**entry, "isolate": False, "why": "what a weight is computed from"}
    plain = program.is_torch(module.cls) or not (forward or work.is_replaced(module.cls))  # torch's own forward
    if program.torch_base(module.cls) in CONVOLUTIONS and plain:
        return {
            **entry,
            "args": [{"name": "input", "perm": perm(program, module)}],
            "out": [{"perm": perm(program, module)}],
        }
    if program.torch_base(module.cls) in CHANNEL_NORMS and plain:
        last = orders(norm_ranks(program.torch_base(module.cls)))
        return {**entry, "args": [{"name": "input", **last}], "out": [last]}
    if program.torch_base(module.cls) in ARGUMENTS and program.is_torch(module.cls):
        names = ARGUMENTS[program.torch_base(module.cls)]
        weights = [{"optional": True}] if program.torch_base(module.cls) == "MultiheadAttention" else []
        return {**entry, "args": [{"name": name} for name in names], "out": [{}, *weights]}
    if not forward or work.is_replaced(module.cls):
        return {**entry, "args": [{"name": first_argument(program, module, forward)}], "out": [{}]}
    done = work.finished(forward)
    if remembers(work, module):
        return {
            **entry,
            "isolate": False,
            "why": "it remembers what it was given before",
            "out": outputs(work, forward),
        }
    if done is None or forward not in work.facts.called:
        return {**entry, "isolate": False, "why": "the port does not call it as a module"}
    trace = program.functions[forward].trace
    loose = picked_freely(program.functions[forward]) or mixes_layouts(work, forward)
    if loose:
        return {**entry, "isolate": False, "flow": False, "why": loose, "out": outputs(work, forward)}
    args = []
    tables = given_tables(work)
    for name in done.kept:
        seen = trace.params.get(name)
        item: Entry = {"name": name}
        if seen is not None and is_cached(program) and is_cache(program, seen):
            item["none"] = True
        if name in tables:
            if not tables[name]:
                why = "it takes frequencies where the reference takes cos and sin"
                return {**entry, "isolate": False, "why": why, "out": outputs(work, forward)}
            item["made_by"] = tables[name]
        if seen is not None and seen.tags == {"cl"}:
            item |= orders(seen.ranks)
        elif seen is not None and "cl" in seen.element_tags:
            item |= orders((3, 4, 5))  # of the tensors in a list
        elif seen is not None and "mixed" in seen.element_tags:
            why = f"the values in {name} are held in several layouts"
            return {**entry, "isolate": False, "why": why, "out": outputs(work, forward)}
        args.append(item)
    return {**entry, "args": args, "out": outputs(work, forward)}


def sequence_entry(work: Work, module: ModuleTrace) -> Entry:
    """A module of a class derived from Sequential: it takes and gives what its first and last layers do."""
    layouts: tuple[bool | None, bool | None]
    try:
        layouts = chain_layouts(work.scope(work.program.trace.entry), f"0:{module.path}", [])
    except HoleError:
        layouts = (None, None)
    if None in layouts:
        why = "its layers take every layout"
        return {"ref": module.path, "isolate": False, "flow": False, "why": why, "out": [{}]}
    given, gave = [orders((3, 4, 5)) if last else {} for last in layouts]
    return {"ref": module.path, "args": [{"name": "input", **given}], "out": [gave]}


def remembers(work: Work, module: ModuleTrace) -> bool:
    """Whether a module, or one inside it, sets attributes of its own as it runs, and reads them: a call is not all."""
    inside = [m for m in work.program.modules.values() if m.path == module.path or m.path.startswith(f"{module.path}.")]
    return bool(module.path) and any(work.program.sets_itself(cls) for cls in {m.cls for m in inside})


def picked_freely(function: Function) -> str:
    """Why a module's result may differ from torch's and be as right: `topk` promises no order of equal elements.

    What is computed from the picked elements is compared all the same.
    """
    picks = [n for n in function.nodes if isinstance(n, ast.Call) and is_topk(function, n)]
    order = [k.value for n in picks for k in n.keywords if k.arg == "sorted"]
    if any(isinstance(v, ast.Constant) and not v.value for v in order):
        return "it gives the greatest elements in no particular order"
    values = [function.seen(v) for v in returns_of(function)]
    if picks and values and all(s.dtypes and s.dtypes <= {"int64", "int32"} for s in values):
        return "it gives the places of the greatest elements, of which some may be equal"
    return ""


def mixes_layouts(work: Work, forward: str) -> str:
    """Why a module's result has no one layout to compare in: it holds tuples with some values channels-last."""
    function = work.program.functions[forward]
    values = returns_of(function)
    parts = [p for v in values for p in returned_elements(function, v, work.results) or [v]]
    mixed = any("mixed" in function.seen(v).element_layouts for v in parts)
    return "it gives tuples of values that are held in several layouts" if mixed else ""


def is_topk(function: Function, node: ast.Call) -> bool:
    return any(c.torch and c.name == "topk" for c in function.seen(node).callees)


def first_argument(program: Program, module: ModuleTrace, forward: str) -> str:
    """What the reference's forward calls its one argument; torch's layers say `input`, but for RMSNorm."""
    if forward and forward in program.functions:
        names = [name for name in program.functions[forward].trace.params if name != "self"]
        if names:
            return names[0]
    return "x" if program.torch_base(module.cls) == "RMSNorm" else "input"


def norm_ranks(base: str) -> tuple[int, ...]:
    """The ranks that a channel norm is given: its name says it, or it takes any."""
    return (CHANNEL_NORMS[base],) if CHANNEL_NORMS.get(base) else (3, 4, 5)


def perm(program: Program, module: ModuleTrace) -> list[int]:
    """The layout of a convolution's values: its name says over how many axes it runs."""
    return list(to_last_perm(int(program.torch_base(module.cls)[-2]) + 2))


def outputs(work: Work, forward: str) -> list[Entry]:
    """Which elements of the reference's result the port's module gives, and their layouts."""
    result = work.results.get(forward)
    function = work.program.functions[forward]
    returned = returns_of(function)
    if result is None:
        return [perm_of(function, returned)]
    used = sorted(work.used(forward))
    parts = [returned_elements(function, v, work.results) for v in returned]
    if any(p is None for p in parts):  # what another function returns is handed on
        inner = {c.fid for v, p in zip(returned, parts, strict=True) if p is None for c in function.seen(v).callees}
        return outputs(work, inner.pop()) if len(inner) == 1 and len(returned) == 1 else [{} for _ in used]
    perms = [perm_of(function, [p[i] for p in parts if p is not None]) for i in used]
    if function.trace.added:
        added = result.index(function.trace.added)
        return [{**p, "optional": True} if i == added else p for i, p in zip(used, perms, strict=True)]
    if used == list(range(result.size)):
        return perms
    return [{"element": i, **p} for i, p in zip(used, perms, strict=True)]


def perm_of(function: Function, values: list[ast.expr]) -> Entry:
    """The layout of a returned value, or of all in a returned list: channels-last where every return gave it so."""
    seen = [function.seen(v) for v in values]
    ranks = {r for s in seen for r in s.ranks}
    if seen and all(set(s.element_tags) - {"-"} == {"cl"} for s in seen):
        return orders((3, 4, 5))
    return orders(ranks) if seen and all(s.tags == {"cl"} for s in seen) else {}


def orders(ranks: Iterable[int]) -> Entry:
    """The order of the axes of a channels-last value; one for each rank where it has several."""
    found = [list(to_last_perm(rank)) for rank in sorted(ranks) if rank > 2]
    if len(found) > 1:
        return {"perms": found}
    return {"perm": found[0]} if found else {}
