"""Progress bars for a terminal: one line a running task, with bytes a second and the time left."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Display:
    """The live part of the screen while tasks run; `close` leaves the finished lines in place."""

    def __init__(self, stream: Any, *, colour: bool) -> None:
        self._console = Console(file=stream, no_color=not colour, highlight=False)
        self._bars = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.fields[name]:<28}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figure]:<34}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._bars.start()

    def start(self, name: str) -> None:
        self._tasks[name] = self._bars.add_task("", total=None, name=name, figure="")

    def progress(self, name: str, event: dict[str, Any]) -> None:
        if name not in self._tasks:
            self.start(name)
        done, total, what = event.get("done", 0), event.get("total") or None, str(event.get("what", ""))
        task = self._tasks[name]
        self._bars.update(task, completed=done, total=total)
        if event.get("unit") == "B":
            speed = next(t.speed for t in self._bars.tasks if t.id == task)
            rate = f"{speed / 1e6:6.1f} MB/s " if speed else ""
            figure = f"{rate}{what}"
        else:
            figure = f"{done}/{total} {event.get('unit', '')} {what}" if total else what
        self._bars.update(task, figure=figure[:34])

    def finish(self, name: str, figure: str) -> None:
        if name in self._tasks:
            self._bars.update(self._tasks[name], total=1, completed=1, figure=figure)

    def fail(self, name: str) -> None:
        if name in self._tasks:
            self._bars.update(self._tasks[name], figure="failed")
            self._bars.stop_task(self._tasks[name])

    def print(self, text: str) -> None:
        self._console.print(text.rstrip("\n"), markup=False)

    def close(self) -> None:
        self._bars.stop()
