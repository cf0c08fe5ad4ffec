"""The inputs that activations are asked about: dense around zero, and far out, where clipped ones differ."""

from __future__ import annotations

FAR = (6.5, 8.0, 12.0, 21.0, 50.0, 300.0)
RAMP = tuple(sorted([i / 4 for i in range(-20, 21)] + [*FAR] + [-x for x in FAR]))
