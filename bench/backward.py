# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy of backward traces: objects are prompted in the middle or near the end of a clip, and judged on the images before the prompt.

Each clip runs three times: with a backward pass from the prompt, forward from the first image as a reference, and, for boxes, with SAM 2 as
published, fed in reverse from the prompt. All use the same weights. Judged are the objects that the run with the backward pass tracks from
the prompt on. Tracks are assigned to objects one to one on the 12 images from the prompt on, so a swap of two ids before the prompt counts.

A mask is shown but wrong if less than half of its pixels lie on its object. The program writes one JSON file, and prints tables.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.numbers_file import numbers_file, write
from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.evaluation.identity import IdentityRecord, combine
from lang2segtrack_ros.evaluation.masks import region_j
from lang2segtrack_ros.evaluation.reference import Sam2Reference
from lang2segtrack_ros.evaluation.scores import FRAME_NS, mean
from lang2segtrack_ros.evaluation.texts import names_of, scene_text
from lang2segtrack_ros.history.backward_pass import RefinementError
from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.models.loading import load_detector, load_segmenter
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.metrics import MIN_PIXELS
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.toyworld.suites import Clip, make_clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt
from lang2segtrack_ros.types.results import FrameResult

SUITES = ("exit_return", "occlusion", "crossing", "crowd", "late_prompt", "scene_cut", "easy")
PLACES = ("middle", "end")
PROMPTS = ("text", "box")
_END_FRAMES = 12  # frames from a prompt near the end to the end of the clip, in which a text can be confirmed
Masks = dict[int, NDArray[np.bool_]]


@dataclass
class Score:
    """Agreement with the truth before the prompt.

    Attributes:
        j: J of each visible object-frame.
        hidden_empty: True for each hidden object-frame without a mask.
        wrong: True for each object-frame whose mask is shown but wrong.
        results: TrackEval's results of each clip.
        images: images that the backward direction has processed.
        seconds: its time in seconds.
    """

    j: list[float] = field(default_factory=list)
    hidden_empty: list[bool] = field(default_factory=list)
    wrong: list[bool] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    images: int = 0
    seconds: float = 0.0

    def add(self, shots: Sequence[SceneFrame], numbers: dict[int, int], masks: Sequence[Masks]) -> None:
        """Add a clip.

        Args:
            shots: the frames before the prompt.
            numbers: track id by number of each judged object; 0 for an object without a track.
            masks: bool [H, W] by track id, on these frames. Tracks of other objects are left out.
        """
        record = IdentityRecord()
        for shot, shown in zip(shots, masks):
            record.add(shot.instances, list(numbers), {key: mask for key, mask in shown.items() if mask.any()})
            for number, track_id in numbers.items():
                truth = shot.instances == number
                mask = shown.get(track_id, np.zeros_like(truth))
                pixels, shown_pixels = int(np.count_nonzero(truth)), int(np.count_nonzero(mask))
                self.wrong.append(2 * int(np.count_nonzero(mask & truth)) < shown_pixels)
                if pixels >= MIN_PIXELS:
                    self.j.append(region_j(mask, truth))
                elif not pixels:
                    self.hidden_empty.append(not shown_pixels)
        self.results.append(record.evaluate())

    def merge(self, other: Score) -> None:
        """Add all entries of another score."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))

    def summary(self) -> dict[str, float]:
        """Return means, 0..1, and the rate in images per second."""
        return {
            "J": mean(self.j),
            "hidden_empty": mean(self.hidden_empty),
            "wrong": mean(self.wrong),
            "IDF1": combine(self.results)["IDF1"] if self.results else float("nan"),
            "images_per_s": self.images / self.seconds if self.seconds else float("nan"),
        }


def _prompt_frame(clip: Clip, place: str) -> int:
    return clip.length // 2 if place == "middle" else clip.length - _END_FRAMES


def _frame(clip: Clip, shot: SceneFrame, index: int) -> Frame:
    return Frame(shot.color, index * FRAME_NS, shot.depth_m, clip.scene.camera)


def _prompt(session: Session, clip: Clip, shot: SceneFrame, kind: str) -> None:
    """Prompt all objects that are visible on a frame by box, or all objects of the clip by text."""
    if kind == "text":
        session.prompt(scene_text(clip))
        return
    for number, box in _boxes(clip, shot).items():
        session.prompt(BoxPrompt(box, names_of(clip)[number]))


def _boxes(clip: Clip, shot: SceneFrame) -> dict[int, tuple[float, float, float, float]]:
    bodies = {number: body for number, body in shot.bodies.items() if number in names_of(clip)}
    return {n: body.box for n, body in bodies.items() if body.box is not None and np.count_nonzero(shot.instances == n) >= MIN_PIXELS}


def _announced(result: FrameResult) -> Masks:
    return {track.id: track.mask for track in result.announced if track.box is not None}


def _assigned(shots: Sequence[SceneFrame], names: dict[int, str], masks: Sequence[Masks]) -> dict[int, int]:
    """Assign tracks to objects one to one. Return the id of the track by the number of the object."""
    record = IdentityRecord()
    for shot, shown in zip(shots, masks):
        record.add(shot.instances, [number for number in names if number in shot.bodies], shown)
    return record.assignment()


def _only(masks: Sequence[Masks], assigned: dict[int, int], judged: Sequence[int]) -> list[Masks]:
    """Leave out the tracks of objects that are not judged."""
    others = {track_id for number, track_id in assigned.items() if number not in judged}
    return [{key: mask for key, mask in shown.items() if key not in others} for shown in masks]


def run_clip(segmenter: Sam2Segmenter, detector: Detector, clip: Clip, place: str, kind: str, options: SessionOptions) -> dict[str, Score]:
    """Run one clip in all directions. Return the scores by method."""
    start, names = _prompt_frame(clip, place), names_of(clip)
    shots = [clip.scene.render(index) for index in range(clip.length)]
    session = Session(segmenter, detector, history=FrameHistory(lossless=True), options=options)
    for index, shot in enumerate(shots):
        if index == start:
            _prompt(session, clip, shot, kind)
        session.step(_frame(clip, shot, index))
    scores = {"backward": Score()}
    begun = time.perf_counter()
    try:
        sweep = session.backward()
    except RefinementError:  # no object of the clip was found from the prompt on
        return {}
    images = sum(1 for _ in sweep.sweep())
    scores["backward"].images, scores["backward"].seconds = images, time.perf_counter() - begun
    masks = [_announced(result) for result in sweep.results()]
    assigned = _assigned(shots[start : start + _END_FRAMES], names, masks[start : start + _END_FRAMES])
    judged = sorted(assigned)
    scores["backward"].add(shots[:start], {number: assigned[number] for number in judged}, _only(masks[:start], assigned, judged))
    scores["forward"] = _forward(segmenter, detector, clip, shots, start, judged, kind)
    if kind == "box":
        scores["sam2 reversed"] = _reference(segmenter, clip, shots, start, judged)
    return scores


def _forward(
    segmenter: Sam2Segmenter, detector: Detector, clip: Clip, shots: Sequence[SceneFrame], start: int, judged: Sequence[int], kind: str
) -> Score:
    """Track from the first frame. A box prompts each judged object on its first frame in the clip."""
    session, names, score = Session(segmenter, detector), names_of(clip), Score()
    waiting, masks = set(judged), []
    if kind == "text":
        session.prompt(scene_text(clip))
    begun = time.perf_counter()
    for index, shot in enumerate(shots):
        boxes = _boxes(clip, shot) if kind == "box" else {}
        for number in sorted(waiting & {*boxes}):
            session.prompt(BoxPrompt(boxes[number], names[number]))
            waiting.discard(number)
        masks.append(_announced(session.step(_frame(clip, shot, index))))
    score.images, score.seconds = len(shots), time.perf_counter() - begun
    assigned = _assigned(shots[start : start + _END_FRAMES], names, masks[start : start + _END_FRAMES])
    score.add(shots[:start], {number: assigned.get(number, 0) for number in judged}, _only(masks[:start], assigned, judged))
    return score


def _reference(segmenter: Sam2Segmenter, clip: Clip, shots: Sequence[SceneFrame], start: int, judged: Sequence[int]) -> Score:
    """Feed SAM 2 as published with the frames from the prompt back to the first one."""
    reference, score = Sam2Reference(segmenter), Score()
    boxes = _boxes(clip, shots[start])
    ids = {number: reference.prompt(BoxPrompt(boxes[number], names_of(clip)[number])) for number in judged if number in boxes}
    masks: list[Masks] = []
    begun = time.perf_counter()
    for index in range(start, -1, -1):
        result = reference.step(_frame(clip, shots[index], index))
        masks.insert(0, {track.id: track.mask for track in result.tracks if track.box is not None})
    score.images, score.seconds = start + 1, time.perf_counter() - begun
    numbers = {number: ids[number].future.result().track_ids[0] if number in ids else 0 for number in judged}
    score.add(shots[:start], numbers, masks[:start])
    return score


def _row(cells: Sequence[object], summary: dict[str, float]) -> str:
    values = [f"{value:.3f}" if name != "images_per_s" else f"{value:.0f}" for name, value in summary.items()]
    return "| " + " | ".join([*map(str, cells), *values]) + " |"


def main() -> int:
    """Run all suites."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=numbers_file, default="out/bench/backward.json", help="JSON file to write (default: %(default)s)")
    parser.add_argument("--suites", nargs="+", default=SUITES, choices=SUITES, help="suites to run")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(3)), help="seeds of the clips (default: 0 1 2)")
    parser.add_argument("--places", nargs="+", default=PLACES, choices=PLACES, help="places of the prompt in the clip")
    parser.add_argument("--detect-every", type=int, default=5, help="detect_every_backward (default: %(default)s)")
    parser.add_argument("--prompts", nargs="+", default=PROMPTS, choices=PROMPTS, help="kinds of prompts")
    options = parser.parse_args()
    session_options = SessionOptions(detect_every_backward=options.detect_every)
    torch.set_num_threads(1)
    segmenter, detector = load_segmenter("toy", device="cpu"), load_detector("toy", device="cpu")
    rows: list[dict[str, Any]] = []
    print("| suite | prompt | place | method | J | hidden empty | wrong | IDF1 | images/s |\n|---|---|---|---|---|---|---|---|---|")
    pooled: dict[tuple[str, str, str], Score] = {}
    for suite in options.suites:
        for kind in options.prompts:
            for place in options.places:
                by_method: dict[str, Score] = {}
                for seed in options.seeds:
                    for method, score in run_clip(segmenter, detector, make_clip(suite, seed), place, kind, session_options).items():
                        by_method.setdefault(method, Score()).merge(score)
                        pooled.setdefault((kind, place, method), Score()).merge(score)
                        rows.append({"suite": suite, "seed": seed, "prompt": kind, "place": place, "method": method, **score.summary()})
                for method, score in by_method.items():
                    print(_row((suite, kind, place, method), score.summary()), flush=True)
                write(options.out, {"seeds": options.seeds, "clips": rows})
    for (kind, place, method), score in pooled.items():
        print(_row(("all", kind, place, method), score.summary()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
