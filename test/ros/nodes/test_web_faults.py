# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The web node when things go wrong: floods, slow and silent clients, no tracker, no camera, a bad start, the end."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.viewers.web.server import LINGER_BYTES
from test.ros.nodes.page_client import TOKEN, Page, PageGraph, page_graph, page_of

CONNECTIONS = 32  # the parameter's default


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageGraph]:
    with page_graph(tmp_path_factory.mktemp("logs"), token="") as running:
        yield running
        assert "Traceback" not in running.processes.log("web_node")


def connect(page: Page) -> socket.socket:
    url = urlsplit(page.url)
    return socket.create_connection((url.hostname, url.port), timeout=60)


def request(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} /{path} HTTP/1.1", "Host: localhost", *headers, "", "")).encode()


UNFINISHED = request("api/prompt", "Content-Type: application/json", "Content-Length: 50", method="POST")
GARBAGE = [b"GET //[ HTTP/1.1", b"GET http://[/ HTTP/1.1", b"GET /\x00 HTTP/1.1", b"\xff\xfe\xfd", b"GET / HTTP/9.9", b"G" * 70_000]


def until_closed(connection: socket.socket) -> bytes:
    """All that comes before the other side ends the connection, however it does."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := connection.recv(1 << 16):
            data += more
    return data


def test_too_many_connections_are_turned_away_and_room_comes_back(graph: PageGraph) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(connect(graph.page)).sendall(request("api/state"))
        with connect(graph.page) as extra:
            assert until_closed(extra).startswith((b"HTTP/1.1 503", b""))
    assert graph.witness.until(lambda: int(graph.witness.counts.get("refused: too_many_connections", 0)) >= 1)
    assert graph.witness.until(lambda: int(graph.witness.counts["connections"]) == 0)
    assert graph.page.ask("api/state").status == 200


def test_viewers_who_do_not_read_hold_nobody_up(graph: PageGraph) -> None:
    """Each asks for hundreds of pictures in advance and reads none; another one still gets his."""
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(connect(graph.page)).sendall(400 * request("api/picture"))
        number = "0"
        for _ in range(5):
            reply = graph.page.ask(f"api/picture?after={number}")
            assert reply.status == 200
            number = reply.headers["X-Number"]
        assert graph.witness.until(lambda: int(graph.witness.counts.get("cut: too_slow", 0)) >= 1, 60.0), "the slow ones are cut off"
    assert graph.page.ask("api/state").status == 200


def test_who_never_finishes_a_request_is_cut_off(graph: PageGraph) -> None:
    """Who says nothing, half a line, half a body."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(graph.page)) for _ in range(3)]
        for connection, said in zip(connections, (b"", b"GET / HT", UNFINISHED + b'{"te')):
            connection.sendall(said)
        for connection in connections:
            assert b"200 OK" not in until_closed(connection)
    assert graph.page.ask("api/state").status == 200


def test_a_body_without_end_is_not_read(graph: PageGraph) -> None:
    with connect(graph.page) as connection:
        connection.sendall(request("api/prompt", "Content-Type: application/json", "Content-Length: 99999999999", method="POST"))
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(50 * LINGER_BYTES // (1 << 16)):
                connection.sendall(b"x" * (1 << 16))
            raise AssertionError("the server read 50 MiB of a body it had refused")
    assert graph.page.ask("api/state").status == 200


@pytest.mark.parametrize("line", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_answered_or_ended(graph: PageGraph, line: bytes) -> None:
    with connect(graph.page) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"200 OK" not in until_closed(connection)
    assert graph.page.ask("api/state").status == 200


def test_a_flood_of_prompts_is_answered(graph: PageGraph) -> None:
    """More at once than may wait: each is carried out or refused as busy, none hangs."""

    def ask(_: int) -> int:
        try:
            return graph.page.ask("api/prompt", {"point": [-9, -9]}).status
        except OSError:  # connections of requests before are still being closed, so that this one was turned away
            return 503

    with ThreadPoolExecutor(24) as pool:
        codes = list(pool.map(ask, range(96)))
    carried_out = (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.OK)  # refused by an image, or kept where none came in time
    assert set(codes) <= {*carried_out, HTTPStatus.SERVICE_UNAVAILABLE}
    assert sum(code in carried_out for code in codes) >= 8
    assert graph.page.tracks() == {}


def test_nobody_looks_nothing_is_subscribed(graph: PageGraph) -> None:
    """The tracker paints no overlay for a page that is closed."""
    graph.page.ask("api/picture")
    assert graph.witness.until(lambda: graph.witness.node.count_subscribers("overlay") == 1)
    assert graph.witness.until(lambda: graph.witness.node.count_subscribers("overlay") == 0)


def test_without_a_tracker_the_page_says_so_and_shows_the_camera(tmp_path: Path) -> None:
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        processes.start("web_node", [*executable("web_node"), "--ros-args", "-p", "port:=0", "-r", "__ns:=/robot"])
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=int(environment["ROS_DOMAIN_ID"]))
        node = rclpy.create_node("camera", context=context)
        camera = node.create_publisher(Image, "/robot/color/image_raw", QoSProfile(depth=2))
        try:
            page = page_of(processes, "web_node")
            refused = page.ask("api/prompt", {"text": "red mug"})
            assert refused.status == 503
            assert "there is no service /robot/add_text_prompt: start track_node" in refused.json["error"]
            assert page.ask("api/picture").status == 204
            assert "there is no service /robot/list_tracks" in page.ask("api/state").json["problem"]
            with ThreadPoolExecutor(1) as pool:
                looking = pool.submit(lambda: next(reply for reply in iter(lambda: page.ask("api/picture"), None) if reply.status == 200))
                for _ in range(600):
                    camera.publish(MESSAGES.image(np.full((40, 60, 3), 99, np.uint8), "rgb8", Header()))
                    with contextlib.suppress(TimeoutError):
                        looking.result(0.1)
                        break
                assert looking.result(1).headers["X-Source"] == "camera"
        finally:
            node.destroy_node()
            rclpy.try_shutdown(context=context)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["address:=0.0.0.0"], "other machines can reach 0.0.0.0, so a token is needed"),
        (["address:=0.0.0.0", "token:=short"], "16 or more ASCII characters"),
        (["address:=localhost"], "must be an IP address"),
        (["port:=99999"], "port"),
    ],
)
def test_a_start_that_would_let_strangers_in_is_refused(tmp_path: Path, given: list[str], words: str) -> None:
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        parameters = [argument for value in given for argument in ("-p", value)]
        process = processes.start("web_node", [*executable("web_node"), "--ros-args", *parameters])
        assert process.wait(60) == 1
        assert words in processes.log("web_node")
        assert "Traceback" not in processes.log("web_node")


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            process = processes.start("web_node", [*executable("web_node"), "--ros-args", "-p", f"port:={port}"])
            assert process.wait(60) == 1
        assert f"cannot listen on 127.0.0.1 port {port} (Address already in use)" in processes.log("web_node")


def test_a_token_from_the_environment_opens_the_page_to_others(tmp_path: Path) -> None:
    with isolated_environment() as environment, Processes({**environment, "LANG2SEGTRACK_WEB_TOKEN": TOKEN}, tmp_path) as processes:
        processes.start("web_node", [*executable("web_node"), "--ros-args", "-p", "port:=0", "-p", "address:=0.0.0.0"])
        page = page_of(processes, "web_node")
        assert TOKEN not in processes.log("web_node")
        page.url = page.url.replace("0.0.0.0", "127.0.0.1")
        assert page.ask("api/state").status == 401
        page.token = TOKEN
        assert page.ask("api/state").status == 200


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_everything_open(tmp_path: Path, how: signal.Signals) -> None:
    """Connections that say nothing, that wait for a picture, and that are in the middle of a request."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes, contextlib.ExitStack() as stack:
        process = processes.start("web_node", [*executable("web_node"), "--ros-args", "-p", "port:=0"])
        page = page_of(processes, "web_node")
        for said in (b"", request("api/picture"), UNFINISHED):
            stack.enter_context(connect(page)).sendall(said)
        assert page.ask("api/state").status == 200
        process.send_signal(how)
        assert process.wait(5) == 0
        assert "Traceback" not in processes.log("web_node")


@pytest.mark.parametrize("moment", [0.3, 0.7, 1.1, 1.5])
def test_a_signal_while_it_starts_ends_it(tmp_path: Path, moment: float) -> None:
    """Wherever it is by then: before Python's own set-up, among the imports, while the node is made, or serving."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        process = processes.start("web_node", [*executable("web_node"), "--ros-args", "-p", "port:=0"])
        time.sleep(moment)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) in (0, 130, -signal.SIGINT)
