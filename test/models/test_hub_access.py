# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A hub that refuses access: the message names the page with the license and the command to log in."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest

from lang2segtrack_ros.models import catalogue, store
from lang2segtrack_ros.models.catalogue import WeightsError

COMMIT = "a" * 40
LISTED = {"id": "org/listed", "sha": COMMIT, "siblings": [{"rfilename": "config.json"}, {"rfilename": "model.safetensors"}]}
TREE = [{"type": "file", "path": name, "size": 10, "oid": "b" * 40} for name in ("config.json", "model.safetensors")]


class Hub(BaseHTTPRequestHandler):
    """Hides org/hidden (401), forbids org/forbidden (403), lists org/listed but refuses its files, and lacks org/broken (500)."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if "org/listed" not in path:
            status = 401 if "hidden" in path else 403 if "forbidden" in path else 500
            return self.respond(status, {"error": "no"})
        if path.startswith("/api/"):
            return self.respond(200, TREE if "/tree/" in path else LISTED)
        return self.respond(403, {"error": "Access to model org/listed is restricted"}, {"X-Error-Code": "GatedRepo"})

    do_HEAD = do_GET  # noqa: N815 (the name that the server looks up)

    def respond(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Type": "application/json", "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setenv(catalogue.HOME_VARIABLE, str(tmp_path))
    yield address
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("name", "status"), [("org/hidden", 401), ("org/forbidden", 403), ("org/listed", 403)])
def test_refused_access_names_the_page_and_the_command(hub: str, name: str, status: int) -> None:
    """The hub may refuse the whole repository, or only its files after it lists them."""
    with pytest.raises(WeightsError) as caught:
        store.fetch(name)
    message = str(caught.value)
    assert f"The hub refuses access (HTTP {status}): accept the license on {hub}/{name} with your account" in message
    assert "`hf auth login`" in message
    assert catalogue.local_folder(name, "segmenter") is None


def test_another_failure_does_not_ask_for_a_login(hub: str) -> None:
    """A login does not help against a broken server."""
    with pytest.raises(WeightsError, match="cannot be fetched from the hub") as caught:
        store.fetch("org/broken")
    assert "hf auth login" not in str(caught.value)
