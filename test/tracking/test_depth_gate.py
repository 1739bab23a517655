# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The depth gate cuts masks only where depth shows another distance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from lang2segtrack_ros.evaluation.prompted import track_prompted
from lang2segtrack_ros.evaluation.scores import merge
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.toyworld.suites import make_clip
from lang2segtrack_ros.tracking.depth_gate import GATE_M, outside_depth_gate, update_distances
from lang2segtrack_ros.tracking.open_frame import ImageInfo
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.tracking.tracker import Tracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt
from test.cached import CachedSegmenter
from test.conftest import body_box
from test.logits import LogitsProbe

NAN = float("nan")
VISIBLE = torch.zeros(1, dtype=torch.int64)


def plane(distance: float) -> torch.Tensor:
    return torch.full((12, 12), distance)


def test_background_is_outside_the_gate() -> None:
    depth = plane(2.0)
    depth[:, 6:] = 3.0
    off = outside_depth_gate(depth, torch.tensor([2.0]), VISIBLE)[0]
    assert not off[:, :6].any()
    assert not off[:, 6].any(), "depth is wrong at edges, so the adjacent cell stays"
    assert off[:, 7:].all()


def test_unknown_depth_and_unknown_distance_are_never_outside() -> None:
    """The gate excludes no cells without depth, and no cells for an object of unknown distance."""
    depth = plane(3.0)
    depth[3:6] = NAN
    off = outside_depth_gate(depth, torch.tensor([2.0, NAN]), torch.zeros(2, dtype=torch.int64))
    assert not off[0, 3:6].any()
    assert off[0, :3].all()
    assert not off[1].any()


def test_gate_grows_while_the_object_is_hidden() -> None:
    depth = plane(2.0 + 2 * GATE_M)
    assert outside_depth_gate(depth, torch.tensor([2.0]), VISIBLE).all()
    assert not outside_depth_gate(depth, torch.tensor([2.0]), VISIBLE + 10).any()


def test_distance_follows_the_core_of_the_mask() -> None:
    """The rim may show an occluder. A mask without a core or without depth leaves the distance unchanged."""
    depth = plane(2.0)
    low = torch.full((3, 12, 12), -5.0)
    low[0, 2:9, 2:9] = 5.0
    depth[2, 2:9] = 1.0
    low[1, 5, 5] = 5.0
    low[2, 2:9, 2:9] = 5.0
    assert update_distances(depth, low, torch.tensor([NAN, 1.5, 1.0])).tolist()[:2] == [2.0, 1.5]
    assert 1.0 < update_distances(depth, low, torch.tensor([NAN, 1.5, 1.0]))[2] < 2.0
    assert update_distances(plane(NAN), low, torch.tensor([1.0, 1.0, 1.0])).tolist() == [1.0, 1.0, 1.0]


def test_without_depth_the_policy_equals_samurai(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    trackers = [StreamTracker(segmenter, policy) for policy in ("samurai", "depth")]
    for tracker in trackers:
        tracker.add(BoxPrompt(body_box(frames[0], 1)))
    one, other = map(LogitsProbe, trackers)
    for frame in frames[:8]:
        for tracker in trackers:
            tracker.step(Frame(frame.color))
        assert np.array_equal(one[1], other[1])


def test_other_policies_ignore_depth(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    assert StreamTracker(segmenter, "samurai").encode(Frame(frames[0].color, 0, frames[0].depth_m)).depth is None
    assert StreamTracker(segmenter, "depth").encode(Frame(frames[0].color, 0, frames[0].depth_m)).depth is not None


def test_similar_objects_at_different_distances_keep_their_tracks(segmenter: Sam2Segmenter) -> None:
    """Count the object-frames on which a track covers more of the other object. The tracker runs alone, without the identity rules."""
    wrong = {"samurai": 0, "depth": 0}
    shared = CachedSegmenter(segmenter)
    for seed in (1, 3, 10):
        clip = make_clip("depth_only_difference", seed, 320, 240)
        shots = [clip.scene.render(index) for index in range(clip.length)]
        for policy in wrong:
            tracker = StreamTracker(shared, policy)
            ids = [tracker.add(BoxPrompt(body_box(shots[0], number))) for number in (1, 2)]
            for shot in shots:
                tracks = {track.id: track for track in tracker.step(Frame(shot.color, 0, shot.depth_m))}
                for number, track_id in zip((1, 2), ids):
                    own, other = (np.count_nonzero(tracks[track_id].mask & (shot.instances == n)) for n in (number, 3 - number))
                    wrong[policy] += other > own
    assert wrong["samurai"] > 50
    assert wrong["depth"] < wrong["samurai"] / 4


def test_depth_policy_has_no_id_switches(segmenter: Sam2Segmenter) -> None:
    """The model card lists the results of the whole suite."""
    clips = [make_clip("depth_only_difference", seed, 320, 240) for seed in (1, 5)]
    summary = merge([track_prompted(Session(segmenter, policy="depth"), clip) for clip in clips]).summary()
    assert summary["id_switches"] == 0
    assert summary["J_visible"] > 0.55


def test_fork_uses_the_depth_of_its_own_frames(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """Objects of a slow detector catch up through cached features, which must include the depth of their frames."""
    tracker = Tracker(segmenter, "depth")
    features = tracker.encode(Frame(frames[0].color, 0, frames[0].depth_m))
    fork = tracker.fork()
    opened = fork.open(ImageInfo(lambda: features, 240, 320, 0))
    opened.accept(opened.predict(BoxPrompt(body_box(frames[0], 1))), 1)
    fork.apply(fork.compute(opened))
    assert fork.bank.distance.isfinite().all()
    without_depth = fork.open(ImageInfo(lambda: replace(features, depth=None), 240, 320, 1))
    fork.apply(fork.compute(without_depth))
    assert fork.bank.distance.isfinite().all(), "a frame without depth must keep the distances"
