"""Every file below tests/files is a test: a positive one loads, a negative one is refused with exactly its message."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import filecases

REWRITE = "`python -m tests.files.update` writes it"


def _name(case: Path) -> str:
    return case.relative_to(filecases.ROOT).as_posix()


@pytest.mark.parametrize("case", filecases.cases("positive"), ids=_name)
def test_a_positive_file_loads(case: Path) -> None:
    """A file in positive/ is read without a problem."""
    assert filecases.said(case) == ""


@pytest.mark.parametrize("case", filecases.cases("negative"), ids=_name)
def test_a_negative_file_is_refused_with_its_message(case: Path) -> None:
    """A file in negative/ is refused with every line of its .expected, and with no other."""
    said = filecases.said(case)

    assert said, "nothing is wrong with this file"
    expected = filecases.expected_file(case)
    assert expected.is_file(), f"there is no {expected.name}; {REWRITE}. This was said:\n{said}"
    assert said == expected.read_text(encoding="utf-8")


def test_no_expected_text_is_left_without_its_file() -> None:
    """Each .expected stands beside the file that it belongs to."""
    lonely = [p for p in filecases.ROOT.rglob("*.expected") if not p.with_suffix("").is_file()]

    assert lonely == []


@pytest.mark.parametrize("kind", filecases.KINDS)
def test_every_kind_of_file_has_cases(kind: str) -> None:
    """Each kind of file has positive and negative cases."""
    for sign in ("positive", "negative"):
        assert any(case.parent.name == kind for case in filecases.cases(sign)), sign


def test_every_message_says_where_and_what_to_do() -> None:
    """Each problem of the negative files begins with its file, and has a fix."""
    for case in filecases.cases("negative"):
        lines = filecases.said(case).splitlines()
        problems = [line for line in lines if not line.startswith("    fix: ")]
        fixes = len(lines) - len(problems)
        assert len(problems) == fixes, f"{_name(case)}:\n" + "\n".join(lines)
