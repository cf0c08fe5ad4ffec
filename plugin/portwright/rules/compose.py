"""Join moves to reference names with the generated code's layout: one circuit from source keys to its parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ..errors import ExitCode, PortError, Problem
from .circuit import LIST, Circuit, cell
from .moves import Binding, Drop, Move, Target
from .ops import Op, OpError, Restore, Shape, infer
from .portmap import Parameter, Portmap
from .sizes import SizeError, Sizes


def compose(binding: Binding, portmap: Portmap) -> Binding:
    """Moves from source keys to the generated module's parameters, dtype as the module declares it.

    Moves whose names one parameter joins become one move. A move whose names are all unused becomes drops, kept in
    full. Raises PortError with every parameter that cannot be made; what is merely absent is the proof's affair.
    """
    problems: list[Problem] = []
    maker = {target.key: index for index, move in enumerate(binding.moves) for target in move.targets}
    present = [p for p in portmap.params.values() if all(name in maker for name in p.sources)]
    moves: list[Move] = []
    drops = list(binding.drops)
    for indices, params in _clusters(len(binding.moves), present, maker):
        members = [binding.moves[index] for index in indices]
        names = [target.key for move in members for target in move.targets]
        taken = {name for p in params for name in p.sources}
        idle = [name for name in names if name not in taken]
        if idle and not taken:
            drops += _unused(members, portmap)
        elif idle:
            hint = "let the rule drop or slice it off"
            problems.append(
                Problem(members[0].rule, f"{idle[0]!r} is a part of a tensor that the port uses otherwise", hint)
            )
        else:
            try:
                moves.append(_joined(members, params, binding))
            except (OpError, SizeError) as error:
                problems.append(Problem(f"portmap.json: params.{params[0].key}", str(error), "generate the code again"))
    if problems:
        raise PortError(problems, ExitCode.USAGE)
    return Binding(tuple(moves), tuple(drops), binding.headers)


def _unused(members: Sequence[Move], portmap: Portmap) -> Iterator[Drop]:
    for move in members:
        why = portmap.unused.get(move.targets[0].key, "the port has no parameter for it")
        for source in move.sources:
            yield Drop(move.rule, source, f"not used by the port: {why}", Restore("stored"))


def _clusters(
    count: int, params: Sequence[Parameter], maker: Mapping[str, int]
) -> Iterator[tuple[list[int], list[Parameter]]]:
    """Moves that belong together because one parameter takes names from each, with their parameters."""
    root = list(range(count))

    def find(index: int) -> int:
        while root[index] != index:
            root[index] = root[root[index]]
            index = root[index]
        return index

    for param in params:
        first, *others = (maker[name] for name in param.sources)
        for other in others:
            low, high = sorted((find(first), find(other)))
            root[high] = low
    members: dict[int, list[int]] = defaultdict(list)
    for index in range(count):
        members[find(index)].append(index)
    wanted: dict[int, list[Parameter]] = defaultdict(list)
    for param in params:
        wanted[find(maker[param.sources[0]])].append(param)
    for first, indices in members.items():
        yield indices, wanted[first]


def _joined(members: Sequence[Move], params: Sequence[Parameter], binding: Binding) -> Move:
    sources = tuple(key for move in members for key in move.sources)
    circuit = Circuit([binding.headers[key].shape for key in sources], {}, Sizes({}, {}))
    held: dict[str, int] = {}
    begin = 0
    for move in members:
        held |= _replay(move, begin, circuit)
        begin += len(move.sources)
    dtypes = {target.key: target.dtype for move in members for target in move.targets}
    targets = []
    for param, register, rest in _cut_shared(params, held, circuit):
        registers = [held[name] for name in param.sources] if register is None else [register]
        circuit.grid = {cell({LIST: i} if len(registers) > 1 else {}): r for i, r in enumerate(registers)}
        for spec in param.ops[1:] if rest else param.ops:
            circuit.apply(spec)
        if len(circuit.grid) != 1:
            raise OpError(f"{param.key} is made from {len(circuit.grid)} tensors, and no op joins them")
        (made,) = circuit.grid.values()
        targets.append(Target(param.key, circuit.shapes[made], param.dtype or dtypes[param.sources[0]], made))
    rules = sorted({move.rule for move in members})
    return Move(" + ".join(rules), sources, tuple(targets), tuple(circuit.ops))


def _replay(move: Move, begin: int, circuit: Circuit) -> dict[str, int]:
    """Append a move's ops with its registers renumbered; gives the register of each name it makes."""
    number = {index: begin + index for index in range(len(move.sources))}
    for op in move.ops:
        made = infer(op, [circuit.shapes[number[r]] for r in op.inputs])
        for register, shape in zip(op.outputs, made, strict=True):
            number[register] = len(circuit.shapes)
            circuit.shapes.append(shape)
        inputs, outputs = (tuple(number[r] for r in registers) for registers in (op.inputs, op.outputs))
        circuit.ops.append(replace(op, inputs=inputs, outputs=outputs))
    return {target.key: number[target.register] for target in move.targets}


def _cut_shared(
    params: Sequence[Parameter], held: Mapping[str, int], circuit: Circuit
) -> Iterator[tuple[Parameter, int | None, bool]]:
    """Parameters with the register each begins from: slices that share one reference name become one split."""
    takers: dict[str, list[Parameter]] = defaultdict(list)
    for param in params:
        for name in param.sources:
            takers[name].append(param)
    begun: dict[str, int] = {}
    for name, sharing in takers.items():
        if len(sharing) == 1:
            continue
        shape: Shape = circuit.shapes[held[name]]
        cuts = sorted((_cut(param, shape), param.key) for param in sharing)
        axes = {axis for (axis, _, _), _ in cuts}
        edges = [0, *(stop for (_, _, stop), _ in cuts)]
        starts = [start for (_, start, _), _ in cuts]
        if len(axes) > 1 or starts != edges[:-1] or edges[-1] != shape[cuts[0][0][0]]:
            both = " and ".join(param.key for param in sharing[:3])
            raise OpError(
                f"{both} take overlapping or incomplete parts of {name}: each element must arrive exactly once"
            )
        first = len(circuit.shapes)
        outputs = tuple(range(first, first + len(cuts)))
        sizes = tuple(stop - start for (_, start, stop), _ in cuts)
        op = Op("split", (held[name],), outputs, axis=axes.pop(), sizes=sizes)
        circuit.shapes += infer(op, [shape])
        circuit.ops.append(op)
        begun |= {key: register for (_, key), register in zip(cuts, outputs, strict=True)}
    for param in params:
        yield param, begun.get(param.key), param.key in begun


def _cut(param: Parameter, shape: Shape) -> tuple[int, int, int]:
    """The (axis, start, stop) of a parameter that takes a part of a name which others share."""
    if len(param.sources) != 1 or not param.ops or param.ops[0].name != "slice":
        raise OpError(
            f"{param.key} takes a whole tensor that another parameter takes too: each element must arrive once"
        )
    arguments = param.ops[0].arguments
    axis = arguments.get("axis", 0)
    if not 0 <= axis < len(shape):
        raise OpError(f"{param.key}: there is no axis {axis} in {len(shape)} dimensions")
    return axis, arguments.get("start", 0), arguments.get("stop", shape[axis])
