# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Recall and precision of the features of the segmenter as a matcher of exemplars, on toy scenes.

The exemplar is the box of one object on the first image. An object on the second image counts as found if a detection has an IoU above .5
with its visible part, and as missed only if at least half of it is visible. Each scene belongs to one of three sets:

* later: the same clip of look-alikes, 10 to 50 frames later.
* elsewhere: other objects in another scene with another exposure. All other objects differ in color and in shape.
* similar: as before, but each other object shares either the color or the shape of the exemplar.

Writes one JSON file and prints one table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.numbers_file import numbers_file, write
from lang2segtrack_ros.detection.detector import Detection, ExemplarMatcher
from lang2segtrack_ros.detection.exemplar import ExemplarFinder
from lang2segtrack_ros.identity.association import box_iou
from lang2segtrack_ros.identity.exemplar_features import FeatureMatcher
from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.toyworld.draft import Kind
from lang2segtrack_ros.toyworld.families import SHAPE_KINDS
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.toyworld.suites import make_clip
from lang2segtrack_ros.types.prompts import ExemplarPrompt

SETS = ("later", "elsewhere", "similar")
THRESHOLDS = (0.4, 0.5, 0.6, 0.7)
FIRST_SEED = 100
"""The constants of the matcher were fitted on seeds 0 to 39."""
_IOU = 0.5
_MIN_FRACTION = 0.5


@dataclass(frozen=True, eq=False)
class Pair:
    """Two images and the label of the objects to find.

    Attributes:
        first: image with the exemplar, body 1.
        second: image on which to find objects.
        label: their label.
    """

    first: SceneFrame
    second: SceneFrame
    label: str

    @property
    def exemplar(self) -> ExemplarPrompt:
        """Return the prompt of the exemplar."""
        box = self.first.bodies[1].box
        assert box is not None
        return ExemplarPrompt(box, self.label, self.first.color)


def make_pair(name: str, seed: int) -> Pair:
    """Return the pair of images of a set and a seed."""
    rng = np.random.default_rng([SETS.index(name), seed])
    if name == "later":
        scene = make_clip("distractors", seed).scene
        return Pair(scene.render(0), scene.render(int(rng.integers(10, 51))), scene.bodies[0].label)
    first, crowd = make_clip("easy", seed).scene, make_clip("crowd", seed).scene
    color, shape = first.bodies[0].color, first.bodies[0].shape
    if name == "similar":
        others = [kind for kind in SHAPE_KINDS if (kind[0] == color) != (kind[1] == shape)]
    else:
        others = [kind for kind in SHAPE_KINDS if kind[0] != color and kind[1] != shape]
    count = int(rng.integers(2, 5))
    drawn = [others[index] for index in rng.integers(len(others), size=len(crowd.bodies) - count)]
    second = with_kinds(crowd, [(color, shape)] * count + drawn)
    return Pair(first.render(0), second.render(0), first.bodies[0].label)


def with_kinds(scene: Scene, kinds: Sequence[Kind]) -> Scene:
    """Return the scene with other colors and shapes of its bodies."""
    bodies = tuple(replace(body, color=color, shape=shape) for body, (color, shape) in zip(scene.bodies, kinds))
    return Scene(bodies, scene.width, scene.height, scene.seed, scene.style, scene.length, scene.cuts)


@dataclass
class Counts:
    """Counts over several images.

    Attributes:
        objects: objects that must be found.
        found: those that were found.
        false: detections of no such object, and second detections of one object.
    """

    objects: int = 0
    found: int = 0
    false: int = 0

    @property
    def recall(self) -> float:
        """Return the ratio of objects that were found."""
        return self.found / max(self.objects, 1)

    @property
    def precision(self) -> float:
        """Return the ratio of detections that found an object."""
        return self.found / max(self.found + self.false, 1)

    def add(self, frame: SceneFrame, label: str, detections: Iterable[Detection]) -> None:
        """Count the detections on one image, in order of falling score."""
        wanted = {key: body for key, body in frame.bodies.items() if body.label == label and body.box is not None}
        required = {key for key, body in wanted.items() if body.fraction >= _MIN_FRACTION}
        taken: set[int] = set()
        for item in detections:
            ious = {
                key: float(box_iou(np.array([item.box], float), np.array([body.box], float))[0, 0])
                for key, body in wanted.items()
                if key not in taken
            }
            best = max(ious, key=lambda key: ious[key], default=0)
            if not best or ious[best] <= _IOU:
                self.false += 1
            else:
                taken.add(best)
        self.objects += len(required)
        self.found += len(taken & required)


def measure(matcher: ExemplarMatcher, name: str, seeds: Iterable[int], thresholds: Sequence[float]) -> list[Counts]:
    """Return the counts for each threshold.

    Args:
        matcher: the matcher.
        name: one of `SETS`.
        seeds: seeds of the pairs.
        thresholds: minimum scores.
    """
    counts = [Counts() for _ in thresholds]
    for seed in seeds:
        pair = make_pair(name, seed)
        matches = ExemplarFinder(matcher).find(pair.second.color, [pair.exemplar], [min(thresholds)])
        for count, threshold in zip(counts, thresholds):
            count.add(pair.second, pair.label, [item for item in matches.detections if item.score >= threshold])
    return counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=60, help="scenes of each set (default: %(default)s)")
    parser.add_argument("--segmenter", default="toy", help="segmenter (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="device (default: %(default)s)")
    parser.add_argument("--out", type=numbers_file, default="out/exemplar.json", help="file of the numbers (default: %(default)s)")
    options = parser.parse_args(arguments)
    matcher = FeatureMatcher(load_segmenter(options.segmenter, options.device))
    seeds = range(FIRST_SEED, FIRST_SEED + options.scenes)
    table = {name: measure(matcher, name, seeds, THRESHOLDS) for name in SETS}
    print(f"| set | objects | {' | '.join(f'{threshold:g}' for threshold in THRESHOLDS)} |\n|---|---|{'---|' * len(THRESHOLDS)}")
    for name, counts in table.items():
        cells = " | ".join(f"{count.recall:.3f} / {count.precision:.3f}" for count in counts)
        print(f"| {name} | {counts[0].objects} | {cells} |")
    rows = {name: [[count.recall, count.precision] for count in counts] for name, counts in table.items()}
    write(options.out, {"scenes": options.scenes, "thresholds": THRESHOLDS, "recall_precision": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
