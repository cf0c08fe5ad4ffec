"""A stage of one port: what it reads, what it does, and how it is found to be up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import receipts
from ..errors import PortError, Problem
from ..receipts import Receipt

OnEvent = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Done:
    """What an action leaves: its files (with the blake3 of those hashed on the way) and its result for later stages."""

    files: tuple[Path, ...]
    result: Mapping[str, Any]
    hashes: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One task. `inputs` returns the digest of each thing that the action depends on, by a name that a person
    understands; it reads receipts and small files only, and raises PortError where an earlier stage has not run."""

    name: str  # "remap:minilm:model"
    needs: tuple[str, ...]
    base: Path  # the port's folder: outputs are named relative to it
    receipt_file: Path
    inputs: Callable[[], dict[str, str]]
    run: Callable[[OnEvent], Done]
    doc: str
    repair: Callable[[], None] = lambda: None  # puts back what can be copied, before the check

    def receipt(self) -> Receipt | None:
        return receipts.read(self.receipt_file)

    def result(self) -> Mapping[str, Any]:
        """Return what the finished stage found; raises PortError where it has not run."""
        receipt = self.receipt()
        if receipt is None:
            raise PortError(Problem(self.name, "this stage has not run yet", f"doit {self.name}"))
        return receipt.result

    def stale(self, *, full: bool = False) -> list[str]:
        """Say why the stage must run, one line a reason; an empty list means it is up to date."""
        receipt = self.receipt()
        if receipt is None:
            return ["it has never finished"]
        try:
            self.repair()
            changed = receipts.inputs_changed(receipt, self.inputs())
        except PortError as error:
            return [str(p) for p in error.problems]
        reasons = [f"{name} changed" if name in receipt.inputs else f"{name} is new" for name in changed]
        bad = receipts.damaged(self.receipt_file, receipt, self.base, full=full)
        return reasons + [f"the output {name} is missing or damaged" for name in bad]

    def execute(self, on_event: OnEvent) -> None:
        """Run the action and publish its receipt. The inputs are digested before the action: what changes while it
        runs makes it run again, never pass as done."""
        inputs = self.inputs()
        done = self.run(on_event)
        outputs = receipts.record(self.base, done.files, done.hashes)
        receipts.write(self.receipt_file, Receipt(self.name, inputs, outputs, done.result))
