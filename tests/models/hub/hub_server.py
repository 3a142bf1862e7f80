"""A Hugging Face Hub of a few repositories on this machine, as far as its own client asks."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_good"


@dataclass
class Repository:
    """A repository of models.

    Attributes:
        private: Whether only the token may read it.
        gated: Whether its terms have not been accepted.
        commits: Files by name, of each commit by its id.
        branches: Commit of each revision.
        messages: Message of each commit.
    """

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, files: dict[str, bytes], message: str = "") -> str:
        """Add files to the main branch; return the new commit's id."""
        new = {**self.commits.get(self.branches.get("main", ""), {}), **files}
        text = str(len(self.commits)) + "".join(sorted(new))
        oid = hashlib.sha1(text.encode()).hexdigest()
        self.commits[oid] = new
        self.branches["main"] = oid
        self.messages.append(message)
        return oid

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        oid = self.branches.get(revision, revision)
        return (oid, self.commits[oid]) if oid in self.commits else None


@dataclass
class Hub:
    """What the server holds, and what it was asked."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: int | None = None
    url: str = ""

    def add(self, name: str, files: dict[str, bytes], **more: Any) -> Repository:
        self.repositories[name] = made = Repository(**more)
        made.commit(files)
        return made


@contextlib.contextmanager
def hub_serving() -> Iterator[Hub]:
    """Serve repositories until the end of the context."""
    hub = Hub()

    class Handler(_Handler):
        held = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    held: Hub

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _answer(self) -> None:
        body = self._body()
        path = unquote(urlsplit(self.path).path)
        self.held.asked.append(f"{self.command} {path}")
        if self.held.broken:
            return self._send(self.held.broken, {"error": "broken"})
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token and token not in (TOKEN, "hf_reader"):
            words = "Invalid credentials in Authorization header"
            return self._send(401, {"error": words}, {"X-Error-Message": words})
        for pattern, answer in ROUTES:
            found = re.fullmatch(pattern, f"{self.command} {path}")
            if found:
                return answer(self, token, body, **found.groupdict())
        return self._send(404, {"error": "no such address"})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while length := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, code: int, value: Any = None, headers: dict[str, str] | None = None) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(code)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _readable(self, name: str, token: str) -> Repository | None:
        """Return a repository that the token may read, or answer why it may not."""
        found = self.held.repositories.get(name)
        if found is None or (found.private and not token):
            self._send(404 if token else 401, {"error": "?"}, {"X-Error-Code": "RepoNotFound"})
            return None
        return found

    def _about(self, token: str, _: bytes, name: str, revision: str | None = None) -> None:
        found = self._readable(name, token)
        if found is None:
            return None
        at = found.at(revision or "main")
        if at is None and revision:
            return self._send(404, {"error": "?"}, {"X-Error-Code": "RevisionNotFound"})
        oid, files = at or ("0" * 40, {})
        siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
        return self._send(200, {"id": name, "sha": oid, "siblings": siblings, "tags": []})

    def _file(self, token: str, _: bytes, name: str, revision: str, file: str) -> None:
        found = self._readable(name, token)
        if found is None:
            return None
        if found.gated:
            return self._send(403, {"error": "?"}, {"X-Error-Code": "GatedRepo"})
        at = found.at(revision)
        if at is None or file not in at[1]:
            return self._send(404, {"error": "?"}, {"X-Error-Code": "EntryNotFound"})
        tag = hashlib.sha256(at[1][file]).hexdigest()
        return self._send(200, at[1][file], {"X-Repo-Commit": at[0], "ETag": f'"{tag}"'})

    def _create(self, token: str, body: bytes) -> None:
        asked = json.loads(body)
        if not token:
            return self._send(401, {"error": "log in"})
        if token != TOKEN:
            return self._send(403, {"error": "your token may not write"})
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.held.repositories:
            return self._send(409, {"url": f"{self.held.url}/{name}", "error": "exists"})
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.held.repositories[name] = Repository(private=private)
        return self._send(200, {"url": f"{self.held.url}/{name}", "name": name})

    def _validate(self, _: str, body: bytes) -> None:
        assert json.loads(body)["content"].startswith("---\n")
        self._send(200, {"warnings": [], "errors": []})

    def _preupload(self, _: str, body: bytes, name: str) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith("safetensors") else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        assert name in self.held.repositories
        self._send(200, {"files": files})

    def _batch(self, _: str, body: bytes, name: str) -> None:
        assert name in self.held.repositories
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.held.url}/blobs/{one['oid']}"}}}
            for one in json.loads(body)["objects"]
        ]
        self._send(200, {"transfer": "basic", "objects": objects})

    def _blob(self, _: str, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.held.blobs[oid] = body
        self._send(200, {})

    def _commit(self, _: str, body: bytes, name: str) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        files, message = {}, ""
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                files[value["path"]] = self.held.blobs[value["oid"]]
        oid = self.held.repositories[name].commit(files, message)
        self._send(200, {"commitUrl": f"{self.held.url}/{name}/commit/{oid}", "commitOid": oid})


_NAME = r"(?P<name>[^/]+/[^/]+)"
ROUTES: list[tuple[str, Any]] = [
    (rf"GET /api/models/{_NAME}", _Handler._about),
    (rf"GET /api/models/{_NAME}/revision/(?P<revision>.+)", _Handler._about),
    (rf"(?:GET|HEAD) /{_NAME}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", _Handler._file),
    (r"POST /api/repos/create", _Handler._create),
    (r"POST /api/validate-yaml", _Handler._validate),
    (rf"POST /api/models/{_NAME}/preupload/main", _Handler._preupload),
    (rf"POST /{_NAME}\.git/info/lfs/objects/batch", _Handler._batch),
    (r"PUT /blobs/(?P<oid>[0-9a-f]{64})", _Handler._blob),
    (rf"POST /api/models/{_NAME}/commit/main", _Handler._commit),
]
