"""The build through real `doit`, with stand-ins for the heavy workers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.model_repo import PORT, STAGES, ModelRepo
from support.tiny import BERT, component

PORTS_STAGES = {f"{stage}:tiny:model" for stage in STAGES} | {"port:tiny"}


def _touch_everything(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            os.utime(path)


def test_a_second_run_does_nothing_and_says_so(repo: ModelRepo) -> None:
    """What is built is not built again."""
    said = repo.doit("port")

    assert (said.code, said.out) == (0, "up to date: nothing to do (7 tasks checked)\n")


def test_touching_every_file_runs_nothing(repo: ModelRepo) -> None:
    """New times on sources, outputs, Skills and receipts are no reason."""
    _touch_everything(repo.path)
    _touch_everything(repo.path.parent / "cache")

    assert repo.port().ran == set()


def test_a_moved_cache_and_a_moved_repository_run_nothing(repo: ModelRepo) -> None:
    """Neither the cache's place nor the repository's is an input."""
    top = repo.path.parent
    shutil.move(top / "cache", top / "other cache")
    shutil.move(top / "repo", top / "other repo")

    assert ModelRepo(top / "other repo", top / "other cache").port().ran == set()


@pytest.mark.parametrize(
    ("damage", "how", "ran"),
    [
        ("ported/model.safetensors", "deleted", {"remap:tiny:model"}),
        ("ported/model.safetensors", "cut", {"remap:tiny:model"}),
        ("ported/config.json", "cut", {"remap:tiny:model"}),
        (".portwright/build/model/moves.json", "cut", {"bind:tiny:model"}),
        (".portwright/build/model/measurements.json", "deleted", {"verify:tiny:model"}),
        (".portwright/golden/model/golden.json", "cut", {"capture:tiny:model"}),
        ("ported/portmap.json", "cut", {"codegen:tiny:model"}),
        ("ported/.base/model.py", "deleted", {"codegen:tiny:model"}),
        ("port.manifest.json", "cut", {"port:tiny"}),
        ("port.evidence.json", "deleted", {"port:tiny"}),
        ("port.lock", "deleted", {"port:tiny"}),
    ],
)
def test_a_damaged_output_is_made_again_and_nothing_else(repo: ModelRepo, damage: str, ran: set[str], how: str) -> None:
    """Exactly the task that wrote the output runs, and the output is as it was."""
    file = repo.path / damage
    before = file.read_bytes()
    if how == "deleted":
        file.unlink()
    else:
        file.write_bytes(before[: len(before) // 2])

    said = repo.port()

    assert said.code == 0, said.out
    assert said.ran == ran
    assert file.read_bytes() == before


def test_a_deleted_model_file_is_put_back(repo: ModelRepo) -> None:
    """`model.py` belongs to the person: when it is gone it comes back from the pristine copy, and no task runs."""
    model = repo.path / "ported" / "model.py"
    before = model.read_bytes()
    model.unlink()

    assert repo.port().ran == set()
    assert model.read_bytes() == before


def test_a_receipt_cut_short_runs_its_task_only(repo: ModelRepo) -> None:
    """A receipt that cannot be read vouches for nothing: that task runs, and its equal result stops there."""
    receipt = repo.path / ".portwright" / "receipts" / "remap.tiny.model.json"
    receipt.write_bytes(receipt.read_bytes()[:100])

    assert repo.port().ran == {"remap:tiny:model"}


def test_deleting_doits_own_database_runs_nothing(repo: ModelRepo) -> None:
    """Receipts decide, not doit's state file."""
    for file in (repo.path / ".portwright").glob("doit.db*"):
        file.unlink()

    assert repo.port().ran == set()


@pytest.mark.parametrize("content", [b"", b'{"port:tiny": {'], ids=["empty", "half"])
def test_a_damaged_doit_database_is_no_crash(repo: ModelRepo, content: bytes) -> None:
    """A state file that a kill left half-written is no reason for a traceback, nor for building again."""
    (repo.path / ".portwright" / "doit.db").write_bytes(content)

    said = repo.doit("port")

    assert (said.code, said.out) == (0, "up to date: nothing to do (7 tasks checked)\n")


@pytest.mark.parametrize(
    ("old", "new", "ran"),
    [
        ('skill = "bert"', 'skill = "bert"\ndtype = "float16"', {"remap:tiny:model", "verify:tiny:model", "port:tiny"}),
        ('skill = "bert"', 'skill = "bert"\n[gate]\nrequire = "accepted"', set()),
        ('skill = "bert"', 'skill = "bert"  # a comment', set()),
        ('skill = "bert"', 'skill = "bert"\n[out]\nmax_shard_size = "1GB"', {"remap:tiny:model", "port:tiny"}),
    ],
    ids=["dtype", "gate", "comment", "shards"],
)
def test_an_edit_of_port_toml_runs_what_depends_on_it(repo: ModelRepo, old: str, new: str, ran: set[str]) -> None:
    """Each key reaches the stages that read it, and no other."""
    file = repo.path / "port.toml"
    file.write_text(file.read_text().replace(old, new))

    said = repo.port()

    assert said.code == 0, said.out
    assert said.ran <= PORTS_STAGES
    if ran == {"remap:tiny:model", "verify:tiny:model", "port:tiny"}:  # the stand-in writes equal bytes
        ran = {"remap:tiny:model", "port:tiny"}
    assert said.ran == ran


def test_an_edit_of_model_py_is_verified(repo: ModelRepo) -> None:
    """A person's edit runs verify and what reads it; no code is generated, no weight moved."""
    model = repo.path / "ported" / "model.py"
    model.write_text(model.read_text() + "\n# by hand\n")

    assert repo.port().ran == {"verify:tiny:model", "port:tiny"}
    assert model.read_text().endswith("# by hand\n")


# -- failures ------------------------------------------------------------------------------------------------------


def test_a_failure_is_told_with_its_fix_and_resumes(fresh: ModelRepo) -> None:
    """A failing stage names every problem and the tasks not reached; the next run goes on from there."""
    fresh.steer(fail={"codegen.generate": ["this op is unknown", "report it"]})

    said = fresh.doit("port")

    assert said.code == 1
    assert "codegen:tiny:model failed:\n  reference.py:12: this op is unknown\n      fix: report it\n" in said.out
    assert "  reference.py:40: and this\n" in said.out
    assert "not reached: " in said.out
    assert "TaskFailed" not in said.out + said.err

    fresh.steer()
    again = fresh.port()
    assert again.code == 0
    assert again.ran == PORTS_STAGES - {"fetch:tiny:model"}


def test_a_failure_in_json_has_the_same_problems(fresh: ModelRepo) -> None:
    """With --json each failed task is one object with its problems, and every line is JSON."""
    fresh.steer(fail={"verify.capture": ["no torch", "install it"]})

    events = fresh.port().events

    (failed,) = (event for event in events if event["event"] == "failed")
    assert failed["task"] == "capture:tiny:model"
    assert failed["problems"][0] == {"where": "reference.py:12", "problem": "no torch", "fix": "install it"}
    assert events[-1]["failed"] == ["capture:tiny:model"]
    assert {"verify:tiny:model", "port:tiny"} <= set(events[-1]["not_reached"])


def test_figures_that_diverge_fail_the_port_and_name_the_check(fresh: ModelRepo) -> None:
    """A port whose figures exceed their tolerance fails with measured against tolerance, and keeps failing."""
    fresh.write("diverge", "")

    for _ in range(2):
        said = fresh.doit("port")
        assert said.code == 1
        assert "model/isolate/embeddings" in said.out
        assert "3.0e+00" in said.out
        assert "1.8e-06" in said.out


def test_a_worker_that_crashes_is_quoted(fresh: ModelRepo) -> None:
    """A bug in a worker shows its own last lines, and the run still ends with the reporter's words."""
    fresh.steer(crash="remap")

    done = subprocess.run(
        fresh.command("doit", "port"), cwd=fresh.path, env=fresh.env, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "ValueError: a bug in the worker" in done.stdout
    assert "report it with the text above" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ("schema = 1\nname = 3\n", ["2 problems", "port.toml:2: name: 3 is not a text", "the key 'source' is missing"]),
        ("schema = \n", ["1 problem\nport.toml:1: not valid TOML"]),
        (PORT.format(name="tiny").replace("bert", "brt"), ["port.toml:4: skill: there is no Skill 'brt'"]),
    ],
    ids=["several", "syntax", "skill"],
)
def test_a_wrong_port_toml_stops_doit_with_its_lines(repo: ModelRepo, port: str, said: list[str]) -> None:
    """doit refuses to start, with every problem and its line, and no traceback."""
    repo.write("port.toml", port)

    ran = repo.doit("list")

    assert ran.code == 3
    for text in said[1 if len(said) > 1 else 0 :]:
        assert text in ran.err


def test_without_a_port_the_next_step_is_named(repo: ModelRepo) -> None:
    """A repository without a port.toml is told how to get one."""
    (repo.path / "port.toml").unlink()

    said = repo.doit("port")

    assert said.code == 3
    assert "there is no port.toml here: `portwright init <source>` drafts one" in said.err


def test_a_source_that_is_gone_is_named(repo: ModelRepo) -> None:
    """Deleted weights of a file: source fail the fetch with their path."""
    shutil.rmtree(repo.path / "weights")

    said = repo.doit("port")

    assert said.code == 1
    assert "fetch:tiny:model failed:" in said.out
    assert "there is no file or folder" in said.out


def test_changed_weights_are_refused_while_the_lock_pins_others(repo: ModelRepo) -> None:
    """Other bytes than port.lock pins are not built into a port unasked."""
    file = repo.path / "weights" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")

    said = repo.doit("port")

    assert said.code == 1
    assert "model.safetensors" in said.out
    assert "port.lock" in said.out


def test_a_lock_with_conflict_markers_is_left_to_the_person(repo: ModelRepo) -> None:
    """port.lock pins what may be fetched: a broken one is never replaced unasked."""
    repo.write("port.lock", "<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> other\n")

    said = repo.doit("port")

    assert said.code == 1
    assert "fetch:tiny:model failed:\n  port.lock: not valid JSON" in said.out
    assert "take the committed one (`git checkout port.lock`), or delete it" in said.out


# -- several ports -------------------------------------------------------------------------------------------------


def test_a_port_in_a_folder_is_in_the_same_graph(repo: ModelRepo) -> None:
    """A second port.toml below adds its own tasks; the built one stays built; both have their files beside them."""
    repo.add_port("models/second", "second")

    said = repo.port()

    assert said.code == 0, said.out
    assert said.ran == {task.replace("tiny", "second") for task in PORTS_STAGES}
    for name in ("port.lock", "port.manifest.json", "ported/model.safetensors"):
        assert (repo.path / "models/second" / name).is_file()
    assert repo.doit("port:second").out == "up to date: nothing to do (7 tasks checked)\n"


def test_a_wrong_nested_port_names_its_folder(repo: ModelRepo) -> None:
    """A problem of a nested port, or of a Skill at the top, has the path from where doit runs."""
    repo.write("models/a/port.toml", "schema = 2\n" + PORT.format(name="a").partition("\n")[2])
    repo.write("models/b/port.toml", PORT.format(name="b").replace("bert", "ours"))
    repo.write("skills/ours/skill.toml", "schema = 1\nextend = 3\n")

    said = repo.doit("list")

    assert "\nmodels/a/port.toml:1: schema: this file has format 2" in said.err
    assert "\nskills/ours/skill.toml:2: extend: unknown key 'extend'" in said.err


def test_two_ports_of_one_name_are_refused(repo: ModelRepo) -> None:
    """Task names come from port names, so two alike are refused, and both files are named."""
    repo.add_port("second", "tiny")

    said = repo.doit("list")

    assert said.code == 3
    assert "second/port.toml: the name of port.toml again\n    fix: give each port a name of its own" in said.err


def test_other_folders_of_a_repository_are_not_searched(repo: ModelRepo) -> None:
    """A port.toml in a virtual environment, a hidden or a build folder is not ours to run."""
    for folder in (".venv/a", "env/lib/a", "node_modules/a", "build/a"):
        repo.write(f"{folder}/port.toml", "nonsense")
    repo.write("env/pyvenv.cfg", "")

    assert repo.port().ran == set()


def test_doit_k_works_from_a_subfolder(repo: ModelRepo) -> None:
    """`doit -k port` below the dodo.py finds it, and the tasks are the same."""
    (repo.path / "notes" / "deep").mkdir(parents=True)

    said = repo.run("doit", "-k", "port", "--json", folder="notes/deep")

    assert said.code == 0, said.err
    assert said.ran == set()
    assert len(said.events[-1]["up_to_date"]) == 7


def test_the_loader_gives_the_same_tasks(repo: ModelRepo) -> None:
    """`[tool.doit] loader = "portwright"` in pyproject.toml stands for the two-line dodo.py."""
    from_dodo = repo.doit("list", "--all", "--status")
    (repo.path / "dodo.py").unlink()
    repo.write("pyproject.toml", '[tool.doit]\nloader = "portwright"\n')

    from_loader = repo.doit("list", "--all", "--status")

    assert from_loader.out == from_dodo.out != ""
    assert repo.doit("port").out == "up to date: nothing to do (7 tasks checked)\n"
    assert repo.doit().out == "up to date: nothing to do (7 tasks checked)\n"


def test_the_list_reads_like_the_diagram(repo: ModelRepo) -> None:
    """`doit list --all` names the stages in the order in which data flows."""
    names = [line.split()[0] for line in repo.doit("list", "--all").out.splitlines()]

    assert [name for name in names if ":" not in name] == [*STAGES, "port"]


def test_a_pipeline_runs_each_component(fresh: ModelRepo) -> None:
    """Several components give tasks and folders of their own."""
    (fresh.path / "port.toml").write_text(
        PORT.format(name="two").replace("bert", "generic")
        + '[components.encoder]\npath = "encoder"\nreference = "transformers:BertModel"\n'
        + '[components.other]\npath = "other"\nreference = "transformers:BertModel"\n'
    )
    for name in ("encoder", "other"):
        component(fresh.path / "weights" / name, BERT)

    said = fresh.port()

    assert said.code == 0, said.out
    assert {f"{stage}:two:{name}" for stage in STAGES for name in ("encoder", "other")} < said.ran
    assert (fresh.path / "ported/encoder/model.py").is_file()
    assert (fresh.path / "ported/other/model.safetensors").is_file()


def test_a_variant_of_the_same_weights_is_passed_over(fresh: ModelRepo) -> None:
    """`model.fp16.safetensors` beside `model.safetensors` holds the same tensors again: the plain file is ported."""
    component(fresh.path / "weights", weights="model.fp16.safetensors")
    component(fresh.path / "weights", weights="model.non_ema-00001-of-00001.safetensors")

    said = fresh.doit("port")

    assert said.code == 0, said.out
    assert "1 keys -> 1 parameters" in said.out


def test_a_rule_of_one_component_leaves_the_others_alone(fresh: ModelRepo) -> None:
    """A rule that claims keys of one component binds both anew, and moves the weights of that one only."""
    (fresh.path / "port.toml").write_text(
        PORT.format(name="two").replace("bert", "own")
        + '[components.encoder]\npath = "encoder"\nreference = "transformers:BertModel"\n'
        + '[components.other]\npath = "other"\nreference = "transformers:BertModel"\n'
    )
    component(fresh.path / "weights" / "encoder", BERT, key="old.weight")
    component(fresh.path / "weights" / "other", BERT)
    rules = 'schema = 1\nlayout = "own"\n[[rule]]\nmatch = "old.weight"\nto = "embeddings.weight"\n'
    fresh.write("skills/own/skill.toml", "schema = 1\n")
    fresh.write("skills/own/rules.toml", rules)
    said = fresh.port()
    assert said.code == 0, said.out
    square = "ops = [{ reshape = [4, 3] }, { transpose = [1, 0] }]\n"
    fresh.write("skills/own/rules.toml", rules.replace("to =", f"{square}to ="))

    ran = fresh.port().ran

    assert {"bind:two:encoder", "bind:two:other", "remap:two:encoder", "verify:two:encoder"} <= ran
    assert not ran & {"remap:two:other", "verify:two:other", "capture:two:encoder", "codegen:two:encoder"}


def test_threads_build_the_same(fresh: ModelRepo) -> None:
    """`doit -n N port` gives the same files."""
    fresh.add_port("second", "second")

    said = fresh.doit("-n", "3", "port")

    assert said.code == 0, said.out + said.err
    assert fresh.port().ran == set()


# -- two at once, and interruptions --------------------------------------------------------------------------------


def _wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 20
    while not (file.is_file() and file.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "the stage did not start"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _start(repo: ModelRepo, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        repo.command("doit", "port", *words), cwd=repo.path, env=repo.env, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def test_a_second_doit_waits_and_finds_the_work_done(fresh: ModelRepo) -> None:
    """Two `doit port` at once: the second says that it waits, then builds nothing itself."""
    fresh.steer(sleep={"codegen.observe": 1.5})
    first = _start(fresh)
    _wait_for(fresh.path / "worker.pid", first)

    second = fresh.doit("port")
    out, err = first.communicate(timeout=30)

    assert first.returncode == 0, out + err
    assert second.code == 0, second.out
    assert "another process is building this port: waiting for it" in second.out
    assert "codegen:tiny:model ..." not in second.out
    assert fresh.port().ran == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["int", "term", "kill"])
def test_an_interrupted_stage_leaves_no_worker_and_resumes(fresh: ModelRepo, number: signal.Signals) -> None:
    """Ctrl-C or a kill in the middle of a stage: no traceback, no worker left, and the next run goes on from there."""
    fresh.steer(sleep={"remap": 30})
    process = _start(fresh)
    _wait_for(fresh.path / "worker.pid", process)
    worker = int((fresh.path / "worker.pid").read_text())

    process.send_signal(number)
    out, err = process.communicate(timeout=20)

    assert process.returncode != 0
    assert "Traceback" not in out + err
    if number == signal.SIGINT:
        assert "interrupted: what is finished is kept; `doit port` goes on from there" in err
    until = time.monotonic() + 5
    while _alive(worker) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _alive(worker)

    fresh.steer()
    again = fresh.port()
    assert again.code == 0, again.out
    assert "remap:tiny:model" in again.ran
    assert not again.ran & {"fetch:tiny:model", "codegen:tiny:model", "bind:tiny:model"}
