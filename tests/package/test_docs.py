"""What the documents say is there, is fresh, and can be typed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "skills").rglob("*.md")])
README = ROOT / "README.md"
_FENCE = re.compile(r"^```.*?^```\s*$", re.MULTILINE | re.DOTALL)


def first_block(heading: str) -> str:
    """Return the first ```bash block under a heading of the README."""
    text = README.read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no heading {heading!r}"
    block = re.search(r"^```bash\n(.*?)^```$", found[1], re.MULTILINE | re.DOTALL)
    assert block, f"no bash block under {heading!r}"
    return block[1]


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    heads = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.replace("`", "").lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_resolve(page: Path) -> None:
    """Every relative link names a file of the repository, and every anchor a heading."""
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for target in re.findall(r"!?\[[^\]]*\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)

    assert broken == []


@pytest.mark.parametrize("heading", ["First port", "Tests"])
def test_the_two_commands_are_one_line_each(heading: str) -> None:
    """The command under each heading is one line that bash can parse and that needs python3, git and pip only."""
    block = first_block(heading)

    assert block.count("\n") == 1
    assert subprocess.run(["bash", "-n", "-c", block], check=False).returncode == 0
    assert re.match(r"python3 -m venv |\[ -x |test -x ", block)


def test_the_files_that_the_readme_names_exist() -> None:
    """A path in the README's text that looks like one of this repository is one."""
    text = README.read_text(encoding="utf-8")
    named = re.findall(r"`((?:docs|examples|skills|schemas|benchmarks|plugin|tests|\.ci)/[\w./-]+)`", text)

    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_generated_pages_are_fresh() -> None:
    """docs/cli.md and docs/files.md are what `python docs/generate.py` writes."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_hooks_yaml_is_fresh() -> None:
    """.pre-commit-hooks.yaml is what `python -m portwright.hooks` writes."""
    done = subprocess.run([sys.executable, "-m", "portwright.hooks"], capture_output=True, text=True, check=True)

    assert (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8") == done.stdout


def test_every_exit_code_is_in_the_readme() -> None:
    """The README's table of exit codes has each code of `errors.ExitCode`."""
    from portwright.errors import ExitCode

    text = README.read_text(encoding="utf-8")
    assert [int(code) for code in ExitCode if f"| {int(code)} |" not in text] == []


def test_the_picture_is_a_whole_run() -> None:
    """The README's picture is well-formed, loads nothing, and ends as `doit port` does."""
    (picture,) = (ROOT / "docs" / "assets").glob("*.svg")
    text = picture.read_text(encoding="utf-8")
    shown = " ".join("".join(ElementTree.fromstring(text).itertext()).replace("\N{NO-BREAK SPACE}", " ").split())

    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "$ doit port" in shown
    assert re.search(r"\d+ of \d+ checks passed on cpu; metal: not run", shown)
