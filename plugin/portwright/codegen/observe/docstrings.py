"""What the reference says of its classes in their source: decorators may have written something else into `__doc__`."""

from __future__ import annotations

import ast
import functools
import sys
import types
from pathlib import Path

from portwright.codegen.source import summary


def class_summary(cls: type) -> str:
    """The first paragraph of a class's docstring, "" where its source says nothing or cannot be read."""
    codes = [f.__code__ for f in vars(cls).values() if isinstance(f, types.FunctionType)]
    files = [getattr(sys.modules.get(cls.__module__), "__file__", None), *[c.co_filename for c in codes]]
    file = next((f for f in files if f and Path(f).suffix == ".py" and Path(f).is_file()), "")
    return file_summaries(file).get(cls.__qualname__, "") if file else ""


@functools.cache
def file_summaries(file: str) -> dict[str, str]:
    """The summaries of a file's classes, by their qualified names."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    found: dict[str, str] = {}

    def add(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                found[prefix + node.name] = summary(node)
                add(node.body, f"{prefix}{node.name}.")

    add(tree.body, "")
    return found
