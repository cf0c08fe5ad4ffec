"""What a run shows: plain lines in a pipe, bars on a terminal, JSON lines for machines, colour only where wanted."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time

import pytest
from portwright.reporter import PortReporter
from support.model_repo import ModelRepo

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
EVENTS = {"start", "done", "up-to-date", "failed", "progress", "log", "summary", "end"}


def _on_a_terminal(repo: ModelRepo, **env: str) -> str:
    """Run `doit port` on a pseudo-terminal of 100 columns and return what it wrote there."""
    main, side = pty.openpty()
    environment = {**repo.env, "TERM": "xterm-256color", "COLUMNS": "100", **env}
    process = subprocess.Popen(
        repo.command("doit", "port"), cwd=repo.path, env=environment, stdin=side, stdout=side, stderr=side,
        start_new_session=True,
    )  # fmt: skip
    os.close(side)
    written, until = b"", time.monotonic() + 60
    while time.monotonic() < until:
        if not select.select([main], [], [], 0.2)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            chunk = os.read(main, 65536)
        except OSError:  # Linux: the other side is closed
            break
        if not chunk:
            break
        written += chunk
    process.wait(timeout=10)
    os.close(main)
    return written.decode()


def test_a_pipe_gets_plain_lines(fresh: ModelRepo) -> None:
    """Without a terminal there is no escape sequence, and each stage has its line with its time."""
    fresh.steer(report="remap")

    said = fresh.doit("port", TERM="xterm-256color")

    assert "\x1b" not in said.out
    assert "\r" not in said.out
    assert re.search(r"^remap:tiny:model done in \d+\.\d s$", said.out, re.MULTILINE)
    assert "remap:tiny:model: half of it is [bold]markup[/bold]\n" in said.out


def test_every_line_of_json_is_json(fresh: ModelRepo) -> None:
    """With --json standard output holds JSON objects of known events only, the summary among them."""
    fresh.steer(report="remap")

    events = fresh.port().events

    assert {event["event"] for event in events} <= EVENTS
    (summary,) = (event for event in events if event["event"] == "summary")
    assert summary["port"] == "tiny"
    progress = [event for event in events if event["event"] == "progress" and event["task"] == "remap:tiny:model"]
    assert [event["done"] for event in progress] == [2_000_000, 4_000_000, 8_000_000]
    assert {event["unit"] for event in progress} == {"B"}


def test_a_terminal_gets_bars_and_every_finished_stage(fresh: ModelRepo) -> None:
    """On a terminal each stage has a line that ends with a tick and its time; the summary follows."""
    fresh.steer(report="remap")

    seen = _on_a_terminal(fresh)
    text = ESCAPE.sub("", seen)

    assert ESCAPE.search(seen)
    for stage in ("fetch", "codegen", "bind", "remap", "capture", "verify"):
        assert f"{stage}:tiny:model" in text
    assert "✓ port:tiny" in text
    assert "half of it is [bold]markup[/bold]" in text
    assert "checks passed on cpu" in text
    assert "Traceback" not in text


def test_no_color_is_respected(fresh: ModelRepo) -> None:
    """NO_COLOR takes colour away, not the bars."""
    assert COLOUR.search(_on_a_terminal(fresh))
    (fresh.path / "ported" / "model.py").write_text("# by hand\n")

    seen = _on_a_terminal(fresh, NO_COLOR="1")

    colours = [code for code in COLOUR.findall(seen) if re.search(r"[34]\d", code)]
    assert colours == []
    assert "verify:tiny:model" in seen


def test_a_dumb_terminal_gets_plain_lines(fresh: ModelRepo) -> None:
    """TERM=dumb is a terminal without escape sequences."""
    seen = _on_a_terminal(fresh, TERM="dumb")

    assert "\x1b" not in seen
    assert "port:tiny done in" in seen


def test_a_failure_on_a_terminal_keeps_its_words(fresh: ModelRepo) -> None:
    """A failed stage shows its problems above the bars, square brackets and all."""
    fresh.steer(fail={"remap": ["the shape [3, 4] is not [4, 3]", "look at [/rules]"]})

    text = ESCAPE.sub("", _on_a_terminal(fresh))

    assert "remap:tiny:model failed:" in text
    assert "the shape [3, 4] is not [4, 3]" in text
    assert "fix: look at [/rules]" in text
    assert "not reached: " in text


class _Stream:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


@pytest.fixture
def reporter(monkeypatch: pytest.MonkeyPatch) -> PortReporter:
    monkeypatch.setattr("portwright.reporter._CURRENT", [])
    return PortReporter(_Stream(), {})


def test_plain_progress_speaks_every_ten_seconds(reporter: PortReporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long work in a pipe gives a line with share, speed and time left each ten seconds, not one for each chunk."""
    now = [100.0]
    monkeypatch.setattr("portwright.reporter.time.monotonic", lambda: now[0])
    reporter.start("fetch:x:model")
    for second in range(1, 31):
        now[0] = 100.0 + second
        event = {"event": "progress", "done": second * 10**7, "total": 10**9, "unit": "B", "what": "model.safetensors"}
        reporter.on_event("fetch:x:model", event)

    assert reporter.outstream.text.splitlines() == [
        "fetch:x:model ...",
        "fetch:x:model: model.safetensors 10 %, 10.0 MB/s, 90 s left",
        "fetch:x:model: model.safetensors 20 %, 10.0 MB/s, 80 s left",
        "fetch:x:model: model.safetensors 30 %, 10.0 MB/s, 70 s left",
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"event": "progress"},
        {"event": "progress", "done": 0, "total": 0, "unit": "B", "what": ""},
        {"event": "progress", "done": 5, "total": 0, "unit": "files"},
        {"event": "progress", "done": 7, "total": 5, "unit": "modules", "what": "x"},
    ],
)
def test_odd_progress_is_no_crash(
    reporter: PortReporter, event: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress without a total, or past it, is shown as well as it can be."""
    now = [0.0]
    monkeypatch.setattr("portwright.reporter.time.monotonic", lambda: now[0])
    reporter.start("x")
    now[0] = 60.0

    reporter.on_event("x", event)

    assert reporter.outstream.text.count("\n") == 2


def test_json_keeps_every_character(reporter: PortReporter) -> None:
    """Names in any script, quotes and line ends survive the JSON lines."""
    reporter.json = True

    reporter.on_event("x", {"event": "log", "text": 'ä "quoted"\nline\u2028end'})

    (line,) = reporter.outstream.text.rstrip("\n").split("\n")
    assert json.loads(line)["text"] == 'ä "quoted"\nline\u2028end'
