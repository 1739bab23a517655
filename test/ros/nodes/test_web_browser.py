# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The web page in headless Chromium on a real ROS graph, used with a mouse and on a phone, with screenshots.

LANG2SEGTRACK_SCREENSHOTS names a folder that keeps the screenshots.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lang2segtrack_ros.toyworld.graph import executable
from test.browser import chromium
from test.certificate import make_certificate
from test.ros.nodes.page_client import REMAP, TOKEN, Page, PageGraph, page_graph, page_of

# Position and scale of the image on the screen: the canvas keeps the image's aspect ratio inside its box.
FRAME = """canvas => {
  const box = canvas.getBoundingClientRect(), scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  return [box.left + (box.width - scale * canvas.width) / 2, box.top + (box.height - scale * canvas.height) / 2, scale];
}"""
WAIT_MS = 60_000
PHONE = {"viewport": {"width": 390, "height": 780}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageGraph]:
    with page_graph(tmp_path_factory.mktemp("logs"), size=(640, 480)) as running:
        yield running
        assert "Traceback" not in running.processes.log("web_node")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("LANG2SEGTRACK_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def clear(graph: PageGraph) -> None:
    graph.page.clear()


def open_page(context: Any, page: Page, token: str = TOKEN) -> Any:
    """Open the page in a tab and wait for its first image. A script error fails the test."""
    tab = context.new_page()
    tab.set_default_timeout(WAIT_MS)
    tab.on("pageerror", lambda error: pytest.fail(f"the page's script failed: {error}"))
    tab.goto(f"{page.url}#token={token}")
    tab.locator("#waiting").wait_for(state="hidden")
    return tab


def corners(tab: Any, graph: PageGraph, body: int) -> tuple[float, float, float, float]:
    """Return the current box of a body in pixels of the screen."""
    left, top, scale = tab.locator("#picture").evaluate(FRAME)
    x1, y1, x2, y2 = graph.observer.box_of(body)
    return left + scale * x1, top + scale * y1, left + scale * x2, top + scale * y2


def row(tab: Any, words: str) -> Any:
    return tab.locator("#tracks li", has_text=words)


def test_mouse_and_keyboard(graph: PageGraph, browser: Any, screenshots: Path) -> None:
    """Text, box, correction and removal each change the list, and the new track covers the boxed object."""
    tab = open_page(browser.new_context(viewport={"width": 1180, "height": 620}), graph.page)
    tab.fill("#text", "red circle. blue star.")
    tab.keyboard.press("Enter")
    row(tab, "red circle").wait_for()
    row(tab, "blue star").wait_for()
    tab.fill("#label", "my square")
    x1, y1, x2, y2 = corners(tab, graph, 3)
    tab.mouse.move(x1 - 4, y1 - 4)
    tab.mouse.down()
    tab.mouse.move(x2 + 4, y2 + 4, steps=4)
    tab.mouse.up()
    row(tab, "my square").wait_for()
    (number,) = [number for number, track in graph.page.tracks().items() if track["label"] == "my square"]
    assert graph.observer.follows_body(number, 3)
    assert tab.input_value("#label") == ""
    tab.locator("#status", has_text="live, 640").wait_for()
    tab.locator("#message").wait_for(state="hidden")
    tab.screenshot(path=screenshots / "web.png")
    row(tab, "my square").locator(".pick").click()
    tab.locator("#hint", has_text=f"correct track {number}").wait_for()
    x1, y1, x2, y2 = corners(tab, graph, 3)
    tab.mouse.click((x1 + x2) / 2, (y1 + y2) / 2)
    tab.locator("#message", has_text=f"track {number} (my square), score").wait_for()
    assert len(graph.page.tracks()) == 3
    row(tab, "my square").locator(".remove").click()
    row(tab, "my square").wait_for(state="detached")
    tab.locator("#texts .remove").click()
    tab.locator("#texts li").wait_for(state="detached")
    assert graph.page.state()["looking_for"] == []


def test_sentence(graph: PageGraph, browser: Any, screenshots: Path) -> None:
    """An instruction chooses one object, its checks can be ended, and a sentence that cannot be read is explained."""
    tab = open_page(browser.new_context(viewport={"width": 1180, "height": 780}), graph.page)
    tab.fill("#instruction", "the red circle quickly")
    tab.keyboard.press("Enter")
    tab.locator("#message.bad", has_text='cannot read "quickly"').wait_for()
    tab.fill("#instruction", "the red circle left of the blue star")
    tab.check("#again")
    tab.keyboard.press("Enter")
    row(tab, "red circle").wait_for()
    ((number, track),) = graph.page.tracks().items()
    assert track["label"] == "red circle"
    assert graph.observer.follows_body(number, 1)
    tab.locator("#texts li", has_text="left of the blue star").wait_for()
    tab.screenshot(path=screenshots / "sentence.png")
    tab.locator("#texts .remove").click()
    tab.locator("#texts li").wait_for(state="detached")
    assert graph.page.tracks().keys() == {number}


def test_phone(graph: PageGraph, browser: Any, screenshots: Path) -> None:
    """A tap starts a track. The page fits the screen width, and all buttons are large enough for a finger."""
    tab = open_page(browser.new_context(**PHONE), graph.page)
    x1, y1, x2, y2 = corners(tab, graph, 1)
    tab.touchscreen.tap((x1 + x2) / 2, (y1 + y2) / 2)
    tab.locator("#tracks li").wait_for()
    assert graph.observer.follows_body(next(iter(graph.page.tracks())), 1)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    for button in tab.locator("button:visible").all():
        assert button.bounding_box()["height"] >= 40
    tab.screenshot(path=screenshots / "phone.png")


def test_two_phones_over_tls(graph: PageGraph, browser: Any, tmp_path: Path, screenshots: Path) -> None:
    """The second phone sees the track of the first one. Its tap on the same object must not start a second track."""
    certificate, key = make_certificate(tmp_path)
    files = ["-p", f"certificate:={certificate}", "-p", f"key:={key}"]
    arguments = ["-p", "port:=0", "-p", f"token:={TOKEN}", *files, "-r", "__node:=web_tls", *REMAP]
    graph.processes.start("web_tls", [*executable("web_node"), "--ros-args", *arguments])
    page = page_of(graph.processes, "web_tls", TOKEN)
    assert page.url.startswith("https://")
    first, second = (open_page(browser.new_context(**PHONE, ignore_https_errors=True), page) for _ in range(2))
    x1, y1, x2, y2 = corners(first, graph, 1)
    first.touchscreen.tap((x1 + x2) / 2, (y1 + y2) / 2)
    first.locator("#tracks li").wait_for()
    second.locator("#tracks li").wait_for()
    (number,) = graph.page.tracks()
    second.fill("#label", "ball")  # names the object, which has no name yet
    for message in (f"track {number} (ball)", f"that is track {number} (ball)"):
        x1, y1, x2, y2 = corners(second, graph, 1)
        second.touchscreen.tap((x1 + x2) / 2, (y1 + y2) / 2)
        second.locator("#message", has_text=message).wait_for()
    second.screenshot(path=screenshots / "phone_tls.png")
    assert list(graph.page.tracks()) == [number]
    row(first, "ball").wait_for()


def test_tap_beside_the_image_is_ignored(graph: PageGraph, browser: Any, screenshots: Path) -> None:
    """On a wide and low screen, the image has bars on both sides. A box that begins there still reaches the object."""
    tab = open_page(browser.new_context(viewport={"width": 1400, "height": 500}), graph.page)
    left, top, scale = tab.locator("#picture").evaluate(FRAME)
    canvas = tab.locator("#picture").bounding_box()
    assert left - canvas["x"] > 40
    tab.fill("#label", "kept")
    sent = []
    tab.on("request", lambda request: sent.append(request.url))
    tab.mouse.click(left - 20, top + scale * 240)
    tab.mouse.click(left + scale * 640 + 20, top + scale * 240)
    tab.mouse.move(left - 30, top + scale * 100)
    tab.mouse.down()
    tab.mouse.move(left - 10, top + scale * 200, steps=3)
    tab.mouse.up()
    _, y1, x2, y2 = corners(tab, graph, 2)
    assert not [url for url in sent if url.endswith("api/prompt")]
    assert tab.input_value("#label") == "kept"
    tab.mouse.move(left - 5, y1 - 3)
    tab.mouse.down()
    tab.mouse.move(x2 + 3, y2 + 3, steps=3)
    tab.screenshot(path=screenshots / "box_from_outside.png")
    tab.keyboard.press("Escape")
    tab.mouse.up()
    assert graph.page.tracks() == {}


def test_page_reconnects_to_a_new_server(graph: PageGraph, browser: Any) -> None:
    """web_node may be restarted. An open page must show images again by itself."""
    arguments = ["-p", "port:=0", "-r", "__node:=web_again", *REMAP]
    node = graph.processes.start("web_again", [*executable("web_node"), "--ros-args", *arguments])
    page = page_of(graph.processes, "web_again")
    tab = open_page(browser.new_context(), page)
    node.terminate()
    assert node.wait(10) == 0
    tab.locator("#status", has_text="no connection to the robot").wait_for()
    images: list[Any] = []
    tab.on("websocket", lambda stream: stream.on("framereceived", lambda image: images.append(image)))
    arguments[1] = f"port:={page.url.rstrip('/').rpartition(':')[2]}"
    graph.processes.start("web_once_more", [*executable("web_node"), "--ros-args", *arguments])
    tab.locator("#status", has_text="live, 640").wait_for()
    assert graph.observer.until(lambda: tab.wait_for_timeout(50) or len(images) > 3)


def test_refused_prompt_is_shown(graph: PageGraph, browser: Any) -> None:
    tab = open_page(browser.new_context(viewport={"width": 1180, "height": 620}), graph.page)
    tab.fill("#text", "...")
    tab.keyboard.press("Enter")
    tab.locator("#message.bad", has_text="names no object").wait_for()


def test_page_asks_for_missing_token(graph: PageGraph, browser: Any) -> None:
    """The token must not stay in the address, where others could see it."""
    tab = browser.new_context().new_page()
    tab.set_default_timeout(WAIT_MS)
    tab.goto(graph.page.url)
    tab.locator("#login").wait_for()
    tab.fill("#token", TOKEN)
    tab.keyboard.press("Enter")
    tab.locator("#waiting").wait_for(state="hidden")
    assert not tab.locator("#login").is_visible()
    assert TOKEN not in open_page(browser.new_context(), graph.page).url


def test_link_with_token_works_in_open_page(graph: PageGraph, browser: Any) -> None:
    """The browser does not reload the page for such a link. The page must still use the token and remove it from the address."""
    tab = browser.new_context().new_page()
    tab.set_default_timeout(WAIT_MS)
    tab.goto(graph.page.url)
    tab.locator("#login").wait_for()
    tab.goto(f"{graph.page.url}#token={TOKEN}")
    tab.locator("#waiting").wait_for(state="hidden")
    assert not tab.locator("#login").is_visible()
    assert TOKEN not in tab.url


def test_other_site_cannot_send_requests(graph: PageGraph, browser: Any) -> None:
    """Requests of a page with another origin in the same browser must have no effect."""
    tab = browser.new_context().new_page()
    tab.goto("data:text/html,<title>other site</title>")
    url = graph.page.url
    outcomes = tab.evaluate(
        """async url => {
          const tries = [
            fetch(url + "api/prompt", {method: "POST", mode: "no-cors", body: '{"text": "red circle"}'}),
            fetch(url + "api/prompt", {method: "POST", headers: {"Content-Type": "application/json"}, body: '{"text": "red circle"}'}),
            fetch(url + "api/state"),
          ];
          return (await Promise.allSettled(tries)).map(item => item.status === "fulfilled" ? item.value.type : "failed");
        }""",
        url,
    )
    assert set(outcomes) <= {"opaque", "failed"}
    assert graph.page.state()["looking_for"] == []
    assert graph.page.tracks() == {}
