"""What observation hands to every later stage: frozen records, written as JSON, with no live objects in them."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

Plain = Any  # None, bool, int, float or str
PLAIN_KINDS = frozenset({"none", "bool", "int", "float", "str"})  # the kinds that `Seen` calls such values


@dataclass(frozen=True)
class Callee:
    """One function that a call was seen to reach."""

    sort: str  # "module" | "method" | "function" | "class" | "builtin" | "object" | "other"
    name: str  # its __name__, or the class's
    fid: str = ""  # the instrumented function behind it
    cls: str = ""  # class key, for modules, objects and classes
    module: str = ""  # the Python module that defines it
    torch: bool = False  # one of torch's own functions or Tensor methods
    bound: tuple[tuple[str, Plain], ...] = ()  # keywords that a `functools.partial` of a class adds
    bound_at: str = ""  # "fid#number" of the call that made the partial; "" for one made at import


@dataclass(frozen=True)
class Seen:
    """What one expression was, over every visit in every run."""

    n: int = 0
    kinds: frozenset[str] = frozenset()
    consts: tuple[Plain, ...] = ()  # the distinct plain values, while they are few
    mixed: bool = False  # it was also something that `consts` does not hold
    ranks: frozenset[int] = frozenset()
    shapes: tuple[tuple[int, ...], ...] = ()
    dtypes: frozenset[str] = frozenset()
    lens: frozenset[int] = frozenset()
    keys: frozenset[str] = frozenset()  # fields of a model output that held something
    fields: tuple[str, ...] = ()  # all fields of that output's class, in order
    types: frozenset[str] = frozenset()  # classes of modules
    configs: frozenset[str] = frozenset()  # classes of config objects
    paths: tuple[str, ...] = ()  # of modules: "<model>:<path>"
    callees: tuple[Callee, ...] = ()
    truth: frozenset[bool] = frozenset()  # as a test
    tensor_test: bool = False
    starred: frozenset[str] = frozenset()  # keywords that arrived by **
    fills: frozenset[str] = frozenset()  # of a leaf's call: "weight" or "value", whichever it changed in place
    tags: frozenset[str] = frozenset()  # layout: "" or "cl"
    element_tags: tuple[str, ...] = ()  # of a tuple's elements
    element_layouts: tuple[str, ...] = ()  # of a result's elements: "cl", "*cl" for tuples of such, "mixed", or ""
    items: tuple[Plain, ...] = ()  # plain elements of the first tuple seen

    @property
    def const(self) -> bool:
        """Whether it was always one and the same plain value."""
        return self.n > 0 and len(self.consts) == 1 and not self.mixed

    @property
    def always_none(self) -> bool:
        return self.n > 0 and self.kinds == {"none"}


@dataclass(frozen=True)
class GlobalRef:
    """What a global name of a function stands for."""

    # "module" | "const" | "function" | "class" | "dtype" | "table" (of functions) | "classes" | "activations" | "other"
    sort: str
    name: str = ""  # qualified: "math", "torch.nn.functional"
    value: Plain = None
    fid: str = ""
    cls: str = ""


@dataclass(frozen=True)
class FunctionTrace:
    """One reached function, or one variant of it: its source and everything seen in it."""

    fid: str  # "module:qualname", with "@n" for the nth variant of its class, "#n" for its own nth variant
    module: str
    name: str
    owner: str  # class key, "" for a plain function
    binding: str  # "function" | "method" | "static" | "class" | "property"
    file: str
    line: int
    source: str
    entered: int
    params: Mapping[str, Seen] = field(default_factory=dict)
    nodes: Mapping[str, Seen] = field(default_factory=dict)  # by node number
    globals: Mapping[str, GlobalRef] = field(default_factory=dict)
    defaults: Mapping[str, Plain] = field(default_factory=dict)  # plain defaults only
    default_refs: Mapping[str, GlobalRef] = field(default_factory=dict)  # of defaults that are classes or functions
    default_dtypes: Mapping[str, str] = field(default_factory=dict)  # of parameters whose default is a dtype
    starred: frozenset[str] = frozenset()  # names that arrived in **kwargs
    sometimes: frozenset[str] = frozenset()  # those that some calls left out
    aliased: frozenset[int] = frozenset()  # statements and calls whose changes in place are read under another name
    decorators: tuple[str, ...] = ()  # qualified names, the outermost first
    enclosed: Mapping[str, Plain] = field(default_factory=dict)  # values of its free variables, where it is a global
    added: str = ""  # a field of its result that the reference's own text never gives, only its hooks


@dataclass(frozen=True)
class ClassTrace:
    """One class that the reached code belongs to, or builds."""

    key: str  # "module:qualname"
    name: str
    module: str
    bases: tuple[str, ...]  # class keys after itself in the method resolution order
    torch_base: str  # nearest base in torch.nn, "Module" for a plain one, "" for no module
    variant_of: str = ""  # the class that this is another variant of
    constants: Mapping[str, Plain] = field(default_factory=dict)  # plain values that a module's class holds
    fields: tuple[str, ...] = ()  # of a dataclass or a named tuple that does nothing but hold values
    summary: str = ""  # the first paragraph of its docstring


@dataclass(frozen=True)
class TensorSlot:
    """A parameter, buffer or tensor attribute of one module."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    role: str  # "parameter" | "buffer" | "temporary" (non-persistent buffer) | "attribute"


@dataclass(frozen=True)
class ModuleTrace:
    """One module instance of an observed model."""

    path: str
    cls: str
    tensors: tuple[TensorSlot, ...] = ()
    numbers: Mapping[str, Plain] = field(default_factory=dict)  # plain attributes
    children: tuple[str, ...] = ()
    response: str = ""  # sample key of its answer to a ramp, for parameterless element-wise modules
    passed: tuple[Seen, ...] = ()  # what a layer in a Sequential was given, and what it gave


@dataclass(frozen=True)
class ConfigTrace:
    """One class of config objects that the reference keeps in its config, itself included."""

    key: str
    name: str
    defaults: Mapping[str, Any] = field(default_factory=dict)  # what a saved config may leave out
    attribute_map: Mapping[str, str] = field(default_factory=dict)  # other names of fields
    children: Mapping[str, str] = field(default_factory=dict)  # field -> key of the config that it holds
    paths: tuple[str, ...] = ()  # where it is found from the root, "" for the root
    saved: tuple[Mapping[str, Any], ...] = ()  # what the observed configs of this class hold
    properties: Mapping[str, str] = field(default_factory=dict)  # name -> source of what it computes from its fields
    setters: Mapping[str, str] = field(default_factory=dict)  # of those that can be assigned: what that does to fields


@dataclass(frozen=True)
class ModelTrace:
    """One observed model: its config and its modules."""

    config: Mapping[str, Any]
    modules: tuple[ModuleTrace, ...]
    state: Mapping[str, tuple[str, tuple[int, ...]]]  # state_dict: name -> dtype, shape
    tied: tuple[tuple[str, ...], ...] = ()  # groups of names that are one tensor


@dataclass(frozen=True)
class SampleCall:
    """One recorded call of a function: sample keys of tensors by parameter name, and its plain arguments."""

    fid: str
    path: str  # of the module, "" for a plain function
    tensors: Mapping[str, str]
    plain: Mapping[str, Plain]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Trace:
    """Everything that observation found out about one reference."""

    reference: str
    root: str  # class key
    entry: str  # fid of its forward
    init: str  # fid of its __init__
    config_style: str  # "object" | "explicit" | "kwargs"
    library: str  # "transformers 5.24.0", "" for a person's own module
    classes: Mapping[str, ClassTrace]
    functions: Mapping[str, FunctionTrace]
    models: tuple[ModelTrace, ...]
    samples: tuple[SampleCall, ...]
    root_config: str = ""  # key of the config's class, "" where the arguments are the config
    configs: Mapping[str, ConfigTrace] = field(default_factory=dict)
    config_defaults: Mapping[str, Any] = field(default_factory=dict)
    licences: tuple[str, ...] = ()  # leading comment blocks of the files reached
    probes: tuple[str, ...] = ()
    tied_keys: Mapping[str, str] = field(default_factory=dict)  # weights that the config may tie, and to which
    arguments: frozenset[str] = frozenset()  # names that some probe gave
    loose: tuple[ModuleTrace, ...] = ()  # modules without weights that no model holds
    supplied: Mapping[str, Plain] = field(default_factory=dict)  # keywords of the root that decorators always give
    outputs: frozenset[str] = frozenset()  # names of what the root gave whoever called it, caches left out


def to_plain(value: Any) -> Any:
    """Records to JSON values; fields that hold their default are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        out = {}
        for f in dataclasses.fields(value):
            v = getattr(value, f.name)
            default = f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
            if default is dataclasses.MISSING or v != default or type(v) is not type(default):
                out[f.name] = to_plain(v)
        return out
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((to_plain(v) for v in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    return value


@cache
def hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def from_plain(kind: Any, value: Any) -> Any:
    """The inverse of `to_plain` for an annotated type."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        types = hints(kind)
        return kind(**{k: from_plain(types[k], v) for k, v in value.items()})
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is frozenset:
        return frozenset(from_plain(args[0], v) for v in value)
    if origin is tuple:
        if len(args) == 2 and args[1] is ...:
            return tuple(from_plain(args[0], v) for v in value)
        return tuple(from_plain(a, v) for a, v in zip(args, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {k: from_plain(args[1], v) for k, v in value.items()}
    return value


def write_trace(path: Path, trace: Trace) -> None:
    path.write_text(json.dumps(to_plain(trace), separators=(",", ":")), encoding="utf-8")


def read_trace(path: Path) -> Trace:
    trace = from_plain(Trace, json.loads(path.read_text(encoding="utf-8")))
    assert isinstance(trace, Trace)
    return trace
