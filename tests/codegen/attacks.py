"""Inputs that no probe has: one row, masks of ones, padding on the left; and weights in half precision (torch side)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

CACHED = ("past_key_values", "cache", "cache_params")


def attacked(model: torch.nn.Module, probe: Any) -> Iterator[Any]:
    """Variations of a probe that the model runs on."""
    for title, change in (("one row", one_row), ("mask of ones", ones), ("padded on the left", left)):
        tensors = change(dict(probe.tensors))
        if tensors is None:
            continue
        made = dataclasses.replace(probe, name=title, tensors=tensors, observed=False)
        try:
            with torch.no_grad():
                model(**made.arguments())
        except Exception:
            continue
        yield made


def one_row(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
    """Only the first element of a batch that all tensors share."""
    if not tensors or any(not t.ndim or t.shape[0] != 2 for t in tensors.values()):
        return None
    return {k: t[:1].clone() for k, t in tensors.items()}


def masks(tensors: dict[str, torch.Tensor]) -> list[str]:
    return [k for k, t in tensors.items() if k.endswith("attention_mask") and t.ndim == 2]


def ones(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
    """Masks that hide nothing."""
    names = masks(tensors)
    return {**tensors, **{k: torch.ones_like(tensors[k]) for k in names}} if names else None


def left(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
    """Masks that hide the beginning of rows in place of their end."""
    names = masks(tensors)
    return {**tensors, **{k: tensors[k].flip(-1) for k in names}} if names else None


def in_half(
    model: torch.nn.Module, probe: Any, outputs: dict[str, torch.Tensor], folder: Path
) -> dict[str, Any] | None:
    """Weights, inputs and answers of the model in bfloat16, and how far these are from its own in float32."""
    from portwright.reference.search import flat
    from safetensors.torch import save_file

    model.to(torch.bfloat16)
    given = {k: v.bfloat16() if v.dtype == torch.float32 else v for k, v in probe.tensors.items()}
    try:
        with torch.no_grad():
            result = model(**dataclasses.replace(probe, tensors=given).arguments())
    except Exception:
        return None
    if hasattr(result, "items"):
        result = [v for k, v in result.items() if k not in CACHED]
    answers = {f"out.{i:03d}": t.contiguous().clone() for i, t in enumerate(flat(result))}
    if answers.keys() != outputs.keys():
        return None
    folder.mkdir(parents=True)
    save_file({f"in.{k}": v.contiguous() for k, v in given.items()} | answers, str(folder / "probe0.safetensors"))
    save_file({k: v.contiguous().clone() for k, v in model.state_dict().items()}, str(folder / "reference.safetensors"))
    away = [(answers[k].double() - outputs[k].double()).norm() / outputs[k].double().norm() for k in sorted(outputs)]
    noise = [float(a) if a == a else 0.0 for a in away]
    listed = {"probe": probe.name, "kwargs": dict(probe.kwargs), "file": str(folder / "probe0.safetensors")}
    return {"label": "bfloat16 weights", "folder": str(folder), "probes": [{**listed, "noise": noise}]}


def halved(job: dict[str, Any], config: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The first model once more with its weights in bfloat16, where it runs so."""
    import shutil

    from portwright.reference.build import build
    from portwright.reference.probes import make_probes, read_probe
    from portwright.reference.redraw import redraw
    from safetensors.torch import load_file

    model = build(job["reference"], config, 5)
    redraw(model, 50)
    given = [read_probe(Path(p)) for p in job["probes"]] if job.get("probes") else None
    probe = (given or make_probes(model, config, job.get("overrides")))[0]
    said = {k: v for k, v in load_file(str(folder / "probe0.safetensors")).items() if k.startswith("out.")}
    made = in_half(model, probe, said, folder / "half")
    if made is None:
        return []
    shutil.copyfile(folder / "config.json", folder / "half" / "config.json")
    return [made]


def noise(model: Any, probe: Any, file: str) -> list[float]:
    """How far the reference's outputs are from its own in float64, relative L2; nothing where it cannot run so."""
    from portwright.reference.search import flat
    from safetensors.torch import load_file

    said = load_file(file)
    given = probe.arguments()
    arguments = {k: v.double() if getattr(v, "dtype", None) == torch.float32 else v for k, v in given.items()}
    try:
        with torch.no_grad():
            result = model(**arguments)
    except Exception:
        return []
    if hasattr(result, "items"):
        result = [v for k, v in result.items() if k not in CACHED]
    found = []
    for exact, key in zip(flat(result), sorted(k for k in said if k.startswith("out.")), strict=False):
        if exact.shape != said[key].shape:
            return []
        away, size = (exact.double() - said[key].double()).norm(), exact.double().norm()
        found.append(float(away / size) if size else 0.0)
    return found
