"""Binding: every key claimed exactly once, joined parts complete, and every fault told at once with its likely fix."""

from __future__ import annotations

from typing import Any

import pytest
from portwright.errors import ExitCode, PortError
from portwright.rules.load import parse_rules
from portwright.rules.moves import Binding
from portwright.rules.ruleset import RuleSet, choose_layout
from rules_harness import bound, headers, problems

RENAME = '[[rule]]\nmatch = "l.{i}.{p:w|b}"\nto = "layers.{i}.{p}"\n'
STACK = '[[rule]]\nmatch = "l.{i}.e.{e}.w"\nto = "layers.{i}.w"\nops = [{ stack = { axis = 0, over = "e" } }]\n'
QKV = """
[sizes]
inner = "heads * dim"
[[rule]]
match = "l.{i}.qkv.{p:w|b}"
ops = [{ split = { axis = 0, sizes = ["inner", "inner", "rest"] } }]
to = ["l.{i}.q.{p}", "l.{i}.k.{p}", "l.{i}.v.{p}"]
"""


def test_a_rule_becomes_moves_with_exact_names() -> None:
    """Captures reach the target's name; a key that is a wanted name needs no rule, and a rule wins over that."""
    binding = bound(
        RENAME, {"l.0.w": (2, 3), "l.0.b": (2,), "norm": (2,)}, {"layers.0.w", "layers.0.b", "norm", "l.0.w"}
    )
    made = {move.sources: (move.rule, move.targets[0].key, move.targets[0].shape) for move in binding.moves}
    assert made == {
        ("l.0.w",): ("l.{i}.{p:w|b}", "layers.0.w", (2, 3)),
        ("l.0.b",): ("l.{i}.{p:w|b}", "layers.0.b", (2,)),
        ("norm",): ("library", "norm", (2,)),
    }


def test_sizes_come_from_the_config() -> None:
    """A fused tensor is cut where the config says, the rest goes to the last part."""
    names = {f"l.0.{n}.{p}" for n in "qkv" for p in "wb"}
    binding = bound(QKV, {"l.0.qkv.w": (20, 5), "l.0.qkv.b": (20,)}, names, {"heads": 2, "dim": 4})
    shapes = {t.key: t.shape for move in binding.moves for t in move.targets}
    assert shapes == {
        "l.0.q.w": (8, 5), "l.0.k.w": (8, 5), "l.0.v.w": (4, 5), "l.0.q.b": (8,), "l.0.k.b": (8,), "l.0.v.b": (4,),
    }  # fmt: skip


def test_a_table_gives_both_indices() -> None:
    """`{n.0}` and `{n.1}` are the columns of the row that the captured index has."""
    rules = '[table.down]\n1 = [0, 0]\n4 = [1, 0]\n[[rule]]\nmatch = "in.{n:down}.w"\nto = "down.{n.0}.res.{n.1}.w"\n'
    binding = bound(rules, {"in.1.w": (1,), "in.4.w": (1,)}, {"down.0.res.0.w", "down.1.res.0.w"})
    assert {m.sources[0]: m.targets[0].key for m in binding.moves} == {
        "in.1.w": "down.0.res.0.w",
        "in.4.w": "down.1.res.0.w",
    }


def test_experts_are_stacked_in_the_order_of_their_numbers() -> None:
    """Not in the order of their names, in which 10 comes before 2."""
    shapes = {f"l.0.e.{e}.w": (2,) for e in (10, 2, *range(2), *range(3, 10))}
    (move,) = bound(STACK, shapes, {"layers.0.w"}).moves
    assert move.sources == tuple(f"l.0.e.{e}.w" for e in range(11))
    assert move.targets[0].shape == (11, 2)


def test_the_patterns_of_a_list_may_order_their_captures_differently() -> None:
    """Keys belong together by the values of their captures, not by where these stand."""
    rules = '[[rule]]\nmatch = ["q.{a}.{b}", "k.{b}.{a}"]\nto = "qk.{a}.{b}"\nops = [{ concat = {} }]\n'
    binding = bound(rules, {"q.0.1": (1,), "k.1.0": (2,)}, {"qk.0.1"})
    assert [(move.sources, move.targets[0].shape) for move in binding.moves] == [(("q.0.1", "k.1.0"), (3,))]


def test_unstack_numbers_its_parts() -> None:
    """A capture opened by unstack counts from 0."""
    rules = '[[rule]]\nmatch = "e.w"\nto = "e.{e}.w"\nops = [{ unstack = { axis = 1, over = "e" } }]\n'
    (move,) = bound(rules, {"e.w": (2, 3)}, {f"e.{e}.w" for e in range(3)}).moves
    assert [(t.key, t.shape) for t in move.targets] == [(f"e.{e}.w", (2,)) for e in range(3)]


FAULTS: dict[str, tuple[str, dict[str, tuple[int, ...]], set[str], list[str]]] = {
    "two rules claim one key": (
        RENAME + '[[rule]]\nmatch = "l.{i}.{p:word}"\nto = "x.{i}.{p}"\n',
        {"l.0.w": (1,), "l.1.w": (1,)},
        {"layers.0.w"},
        ["'l.0.w' and 1 more are claimed by rules.toml:2 and rules.toml:5", "rules have no order"],
    ),
    "no rule claims a key": (
        RENAME,
        {"l.0.w": (1,), "blk.0.weight": (3, 2), "blk.1.weight": (3, 2)},
        {"layers.0.w", "block.0.weight", "block.1.weight"},
        ["blk.*.weight: 'blk.0.weight' and 1 more are claimed by no rule: F32 (3, 2)", "nearest free names: block.0",
         'match = "blk.{n0}.weight" to = "block.{n0}.weight"'],
    ),
    "an index buffer": (
        "", {"n": (1,), "ids": (1, 9)}, {"n"}, ['match = "ids" drop = { reason = "…", restore = { stored = true } }'],
    ),
    "a head saved twice": (
        "", {"emb.w": (9, 2), "head.w": (9, 2)}, {"emb.w"},
        ['match = "head.w" drop = { reason = "…", restore = { copy = "emb.w" } }'],
    ),
    "more layers than the config has": (
        RENAME.replace("{i}", "{i:0|1}", 1), {f"m.{i}.w": (1,) for i in range(3)}, {"m.0.w", "m.1.w"},
        ["m.*.w: 'm.2.w' is claimed by no rule", "the reference has 2 such names: is this the config that belongs to"],
    ),
    "a key almost matches": (
        RENAME, {"l.0.scale": (1,)}, {"layers.0.w"}, ["rules.toml:2 almost matches: {p} does not allow 'scale'"],
    ),
    "a name that nobody wants": (
        RENAME, {"l.0.w": (1,)}, {"layer.0.w"}, ["rules.toml:2: 'layers.0.w' is no name", "did you mean layer.0.w?"],
    ),
    "one name made twice": (
        RENAME + '[[rule]]\nmatch = "m.{i}.{p:w|b}"\nto = "layers.{i}.{p}"\n',
        {"l.0.w": (1,), "m.0.w": (1,)},
        {"layers.0.w"},
        ["1 name is made twice: layers.0.w (rules.toml:2 from l.0.w; rules.toml:5 from m.0.w)"],
    ),
    "an expert is missing": (
        STACK, {f"l.0.e.{e}.w": (1,) for e in (0, 1, 3)}, {"layers.0.w"}, ["{e} counts to 3, but 2 is missing"],
    ),
    "experts of different shape": (
        STACK, {"l.0.e.0.w": (1,), "l.0.e.1.w": (2,)}, {"layers.0.w"}, ["ops.0.stack: stack: the shapes (1,) and (2,)"],
    ),
    "the config lacks a size": (
        QKV, {"l.0.qkv.w": (20, 5)}, set(), ["rules.toml:7: rule.0.ops.0.split: the config has no 'heads'"],
    ),
    "a part of a list is missing": (
        '[[rule]]\nmatch = ["a.{i}.q", "a.{i}.k"]\nto = "a.{i}.qk"\nops = [{ concat = { axis = 0 } }]\n',
        {"a.0.q": (1,), "a.0.k": (1,), "a.1.q": (1,)},
        {"a.0.qk", "a.1.qk"},
        ["1 of 2 parts are missing from the checkpoint ('a.1.q')"],
    ),
    "an op does not fit the rank": (
        '[[rule]]\nmatch = "a.{p:w|b}"\nto = "a.{p}"\nops = [{ transpose = [1, 0] }]\n',
        {"a.w": (1, 2), "a.b": (2,)},
        {"a.w", "a.b"},
        ["rule.0.ops.0.transpose: transpose [1, 0] does not order the 1 axes of (2,) ('a.b')"],
    ),
    "fewer layers than the config says": (
        RENAME + 'counts = { i = "3" }\n',
        {"l.0.w": (1,), "l.2.w": (1,), "l.3.w": (1,)},
        {"layers.0.w", "layers.2.w", "layers.3.w"},
        ["counts.i: the config says 3, the checkpoint has 3, without 1 and with 3"],
    ),
    "unstack gives another number than to": (
        '[[rule]]\nmatch = "a"\nto = ["b", "c"]\nops = [{ unstack = { axis = 0 } }]\n',
        {"a": (3, 1)},
        {"b", "c"},
        ["the ops give 3 tensors, `to` names 2"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_with_place_and_fix(name: str) -> None:
    """Each kind of fault names the rule's line, the keys, and what would mend it."""
    rules, shapes, names, said = FAULTS[name]
    with pytest.raises(PortError) as caught:
        bound(rules, shapes, names)
    for text in said:
        assert text in problems(caught.value)
    assert caught.value.code == ExitCode.USAGE


def test_all_faults_come_at_once() -> None:
    """A run tells of keys claimed twice, never, and ops that do not fit, together."""
    rules = RENAME + STACK + '[[rule]]\nmatch = "l.1.w"\nto = "x"\n'
    shapes = {"l.0.w": (1,), "l.1.w": (1,), "l.0.e.0.w": (1,), "l.0.e.2.w": (1,), "stray": (1,)}
    with pytest.raises(PortError) as caught:
        bound(rules, shapes, {"layers.0.w", "layers.1.w"})
    said = problems(caught.value)
    assert all(text in said for text in ("claimed by rules.toml", "but 1 is missing", "'stray' is claimed by no rule"))


def test_moves_survive_json() -> None:
    """moves.json gives back equal moves, drops and headers."""
    drop = '[[rule]]\nmatch = "ids"\ndrop = { reason = "x", restore = { arange = "heads + 3" } }\n'
    shapes = {"l.0.qkv.w": (20, 5), "ids": (1, 5)}
    binding = bound(QKV + drop, shapes, {f"l.0.{n}.w" for n in "qkv"}, {"heads": 2, "dim": 4})
    assert Binding.from_json(binding.to_json()).to_json() == binding.to_json()
    assert Binding.from_json(binding.to_json()).moves == binding.moves


def test_moves_do_not_change_when_other_lines_do() -> None:
    """A comment above a rule changes no move, so nothing is remapped for it."""
    shapes: dict[str, Any] = {"l.0.w": (1,)}
    one = bound(RENAME, shapes, {"layers.0.w"})
    other = bound("# a comment\n\n" + RENAME, shapes, {"layers.0.w"})
    assert one.to_json() == other.to_json()


def layout(name: str, detect: str) -> RuleSet:
    text = f'schema = 1\nlayout = "{name}"\n' + (f"detect = {detect}\n" if detect else "")
    return parse_rules(text.encode(), f"rules-{name}.toml")


def test_detect_keys_choose_the_layout() -> None:
    """All keys of `detect` must be there; else the file without `detect` is taken; without files, the library."""
    ldm, plain = layout("ldm", '["in.{i}.w", "out"]'), layout("plain", "")
    assert choose_layout([plain, ldm], headers({"in.3.w": (1,), "out": (1,)})).layout == "ldm"
    assert choose_layout([plain, ldm], headers({"in.3.w": (1,)})).layout == "plain"
    assert choose_layout([], headers({"a": (1,)})).layout == "library"


@pytest.mark.parametrize(
    ("layouts", "said"),
    [
        ([("a", '["x"]'), ("b", '["y"]')], "two layouts fit this checkpoint: a (rules-a.toml) and b (rules-b.toml)"),
        ([("a", ""), ("b", "")], "two files have no detect: a (rules-a.toml) and b (rules-b.toml)"),
        ([("a", '["z"]')], "no layout fits this checkpoint: a needs z"),
    ],
)
def test_a_layout_is_never_guessed(layouts: list[tuple[str, str]], said: str) -> None:
    """Two that fit, two fallbacks, or none that fits is an error."""
    with pytest.raises(PortError) as caught:
        choose_layout([layout(*pair) for pair in layouts], ["x", "y"])
    assert said in problems(caught.value)
