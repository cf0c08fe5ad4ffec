"""Composition and proof: what the generated code declares is made exactly once, and no element is lost or doubled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portwright.errors import PortError
from portwright.rules.compose import compose
from portwright.rules.invert import invert
from portwright.rules.moves import Binding, Drop, Move, Target
from portwright.rules.ops import Op, Restore, infer, inverse
from portwright.rules.portmap import parse_portmap
from portwright.rules.prove import prove
from rules_harness import bound, headers, portmap, problems, proved

CONV = {"from": ["conv.weight"], "ops": [{"transpose": [0, 2, 3, 1]}], "shape": [4, 3, 3, 2], "dtype": "float32"}


def test_the_layout_of_the_code_is_composed_with_the_rule() -> None:
    """One circuit goes from the source key to the parameter, through the rule's op and the code's."""
    rules = '[[rule]]\nmatch = "c.w"\nto = "conv.weight"\nops = [{ reshape = [4, 2, 3, 3] }]\n'
    wanted = portmap({"conv.weight": CONV})
    composed = compose(bound(rules, {"c.w": (4, 18)}, wanted.names), wanted)
    assert [op.name for op in composed.moves[0].ops] == ["reshape", "transpose"]
    assert composed.moves[0].targets[0].shape == (4, 3, 3, 2)
    assert prove(composed, headers({"c.w": (4, 18)}), wanted).elements == 72


def test_a_fused_parameter_joins_several_moves() -> None:
    """q, k and v of the checkpoint become one parameter where the code says so, bijectively."""
    entry = {"from": ["q", "k", "v"], "ops": [{"concat": {"axis": 0}}], "shape": [7, 2], "dtype": "float32"}
    proof = proved("", {"q": (4, 2), "k": (2, 2), "v": (1, 2)}, portmap({"qkv": entry}))
    assert (proof.sources, proof.targets, proof.elements) == (3, 1, 14)


def test_one_tensor_feeds_parameters_that_share_it_in_slices() -> None:
    """Slices that cover a tensor exactly become a split; overlapping or incomplete ones are refused."""

    def part(start: int, stop: int) -> dict[str, Any]:
        cut = {"slice": {"axis": 0, "start": start, "stop": stop}}
        return {"from": ["qkv"], "ops": [cut, {"transpose": [1, 0]}], "shape": [2, stop - start], "dtype": "float32"}

    assert proved("", {"qkv": (6, 2)}, portmap({"q": part(0, 4), "k": part(4, 6)})).elements == 12
    for other in (part(3, 6), part(5, 6)):
        with pytest.raises(PortError, match="each element must arrive exactly once"):
            proved("", {"qkv": (6, 2)}, portmap({"q": part(0, 4), "k": other}))


def test_one_tensor_cannot_be_two_parameters() -> None:
    """A tensor that two parameters take whole would double its elements."""
    both = {key: {"from": ["w"], "ops": [], "shape": [2], "dtype": "float32"} for key in ("a", "b")}
    with pytest.raises(PortError, match="each element must arrive once"):
        proved("", {"w": (2,)}, portmap(both))


def test_names_that_the_port_does_not_use_are_dropped_and_kept() -> None:
    """An unused reference tensor becomes a drop with the code's reason, stored so that export has it."""
    wanted = portmap({"w": (2,)}, {"pooler.weight": "its output is never read"})
    composed = compose(bound("", {"w": (2,), "pooler.weight": (3, 3)}, wanted.names), wanted)
    assert composed.drops == (
        Drop("library", "pooler.weight", "not used by the port: its output is never read", Restore("stored")),
    )
    assert prove(composed, headers({"w": (2,), "pooler.weight": (3, 3)}), wanted).dropped_elements == 9


FAULTS: dict[str, tuple[dict[str, tuple[int, ...]], dict[str, Any], list[str]]] = {
    "a parameter is missing": (
        {"a.weight": (2,)}, {"a.weight": (2,), "a.bias": (2,)},
        ["portmap.json: params.a.bias: no move makes 'a.bias' | it is made from a.bias, which no rule gives"],
    ),
    "a transposed matrix": (
        {"w": (2, 3)}, {"w": (3, 2)},
        ["'w' gets shape (2, 3), the module declares (3, 2) | ops = [{ transpose = [1, 0] }]"],
    ),
    "another size": (
        {"w": (2, 3)}, {"w": (2, 4)},
        ["the module declares (2, 4) | is this the checkpoint that belongs to the config?"],
    ),
    "another grouping": ({"w": (6,)}, {"w": (2, 3)}, ["| ops = [{ reshape = [2, 3] }] if only the grouping differs"]),
    "another kind of numbers": (
        {"w": (2,)}, {"w": {"from": ["w"], "shape": [2], "dtype": "int32"}},
        ["'w' is declared I32, the checkpoint has F32"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_with_the_op_that_would_mend_it(name: str) -> None:
    """Missing and misshaped parameters name the parameter, both shapes, and the likely op."""
    shapes, params, said = FAULTS[name]
    with pytest.raises(PortError) as caught:
        proved("", shapes, portmap(params))
    for text in said:
        assert text in problems(caught.value)


LAYERS = {
    f"layer.{i}.{n}.{p}": (4, 3) if p == "weight" else (4,) for i in range(4) for n in "qk" for p in ("weight", "bias")
}


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_dropped_doubled_and_misshaped_keys_are_all_reported(data: st.DataObject) -> None:
    """Whatever keys of a checkpoint are lost, made twice, misspelt or misshaped: each is in the one report."""
    keys = data.draw(st.permutations(sorted(LAYERS)))
    lost, bent, doubled, misspelt = (set(keys[i * 2 : i * 2 + data.draw(st.integers(0, 2))]) for i in range(4))
    good = headers(LAYERS)
    found = headers({key: (*shape, 5) if key in bent else shape for key, shape in LAYERS.items()})
    moves = []
    for key in LAYERS:
        if key not in lost:
            target = key.replace("layer", "leyer") if key in misspelt else key
            move = Move("rule", (key,), (Target(target, found[key].shape, "F32"),))
            moves += [move, move] if key in doubled else [move]
    wanted = portmap(LAYERS)
    binding = Binding(tuple(moves), (), found)
    if not lost | bent | doubled | misspelt:
        assert prove(binding, good, wanted).targets == len(LAYERS)
        return
    with pytest.raises(PortError) as caught:
        prove(binding, found, wanted)
    said = caught.value.problems
    text = problems(caught.value)
    missing = [p for p in said if "no move makes" in p.problem]
    groups = {(key.split(".")[2], key.split(".")[3]) for key in lost | misspelt}
    assert len(missing) == len(groups)
    for key in lost | misspelt:
        assert any(p.where.endswith(".".join(key.split(".")[2:])) for p in missing)
    for key in bent:
        assert f"'{key}' gets shape" in text
    for key in doubled:
        assert f"{key}: 2 moves take this tensor" in text
        assert f"params.{key}: 2 moves make it" in text
    for key in misspelt:
        wrong = key.replace("layer", "leyer")
        (problem,) = [p for p in said if f"no parameter {wrong!r}" in p.problem]
        assert key in problem.hint


def circuit(ops: tuple[Op, ...], targets: tuple[Target, ...]) -> Binding:
    return Binding((Move("rule", ("a", "b"), targets, ops),), (), headers({"a": (2, 2), "b": (2, 2)}))


A, B = Target("a", (2, 2), "F32", 0), Target("b", (2, 2), "F32", 1)
JOIN = Op("concat", (0, 1), (2,), axis=0, sizes=(2, 2))


@pytest.mark.parametrize(
    ("ops", "targets", "said"),
    [
        ((), (A, replace(B, register=0)), "register 0 of 'a' is used 2 times"),
        ((JOIN,), (replace(A, register=2, shape=(4, 2)), B), "register 1 of 'a' is used 2 times"),
        ((), (A,), "register 1 of 'a' is lost"),
        ((JOIN,), (A, B), "register 0 of 'a' is used 2 times"),
        ((replace(JOIN, outputs=(1,)),), (A, B), "makes a register that exists already"),
        ((replace(JOIN, inputs=(0, 7)),), (A, B), "takes register 7, which nothing has made yet"),
        ((replace(JOIN, sizes=(2, 3)),), (A, B), "do not fit"),
        ((), (A, replace(B, shape=(4,))), "'b' would have shape (2, 2), not (4,)"),
    ],
)
def test_a_circuit_that_loses_or_doubles_elements_is_refused(
    ops: tuple[Op, ...], targets: tuple[Target, ...], said: str
) -> None:
    """Each register is taken exactly once: with that, no element can be lost or doubled."""
    binding = circuit(ops, targets)
    wanted = portmap({"a": (2, 2), "b": (2, 2)})
    with pytest.raises(PortError) as caught:
        prove(binding, binding.headers, wanted)
    assert said in problems(caught.value)


@pytest.mark.parametrize(
    ("restore", "said"),
    [
        (Restore("arange", 9), "which arange(9) cannot restore"),
        (Restore("copy", "nothing"), "cannot be copied from 'nothing', which is not in the checkpoint; nearest: "),
        (Restore("copy", "small"), "cannot be copied from 'small', which is F32 (1,)"),
        (Restore("copy", "ids"), "which is dropped too"),
    ],
)
def test_a_restore_that_cannot_work_is_refused(restore: Restore, said: str) -> None:
    """A drop's restore must fit its shape and dtype, and copy something that stays."""
    found = headers({"ids": (2, 4), "small": (1,)})
    binding = Binding(
        (Move("r", ("small",), (Target("small", (1,), "F32"),)),), (Drop("r", "ids", "x", restore),), found
    )
    with pytest.raises(PortError) as caught:
        prove(binding, found, portmap({"small": (1,)}))
    assert said in problems(caught.value)


OPS = [
    Op("concat", (0, 1), (2,), axis=1, sizes=(3, 3)),
    Op("split", (0,), (2, 3), axis=0, sizes=(2, 2)),
    Op("stack", (0, 1), (2,), axis=1),
    Op("unstack", (0,), (2, 3, 4), axis=1),
    Op("transpose", (0,), (2,), perm=(1, 0)),
    Op("reshape", (0,), (2,), before=(4, 3), shape=(2, 6)),
    Op("slice", (0,), (2,), axis=0, before=(4,), start=1, stop=3, restore=Restore("full", 0)),
]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_every_op_has_its_inverse(op: Op) -> None:
    """Undoing an op gives back the shapes it took, undoing that gives the op again, and JSON keeps both."""
    shapes = [(4, 3)] * len(op.inputs)
    back = inverse(op)
    assert infer(back, infer(op, shapes)) == shapes
    assert inverse(back) == op
    assert Op.from_json(op.to_json()) == op
    assert Op.from_json(back.to_json()) == back


def test_a_move_turned_twice_is_itself() -> None:
    """Up to the numbering of its registers."""
    found = headers({"a": (2, 2), "b": (2, 2)})
    move = Move("r", ("a", "b"), (Target("c", (2, 4), "F32", 3),), (JOIN, Op("transpose", (2,), (3,), perm=(1, 0))))
    turned = invert(move, found)
    assert [op.name for op in turned.ops] == ["transpose", "split"]
    again = invert(turned, headers({"c": (2, 4)}))
    assert ([op.name for op in again.ops], again.sources) == (["concat", "transpose"], ("a", "b"))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (7, "its entry is not an object"),
        ({"ops": []}, "`from` must list the reference names"),
        ({"from": []}, "`from` must list the reference names"),
        ({"from": ["w"], "dtype": "float33"}, "unknown dtype 'float33'"),
        ({"from": ["w"], "shape": [-1]}, "shape [-1] is not a list of sizes"),
        ({"from": ["w"], "ops": [{"flip": [0]}]}, "unknown op {'flip': [0]}"),
        ({"from": ["w"], "ops": [{"transpose": "x"}]}, "are not whole numbers"),
        ({"from": ["w"], "ops": [{"slice": {"axis": 0, "start": "a"}}]}, "are not whole numbers"),
        ({"from": ["w"], "ops": ["transpose"]}, "unknown op 'transpose'"),
    ],
)
def test_a_damaged_portmap_is_refused(entry: Any, said: str) -> None:
    """An entry that the engine cannot use names the parameter, never ends in a traceback."""
    with pytest.raises(PortError) as caught:
        parse_portmap({"params": {"w": entry}})
    assert "portmap.json: params.w" in problems(caught.value)
    assert said in problems(caught.value)


def test_a_part_of_a_tensor_is_kept_whole_beside_the_port() -> None:
    """A parameter that takes only a slice of a reference tensor leaves the rest to be stored."""
    cut = {"from": ["w"], "ops": [{"slice": {"axis": 0, "start": 0, "stop": 4}}], "shape": [4, 2], "dtype": "float32"}
    assert proved("", {"w": (6, 2)}, portmap({"w": cut})).dropped_elements == 4
