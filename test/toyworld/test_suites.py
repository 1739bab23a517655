# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Each suite has its documented properties, in 4:3 and in 16:9, and clips are deterministic."""

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
    """Return a clip: even seeds in 4:3, odd seeds in 16:9."""
    return make_clip(suite, seed, *SIZES[seed % 2])


@lru_cache(maxsize=4)
def frames_of(suite: str, seed: int) -> list[SceneFrame]:
    clip = clip_of(suite, seed)
    return [clip.scene.render(index) for index in range(clip.length)]


def visible(suite: str, seed: int, number: int) -> NDArray[np.int64]:
    """Return the visible pixels of a body on each frame."""
    return np.array([shot.bodies[number].visible for shot in frames_of(suite, seed)])


def box_center(box: tuple[int, int, int, int] | None) -> NDArray[np.float64]:
    assert box is not None
    return np.array([box[0] + box[2], box[1] + box[3]]) / 2


def hidden_fraction(clip: Clip, number: int) -> NDArray[np.float64]:
    """Return the occluded fraction of a body on each frame, compared with a scene of this body alone."""
    scene = clip.scene
    single = Scene((scene.bodies[number - 1],), scene.width, scene.height, style=scene.style, length=scene.length)
    pairs = ((scene.render(index).bodies[number].visible, single.render(index).bodies[1].visible) for index in range(clip.length))
    return np.array([1 - seen / whole if whole else 0.0 for seen, whole in pairs])


@seeds
@pytest.mark.parametrize("suite", SUITES)
def test_prompted_bodies_are_visible_on_their_prompt_frame(suite: str, seed: int) -> None:
    """At least half of the body must be visible on its prompt's frame, so that its box is unambiguous."""
    clip = clip_of(suite, seed)
    assert clip.prompts
    for number, index in clip.prompts.items():
        assert 0 <= index < clip.length
        assert clip.scene.render(index).bodies[number].fraction > 0.5


@seeds
def test_easy_bodies_never_overlap(seed: int) -> None:
    clip = clip_of("easy", seed)
    labels = [body.label for body in clip.scene.bodies]
    assert 1 <= len(set(labels)) == len(labels) <= 3
    for number in clip.prompts:
        assert hidden_fraction(clip, number).max() == 0


@seeds
@pytest.mark.parametrize("suite", ["crossing", "depth_only_difference"])
def test_look_alikes_start_apart_and_occlude_each_other(suite: str, seed: int) -> None:
    clip = clip_of(suite, seed)
    first, second = clip.scene.bodies[:2]
    assert first.label == second.label
    assert {1, 2} <= set(clip.prompts)
    hidden = [hidden_fraction(clip, number) for number in (1, 2)]
    assert hidden[0][0] == hidden[1][0] == 0
    assert max(fraction.max() for fraction in hidden) > 0.4
    assert min(fraction[-1] for fraction in hidden) < 0.9, "both must be visible at the end"


@seeds
def test_depth_only_difference_has_equal_sizes_at_different_depths(seed: int) -> None:
    """The look-alikes have the same size in the image and are more than a meter apart. In `crossing` their depths are nearly equal."""
    shot = clip_of("depth_only_difference", seed).scene.render(0)
    near, far = (np.median(shot.depth_mm[(shot.instances == number) & (shot.depth_mm > 0)]) for number in (1, 2))
    assert abs(float(near) - float(far)) > 1000
    clip = clip_of("depth_only_difference", seed)
    sizes = [body.radius_m / body.position(0)[2] for body in clip.scene.bodies[:2]]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.12)
    crossing_bodies = clip_of("crossing", seed).scene.bodies
    assert abs(crossing_bodies[0].position(0)[2] - crossing_bodies[1].position(0)[2]) < 0.1


@seeds
def test_occlusion_hides_fully_and_ends(seed: int) -> None:
    """The pillar hides each body once for 5 to 30 frames. The second object is up to 15 % slower, so it is hidden for longer."""
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
def test_exit_return_reappears_at_another_position(seed: int) -> None:
    """The object leaves for two to four seconds at 15 Hz, plus the frames at the image's edge. The other object stays."""
    pixels = visible("exit_return", seed, 1)
    absent = np.flatnonzero(pixels == 0)
    assert 30 <= len(absent) <= 66
    assert np.ptp(absent) + 1 == len(absent)
    shots = frames_of("exit_return", seed)
    exited, returned = box_center(shots[absent[0] - 1].bodies[1].box), box_center(shots[absent[-1] + 1].bodies[1].box)
    height = shots[0].color.shape[0]
    assert np.linalg.norm(exited - returned) > 0.3 * height
    assert pixels[-1] > 0.7 * pixels.max()
    other_visible = visible("exit_return", seed, 2)
    assert np.mean(other_visible > 0) > 0.9


@seeds
def test_crowd_has_eight_to_twelve_labels_and_crossings(seed: int) -> None:
    clip = clip_of("crowd", seed)
    labels = [body.label for body in clip.scene.bodies]
    assert 8 <= len(labels) <= 12
    assert len(set(labels)) == len(labels) == len(clip.prompts)
    hidden = np.array([hidden_fraction(clip, number) for number in clip.prompts])
    assert hidden[:, 0].max() < 0.3, "bodies must start apart"
    assert hidden.max() > 0.2, "some bodies must occlude others"


@seeds
def test_distractors_have_one_label(seed: int) -> None:
    clip = clip_of("distractors", seed)
    assert 3 <= len(clip.scene.bodies) <= 5
    assert len({body.label for body in clip.scene.bodies}) == 1
    assert clip.prompts == {1: 0}


@seeds
def test_small_fast_has_small_sizes_and_high_speeds(seed: int) -> None:
    """Sizes are at most an eighth of the image height, and bodies move by their own size within four frames. Paths reflect at the edges."""
    clip = clip_of("small_fast", seed)
    height = clip.scene.height
    for number in clip.prompts:
        boxes = [shot.bodies[number].box for shot in frames_of("small_fast", seed)]
        sides = np.array([max(box[2] - box[0], box[3] - box[1]) for box in boxes if box])
        assert 0.05 * height < np.median(sides) < 0.14 * height
        path = clip.scene.bodies[number - 1].path
        assert path is not None
        steps = np.linalg.norm(np.diff(path[:, :2] * [clip.scene.width, height], axis=0), axis=1)
        assert 4 * np.median(steps) > np.median(sides)
        assert 0.025 * height < np.median(steps) < 0.05 * height


@seeds
def test_late_prompt_is_in_the_middle_and_bodies_exist_before(seed: int) -> None:
    clip = clip_of("late_prompt", seed)
    assert set(clip.prompts.values()) == {clip.length // 2}
    for number in clip.prompts:
        assert (visible("late_prompt", seed, number)[: clip.length // 2] > 0).all()


def wall_correlation(one: SceneFrame, other: SceneFrame) -> float:
    """Return the correlation of the walls' smoothed brightness where both frames show the wall."""
    wall = (one.instances == 0) & (other.instances == 0)
    gray = [cv2.GaussianBlur(cv2.cvtColor(shot.color, cv2.COLOR_RGB2GRAY), (0, 0), 2)[wall].astype(float) for shot in (one, other)]
    return float(np.corrcoef(gray[0], gray[1])[0, 1])


@seeds
def test_scene_cut_changes_all_bodies_and_the_wall(seed: int) -> None:
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
    assert clip.scene.render(5 * clip.length).bodies.keys() == after.bodies.keys(), "frames after the clip's end must not cut back"


@seeds
def test_camera_shake_moves_wall_and_bodies(seed: int) -> None:
    """Wall and ground truth move with the camera. With a still camera, the same scene has a still wall."""
    scene = clip_of("camera_shake", seed).scene
    tripod = replace(scene, style=replace(scene.style, camera_path=None))

    def wall_change(scene: Scene) -> float:
        empty_scene = replace(scene, bodies=(), style=replace(scene.style, noise=0.0, gain=None))
        pictures = [empty_scene.render(index).color.astype(float) for index in range(0, 60, 6)]
        return float(np.mean([np.abs(one - other).mean() for one, other in pairwise(pictures)]))

    assert wall_change(tripod) == 0
    assert wall_change(scene) > 0.5
    centers = [np.array([scene.render(index).bodies[1].center for index in range(60)]) for scene in (scene, tripod)]
    shift_m = np.linalg.norm(centers[0] - centers[1], axis=1)
    assert shift_m.max() > 0.02
    assert np.abs(np.diff(shift_m)).max() > 0.01, "the camera must tremble, not only drift"


HASHES = """
import hashlib, json, sys
from test.toyworld.test_suites import digest
print(json.dumps({suite: digest(suite) for suite in json.loads(sys.argv[1])}))
"""


def digest(suite: str) -> str:
    """Return a hash of two frames with their ground truth."""
    clip, total = make_clip(suite, 1, 96, 72), hashlib.sha256()
    for index in (clip.length - 1, 3):
        shot = clip.scene.render(index)
        for part in (shot.color, shot.depth_mm, shot.instances):
            total.update(part.tobytes())
        total.update(repr(sorted(shot.bodies.items())).encode())
    return total.hexdigest()


def test_clips_are_equal_in_another_process() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "17"}
    process = subprocess.run(
        [sys.executable, "-c", HASHES, json.dumps(list(SUITES))], env=environment, capture_output=True, text=True, timeout=240, check=True
    )
    assert json.loads(process.stdout) == {suite: digest(suite) for suite in SUITES}


def test_seeds_and_suites_differ() -> None:
    walls = [make_clip(suite, seed, 64, 48).scene.render(0).color.tobytes() for suite in SUITES for seed in range(3)]
    assert len(set(walls)) == len(walls)


@pytest.mark.parametrize("suite", SUITES)
def test_body_sizes_are_similar_at_both_aspect_ratios(suite: str) -> None:
    """Sizes are in image heights, so the median height of the bodies hardly depends on the aspect ratio."""
    heights = {}
    for size in SIZES:
        clips = [make_clip(suite, seed, *size) for seed in range(12)]
        heights[size] = np.median(
            [
                body.radius_m * clip.scene.camera.fx / body.position(body.first)[2] / size[1]
                for clip in clips
                for body in clip.scene.bodies
                if body.label
            ]
        )
    assert heights[SIZES[0]] == pytest.approx(heights[SIZES[1]], rel=0.25)


def test_unknown_suite_is_reported() -> None:
    with pytest.raises(KeyError, match="unknown suite crosing; the suites are easy, crossing"):
        make_clip("crosing", 0)


@pytest.mark.parametrize("seed", range(20))
def test_stills_have_one_to_five_objects(seed: int) -> None:
    """Stills train the detector: they have one frame, separate objects, and most of each object is visible."""
    clip = make_still(seed, 128, 96)
    assert clip.length == 1
    assert 1 <= len(clip.prompts) <= 5
    bodies = clip.scene.render(0).bodies
    assert set(bodies) == set(clip.prompts)
    assert np.mean([body.fraction > 0.5 for body in bodies.values()]) >= 0.5
