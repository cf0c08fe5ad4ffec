"""Rules files: the schema, the examples in the docs, the built-in Skills, and all problems of a folder at once."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest
from portwright.errors import ExitCode, PortError
from portwright.resources import data_dir
from portwright.rules.load import load_rules, parse_rules
from portwright.schema import load_schema

ROOT = Path(__file__).parents[2]


def test_the_schema_is_a_schema() -> None:
    """It is valid draft 2020-12, and refuses what it does not know at every level."""
    schema = load_schema("rules")
    jsonschema.Draft202012Validator.check_schema(schema)
    objects = [schema, *(schema["$defs"][name] for name in ("rule", "drop", "restore", "op", "join"))]
    assert all(body["additionalProperties"] is False for body in objects)


def test_every_example_of_the_docs_is_read() -> None:
    """The rules that docs/rules.md shows are rules."""
    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/rules.md").read_text(encoding="utf-8"), re.DOTALL)
    rules = parse_rules(example.encode(), "rules.toml")
    assert (rules.layout, len(rules.rules), list(rules.tables), list(rules.sizes)) == ("ldm", 1, ["down"], ["inner"])


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in data_dir("skills").glob("*/rules*.toml")))
def test_the_rules_of_every_built_in_skill_are_read(folder: str) -> None:
    """No Skill that we ship has a problem in its rules."""
    assert load_rules(data_dir("skills") / folder)


def test_all_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    """One run tells of each file's problems, with its line, and of a layout that two files claim."""
    (tmp_path / "rules.toml").write_text('schema = 1\n[[rule]]\nmatch = "a{"\nto = "a"\n[[rule]]\nmatch = "b"\n')
    (tmp_path / "rules-one.toml").write_text('schema = 1\nlayout = "x"\n')
    (tmp_path / "rules-two.toml").write_text('schema = 1\nlayout = "x"\n[sizes]\n')
    (tmp_path / "rules-three.toml").write_text('schema = 1\n[sizes]\na = "import os"\n[table.t]\n1 = [0]\n2 = [0]\n')
    with pytest.raises(PortError) as caught:
        load_rules(tmp_path)
    wheres = [problem.where for problem in caught.value.problems]
    assert wheres == [
        "rules-three.toml:6: table.t.2",
        "rules-three.toml:3: sizes.a",
        "rules.toml:3: rule.0.match",
        "rules.toml:5: rule.1",
        "rules-two.toml",
    ]
    assert "'x' is also that of rules-one.toml" in caught.value.problems[-1].problem
    assert caught.value.code == ExitCode.USAGE


def test_a_folder_without_rules_is_no_error(tmp_path: Path) -> None:
    """A Skill may leave the library's own layout without any rules file."""
    assert load_rules(tmp_path) == ()
