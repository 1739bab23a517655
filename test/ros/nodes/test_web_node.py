# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Every endpoint of the web page on a real ROS graph: function, access control and refused requests."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.io.rendering import palette
from lang2segtrack_ros.viewers.web.requests import PAGE
from test.ros.nodes.page_client import SIZE, TOKEN, Page, PageGraph, page_graph

ENDPOINTS = [("api/state", None), ("api/picture", None), ("api/prompt", {"text": "red circle"}), ("api/remove", {"track_id": 1})]
OTHER_SITES = [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageGraph]:
    with page_graph(tmp_path_factory.mktemp("logs")) as running:
        yield running
        for name in ("web_node", "track_node"):
            assert "Traceback" not in running.processes.log(name)


@pytest.fixture
def page(graph: PageGraph) -> Iterator[Page]:
    """Return the page without tracks. Remove a test's tracks and prompts afterwards."""
    yield graph.page
    graph.page.clear()


def test_page_is_public_and_loads_nothing_from_other_sites(graph: PageGraph) -> None:
    anonymous = Page(graph.page.url)
    for path, (_, kind) in PAGE.items():
        reply = anonymous.ask(path.lstrip("/"))
        assert reply.status == 200
        assert reply.headers["Content-Type"] == kind
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert not re.search(rb"""(src|href|url|import|fetch)\W{1,4}(https?:)?//""", reply.body)
        assert TOKEN.encode() not in reply.body


@pytest.mark.parametrize("token", ["", "a-token-somebody-guessed", TOKEN[:-1], TOKEN + "x"])
def test_request_without_token_is_refused(graph: PageGraph, token: str) -> None:
    for path, body in ENDPOINTS:
        reply = Page(graph.page.url, token).ask(path, body)
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"] == "Bearer"
        assert "a token is needed" in reply.json["error"]
    assert graph.page.tracks() == {}


@pytest.mark.parametrize("headers", OTHER_SITES, ids=str)
def test_other_sites_are_refused_even_with_token(graph: PageGraph, headers: dict[str, str]) -> None:
    for path, body in ENDPOINTS:
        assert graph.page.ask(path, body, headers).status == 403
    assert graph.page.tracks() == {}


def test_pictures_have_changing_numbers(graph: PageGraph) -> None:
    number = "0"
    for _ in range(3):
        reply = graph.page.ask(f"api/picture?after={number}")
        assert reply.status == 200
        assert reply.headers["X-Number"] != number
        number = reply.headers["X-Number"]
        picture = cv2.imdecode(np.frombuffer(reply.body, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (SIZE[1], SIZE[0], 3)
    while graph.page.ask(f"api/picture?after={number}").headers["X-Source"] != "overlay":
        number = graph.page.ask(f"api/picture?after={number}").headers["X-Number"]


@pytest.mark.parametrize("after", ["-1", "x", "", "9" * 30, "1.5", "%00"])
def test_invalid_picture_number_is_refused(graph: PageGraph, after: str) -> None:
    reply = graph.page.ask(f"api/picture?after={after}")
    assert reply.status in ((400,) if after else (200,))  # the query's parser drops an empty value


def test_text_prompt_finds_objects(page: Page) -> None:
    reply = page.ask("api/prompt", {"text": "red circle. blue star.", "mode": "once"})
    assert reply.status == 200, reply.body
    found = {page.find("red circle"), page.find("blue star")}
    assert set(reply.json["track_ids"]) in (found, set())
    tracks = page.tracks()
    assert set(tracks) == found
    for number, track in tracks.items():
        assert track["color"] == "#{:02x}{:02x}{:02x}".format(*palette(number))
        assert track["state"] in ("tentative", "tracked", "occluded", "lost")
        assert 0 <= track["score"] <= 1


def test_text_prompt_is_listed_and_removed(page: Page) -> None:
    assert page.ask("api/prompt", {"text": "Green Triangle. purple cross."}).status == 200
    (text,) = page.state()["looking_for"]
    assert text["text"] == "green triangle, purple cross"
    assert page.ask("api/remove", {"prompt_id": text["id"]}).status == 200
    assert page.state()["looking_for"] == []
    second = page.ask("api/remove", {"prompt_id": text["id"]})
    assert second.status == 422
    assert f"{text['id']}" in second.json["error"]


def test_tap_and_box_start_tracks_and_tap_corrects(graph: PageGraph, page: Page) -> None:
    x1, y1, x2, y2 = graph.observer.box_of(1)
    tap = page.ask("api/prompt", {"point": [(x1 + x2) / 2, (y1 + y2) / 2], "label": "tapped"})
    assert tap.status == 200, tap.body
    box = page.ask("api/prompt", {"box": list(graph.observer.box_of(2)), "label": "boxed"})
    assert box.status == 200, box.body
    tapped, boxed = page.find("tapped"), page.find("boxed")
    assert graph.observer.follows_body(tapped, 1)
    assert graph.observer.follows_body(boxed, 2)
    x1, y1, x2, y2 = graph.observer.box_of(1)
    corrected = page.ask("api/prompt", {"point": [(x1 + x2) / 2, (y1 + y2) / 2], "track_id": tapped})
    assert corrected.json["track_ids"] in ([tapped], [])
    off = page.ask("api/prompt", {"point": [2, 2], "off": True, "track_id": tapped})
    assert off.status == 200, off.body
    assert set(page.tracks()) == {tapped, boxed}


def test_tap_on_a_track_names_it(graph: PageGraph, page: Page) -> None:
    """A second track on the same object would double it on the topics. A tap with a new label must not start one either."""
    assert page.ask("api/prompt", {"box": list(graph.observer.box_of(2)), "label": "boxed"}).status == 200
    number = page.find("boxed")
    assert graph.observer.follows_body(number, 2)
    page.ask("api/picture")
    assert graph.observer.until(lambda: graph.observer.node.count_subscribers("tracks") == 2)
    graph.observer.until(lambda: False, 1.0)  # web_node receives tracks
    for label in ({}, {"label": "another name"}):
        x1, y1, x2, y2 = graph.observer.box_of(2)
        reply = page.ask("api/prompt", {"point": [(x1 + x2) / 2, (y1 + y2) / 2], **label})
        assert reply.json == {"message": f"that is track {number} (boxed)", "track_ids": [number]}
    assert list(page.tracks()) == [number]


def test_track_is_removed_once(graph: PageGraph, page: Page) -> None:
    assert page.ask("api/prompt", {"box": list(graph.observer.box_of(1)), "label": "removed"}).status == 200
    number = page.find("removed")
    assert page.ask("api/remove", {"track_id": number}).status == 200
    assert graph.observer.until(lambda: page.tracks() == {})
    second = page.ask("api/remove", {"track_id": number})
    assert second.status == 422
    assert f"there is no track {number}" in second.json["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"point": [-9, 1]}, "off the 320 x 240 image"),
        ({"box": [900, 1, 950, 9]}, "outside the 320 x 240 image"),
        ({"box": [1, 1, 50, 50], "track_id": 4711}, "there is no track 4711"),
    ],
)
def test_prompt_refused_by_tracker_is_reported(graph: PageGraph, body: Any, words: str) -> None:
    for _ in range(10):
        reply = graph.page.ask("api/prompt", body)
        if reply.status != 200 or "kept" not in reply.json["message"]:  # kept: no image arrived in time to refuse the prompt
            break
    assert reply.status == 422
    assert words in reply.json["error"]


JSON_TYPE = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "body", "headers", "method", "status"),
    [
        ("api/prompt", b"{", {}, None, 400),
        ("api/prompt", b'{"point": [NaN, 1]}', {}, None, 400),
        ("api/prompt", {"text": ""}, {}, None, 400),
        ("api/remove", {"track_id": "1"}, {}, None, 400),
        ("api/prompt", b"x" * 20_000, {}, None, 413),
        ("api/prompt", b"x" * 900_000, {}, None, 413),
        ("api/prompt", {"text": "mug"}, {"Content-Type": "text/plain"}, None, 415),
        ("api/prompt", {"text": "mug"}, {"Content-Type": "application/x-www-form-urlencoded"}, None, 415),
        ("api/prompt", None, JSON_TYPE, "POST", 400),
        ("api/prompt", None, {**JSON_TYPE, "Transfer-Encoding": "chunked"}, "POST", 411),
        ("api/prompt", None, {}, None, 405),
        ("api/state", {"a": 1}, {}, None, 405),
        ("", {"a": 1}, {}, None, 405),
        ("api/nothing", None, {}, None, 404),
        ("api/nothing", {"a": 1}, {}, None, 404),
        ("page/../../server.py", None, {}, None, 404),
        ("%2e%2e/server.py", None, {}, None, 404),
        ("page.js/../server.py", None, {}, None, 404),
        ("api/state", None, {}, "DELETE", 405),
        ("api/state", None, {}, "OPTIONS", 405),
    ],
)
def test_bad_request_is_refused(graph: PageGraph, path: str, body: Any, headers: dict[str, str], method: str | None, status: int) -> None:
    reply = graph.page.ask(path, body, headers, method)
    assert reply.status == status
    assert len(reply.json["error"]) > 10
    assert json.loads(graph.page.ask("api/state").body)["tracks"] == []


def test_refused_request_is_counted(graph: PageGraph) -> None:
    before = int(graph.observer.counts.get("requests_refused_bad_json", 0))
    graph.page.ask("api/prompt", b"{")
    assert graph.observer.until(lambda: int(graph.observer.counts.get("requests_refused_bad_json", 0)) > before)
    assert int(graph.observer.counts.get("requests_failed", 0)) == 0


def test_web_node_loads_no_network() -> None:
    """A viewer must start quickly and leave the memory to the tracker."""
    program = "import sys, lang2segtrack_ros.ros.nodes.web_node; sys.exit(bool({'torch', 'transformers', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
