"""Build small wheels, honest ones and hostile ones, and small safetensors files to put into them."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path


def tensor_file(tensors: Mapping[str, int], seed: int = 0) -> bytes:
    """Give a safetensors file with one F32 vector of the given length per key; bytes differ by seed."""
    header, start, data = {}, 0, b""
    for key, length in tensors.items():
        body = random.Random(f"{key} {seed}").randbytes(4 * length)
        header[key] = {"dtype": "F32", "shape": [length], "data_offsets": [start, start + len(body)]}
        start, data = start + len(body), data + body
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


# The wheel `tiny-model==1.2.3` of these tests.
FILES = {
    "tiny_model/__init__.py": b"raise SystemExit('a source must never be executed')\n",
    "tiny_model/model/config.json": b'{"hidden_size": 4}\n',
    "tiny_model/model/model.safetensors": tensor_file({"a.weight": 1000, "b.bias": 24}),
    "tiny_model/model/1_Pooling/config.json": b"{}\n",
}


def record_row(name: str, content: bytes, algorithm: str = "sha256") -> str:
    """Give a file's row of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).rstrip(b"=").decode()
    return f"{name},{algorithm}={digest},{len(content)}"


def build_wheel(
    folder: Path,
    files: Mapping[str, bytes],
    *,
    name: str = "tiny-model",
    version: str = "1.2.3",
    extra: Iterable[tuple[zipfile.ZipInfo, bytes]] = (),
    rows: Iterable[str] = (),
    replace: Mapping[str, str] | None = None,
    algorithm: str = "sha256",
) -> Path:
    """Write a wheel; `extra` entries come unlisted, `rows` go to RECORD as they are, `replace` swaps a file's row."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [(replace or {}).get(path, record_row(path, body, algorithm)) for path, body in content.items()]
    record = "\n".join([*lines, *rows, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, body in content.items():
            archive.writestr(path, body)
        for entry, body in extra:
            archive.writestr(entry, body)
        archive.writestr(f"{info}/RECORD", record)
    return file
