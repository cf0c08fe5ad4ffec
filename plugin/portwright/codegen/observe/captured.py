"""Outputs of layers that transformers records by hooks: written out in the function that calls the layers.

A function decorated with `capture_outputs` gives `hidden_states` that its own text never mentions: hooks of the
layers collect them while it runs. Where they were asked for, its text gets what the hooks do, as transformers' models
said it themselves before: a tuple that grows in the loop, and one more field of the result. It is then observed like
any other text, and falls away in the port where nothing reads it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from portwright.codegen.observe.contexts import Context, Source
from portwright.codegen.source import number, parse_function

HOOK = "transformers.utils.output_capturing.install_output_capuring_hook.<locals>.output_capturing_hook"
FIELD = "hidden_states"


@dataclass(frozen=True)
class Capture:
    """One call of a layer whose output was recorded."""

    call: int  # its number in the function's tree
    index: int | None  # of the recorded element where the layer gives a tuple
    initial: bool  # whether the first layer's input is recorded too
    tied: bool  # whether the last one is the result's last_hidden_state


def hook_of(layer: torch.nn.Module) -> Mapping[str, Any] | None:
    """The settings of the hook that records a layer's output among the hidden states."""
    for hook in layer._forward_hooks.values():
        if f"{getattr(hook, '__module__', '')}.{getattr(hook, '__qualname__', '')}" == HOOK:
            settings = inspect.getclosurevars(hook).nonlocals
            if settings.get("key") == FIELD:
                return settings
    return None


def is_collecting() -> bool:
    """Whether some function of the library collects hidden states now."""
    from transformers.utils import output_capturing

    collected = output_capturing._active_collector.get()
    return collected is not None and FIELD in collected


def is_tied(instance: torch.nn.Module | None) -> bool:
    """Whether the decorator of a module's forward puts the last hidden state in the last one's place."""
    said = getattr(getattr(instance, "config", None), "tie_last_hidden_states", None)
    if said is not None:
        return bool(said)
    function = getattr(type(instance), "forward", None)
    while function is not None:
        if getattr(function, "__module__", "") and inspect.isfunction(function):
            settings = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
            if "tie_last_hidden_states" in settings:
                return bool(settings["tie_last_hidden_states"].cell_contents)
        function = getattr(function, "__wrapped__", None)
    return False


@dataclass(frozen=True)
class Passed:
    """One call of a function that gives recorded hidden states, in a function that gives them on."""

    call: int
    tied: bool


class Captures:
    """What is known of earlier rounds, and what this one sees."""

    def __init__(self, known: Mapping[str, Capture | Passed | None]) -> None:
        self.known = known
        self.found: dict[str, Capture | Passed | None] = dict(known)  # by function; None: it cannot be written out

    def called(
        self, here: Context, place: int, layer: torch.nn.Module, result: Any, outer: Sequence[tuple[Context, int]]
    ) -> None:
        """A layer has given its result at a call in a function; `outer` are the calls around it, innermost last."""
        settings = hook_of(layer) if layer._forward_hooks else None
        fid = here.reached.fid
        if settings is None or fid in self.known or not is_collecting():
            return
        index = settings["index"] if isinstance(result, tuple) else None
        initial = bool(settings["capture_initial_hidden_state"])
        texts = {fid: here.reached.source}
        found: dict[str, Capture | Passed | None] = {fid: Capture(place, index, initial, ties(here))}
        while not collects(here.reached.decorators) and outer:
            here, number = outer[-1]
            outer = outer[:-1]
            found.setdefault(here.reached.fid, Passed(number, ties(here)))
            texts.setdefault(here.reached.fid, here.reached.source)
        if not all(is_changed(text, found[name]) for name, text in texts.items()):
            found = dict.fromkeys(found)  # a text without a place for it: nobody gives it on
        for name, one in found.items():
            self.found[name] = one if self.found.get(name, one) == one else None

    def written_out(self, source: Source, fid: str) -> Source:
        """The function's text with what the hooks do; as it is where they do nothing, or where that is not known."""
        found = self.known.get(fid)
        if found is None:
            return source
        text = changed(source.text, found)
        added = FIELD if text != source.text and not collects(source.decorators) else ""
        return source._replace(text=text, added=added)


def changed(text: str, found: Capture | Passed) -> str:
    """A function's text with what the hooks do; as it is where it has no place for that."""
    return with_passed(text, found) if isinstance(found, Passed) else with_capture(text, found)


def is_changed(text: str, found: Capture | Passed | None) -> bool:
    return found is not None and changed(text, found) != text


def collects(decorators: Iterable[str]) -> bool:
    """Whether a function is one that the library's decorator makes collect what hooks record."""
    return any(d.rpartition(".")[2] == "capture_outputs" for d in decorators)


def ties(here: Context) -> bool:
    return collects(here.reached.decorators) and is_tied(here.instance)


def with_passed(source: str, passed: Passed) -> str:
    """The text with one more field of its result, which is that of the result of a call."""
    text = textwrap.dedent(source)
    tree = parse_function(text)
    returns = [s for s in tree.body if isinstance(s, ast.Return)]
    made = [s for s in tree.body if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name)]
    names = [s.targets[0].id for s in made if isinstance(s.value, ast.Call) and number(s.value) == passed.call]  # type: ignore[attr-defined]
    value = returns[0].value if len(returns) == 1 else None
    if len(names) != 1 or not may_add(value):
        return source
    assert isinstance(value, ast.Call)
    last = field_of(value, "last_hidden_state")
    if passed.tied and not isinstance(last, ast.Name):
        return source
    given = f"{names[0]}.{FIELD}"
    given = f"(*{given}[:-1], {ast.unparse(last)})" if passed.tied and last is not None else given
    lines = text.splitlines(keepends=True)
    add_field(lines, value, given)
    return "".join(lines)


def may_add(value: ast.expr | None) -> bool:
    """Whether a returned value is a result with named fields that lacks this one."""
    return isinstance(value, ast.Call) and bool(value.keywords) and field_of(value, FIELD) is None


def add_field(lines: list[str], value: ast.Call, given: str) -> None:
    """Write one more field into a call that ends in these lines."""
    end = value.end_lineno or 0
    line = lines[end - 1].encode()
    before, after = line[: (value.end_col_offset or 0) - 1].decode(), line[(value.end_col_offset or 0) - 1 :].decode()
    comma = "" if before.rstrip().endswith(("(", ",")) or not before.strip() else ", "
    lines[end - 1] = f"{before}{comma}{FIELD}={given}{after}"


def with_capture(source: str, capture: Capture) -> str:
    """The text with what hooks of the layers that it calls do: a tuple that grows, and one more field of the result."""
    text = textwrap.dedent(source)
    tree = parse_function(text)
    loop, made = place_of(tree, capture.call)
    returns = [s for s in tree.body if isinstance(s, ast.Return)]
    name = "all_hidden_states"
    taken = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | {
        a.arg for a in ast.walk(tree) if isinstance(a, ast.arg)
    }
    if loop is None or made is None or len(returns) != 1 or name in taken:
        return source
    value, first = returns[0].value, first_argument(loop, made)
    last = field_of(value, "last_hidden_state")
    if first is None or not may_add(value):
        return source
    assert isinstance(value, ast.Call)
    if capture.tied and not isinstance(last, ast.Name):
        return source
    target = made.targets[0]
    assert isinstance(target, ast.Name)
    kept = (
        f"{target.id}[{capture.index}]" if capture.index is not None and isinstance(made.value, ast.Call) else target.id
    )
    start = f"({first},)" if capture.initial else "()"
    given = name if not capture.tied or same(tree, loop, last, target) else f"(*{name}[:-1], {ast.unparse(last)})"  # type: ignore[arg-type]
    lines = text.splitlines(keepends=True)
    add_field(lines, value, given)
    indent = " " * made.col_offset
    lines.insert(made.end_lineno or 0, f"{indent}{name} = {name} + ({kept},)\n")
    lines.insert(loop.lineno - 1, f"{' ' * loop.col_offset}{name} = {start}\n")
    return "".join(lines)


def place_of(tree: ast.FunctionDef, call: int) -> tuple[ast.For | None, ast.Assign | None]:
    """The loop of the function's own body that calls the layers, and the statement in it that does."""
    for loop in [s for s in tree.body if isinstance(s, ast.For)]:
        for s in inner(loop.body):
            if not isinstance(s, ast.Assign) or len(s.targets) != 1 or not isinstance(s.targets[0], ast.Name):
                continue
            value = s.value.value if isinstance(s.value, ast.Subscript) else s.value
            if isinstance(value, ast.Call) and number(value) == call:
                return loop, s
    return None, None


def inner(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a loop's body, in order, those in branches too."""
    for s in body:
        yield s
        if isinstance(s, ast.If):
            yield from inner([*s.body, *s.orelse])


def first_argument(loop: ast.For, made: ast.Assign) -> str | None:
    """The name that the first layer is given, where it holds the same before the loop."""
    value = made.value.value if isinstance(made.value, ast.Subscript) else made.value
    first = value.args[0] if isinstance(value, ast.Call) and value.args else None
    if not isinstance(first, ast.Name):
        return None
    earlier = [loop.target, *[s for s in inner(loop.body) if s.lineno < made.lineno and not isinstance(s, ast.If)]]
    stored = {n.id for s in earlier for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return first.id if first.id not in stored else None


def field_of(value: ast.expr | None, name: str) -> ast.expr | None:
    return next((k.value for k in value.keywords if k.arg == name), None) if isinstance(value, ast.Call) else None


def same(tree: ast.FunctionDef, loop: ast.For, last: ast.expr | None, target: ast.Name) -> bool:
    """Whether what the loop's last round gives is the result's last hidden state, by name."""
    behind = tree.body[tree.body.index(loop) + 1 :]
    stored = {n.id for s in behind for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return isinstance(last, ast.Name) and last.id == target.id and target.id not in stored
