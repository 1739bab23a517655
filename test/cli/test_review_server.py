# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The server of the review page: access rules, refusals, and edits that outlive `kill -9`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.cli.serving import Served, serving, start
from test.recordings.review.clips import COUNT, Clip, make_clip

TOKEN = "a-token-nobody-guesses"


@pytest.fixture
def clip(tmp_path: Path, frames: list[SceneFrame]) -> Clip:
    return make_clip(tmp_path, frames)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, frames: list[SceneFrame]) -> Iterator[Served]:
    with serving(make_clip(tmp_path_factory.mktemp("served"), frames).tracked) as running:
        yield running


def rename(label: str) -> dict[str, Any]:
    return {"edit": "rename", "track": 1, "label": label}


def test_image_shows_the_masks(served: Served, frames: list[SceneFrame]) -> None:
    status, jpeg = served.request("api/image?number=3")
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert status == 200
    assert decoded is not None
    shown = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    assert shown.shape == frames[3].color.shape
    change = np.abs(shown.astype(int) - frames[3].color).mean(axis=2)
    assert change[frames[3].instances == 1].mean() > 5 * change[frames[3].instances == 0][:1000].mean()


@pytest.mark.parametrize(
    ("path", "value", "headers", "status", "message"),
    [
        ("api/image?number=20", None, {}, 404, "there is no image 20"),
        ("api/image?number=-1", None, {}, 400, "number must be"),
        ("api/image", None, {}, 400, "number must be"),
        ("api/state?revision=x", None, {}, 400, "revision must be"),
        ("edits.jsonl", None, {}, 404, "no such resource"),
        ("../tracks.jsonl", None, {}, 404, "no such resource"),
        ("api/edit", None, {}, 405, "does not support GET"),
        ("api/edit", rename("x"), {"Content-Type": "text/plain"}, 415, "send JSON"),
        ("api/edit", rename("x" * 20_000), {}, 413, "more than"),
        ("api/edit", b"{", {}, 400, "not JSON"),
        ("api/edit", rename("x"), {"Origin": "http://other.example"}, 403, "other web sites"),
        ("api/edit", rename("x"), {"Host": "rebound.example"}, 403, "host name is unknown"),
        ("api/edit", {"edit": "rename", "track": 77, "label": ""}, {}, 422, "there is no track 77; the tracks are 1, 2, 3, 4"),
        ("api/edit", {"edit": "merge", "track": 1, "into": 4}, {}, 422, "both visible"),
        ("api/edit", {"edit": "split", "track": 2, "at": 15}, {}, 422, "nothing to split"),
        ("api/undo", {"number": 5}, {}, 422, "no edit to undo"),
        ("api/correct", {"track": 77, "image": 1, "points": [[1, 2, 1]]}, {}, 422, "there is no track 77"),
        ("api/correct", {"track": 1, "image": COUNT, "points": [[1, 2, 1]]}, {}, 422, "there is no image 20"),
    ],
)
def test_wrong_requests_are_refused(served: Served, path: str, value: Any, headers: dict[str, str], status: int, message: str) -> None:
    """The refusal has its status and a sentence, and the trace stays as it is."""
    found, content = served.request(path, value, headers)
    assert (found, message in content["error"]) == (status, True), content
    assert served.request("api/state")[1]["revision"] == 0


def test_token_is_needed(clip: Clip) -> None:
    """The files of the page need no token; everything about the recording does."""
    with serving(clip.tracked, token=TOKEN) as served:
        assert served.request("")[0] == 200
        for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": f"Bearer {TOKEN}"}, 200)):
            assert served.request("api/state", None, headers)[0] == status
            assert served.request("api/image?number=0", None, headers)[0] == status
            assert served.request("api/edit", rename("x"), headers)[0] == status


def test_kill_loses_at_most_the_last_edit(clip: Clip) -> None:
    """Each edit that the server has answered counts after `kill -9`, whatever was under way."""
    served = start(clip.tracked)
    for number in range(5):
        assert served.request("api/edit", rename(f"name {number}"))[0] == 200
    served.kill()
    with serving(clip.tracked) as again:
        state = again.request("api/state")[1]
        assert [edit["text"] for edit in state["edits"]] == [f'rename 1 to "name {number}"' for number in range(5)]
        assert again.request("api/undo", {"number": 5})[0] == 200
        assert again.request("api/state")[1]["tracks"][0]["label"] == "name 3"


def test_second_server_of_a_folder_is_refused(clip: Clip) -> None:
    with serving(clip.tracked), pytest.raises(AssertionError, match="another process reviews"):
        start(clip.tracked)


def test_kill_during_a_correction_leaves_no_half_of_it(clip: Clip) -> None:
    """A correction counts as a whole or not at all. A new server starts with what was there before."""
    served = start(clip.tracked)
    assert served.request("api/correct", {"label": "", "image": 9, "points": [[*clip.click(9), 1]]})[0] == 200
    while not served.request("api/state")[1]["job"]["done"]:
        time.sleep(0.05)
    served.kill()
    with serving(clip.tracked) as again:
        state = again.request("api/state")[1]
        assert len(state["edits"]) == state["revision"]
        assert not state["job"]["is_running"]


def test_edits_wait_for_a_correction(clip: Clip) -> None:
    """While an object is tracked again, other edits are refused. A canceled correction writes nothing."""
    with serving(clip.tracked) as served:
        assert served.request("api/correct", {"label": "", "image": 9, "points": [[*clip.click(9), 1]]})[0] == 200
        status, content = served.request("api/edit", rename("x"))
        assert (status, "is being corrected" in content["error"]) == (422, True)
        assert served.request("api/cancel", {})[0] == 200
        while served.request("api/state")[1]["job"]["is_running"]:
            time.sleep(0.05)
        state = served.request("api/state")[1]
        assert "canceled" in state["job"]["message"]
        assert state["edits"] == []
        assert served.request("api/edit", rename("x"))[0] == 200


def test_review_without_images(clip: Clip) -> None:
    """The masks are shown on black. A correction says what is missing."""
    clip.images.rename(clip.images.with_name("moved"))
    with serving(clip.tracked) as served:
        assert served.request("api/state")[1]["has_images"] is False
        assert served.request("api/image?number=0")[0] == 200
        status, content = served.request("api/correct", {"track": 1, "image": 9, "points": [[1, 2, 1]]})
        assert (status, "--video" in content["error"]) == (422, True)
    with serving(clip.tracked, "--video", str(clip.images.with_name("moved"))) as served:
        assert served.request("api/state")[1]["has_images"] is True
