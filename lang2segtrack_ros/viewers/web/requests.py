# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Requests to the page: files, images, tracks, prompts and removals, each with its checks and response."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Protocol

from aiohttp import WSCloseCode, web

from lang2segtrack_ros.viewers.web.access import Access, RefusedError
from lang2segtrack_ros.viewers.web.bodies import MAX_BODY, PagePrompt, read_prompt, read_removal
from lang2segtrack_ros.viewers.web.guarded import HEADERS, WORK_S, GuardedRequests, Handler, json_response, read_body
from lang2segtrack_ros.viewers.web.pictures import EncodedPicture, Pictures

log = logging.getLogger(__name__)
PICTURE_WAIT_S = 5.0
"""Maximum time in which a request waits for the next image."""
AHEAD = 2
"""Maximum number of images that a viewer requests in advance, so that one is on its way while the viewer shows another."""
PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/client.js": ("client.js", "text/javascript; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/objects.js": ("objects.js", "text/javascript; charset=utf-8"),
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

    async def objects(self) -> dict[str, Any]:
        """Return the remembered objects, for JSON. The value of `objects` is None without an object map."""
        ...


class PageRequests(GuardedRequests):
    """The requests of all connections, handled on the server's event loop.

    Args:
        access: access rules.
        robot: interface to the tracker.

    Attributes:
        counters: number of events so far, by name.
        deadlines: time of the monotonic clock after which a connection must be aborted, by connection.
    """

    def __init__(self, access: Access, robot: Robot) -> None:
        self._robot = robot
        page = {path: ((files(__package__) / "page" / name).read_bytes(), kind) for path, (name, kind) in PAGE.items()}
        routes: dict[str, tuple[str, Handler]] = {
            "/api/state": ("GET", self._state),
            "/api/objects": ("GET", self._objects),
            "/api/picture": ("GET", self._picture),
            "/api/pictures": ("GET", self._stream),
            "/api/prompt": ("POST", self._prompt),
            "/api/remove": ("POST", self._remove),
        }
        super().__init__(access, page, routes, frozenset(["/api/pictures"]))

    async def _state(self, _: web.BaseRequest) -> web.Response:
        return json_response(await self._robot.state())

    async def _objects(self, _: web.BaseRequest) -> web.Response:
        return json_response(await self._robot.objects())

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
        return _outcome(await self._robot.prompt(read_prompt(await read_body(request))))

    async def _remove(self, request: web.BaseRequest) -> web.Response:
        return _outcome(await self._robot.remove(*read_removal(await read_body(request))))


async def _receive(stream: web.WebSocketResponse, requests: asyncio.Queue[None]) -> None:
    """Note the requests of a WebSocket until it ends."""
    async for _ in stream:
        with contextlib.suppress(asyncio.QueueFull):
            requests.put_nowait(None)


def _outcome(response: TrackerResponse) -> web.Response:
    if not response.success:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "by_tracker", response.message)
    return json_response({"message": response.message, "track_ids": list(response.track_ids)})
