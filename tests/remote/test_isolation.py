"""What code that comes with a model's weights can do in the process that runs it: nothing outside of its folder."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ownrepo import SECRETS
from portwright.errors import ExitCode, PortError
from portwright.remote.environment import scrubbed
from portwright.warm import VARIABLE
from portwright.workers import run_worker

HERE = Path(__file__).parent
MISCHIEF = HERE / "mischief.py"


@pytest.fixture
def job(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A job whose code tries everything, on a machine where it would all work."""
    for name in ("home", "outside", "allowed"):
        (tmp_path / name).mkdir()
    (tmp_path / "home" / "token").write_text("hf_secret")
    (tmp_path / "home" / "weights").write_text("an input of the job")
    for name in ("kept", "spare"):
        (tmp_path / "outside" / name).write_text("as it was")
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield {
            "port": server.getsockname()[1],
            "outside": str(tmp_path / "outside"),
            "weights": str(tmp_path / "home" / "weights"),
            "secret": str(tmp_path / "home" / "token"),
            "allowed": str(tmp_path / "allowed"),
            "remote_code": {
                "folder": str(HERE),
                "files": {"mischief.py": hashlib.sha256(MISCHIEF.read_bytes()).hexdigest()},
                "writable": [str(tmp_path / "allowed")],
                "readable": [str(MISCHIEF)],
                "home": str(Path.home()),
            },
        }


@pytest.fixture
def steered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets in the environment, the worker on the path, and a warm server that must not be asked."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv(VARIABLE, "there is no such socket")


def layer(job: dict[str, Any], code: str) -> dict[str, Any]:
    """Let the code try everything under one layer alone, or none."""
    program = f"import json, sys\nfrom portwright.remote import guard, kernel\n{code}\nimport mischief\n"
    program += "print(json.dumps(mischief.everything(json.loads(sys.argv[1]))))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", program, json.dumps(job)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(found: dict[str, str]) -> bool:
    return all(said.startswith("refused") for said in found.values())


def test_all_of_it_works_without_isolation(job: dict[str, Any]) -> None:
    """The mischief is real: in a plain process every attempt succeeds."""
    found = layer(job, "")

    assert set(found["native"].values()) == {"done"}
    assert {name for name, said in found["python"].items() if said != "done"} <= {
        "resolve"
    }  # a machine may know no names
    assert found["allowed"] == "done"


def test_python_alone_refuses_all_that_goes_through_it(job: dict[str, Any]) -> None:
    """Where the kernel gives nothing, sockets, programs, and changes of files are still refused by an audit hook."""
    found = layer(job, f"guard.install([{job['allowed']!r}])")

    assert refused(found["python"]), found["python"]
    assert found["allowed"] == "done"
    assert sorted(p.name for p in Path(job["outside"]).iterdir()) == ["kept", "spare", "written natively"]


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces and Landlock are Linux's")
def test_the_kernel_alone_refuses_native_code(job: dict[str, Any], tmp_path: Path) -> None:
    """Network, programs, other processes and files are closed below Python."""
    code = "from pathlib import Path\nheld = kernel.no_network(), kernel.no_files("
    code += f"[Path({job['allowed']!r})], [Path(p) for p in [*sys.path, {job['weights']!r}] if p], "
    code += f"Path({str(tmp_path / 'home')!r}))\n"
    program = f"import sys\nfrom portwright.remote import kernel\n{code}print(held)"
    probe = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    if probe.stdout.strip() != "(True, True)":
        pytest.skip(f"this kernel refuses to: {probe.stdout}")
    found = layer(job, code)

    assert refused(found["native"]), found["native"]
    assert found["allowed"] == found["weights"] == "done"
    assert sorted(p.name for p in Path(job["outside"]).iterdir()) == ["kept", "spare"]


@pytest.mark.usefixtures("steered")
def test_a_job_with_a_source_s_code_runs_isolated(job: dict[str, Any]) -> None:
    """`run_worker` itself isolates such a job: no sockets, no programs, no writing, no secrets, and no warm server."""
    log: list[str] = []
    found = run_worker("mischiefworker", job, on_event=lambda event: log.append(str(event.get("text"))))["found"]

    assert refused(found["python"]), found["python"]
    assert found["allowed"] == "done"
    told = json.dumps(found["environment"])
    assert not [value for value in SECRETS.values() if value in told]
    assert found["home"] != str(Path.home())
    assert found["environment"]["HF_HUB_OFFLINE"] == "1"
    assert "the source's own code runs isolated" in log[0]
    assert (Path(job["outside"]) / "kept").read_text() == "as it was"


@pytest.mark.usefixtures("steered")
def test_a_changed_byte_is_refused_before_it_runs(job: dict[str, Any]) -> None:
    """What is imported is what was pinned, even if the file changed after it was fetched."""
    job["remote_code"]["files"]["mischief.py"] = "0" * 64
    with pytest.raises(PortError, match=r"mischief\.py: its bytes are not the pinned ones.*it was not run") as caught:
        run_worker("mischiefworker", job)

    assert caught.value.code == ExitCode.SOURCE


def test_only_known_names_of_the_environment_pass() -> None:
    """The list names what passes, so that a secret needs no known name to be kept back."""
    outer = {"LANG": "C.UTF-8", "HF_TOKEN": "a", "SSH_AUTH_SOCK": "b", "http_proxy": "c", "PATH": "d", "HOME": "e"}
    inner = scrubbed(outer, Path("private"))

    assert inner["LANG"] == "C.UTF-8"
    assert inner["HOME"] == inner["TMPDIR"] == "private"
    assert not {"HF_TOKEN", "SSH_AUTH_SOCK", "http_proxy", "PATH"} & set(inner)
