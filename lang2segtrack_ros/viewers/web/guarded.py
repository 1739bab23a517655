# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Requests to a page of this package: each is checked by the access rules, has a deadline, and gets a response, also after an error."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from email.message import Message
from http import HTTPStatus
from typing import Any

from aiohttp import web

from lang2segtrack_ros.viewers.web.access import Access, RefusedError
from lang2segtrack_ros.viewers.web.bodies import MAX_BODY

log = logging.getLogger(__name__)
WORK_S = 20.0
"""Maximum time in which a connection must finish a request: the client sends it, the server processes it, the client reads the response."""
LINGER_BYTES = 1 << 20
"""Maximum number of bytes of a refused body that the server reads, so that the client receives the response."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "lang2segtrack",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class GuardedRequests:
    """The requests of all connections, handled on the server's event loop.

    Args:
        access: access rules.
        page: content and type of each file of the page, by path.
        routes: method and handler of each other resource, by path.
        sockets: paths of WebSockets. Their handlers check the token, because a browser sends no Authorization header with a WebSocket.

    Attributes:
        counters: number of events so far, by name.
        deadlines: time of the monotonic clock after which a connection must be aborted, by connection.
    """

    def __init__(
        self,
        access: Access,
        page: Mapping[str, tuple[bytes, str]],
        routes: Mapping[str, tuple[str, Handler]],
        sockets: frozenset[str] = frozenset(),
    ) -> None:
        self._access = access
        self.counters: Counter[str] = Counter()
        self.deadlines: dict[Any, float] = {}
        self._page = page
        self._routes = routes
        self._sockets = sockets

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Check and carry out a request, and return its response."""
        self.deadlines[request.protocol] = time.monotonic() + WORK_S
        try:
            return await self._respond(request)
        except RefusedError as error:
            return await self._refusal(request, error)
        except (ConnectionError, web.RequestPayloadError):
            self.counters["requests_broken_off"] += 1
            return web.Response(status=HTTPStatus.BAD_REQUEST)
        except Exception:  # an error of this server must not look like a lost connection
            self.counters["requests_failed"] += 1
            log.exception("%s %s failed", request.method, request.path[:100])
            return json_response({"error": "the server of this page failed; its log says why"}, HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            self.deadlines[request.protocol] = time.monotonic() + WORK_S

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = Message()
        for name, value in request.headers.items():
            headers[name] = value
        method, handler = ("GET", self._file) if request.path in self._page else self._routes.get(request.path, ("", None))
        is_page = request.path in self._page and request.method == method
        self._access.check_site(headers, page=is_page)
        if not is_page and request.path not in self._sockets:
            self._access.check_token(headers)
        if handler is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "not_found", "there is no such resource")
        if request.method != method:
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "method", f"{request.path} does not support {request.method}")
        return await handler(request)

    async def _refusal(self, request: web.BaseRequest, error: RefusedError) -> web.Response:
        """Return the response to a refused request. Closing a connection with unread data would discard the response."""
        self.counters[f"requests_refused_{error.reason}"] += 1
        with contextlib.suppress(asyncio.TimeoutError, ConnectionError, web.RequestPayloadError):
            await asyncio.wait_for(_discard(request), 1.0)
        return json_response(
            {"error": str(error)}, error.status, {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {}
        )

    async def _file(self, request: web.BaseRequest) -> web.Response:
        body, kind = self._page[request.path]
        return web.Response(body=body, headers={**HEADERS, "Content-Type": kind})


async def read_body(request: web.BaseRequest) -> bytes:
    """Read the body of a POST. Only JSON is accepted, because a form of another web site cannot send JSON.

    Raises:
        RefusedError: the body is not JSON, has no known length, or more than `MAX_BODY` bytes.
    """
    if request.content_type != "application/json":
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not_json", "send JSON, with Content-Type: application/json")
    if request.content_length is None:
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "no_length", "send the body in one piece, with Content-Length")
    if request.content_length > MAX_BODY:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"the body has more than {MAX_BODY} bytes")
    return await request.read()


async def _discard(request: web.BaseRequest) -> None:
    """Read the rest of a body, up to `LINGER_BYTES`."""
    left = LINGER_BYTES
    while left > 0 and (data := await request.content.readany()):
        left -= len(data)


def json_response(value: dict[str, Any], status: int = HTTPStatus.OK, extra: dict[str, str] | None = None) -> web.Response:
    """Return a JSON response.

    Args:
        value: the JSON object.
        status: HTTP status.
        extra: further headers.
    """
    return web.json_response(value, status=status, headers={**HEADERS, **(extra or {})})
