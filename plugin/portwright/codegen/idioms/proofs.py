"""All proved replacements of one program."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import mlx.core as mx

from portwright.codegen.holes import HoleError
from portwright.codegen.idioms.activations import named
from portwright.codegen.idioms.attention import attention_body, proved_attention
from portwright.codegen.idioms.capped_attention import capped_body, proved_capped
from portwright.codegen.idioms.experts import Loop, experts_source, loop_of
from portwright.codegen.idioms.norms import Norm, proved_norms
from portwright.codegen.idioms.offset_norms import offset_norm_body, proved_offset_norms
from portwright.codegen.idioms.rope import Rope, proved_rope
from portwright.codegen.program import Program
from portwright.codegen.runtime.rope import table_body, usable

if TYPE_CHECKING:
    from portwright.codegen.emit.scope import Scope


@dataclass(frozen=True)
class Proofs:
    """What may be written shorter."""

    activations: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    norms: Mapping[str, Norm] = field(default_factory=dict)
    offset_norms: Mapping[str, str] = field(default_factory=dict)
    attention: frozenset[str] = frozenset()
    capped: Mapping[str, str] = field(default_factory=dict)
    rope: Rope = field(default_factory=Rope)
    experts: Mapping[str, Loop] = field(default_factory=dict)

    def source_of(self, scope: Scope) -> list[ast.stmt]:
        """The statements that are translated in the place of a function's own."""
        loop = self.experts.get(scope.trace.fid)
        try:
            return scope.tree.body if loop is None else experts_source(scope, loop)
        except HoleError:
            return scope.tree.body

    def body_of(self, scope: Scope) -> list[ast.stmt] | None:
        """The whole body of a function that is replaced, None for any other."""
        if scope.trace.fid in self.attention:
            return attention_body(scope)
        if scope.trace.fid in self.capped:
            return capped_body(scope)
        return offset_norm_body(scope) if scope.trace.fid in self.offset_norms else table_body(scope)


def prove(program: Program, samples: Mapping[str, mx.array], without: frozenset[str] = frozenset()) -> Proofs:
    """Try every idiom but those named in `without` ("norms", "attention", "rope", "experts")."""
    answers = {k: v for k, v in samples.items() if k.startswith("ramp.")}
    attention = proved_attention(program, samples) if "attention" not in without else frozenset()
    return Proofs(
        activations=named(answers),
        norms=proved_norms(program, samples) if "norms" not in without else {},
        offset_norms=proved_offset_norms(program, samples) if "norms" not in without else {},
        attention=attention,
        capped=proved_capped(program, samples, attention) if "attention" not in without else {},
        rope=usable(program, proved_rope(program, samples)) if "rope" not in without else Rope(),
        experts=expert_loops(program) if "experts" not in without else {},
    )


def expert_loops(program: Program) -> dict[str, Loop]:
    """The loops over experts, by function."""
    found = {fid: loop_of(function) for fid, function in program.functions.items()}
    return {fid: loop for fid, loop in found.items() if loop is not None}


__all__ = ["Norm", "Proofs", "prove"]
