"""The lint of generated code refuses what Metal cannot run and names that nothing defines."""

from __future__ import annotations

import pytest
from portwright.codegen.lint import metal_lint, undefined_names

CLEAN = "import mlx.core as mx\n\n\ndef f(x):\n    y = x.astype(mx.float32)\n    return [y + i for i in range(3)]\n"


def test_clean_code_has_no_problems() -> None:
    """Code that uses its imports, locals, builtins and comprehension variables passes."""
    assert metal_lint(CLEAN) == []


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("mx.float32", "mx.float64"), "float64 does not exist on Metal"),
        (("range(3)", "range(n)"), "the name n is not defined"),
        (("y = x", "y = mx.linalg.svd(x)[0]; x"), "mx.linalg runs on the CPU only"),
    ],
)
def test_each_fault_is_named_with_its_line(edit: tuple[str, str], said: str) -> None:
    """A fault is one problem that says what it is and where."""
    problems = metal_lint(CLEAN.replace(*edit))
    assert [p.problem for p in problems] == [said]
    assert problems[0].where.startswith("model.py:")


def test_linalg_on_the_cpu_stream_is_fine() -> None:
    """mx.linalg with stream=mx.cpu is what Metal wants."""
    assert metal_lint("import mlx.core as mx\n\n\ndef f(x):\n    return mx.linalg.inv(x, stream=mx.cpu)\n") == []


def test_undefined_names_are_found_in_nested_scopes() -> None:
    """A name that only an inner function reads is found too."""
    assert undefined_names("def f():\n    def g():\n        return missing\n    return g\n") == [("missing", 3)]
