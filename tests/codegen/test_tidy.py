"""Passes over finished bodies change how code reads, never what it computes."""

from __future__ import annotations

import ast

import pytest
from portwright.codegen.tidy.fold import folded
from portwright.codegen.tidy.unread import without_unread


def through(change, text: str) -> str:
    body = change(ast.parse(text).body)
    return ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("y = (x is None) ^ (None is not None)", "y = x is None"),
        ("y = (x is None) ^ (None is None)", "y = not x is None"),
        ("y = a > b ^ (None is None)", "y = a > b ^ True"),  # a number's bits, not a truth value
        ("y = x and None is None", "y = x and True"),  # as a value, `x and True` is not x
        ("y = x is None and None is None", "y = x is None"),
        ("y = x or None is None or z", "y = x or True"),
        ("if None is None:\n    a()\nelse:\n    b()", "a()"),
        ("if not None is None:\n    a()", ""),
        ("y = a if None is None else b", "y = a"),
        ("y = x is None", "y = x is None"),
        ("a = 'cpu' == 'npu'\nif a:\n    b()\nc()", "c()"),
        ("a = None is None\nfor x in y:\n    a = f(x)\ng(a)", "a = True\nfor x in y:\n    a = f(x)\ng(a)"),
        ("y = 1 is 2", "y = 1 is 2"),
    ],
)
def test_constant_tests_are_decided(before: str, after: str) -> None:
    """A test between constants is decided; a value that only looks like one is left alone."""
    assert through(folded, before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("y = [f(c) for i in range(n)]", "y = [f(c) for _ in range(n)]"),
        ("y = [f(i) for i in range(n)]", "y = [f(i) for i in range(n)]"),
        ("y = [f(c) for i in range(n) for j in range(i)]", "y = [f(c) for i in range(n) for _ in range(i)]"),
        ("for i, x in enumerate(xs):\n    f(x)", "for _, x in enumerate(xs):\n    f(x)"),
        ("for i in range(3):\n    f()\ng(i)", "for i in range(3):\n    f()\ng(i)"),
    ],
)
def test_unread_loop_variables_are_blank(before: str, after: str) -> None:
    """Only a variable that nothing reads, inside the loop or after it, loses its name."""
    assert through(without_unread, before) == after
