"""Turn a rule's ops, bound to one group of source keys, into a circuit with shapes.

Several tensors under way form a grid: its axes are the captures that a stack or concat will fold, those that an unstack
opens, and the list in `match`, `to` or after a split. An op that joins takes away one axis, an op that cuts adds one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from .ops import Op, OpError, Restore, Shape, infer
from .pattern import parse_template
from .ruleset import OpSpec, RestoreSpec
from .sizes import SizeError, Sizes

LIST = ""  # the grid axis of lists
Cell = tuple[tuple[str, int], ...]  # sorted (axis, index) pairs


def cell(indices: Mapping[str, int]) -> Cell:
    return tuple(sorted(indices.items()))


@dataclass
class Circuit:
    """A circuit being built: each register's shape, and which registers hold the tensors now under way."""

    shapes: list[Shape]
    grid: dict[Cell, int]
    sizes: Sizes
    ops: list[Op] = field(default_factory=list)

    def apply(self, spec: OpSpec) -> None:
        """Append the ops that `spec` means for every tensor under way; raises OpError or SizeError."""
        over = spec.arguments.get("over", LIST)
        if spec.name in ("concat", "stack"):
            self._join(spec, over)
        elif spec.name in ("split", "unstack"):
            self._cut(spec, over)
        else:
            for place, register in list(self.grid.items()):
                self.grid[place] = self._emit(self._single(spec, register), 1)[0]

    def _join(self, spec: OpSpec, over: str) -> None:
        axis = spec.arguments.get("axis", 0)
        groups: dict[Cell, list[tuple[int, int]]] = {}
        for place, register in self.grid.items():
            rest = {name: index for name, index in place if name != over}
            groups.setdefault(cell(rest), []).append((dict(place)[over], register))
        self.grid = {}
        for place, members in groups.items():
            registers = tuple(register for _, register in sorted(members))
            sizes = tuple(_size_along(self.shapes[r], axis) for r in registers) if spec.name == "concat" else ()
            self.grid[place] = self._emit(Op(spec.name, registers, (), axis=axis, sizes=sizes), 1)[0]

    def _cut(self, spec: OpSpec, over: str) -> None:
        axis = spec.arguments.get("axis", 0)
        grid: dict[Cell, int] = {}
        for place, register in self.grid.items():
            whole = _size_along(self.shapes[register], axis)
            sizes = self._split_sizes(spec, whole) if spec.name == "split" else ()
            count = len(sizes) if spec.name == "split" else whole
            made = self._emit(Op(spec.name, (register,), (), axis=axis, sizes=sizes), count)
            for index, new in enumerate(made):
                grid[cell({**dict(place), over: index})] = new
        self.grid = grid

    def _split_sizes(self, spec: OpSpec, whole: int) -> tuple[int, ...]:
        if "parts" in spec.arguments:
            parts = self.sizes.value(spec.arguments["parts"])
            if parts <= 0 or whole % parts:
                raise OpError(f"split: {whole} cannot be cut into {parts} equal parts")
            return (whole // parts,) * parts
        return self._with_rest(spec.arguments["sizes"], lambda known: whole - sum(known), "split")

    def _with_rest(self, sizes: Sequence[str | int], rest: Callable[[list[int]], int], name: str) -> tuple[int, ...]:
        known = [None if size == "rest" else self.sizes.value(size) for size in sizes]
        if known.count(None) > 1:
            raise OpError(f"{name}: only one size can be the rest")
        remaining = rest([size for size in known if size is not None]) if None in known else 0
        if remaining < 0 or any(size is not None and size < 0 for size in known):
            raise OpError(f"{name}: the sizes {[s for s in known if s is not None]} are too large")
        return tuple(remaining if size is None else size for size in known)

    def _single(self, spec: OpSpec, register: int) -> Op:
        shape = self.shapes[register]
        if spec.name == "transpose":
            return Op("transpose", (register,), (), perm=tuple(spec.arguments["perm"]))
        if spec.name == "reshape":
            count = prod(shape)

            def rest(known: list[int]) -> int:
                part = prod(known)
                if part == 0 or count % part:
                    raise OpError(f"reshape: {count} elements cannot be divided by {known}")
                return count // part

            return Op(
                "reshape",
                (register,),
                (),
                before=shape,
                shape=self._with_rest(spec.arguments["shape"], rest, "reshape"),
            )
        axis = spec.arguments.get("axis", 0)
        whole = _size_along(shape, axis)
        start = self.sizes.value(spec.arguments.get("start", 0))
        stop = self.sizes.value(spec.arguments.get("stop", whole))
        restore = restore_of(spec.arguments["restore"], self.sizes, {})
        if restore.kind not in ("full", "stored"):
            raise OpError("slice: only full and stored can restore what is cut off")
        return Op("slice", (register,), (), axis=axis, before=(whole,), start=start, stop=stop, restore=restore)

    def _emit(self, op: Op, count: int) -> tuple[int, ...]:
        first = len(self.shapes)
        outputs = tuple(range(first, first + count))
        whole = replace(op, outputs=outputs)
        self.shapes += infer(whole, [self.shapes[register] for register in op.inputs])
        self.ops.append(whole)
        return outputs


def _size_along(shape: Shape, axis: int) -> int:
    if axis >= len(shape):
        raise OpError(f"there is no axis {axis} in {len(shape)} dimensions")
    return shape[axis]


def restore_of(spec: RestoreSpec, sizes: Sizes, values: Mapping[str, str]) -> Restore:
    """A restore with its size computed and its key spelled out; raises SizeError."""
    if spec.kind == "arange":
        return Restore("arange", sizes.value(spec.value))
    if spec.kind == "copy":
        template = parse_template(spec.value)
        missing = set(template.names) - set(values)
        if missing:
            raise SizeError(f"copy uses {{{min(missing)}}}, which `match` does not capture", "")
        return Restore("copy", template.render(values, {}))
    return Restore(spec.kind, 0 if spec.kind == "stored" else spec.value)
