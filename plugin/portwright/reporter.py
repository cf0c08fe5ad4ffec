"""What `doit port` shows: bars on a terminal, plain lines elsewhere, JSON lines for machines; and the summary.

Doit makes one reporter a run; the stages reach it through `current()`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from doit.reporter import ConsoleReporter

from .errors import PortError, Problem

_CURRENT: list[PortReporter] = []
_PLAIN_EVERY = 10.0  # seconds between two plain progress lines of one task


def current() -> PortReporter | None:
    """Return the reporter of this run, or None outside doit."""
    return _CURRENT[-1] if _CURRENT else None


class PortReporter(ConsoleReporter):  # type: ignore[misc]  # doit ships no types
    """Progress of the stages and the closing summary."""

    desc = "portwright: progress, failures with their fix, summary"

    def __init__(self, outstream: Any, options: dict[str, Any]) -> None:
        super().__init__(outstream, options)
        self.json = False
        self.ran: list[str] = []
        self.fresh: list[str] = []
        self.failed: list[str] = []
        self.blocked: list[str] = []
        self.summaries: list[Any] = []
        self._display: Any = None
        self._started: dict[str, float] = {}
        self._spoke: dict[str, float] = {}
        self._tasks: dict[str, Any] = {}
        self._selected: list[str] = []
        _CURRENT.append(self)

    # -- called by doit ------------------------------------------------------

    def initialize(self, tasks: dict[str, Any], selected_tasks: list[str]) -> None:
        self._tasks, self._selected = tasks, selected_tasks
        group = tasks.get("port")
        self.json = bool(group and group.options and group.options.get("json"))

    def execute_task(self, task: Any) -> None:
        if not task.actions or task.name.startswith("_"):
            return
        self._started[task.name] = time.monotonic()

    def start(self, name: str) -> None:
        """A stage really runs (it was not made meanwhile by another process)."""
        self._started[name] = time.monotonic()
        if self.json:
            self._json(event="start", task=name)
        elif self._rich():
            self._display.start(name)
        else:
            self.write(f"{name} ...\n")
            self._flush()

    def add_success(self, task: Any) -> None:
        if not task.actions:
            return
        seconds = time.monotonic() - self._started.get(task.name, time.monotonic())
        self.ran.append(task.name)
        if self.json:
            self._json(event="done", task=task.name, seconds=round(seconds, 2))
        elif self._display is not None:
            self._display.finish(task.name, f"{seconds:.1f} s")
        else:
            self.write(f"{task.name} done in {seconds:.1f} s\n")
            self._flush()

    def skip_uptodate(self, task: Any) -> None:
        if task.actions:
            self.fresh.append(task.name)
            if self.json:
                self._json(event="up-to-date", task=task.name)

    def add_failure(self, task: Any, fail: Any) -> None:
        if type(fail).__name__ == "UnmetDependency":  # `doit -c` says so of each
            return
        self.failed.append(task.name)
        problems = getattr(fail, "problems", None) or [Problem(task.name, fail.get_msg().strip())]
        if self.json:
            found = [{"where": p.where, "problem": p.problem, "fix": p.hint} for p in problems]
            self._json(event="failed", task=task.name, problems=found)
            return
        if self._display is not None:
            self._display.fail(task.name)
        self._say(
            f"{task.name} failed:\n" + "".join(f"  {str(p).replace(chr(10), chr(10) + '  ')}\n" for p in problems)
        )

    def complete_run(self) -> None:
        if self.failed:
            self.blocked = self._not_reached()
        if self._display is not None:
            self._display.close()
            self._display = None
        if self.json:
            for summary in self.summaries:
                self._json(event="summary", **summary.as_json())
            self._json(event="end", ran=self.ran, up_to_date=self.fresh, failed=self.failed, not_reached=self.blocked)
        else:
            for summary in self.summaries:
                self.write(summary.as_text(self._colour()))
            if self.blocked:
                self.write(f"not reached: {', '.join(self.blocked)}\n")
            if not self.ran and not self.failed and self.fresh:
                count = len(self.fresh)
                self.write(f"up to date: nothing to do ({count} task{'s' if count > 1 else ''} checked)\n")
        for message in self.runtime_errors:
            self.write(f"{message}\n")
        self._flush()

    # -- called by the stages ------------------------------------------------

    def on_event(self, name: str, event: dict[str, Any]) -> None:
        """Show a worker's progress or log event of the task `name`; a summary is kept for the end."""
        if event["event"] == "summary":
            self.summaries.append(event["summary"])
        elif self.json:
            self._json(**{**event, "task": name})
        elif event["event"] == "log":
            self._say(f"{name}: {event['text']}\n")
        elif self._rich():
            self._display.progress(name, event)
        else:
            self._plain_progress(name, event)

    def _not_reached(self) -> list[str]:
        """Return the tasks that were asked for, themselves or by another, and that neither ran nor were up to date."""
        asked, seen = list(self._selected), set[str]()
        while asked:
            name = asked.pop()
            if name not in seen and name in self._tasks:
                seen.add(name)
                asked += self._tasks[name].task_dep
        told = {*self.ran, *self.fresh, *self.failed}
        return [name for name, task in self._tasks.items() if name in seen and task.actions and name not in told]

    # -- output --------------------------------------------------------------

    def _plain_progress(self, name: str, event: dict[str, Any]) -> None:
        now = time.monotonic()
        if now - self._spoke.get(name, self._started.get(name, now)) < _PLAIN_EVERY:
            return
        self._spoke[name] = now
        done, total = event.get("done", 0), event.get("total", 0)
        share = f"{100 * done / total:.0f} %" if total else str(done)
        rate = done / max(now - self._started.get(name, now), 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate and total else ""
        speed = f", {rate / 1e6:.1f} MB/s" if event.get("unit") == "B" else ""
        self.write(f"{name}: {event.get('what', '')} {share}{speed}{left}\n")
        self._flush()

    def _rich(self) -> bool:
        if self._display is None and self._terminal():
            from .display import Display

            self._display = Display(self.outstream, colour=self._colour())
        return self._display is not None

    def _terminal(self) -> bool:
        stream = self.outstream
        return bool(getattr(stream, "isatty", lambda: False)()) and os.environ.get("TERM") != "dumb"

    def _colour(self) -> bool:
        return self._terminal() and not os.environ.get("NO_COLOR")

    def _say(self, text: str) -> None:
        if self._display is not None:
            self._display.print(text)
        else:
            self.write(text)
            self._flush()

    def _json(self, **fields: Any) -> None:
        self.write(json.dumps(fields, ensure_ascii=False) + "\n")
        self._flush()

    def _flush(self) -> None:
        flush = getattr(self.outstream, "flush", None)
        if flush:
            flush()


def print_error(error: PortError) -> None:
    """Print every problem of an error to stderr, without a traceback."""
    for problem in error.problems:
        print(problem, file=sys.stderr)
