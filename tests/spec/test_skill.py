"""Skills are found nearest first, extend each other, and are digested by what they say, not by how."""

from __future__ import annotations

from pathlib import Path

import pytest
from portwright.errors import PortError
from portwright.skill import available, load_skill

RULES = 'schema = 1\nlayout = "{layout}"\n[[rule]]\nmatch = "{match}"\nto = "x"\n'


def _skill(folder: Path, name: str, text: str = "schema = 1\n", prose: str = "", **rules: str) -> Path:
    target = folder / "skills" / name
    target.mkdir(parents=True, exist_ok=True)
    (target / "skill.toml").write_text(text)
    if prose:
        (target / "SKILL.md").write_text(prose)
    for layout, content in rules.items():
        (target / f"rules-{layout}.toml").write_text(content)
    return target


def _refused(name: str, directory: Path) -> list[str]:
    with pytest.raises(PortError) as caught:
        load_skill(name, directory)
    return [str(p).replace(f"{directory}/", "") for p in caught.value.problems]


def test_the_nearest_skill_is_found_first(repo: Path) -> None:
    """A port's own Skill comes before the repository's, and that before the built-in one."""
    port = repo / "ports" / "a"
    port.mkdir(parents=True)
    assert load_skill("bert", port).folders[0].parts[-2:] == ("skills", "bert")

    top = _skill(repo, "bert", 'schema = 1\nversion = "2"\n')
    assert load_skill("bert", port).folders == (top,)

    own = _skill(port, "bert", 'schema = 1\nversion = "3"\n')
    assert load_skill("bert", port).folders == (own,)
    assert load_skill("bert", repo).folders == (top,)


def test_skills_above_the_repository_are_not_found(repo: Path) -> None:
    """The search stops at the repository's top."""
    _skill(repo.parent, "outside")

    assert "outside" not in available(repo)
    assert "there is no Skill 'outside'" in _refused("outside", repo)[0]


def test_a_skill_extends_the_built_in_one_of_its_own_name(repo: Path) -> None:
    """`skills/bert` with `extends = "bert"` starts from the built-in bert and overrides key by key."""
    own = _skill(repo, "bert", 'schema = 1\nversion = "9"\nextends = "bert"\n[components.model]\npath = "deep"\n')

    skill = load_skill("bert", repo)

    assert skill.folders[0] == own
    assert len(skill.folders) == 2
    assert skill.version == "9"
    assert skill.components["model"]["path"] == "deep"
    assert skill.components["model"]["reference"] == "transformers:BertModel"


def test_extending_is_transitive_and_keeps_the_base_first(repo: Path) -> None:
    """Rules come base first, so that a later file of a layout overrides rule by rule."""
    for name, base in (("a", ""), ("b", 'extends = "a"\n'), ("c", 'extends = "b"\n')):
        _skill(repo, name, f"schema = 1\n{base}", **{name: RULES.format(layout=name, match=name)})

    skill = load_skill("c", repo)

    assert [folder.name for folder in skill.folders] == ["c", "b", "a"]
    assert [file.path.parent.name for file in skill.rules] == ["a", "b", "c"]


@pytest.mark.parametrize(("names", "circle"), [("a", "a -> a"), ("ab", "a -> b -> a"), ("abc", "a -> b -> c -> a")])
def test_a_circle_is_named(repo: Path, names: str, circle: str) -> None:
    """Skills that extend each other in a circle are refused with the whole circle and the line."""
    for name, base in zip(names, names[1:] + names[0], strict=True):
        _skill(repo, name, f'schema = 1\nextends = "{base}"\n')

    (said,) = _refused("a", repo)

    assert said == (
        f"skills/{names[-1]}/skill.toml:2: extends: Skills extend each other in a circle: {circle}\n"
        "    fix: remove one `extends`"
    )


@pytest.mark.parametrize("name", ["/etc", "../x", "a/b", ".", "", "a\nb", "A"])
def test_a_name_that_is_a_path_is_no_skill(repo: Path, name: str) -> None:
    """Whatever asks for a Skill, its name never leaves the folders of Skills."""
    (repo.parent / "x").mkdir()
    (repo.parent / "x" / "skill.toml").write_text("schema = 1\n")
    (repo / "skills").mkdir()

    assert "there is no Skill" in _refused(name, repo)[0]


def test_every_file_of_a_skill_is_checked_in_one_run(repo: Path) -> None:
    """Problems of skill.toml, of each rules file, and of the Skill that is extended are told together."""
    _skill(repo, "base", "schema = 1\nprobe = 3\n")
    rules = RULES.format(layout="x", match="a.{i}")
    _skill(repo, "top", 'schema = 1\nversion = 3\nextends = "base"\n', one=rules, two="[[rule]\n")
    (repo / "skills/top/SKILL.md").write_bytes(b"caf\xe9\n")

    said = _refused("top", repo)

    assert [line.partition(" ")[0] for line in said] == [
        "skills/top/skill.toml:2:",
        "skills/top/rules-one.toml:5:",
        "skills/top/rules-two.toml:1:",
        "skills/top/SKILL.md:1:",
        "skills/base/skill.toml:2:",
    ]


def test_a_wrong_rule_is_found_again_until_it_is_mended(repo: Path) -> None:
    """Only texts that were right are remembered."""
    folder = _skill(repo, "x", one=RULES.format(layout="x", match="a.{i}"))
    assert _refused("x", repo) == _refused("x", repo)

    (folder / "rules-one.toml").write_text(RULES.format(layout="x", match="a"))
    assert load_skill("x", repo).rules[0].data["layout"] == "x"


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("skill.toml", "schema = 1", "# comment\nschema  =  1", set()),
        ("skill.toml", "[components.model]", "[components.model]\npath = 'x'", {"components"}),
        ("skill.toml", "seed = 1", "seed = 2", {"probes"}),
        ("skill.toml", '"a.*"', '"b.*"', {"quantize"}),
        ("skill.toml", "headroom = 8", "headroom = 9", {"tolerance"}),
        ("rules-one.toml", 'to = "x"', "to = 'x'  # the same", set()),
        ("rules-one.toml", 'to = "x"', 'to = "y"', {"rules"}),
        ("SKILL.md", "Prose", "Other prose", {"prose"}),
        ("SKILL.md", "\n", "\r\n", set()),
    ],
)
def test_each_slice_has_its_own_digest(repo: Path, file: str, old: str, new: str, changed: set[str]) -> None:
    """A digest changes with what a slice says; comments, spacing and line ends are not said."""
    text = (
        "schema = 1\n[components.model]\nkind = 'encoder'\n[probes.model]\nseed = 1\n"
        '[quantize]\nkeep = ["a.*"]\n[tolerance]\nheadroom = 8\n'
    )
    folder = _skill(repo, "x", text, "Prose\n", one=RULES.format(layout="x", match="a"))
    before = load_skill("x", repo).slices()
    content = (folder / file).read_bytes().decode()
    assert old in content
    (folder / file).write_bytes(content.replace(old, new).encode())

    after = load_skill("x", repo).slices()

    assert {name for name in before if before[name] != after[name]} == changed


def test_a_skill_folder_that_is_half_there_is_no_skill(repo: Path) -> None:
    """A folder without skill.toml, and a file beside the Skills, are passed over."""
    (repo / "skills" / "draft").mkdir(parents=True)
    (repo / "skills" / "README.md").write_text("x")

    assert set(available(repo)) == {"bert", "generic", "llama"}
