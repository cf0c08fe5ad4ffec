"""The gate lets a proven port through, and says exactly what is wrong with any other."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from portrepo import MODEL, PORT, D, PortRepo
from portwright import canonical
from portwright.contribute.accept import acceptance_record
from portwright.errors import PortError

REBUILD = "doit port:minilm, then git add port.* ported"
HOLE = {"where": "Tiny.forward", "reason": "einsum over a list", "source": "torch.einsum(x)"}
QUIET = '[out]\ncommit_code = false\n[gate]\nrequire = "evidence"\n'


def blocked(port: PortRepo, **environ: str) -> list[str]:
    """The problems that the gate names, without their commands."""
    judgement = port.gate(environ=environ)
    assert judgement.blocked, judgement.lines
    return [line.split("\n")[0] for line in judgement.lines[:-1]]


def commands(port: PortRepo) -> set[str]:
    return {line.split("\n    fix: ")[1] for line in port.gate().lines[:-1]}


def test_good_port_passes_and_says_what_was_not_run(port: PortRepo) -> None:
    """A port whose files agree is let through, with the devices that nobody measured on."""
    judgement = port.gate()
    assert judgement.lines == (f"minilm: {port.count()} checks hold on cpu; metal: not run",)
    assert not judgement.blocked


def test_repository_without_a_port_passes(repo: PortRepo) -> None:
    """The hook may be installed before the first port is there."""
    assert repo.gate().lines == ("no port.toml in the index: nothing to judge",)


def test_edited_model_blocks_with_both_digests_and_the_command(port: PortRepo) -> None:
    """A model.py that changed after it was measured is named with file, digests and command."""
    port.write("ported/model.py", "import mlx.core as mx\n")
    port.git("add", "-A")
    assert port.gate().lines == (
        "ported/model.py: it changed after it was measured "
        "(sha256:bcd51628793a was measured, sha256:cb25b0385927 is here)\n"
        f"    fix: {REBUILD}",
        "1 problem in the index; 1 of 1 port blocked",
    )


@pytest.mark.parametrize(
    "name", ["port.lock", "port.manifest.json", "port.evidence.json", "ported/model.py", "ported/.base/model.py",
             "ported/config.json", "ported/portmap.json"],
)  # fmt: skip
def test_each_missing_file_is_named_and_git_add_mends_it(port: PortRepo, name: str) -> None:
    """A file that lies in the working tree only needs `git add`; one that is gone needs a rebuild."""
    port.git("rm", "-q", "--cached", name)
    assert blocked(port) == [f"{name}: it is missing from the index"]
    assert commands(port) == {f"git add {name}"}
    (port.path / name).unlink()
    assert commands(port) == {REBUILD}


def test_rebuilt_but_unstaged_files_only_need_git_add(port: PortRepo) -> None:
    """After `doit port`, what is left to do is to stage: the files are named."""
    port.write("ported/model.py", MODEL + "# mended\n")
    port.git("add", "-A")
    port.prove()
    assert commands(port) == {"git add port.evidence.json port.manifest.json"}


def test_every_problem_of_every_port_is_told_in_one_run(port: PortRepo) -> None:
    """Two ports with a problem each are both blocked, each with its own command."""
    port.add_port("vision/vit/", name="vit")
    port.git("add", "-A")
    port.git("rm", "-q", "port.lock", "-f")
    port.git("rm", "-q", "vision/vit/port.evidence.json", "-f")
    assert blocked(port) == ["port.lock: it is missing from the index",
                             "vision/vit/port.evidence.json: it is missing from the index"]  # fmt: skip
    assert commands(port) == {REBUILD, "doit port:vit, then git add vision/vit"}


def test_port_with_several_components_keeps_each_in_its_folder(repo: PortRepo) -> None:
    """Files, golden and checks of a component carry its name."""
    toml = PORT.format(name="pipe", version="1.0") + '[components.vae]\npath = "tiny/model"\n'
    toml = toml.replace("components.model", "components.unet") + 'reference = "tinymodels:Tiny"\nkind = "encoder"\n'
    for component in ("unet", "vae"):
        repo.write(f"ported/{component}/model.py", MODEL)
        repo.write(f"ported/{component}/.base/model.py", MODEL)
        repo.write(f"ported/{component}/config.json", "{}\n")
        repo.write(f"ported/{component}/portmap.json", '{"schema": 1, "params": {}, "modules": {}, "holes": []}\n')
    repo.write("port.toml", toml)
    repo.lock()
    repo.prove(weights={"unet/model.safetensors": D, "vae/model.safetensors": D})
    repo.git("add", "-A")
    assert repo.gate().lines == (f"pipe: {repo.count()} checks hold on cpu; metal: not run",)
    repo.write("ported/vae/config.json", '{"a": 1}\n')
    repo.git("add", "-A")
    assert [line.split(" (")[0] for line in blocked(repo)] == [
        "ported/vae/config.json: it changed after it was measured"
    ]


def test_failing_check_is_named_with_figure_and_tolerance(port: PortRepo) -> None:
    """A figure above its tolerance is blocked, though tool and seal are in order."""
    port.prove(changes={"isolate/layer.0": {"value": 9.9e-4}, "coverage/keys": {"value": 2}})
    port.git("add", "-A")
    assert blocked(port) == [
        "port.evidence.json: cpu: model/coverage/keys: it fails: 2 mismatches, none allowed",
        "port.evidence.json: cpu: model/isolate/layer.0: it fails: rel_l2 9.9e-04 > 16 x 1.1e-07 = 1.8e-06",
    ]
    assert commands(port) == {f"mend model.py or the Skill, then {REBUILD}"}


def test_figure_that_overflowed_fails_and_is_no_traceback(port: PortRepo) -> None:
    """A port that gives NaN or Infinity is measured as the greatest figure there is."""
    port.prove(changes={"isolate/layer.0": {"value": float("nan")}, "isolate/layer.1": {"value": float("inf")}})
    port.git("add", "-A")
    assert [line.split(" > ")[0] for line in blocked(port)] == [
        "port.evidence.json: cpu: model/isolate/layer.0: it fails: rel_l2 9.9e+99",
        "port.evidence.json: cpu: model/isolate/layer.1: it fails: rel_l2 9.9e+99",
    ]


def test_check_that_was_not_run_is_no_pass_unless_it_only_records(port: PortRepo) -> None:
    """A required check without a figure blocks, with its reason; a speed without one does not."""
    port.prove(changes={"long/positions": None, "speed/forward": None})
    port.git("add", "-A")
    assert blocked(port) == [
        "port.evidence.json: cpu: model/long/positions: it was not run, and that is no pass: the probe needs torch"
    ]


def test_one_device_may_lack_a_check_that_another_ran(port: PortRepo) -> None:
    """A Mac without the source cannot recount its bytes; the run on the CPU did."""
    port.prove(device="metal", changes={"bijection/elements": None})
    port.git("add", "-A")
    assert port.gate().lines == (f"minilm: {port.count()} checks hold on cpu; {port.count() - 1} checks hold on metal",)


def test_failing_run_of_any_device_blocks(port: PortRepo) -> None:
    """A pass on the CPU does not excuse a failure on metal."""
    port.prove(device="metal", changes={"isolate/layer.0": {"value": 9.9e-4}})
    port.git("add", "-A")
    assert [line.split(": it fails")[0] for line in blocked(port)] == [
        "port.evidence.json: metal: model/isolate/layer.0"
    ]


def test_raised_headroom_passes_and_is_always_said(port: PortRepo) -> None:
    """A Skill may loosen the tolerance; gate and manifest say by how much, and lowering it is silent."""
    port.prove(headroom=32)
    port.git("add", "-A")
    assert port.gate().lines == (
        f"minilm: {port.count()} checks hold on cpu; metal: not run; cpu: {port.distances()} checks loosened ×2",
    )
    assert port.json("port.manifest.json")["checks"]["model/isolate/layer.0"]["loosened"] == "×2"
    port.prove(headroom=8)
    port.git("add", "-A")
    assert port.gate().lines == (f"minilm: {port.count()} checks hold on cpu; metal: not run",)


def test_comments_and_gate_settings_in_port_toml_keep_the_proof(port: PortRepo) -> None:
    """What changes no figure does not ask for a new measurement, a change of dtype does."""
    port.write("port.toml", "# a comment\n" + port.read("port.toml") + '[gate]\nrequire = "evidence"\n')
    port.git("add", "-A")
    assert not port.gate().blocked
    port.write("port.toml", port.read("port.toml").replace("skill =", 'dtype = "float16"\nskill ='))
    port.git("add", "-A")
    assert [line.split(" (")[0] for line in blocked(port)] == ["port.toml: it changed after it was measured"]


def test_crlf_checkout_keeps_the_proof(port: PortRepo) -> None:
    """Digests of text are taken with LF line ends, whatever a blob holds."""
    for name in ("ported/model.py", "ported/config.json", "port.lock", "port.manifest.json"):
        (port.path / name).write_bytes((port.path / name).read_bytes().replace(b"\n", b"\r\n"))
    port.git("-c", "core.autocrlf=false", "add", "-A")
    assert not port.gate().blocked


def test_port_toml_problems_are_those_of_the_spec(port: PortRepo) -> None:
    """A wrong port.toml is named with its line."""
    port.write("port.toml", port.read("port.toml").replace('"encoder"', '"encodr"') + "[out]\npathh = 'x'\n")
    port.git("add", "-A")
    starts = [line.rsplit(": ", 1)[0] for line in blocked(port)]
    assert "port.toml:8: components.model.kind" in starts
    assert "port.toml:10: out.pathh" in starts


def test_lock_of_another_source_is_named(port: PortRepo) -> None:
    """port.toml and port.lock must name the same source, reference and quantization."""
    text = port.read("port.toml").replace("tiny==1.0", "tiny==2.0").replace("tinymodels:Tiny", "tinymodels:Big")
    port.write("port.toml", text + "[quantize]\nbits = 4\n")
    port.git("add", "-A")
    assert [line.split(" (")[0] for line in blocked(port)] == [
        "port.lock: source: it pins pypi:tiny==1.0, and port.toml names pypi:tiny==2.0",
        "port.lock: components.model: reference is 'tinymodels:Tiny' here "
        "and 'tinymodels:Big' in port.toml or its Skill",
        "port.lock: components.model.facts.quantize: port.toml quantizes, and the lock does not",
        "port.toml: it changed after it was measured",
    ]


def test_budget_of_a_quantized_port_is_port_toml_s(repo: PortRepo) -> None:
    """A quantized port passes within its budget; evidence that widens the budget is named."""
    quantize = "[quantize]\nbits = 4\nbudget = { kl = 0.05, top1 = 0.98 }\n"
    repo.add_port(toml=PORT.format(name="minilm", version="1.0") + quantize)
    repo.git("add", "-A")
    assert repo.gate().lines == (f"minilm: {repo.count()} checks hold on cpu; metal: not run",)
    check = "model/quantization/top1"
    repo.edit(
        "port.evidence.json", lambda body: body["runs"]["cpu"]["checks"][check].update(noise="9.0e-01"), reseal=True
    )
    repo.git("add", "-A")
    assert blocked(repo) == [
        f"port.evidence.json: cpu: {check}: it is judged by a budget of 9.0e-01, and port.toml gives 2.0e-02"
    ]
    repo.edit("port.lock", lambda body: body["components"]["model"]["facts"]["quantize"].update(bits=8))
    repo.git("add", "-A")
    assert blocked(repo)[0] == "port.lock: components.model.facts.quantize: bits is 8 here and 4 in port.toml"


def test_skill_of_another_content_names_both_versions(port: PortRepo) -> None:
    """A slice that the port was made with has changed since; prose may change freely."""
    port.write("skills/tiny/SKILL.md", port.read("skills/tiny/SKILL.md") + "More prose.\n")
    port.git("add", "-A")
    assert not port.gate().blocked
    port.write("skills/tiny/skill.toml", 'schema = 1\nversion = "1.1"\n[tolerance]\nheadroom = 20\n')
    port.git("add", "-A")
    assert blocked(port) == [
        "port.lock: skill: made with tiny 1.0 of portwright 0.1.0; skills/tiny is now 1.1, with other tolerance"
    ]
    assert commands(port) == {REBUILD}


def test_hook_of_another_version_names_both_versions(repo: PortRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A built-in Skill that differs from the one that the port was made with is the hook's rev or the install."""
    shutil.rmtree(repo.path / "skills")
    repo.add_port(toml=PORT.format(name="minilm", version="1.0").replace('"tiny"', '"generic"'))
    repo.git("add", "-A")
    assert not repo.gate().blocked
    repo.edit("port.lock", lambda body: body["skill"]["slices"].update(rules=D))
    repo.prove()
    repo.git("add", "-A")
    monkeypatch.setattr("portwright.gate.skills.__version__", "0.2.0")
    monkeypatch.setattr("portwright.gate.gate.__version__", "0.2.0")
    version = repo.json("port.lock")["skill"]["version"]
    assert repo.gate().lines[:2] == (
        f"port.lock: skill: made with generic {version} of portwright 0.1.0; "
        f"this hook's is {version} of portwright 0.2.0, with other rules\n"
        f"    fix: set the hook's rev to portwright 0.1.0, or install 0.2.0 and {REBUILD}",
        "minilm: measured with portwright 0.1.0, and judged by portwright 0.2.0",
    )


@pytest.mark.parametrize("manifest_lists_it", [True, False])
def test_open_hole_blocks(repo: PortRepo, manifest_lists_it: bool) -> None:
    """A hole blocks, whether the manifest lists it or only the portmap of an unedited model.py does."""
    repo.add_port(portmap_holes=[HOLE], prove={"holes": [{"component": "model", **HOLE}] if manifest_lists_it else []})
    repo.git("add", "-A")
    assert blocked(repo) == ["ported/model.py: Tiny.forward: a hole is open: einsum over a list"]
    assert commands(repo) == {f"fill it by hand, then {REBUILD}"}


def test_hole_that_a_person_filled_and_proved_passes(repo: PortRepo) -> None:
    """model.py differs from codegen's output, and the manifest made since lists no hole."""
    repo.add_port(portmap_holes=[HOLE], model=MODEL + "# filled\n")
    repo.git("add", "-A")
    assert not repo.gate().blocked


def test_unedited_code_may_be_left_out_of_git(repo: PortRepo) -> None:
    """With commit_code = false a regenerable model.py may be absent, and must be right where it is present."""
    repo.add_port(toml=PORT.format(name="minilm", version="1.0") + QUIET)
    repo.write(".gitignore", "model.py\n")
    repo.git("add", "-A")
    assert "model.py" not in repo.git("ls-files")
    assert not repo.gate().blocked
    repo.write("ported/model.py", MODEL + "# edited\n")
    repo.git("add", "-f", "ported/model.py")
    assert [line.split(" (")[0] for line in blocked(repo)] == ["ported/model.py: it changed after it was measured"]


def test_edited_code_may_not_be_left_out_of_git(repo: PortRepo) -> None:
    """An edit lives nowhere but in model.py: without it the port could not be made again."""
    repo.add_port(toml=PORT.format(name="minilm", version="1.0") + QUIET, model=MODEL + "# edited\n")
    repo.write(".gitignore", "model.py\n")
    repo.git("add", "-A")
    assert blocked(repo) == [
        "ported/model.py: it was edited by hand, "
        "and with commit_code = false only an unedited one may be left out of git"
    ]
    assert "fix: git add -f ported/model.py, or set commit_code = true in port.toml" in repo.gate().lines[0]


def test_weights_in_git_are_checked_as_pointer_and_as_file(port: PortRepo) -> None:
    """An LFS pointer counts by the digest that it names, a real file by its bytes."""
    content = b"\x00weights" * 50_000
    port.prove(weights={"model.safetensors": canonical.sha256_bytes(content)})
    (port.path / "ported/model.safetensors").write_bytes(content)
    port.git("add", "-A")
    assert not port.gate().blocked
    oid = canonical.sha256_bytes(content).removeprefix("sha256:")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    port.write("ported/model.safetensors", pointer)
    port.git("add", "-A")
    assert not port.gate().blocked
    port.write("ported/model.safetensors", pointer.replace(oid, "1" * 64))
    port.write("ported/old.safetensors", "x")
    port.git("add", "-A")
    assert blocked(port) == [
        "ported/model.safetensors: these weights are of another build "
        f"(sha256:{oid[:12]} was measured, sha256:111111111111 is here)",
        "ported/old.safetensors: these weights were not measured",
    ]


def test_acceptance_binds_to_the_evidence_that_a_person_saw(repo: PortRepo) -> None:
    """gate.require = "accepted" blocks without a record, with one of other evidence, and passes with the right one."""
    repo.add_port(toml=PORT.format(name="minilm", version="1.0") + '[gate]\nrequire = "accepted"\n')
    repo.git("add", "-A")
    assert blocked(repo) == ["port.acceptance.json: gate.require is 'accepted', and nobody has accepted this evidence"]
    assert commands(repo) == {"portwright accept ., then git add port.acceptance.json"}
    seen = (repo.path / "port.evidence.json").read_bytes()
    record = acceptance_record("minilm", seen, "Ada <ada@example.org>", "2026-11-25T01:30:00Z")
    repo.write("port.acceptance.json", canonical.dumps(record))
    repo.git("add", "-A")
    assert not repo.gate().blocked
    repo.prove(refresh=True, changes={"isolate/layer.0": {"value": 3e-7}})
    repo.git("add", "-A")
    assert blocked(repo) == [
        "port.acceptance.json: Ada <ada@example.org> accepted other evidence, on 2026-11-25T01:30:00Z"
    ]
    repo.edit("port.acceptance.json", lambda body: body.update(port="other", at="today"))
    repo.git("add", "-A")
    assert blocked(repo)[0].startswith("port.acceptance.json:2: at: 'today'")


def test_files_of_a_deleted_port_must_go_with_it(port: PortRepo) -> None:
    """Evidence that nobody judges must not stay; a port that is deleted whole is fine."""
    port.commit()
    port.git("rm", "-q", "port.toml")
    assert blocked(port) == ["port.evidence.json: there is no port.toml beside it",
                             "port.manifest.json: there is no port.toml beside it"]  # fmt: skip
    port.git("rm", "-q", "-r", "port.manifest.json", "port.evidence.json", "port.lock", "ported")
    assert not port.gate().blocked


def test_conflict_markers_are_named_as_such(port: PortRepo) -> None:
    """A merge that was resolved by staging the markers is told so."""
    text = port.read("port.evidence.json")
    port.write("port.evidence.json", f"<<<<<<< ours\n{text}=======\n{text}>>>>>>> theirs\n")
    port.git("add", "-A")
    assert blocked(port) == ["port.evidence.json: it holds the conflict markers of a merge"]


def test_unresolved_merge_is_told_before_anything_else(port: PortRepo) -> None:
    """git itself would not commit this index."""
    port.commit()
    port.git("checkout", "-q", "-b", "other")
    port.write("ported/model.py", "# theirs\n")
    port.commit()
    port.git("checkout", "-q", "main")
    port.write("ported/model.py", "# ours\n")
    port.commit()
    port.git("merge", "other", check=False)
    with pytest.raises(PortError, match=r"ported/model\.py: the merge left a conflict here"):
        port.gate()


def test_partial_commit_is_judged_by_its_own_index(port: PortRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIT_INDEX_FILE names what `git commit FILE` is about to commit; the whole index would pass, and that is said."""
    port.commit()
    own = port.path / ".git/index"
    shutil.copy(own, port.path / ".git/next-index-1.lock")
    port.write("ported/model.py", MODEL + "# mended\n")
    port.prove()
    port.git("add", "-A")
    assert not port.gate().blocked
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/next-index-1.lock")
    port.git("add", "ported/model.py")
    port.write("port.evidence.json", "{}")
    assert [line.split(" (")[0] for line in blocked(port)] == ["ported/model.py: it changed after it was measured"]
    assert commands(port) == {
        "what is staged would pass: commit without naming files, or name the port's other files too"
    }


def test_symbolic_links_and_submodules_are_never_followed(port: PortRepo, tmp_path: Path) -> None:
    """A link could point outside of the repository, and a submodule is another one."""
    (port.path / "port.evidence.json").rename(tmp_path / "evidence.json")
    (port.path / "port.evidence.json").symlink_to(tmp_path / "evidence.json")
    shutil.rmtree(port.path / "ported")
    port.git("add", "-A")
    port.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},ported")
    said = "the gate reads only files of this repository"
    assert blocked(port) == [f"port.evidence.json: it is, or lies in, a symbolic link; {said}"]
    port.git(
        "update-index",
        "--cacheinfo",
        f"100644,{port.git('hash-object', '-w', str(tmp_path / 'evidence.json')).strip()},port.evidence.json",
    )
    assert blocked(port) == [
        f"ported/{name}: it is, or lies in, a submodule; {said}"
        for name in (".base/model.py", "config.json", "model.py", "portmap.json")
    ]


@pytest.mark.parametrize("name", ["port.lock", "port.manifest.json", "port.evidence.json", "ported/portmap.json"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe{}", "not UTF-8"),
        (b"[" * 200_000, "nests deeper than 64 levels"),
        (b'{"a": ' * 70 + b"1" + b"}" * 70, "nests deeper than 64 levels"),
        (b"", "not valid JSON"),
        (b"[]", "expected a JSON object"),
        (b'{"schema": 1, "schema": 1}', "stands twice"),
    ],
)
def test_hostile_blobs_are_problems_and_no_traceback(port: PortRepo, name: str, content: bytes, said: str) -> None:
    """Whatever bytes lie in a file, the gate names the file and goes on."""
    (port.path / name).write_bytes(content)
    port.git("add", "-A")
    found = blocked(port)
    assert any(line.startswith(name) and said in line for line in found), found


def test_hostile_port_toml_is_a_problem_and_no_traceback(port: PortRepo) -> None:
    """Deep nesting, wrong bytes and sheer length of a port.toml end in one problem each."""
    for content, said in (
        (b"a = " + b"[" * 50_000, "port.toml"),
        (b"\xff", "port.toml: it is not UTF-8"),
        (b"#" * (2 << 20), "port.toml: it is 2,097,152 bytes long"),
    ):
        (port.path / "port.toml").write_bytes(content)
        port.git("add", "-A")
        (found,) = blocked(port)
        assert found.startswith(said)


def test_huge_blob_is_refused_by_its_size(port: PortRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blob beyond the bound is not read into memory."""
    monkeypatch.setattr(canonical, "MAX_JSON_BYTES", 2000)
    found = blocked(port)
    assert len(found) == 2
    assert all("bytes long, and the gate reads at most 2,000" in line for line in found)


def test_file_names_that_are_not_utf8_do_not_stop_the_gate(port: PortRepo) -> None:
    """git allows any bytes in a name, also beside a port."""
    (port.path / "ported" / os.fsdecode(b"caf\xe9.safetensors")).write_bytes(b"x")
    port.git("add", "-A")
    assert blocked(port) == ["ported/caf\\udce9.safetensors: these weights were not measured"]


def test_crafted_tree_cannot_write_outside(port: PortRepo) -> None:
    """A tree that names its parent folder, which git would not check out, is refused before anything is written."""
    port.commit()
    inner = bytes.fromhex(port.git("write-tree").strip())
    tree = port.path / "tree"
    tree.write_bytes(b"40000 ..\0" + inner)
    crafted = port.git("hash-object", "-t", "tree", "--literally", "-w", "tree").strip()
    commit = port.git("commit-tree", "-m", "crafted", crafted).strip()
    with pytest.raises(PortError, match="this path leaves its folder"):
        port.gate(environ={"PRE_COMMIT_TO_REF": commit})


def test_linked_worktree_has_its_own_index(port: PortRepo, tmp_path: Path) -> None:
    """A second working tree of the repository is judged by what is staged there."""
    port.commit()
    port.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    side = PortRepo.__new__(PortRepo)
    side.path = tmp_path / "side"
    side.write("ported/model.py", "# bad\n")
    side.git("add", "-A")
    assert side.gate().blocked
    assert not port.gate().blocked


def test_outside_of_a_repository_is_one_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git, or outside of a repository, the gate says so."""
    from portwright.gate.gate import run_gate

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(PortError, match="not a git repository"):
        run_gate(tmp_path, {})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PortError, match="the git program is not on PATH"):
        run_gate(tmp_path, {})


def test_push_is_judged_by_the_commit_that_is_pushed(port: PortRepo) -> None:
    """PRE_COMMIT_TO_REF, and for a root commit PRE_COMMIT_LOCAL_BRANCH, name the commit; the index does not count."""
    port.commit("good")
    port.write("ported/model.py", "# bad\n")
    port.commit("bad")
    bad, good = port.git("rev-parse", "HEAD").strip(), port.git("rev-parse", "HEAD^").strip()
    port.git("reset", "-q", "--hard", good)
    assert not port.gate().blocked
    judged = port.gate(environ={"PRE_COMMIT_FROM_REF": good, "PRE_COMMIT_TO_REF": bad})
    assert judged.blocked
    assert judged.lines[0].endswith(f"fix: {REBUILD}, commit, and push again")
    assert judged.lines[-1] == f"1 problem in commit {bad[:10]}; 1 of 1 port blocked"
    port.git("branch", "topic", bad)
    push = {"PRE_COMMIT_REMOTE_NAME": "origin", "PRE_COMMIT_LOCAL_BRANCH": "refs/heads/topic"}
    assert port.gate(environ=push).blocked
    assert not port.gate(environ={**push, "PRE_COMMIT_LOCAL_BRANCH": "refs/heads/main"}).blocked
