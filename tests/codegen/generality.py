"""The test against memorised configs: a port generated from config A meets every other config of its architecture.

`python tests/codegen/generality.py [NAME ...]` takes architectures of architectures.json and tests/architectures.toml;
each changed config must give the reference's numbers, or an error that names the field. Anything else is a finding.
`--listed` runs those of architectures.toml that are not `extra`, `--only=FIELD` changes one field, `--keep=DIR` keeps
the ports.
The two sides are this file run as `generality.py torch JOBS RESULTS` and `generality.py mlx JOBS RESULTS`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOGETHER = 4  # architectures in one process
HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-5  # relative L2 in float32; where the reference's own rounding is greater, headroom times that


# -- torch ---------------------------------------------------------------------------------------------------


def references(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Build and run the reference on A, B and each change of A; list those that it accepts."""
    import torch
    from attacks import halved
    from portwright.reference.build import build, saved_config
    from variants import completed, variants

    torch.set_num_threads(1)
    first = build(job["reference"], job["configs"][0], 5)
    base = saved_config(first, job["configs"][0])
    every = [(f"config {i}", c) for i, c in enumerate(job["configs"])]
    if job.get("flags", True):
        every += list(variants(first, base))
    only = job.get("only")
    done = []
    for index, (label, config) in enumerate(every):
        if only and not label.startswith(("config 0", only)):
            continue
        folder = Path(job["out"]) / f"{index:03d}"
        try:
            try:
                probes = run_reference(job, config, folder, index)
            except Exception as error:
                fuller = completed(config, label, str(error))
                if fuller is None:
                    raise
                probes = run_reference(job, fuller, folder, index)
        except Exception as error:
            done.append({"label": label, "skipped": f"{type(error).__name__}: {str(error)[:200]}"})
            continue
        done.append({"label": label, "folder": str(folder), "probes": probes})
        if not index:
            done += halved(job, config, folder)
    return done


def run_reference(job: dict[str, Any], config: dict[str, Any], folder: Path, index: int) -> list[dict[str, Any]]:
    """Write config, weights, inputs and outputs of one model; raises what the reference raises."""
    import torch
    from attacks import CACHED, attacked, noise
    from portwright.reference.build import build, saved_config
    from portwright.reference.probes import make_probes, read_probe
    from portwright.reference.redraw import redraw
    from portwright.reference.search import flat
    from safetensors.torch import save_file

    model = build(job["reference"], config, 5 + index)
    if sum(p.numel() for p in model.parameters()) > 20_000_000:
        raise ValueError("too large to compare here")
    redraw(model, 50 + index)
    folder.mkdir(parents=True, exist_ok=True)
    given = [read_probe(Path(p)) for p in job["probes"]] if job.get("probes") else None
    probes = list(given or make_probes(model, config, job.get("overrides")))
    if not index:
        probes += list(attacked(model, probes[0]))
    elif index >= len(job["configs"]):
        probes = probes[:3]  # with and without the optional inputs, and other lengths
    listing = []
    for n, probe in enumerate(probes):
        with torch.no_grad():
            result = model(**probe.arguments())
        if hasattr(result, "items"):
            result = [v for k, v in result.items() if k not in CACHED]
        outputs = {f"out.{i:03d}": t.contiguous().clone() for i, t in enumerate(flat(result))}
        inputs = {f"in.{k}": v.contiguous() for k, v in probe.tensors.items()}
        save_file(inputs | outputs, str(folder / f"probe{n}.safetensors"))
        listing.append(
            {"probe": probe.name, "kwargs": dict(probe.kwargs), "file": str(folder / f"probe{n}.safetensors")}
        )
    saved = saved_config(model, config)
    if "kwargs" not in config:  # fields that the library does not save, as a person's config.json may hold them
        saved = {**config, **saved}
    (folder / "config.json").write_text(json.dumps(saved, default=str))
    state = {k: v.contiguous().clone() for k, v in model.state_dict().items()}
    save_file(state, str(folder / "reference.safetensors"))
    model.double()
    return [{**made, "noise": noise(model, probe, made["file"])} for made, probe in zip(listing, probes, strict=True)]


# -- MLX -----------------------------------------------------------------------------------------------------


def ports(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Load each config and its weights into the one port and say how it went."""
    import importlib.util

    path = Path(job["port"]) / "model.py"
    spec = importlib.util.spec_from_file_location(f"port{abs(hash(str(path)))}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    portmap = json.loads((Path(job.get("portmap", job["port"])) / "portmap.json").read_text())
    return [
        r if "skipped" in r else {**r, **verdict(module, portmap["params"], r, job["tolerance"])}
        for r in job["references"]
    ]


def verdict(module: Any, mapping: dict[str, Any], made: dict[str, Any], tolerance: float) -> dict[str, Any]:
    """ "parity", "refused" (by an error that names the field), or "finding"."""
    import mlx.core as mx
    import numpy as np
    from grade import errors, flatten, ported
    from portwright.nesting import nested
    from portwright.verify.tolerance import limits

    folder = Path(made["folder"])
    config = json.loads((folder / "config.json").read_text())
    try:
        model = module.Model(module.ModelArgs.from_dict(config))
    except Exception as error:
        return judged(made["label"], error, "construction")
    try:
        model.load_weights(ported(model, mx.load(str(folder / "reference.safetensors")), mapping))
    except Exception as error:
        return {"verdict": "finding", "why": f"weights: {type(error).__name__}: {str(error)[:300]}"}
    model.eval()
    worst, refused = 0.0, ""
    for probe in made["probes"]:
        data = mx.load(probe["file"])
        inputs = {k[3:]: v for k, v in data.items() if k.startswith("in.")}
        inputs = {k: v.astype(mx.int32) if v.dtype == mx.int64 else v for k, v in inputs.items()}
        wanted = [data[k] for k in sorted(data) if k.startswith("out.")]
        try:
            got = flatten(model(**nested({**inputs, **probe["kwargs"]})))
            found = errors([wide(x) for x in got], [wide(x) for x in wanted], np)
            found += [
                f"dtype {a.dtype}, not {b.dtype}"
                for a, b in zip(got, wanted, strict=False)
                if a.dtype != b.dtype and mx.issubdtype(b.dtype, mx.floating)
            ]
        except Exception as error:
            if "only supports float32" in str(error):  # MLX's own limit on this machine's kind of device
                return {"skipped": str(error)}
            said = judged(made["label"], error, "call")
            if said["verdict"] == "finding":
                return {**said, "probe": probe["probe"]}
            refused = said["why"]
            continue
        known = [n if n == n else 0.0 for n in probe.get("noise", ())]
        for e, n in zip(found, [*known, *[0.0] * len(found)], strict=False):
            if not isinstance(e, float) or not e < max(tolerance, limits().headroom * n):
                return {"verdict": "finding", "why": f"wrong numbers: {e}, noise {n:.1e}", "probe": probe["probe"]}
            worst = max(worst, e)
    return {"verdict": "refused", "why": refused} if refused else {"verdict": "parity", "worst": worst}


def wide(x: Any) -> Any:
    """An array that numpy can hold."""
    import mlx.core as mx

    return x.astype(mx.float32) if x.dtype == mx.bfloat16 else x


def judged(label: str, error: Exception, when: str) -> dict[str, Any]:
    """Whether an error tells what the port was generated without."""
    text = f"{type(error).__name__}: {error}"
    names = [p.rstrip("s") for p in label.partition("=")[0].split(".") if not p.isdigit()]  # or one of its elements
    named = isinstance(error, (ValueError, NotImplementedError)) and any(n in str(error) for n in names)
    if when == "call" and isinstance(error, (NotImplementedError, ValueError)) and "not ported" in str(error):
        named = True
    if when == "call" and isinstance(error, TypeError) and "unexpected keyword argument" in str(error):
        named = True  # an input that A's signature never had, by its name
    if when == "construction" and not named and isinstance(error, NotImplementedError) and "not ported" in str(error):
        return {"verdict": "unnamed", "why": text[:300]}  # refused in time, by what the field leads to
    return {"verdict": "refused" if named else "finding", "why": f"{when}: {text[:300]}"}


# -- both ----------------------------------------------------------------------------------------------------


def generality(cases: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """For each case a report: holes, and a verdict for every changed config."""
    from bench import run_side

    jobs = []
    for n, case in enumerate(cases):
        out = folder / str(n)
        out.mkdir(parents=True)
        jobs.append(
            {"tolerance": TOLERANCE, "seed": 0, "probes": None, "overrides": {}, **case, "out": str(out / "trace")}
        )
    observed = run_side("observe", [{**j, "configs": j["configs"][: j.get("observed", 1)]} for j in jobs], folder)
    made = [{"trace": j["out"], "out": str(folder / str(n) / "port"), "licence": None} for n, j in enumerate(jobs)]
    generated = run_side("generate", made, folder)
    compare = [{**j, "out": str(folder / str(n) / "references")} for n, j in enumerate(jobs)]
    built = run_side("references", compare, folder)
    reports = [
        {"name": j.get("name", j["reference"]), "holes": g.get("holes"), "assumptions": g.get("assumptions")}
        | {"error": o.get("error") or g.get("error")}
        for j, o, g in zip(jobs, observed, generated, strict=True)
    ]
    able = [n for n, b in enumerate(built) if isinstance(b, list) and not reports[n]["error"]]
    graded = run_side("ports", [{**jobs[n], "port": made[n]["out"], "references": built[n]} for n in able], folder)
    for n, result in zip(able, graded, strict=True):
        reports[n]["variants"] = [again(jobs[n], made[n]["out"], v, folder) for v in result]
    for n, b in enumerate(built):
        if not isinstance(b, list):
            reports[n]["error"] = reports[n]["error"] or b["error"]
    return reports


def again(job: dict[str, Any], port: str, variant: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A variant whose weights the port's own map could not place, with the map of a port generated from that variant.

    A map says what the layers of its own config hold; those that only another config has can be of another kind.
    """
    from bench import run_side

    if not variant.get("why", "").startswith("weights:"):
        return variant
    made = folder / f"again{len(list(folder.glob('again*')))}"
    config = json.loads((Path(variant["folder"]) / "config.json").read_text())
    made.mkdir()
    run_side("observe", [{**job, "configs": [config], "out": str(made / "trace")}], made)
    run_side("generate", [{"trace": str(made / "trace"), "out": str(made / "port"), "licence": None}], made)
    reference = {k: v for k, v in variant.items() if k not in ("verdict", "why")}
    retried = {**job, "port": port, "portmap": str(made / "port"), "references": [reference]}
    return dict(run_side("ports", [retried], made)[0][0])


def findings(report: dict[str, Any]) -> list[dict[str, Any]]:
    """What is neither parity nor a refusal that names the field."""
    return [v for v in report.get("variants", ()) if v.get("verdict") == "finding"]


def architectures() -> dict[str, dict[str, Any]]:
    """Every recorded architecture by name."""
    table = json.loads((HERE / "architectures.json").read_text())
    found = {name: {"name": name, **entry["case"]} for name, entry in table.items()}
    known = {e["case"]["reference"]: e["tolerance"] for e in table.values() if "tolerance" in e}  # each with its why
    for entry in tomllib.loads((HERE.parent / "architectures.toml").read_text())["architecture"]:
        found[entry["name"]] = {
            "name": entry["name"],
            "reference": entry["reference"],
            "configs": [entry[k] for k in ("a", "b") if k in entry],
            "overrides": entry.get("probes", {}),
            "listed": not entry.get("extra", False),
        }
    for case in found.values():
        case["tolerance"] = known.get(case["reference"], TOLERANCE)
    return found


def summary(report: dict[str, Any]) -> str:
    counts: dict[str, int] = {}
    for v in report.get("variants", ()):
        key = v.get("verdict", "skipped")
        counts[key] = counts.get(key, 0) + 1
    holes = len(report["holes"] or ())
    unchecked = sum(a["checked"] == "no" for a in report["assumptions"] or ())
    return f"{report['name']}: {counts} holes={holes} unchecked={unchecked} {report['error'] or ''}"


def reports(
    table: dict[str, dict[str, Any]], wanted: list[str], only: str | None, keep: str | None
) -> Iterator[dict[str, Any]]:
    """A few at a time: a report soon, and the libraries imported less often."""
    for at in range(0, len(wanted), TOGETHER):
        group = wanted[at : at + TOGETHER]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(keep) / group[0] if keep else Path(scratch)
            yield from generality([{**table[name], "only": only} for name in group], folder)


def main(names: list[str]) -> int:
    table = architectures()
    only = next((n[len("--only=") :] for n in names if n.startswith("--only=")), None)
    keep = next((n[len("--keep=") :] for n in names if n.startswith("--keep=")), None)
    wanted = [n for n in names if not n.startswith("--")] or list(table)
    if "--listed" in names:
        wanted = [n for n in wanted if table[n].get("listed")]
    wrong = 0
    for report in reports(table, wanted, only, keep):
        print(summary(report), flush=True)
        for v in report.get("variants", ()):
            if v.get("verdict") in ("finding", "unnamed") or (only and "skipped" not in v):
                print(
                    "   ", v["label"], "->", v["verdict"], v.get("why", v.get("worst")), v.get("probe", ""), flush=True
                )
        for hole in report["holes"] or ():
            print("    hole", hole["where"], hole["reason"])
        wrong += len(findings(report))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
