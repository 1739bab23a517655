# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Requests of the review page. The work on files and images runs on other threads than the server's event loop."""

from __future__ import annotations

import asyncio
from importlib.resources import files

from aiohttp import web

from lang2segtrack_ros.viewers.review.bodies import read_correction, read_edit, read_empty, read_number, read_undo
from lang2segtrack_ros.viewers.review.service import ReviewService
from lang2segtrack_ros.viewers.web.access import Access
from lang2segtrack_ros.viewers.web.guarded import HEADERS, GuardedRequests, Handler, json_response, read_body

_OWN, _WEB = "lang2segtrack_ros.viewers.review", "lang2segtrack_ros.viewers.web"
PAGE = {
    "/": (_OWN, "index.html", "text/html; charset=utf-8"),
    "/page.css": (_WEB, "page.css", "text/css; charset=utf-8"),
    "/client.js": (_WEB, "client.js", "text/javascript; charset=utf-8"),
    "/review.css": (_OWN, "review.css", "text/css; charset=utf-8"),
    "/review.js": (_OWN, "review.js", "text/javascript; charset=utf-8"),
    "/timeline.js": (_OWN, "timeline.js", "text/javascript; charset=utf-8"),
}


class ReviewRequests(GuardedRequests):
    """The requests of all connections.

    Args:
        access: access rules.
        service: the actions.
    """

    def __init__(self, access: Access, service: ReviewService) -> None:
        self._service = service
        page = {path: ((files(room) / "page" / name).read_bytes(), kind) for path, (room, name, kind) in PAGE.items()}
        routes: dict[str, tuple[str, Handler]] = {
            "/api/state": ("GET", self._state),
            "/api/image": ("GET", self._image),
            "/api/places": ("GET", self._places),
            "/api/position": ("GET", self._position),
            "/api/edit": ("POST", self._edit),
            "/api/undo": ("POST", self._undo),
            "/api/correct": ("POST", self._correct),
            "/api/cancel": ("POST", self._cancel),
        }
        super().__init__(access, page, routes)

    async def _state(self, request: web.BaseRequest) -> web.Response:
        text = request.query.get("revision")
        revision = read_number(text, "revision") if text is not None else -1
        return json_response(await asyncio.to_thread(self._service.state, revision))

    async def _image(self, request: web.BaseRequest) -> web.Response:
        image = read_number(request.query.get("number"), "number")
        jpeg = await asyncio.to_thread(self._service.picture, image)
        return web.Response(body=jpeg, content_type="image/jpeg", headers=HEADERS)

    async def _places(self, request: web.BaseRequest) -> web.Response:
        return json_response(await asyncio.to_thread(self._service.places))

    async def _position(self, request: web.BaseRequest) -> web.Response:
        return json_response(self._service.position(read_number(request.query.get("number"), "number")))

    async def _edit(self, request: web.BaseRequest) -> web.Response:
        edit = read_edit(await read_body(request))
        return json_response({"message": await asyncio.to_thread(self._service.edit, edit)})

    async def _undo(self, request: web.BaseRequest) -> web.Response:
        number = read_undo(await read_body(request))
        return json_response({"message": await asyncio.to_thread(self._service.undo, number)})

    async def _correct(self, request: web.BaseRequest) -> web.Response:
        correction = read_correction(await read_body(request))
        return json_response({"message": await asyncio.to_thread(self._service.correct, correction)})

    async def _cancel(self, request: web.BaseRequest) -> web.Response:
        read_empty(await read_body(request))
        return json_response({"message": self._service.cancel()})
