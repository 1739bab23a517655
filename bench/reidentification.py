# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Kept ids of two look-alikes that leave the image and return, for each value of the option `appearance`.

Both objects share one word and one color. They return at places that say nothing about their identity, so chance keeps the ids of both in
half of the clips. The program states the probability of the result under chance. It writes one JSON file and prints one table.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from math import comb

import torch

from bench.look_alikes import DIFFERENCES, returning
from bench.numbers_file import numbers_file, write
from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.evaluation.identity import IdentityRecord
from lang2segtrack_ros.models.loading import load_detector, load_segmenter
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt
from lang2segtrack_ros.types.results import TrackStatus

MODELS = ("color", "features", "both")
_BEFORE, _AFTER = 30, 60  # the objects leave from frame 20 on, and return after frame 50
_END = 20  # the id at the end is the most frequent one on the last frames


@dataclass(frozen=True)
class Outcome:
    """The ids of the objects of one clip.

    Attributes:
        difference: property in which the objects differ.
        seed: seed of the clip.
        appearance: value of the option.
        prompt: "text" or "box".
        before, returned, end: the most frequent id before the absence, the first id after it, the most frequent id at the end.
    """

    difference: str
    seed: int
    appearance: str
    prompt: str
    before: tuple[int | None, ...]
    returned: tuple[int | None, ...]
    end: tuple[int | None, ...]

    @property
    def was_found(self) -> bool:
        """Return True if both objects had a track before their absence."""
        return None not in self.before and len({*self.before}) == len(self.before)


def run(segmenter: Sam2Segmenter, detector: Detector, difference: str, seed: int, appearance: str, prompt: str) -> Outcome:
    """Track the objects of one clip."""
    clip = returning(difference, seed)
    session = Session(segmenter, detector if prompt == "text" else None, options=SessionOptions(appearance=appearance))
    names = {number: body.label for number, body in enumerate(clip.scene.bodies, start=1)}
    word = clip.scene.bodies[0].color if difference == "shape" else names[1]
    if prompt == "text":
        session.prompt(TextPrompt(f"{word}.", mode="continuous"))
    record = IdentityRecord()
    for index in range(clip.length):
        shot = clip.scene.render(index)
        for body in shot.bodies.values() if prompt == "box" and index == 0 else ():
            if body.box is not None:
                session.prompt(BoxPrompt(body.box, word))
        result = session.step(Frame(shot.color, index * 66_666_667, shot.depth_m, clip.scene.camera))
        shown = [track for track in result.tracks if track.state not in (TrackStatus.REMOVED, TrackStatus.TENTATIVE)]
        record.add(shot.instances, list(names), {track.id: track.mask for track in shown})
    matches = [record.matches(number) for number in names]
    return Outcome(
        difference,
        seed,
        appearance,
        prompt,
        tuple(_most_frequent(row[:_BEFORE]) for row in matches),
        tuple(next((item for item in row[_AFTER:] if item is not None), None) for row in matches),
        tuple(_most_frequent(row[-_END:]) for row in matches),
    )


def _most_frequent(ids: list[int | None]) -> int | None:
    known = [item for item in ids if item is not None]
    return max(set(known), key=known.count) if known else None


def odds(kept: int, clips: int) -> float:
    """Return the probability that chance keeps the ids of at least `kept` of `clips` clips."""
    return float(sum(comb(clips, count) for count in range(kept, clips + 1)) / 2**clips)


def main() -> int:
    """Run all clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=numbers_file, default="out/bench/reidentification.json", help="JSON file to write (default: %(default)s)"
    )
    parser.add_argument("--differences", nargs="+", default=["shape", "size", "gain"], choices=DIFFERENCES, help="properties that differ")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(340, 352)), help="seeds of the clips (default: 340 to 351)")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS, help="values of the option appearance")
    parser.add_argument("--prompts", nargs="+", default=["text"], choices=("text", "box"), help="prompts (default: text)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    segmenter, detector = load_segmenter("toy", device="cpu"), load_detector("toy", device="cpu")
    outcomes: list[Outcome] = []
    print("| difference | prompt | appearance | clips | both ids kept | objects kept | kept on return | odds of chance |")
    print("|---|---|---|---|---|---|---|---|")
    for difference in arguments.differences:
        for prompt in arguments.prompts:
            for appearance in arguments.models:
                ran = [run(segmenter, detector, difference, seed, appearance, prompt) for seed in arguments.seeds]
                outcomes += ran
                found = [item for item in ran if item.was_found]
                kept = sum(item.before == item.end for item in found)
                objects = sum(one == other for item in found for one, other in zip(item.before, item.end))
                returned = sum(one == other for item in found for one, other in zip(item.before, item.returned))
                cells = (difference, prompt, appearance, len(found), kept, objects, returned, f"{odds(kept, len(found)):.4f}")
                print("| " + " | ".join(map(str, cells)) + " |", flush=True)
                write(arguments.out, {"outcomes": [asdict(item) for item in outcomes]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
