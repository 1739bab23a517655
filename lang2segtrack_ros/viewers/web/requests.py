# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Requests to the page: files, images, tracks, prompts and removals, each with its checks and response."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Protocol

from aiohttp import WSCloseCode, web

from lang2segtrack_ros.viewers.web.access import Access, RefusedError
from lang2segtrack_ros.viewers.web.bodies import MAX_BODY, PagePrompt, read_prompt, read_removal
from lang2segtrack_ros.viewers.web.pictures import EncodedPicture, Pictures

log = logging.getLogger(__name__)
WORK_S = 20.0
"""Maximum time in which a connection must finish a request: the client sends it, the server processes it, the client reads the response."""
PICTURE_WAIT_S = 5.0
"""Maximum time in which a request waits for the next image."""
AHEAD = 2
"""Maximum number of images that a viewer requests in advance, so that one is on its way while the viewer shows another."""
LINGER_BYTES = 1 << 20
"""Maximum number of bytes of a refused body that the server reads, so that the client receives the response."""

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
    "Server": "lang2segtrack",
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

    The methods run on the server's event loop. They raise RefusedError if the tracker cannot be reached.

    Attributes:
        pictures: newest image for the viewers.
    """

    pictures: Pictures

    async def prompt(self, prompt: PagePrompt) -> TrackerResponse:
        """Send a prompt and return the response."""
        ...

    async def remove(self, kind: str, number: int) -> TrackerResponse:
        """Remove a track or a text prompt.

        Args:
            kind: "track_id" or "prompt_id".
            number: the id.
        """
        ...

    async def state(self) -> dict[str, Any]:
        """Return tracks, text prompts and the current problem, for JSON."""
        ...


class PageRequests:
    """The requests of all connections, handled on the server's event loop.

    Args:
        access: access rules.
        robot: interface to the tracker.

    Attributes:
        counters: number of events so far, by name.
        deadlines: time of the monotonic clock after which a connection must be aborted, by connection.
    """

    def __init__(self, access: Access, robot: Robot) -> None:
        self._access = access
        self._robot = robot
        self.counters: Counter[str] = Counter()
        self.deadlines: dict[Any, float] = {}
        self._page = {path: ((files(__package__) / "page" / name).read_bytes(), kind) for path, (name, kind) in PAGE.items()}
        self._routes = {
            **dict.fromkeys(PAGE, ("GET", self._file)),
            "/api/state": ("GET", self._state),
            "/api/picture": ("GET", self._picture),
            "/api/pictures": ("GET", self._stream),
            "/api/prompt": ("POST", self._prompt),
            "/api/remove": ("POST", self._remove),
        }

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
        except Exception:  # an error of this server must not look like a lost connection to the robot
            self.counters["requests_failed"] += 1
            log.exception("%s %s failed", request.method, request.path[:100])
            return _json({"error": "the web node failed; its log says why"}, HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            self.deadlines[request.protocol] = time.monotonic() + WORK_S

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = Message()
        for name, value in request.headers.items():
            headers[name] = value
        method, handler = self._routes.get(request.path, ("", None))
        is_page = handler == self._file and request.method == method
        self._access.check_site(headers, page=is_page)
        if not is_page and request.path != "/api/pictures":  # a browser sends no Authorization header with a WebSocket
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
        return _json({"error": str(error)}, error.status, {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {})

    async def _file(self, request: web.BaseRequest) -> web.Response:
        body, kind = self._page[request.path]
        return web.Response(body=body, headers={**HEADERS, "Content-Type": kind})

    async def _state(self, _: web.BaseRequest) -> web.Response:
        return _json(await self._robot.state())

    async def _picture(self, request: web.BaseRequest) -> web.Response:
        after = request.query.get("after") or "0"
        if not (after.isascii() and after.isdigit() and len(after) < 19):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "bad_request", "after must be the number of the previous image")
        try:
            picture = await asyncio.wait_for(self._robot.pictures.next(int(after)), PICTURE_WAIT_S)
        except asyncio.TimeoutError:
            return web.Response(status=HTTPStatus.NO_CONTENT, headers=HEADERS)
        self.counters["pictures_sent"] += 1
        numbered = {"X-Number": str(picture.number), "X-Source": picture.source}
        return web.Response(body=picture.jpeg, content_type="image/jpeg", headers={**HEADERS, **numbered})

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send images over a WebSocket. The first message is the token, and each further message requests one image."""
        stream = web.WebSocketResponse(heartbeat=WORK_S, compress=False, max_msg_size=MAX_BODY, timeout=1.0)
        if not stream.can_prepare(request).ok:
            raise RefusedError(HTTPStatus.UPGRADE_REQUIRED, "no_websocket", "this resource is a WebSocket")
        await stream.prepare(request)
        first = await stream.receive()
        headers = Message()
        headers["Authorization"] = f"Bearer {first.data}" if first.type == web.WSMsgType.TEXT else ""
        try:
            self._access.check_token(headers)
        except RefusedError as error:
            self.counters[f"requests_refused_{error.reason}"] += 1
            await stream.close(code=WSCloseCode.POLICY_VIOLATION, message=str(error).encode())
            return stream
        requests: asyncio.Queue[None] = asyncio.Queue(AHEAD)
        jobs = [asyncio.create_task(job) for job in (_receive(stream, requests), self._send(request, stream, requests))]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                with contextlib.suppress(ConnectionError):
                    job.result()
        finally:
            for job in jobs:
                job.cancel()
        return stream

    async def _send(self, request: web.BaseRequest, stream: web.WebSocketResponse, requests: asyncio.Queue[None]) -> None:
        """Send one image for each request. The source goes before the first image, and before an image from another source."""
        last = EncodedPicture(b"", "", 0)
        while True:
            self.deadlines[request.protocol] = math.inf  # the heartbeat ends a dead connection
            await requests.get()
            picture = await self._robot.pictures.next(last.number)
            self.deadlines[request.protocol] = time.monotonic() + WORK_S
            if picture.source != last.source:
                await stream.send_str(picture.source)
            await stream.send_bytes(picture.jpeg)
            self.counters["pictures_sent"] += 1
            last = picture

    async def _prompt(self, request: web.BaseRequest) -> web.Response:
        return _outcome(await self._robot.prompt(read_prompt(await _body(request))))

    async def _remove(self, request: web.BaseRequest) -> web.Response:
        return _outcome(await self._robot.remove(*read_removal(await _body(request))))


async def _receive(stream: web.WebSocketResponse, requests: asyncio.Queue[None]) -> None:
    """Note the requests of a WebSocket until it ends."""
    async for _ in stream:
        with contextlib.suppress(asyncio.QueueFull):
            requests.put_nowait(None)


async def _body(request: web.BaseRequest) -> bytes:
    """Read the body of a POST. Only JSON is accepted, because a form of another web site cannot send JSON."""
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


def _outcome(response: TrackerResponse) -> web.Response:
    if not response.success:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "by_tracker", response.message)
    return _json({"message": response.message, "track_ids": list(response.track_ids)})


def _json(value: dict[str, Any], status: int = HTTPStatus.OK, extra: dict[str, str] | None = None) -> web.Response:
    return web.json_response(value, status=status, headers={**HEADERS, **(extra or {})})
