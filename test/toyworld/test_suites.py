# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Each suite keeps its promise, in 4:3 and in 16:9, and a clip is the same wherever and whenever it is made."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.toyworld.suites import SUITES, Clip, make_clip, make_still

SIZES = ((160, 120), (192, 108))
SEEDS = range(4)
seeds = pytest.mark.parametrize("seed", SEEDS)


def clip_of(suite: str, seed: int) -> Clip:
    """Even seeds in 4:3, odd ones in 16:9."""
    return make_clip(suite, seed, *SIZES[seed % 2])


@lru_cache(maxsize=4)
def shots_of(suite: str, seed: int) -> list[SceneFrame]:
    clip = clip_of(suite, seed)
    return [clip.scene.render(index) for index in range(clip.length)]


def visible(suite: str, seed: int, number: int) -> NDArray[np.int64]:
    """Pixels of a body on each frame."""
    return np.array([shot.bodies[number].visible for shot in shots_of(suite, seed)])


def middle(box: tuple[int, int, int, int] | None) -> NDArray[np.float64]:
    assert box is not None
    return np.array([box[0] + box[2], box[1] + box[3]]) / 2


def hidden_share(clip: Clip, number: int) -> NDArray[np.float64]:
    """Part of a body that others hide on each frame, judged by a scene without them."""
    scene = clip.scene
    alone = Scene((scene.bodies[number - 1],), scene.width, scene.height, look=scene.look, length=scene.length)
    pairs = ((scene.render(index).bodies[number].visible, alone.render(index).bodies[1].visible) for index in range(clip.length))
    return np.array([1 - seen / whole if whole else 0.0 for seen, whole in pairs])


@seeds
@pytest.mark.parametrize("suite", SUITES)
def test_prompted_bodies_are_there_to_be_prompted(suite: str, seed: int) -> None:
    """On its prompt's frame at least half of each can be seen, so that a box on it means it."""
    clip = clip_of(suite, seed)
    assert clip.prompts
    for number, index in clip.prompts.items():
        assert 0 <= index < clip.length
        assert clip.scene.render(index).bodies[number].fraction > 0.5


@seeds
def test_easy_bodies_keep_clear_of_each_other(seed: int) -> None:
    clip = clip_of("easy", seed)
    labels = [body.label for body in clip.scene.bodies]
    assert 1 <= len(set(labels)) == len(labels) <= 3
    for number in clip.prompts:
        assert hidden_share(clip, number).max() == 0


@seeds
@pytest.mark.parametrize("suite", ["crossing", "depth_only_difference"])
def test_look_alikes_start_apart_and_hide_each_other(suite: str, seed: int) -> None:
    clip = clip_of(suite, seed)
    first, second = clip.scene.bodies[:2]
    assert first.label == second.label
    assert {1, 2} <= set(clip.prompts)
    hidden = [hidden_share(clip, number) for number in (1, 2)]
    assert hidden[0][0] == hidden[1][0] == 0
    assert max(share.max() for share in hidden) > 0.4
    assert min(share[-1] for share in hidden) < 0.9, "both are seen in the end"


@seeds
def test_look_alikes_of_different_depth(seed: int) -> None:
    """Same size in the picture, more than a metre apart; on crossing they are at nearly the same depth, so only order tells."""
    shot = clip_of("depth_only_difference", seed).scene.render(0)
    near, far = (np.median(shot.depth_mm[(shot.instances == number) & (shot.depth_mm > 0)]) for number in (1, 2))
    assert abs(float(near) - float(far)) > 1000
    clip = clip_of("depth_only_difference", seed)
    sizes = [body.radius_m / body.place(0)[2] for body in clip.scene.bodies[:2]]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.12)
    beside = clip_of("crossing", seed).scene.bodies
    assert abs(beside[0].place(0)[2] - beside[1].place(0)[2]) < 0.1


@seeds
def test_occlusion_hides_fully_and_gives_back(seed: int) -> None:
    """Behind a pillar, once, for 5 to 30 frames; the second object is up to 15 % slower and as much longer hidden."""
    clip = clip_of("occlusion", seed)
    assert 1 <= len(clip.prompts) <= 2
    for number in clip.prompts:
        pixels = visible("occlusion", seed, number)
        hidden = np.flatnonzero(pixels == 0)
        assert 5 <= len(hidden) <= 37
        assert np.ptp(hidden) + 1 == len(hidden)
        assert pixels[0] > 0.9 * pixels.max()
        assert pixels[-1] > 0.5 * pixels.max()


@seeds
def test_exit_return_comes_back_elsewhere(seed: int) -> None:
    """Out of the image for two to four seconds at 15 Hz (and the frames in which it passes the edge); the other one stays."""
    pixels = visible("exit_return", seed, 1)
    out = np.flatnonzero(pixels == 0)
    assert 30 <= len(out) <= 66
    assert np.ptp(out) + 1 == len(out)
    shots = shots_of("exit_return", seed)
    left, back = middle(shots[out[0] - 1].bodies[1].box), middle(shots[out[-1] + 1].bodies[1].box)
    height = shots[0].color.shape[0]
    assert np.linalg.norm(left - back) > 0.3 * height
    assert pixels[-1] > 0.7 * pixels.max()
    still = visible("exit_return", seed, 2)
    assert np.mean(still > 0) > 0.9


@seeds
def test_crowds_have_eight_to_twelve_different_labels_and_cross(seed: int) -> None:
    clip = clip_of("crowd", seed)
    labels = [body.label for body in clip.scene.bodies]
    assert 8 <= len(labels) <= 12
    assert len(set(labels)) == len(labels) == len(clip.prompts)
    hidden = np.array([hidden_share(clip, number) for number in clip.prompts])
    assert hidden[:, 0].max() < 0.3, "they start apart"
    assert hidden.max() > 0.2, "some pass in front of others"


@seeds
def test_distractors_share_the_label(seed: int) -> None:
    clip = clip_of("distractors", seed)
    assert 3 <= len(clip.scene.bodies) <= 5
    assert len({body.label for body in clip.scene.bodies}) == 1
    assert clip.prompts == {1: 0}


@seeds
def test_small_fast_sizes_and_speeds(seed: int) -> None:
    """At most an eighth of the height, and a move of at least its own size within four frames; edges throw it back."""
    clip = clip_of("small_fast", seed)
    height = clip.scene.height
    for number in clip.prompts:
        boxes = [shot.bodies[number].box for shot in shots_of("small_fast", seed)]
        sides = np.array([max(box[2] - box[0], box[3] - box[1]) for box in boxes if box])
        assert 0.05 * height < np.median(sides) < 0.14 * height
        path = clip.scene.bodies[number - 1].path
        assert path is not None
        steps = np.linalg.norm(np.diff(path[:, :2] * [clip.scene.width, height], axis=0), axis=1)
        assert 4 * np.median(steps) > np.median(sides)
        assert 0.025 * height < np.median(steps) < 0.05 * height


@seeds
def test_late_prompts_come_in_the_middle_and_the_truth_before(seed: int) -> None:
    clip = clip_of("late_prompt", seed)
    assert set(clip.prompts.values()) == {clip.length // 2}
    for number in clip.prompts:
        assert (visible("late_prompt", seed, number)[: clip.length // 2] > 0).all()


def wall_correlation(one: SceneFrame, other: SceneFrame) -> float:
    """Of the walls' brightness where both show it, without the noise."""
    wall = (one.instances == 0) & (other.instances == 0)
    grey = [cv2.GaussianBlur(cv2.cvtColor(shot.color, cv2.COLOR_RGB2GRAY), (0, 0), 2)[wall].astype(float) for shot in (one, other)]
    return float(np.corrcoef(grey[0], grey[1])[0, 1])


@seeds
def test_nothing_survives_a_scene_cut(seed: int) -> None:
    clip = clip_of("scene_cut", seed)
    [cut] = clip.scene.cuts
    assert 30 <= cut < 50
    before, after = clip.scene.render(cut - 1), clip.scene.render(cut)
    assert before.bodies.keys() == clip.prompts.keys()
    assert len(after.bodies) == 2
    assert not before.bodies.keys() & after.bodies.keys()
    assert not {body.label for body in before.bodies.values()} & {body.label for body in after.bodies.values()}
    assert wall_correlation(clip.scene.render(cut - 2), before) > 0.8
    assert wall_correlation(before, after) < 0.75
    assert clip.scene.render(5 * clip.length).bodies.keys() == after.bodies.keys(), "when its frames go on, it is not cut back"


@seeds
def test_camera_shake_moves_everything(seed: int) -> None:
    """The wall and the truth move with the camera; the same scene on a tripod has a wall that stands still."""
    scene = clip_of("camera_shake", seed).scene
    tripod = replace(scene, look=replace(scene.look, camera_path=None))

    def wall_moves(view: Scene) -> float:
        bare = replace(view, bodies=(), look=replace(view.look, noise=0.0, gain=None))
        pictures = [bare.render(index).color.astype(float) for index in range(0, 60, 6)]
        return float(np.mean([np.abs(one - other).mean() for one, other in pairwise(pictures)]))

    assert wall_moves(tripod) == 0
    assert wall_moves(scene) > 0.5
    centers = [np.array([view.render(index).bodies[1].center for index in range(60)]) for view in (scene, tripod)]
    shift_m = np.linalg.norm(centers[0] - centers[1], axis=1)
    assert shift_m.max() > 0.02
    assert np.abs(np.diff(shift_m)).max() > 0.01, "it trembles rather than drifts"


HASHES = """
import hashlib, json, sys
from test.toyworld.test_suites import digest
print(json.dumps({suite: digest(suite) for suite in json.loads(sys.argv[1])}))
"""


def digest(suite: str) -> str:
    """Of two frames with their truth."""
    clip, total = make_clip(suite, 1, 96, 72), hashlib.sha256()
    for index in (clip.length - 1, 3):
        shot = clip.scene.render(index)
        for part in (shot.color, shot.depth_mm, shot.instances):
            total.update(part.tobytes())
        total.update(repr(sorted(shot.bodies.items())).encode())
    return total.hexdigest()


def test_clips_are_the_same_in_another_process() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "17"}
    done = subprocess.run(
        [sys.executable, "-c", HASHES, json.dumps(list(SUITES))], env=environment, capture_output=True, text=True, timeout=240, check=True
    )
    assert json.loads(done.stdout) == {suite: digest(suite) for suite in SUITES}


def test_seeds_and_suites_differ() -> None:
    walls = [make_clip(suite, seed, 64, 48).scene.render(0).color.tobytes() for suite in SUITES for seed in range(3)]
    assert len(set(walls)) == len(walls)


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_looks_alike_in_both_shapes_of_image(suite: str) -> None:
    """Sizes are in image heights: medians over seeds of the bodies' height in the picture differ little."""
    heights = {}
    for size in SIZES:
        clips = [make_clip(suite, seed, *size) for seed in range(12)]
        heights[size] = np.median(
            [
                body.radius_m * clip.scene.camera.fx / body.place(body.first)[2] / size[1]
                for clip in clips
                for body in clip.scene.bodies
                if body.label
            ]
        )
    assert heights[SIZES[0]] == pytest.approx(heights[SIZES[1]], rel=0.25)


def test_an_unknown_suite_is_told() -> None:
    with pytest.raises(KeyError, match="no suite is called crosing; there are easy, crossing"):
        make_clip("crosing", 0)


@pytest.mark.parametrize("seed", range(20))
def test_stills_have_one_to_five_objects(seed: int) -> None:
    """For the detector: one frame, objects apart, most of each in the picture."""
    clip = make_still(seed, 128, 96)
    assert clip.length == 1
    assert 1 <= len(clip.prompts) <= 5
    bodies = clip.scene.render(0).bodies
    assert set(bodies) == set(clip.prompts)
    assert np.mean([body.fraction > 0.5 for body in bodies.values()]) >= 0.5
