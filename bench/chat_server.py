# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A real HTTP server that speaks the chat-completions protocol and gives scripted replies."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from aiohttp import web

from lang2segtrack_ros.instructions.vlm.options import VlmOptions


@dataclass
class Seen:
    """A request as the server saw it.

    Attributes:
        time: time of its arrival in seconds.
        headers: its headers.
        body: its JSON.
    """

    time: float
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def text(self) -> str:
        """The text beside the image."""
        return str(self.body["messages"][0]["content"][1]["text"])

    @property
    def image(self) -> np.ndarray:
        """The sent image: uint8 [H, W, 3], RGB."""
        url = self.body["messages"][0]["content"][0]["image_url"]["url"]
        kind, _, data = url.partition(";base64,")
        assert kind == "data:image/jpeg"
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sent image in pixels."""
        return self.image.shape[1], self.image.shape[0]


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Reply = str | Handler | Callable[[Seen], str]
"""The text of the model, a function that makes it of the request, or a handler that makes the whole response."""


def completion(text: str, finish_reason: str = "stop") -> dict[str, Any]:
    """Return the JSON of a response."""
    message = {"role": "assistant", "content": text}
    return {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]}


def respond(status: int = 200, text: str = "", content_type: str = "application/json", **headers: str) -> Handler:
    """Return a handler with a fixed response."""

    async def handle(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, content_type=content_type, headers=named)

    return handle


class ChatServer:
    """The server, on a thread of its own and a free port.

    Args:
        replies: the replies in order. The last one repeats.

    Attributes:
        seen: the requests so far.
    """

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.replies = list(replies)
        self.seen: list[Seen] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.arrived = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def url(self) -> str:
        """Base URL of the API."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def options(self, **values: Any) -> VlmOptions:
        """Return options for this server, with a rate that does not slow down tests."""
        return VlmOptions(**{"vlm_url": self.url, "vlm_model": "toy-vlm", "vlm_max_requests_per_min": 6000, **values})

    def close(self) -> None:
        """End the server and its connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._socket.close()

    def _run(self) -> None:
        async def start() -> web.AppRunner:
            app = web.Application(client_max_size=1 << 24)
            app.router.add_post("/v1/chat/completions", self._handle)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            await web.SockSite(runner, self._socket).start()
            return runner

        runner = self._loop.run_until_complete(start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(time.monotonic(), dict(request.headers), json.loads(await request.text()))
        reply = self.replies[min(len(self.seen), len(self.replies) - 1)]
        self.seen.append(seen)
        self.arrived.set()
        if isinstance(reply, str):
            return web.json_response(completion(reply))
        given: Any = reply(request if asyncio.iscoroutinefunction(reply) else seen)  # type: ignore[arg-type]
        response: web.StreamResponse = web.json_response(completion(given)) if isinstance(given, str) else await given
        return response
