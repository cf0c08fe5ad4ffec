"""A repository whose source brings its own code, as models with `auto_map` do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

OWN = Path(__file__).parent / "own"
REFERENCE = "modeling_own:OwnModel"
SECRETS = {"HF_TOKEN": "hf_secret", "AWS_SECRET_ACCESS_KEY": "aws_secret", "MY_OWN_PASSWORD": "my_secret"}
CONFIG = {
    "model_type": "own",
    "architectures": ["OwnModel"],
    "auto_map": {"AutoConfig": "configuration_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"},
    "vocab_size": 67,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "scale": 0.5,
}


def weights() -> dict[str, Any]:
    """Random weights by the class's own names."""
    import numpy

    draw = numpy.random.default_rng(5)
    shapes: dict[str, tuple[int, ...]] = {"embed.weight": (67, 32)}
    for layer in ("layers.0", "layers.1"):
        shapes |= {f"{layer}.norm.{name}": (32,) for name in ("weight", "bias")}
        shapes |= {f"{layer}.gate.weight": (32, 32), f"{layer}.gate.bias": (32,), f"{layer}.value.weight": (32, 32)}
    return {key: draw.normal(0, 0.3, shape).astype("float32") for key, shape in shapes.items()}


@dataclass
class OwnRepo:
    """A model repository with the port `own`; `remote_code` is what its port.toml says, None for nothing."""

    path: Path
    remote_code: bool | None = True
    reference: str = REFERENCE
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        source = self.path / "weights"
        shutil.copytree(OWN, source, ignore=shutil.ignore_patterns("__pycache__"))
        (source / "config.json").write_text(json.dumps(CONFIG))
        save_file(weights(), str(source / "model.safetensors"), {"format": "pt"})
        (self.path / "dodo.py").write_text("from portwright.tasks import *\n")
        self.say(self.remote_code)
        self.env = {**os.environ, "PORTWRIGHT_CACHE": str(self.path.parent / "cache"), **SECRETS}
        subprocess.run(["git", "init", "-q", self.path], check=True)

    def say(self, remote_code: bool | None) -> None:
        """Write port.toml."""
        lines = ["schema = 1", 'name = "own"', 'source = "file:weights"', 'skill = "generic"', "[components.model]"]
        lines += [f'reference = "{self.reference}"', 'kind = "encoder"']
        if remote_code is not None:
            lines.append(f"remote_code = {str(remote_code).lower()}")
        (self.path / "port.toml").write_text("\n".join(lines) + "\n")

    def append(self, code: str, file: str = "modeling_own.py") -> None:
        """Add lines to one of the source's Python files."""
        with (self.path / "weights" / file).open("a") as stream:
            stream.write(code)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=self.path, env=self.env, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done
