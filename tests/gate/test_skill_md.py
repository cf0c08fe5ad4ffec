"""A Skill's SKILL.md follows the Agent Skills format, and its rules load, before it may be committed."""

from __future__ import annotations

import pytest
from portrepo import PortRepo
from portwright.gate.files import skill_problems
from portwright.gate.frontmatter import Value, read_frontmatter
from portwright.gate.skill_md import skill_md_problems
from portwright.gate.tree import open_index

GOOD = "---\nname: tiny\ndescription: Port tiny models.\n---\n\n# Tiny\n"
PATH = "skills/tiny/SKILL.md"


def found(text: str | bytes) -> list[str]:
    content = text.encode() if isinstance(text, str) else text
    return [f"{problem.where}: {problem.problem}" for problem in skill_md_problems(PATH, content)]


def test_good_file_has_no_problem() -> None:
    """A name, a description and some prose are enough."""
    assert found(GOOD) == []


def test_frontmatter_reads_the_forms_that_people_use() -> None:
    """Plain, quoted, folded and literal texts, continuation lines, comments and nested metadata are read."""
    front = read_frontmatter(
        "---\n# comment\nname: tiny # trailing\ndescription: >-\n  Two lines\n  folded.\n\n  New paragraph.\n"
        "license: 'it''s'\ncompatibility: goes on\n  over two lines\nmetadata:\n  version: \"1.0\\n\"\n  author: Ada\n"
        "allowed-tools: |\n  Read\n  Bash(git:*)\n---\nBody\n"
    )
    assert {key: value.text for key, value in front.keys.items() if isinstance(value, Value)} == {
        "name": "tiny",
        "description": "Two lines folded.\nNew paragraph.",
        "license": "it's",
        "compatibility": "goes on over two lines",
        "allowed-tools": "Read\nBash(git:*)",
    }
    nested = front.keys["metadata"]
    assert isinstance(nested, dict)
    assert {key: value.text for key, value in nested.items()} == {"version": "1.0\n", "author": "Ada"}
    assert (front.body, front.body_line) == ("Body\n", 19)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Tiny\n", f"{PATH}:1: it does not begin with the line ---"),
        ("---\nname: tiny\n", f"{PATH}:1: the frontmatter has no closing line ---"),
        ("---\nname: tiny\n---\nBody", f"{PATH}:1: the key 'description' is missing"),
        (GOOD.replace("tiny", "other"), f"{PATH}:2: name: the name is 'other', and the folder is 'tiny'"),
        (GOOD.replace("name: tiny", "name: Tiny_1"), f"{PATH}:2: name: 'Tiny_1' is no name for a Skill"),
        (GOOD.replace("name: tiny", "name: a--b"), f"{PATH}:2: name: 'a--b' is no name for a Skill"),
        (GOOD.replace("name: tiny", "name: 12"), f"{PATH}:2: name: 12 is not text in YAML"),
        (GOOD.replace("Port tiny models.", "x" * 1025), f"{PATH}:3: description: it has 1025 characters, at most 1024"),
        (GOOD.replace("Port tiny models.", ""), f"{PATH}:3: description: it is empty"),
        (GOOD.replace("Port tiny models.", "ports: models"), f"{PATH}:3: its value holds a colon and a space"),
        (GOOD.replace("Port tiny models.", "[a, b]"), f"{PATH}:3: a value cannot begin with '[' here"),
        (GOOD.replace("Port tiny models.", "'open"), f"{PATH}:3: the quote is not closed"),
        (GOOD.replace("Port", '"Port" x'), f"{PATH}:3: text follows the closing quote"),
        (GOOD.replace("description", "model: opus\ndescription"), f"{PATH}:3: model: the Agent Skills format does not"),
        (GOOD.replace("description", "name: tiny\ndescription"), f"{PATH}:3: the key 'name' stands twice"),
        (GOOD.replace("description", "metadata:\n  v: 1.0\ndescription"), f"{PATH}:4: metadata.v: 1.0 is not text"),
        (GOOD.replace("description", "metadata: x\ndescription"), f"{PATH}:3: metadata: expected nested keys"),
        (GOOD.replace("description", "metadata:\n  a:\n    b: c\ndescription"), f"{PATH}:4: keys nest deeper"),
        (GOOD.replace("description", "license:\n  a: b\ndescription"), f"{PATH}:3: license: expected text"),
        (GOOD.replace("description", "metadata:\n\ta: b\ndescription"), f"{PATH}:4: a tab indents it"),
        (GOOD.replace("description", "just words\ndescription"), f"{PATH}:3: expected `key: value`"),
        ("---\nname: tiny\ndescription: x\n---\n\n", f"{PATH}:5: it has no text after the frontmatter"),
        (GOOD + "x\n" * 600, f"{PATH}:5: its text has 602 lines"),
        (b"---\nname: \xff\n---\n", f"{PATH}: it is not UTF-8 (byte 10)"),
    ],
)
def test_each_problem_is_named_with_its_line(text: str | bytes, expected: str) -> None:
    """Every rule of the format has its own message."""
    assert any(message.startswith(expected) for message in found(text)), found(text)


def test_skill_folder_is_judged_whole(repo: PortRepo) -> None:
    """A broken SKILL.md, skill.toml and rules file, and references too deep, are all named in one run."""
    repo.write("skills/tiny/SKILL.md", GOOD.replace("name: tiny", "name: other"))
    repo.write("skills/tiny/skill.toml", "schema = 1\nversionn = '1'\n")
    repo.write("skills/tiny/rules.toml", 'schema = 1\nlayout = "x"\n[[rule]]\nmatch = "a.{x"\nto = "b"\n')
    repo.write("skills/tiny/references/deep/a.md", "x")
    repo.git("add", "-A")
    with open_index(repo.path) as tree:
        problems = [f"{problem.where}: {problem.problem}" for problem in skill_problems(tree)]
    starts = [
        "skills/tiny/SKILL.md:2: name: the name is 'other'",
        "skills/tiny/references/deep/a.md: references nest deeper",
        "skills/tiny/skill.toml:2: versionn: unknown key",
        "skills/tiny/rules.toml:",
    ]
    for start in starts:
        assert any(problem.startswith(start) for problem in problems), (start, problems)
    assert len(problems) == len(starts)


def test_skills_of_other_tools_are_left_alone(repo: PortRepo) -> None:
    """A `.claude/skills` folder, or a SKILL.md outside any `skills`, is none of ours."""
    repo.write(".claude/skills/x/SKILL.md", "no frontmatter")
    repo.write("docs/SKILL.md", "no frontmatter")
    repo.git("add", "-A")
    with open_index(repo.path) as tree:
        assert skill_problems(tree) == []
