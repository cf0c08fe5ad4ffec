"""A loopback server that speaks the Hub's file endpoints, for the real huggingface_hub client to talk to.

    with LoopbackHub() as hub:
        commit = hub.add("org/tiny", {"config.json": b"{}", "model.safetensors": weights})
        subprocess.run(..., env={**os.environ, **hub.env(home)})

It answers model info, tree (in pages), and resolve with HEAD and GET: ETag, X-Repo-Commit, X-Linked-Size and
X-Linked-Etag, a redirect to a signed link for large files, Range with 206 and 416. `hub.faults` makes it misbehave:
cut or reset connections, other bytes, errors, a server that ignores ranges, throttling; `hub.token` locks it.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

PAGE = 3  # tree entries a page: small, so that every listing of ours takes several


@dataclass
class Request:
    """One request as the server saw it."""

    method: str
    path: str
    range: str | None
    authorized: bool
    status: int = 0
    sent: int = 0  # bytes of the body


@dataclass
class Faults:
    """What goes wrong, by the file's name; a count runs down, once for each answer that it spoils."""

    cut: dict[str, list[int]] = field(default_factory=dict)  # close after so many bytes, one entry an answer
    reset: dict[str, list[int]] = field(default_factory=dict)  # the same, with a TCP reset
    corrupt: dict[str, int] = field(default_factory=dict)  # answers of the right length with a wrong byte
    status: list[int] = field(default_factory=list)  # answers of resolve and the API, before any good one
    gated: bool = False
    ignore_range: bool = False
    wrong_commit: str = ""  # what X-Repo-Commit says instead
    bytes_per_second: int = 0  # 0: as fast as it goes


@dataclass(frozen=True)
class Blob:
    """One file's content with the ids that the Hub gives it."""

    content: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def git_sha1(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.git_sha1


class LoopbackHub:
    """The server; models are added to it, its requests and faults are open to the test."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.requests: list[Request] = []
        self.token = ""  # if set, only requests that carry it are answered
        self._refs: dict[str, dict[str, str]] = {}  # model -> branch or tag -> commit
        self._trees: dict[tuple[str, str], dict[str, Blob]] = {}
        hub = self

        class Bound(_Handler):
            server_hub = hub

        # Large files come from another origin, as on the Hub: a client must not carry its token there.
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), Bound) for _ in range(2)]

    def __enter__(self) -> LoopbackHub:
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._servers[0].server_address[1]}"

    @property
    def cdn_url(self) -> str:
        return f"http://127.0.0.1:{self._servers[1].server_address[1]}"

    def env(self, home: Path) -> dict[str, str]:
        """Give the environment in which a client talks to this server alone and keeps its cache in `home`."""
        plain = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
        return {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_CACHE": str(home / "hub"), **plain}

    def add(self, model: str, files: Mapping[str, bytes], branch: str = "main", lfs_from: int = 1000) -> str:
        """Commit files to a model's branch and give the commit; files of `lfs_from` bytes and more are large ones."""
        tree = {path: Blob(content, len(content) >= lfs_from) for path, content in files.items()}
        text = json.dumps([model, {path: blob.sha256 for path, blob in tree.items()}], sort_keys=True)
        commit = hashlib.sha1(text.encode()).hexdigest()
        self._trees[model, commit] = tree
        self._refs.setdefault(model, {})[branch] = commit
        return commit

    def commit_of(self, model: str, revision: str) -> str | None:
        if (model, revision) in self._trees:
            return revision
        return self._refs.get(model, {}).get(revision)

    def tree(self, model: str, commit: str) -> dict[str, Blob]:
        return self._trees[model, commit]

    def blob(self, sha256: str) -> tuple[str, Blob] | None:
        found = ((path, b) for tree in self._trees.values() for path, b in tree.items() if b.sha256 == sha256)
        return next(found, None)

    def knows(self, model: str) -> bool:
        return model in self._refs

    def sent(self) -> int:
        """Give the bytes of bodies sent so far."""
        return sum(request.sent for request in list(self.requests))

    def bodies(self, name: str = "") -> list[Request]:
        """Give the requests that moved a file's bytes, those of one file if it is named."""
        moved = [r for r in self.requests if r.method == "GET" and r.sent and not r.path.startswith("/api/")]
        return [r for r in moved if name in unquote(r.path)]


_API = re.compile(r"/api/models/(?P<model>.+?)(?:/(?P<kind>revision|tree)/(?P<revision>[^/]+))?$")
_RESOLVE = re.compile(r"/(?P<model>[^/]+(?:/[^/]+)?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)$")
_CDN = re.compile(r"/cdn/(?P<sha256>[0-9a-f]{64})/(?P<name>.+)$")


class _Handler(BaseHTTPRequestHandler):
    server_hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        return

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub = self.server_hub
        parts = urlsplit(self.path)
        authorized = self.headers.get("Authorization") == f"Bearer {hub.token}"
        self._request = Request(self.command, parts.path, self.headers.get("Range"), authorized)
        hub.requests.append(self._request)
        try:
            if match := _CDN.match(parts.path):
                self._cdn(match["sha256"], parse_qs(parts.query))
            elif hub.faults.status:
                self._error(hub.faults.status.pop(0))
            elif hub.token and not authorized:
                self._error(401, "Invalid username or password.")
            elif match := _RESOLVE.match(parts.path):
                self._resolve(match["model"], unquote(match["revision"]), unquote(match["path"]))
            elif match := _API.match(parts.path):
                self._api(match["model"], match["kind"], unquote(match["revision"] or "main"), parse_qs(parts.query))
            else:
                self._error(404)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _api(self, model: str, kind: str | None, revision: str, query: Mapping[str, list[str]]) -> None:
        hub = self.server_hub
        if not hub.knows(model):
            return self._error(404, code="RepoNotFound")
        commit = hub.commit_of(model, revision)
        if commit is None:
            return self._error(404, code="RevisionNotFound")
        tree = hub.tree(model, commit)
        if kind != "tree":
            siblings = [{"rfilename": path} for path in tree]
            return self._json({"id": model, "modelId": model, "sha": commit, "siblings": siblings})
        start = int(query.get("cursor", ["0"])[0])
        headers = {}
        if start + PAGE < len(tree):
            link = f"{hub.url}/api/models/{model}/tree/{quote(revision, safe='')}?recursive=True&cursor={start + PAGE}"
            headers["Link"] = f'<{link}>; rel="next"'
        return self._json([_entry(*item) for item in list(tree.items())[start : start + PAGE]], headers)

    def _resolve(self, model: str, revision: str, path: str) -> None:
        hub = self.server_hub
        if not hub.knows(model):
            return self._error(404, code="RepoNotFound")
        if hub.faults.gated:
            return self._error(403, "Access to this model is restricted.", code="GatedRepo")
        commit = hub.commit_of(model, revision)
        if commit is None:
            return self._error(404, code="RevisionNotFound")
        blob = hub.tree(model, commit).get(path)
        if blob is None:
            return self._error(404, code="EntryNotFound", headers={"X-Repo-Commit": commit})
        headers = {"X-Repo-Commit": hub.faults.wrong_commit or commit, "ETag": f'"{blob.etag}"'}
        if not blob.lfs:
            return self._content(path, blob, headers)
        headers |= {"X-Linked-Size": str(len(blob.content)), "X-Linked-Etag": f'"{blob.sha256}"'}
        headers["Location"] = f"{hub.cdn_url}/cdn/{blob.sha256}/{quote(path)}?signature=secret"
        return self._send(302, b"", headers)

    def _cdn(self, sha256: str, query: Mapping[str, list[str]]) -> None:
        found = self.server_hub.blob(sha256)
        if found is None or query.get("signature") != ["secret"]:
            return self._error(403)
        return self._content(*found, {"ETag": f'"{sha256}"'})

    def _content(self, path: str, blob: Blob, headers: dict[str, str]) -> None:
        faults, content, status = self.server_hub.faults, blob.content, 200
        if faults.corrupt.get(path, 0) > 0 and self.command == "GET":
            faults.corrupt[path] -= 1
            content = content[:-1] + bytes([content[-1] ^ 0xFF])
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted and not faults.ignore_range:
            start = int(wanted[1])
            end = min(int(wanted[2]) + 1 if wanted[2] else len(content), len(content))
            if start >= len(content):
                return self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
            content, status = content[start:end], 206
        return self._send(status, content, {"Accept-Ranges": "bytes", **headers}, path)

    def _json(self, value: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _error(self, status: int, message: str = "", code: str = "", headers: Mapping[str, str] | None = None) -> None:
        said = {"X-Error-Message": message} if message else {}
        said |= {"X-Error-Code": code} if code else {}
        self._send(status, b"", {**said, **(headers or {})})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], path: str = "") -> None:
        self._request.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        faults = self.server_hub.faults
        for spoiled, reset in ((faults.cut, False), (faults.reset, True)):
            if spoiled.get(path):
                self._write(body[: spoiled[path].pop(0)])
                self._hang_up(reset)
                return
        self._write(body)

    def _write(self, body: bytes) -> None:
        rate = self.server_hub.faults.bytes_per_second
        step = max(1, rate // 50) if rate else len(body)
        for at in range(0, len(body), step or 1):
            part = body[at : at + step]
            self.wfile.write(part)
            self._request.sent += len(part)
            if rate:
                time.sleep(len(part) / rate)

    def _hang_up(self, reset: bool) -> None:
        self.close_connection = True
        self.wfile.flush()
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            time.sleep(0.05)  # what was sent arrives first
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)


def _entry(path: str, blob: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(blob.content), "oid": blob.git_sha1}
    if blob.lfs:
        entry["lfs"] = {"oid": blob.sha256, "size": len(blob.content), "pointerSize": 130}
    return entry


def use_in_process(
    hub: LoopbackHub, home: Path, setenv: Callable[[str, str], None], patch: Callable[..., None]
) -> None:
    """Point a client that this process has imported already at the server; pass monkeypatch's setenv and setattr."""
    from huggingface_hub import constants

    for name, value in hub.env(home).items():
        setenv(name, value)
    patch(constants, "HF_HUB_CACHE", str(home / "hub"))
    patch(constants, "HF_TOKEN_PATH", str(home / "token"))
    patch(constants, "HF_HUB_DISABLE_XET", True)
