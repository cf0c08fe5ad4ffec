"""Rotary positions that nothing scales: the reference's own text says that the factor of cos and sin is 1."""

from __future__ import annotations

import ast

from portwright.codegen.facts.returns import assigned, returned_elements, returns_of
from portwright.codegen.idioms.rope import Rope, rotation_of
from portwright.codegen.program import Function, Program
from portwright.codegen.quote import stores


def is_plain(program: Program, rope: Rope) -> bool:
    """Whether every table is unscaled by the reference's own text, and whoever rotates takes it apart itself."""
    apart = all(takes_apart(f, rope) for f in program.functions.values() if f.trace.entered)
    return apart and all(scale is None or is_one(program, fid, scale) for fid, (_, scale) in rope.tables.items())


def takes_apart(function: Function, rope: Rope) -> bool:
    """Whether a function that rotates, if it is one, has cos and sin from an argument that holds both."""
    calls = [n for n in ast.walk(function.tree) if isinstance(n, ast.Call) and rotation_of(function, n, rope)]
    pairs = [{a.id for a in n.args[2:4] if isinstance(a, ast.Name)} for n in calls]
    apart = [
        stores(s.targets[0])
        for s in function.tree.body
        if isinstance(s, ast.Assign) and isinstance(s.value, ast.Name) and s.value.id in function.parameters
        if isinstance(s.targets[0], ast.Tuple)
    ]
    return all(pair in apart for pair in pairs) and len({frozenset(p) for p in pairs}) <= 1


def is_one(program: Program, fid: str, scale: ast.expr) -> bool:
    """Whether a scale is an attribute that the constructor takes from functions which return a literal 1.0 for it."""
    if not (isinstance(scale, ast.Attribute) and isinstance(scale.value, ast.Name)):
        return False
    init = program.functions.get(program.init_of(program.functions[fid].trace.owner))
    found: list[bool] = []
    for node in init.nodes if init is not None else ():
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr == scale.attr:
            found.append(init is not None and gives_one(program, init, node))
    return bool(found) and all(found)


def gives_one(program: Program, init: Function, stored: ast.Attribute) -> bool:
    """Whether the element of a call's result that an attribute gets is 1.0 wherever the called functions return."""
    unpacked = init.parents.get(stored)
    assign = init.parents.get(unpacked) if isinstance(unpacked, ast.Tuple) else None
    if not (isinstance(unpacked, ast.Tuple) and isinstance(assign, ast.Assign) and isinstance(assign.value, ast.Call)):
        return False
    place = unpacked.elts.index(stored)
    callees = [program.functions.get(c.fid) for c in init.seen(assign.value).callees]
    return bool(callees) and all(f is not None and returns_one(f, place) for f in callees)


def returns_one(function: Function, place: int) -> bool:
    for value in returns_of(function):
        elements = returned_elements(function, value)
        if elements is None or place >= len(elements):
            return False
        element = elements[place]
        values = assigned(function, element.id) if isinstance(element, ast.Name) else [element]
        if not values or not all(isinstance(v, ast.Constant) and v.value == 1.0 for v in values):
            return False
    return True
