# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP server of the page: files, images, tracks, prompts and removals. Limits apply to every connection, body and wait."""

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
"""Maximum time in which a connection must send its next request."""
WORK_S = 20.0
"""Maximum time in which a request must be processed and the client must read the response."""
PICTURE_WAIT_S = 5.0
"""Maximum time in which a request waits for the next image."""
LINGER_BYTES = 1 << 20
"""Maximum number of bytes of a refused body that the server reads, so that the client receives the response."""
POLL_S = 0.2
TOO_MANY_CONNECTIONS = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

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
class TrackerResponse:
    """The tracker's response to a request.

    Attributes:
        success: True if the tracker carried out the request.
        message: error, or notes for the user.
        track_ids: objects that the prompt started or corrected.
    """

    success: bool
    message: str = ""
    track_ids: tuple[int, ...] = ()


class Robot(Protocol):
    """The interface from the page to the tracker.

    The server calls the methods on any thread. They block, and raise RefusedError if the tracker cannot be reached.

    Attributes:
        pictures: newest image for the viewers.
    """

    pictures: Pictures

    def prompt(self, prompt: PagePrompt) -> TrackerResponse:
        """Send a prompt and return the response."""
        ...

    def remove(self, kind: str, number: int) -> TrackerResponse:
        """Remove a track or a text prompt.

        Args:
            kind: "track_id" or "prompt_id".
            number: the id.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Return tracks, text prompts and the current problem, for JSON."""
        ...


class PageServer(ThreadingHTTPServer):
    """The HTTP server. From `start` until `close`, it serves each connection on its own thread.

    Args:
        port: TCP port; 0 selects a free one, see `url`.
        access: access rules and IP address.
        robot: interface to the tracker.
        max_connections: maximum number of open connections; the server refuses further ones.

    Raises:
        OSError: the address or port is not available.
    """

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, port: int, access: Access, robot: Robot, max_connections: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in access.address else socket.AF_INET
        self.access = access
        self.robot = robot
        self.counters: Counter[str] = Counter()
        self.page = {path: ((files(__package__) / "page" / name).read_bytes(), kind) for path, (name, kind) in PAGE.items()}
        self.connections = 0
        self._max_connections = max_connections
        self._handlers: set[Handler] = set()
        self._lock = threading.Lock()
        try:
            super().__init__((access.address, port), Handler)
        except OSError as error:
            raise OSError(f"cannot listen on {access.address} port {port} ({error.strerror}): set another address or port") from error
        self._thread = threading.Thread(target=self.serve_forever, args=(POLL_S,), name="lang2segtrack-web", daemon=True)

    @property
    def url(self) -> str:
        """URL of the page."""
        host = f"[{self.access.address}]" if self.address_family == socket.AF_INET6 else self.access.address
        return f"http://{host}:{self.server_address[1]}/"

    def start(self) -> None:
        """Start the server thread."""
        self._thread.start()

    def close(self) -> None:
        """End the server and all connections within a second, including active requests."""
        self.shutdown()
        self.server_close()
        self.robot.pictures.close()
        with self._lock:
            handlers = list(self._handlers)
        for handler in handlers:
            handler.abort()

    def count(self, event: str) -> None:
        """Count an event. Any thread may call the method."""
        with self._lock:
            self.counters[event] += 1

    def counts(self) -> dict[str, int]:
        """Return the number of events so far, by name."""
        with self._lock:
            return dict(self.counters)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse a connection if too many are open. The base class calls the method before it starts a thread.

        Args:
            request: socket of the connection.
            client_address: address of the client.
        """
        with self._lock:
            self.connections += 1
            if self.connections <= self._max_connections:
                return True
            self.connections -= 1
            self.counters["requests_refused_too_many_connections"] += 1
        with contextlib.suppress(OSError):
            request.setblocking(False)
            request.send(TOO_MANY_CONNECTIONS)
        return False

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection until it ends.

        Args:
            request: socket of the connection.
            client_address: address of the client.
        """
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self.connections -= 1

    def register(self, handler: Handler) -> None:
        """Add a connection to those that `service_actions` and `close` may abort."""
        with self._lock:
            self._handlers.add(handler)

    def unregister(self, handler: Handler) -> None:
        """Remove a connection that has ended."""
        with self._lock:
            self._handlers.discard(handler)

    def service_actions(self) -> None:
        """Abort connections past their deadline. `serve_forever` calls the method several times per second."""
        now = time.monotonic()
        with self._lock:
            overdue = [handler for handler in self._handlers if now > handler.deadline]
            self.counters["requests_cut_too_slow"] += sum(handler.busy for handler in overdue)
        for handler in overdue:
            handler.abort()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Count and log an unexpected error of a connection.

        Args:
            request: socket of the connection.
            client_address: address of the client.
        """
        self.count("requests_failed")
        log.exception("a request from %s failed", client_address)


class Handler(BaseHTTPRequestHandler):
    """A connection of a client.

    Attributes:
        deadline: time of the monotonic clock after which the server aborts the connection.
        busy: True while a request is processed, False while the connection waits for one.
    """

    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version = "lang2segtrack"
    sys_version = ""
    deadline = float("inf")
    busy = False

    def handle(self) -> None:
        """Process requests one after the other until the connection ends."""
        self.server.register(self)
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.server.count("requests_broken_off")
        finally:
            self.server.unregister(self)

    def finish(self) -> None:
        """Close the connection, which the client may have closed already."""
        with contextlib.suppress(OSError):
            super().finish()

    def abort(self) -> None:
        """Shut the connection down from another thread."""
        self.deadline = float("inf")
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def handle_one_request(self) -> None:
        """Read and process one request before its deadline."""
        self.busy, self.deadline = False, time.monotonic() + IDLE_S
        super().handle_one_request()

    def do_GET(self) -> None:
        """Serve files, images and tracks."""
        self._process(self._get)

    def do_POST(self) -> None:
        """Accept prompts and removals."""
        self._process(self._post)

    def _process(self, method: Any) -> None:
        self.busy, self.deadline = True, time.monotonic() + WORK_S
        try:
            method(self._url())
        except (ConnectionError, TimeoutError):
            raise
        except RefusedError as error:
            self.server.count(f"requests_refused_{error.reason}")
            extra = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {}
            if self.command == "POST" and error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
                self.close_connection = True  # the request body may still be unread
            self._send_json(error.status, {"error": str(error)}, extra)
            if self.close_connection:
                self._linger()
        except Exception:  # an error of this server must not look like a lost connection to the robot
            self.server.count("requests_failed")
            log.exception("%s %s failed", self.command, self.path[:100])
            self.close_connection = True
            self._send_json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "the web node failed; its log says why"})

    def _url(self) -> Any:
        try:
            return urlsplit(self.path)
        except ValueError as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "bad_request", f"the URL is not valid: {error}") from error

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
            self._refuse_path(url.path, ("/api/prompt", "/api/remove"))

    def _send_picture(self, after: str) -> None:
        if not (after.isascii() and after.isdigit() and len(after) < 19):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "bad_request", "after must be the number of the previous image")
        picture = self.server.robot.pictures.wait_for_next(int(after), PICTURE_WAIT_S)
        self.deadline = time.monotonic() + WORK_S
        if picture is None:
            self._send(HTTPStatus.NO_CONTENT, b"", "")
        else:
            self._send(HTTPStatus.OK, picture.jpeg, "image/jpeg", {"X-Number": str(picture.number), "X-Source": picture.source})
            self.server.count("pictures_sent")

    def _post(self, url: Any) -> None:
        self.server.access.check_site(self.headers)
        self.server.access.check_token(self.headers)
        if url.path not in ("/api/prompt", "/api/remove"):
            self._refuse_path(url.path, ("/api/state", "/api/picture", *self.server.page))
        body = self._body()
        robot = self.server.robot
        response = robot.prompt(read_prompt(body)) if url.path == "/api/prompt" else robot.remove(*read_removal(body))
        if not response.success:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "by_tracker", response.message)
        self._send_json(HTTPStatus.OK, {"message": response.message, "track_ids": list(response.track_ids)})

    def _refuse_path(self, path: str, other_method: tuple[str, ...]) -> None:
        if path in other_method:
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "method", f"{path} does not support {self.command}")
        raise RefusedError(HTTPStatus.NOT_FOUND, "not_found", "there is no such resource")

    def _body(self) -> bytes:
        """Read the body of a POST. Only JSON is accepted, because a form of another web site cannot send JSON."""
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not_json", "send JSON, with Content-Type: application/json")
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "no_length", "send the body in one piece, with Content-Length")
        if len(length) > 9 or int(length) > MAX_BODY:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"the body has more than {MAX_BODY} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionAbortedError("the client closed the connection before the end of the body")
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
        """Read the rest of a refused body for a moment. Closing a connection with unread data would discard the response."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(1.0)
            read = 0
            while read < LINGER_BYTES and (data := self.connection.recv(1 << 16)):
                read += len(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing, because the counters report failures.

        Args:
            format: unused.
            *args: unused.
        """
