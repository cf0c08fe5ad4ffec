"""Load a standalone port by its contract, and call it and its modules with numpy arrays."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten
from numpy.typing import NDArray

from portwright import canonical, schema
from portwright.errors import ExitCode, PortError, Problem
from portwright.nesting import nested
from portwright.runtimes import MLX_LM_ARGUMENTS
from portwright.verify import tree

Array = NDArray[Any]
DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}


def is_array(value: Any) -> bool:
    return isinstance(value, mx.array)


def to_numpy(value: mx.array) -> Array:
    """Copy an array out of MLX; 16-bit floats become float32, which holds them exactly."""
    return np.array(value.astype(mx.float32) if value.dtype in (mx.float16, mx.bfloat16) else value)


def to_mlx(value: Any, dtype: Any = None) -> Any:
    """Hand numpy arrays, also nested ones, to MLX; floats in `dtype` where one is given."""
    if isinstance(value, np.ndarray):
        made = mx.array(value)
        return made.astype(dtype) if dtype is not None and mx.issubdtype(made.dtype, mx.floating) else made
    if isinstance(value, (list, tuple)):
        return type(value)(to_mlx(v, dtype) for v in value)
    if isinstance(value, dict):
        return {k: to_mlx(v, dtype) for k, v in value.items()}
    return value


def named_outputs(value: Any) -> dict[str, mx.array]:
    return tree.flatten(value, is_array)


def read_safetensors(path: Path) -> dict[str, mx.array]:
    """The arrays of one safetensors file by key; raises PortError where it is none."""
    try:
        return cast(dict[str, mx.array], mx.load(str(path)))
    except RuntimeError as error:
        raise PortError(Problem(str(path), f"cannot be loaded: {error}", "run: doit remap")) from None


def weight_files(folder: Path) -> list[Path]:
    """The port's weights: model.safetensors, or its shards."""
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise PortError(Problem(str(folder), "holds no model*.safetensors", "run: doit remap"))
    return files


class Port:
    """A port's directory: its code, config, portmap and weights."""

    def __init__(self, folder: Path, portmap: Path | None = None) -> None:
        self.folder = folder
        self.config = _read_json(folder / "config.json")
        file = portmap or folder / "portmap.json"
        self.portmap = _read_json(file)
        problems = schema.check(self.portmap, "portmap", str(file), file.read_text(encoding="utf-8"))
        if problems:
            raise PortError(problems, ExitCode.USAGE)
        self.code = _import_code(folder / "model.py")

    def declare(self) -> nn.Module:
        """A new model as its code declares it, with no weights loaded; raises PortError when it cannot be built."""
        model = _said(self.folder / "model.py", lambda: self.code.Model(self.code.ModelArgs.from_dict(self.config)))
        if "model_file" in self.config and "quantization" in self.config:
            quantize(model, self.config["quantization"], self.stored())
        return cast(nn.Module, model)

    def load(self) -> nn.Module:
        """A model with the port's weights as they are stored, ready to run."""
        return _filled(self.declare(), self.stored(), self.folder)

    def load_plain(self, weights: Mapping[str, mx.array], dtype: str) -> nn.Module:
        """A model without quantization, holding other weights, cast to `dtype`."""
        config = {k: v for k, v in self.config.items() if k != "quantization"}
        model = _said(self.folder / "model.py", lambda: self.code.Model(self.code.ModelArgs.from_dict(config)))
        return _filled(model, weights, self.folder, DTYPES[dtype])

    def dequantized(self) -> dict[str, mx.array]:
        """The stored tensors by key, each packed weight with its scales and biases as the numbers they stand for."""
        stored, settings = self.stored(), self.config["quantization"]
        found = {}
        for key, value in stored.items():
            path, _, name = key.rpartition(".")
            if name in ("scales", "biases") and f"{path}.scales" in stored:
                continue
            scales = stored.get(f"{path}.scales") if name == "weight" else None
            if scales is not None:
                own = settings.get(path) or settings
                how = {"group_size": own["group_size"], "bits": own["bits"], "mode": own.get("mode", "affine")}
                value = mx.dequantize(value, scales, stored.get(f"{path}.biases"), **how)
            found[key] = value
        return found

    def stored(self) -> dict[str, mx.array]:
        """The stored tensors by key."""
        return {k: v for file in weight_files(self.folder) for k, v in read_safetensors(file).items()}


def quantize(model: nn.Module, quantization: Mapping[str, Any], weights: Mapping[str, mx.array]) -> None:
    """Make the layers quantized that a checkpoint holds quantized, as mlx-lm does when it loads a model."""

    def chosen(path: str, module: nn.Module) -> Any:
        if path in quantization:
            return quantization[path]
        return hasattr(module, "to_quantized") and f"{path}.scales" in weights

    options = {k: quantization[k] for k in ("group_size", "bits", "mode") if k in quantization}
    nn.quantize(model, **options, class_predicate=chosen)


def _filled(model: nn.Module, weights: Mapping[str, mx.array], folder: Path, dtype: Any = None) -> nn.Module:
    _said(folder / "model.safetensors", lambda: model.load_weights(list(weights.items())))
    if dtype is not None:
        model.set_dtype(dtype)
    model.eval()
    mx.eval(model.parameters())
    return model


def parameters(model: nn.Module) -> dict[str, mx.array]:
    return dict(tree_flatten(model.parameters()))


def paths_of(model: nn.Module) -> dict[str, nn.Module]:
    """The modules of a model by path; a module met twice keeps its first path in `observed`."""
    return {path: module for path, module in model.named_modules() if path}


OnCall = Callable[[str, int, Any], None]


@contextmanager
def observed(model: nn.Module, after: OnCall) -> Iterator[None]:
    """Tell `after(path, n, output)` of the end of each module's call.

    MLX has no hooks and looks `__call__` up on the type, so the types are wrapped, and put back afterwards.
    """
    path_of: dict[int, str] = {}
    for path, module in sorted(paths_of(model).items(), key=lambda item: item[0].count(".")):
        path_of.setdefault(id(module), path)
    counts: dict[str, int] = {}
    inside: set[int] = set()
    kept: list[tuple[type, bool, Any]] = []

    def wrap(original: Any) -> Any:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            if id(self) not in path_of or id(self) in inside:  # inside: super().__call__ of the same module
                return original(self, *args, **kwargs)
            inside.add(id(self))
            try:
                output = original(self, *args, **kwargs)
            finally:
                inside.discard(id(self))
            path = path_of[id(self)]
            counts[path] = counts.get(path, 0) + 1
            after(path, counts[path] - 1, output)
            return output

        return call

    for cls in {type(module) for module in paths_of(model).values()}:
        kept.append((cls, "__call__" in vars(cls), cls.__call__))
        cls.__call__ = wrap(cls.__call__)
    try:
        yield
    finally:
        for cls, own, original in kept:
            if own:
                cls.__call__ = original
            else:
                del cls.__call__


def argument_titles(model: nn.Module) -> Mapping[str, str]:
    """What a model calls the reference's arguments where it calls them otherwise: mlx-lm has names of its own."""
    taken = inspect.signature(type(model).__call__).parameters
    return {k: v for k, v in MLX_LM_ARGUMENTS.items() if k not in taken and v in taken}


def takes_cache(model: nn.Module) -> bool:
    """Whether a model follows mlx-lm's conventions: tokens, a list of caches, its layers by name."""
    taken = inspect.signature(type(model).__call__).parameters
    return {"inputs", "cache"} <= set(taken) and hasattr(model, "layers")


def run(model: nn.Module, tensors: Mapping[str, Array], kwargs: Mapping[str, Any], dtype: Any = None) -> Any:
    """Call the whole model on numpy inputs and evaluate its result."""
    titles = argument_titles(model)
    given = {titles.get(k, k): to_mlx(v, dtype) for k, v in tensors.items()}
    result = model(**nested({**given, **kwargs}))
    mx.eval(list(named_outputs(result).values()))
    return result


def arrays(result: Any) -> dict[str, Array]:
    return {name: to_numpy(value) for name, value in named_outputs(result).items()}


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise PortError(Problem(str(path), "is missing", "run: doit codegen"))
    return canonical.parse_object(path.read_bytes(), str(path), finite=False)


def _import_code(path: Path) -> ModuleType:
    if not path.is_file():
        raise PortError(Problem(str(path), "is missing", "run: doit codegen"))
    spec = importlib.util.spec_from_file_location("ported_model", path)
    if spec is None or spec.loader is None:
        raise PortError(Problem(str(path), "is not a Python file"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    _said(path, lambda: spec.loader.exec_module(module))  # type: ignore[union-attr]
    for name in ("Model", "ModelArgs"):
        if not hasattr(module, name):
            raise PortError(Problem(str(path), f"it defines no {name}", "a port has Model and ModelArgs.from_dict"))
    return module


def _said(where: Path, action: Callable[[], Any]) -> Any:
    """Run the port's own code; what it raises becomes a Problem with the line of the port that raised it."""
    try:
        return action()
    except PortError:
        raise
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        raise PortError(Problem(f"{where}{line_in(error, where)}", problem), ExitCode.DIVERGED) from error


def line_in(error: BaseException, file: Path) -> str:
    """The last line of `file` that a traceback passes through, as ":123"; "" where it passes none."""
    line, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = f":{trace.tb_lineno}"
        trace = trace.tb_next
    return line
