# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The page's server without ROS: ports, TLS, images over WebSockets, many and slow viewers, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from lang2segtrack_ros.viewers.web import requests as web_requests
from lang2segtrack_ros.viewers.web.access import Access
from lang2segtrack_ros.viewers.web.bodies import PagePrompt
from lang2segtrack_ros.viewers.web.pictures import Pictures
from lang2segtrack_ros.viewers.web.requests import AHEAD, TrackerResponse
from lang2segtrack_ros.viewers.web.server import PageServer, listen
from lang2segtrack_ros.viewers.web.tls import tls_context
from test.certificate import make_certificate

TOKEN = "a-token-nobody-guesses"
NOISE = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
VIEWERS = 200


class ToyRobot:
    """A robot that shows noise and tracks nothing."""

    def __init__(self) -> None:
        self.pictures = Pictures(80, 1000.0)

    async def prompt(self, prompt: PagePrompt) -> TrackerResponse:
        return TrackerResponse(True, str(prompt))

    async def remove(self, kind: str, number: int) -> TrackerResponse:
        return TrackerResponse(False, f"there is no {kind} {number}")

    async def objects(self) -> dict[str, Any]:
        return {"objects": None, "total": 0}

    async def state(self) -> dict[str, Any]:
        return {"tracks": []}


@contextlib.contextmanager
def serving(token: str = "", max_connections: int = 256, tls: ssl.SSLContext | None = None) -> Iterator[tuple[PageServer, Pictures]]:
    """Serve on a free port. The end must take less than two seconds."""
    robot = ToyRobot()
    server = PageServer((0,), Access("127.0.0.1", token), robot, max_connections, tls)
    server.start()
    yield server, robot.pictures
    began = time.monotonic()
    server.close()
    assert not server._thread.is_alive()
    assert time.monotonic() - began < 2


@contextlib.contextmanager
def moving(pictures: Pictures) -> Iterator[None]:
    """Show a new image every 20 ms."""
    ended = threading.Event()

    def put() -> None:
        while not ended.wait(0.02):
            pictures.put(NOISE, "camera")

    camera = threading.Thread(target=put)
    camera.start()
    try:
        yield
    finally:
        ended.set()
        camera.join()


async def watch(session: aiohttp.ClientSession, server: PageServer, images: int, tls: ssl.SSLContext | None = None) -> list[bytes]:
    """Watch like the page, and return the images."""
    received: list[bytes] = []
    async with session.ws_connect(f"{server.url}api/pictures", ssl=tls or True) as stream:
        for text in (TOKEN, *AHEAD * [""]):
            await stream.send_str(text)
        assert await stream.receive_str(timeout=30) == "camera"
        while len(received) < images:
            received.append(await stream.receive_bytes(timeout=30))
            await stream.send_str("")
    return received


def test_next_free_port_is_taken() -> None:
    """Two cameras on one robot start two pages. A single port in use is an error."""
    with listen("127.0.0.1", (0,)) as first:
        port = first.getsockname()[1]
        with listen("127.0.0.1", range(port, port + 20)) as second:
            assert port < second.getsockname()[1] < port + 20
        with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1 port {port} \(Address already in use\)"):
            listen("127.0.0.1", (port,))
    with pytest.raises(OSError, match=r"ports 8080 to 8099 \(Cannot assign requested address\)"):
        listen("192.0.2.1", range(8080, 8100))


def test_stream_sends_no_image_without_the_token() -> None:
    async def first_message(server: PageServer, token: str) -> aiohttp.WSMessage:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.url}api/pictures") as stream:
            await stream.send_str(token)
            await stream.send_str("")
            return await stream.receive(timeout=30)

    with serving(TOKEN) as (server, pictures):
        pictures.put(NOISE, "camera")
        for token in ("", TOKEN + "x"):
            closed = asyncio.run(first_message(server, token))
            assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1008)
            assert "a token is needed" in closed.extra
        assert asyncio.run(first_message(server, TOKEN)).data == "camera"
        assert server.counters["requests_refused_wrong_token"] == 1


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}])
def test_stream_refuses_other_sites(headers: dict[str, str]) -> None:
    """Browsers let any site open a WebSocket to any host, so the server must check the origin."""

    async def connect(server: PageServer) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.url}api/pictures", headers=headers):
            pass

    with serving() as (server, _), pytest.raises(aiohttp.WSServerHandshakeError) as raised:
        asyncio.run(connect(server))
    assert raised.value.status == 403


def test_stream_without_upgrade_is_refused() -> None:
    async def status(server: PageServer) -> int:
        async with aiohttp.ClientSession() as session, session.get(f"{server.url}api/pictures") as response:
            return response.status

    with serving() as (server, _):
        assert asyncio.run(status(server)) == 426


def test_viewer_gets_no_image_that_it_did_not_request() -> None:
    """A slow viewer must not fill the buffers of the server."""

    async def request_often(server: PageServer) -> int:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.url}api/pictures") as stream:
            for text in ("", "", ""):
                await stream.send_str(text)
            count = 0
            with contextlib.suppress(asyncio.TimeoutError):
                while await stream.receive(timeout=0.5):
                    count += 1
            return count

    with serving() as (server, pictures), moving(pictures):
        assert asyncio.run(request_often(server)) == 1 + 2  # the source and the requested images


def test_200_viewers_get_images_beside_viewers_that_do_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow viewers request hundreds of images and read none. The server must serve all others, and cut the slow ones."""
    monkeypatch.setattr(web_requests, "WORK_S", 2.0)

    async def watch_all(server: PageServer) -> list[list[bytes]]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            return await asyncio.gather(*(watch(session, server, 3) for _ in range(VIEWERS)))

    with serving() as (server, pictures), moving(pictures), contextlib.ExitStack() as stack:
        for _ in range(6):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            slow.sendall(400 * b"GET /api/picture HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = asyncio.run(watch_all(server))
        assert [len(images) for images in received] == VIEWERS * [3]
        assert all(image.startswith(b"\xff\xd8") for images in received for image in images)
        end = time.monotonic() + 30
        while server.counters["requests_cut_too_slow"] < 6 and time.monotonic() < end:
            time.sleep(0.1)
        assert server.counters["requests_cut_too_slow"] == 6
        assert server.counters["requests_failed"] == 0


def test_tls_serves_page_and_images(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)

    async def use(server: PageServer) -> None:
        trusting = ssl.create_default_context(cafile=certificate)
        async with aiohttp.ClientSession() as session:
            async with session.get(server.url, ssl=trusting) as response:
                assert response.status == 200
            assert len(await watch(session, server, 2, trusting)) == 2
            with pytest.raises(aiohttp.ClientError):
                await session.get(server.url.replace("https", "http"))

    with serving(TOKEN, tls=tls_context(certificate, key)) as (server, pictures), moving(pictures):
        assert server.url.startswith("https://")
        asyncio.run(use(server))


def test_unfinished_tls_handshakes_count_as_connections(tmp_path: Path) -> None:
    """A client could otherwise open any number of silent connections without a token."""
    with serving(tls=tls_context(*make_certificate(tmp_path)), max_connections=2) as (server, _), contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as third, contextlib.suppress(ConnectionError):
            assert third.recv(100).startswith(b"HTTP/1.1 503")
        assert server.counters["requests_refused_too_many_connections"] == 1


def test_server_that_never_started_can_be_closed() -> None:
    """A node may fail between the creation of the server and its start."""
    server = PageServer((0,), Access("127.0.0.1"), ToyRobot(), 1)
    server.close()
    server.close()


def test_server_ends_with_open_streams() -> None:
    with serving() as (server, _), contextlib.ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.sendall(b"GET /api/picture HTTP/1.1\r\nHost: localhost\r\n\r\n")
        end = time.monotonic() + 30
        while server.connections < 20 and time.monotonic() < end:
            time.sleep(0.05)
        assert server.connections == 20
