"""A port may import mlx and Python's own modules, and nothing that its users would have to install."""

import pytest
from portwright.codegen.lint import import_lint


@pytest.mark.parametrize(
    "line", ["import math", "import mlx.core as mx", "from mlx import nn", "from dataclasses import field"]
)
def test_what_every_user_has_passes(line: str) -> None:
    """mlx and the standard library are always there."""
    assert import_lint(line, "standalone") == []


@pytest.mark.parametrize(
    "line", ["import torch", "from transformers import BertModel", "import numpy as np", "import mlx_lm"]
)
def test_other_packages_are_refused_with_their_line(line: str) -> None:
    """The message names the file's line and the package."""
    (problem,) = import_lint(f"import math\n{line}\n", "standalone")
    assert problem.where == "model.py:2"
    assert line.split()[1] in problem.problem


def test_mlx_lm_is_allowed_where_the_runtime_says_so() -> None:
    """The mlx-lm runtime brings its package."""
    assert import_lint("from mlx_lm.models.base import BaseModelArgs", "mlx-lm") == []
