# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The review page in headless Chromium, with a mouse and on a phone.

LANG2SEGTRACK_SCREENSHOTS names a folder that keeps the screenshots.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.recordings.review.review import Review
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame, demo_scene
from test.browser import chromium
from test.cli.serving import Served, serving, start
from test.recordings.review.clips import COUNT, Clip, make_clip

# Position and scale of the image on the screen: the canvas keeps the image's aspect ratio inside its box.
FRAME = """canvas => {
  const box = canvas.getBoundingClientRect(), scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  return [box.left + (box.width - scale * canvas.width) / 2, box.top + (box.height - scale * canvas.height) / 2, scale];
}"""
WAIT_MS = 60_000
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("LANG2SEGTRACK_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def large() -> list[SceneFrame]:
    scene: Scene = demo_scene(640, 480)
    return [scene.render(index) for index in range(COUNT)]


@pytest.fixture
def clip(tmp_path: Path, large: list[SceneFrame]) -> Clip:
    return make_clip(tmp_path, large)


def open_page(context: Any, served: Served) -> Any:
    """Open the page in a tab and wait for its first image. A script error fails the test."""
    tab = context.new_page()
    tab.set_default_timeout(WAIT_MS)
    tab.on("pageerror", lambda error: pytest.fail(f"the page's script failed: {error}"))
    tab.goto(served.url)
    tab.locator("#waiting").wait_for(state="hidden")
    return tab


def row(tab: Any, track: int) -> Any:
    return tab.locator(f"#timeline .track[data-track='{track}']")


def pick(tab: Any, track: int, image: int) -> None:
    """Click on the bar of a track at an image, and wait until the page shows both."""
    bar = row(tab, track).locator("canvas")
    box = bar.bounding_box()
    bar.click(position={"x": (image + 0.5) / COUNT * box["width"], "y": box["height"] / 2})
    tab.locator("#chosen", has_text=f"Track {track} ").wait_for()
    tab.locator("#status", has_text=f"image {image} of").wait_for()


def edits(tab: Any) -> list[str]:
    return list(tab.locator("#edits li").all_inner_texts())


def names(tab: Any) -> list[str]:
    return list(tab.locator("#timeline .name").all_inner_texts())


def test_edits_and_their_undo(clip: Clip, browser: Any, screenshots: Path) -> None:
    """Rename, merge, split and delete each change the timeline. A reload keeps all, and undo takes them back one by one."""
    stored = (clip.tracked / "tracks.jsonl").read_bytes()
    with serving(clip.tracked) as served:
        tab = open_page(browser.new_context(**DESKTOP), served)
        before = names(tab)
        assert before == ["1 red circle", "2 star", "3 blue star", "4 yellow square"]
        pick(tab, 2, 4)
        tab.fill("#label", "bright star")
        tab.locator("#rename button").click()
        row(tab, 2).locator(".name", has_text="2 bright star").wait_for()
        tab.select_option("#into", "3")
        tab.locator("#merge button").click()
        row(tab, 2).wait_for(state="detached")
        tab.locator("#chosen", has_text="Track 3 blue star").wait_for()
        pick(tab, 1, 6)
        tab.locator("#split").click()
        row(tab, 5).wait_for()
        pick(tab, 4, 8)
        assert (tab.input_value("#first"), tab.input_value("#last")) == ("0", "19")
        tab.fill("#first", "8")
        tab.fill("#last", "11")
        tab.locator("#delete button").click()
        tab.locator("#status", has_text="track 4 is absent").wait_for()
        expected = [
            "delete 4 on images 8 to 11",
            "split 1 at image 6, new track 5",
            "merge 2 into 3",
            'rename 2 to "bright star"',
        ]
        assert edits(tab) == expected
        tab.locator("#message").wait_for(state="hidden")
        tab.screenshot(path=screenshots / "review_edits.png")
        tab.reload()
        tab.locator("#waiting").wait_for(state="hidden")
        assert edits(tab) == expected
        assert names(tab) == ["1 red circle", "3 blue star", "4 yellow square", "5 red circle"]
        for left in range(3, -1, -1):
            tab.locator("#undo").click()
            tab.locator("#edits li").nth(left).wait_for(state="detached")
        assert names(tab) == before
        assert tab.locator("#undo").is_disabled()
    assert (clip.tracked / "tracks.jsonl").read_bytes() == stored


def test_conflict_is_explained(clip: Clip, browser: Any, screenshots: Path) -> None:
    with serving(clip.tracked) as served:
        tab = open_page(browser.new_context(**DESKTOP), served)
        pick(tab, 1, 3)
        tab.select_option("#into", "4")
        tab.locator("#merge button").click()
        tab.locator("#message.bad", has_text="tracks 1 and 4 are both visible on image 0 and 19 more").wait_for()
        assert edits(tab) == []
        tab.screenshot(path=screenshots / "review_conflict.png")


def test_click_corrects_the_masks(clip: Clip, browser: Any, screenshots: Path) -> None:
    """Track 1 is on another object on some images. One click makes it right, and the new masks are close to the truth."""
    review = Review(clip.tracked, read_only=True)
    before = clip.accuracy(review.edited)
    review.close()
    with serving(clip.tracked) as served:
        tab = open_page(browser.new_context(**DESKTOP), served)
        pick(tab, 1, 9)
        tab.screenshot(path=screenshots / "review_wrong.png")
        tab.locator("#correct").click()
        assert tab.locator("#run").is_disabled()
        left, top, scale = tab.locator("#picture").evaluate(FRAME)
        x, y = clip.click(9)
        tab.mouse.click(left + scale * (x + 0.5), top + scale * (y + 0.5))
        tab.screenshot(path=screenshots / "review_click.png")
        tab.locator("#run").click()
        tab.locator("#job").wait_for()
        tab.locator("#edits li", has_text="correct 1 on image 9").wait_for()
        tab.locator("#job").wait_for(state="hidden")
        tab.locator("#message", has_text="track 1 has new masks on images").wait_for()
        tab.wait_for_timeout(500)
        tab.screenshot(path=screenshots / "review_corrected.png")
    review = Review(clip.tracked, read_only=True)
    after = clip.accuracy(review.edited)
    review.close()
    assert before < 0.1
    assert after > 0.85


def test_report_leads_to_its_images(clip: Clip, browser: Any, screenshots: Path) -> None:
    """The findings of the report stand on the review page, and the links of the report open it at their images."""
    assert main(["report", str(clip.tracked)]) == 0
    report = clip.tracked.with_name(f"{clip.tracked.name}_report")
    html = report / "report.html"
    with serving(clip.tracked, "--image", "7") as served:
        html.write_text(html.read_text().replace("http://127.0.0.1:8100/", served.url))  # the port of this test is another one
        context = browser.new_context(**DESKTOP)
        tab = open_page(context, served)
        tab.locator("#status", has_text="image 7 of").wait_for()
        places = tab.locator("#places li")
        findings = json.loads((report / "report.json").read_text())["findings"]
        assert places.count() == len(findings) > 0
        first = findings[0]
        places.first.locator("button").click()
        tab.locator("#status", has_text=f"image {first['image']} of").wait_for()
        tab.locator("#chosen", has_text=f"Track {first['track']} ").wait_for()
        tab.wait_for_timeout(500)
        tab.screenshot(path=screenshots / "review_places.png", full_page=True)
        page = context.new_page()
        page.goto(html.as_uri())
        page.screenshot(path=screenshots / "report.png")
        with context.expect_page() as opened:
            page.locator(".where a").last.click()
        linked = opened.value
        linked.locator("#status", has_text=f"image {findings[-1]['image']} of").wait_for()
        linked.goto(f"{served.url}#image=999")
        linked.locator("#message", has_text="the trace has no image 999").wait_for()


def test_phone_adds_an_object_with_a_box(clip: Clip, browser: Any, screenshots: Path) -> None:
    """The page fits the screen of a phone, its buttons are large enough for a finger, and a box starts a new track."""
    with serving(clip.tracked) as served:
        tab = open_page(browser.new_context(**PHONE), served)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        for button in tab.locator("button:visible").all():
            assert button.bounding_box()["height"] >= 40
        tab.locator("#next").tap()
        tab.locator("#status", has_text="image 1 of").wait_for()
        tab.screenshot(path=screenshots / "review_phone.png")
        tab.locator("#add").tap()
        tab.fill("#new-label", "square")
        tab.locator("#picture").scroll_into_view_if_needed()
        left, top, scale = tab.locator("#picture").evaluate(FRAME)
        rows, columns = (clip.truth[1] == 3).nonzero()
        tab.mouse.move(left + scale * columns.min(), top + scale * rows.min())
        tab.mouse.down()
        tab.mouse.move(left + scale * (columns.max() + 1), top + scale * (rows.max() + 1), steps=4)
        tab.mouse.up()
        tab.locator("#run").tap()
        row(tab, 5).locator(".name", has_text="5 square").wait_for()
        tab.screenshot(path=screenshots / "review_phone_new.png", full_page=True)
    review = Review(clip.tracked, read_only=True)
    assert clip.accuracy(review.edited, 5, 3, range(COUNT)) > 0.85
    review.close()


def test_kill_between_clicks_loses_at_most_the_last_one(clip: Clip, browser: Any) -> None:
    """The page says that the server is gone. A new server on the same port has what the page showed, and the page goes on."""
    served = start(clip.tracked)
    tab = open_page(browser.new_context(**DESKTOP), served)
    pick(tab, 1, 3)
    for label in ("a", "b"):
        tab.fill("#label", label)
        tab.locator("#rename button").click()
        row(tab, 1).locator(".name", has_text=f"1 {label}").wait_for()
    tab.fill("#label", "c")
    tab.locator("#rename button").click(no_wait_after=True)
    served.kill()
    tab.locator("#status", has_text="no connection to the server").wait_for()
    port = served.url.rstrip("/").rpartition(":")[2]
    with serving(clip.tracked, "--port", port):
        tab.locator("#status", has_text="image 3 of").wait_for()
        shown = edits(tab)
        assert shown[-2:] == ['rename 1 to "b"', 'rename 1 to "a"']
        assert shown[:-2] in ([], ['rename 1 to "c"'])
