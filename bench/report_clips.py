# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Tracked toy clips with the id switches that their truth shows, as input for `bench.report`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.evaluation.identity import IdentityRecord
from lang2segtrack_ros.evaluation.scores import FRAME_NS
from lang2segtrack_ros.evaluation.texts import names_of, scene_text
from lang2segtrack_ros.history.backward_pass import RefinementError
from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.history.records import Record, dumps, frame_record
from lang2segtrack_ros.recordings.fill_back import fill_back
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.metrics import MIN_PIXELS
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.toyworld.suites import Clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus
from lang2segtrack_ros.types.rle import mask_box


@dataclass(frozen=True)
class Switch:
    """A true id switch: an object is matched by another track than on its last matched image (as CLEAR counts it).

    Attributes:
        image: the first image with the new track.
        before, after: ids of both tracks.
    """

    image: int
    before: int
    after: int


def true_switches(record: IdentityRecord) -> list[Switch]:
    """Return the switches of a clip, in order of the images."""
    found = []
    for number in sorted({number for visible in record.truth for number in visible}):
        last: int | None = None
        for image, track in enumerate(record.matches(number)):
            if track is None:
                continue
            if last is not None and track != last:
                found.append(Switch(image, last, track))
            last = track
    return sorted(found, key=lambda item: item.image)


def _identities(clip: Clip, shots: Sequence[SceneFrame], results: Iterable[FrameResult]) -> IdentityRecord:
    record = IdentityRecord()
    for shot, result in zip(shots, results):
        shown = [track for track in result.tracks if track.state not in (TrackStatus.REMOVED, TrackStatus.TENTATIVE)]
        record.add(shot.instances, [number for number in names_of(clip) if number in shot.bodies], {item.id: item.mask for item in shown})
    return record


def tracked(clip: Clip, segmenter: Sam2Segmenter, detector: Detector) -> Iterator[tuple[str, list[Record], list[Switch]]]:
    """Track a clip in three ways. Yield the name of each way with its records and its true switches.

    The ways: `text` is what `lang2segtrack track --text` writes, `backward` the same with `--backward`, and `box` tracks the true boxes
    of the first image with the memory policy of SAM 2 as published, which keeps no model of motion.
    """
    shots = [clip.scene.render(index) for index in range(clip.length)]
    frames = [Frame(shot.color, index * FRAME_NS, shot.depth_m, clip.scene.camera) for index, shot in enumerate(shots)]
    session = Session(segmenter, detector, history=FrameHistory(lossless=True))
    session.prompt(scene_text(clip), log_outcome=False)
    forward = [result for _, result in fill_back([session.step(frame) for frame in frames], lambda result: result)]
    yield "text", [frame_record(item) for item in forward], true_switches(_identities(clip, shots, forward))
    try:
        merged = {item.index: item for item in session.refine_backward()}
    except RefinementError:
        merged = {}
    if merged:
        both = [merged.get(item.index, item) for item in forward]
        yield "backward", [frame_record(item) for item in both], true_switches(_identities(clip, shots, both))
    session = Session(segmenter, policy="sam2")
    for number, body in shots[0].bodies.items():
        if clip.prompts.get(number) == 0 and body.box is not None:
            session.prompt(BoxPrompt(body.box, body.label))
    boxed = [session.step(frame) for frame in frames]
    yield "box", [frame_record(item) for item in boxed], true_switches(_identities(clip, shots, boxed))


def true_trace(clip: Clip) -> list[FrameResult]:
    """Return the truth of a clip as a perfect trace: the track of each object has its number as id."""
    names = names_of(clip)
    results = []
    for index in range(clip.length):
        shot = clip.scene.render(index)
        tracks = []
        height, width = shot.instances.shape
        for number, label in names.items():
            mask = shot.instances == number
            shown = int(np.count_nonzero(mask)) >= MIN_PIXELS
            mask = mask if shown else np.zeros_like(mask)
            state = TrackStatus.TRACKED if shown else TrackStatus.OCCLUDED
            score = 0.9 if shown else 0.0
            tracks.append(Track(number, label, state, score, mask_box(mask), mask, score, 5.0, float("nan"), 0))
        results.append(FrameResult(index * FRAME_NS, index, height, width, tuple(tracks)))
    return results


def write_clip(folder: Path, records: Iterable[Record], switches: Sequence[Switch]) -> None:
    """Write a tracked clip and its true switches into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "tracks.jsonl").open("wb") as file:
        for record in records:
            file.write(dumps(record))
    (folder / "switches.json").write_text(json.dumps([asdict(item) for item in switches]))


def read_switches(folder: Path) -> list[Switch]:
    """Return the true switches of a tracked clip."""
    return [Switch(**item) for item in json.loads((folder / "switches.json").read_text())]
