"""What generated code must not contain: names that nothing defines, and what Metal cannot run."""

from __future__ import annotations

import ast
import builtins
import symtable
import sys

from portwright.codegen.quote import stores
from portwright.errors import Problem


def undefined_names(source: str) -> list[tuple[str, int]]:
    """Global names that are read but bound nowhere in the module, with the line of their first use."""
    table = symtable.symtable(source, "model.py", "exec")
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    wanted: set[str] = set()

    def walk(t: symtable.SymbolTable) -> None:
        for s in t.get_symbols():
            if (s.is_referenced() and s.is_global()) or (t is table and s.is_referenced()):
                wanted.add(s.get_name())
        for child in t.get_children():
            walk(child)

    walk(table)
    missing = wanted - bound - set(dir(builtins)) - {"__class__", "__name__", "__file__"}
    missing -= bound_in_holes(source)
    lines = {n.id: n.lineno for n in reversed(list(ast.walk(ast.parse(source)))) if isinstance(n, ast.Name)}
    return sorted((name, lines.get(name, 1)) for name in missing)


def bound_in_holes(source: str) -> set[str]:
    """Names that the source quoted by an open hole would bind: the port raises before anything reads them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            quoted = node.exc.args[0]
            if ast.unparse(node.exc.func) == "NotImplementedError" and isinstance(quoted, ast.Constant):
                try:
                    found |= stores(ast.parse(str(quoted.value)))
                except SyntaxError:
                    continue  # a sentence, not the source of a hole
    return found


def metal_lint(source: str) -> list[Problem]:
    """Problems of a module on Apple's GPUs: float64, `mx.linalg` without the CPU stream, undefined names."""
    problems = [
        Problem(f"model.py:{line}", f"the name {name} is not defined", "define or import it")
        for name, line in undefined_names(source)
    ]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ("float64", "complex128"):
            where = f"model.py:{node.lineno}"
            problems.append(Problem(where, f"{node.attr} does not exist on Metal", "use float32"))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("mx.linalg."):
            streams = [ast.unparse(k.value) for k in node.keywords if k.arg == "stream"]
            if streams != ["mx.cpu"] and not ast.unparse(node.func).endswith(".norm"):
                where = f"model.py:{node.lineno}"
                problems.append(Problem(where, "mx.linalg runs on the CPU only", "give it stream=mx.cpu"))
    return problems


def import_lint(source: str, runtime: str) -> list[Problem]:
    """Imports that a port's users would not have: it runs on mlx and Python alone, or on mlx_lm where it says so."""
    allowed = {"mlx", *sys.stdlib_module_names} | ({"mlx_lm"} if runtime == "mlx-lm" else set())
    problems = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            if name.partition(".")[0] not in allowed:
                told = f"imports {name}, which a port with runtime {runtime!r} does not have"
                problems.append(Problem(f"model.py:{node.lineno}", told, "write it with mlx"))
    return problems
