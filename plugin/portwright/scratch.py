"""Build a port anew in a temporary folder from what is committed, and hold its committed evidence against that."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from . import canonical
from .errors import ExitCode, PortError, Problem
from .stages.graph import stages_of
from .stages.stage import OnEvent

_COMMITTED = ("port.toml", "port.lock", "port.manifest.json", "port.evidence.json")


def from_scratch(folder: Path, on_event: OnEvent) -> list[Problem]:
    """Return what the committed evidence claims and a new measurement does not give.

    Nothing of `folder` is changed; its build outputs are not used, its hand-edited model.py is. Raises PortError
    where the port cannot be built at all.
    """
    from .evidence import EVIDENCE
    from .gate.fromscratch import compare
    from .stages.context import load

    missing = [name for name in _COMMITTED if not (folder / name).is_file()]
    if missing:
        raise PortError([Problem(name, "there is no such file", "doit port") for name in missing], ExitCode.USAGE)
    port = load(folder / "port.toml")
    committed = canonical.parse_object((folder / EVIDENCE).read_bytes(), EVIDENCE)
    with tempfile.TemporaryDirectory(prefix="portwright-") as scratch:
        place = Path(scratch) / "port"
        _copy_committed(folder, place, port.spec.out, list(port.skill.folders))
        for stage in stages_of(load(place / "port.toml", origin=folder)):
            on_event({"event": "log", "text": f"{stage.name} ..."})
            try:
                stage.execute(on_event)
            except PortError:
                if not stage.name.startswith("port:") or not (place / EVIDENCE).is_file():
                    raise  # a failing verdict is still a measurement; anything else is not
        fresh = canonical.parse_object((place / EVIDENCE).read_bytes(), EVIDENCE)
    return list(compare(committed, fresh))


def _copy_committed(folder: Path, place: Path, out: str, skills: list[Path]) -> None:
    place.mkdir(parents=True)
    shutil.copyfile(folder / "port.toml", place / "port.toml")
    shutil.copyfile(folder / "port.lock", place / "port.lock")
    for skill in skills:
        if not (place / "skills" / skill.name).exists():
            shutil.copytree(skill, place / "skills" / skill.name)
    for source in sorted((folder / out).rglob("model.py")):
        target = place / source.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
