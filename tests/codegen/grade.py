"""Grade one reference: observe, generate, then compare on every probe and on a second config, one process a side.

Run as `python tests/codegen/grade.py CASE.json`, or use `grade()` from tests. The torch and MLX sides are this file
run as `python grade.py torch JOB` and `python grade.py mlx JOB`.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()


def torch_side(job: dict[str, Any]) -> None:
    """Write, for each config, the weights, the probes and the reference's outputs."""
    import torch
    from portwright.reference.build import build, saved_config
    from portwright.reference.probes import make_probes, read_probe
    from portwright.reference.redraw import redraw
    from portwright.reference.search import flat
    from safetensors.torch import save_file

    out = Path(job["out"])
    listing = []
    for index, config in enumerate(job["configs"]):
        try:
            model = build(job["reference"], config, 5 + index)
        except Exception:
            if not job.get("lenient"):  # lenient: what the reference itself refuses is left out
                raise
            continue
        redraw(model, 50 + index)
        folder = out / f"config{index}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(saved_config(model, config)))
        state = {k: v.contiguous().clone() for k, v in model.state_dict().items()}
        save_file(state, str(folder / "reference.safetensors"))
        given = [read_probe(Path(p)) for p in job["probes"]] if job.get("probes") else None
        for n, probe in enumerate(given or make_probes(model, config, job.get("overrides"))):
            try:
                with torch.no_grad():
                    result = model(**probe.arguments())
            except Exception:
                if not job.get("lenient"):
                    raise
                continue
            cached = ("past_key_values", "cache", "cache_params")
            if hasattr(result, "items"):
                result = [v for k, v in result.items() if k not in cached]
            tensors = {f"{i:03d}": t.contiguous().clone() for i, t in enumerate(flat(result))}
            save_file(
                {f"in.{k}": v.contiguous() for k, v in probe.tensors.items()}
                | {f"out.{k}": v for k, v in tensors.items()},
                str(folder / f"probe{n}.safetensors"),
            )
            listing.append(
                {
                    "config": index,
                    "probe": probe.name,
                    "observed": probe.observed and index == 0,
                    "kwargs": dict(probe.kwargs),
                    "file": str(folder / f"probe{n}.safetensors"),
                }
            )
    (out / "listing.json").write_text(json.dumps(listing))


def mlx_side(job: dict[str, Any]) -> None:
    """Load the port with the same weights and compare."""
    import mlx.core as mx
    import numpy as np
    from portwright.nesting import nested

    out, port = Path(job["out"]), Path(job["port"])
    spec = importlib.util.spec_from_file_location("port", port / "model.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["port"] = module
    spec.loader.exec_module(module)
    mapping = json.loads((port / "portmap.json").read_text())["params"]
    figures = []
    for index in range(len(job["configs"])):
        folder = out / f"config{index}"
        if not (folder / "config.json").is_file():
            continue
        config = json.loads((folder / "config.json").read_text())
        try:
            model = module.Model(module.ModelArgs.from_dict(config))
        except ValueError as error:
            figures.append({"config": index, "refused": str(error)})
            continue
        except Exception as error:
            figures.append({"config": index, "failed": f"construction: {type(error).__name__}: {error}"})
            continue
        state = mx.load(str(folder / "reference.safetensors"))
        try:
            model.load_weights(ported(model, state, mapping))
        except Exception as error:
            figures.append({"config": index, "failed": f"weights: {type(error).__name__}: {error}"})
            continue
        model.eval()
        for item in json.loads((out / "listing.json").read_text()):
            if item["config"] != index:
                continue
            data = mx.load(item["file"])
            inputs = {k[3:]: v for k, v in data.items() if k.startswith("in.")}
            inputs = {k: v.astype(mx.int32) if v.dtype == mx.int64 else v for k, v in inputs.items()}
            wanted = [data[k] for k in sorted(data) if k.startswith("out.")]
            figure = {k: item[k] for k in ("config", "probe", "observed")}
            try:
                got = flatten(model(**nested({**inputs, **item["kwargs"]})))
                figure["errors"] = errors(got, wanted, np)
                if not any("layout" in f for f in figures):
                    figure["layout"] = layout(model, inputs, item["kwargs"])
            except Exception as error:
                figure["failed"] = f"{type(error).__name__}: {error}"
            figures.append(figure)
    (out / "figures.json").write_text(json.dumps(figures))


def layout(model: Any, inputs: dict[str, Any], kwargs: dict[str, Any]) -> dict[str, int] | None:
    """The transposes of the port's graph; None for code that reads a value to go on, which has no graph."""
    from portwright.verify.measure.transposes import counted, traced

    try:
        return counted(traced(model, inputs, kwargs))
    except (ValueError, RuntimeError):
        return None


def ported(model: Any, state: dict[str, Any], mapping: dict[str, Any]) -> list[tuple[str, Any]]:
    """The reference's weights under the port's names; layouts by the portmap's rule for each name's kind."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    out = []
    for key, _ in tree_flatten(model.parameters()):
        entry = mapping.get(key) or alike(mapping, key)
        if entry is None and key in state:  # a parameter that only this config has (a bias): under its own name
            entry = {"from": [key], "ops": []}
            mapping = {**mapping, key: entry}
        if entry is None:
            raise KeyError(f"the port has the parameter {key}, which neither portmap nor reference knows")
        source = entry["from"][0] if key in mapping else renumbered(entry["from"][0], key)
        value = state[source]
        for op in entry["ops"]:
            value = mx.transpose(value, op["transpose"])
        out.append((key, value.astype(mx.int32) if value.dtype == mx.int64 else value))
    return out


def alike(mapping: dict[str, Any], key: str) -> dict[str, Any] | None:
    """The entry of a parameter that differs from this one in numbers only, and in as few as can be."""
    import re

    shape, numbers = re.sub(r"\d+", "#", key), re.findall(r"\d+", key)
    same = [k for k in mapping if re.sub(r"\d+", "#", k) == shape]
    differing = {k: sum(a != b for a, b in zip(re.findall(r"\d+", k), numbers, strict=True)) for k in same}
    return mapping[min(same, key=lambda k: (differing[k], k))] if same else None


def renumbered(source: str, key: str) -> str:
    """The reference name of a layer that the first config has not, by the numbers in its port name."""
    import re

    numbers = iter(re.findall(r"\d+", key))
    return re.sub(r"\d+", lambda m: next(numbers), source)


def flatten(value: Any) -> list[Any]:
    if value is None:
        return []  # an output that this call does not have
    return [x for v in value for x in flatten(v)] if isinstance(value, (list, tuple)) else [value]


def errors(got: list[Any], wanted: list[Any], np: Any) -> list[Any]:
    """Relative L2 error per output; a text where shapes or counts differ."""
    if len(got) != len(wanted):
        return [f"{len(got)} outputs, not {len(wanted)}"]
    out: list[Any] = []
    for a, b in zip(got, wanted, strict=True):
        x, y = np.array(a, dtype=np.float64), np.array(b, dtype=np.float64)
        out.append(
            float(np.linalg.norm(x - y) / (np.linalg.norm(y) + 1e-12)) if x.shape == y.shape else f"{x.shape} {y.shape}"
        )
    return out


def grade(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Observe configs[: observed], generate, and compare on every config."""
    from portwright.workers import run_worker

    configs, observed = case["configs"], case.get("observed", 1)
    common = {
        "reference": case["reference"],
        "seed": 0,
        "probes": case.get("probes"),
        "overrides": case.get("overrides") or {},
    }
    run_worker("portwright.codegen.observe", {**common, "configs": configs[:observed], "out": str(folder / "trace")})
    job = {"trace": str(folder / "trace"), "out": str(folder / "port"), "runtime": "standalone", "licence": None}
    result = run_worker("portwright.codegen.generate", {**job, "without": case.get("without", [])}, mlx=True)
    compare = {**common, "configs": configs, "out": str(folder / "compare"), "port": str(folder / "port")}
    (folder / "compare").mkdir(exist_ok=True)
    (folder / "compare.json").write_text(json.dumps(compare))
    for side in ("torch", "mlx"):
        command = [sys.executable, str(HERE), side, str(folder / "compare.json")]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(side), check=False)
        if done.returncode:
            return {**result, "figures": [{"failed": f"{side}: {done.stderr[-1500:]}"}]}
    return {**result, "figures": json.loads((folder / "compare" / "figures.json").read_text())}


def environment(side: str) -> dict[str, str]:
    """OpenBLAS for the MLX side where there is one."""
    import os

    from portwright.openblas import preload

    return dict(preload(dict(os.environ))) if side == "mlx" else dict(os.environ)


def worst(report: dict[str, Any]) -> float:
    """The greatest error; infinite where anything failed."""
    values = []
    for f in report["figures"]:
        if "failed" in f:
            return float("inf")
        values += [e if isinstance(e, float) and e == e else float("inf") for e in f.get("errors", [])]
    return max(values, default=float("inf"))


if __name__ == "__main__":
    if sys.argv[1] in ("torch", "mlx"):
        (torch_side if sys.argv[1] == "torch" else mlx_side)(json.loads(Path(sys.argv[2]).read_text()))
    else:
        keep = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp())
        keep.mkdir(parents=True, exist_ok=True)
        report = grade(json.loads(Path(sys.argv[1]).read_text()), keep)
        print(json.dumps(report, indent=1))
