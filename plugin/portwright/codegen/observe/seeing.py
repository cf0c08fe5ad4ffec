"""Accumulate what one expression was over many visits."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

import torch

from portwright.codegen.observe.resolve import class_key
from portwright.codegen.trace import Callee, Seen

MANY_ELEMENTS = 64  # of a result whose layouts are kept
MANY = 8  # distinct plain values kept per expression
PLAIN = (bool, int, float, str)
CACHE_FIELDS = frozenset({"past_key_values", "cache", "cache_params"})


def is_output(value: Any) -> bool:
    """A library's model output: a mapping with named fields that turns into a tuple."""
    return isinstance(value, Mapping) and hasattr(value, "to_tuple")


def is_config(value: Any) -> bool:
    return type(value).__name__ == "FrozenDict" or (hasattr(type(value), "model_type") and hasattr(value, "to_dict"))


def layout_tag(value: torch.Tensor) -> str:
    return getattr(value, "_portwright_layout", "")


def element_layout(value: Any) -> str:
    """How a result's element is held: "cl", "*cl" for a tuple of such tensors, "" for anything else, "-" for None."""
    if isinstance(value, torch.Tensor):
        return layout_tag(value)
    if isinstance(value, (tuple, list)):
        inner = {element_layout(x) for x in value} - {"-"}
        return "" if inner <= {""} else f"*{inner.pop()}" if len(inner) == 1 else "mixed"
    if isinstance(value, Mapping) and not is_output(value):
        return "mixed" if "cl" in leaf_tags(value) else ""
    return "-" if value is None else ""


def leaf_tags(value: Any) -> set[str]:
    """How the tensors in a dict of tensors, or of such dicts, are held; those with too few axes have every layout."""
    if isinstance(value, torch.Tensor):
        return {layout_tag(value)} if value.ndim > 2 else set()
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (tuple, list)) else ()
    return set().union(*map(leaf_tags, inner)) if len(inner) <= MANY_ELEMENTS else {"mixed"}


def held_tag(value: Any) -> str:
    """How a dict's value is held, or all tensors in it; "-" where it holds none."""
    tags = leaf_tags(value)
    return tags.pop() if len(tags) == 1 else "mixed" if tags else "-"


class Seeing:
    """The mutable side of `Seen`, in the observing process only."""

    __slots__ = (
        "callees",
        "configs",
        "consts",
        "dtypes",
        "element_layouts",
        "element_tags",
        "fields",
        "fills",
        "involved",
        "items",
        "keys",
        "kinds",
        "lens",
        "mixed",
        "modules",
        "n",
        "ranks",
        "shapes",
        "starred",
        "tagged_ranks",
        "tags",
        "tensor_test",
        "truth",
        "types",
        "untagged",
    )

    def __init__(self) -> None:
        self.n = 0
        self.kinds: set[str] = set()
        self.consts: list[Any] = []
        self.mixed = False
        self.ranks: set[int] = set()
        self.shapes: list[tuple[int, ...]] = []
        self.dtypes: set[str] = set()
        self.lens: set[int] = set()
        self.keys: set[str] = set()
        self.fields: tuple[str, ...] = ()
        self.types: dict[str, type] = {}
        self.configs: set[str] = set()
        self.modules: dict[int, torch.nn.Module] = {}
        self.callees: dict[Callee, None] = {}
        self.involved: dict[int, torch.nn.Module] = {}  # modules that a call ran or made
        self.truth: set[bool] = set()
        self.tensor_test = False
        self.starred: set[str] = set()
        self.fills: set[str] = set()  # what a call changed in place: "weight", "value"
        self.tags: set[str] = set()
        self.element_tags: tuple[str, ...] | None = None
        self.element_layouts: tuple[str, ...] | None = None
        self.items: tuple[Any, ...] | None = None
        self.tagged_ranks: set[int] = set()
        self.untagged: set[tuple[int, tuple[str, int]]] = set()  # rank, and the expression that made it

    def see_layout(self, value: torch.Tensor) -> None:
        """Remember which ranks were held channels-last here, and where values came from that were not."""
        if value.ndim < 3:
            return
        if layout_tag(value):
            self.tagged_ranks.add(value.ndim)
        elif hasattr(value, "_portwright_made_by") and not hasattr(value, "_portwright_last"):
            self.untagged.add((value.ndim, value._portwright_made_by))

    def see(self, value: Any) -> None:
        """Merge one more value."""
        self.n += 1
        if isinstance(value, torch.Tensor):
            self.mixed = True
            self.kinds.add("tensor")
            self.ranks.add(value.ndim)
            self.dtypes.add(str(value.dtype).removeprefix("torch."))
            if value.ndim:  # a scalar has every layout
                self.tags.add(layout_tag(value))
            self.see_layout(value)
            if len(self.shapes) < 6 and tuple(value.shape) not in self.shapes:
                self.shapes.append(tuple(value.shape))
        elif value is None or isinstance(value, PLAIN):
            self.see_plain(value)
        else:
            self.mixed = True
            self.see_object(value)

    def see_plain(self, value: Any) -> None:
        self.kinds.add("none" if value is None else type(value).__name__)
        if any(type(c) is type(value) and c == value for c in self.consts):
            return
        if len(self.consts) < MANY and type(value) in (bool, int, float, str, types.NoneType):
            self.consts.append(value)
        else:
            self.mixed = True

    def see_object(self, value: Any) -> None:
        if isinstance(value, torch.nn.Module):
            self.kinds.add("module")
            self.types[class_key(type(value))] = type(value)
            self.modules[id(value)] = value
        elif is_output(value):
            self.kinds.add("output")
            self.fields = tuple(getattr(type(value), "__dataclass_fields__", {})) or tuple(value)
            held = {k: x for k, x in value.items() if x is not None and k not in CACHE_FIELDS}
            self.keys |= set(held)
            self.see_elements(tuple(held.values()))
        elif is_config(value):
            self.kinds.add("config")
            self.configs.add(class_key(type(value)))
        elif isinstance(value, torch.dtype):
            self.kinds.add("dtype")
            self.dtypes.add(str(value).removeprefix("torch."))
        elif isinstance(value, torch.device):
            self.kinds.add("device")
        elif isinstance(value, (tuple, list)):
            self.see_sequence(value)
        elif isinstance(value, Mapping):
            self.kinds.add("dict")
            tags = tuple(map(held_tag, value.values()))
            if len(tags) <= MANY_ELEMENTS and set(tags) - {"-"}:
                self.merge_element_tags(tags)
        elif isinstance(value, types.ModuleType):
            self.kinds.add("package")  # of Python, no layer
        elif callable(value):
            self.kinds.add("callable")
        else:
            self.kinds.add(type(value).__name__)
            self.types[class_key(type(value))] = type(value)

    def see_sequence(self, value: Any) -> None:
        self.kinds.add(
            "size"
            if isinstance(value, torch.Size)
            else type(value).__name__
            if type(value) in (tuple, list)
            else "tuple"
        )
        self.lens.add(len(value))
        self.see_elements(value)
        self.configs |= {class_key(type(x)) for x in value[:4] if is_config(x)}
        if self.items is None and len(value) <= 16:
            self.items = tuple(x if isinstance(x, PLAIN) else None for x in value)

    def see_elements(self, value: tuple[Any, ...] | list[Any]) -> None:
        """Remember the layout of each element."""
        if type(value) in (list, tuple):
            for x in value:
                if isinstance(x, torch.Tensor):
                    self.see_layout(x)
        tags = tuple(layout_tag(x) if isinstance(x, torch.Tensor) else "-" for x in value)
        self.merge_element_tags(tags)
        if len(value) <= MANY_ELEMENTS:
            self.merge_element_layouts(tuple(map(element_layout, value)))

    def merge_element_layouts(self, layouts: tuple[str, ...] | None) -> None:
        held = self.element_layouts
        if held is None or layouts is None or held == layouts:
            self.element_layouts = layouts if held is None else held
        elif len(held) == len(layouts):
            pairs = zip(held, layouts, strict=True)
            self.element_layouts = tuple(a if b in (a, "-") else b if a == "-" else "mixed" for a, b in pairs)
        else:
            self.element_layouts = ("mixed",) * max(len(held), len(layouts))

    def merge_element_tags(self, tags: tuple[str, ...] | None) -> None:
        if self.element_tags is None or tags is None:
            self.element_tags = tags if self.element_tags is None else self.element_tags
        elif self.element_tags != tags:
            pairs = zip(self.element_tags, tags, strict=False)
            self.element_tags = tuple(a if a == b or b == "-" else b if a == "-" else "mixed" for a, b in pairs)

    def absorb(self, other: Seeing) -> None:
        """Merge what another context saw of the same expression."""
        self.n += other.n
        self.kinds |= other.kinds
        self.mixed |= other.mixed
        self.tensor_test |= other.tensor_test
        for c in other.consts:
            if not any(type(k) is type(c) and k == c for k in self.consts):
                if len(self.consts) < MANY:
                    self.consts.append(c)
                else:
                    self.mixed = True
        self.shapes += [x for x in other.shapes if x not in self.shapes][: 6 - len(self.shapes)]
        for name in ("ranks", "dtypes", "lens", "keys", "truth", "starred", "fills", "tags"):
            getattr(self, name).update(getattr(other, name))
        for name in ("types", "modules", "callees", "involved", "configs"):
            getattr(self, name).update(getattr(other, name))
        self.fields = other.fields or self.fields
        self.merge_element_tags(other.element_tags)
        self.merge_element_layouts(other.element_layouts)
        if self.items is None:
            self.items = other.items

    def frozen(self, path_of: Callable[[torch.nn.Module], str]) -> Seen:
        """The record of it all; `path_of` names a module instance."""
        return Seen(
            n=self.n,
            kinds=frozenset(self.kinds),
            consts=tuple(self.consts),
            mixed=self.mixed,
            ranks=frozenset(self.ranks),
            shapes=tuple(self.shapes),
            dtypes=frozenset(self.dtypes),
            lens=frozenset(self.lens),
            keys=frozenset(self.keys),
            fields=self.fields,
            types=frozenset(self.types),
            configs=frozenset(self.configs),
            paths=tuple(sorted(path_of(m) for m in self.modules.values())),
            callees=tuple(self.callees),
            truth=frozenset(self.truth),
            tensor_test=self.tensor_test,
            starred=frozenset(self.starred),
            fills=frozenset(self.fills),
            tags=frozenset(self.tags),
            element_tags=self.element_tags or (),
            element_layouts=self.element_layouts or () if set(self.element_layouts or ()) - {"", "-"} else (),
            items=self.items or (),
        )
