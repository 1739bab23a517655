# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Faults of the web node: floods, slow and silent clients, no tracker, no camera, failed start, signals."""

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
from lang2segtrack_ros.viewers.web.guarded import LINGER_BYTES
from test.ros.nodes.page_client import TOKEN, Page, PageGraph, page_graph, page_of

CONNECTIONS = 256  # the parameter's default


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
    """Return all data until the other side closes or resets the connection."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := connection.recv(1 << 16):
            data += more
    return data


def test_connections_beyond_the_limit_are_refused_until_others_close(graph: PageGraph) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(connect(graph.page)).sendall(request("api/state"))
        with connect(graph.page) as extra:
            assert until_closed(extra).startswith((b"HTTP/1.1 503", b""))
    assert graph.observer.until(lambda: int(graph.observer.counts.get("requests_refused_too_many_connections", 0)) >= 1)
    assert graph.observer.until(lambda: int(graph.observer.counts["connections"]) == 0)
    assert graph.page.ask("api/state").status == 200


@pytest.fixture(scope="module")
def unfinished(graph: PageGraph) -> Iterator[list[socket.socket]]:
    """Connect three clients that send nothing, half a line, and half a body.

    The server closes them and the slow viewers after up to 20 s, so one wait serves both tests.
    """
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(graph.page)) for _ in range(3)]
        for connection, data in zip(connections, (b"", b"GET / HT", UNFINISHED + b'{"te')):
            connection.sendall(data)
        yield connections


def test_viewer_that_does_not_read_does_not_block_others(graph: PageGraph, unfinished: list[socket.socket]) -> None:
    """Each slow viewer requests hundreds of images in advance and reads none. Another viewer must still get its images.

    Of the unfinished requests, the half body counts as cut, too.
    """
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(connect(graph.page)).sendall(400 * request("api/picture"))
        number = "0"
        for _ in range(5):
            reply = graph.page.ask(f"api/picture?after={number}")
            assert reply.status == 200
            number = reply.headers["X-Number"]
        assert graph.observer.until(lambda: int(graph.observer.counts.get("requests_cut_too_slow", 0)) >= 2, 60.0), (
            "the server must close slow connections"
        )
    assert graph.page.ask("api/state").status == 200


def test_unfinished_request_is_closed(graph: PageGraph, unfinished: list[socket.socket]) -> None:
    for connection in unfinished:
        assert b"200 OK" not in until_closed(connection)
    assert graph.page.ask("api/state").status == 200


def test_refused_body_is_not_read(graph: PageGraph) -> None:
    with connect(graph.page) as connection:
        connection.sendall(request("api/prompt", "Content-Type: application/json", "Content-Length: 99999999999", method="POST"))
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(50 * LINGER_BYTES // (1 << 16)):
                connection.sendall(b"x" * (1 << 16))
            raise AssertionError("the server read 50 MiB of a body it had refused")
    assert graph.page.ask("api/state").status == 200


@pytest.mark.parametrize("line", GARBAGE, ids=range(len(GARBAGE)))
def test_invalid_request_is_refused_or_closed(graph: PageGraph, line: bytes) -> None:
    with connect(graph.page) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"200 OK" not in until_closed(connection)
    assert graph.page.ask("api/state").status == 200


def test_flood_of_prompts_is_answered(graph: PageGraph) -> None:
    """More prompts arrive at once than may wait. Each is carried out or refused as busy, and none hangs."""

    def ask(_: int) -> int:
        try:
            return graph.page.ask("api/prompt", {"point": [-9, -9]}).status
        except OSError:  # earlier connections are still closing, so the server refused this one
            return 503

    with ThreadPoolExecutor(24) as pool:
        codes = list(pool.map(ask, range(96)))
    carried_out = (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.OK)  # refused by an image, or kept if no image arrived in time
    assert set(codes) <= {*carried_out, HTTPStatus.SERVICE_UNAVAILABLE}
    assert sum(code in carried_out for code in codes) >= 8
    assert graph.page.tracks() == {}


def test_page_without_viewers_unsubscribes_overlay(graph: PageGraph) -> None:
    """The tracker must not draw overlays for a closed page."""
    graph.page.ask("api/picture")
    assert graph.observer.until(lambda: graph.observer.node.count_subscribers("overlay") == 1)
    assert graph.observer.until(lambda: graph.observer.node.count_subscribers("overlay") == 0)


def test_page_without_tracker_reports_it_and_shows_camera(tmp_path: Path) -> None:
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
                request_image = pool.submit(
                    lambda: next(reply for reply in iter(lambda: page.ask("api/picture"), None) if reply.status == 200)
                )
                for _ in range(600):
                    camera.publish(MESSAGES.image(np.full((40, 60, 3), 99, np.uint8), "rgb8", Header()))
                    with contextlib.suppress(TimeoutError):
                        request_image.result(0.1)
                        break
                assert request_image.result(1).headers["X-Source"] == "camera"
        finally:
            node.destroy_node()
            rclpy.try_shutdown(context=context)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["address:=0.0.0.0"], "other machines can reach 0.0.0.0, so a token is needed"),
        (["address:=0.0.0.0", "token:=short"], "16 or more ASCII characters"),
        (["address:=localhost"], "must be an IP address"),
        (["port:=99999"], "port"),
        (["certificate:=/nowhere/page.pem"], "cannot read the certificate /nowhere/page.pem (No such file or directory)"),
        (["key:=/nowhere/key.pem"], "the key /nowhere/key.pem is set without a certificate"),
    ],
)
def test_wrong_parameters_are_refused(tmp_path: Path, arguments: list[str], words: str) -> None:
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        parameters = [argument for value in arguments for argument in ("-p", value)]
        process = processes.start("web_node", [*executable("web_node"), "--ros-args", *parameters])
        assert process.wait(60) == 1
        assert words in processes.log("web_node")
        assert "Traceback" not in processes.log("web_node")


def test_port_in_use_is_reported(tmp_path: Path) -> None:
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        with socket.create_server(("127.0.0.1", 0)) as used_port:
            port = used_port.getsockname()[1]
            process = processes.start("web_node", [*executable("web_node"), "--ros-args", "-p", f"port:={port}"])
            assert process.wait(60) == 1
        assert f"cannot listen on 127.0.0.1 port {port} (Address already in use)" in processes.log("web_node")


def test_second_page_takes_the_next_free_port(tmp_path: Path) -> None:
    """Two cameras start two pages with the same parameters. The log must name the port that the user did not expect."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        urls = []
        for name in ("left", "right"):
            processes.start(name, [*executable("web_node"), "--ros-args", "-r", f"__ns:=/{name}"])
            urls.append(page_of(processes, name).url)
        assert urlsplit(urls[0]).port < urlsplit(urls[1]).port < 8100
        assert f"the page is at {urls[1]} (port 8080 is in use)" in processes.log("right")


def test_token_from_environment_protects_the_page(tmp_path: Path) -> None:
    with isolated_environment() as environment, Processes({**environment, "LANG2SEGTRACK_WEB_TOKEN": TOKEN}, tmp_path) as processes:
        processes.start("web_node", [*executable("web_node"), "--ros-args", "-p", "port:=0", "-p", "address:=0.0.0.0"])
        page = page_of(processes, "web_node")
        assert TOKEN not in processes.log("web_node")
        page.url = page.url.replace("0.0.0.0", "127.0.0.1")
        assert page.ask("api/state").status == 401
        page.token = TOKEN
        assert page.ask("api/state").status == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_node_with_open_connections(tmp_path: Path, number: signal.Signals) -> None:
    """One connection is silent, one waits for an image, and one is in the middle of a request."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes, contextlib.ExitStack() as stack:
        process = processes.start("web_node", [*executable("web_node"), "--ros-args", "-p", "port:=0"])
        page = page_of(processes, "web_node")
        for data in (b"", request("api/picture"), UNFINISHED):
            stack.enter_context(connect(page)).sendall(data)
        assert page.ask("api/state").status == 200
        process.send_signal(number)
        assert process.wait(5) == 0
        assert "Traceback" not in processes.log("web_node")


@pytest.mark.parametrize("moment", [0.3, 0.7, 1.1, 1.5])
def test_signal_during_start_ends_node(tmp_path: Path, moment: float) -> None:
    """The signal may arrive during Python's start, the imports, the creation of the node, or serving."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        process = processes.start("web_node", [*executable("web_node"), "--ros-args", "-p", "port:=0"])
        time.sleep(moment)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) in (0, 130, -signal.SIGINT)
