# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Serves the page: its files, the pictures, the tracks, and what is asked for. Every connection, body and wait is bounded."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from lang2segtrack_ros.viewers.web.access import Access, RefusedError
from lang2segtrack_ros.viewers.web.bodies import MAX_BODY, PagePrompt, read_prompt, read_removal
from lang2segtrack_ros.viewers.web.pictures import Pictures

log = logging.getLogger(__name__)
IDLE_S = 15.0
"""A connection may take this long to send a request, or to have none."""
WORK_S = 20.0
"""A request may take this long to be answered and the answer to be read."""
PICTURE_WAIT_S = 5.0
LINGER_BYTES = 1 << 20  # of a refused body that are read, so that the client gets to see the refusal
POLL_S = 0.2
FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Answer:
    """What the tracker said to a request.

    Attributes:
        success, message: as in the services.
        track_ids: the objects the prompt made or corrected.
    """

    success: bool
    message: str = ""
    track_ids: tuple[int, ...] = ()


class Robot(Protocol):
    """What the page is about. The methods block, raise RefusedError when the tracker cannot be asked, and come on any thread."""

    pictures: Pictures

    def prompt(self, prompt: PagePrompt) -> Answer:
        """Asks for objects."""
        ...

    def remove(self, kind: str, number: int) -> Answer:
        """Forgets an object ("track_id") or what is looked for ("prompt_id")."""
        ...

    def state(self) -> dict[str, Any]:
        """What is tracked, for JSON."""
        ...


class PageServer(ThreadingHTTPServer):
    """The server; `start` serves on threads of its own until `close`.

    Args:
        port: 0 takes a free one; see `url`.
        access: who may use it, and where it listens.
        robot: what it shows.
        max_connections: more are turned away.

    Raises:
        OSError: the address or port cannot be had.
    """

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, port: int, access: Access, robot: Robot, max_connections: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in access.address else socket.AF_INET
        self.access = access
        self.robot = robot
        self.counted: Counter[str] = Counter()
        self.page = {path: ((files(__package__) / "page" / name).read_bytes(), kind) for path, (name, kind) in PAGE.items()}
        self.connections = 0
        self._max_connections = max_connections
        self._open: set[Handler] = set()
        self._lock = threading.Lock()
        try:
            super().__init__((access.address, port), Handler)
        except OSError as error:
            raise OSError(f"cannot listen on {access.address} port {port} ({error.strerror}): set another address or port") from error
        self._thread = threading.Thread(target=self.serve_forever, args=(POLL_S,), name="lang2segtrack-web", daemon=True)

    @property
    def url(self) -> str:
        """Where the page is."""
        host = f"[{self.access.address}]" if self.address_family == socket.AF_INET6 else self.access.address
        return f"http://{host}:{self.server_address[1]}/"

    def start(self) -> None:
        """Begins to serve."""
        self._thread.start()

    def close(self) -> None:
        """Ends everything within a second, also connections that are in the middle of something."""
        self.shutdown()
        self.server_close()
        self.robot.pictures.close()
        with self._lock:
            handlers = list(self._open)
        for handler in handlers:
            handler.cut()

    def count(self, what: str) -> None:
        """Counts something; on any thread."""
        with self._lock:
            self.counted[what] += 1

    def counts(self) -> dict[str, int]:
        """What was counted so far."""
        with self._lock:
            return dict(self.counted)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Turns a connection away when there are too many; called before a thread is made for it."""
        with self._lock:
            self.connections += 1
            if self.connections <= self._max_connections:
                return True
            self.connections -= 1
            self.counted["refused: too_many_connections"] += 1
        with contextlib.suppress(OSError):
            request.setblocking(False)
            request.send(FULL)
        return False

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves a connection until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self.connections -= 1

    def enter(self, handler: Handler) -> None:
        """Takes a connection that may have to be cut."""
        with self._lock:
            self._open.add(handler)

    def leave(self, handler: Handler) -> None:
        """Forgets it."""
        with self._lock:
            self._open.discard(handler)

    def service_actions(self) -> None:
        """Cuts connections whose time is over; called by `serve_forever` several times a second."""
        now = time.monotonic()
        with self._lock:
            overdue = [handler for handler in self._open if now > handler.deadline]
            self.counted["cut: too_slow"] += sum(handler.busy for handler in overdue)
        for handler in overdue:
            handler.cut()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are nobody's fault; anything else is logged with where it came from."""
        self.count("failed")
        log.exception("a request of %s failed", client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version = "lang2segtrack"
    sys_version = ""
    deadline = float("inf")
    busy = False

    def handle(self) -> None:
        """Requests, one after the other, until the connection ends."""
        self.server.enter(self)
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.server.count("broken off")
        finally:
            self.server.leave(self)

    def finish(self) -> None:
        """Ends the connection, which may be broken already."""
        with contextlib.suppress(OSError):
            super().finish()

    def cut(self) -> None:
        """Ends the connection from another thread."""
        self.deadline = float("inf")
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def handle_one_request(self) -> None:
        """Reads and answers one request within its time."""
        self.busy, self.deadline = False, time.monotonic() + IDLE_S
        super().handle_one_request()

    def do_GET(self) -> None:
        """Files, pictures, tracks."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Prompts and removals."""
        self._answer(self._post)

    def _answer(self, work: Any) -> None:
        self.busy, self.deadline = True, time.monotonic() + WORK_S
        try:
            work(self._url())
        except (ConnectionError, TimeoutError):
            raise
        except RefusedError as error:
            self.server.count(f"refused: {error.reason}")
            extra = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {}
            if self.command == "POST" and error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
                self.close_connection = True  # its body may not have been read
            self._send_json(error.status, {"error": str(error)}, extra)
            if self.close_connection:
                self._linger()
        except Exception:  # a mistake of ours must not look like a robot that is gone
            self.server.count("failed")
            log.exception("%s %s failed", self.command, self.path[:100])
            self.close_connection = True
            self._send_json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "the web node failed; its log says why"})

    def _url(self) -> Any:
        try:
            return urlsplit(self.path)
        except ValueError as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "bad_request", f"that is no address: {error}") from error

    def _get(self, url: Any) -> None:
        self.server.access.check_site(self.headers, page=url.path in self.server.page)
        if url.path in self.server.page:
            body, kind = self.server.page[url.path]
            self._send(HTTPStatus.OK, body, kind)
            return
        self.server.access.check_token(self.headers)
        if url.path == "/api/state":
            self._send_json(HTTPStatus.OK, self.server.robot.state())
        elif url.path == "/api/picture":
            self._send_picture(parse_qs(url.query).get("after", ["0"])[0])
        else:
            self._not_here(url.path, ("/api/prompt", "/api/remove"))

    def _send_picture(self, after: str) -> None:
        if not (after.isascii() and after.isdigit() and len(after) < 19):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "bad_request", "after must be the number of the picture before")
        shown = self.server.robot.pictures.another(int(after), PICTURE_WAIT_S)
        self.deadline = time.monotonic() + WORK_S
        if shown is None:
            self._send(HTTPStatus.NO_CONTENT, b"", "")
        else:
            self._send(HTTPStatus.OK, shown.jpeg, "image/jpeg", {"X-Number": str(shown.number), "X-Source": shown.source})
            self.server.count("pictures sent")

    def _post(self, url: Any) -> None:
        self.server.access.check_site(self.headers)
        self.server.access.check_token(self.headers)
        if url.path not in ("/api/prompt", "/api/remove"):
            self._not_here(url.path, ("/api/state", "/api/picture", *self.server.page))
        body = self._body()
        robot = self.server.robot
        answer = robot.prompt(read_prompt(body)) if url.path == "/api/prompt" else robot.remove(*read_removal(body))
        if not answer.success:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "by_tracker", answer.message)
        self._send_json(HTTPStatus.OK, {"message": answer.message, "track_ids": list(answer.track_ids)})

    def _not_here(self, path: str, other_method: tuple[str, ...]) -> None:
        if path in other_method:
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "method", f"{path} does not answer to {self.command}")
        raise RefusedError(HTTPStatus.NOT_FOUND, "not_found", "there is nothing here")

    def _body(self) -> bytes:
        """The body of a POST; only JSON, which a form of another web site cannot send."""
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not_json", "send JSON, with Content-Type: application/json")
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "no_length", "send the body in one piece, with Content-Length")
        if len(length) > 9 or int(length) > MAX_BODY:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"the body has more than {MAX_BODY} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionAbortedError("the client left in the middle of a body")
        return body

    def _send_json(self, status: HTTPStatus, value: Mapping[str, Any], extra: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), "application/json", extra)

    def _send(self, status: HTTPStatus, body: bytes, kind: str, extra: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **(extra or {})}.items():
            self.send_header(name, value)
        if kind:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _linger(self) -> None:
        """Reads on for a moment: closing a connection with unread data would destroy the refusal on its way."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(1.0)
            read = 0
            while read < LINGER_BYTES and (data := self.connection.recv(1 << 16)):
                read += len(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: what goes wrong is counted."""
