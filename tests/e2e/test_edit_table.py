"""Which edit makes which tasks run, through real `doit port` on real MiniLM bytes: every row of the table in
docs/design.md, "Data flow"."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.conftest import SecondLayout
from portwright.paths import cache_root
from support.second_layout import SKILL

RULES = f"skills/{SKILL}/rules-original.toml"
SKILL_TOML = f"skills/{SKILL}/skill.toml"
SHARDS = ("ported/model-00001-of-00002.safetensors", "ported/model-00002-of-00002.safetensors")
MODEL = "ported/model.py"


def task(stage: str) -> str:
    return "port:second" if stage == "port" else f"{stage}:second:model"


def _touch(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file() and ".git" not in file.parts:
            os.utime(file)


def _checkout(repo: SecondLayout) -> None:
    """Let git write every committed file anew, as a change of branches does."""
    repo.git("rm", "-r", "-q", "--cached", ".")
    for name in (MODEL, RULES, SKILL_TOML, "port.toml", "port.lock"):
        (repo.path / name).unlink()
    repo.git("reset", "-q", "--hard")


def _move(repo: SecondLayout) -> None:
    """Move the repository."""
    repo.path = Path(shutil.move(repo.path, repo.path.with_name("moved")))


def _move_cache(repo: SecondLayout) -> None:
    """Point to a cache elsewhere that holds the same snapshots."""
    receipt = json.loads((repo.path / ".portwright/receipts/fetch.second.model-golden.json").read_text())
    target = repo.path.with_name("cache")
    for name in receipt["outputs"]:
        file = name.removeprefix("cache:")
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(cache_root() / file, target / file)
    repo.env["PORTWRIGHT_CACHE"] = str(target)


def _cut(name: str) -> Callable[[SecondLayout], None]:
    def cut(repo: SecondLayout) -> None:
        file = repo.path / name
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return cut


def _replace(name: str, old: str, new: str) -> Callable[[SecondLayout], None]:
    return lambda repo: repo.edit(name, old, new)


def _append(name: str, text: str) -> Callable[[SecondLayout], None]:
    def append(repo: SecondLayout) -> None:
        with (repo.path / name).open("a", encoding="utf-8") as stream:
            stream.write(text)

    return append


@dataclass(frozen=True)
class Row:
    """One edit, the stages that it runs, and what of the outputs it leaves in place."""

    name: str
    edit: Callable[[SecondLayout], None]
    runs: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()  # files that are still the same ones, not written again


RETYPED = ("remap", "verify", "port")
CHEAP = (
    Row("prose of a Skill", _append(f"skills/{SKILL}/SKILL.md", "\nMore prose.\n")),
    Row("comment in the rules", _append(RULES, "\n# a comment\n")),
    Row("touch of everything", lambda repo: _touch(repo.path), kept=SHARDS),
    Row("git checkout", _checkout, kept=SHARDS),
    Row("moved repository", _move, kept=SHARDS),
    Row("moved cache", _move_cache, kept=SHARDS),
    Row(
        "a rule that binds to the same moves",
        _replace(RULES, 'sizes = ["hidden_size", "hidden_size", "rest"]', "parts = 3"),
        runs=("bind", "port"),
        kept=SHARDS,
    ),
    Row("headroom", _append(SKILL_TOML, "[tolerance]\nheadroom = 15\n"), runs=("port",), kept=SHARDS),
    Row("headroom too small", _append(SKILL_TOML, "[tolerance]\nheadroom = 0.001\n"), fails=("port",), kept=SHARDS),
    Row("gate", _append("port.toml", '[gate]\nrequire = "accepted"\n'), kept=SHARDS),
    Row("deleted shard", lambda repo: (repo.path / SHARDS[1]).unlink(), runs=("remap",), kept=SHARDS[:1]),
    Row("half-written shard", _cut(SHARDS[0]), runs=("remap",), kept=SHARDS[1:]),
    Row("damaged moves", _cut(".portwright/build/model/moves.json"), runs=("bind",), kept=SHARDS),
    Row("damaged measurements of a finished port", _cut("port.evidence.json"), runs=("port",), kept=SHARDS),
    Row("deleted model.py", lambda repo: (repo.path / MODEL).unlink(), kept=SHARDS),
    Row(
        "rule that claims nothing any more",
        _replace(RULES, "0.auto_model.pooler.dense.{p", "0.auto_model.poler.dense.{p"),
        fails=("bind",),
        kept=SHARDS,
    ),
)
COSTLY = (  # each of these measures the port again: half a minute on two cores
    Row(
        "one rule: key and value exchanged",
        _replace(
            RULES,
            '"encoder.layer.{i}.attention.self.key.{p}",\n  "encoder.layer.{i}.attention.self.value.{p}",',
            '"encoder.layer.{i}.attention.self.value.{p}",\n  "encoder.layer.{i}.attention.self.key.{p}",',
        ),
        runs=("bind", "remap", "verify"),
        fails=("port",),
        kept=SHARDS[:1],  # the embeddings lie there, and no move of theirs changed
    ),
    Row("model.py by hand", _append(MODEL, "\n# by hand\n"), runs=("verify", "port"), kept=SHARDS),
    Row("dtype", _replace("port.toml", 'name = "second"', 'name = "second"\ndtype = "float16"'), RETYPED),
    Row(
        "quantization",
        _append("port.toml", "[quantize]\nbits = 8\n"),
        RETYPED,
    ),
)
ROWS = (*CHEAP, *COSTLY)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_edit_runs_exactly_what_it_touches(second: SecondLayout, row: Row) -> None:
    """After each edit exactly the tasks of the table run, and what needed no rewriting is the same file as before."""
    kept = {name: (second.path / name).stat().st_ino for name in row.kept}
    row.edit(second)

    said = second.port()

    end = said.events[-1]
    assert (sorted(end["ran"]), end["failed"]) == (sorted(map(task, row.runs)), [*map(task, row.fails)]), said.out
    assert (said.code == 0) == (not row.fails)
    assert {name: (second.path / name).stat().st_ino for name in row.kept} == kept
