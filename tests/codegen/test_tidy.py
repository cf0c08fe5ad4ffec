"""Passes over finished bodies change how code reads, never what it computes."""

from __future__ import annotations

import ast

import pytest
from portwright.codegen.tidy.attributes import without_own_attributes
from portwright.codegen.tidy.copies import without_copies
from portwright.codegen.tidy.fold import folded
from portwright.codegen.tidy.guards import without_repeated
from portwright.codegen.tidy.inner import without_unread_parameters
from portwright.codegen.tidy.overwritten import without_overwritten
from portwright.codegen.tidy.own_config import without_own_config
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
        ("a, b = None, None\nif a is not None:\n    f(a)\ny = g(b)", "y = g(None)"),
        ("f(a)\na = None\ng(a)", "f(a)\na = None\ng(a)"),  # an argument until then
        ("a = None\nfor x in y:\n    a = f(x, a)", "a = None\nfor x in y:\n    a = f(x, a)"),
        ("a = 'cpu' == 'npu'\nif a:\n    b()\nc()", "c()"),
        ("a = None is None\nfor x in y:\n    a = f(x)\ng(a)", "a = True\nfor x in y:\n    a = f(x)\ng(a)"),
        ("y = 1 is 2", "y = 1 is 2"),
        ("if isinstance((m := None), dict):\n    a()\nm = b()", "m = None\nm = b()"),
        ("if isinstance(m, dict):\n    a()", "if isinstance(m, dict):\n    a()"),
        ("if isinstance(None, Kind):\n    a()", "if isinstance(None, Kind):\n    a()"),
        ("y = x is None or x is None", "y = x is None"),
        ("y = x or f() or x or x", "y = x or f() or x"),  # as a value, the last of them counts
        ("y = f() or f()", "y = f() or f()"),
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


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("c = None\nc = f(d)\nreturn c", "c = f(d)\nreturn c"),
        ("c = None\nc += f(d)\nreturn c", "c = None\nc += f(d)\nreturn c"),
        ("c = 0\nfor x in xs:\n    c += x\nreturn c", "c = 0\nfor x in xs:\n    c += x\nreturn c"),
        ("c = None\nif b:\n    c = f()\nreturn c", "c = None\nif b:\n    c = f()\nreturn c"),
        ("c = f(c)\nc = g(d)", "c = f(c)\nc = g(d)"),  # a call may do more than give a value
        ("f(c)\nc = None\nreturn d", "f(c)\nreturn d"),
        ("self.s = 1.0\nself.s = self.d ** 2", "self.s = self.d ** 2"),
        ("self.s = 1.0\nself.s = f(self)", "self.s = 1.0\nself.s = f(self)"),
        ("self.s = 1.0\nself.s = self.s * 2", "self.s = 1.0\nself.s = self.s * 2"),
        ("a, b = (x[:1], x[1:])\nreturn a", "a = x[:1]\nreturn a"),
        ("a, b = (x[:1], f(x))\nreturn a", "a, b = (x[:1], f(x))\nreturn a"),
        ("a, b = (b, a)\nreturn a", "a, b = (b, a)\nreturn a"),
    ],
)
def test_values_bound_for_nothing_go(before: str, after: str) -> None:
    """A plain value that is bound again before anything reads it goes; whatever may be read stays."""
    assert through(without_overwritten, before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = f(x)\na = g(a)\nb = a\nreturn (b, c)", "a = f(x)\na = g(a)\nreturn (a, c)"),
        ("a = f(x)\nb = a\nb = g(b)\nreturn h(b)", "b = f(x)\nb = g(b)\nreturn h(b)"),
        ("a = f(x)\nb = a\na = g(a)\nreturn a + b", "a = f(x)\nb = a\na = g(a)\nreturn a + b"),
        ("a = f(x)\nb = a\nb = g(b)\nreturn a + b", "a = f(x)\nb = a\nb = g(b)\nreturn a + b"),
    ],
)
def test_second_names_go(before: str, after: str) -> None:
    """Two names of one value are one, unless either comes to mean another value while both are read."""
    assert through(without_copies, before) == after


CLASS = """class A:

    def __init__(self, config):
        self.config = config
        self.size = self.config.size

    def __call__(self, x):
        return x * {read}
"""


@pytest.mark.parametrize(
    ("read", "elsewhere", "kept"),
    [("self.size", "", False), ("self.config.size", "", True), ("self.size", "y = layer.config.size", True)],
)
def test_a_config_read_in_the_constructor_only_is_not_kept(read: str, elsewhere: str, kept: bool) -> None:
    """The constructor reads its argument; the attribute stays where a method, or another object, reads it."""
    (node,) = ast.parse(CLASS.format(read=read)).body
    assert isinstance(node, ast.ClassDef)
    text = ast.unparse(without_own_config(node, ast.parse(elsewhere).body))
    assert ("self.config = config" in text) == kept
    assert "self.size = config.size" in text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f(a, b):\n    return a\nx = f(c, d)", "def f(a):\n    return a\nx = f(c)"),
        ("def f(a, b):\n    return a\nx = f(c, g())", "def f(a, b):\n    return a\nx = f(c, g())"),
        ("def f(a, b):\n    return a\nx = h(f)", "def f(a, b):\n    return a\nx = h(f)"),
        ("def f(a, b=1):\n    return a\nx = f(c)", "def f(a, b=1):\n    return a\nx = f(c)"),
    ],
)
def test_inner_functions_lose_what_they_do_not_read(before: str, after: str) -> None:
    """Only where every use is a call that gives it by its place, and the argument does nothing by itself."""
    assert through(without_unread_parameters, before).replace("\n\n", "\n") == after


REFUSED = "raise NotImplementedError('not ported: it')"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"if x == 'a':\n    {REFUSED}\nif x != 'b':\n    {REFUSED}", f"if x != 'b':\n    {REFUSED}"),
        (f"if x == 'b':\n    {REFUSED}\nif x != 'b':\n    {REFUSED}", None),
        (f"if x.startswith('a'):\n    {REFUSED}\nif x != 'b':\n    {REFUSED}", f"if x != 'b':\n    {REFUSED}"),
        (f"if y == 'a':\n    {REFUSED}\nif x != 'b':\n    {REFUSED}", None),  # of another name
        ("if x == 'a':\n    raise ValueError('a')\nif x != 'b':\n    " + REFUSED, None),  # the reference's own error
        (f"if n == 4:\n    {REFUSED}\ny = f(x)\nif n == 4:\n    {REFUSED}", f"if n == 4:\n    {REFUSED}\ny = f(x)"),
        (f"if n == 4:\n    {REFUSED}\nn = f(x)\nif n == 4:\n    {REFUSED}", None),
        (f"if f(n):\n    {REFUSED}\nif f(n):\n    {REFUSED}", None),  # a call may say something else the next time
        ("if a:\n    return x\nelse:\n    return y\nraise ValueError", "if a:\n    return x\nelse:\n    return y"),
        (f"if a:\n    b()\nelse:\n    if a:\n        {REFUSED}\n    c()", "if a:\n    b()\nelse:\n    c()"),
        ("x = not_ported('it') if n else x", f"if n:\n    {REFUSED}"),
        ("x = not_ported('it') if n else y", None),
    ],
)
def test_guards_that_are_never_reached_go(before: str, after: str | None) -> None:
    """A refusal goes where an equal one stands before it, or one that refuses more right behind it."""
    assert through(without_repeated, before) == (before if after is None else after)


def without_attributes(text: str, *plain: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            node.plain = set(plain)
    without_own_attributes(tree.body)
    return ast.unparse(ast.fix_missing_locations(tree))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["self.dim = config.dim", "self.q = nn.Linear(self.dim, 1)"], ["self.q = nn.Linear(config.dim, 1)"]),
        (
            ["self.dim = config.dim", "self.q = nn.Linear(self.dim, self.dim)"],
            ["dim = config.dim", "self.q = nn.Linear(dim, dim)"],
        ),
        (
            ["self.size = 4 * width", "self.q = nn.Linear(self.size, 1)"],
            ["size = 4 * width", "self.q = nn.Linear(size, 1)"],
        ),
        (["self.width = width or 3", "self.q = nn.Linear(self.width, 1)"], ["self.q = nn.Linear(width or 3, 1)"]),
        (["self.width = width", "self.q = nn.Linear(self.width, self.width)"], ["self.q = nn.Linear(width, width)"]),
        (["self.on = True", "self.q = f() if not self.on else g()"], ["self.q = g()"]),
        (["self.width = width"], []),
        (["self.shared = layer"], None),  # a part of the model
        (["self.w = mx.zeros(width)"], None),
        (["self.seen = width", "self.seen = 3"], None),
        (["self.scale = width ** -0.5"], None),  # its call reads it
        (["self.heads = width"], None),  # a function reads it
        (["self.named = width"], None),  # a text names it
    ],
)
def test_attributes_that_only_their_constructor_reads_are_not_kept(before: list[str], after: list[str] | None) -> None:
    """They are locals, or what they hold stands where it is needed."""
    text = (
        "class A(nn.Module):\n    def __init__(self, config, width, layer):\n        super().__init__()\n{}"
        "    def __call__(self, x):\n        return x * self.scale\n"
        "def f(attn, x):\n    return attn.heads * config.dim + getattr(attn, 'named')"
    )
    body = [
        "".join(f"        {line}\n" for line in lines or []) for lines in (before, before if after is None else after)
    ]
    expected = ast.unparse(ast.parse(text.format(body[1])))
    assert without_attributes(text.format(body[0]), "width") == expected


@pytest.mark.parametrize(
    "other",
    [
        "class B(A):\n    def __call__(self):\n        return self.dim",
        "class A(nn.LayerNorm):\n    pass",
        "class A(nn.Module):\n    def __call__(self, n):\n        return getattr(self, n)",
    ],
)
def test_attributes_that_a_relative_or_a_layer_of_mlx_may_read_are_kept(other: str) -> None:
    """A subclass, a base class of MLX, and names that are computed."""
    init = "    def __init__(self, width):\n        super().__init__()\n        self.dim = width\n"
    text = other.replace(":\n", f":\n{init}", 1)
    text = f"class A(nn.Module):\n{init}{other}" if other.startswith("class B") else text
    assert without_attributes(text, "width") == ast.unparse(ast.parse(text))
