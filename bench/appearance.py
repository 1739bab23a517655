# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Error curves of the appearance models: is an observation the object of a model, or a similar object?

The model of an object is the running mean up to a frame. It is compared with observations of the same object and of others, 5, 25 and 60
frames later. Clips with objects of one label compare only those. The masks are those of the tracker, or those of the ground truth. Writes
one JSON file, one figure, and prints one table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bench.look_alikes import DIFFERENCES, returning, staying
from bench.numbers_file import numbers_file, write
from lang2segtrack_ros.identity import look_alikes
from lang2segtrack_ros.identity.appearance import Appearance, appearance_similarity
from lang2segtrack_ros.identity.association import CONFIDENT_IOU
from lang2segtrack_ros.identity.feature_appearance import FeatureModel, Observation, joint_similarity, similarity
from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.segmentation.feature_pooling import pool_masks
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.toyworld.suites import Clip, make_clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt

GAPS = (5, 25, 60)
MODELS = ("color", "features", "both")
SUITES = ("distractors", "crossing", "crowd", "exit_return")
LOOK_ALIKES = tuple(f"{kind}_{difference}" for kind in ("staying", "returning") for difference in DIFFERENCES)
THRESHOLD = 0.8  # default of the parameter reid_threshold
_FRAMES = 90  # frames of a clip that loops
_STRIDE = 3  # frames between two compared models
_MIN_COUNT = 5  # observations of a model before it is compared
_MIN_FRACTION = 0.5  # visible fraction of a compared object
_MOMENTUM = 0.95  # of the color model, as in the registry


@dataclass(frozen=True, eq=False)
class Sample:
    """One object on one image.

    Attributes:
        observation: features and geometry.
        color: color histogram.
        is_confident: True if the mask is reliable enough to update a model.
    """

    observation: Observation
    color: Appearance
    is_confident: bool


@dataclass
class Scores:
    """Similarities float64 [K, 3], in the order of MODELS, of the same object and of other objects."""

    same: list[tuple[float, ...]] = field(default_factory=list)
    other: list[tuple[float, ...]] = field(default_factory=list)


def clip_of(name: str, seed: int) -> Clip:
    """Return a clip of a suite, or of look-alikes such as "staying_shape"."""
    kind, _, difference = name.partition("_")
    if difference in DIFFERENCES:
        return staying(difference, seed) if kind == "staying" else returning(difference, seed)
    return make_clip(name, seed)


def samples_of(
    features: ImageFeatures, color: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]], confident: Sequence[bool]
) -> list[Sample | None]:
    """Observe the objects of one image.

    Args:
        features: the encoded image.
        color: the image, RGB uint8 [H, W, 3].
        masks: bool [H, W], mask of each object.
        confident: True for reliable masks.
    """
    corners = [cv2.boundingRect(mask.view(np.uint8)) for mask in masks]
    boxes = [(float(x), float(y), float(x + width), float(y + height)) for x, y, width, height in corners]
    samples: list[Sample | None] = []
    for item, sure in zip(look_alikes.samples_of(masks, boxes, color, partial(pool_masks, features)), confident):
        known = item.features is not None and item.color is not None
        samples.append(Sample(cast(Observation, item.features), cast(Appearance, item.color), sure) if known else None)
    return samples


def frames_of(clip: Clip) -> Iterator[tuple[int, SceneFrame]]:
    """Render the frames of a clip. Short clips loop."""
    for index in range(max(clip.length, _FRAMES)):
        yield index, clip.scene.render(index)


def true_samples(segmenter: Sam2Segmenter, clip: Clip) -> list[dict[int, Sample]]:
    """Return the samples of each frame by the number of the object, under its ground-truth mask."""
    rows = []
    for _, shot in frames_of(clip):
        with torch.inference_mode():
            features = segmenter.encode(segmenter.preprocess(shot.color))
        numbers = [number for number, body in shot.bodies.items() if body.visible]
        samples = samples_of(features, shot.color, [shot.instances == number for number in numbers], [True] * len(numbers))
        rows.append({n: item for n, item in zip(numbers, samples) if item is not None and shot.bodies[n].fraction > _MIN_FRACTION})
    return rows


def tracked_samples(segmenter: Sam2Segmenter, clip: Clip) -> list[dict[int, Sample]]:
    """Return the samples of each frame under the masks of tracks. A track shows the object with which its mask has an IoU above 0.5."""
    session = Session(segmenter)
    rows = []
    for index, shot in frames_of(clip):
        for body in shot.bodies.values() if index == 0 else ():
            if body.box is not None:
                session.prompt(BoxPrompt(body.box, body.label))
        tracks = [track for track in session.step(Frame(shot.color, index * 66_666_667, shot.depth_m)).tracks if track.box is not None]
        with torch.inference_mode():
            features = segmenter.encode(segmenter.preprocess(shot.color))
        confident = [track.predicted_iou >= CONFIDENT_IOU for track in tracks]
        samples = samples_of(features, shot.color, [track.mask for track in tracks], confident)
        row = {}
        for track, sample in zip(tracks, samples):
            overlap = np.bincount(shot.instances[track.mask], minlength=2)
            number = 1 + int(overlap[1:].argmax())
            truth = shot.instances == number
            if sample is not None and 2 * overlap[number] > np.count_nonzero(track.mask | truth):
                row[number] = sample
        rows.append(row)
    return rows


def _similarities(model: FeatureModel, color: Appearance, sample: Sample) -> tuple[float, ...]:
    by_color = appearance_similarity(color, sample.color)
    by_features = similarity(sample.observation, model)
    return by_color, float(by_features), float(joint_similarity(by_features, np.array(by_color)))


def compare(rows: Sequence[dict[int, Sample]], labels: dict[int, str], gap: int, scores: Scores) -> None:
    """Compare the models on each frame with the samples `gap` frames later.

    Args:
        rows: samples of each frame.
        labels: label of each object, by number.
        gap: number of frames.
        scores: the similarities are added here.
    """
    has_look_alikes = len(set(labels.values())) < len(labels)
    models: dict[int, FeatureModel] = {}
    colors: dict[int, Appearance] = {}
    for index in range(len(rows) - gap):
        for number, sample in rows[index].items():
            if not sample.is_confident:
                continue
            known = models.get(number)
            models[number] = FeatureModel.of(sample.observation) if known is None else known.updated(sample.observation)
            old = colors.get(number, sample.color)
            colors[number] = (_MOMENTUM * old + (1 - _MOMENTUM) * sample.color).astype(np.float32)
        if index % _STRIDE:
            continue
        for number, model in models.items():
            for other, sample in rows[index + gap].items() if model.count >= _MIN_COUNT else ():
                if number == other:
                    scores.same.append(_similarities(model, colors[number], sample))
                elif not has_look_alikes or labels[number] == labels[other]:
                    scores.other.append(_similarities(model, colors[number], sample))


def curve(same: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the miss rate of the same object and the rate of false matches at each threshold, in ascending order of thresholds."""
    thresholds = np.unique(np.concatenate((same, other, (0.0, 1.1))))
    miss = np.searchsorted(np.sort(same), thresholds) / len(same)
    false_match = 1 - np.searchsorted(np.sort(other), thresholds) / len(other)
    return miss, false_match


def errors(same: NDArray[np.float64], other: NDArray[np.float64]) -> dict[str, float]:
    """Return the area under the ROC curve, the equal error rate, and errors at fixed points of the curve."""
    miss, false_match = curve(same, other)
    nearest = int(np.abs(miss - false_match).argmin())
    return {
        "AUC": float(np.sum((2 - false_match[1:] - false_match[:-1]) / 2 * np.diff(miss))),  # the trapezoidal rule
        "EER": float(miss[nearest] + false_match[nearest]) / 2,
        "false_match_at_5_percent_miss": float(np.mean(other >= np.quantile(same, 0.05))),
        "miss_at_threshold": float(np.mean(same < THRESHOLD)),
        "false_match_at_threshold": float(np.mean(other >= THRESHOLD)),
    }


def measure(
    segmenter: Sam2Segmenter, name: str, seeds: Sequence[int], observe: Callable[[Sam2Segmenter, Clip], list[dict[int, Sample]]]
) -> dict[int, Scores]:
    """Return the scores of a suite by gap."""
    by_gap = {gap: Scores() for gap in GAPS}
    for seed in seeds:
        clip = clip_of(name, seed)
        rows = observe(segmenter, clip)
        labels = {number: body.label for number, body in enumerate(clip.scene.bodies, start=1) if body.label}
        for gap, scores in by_gap.items():
            compare(rows, labels, gap, scores)
    return by_gap


def draw(path: Path, curves: dict[str, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]) -> None:
    """Draw the curves by suite and model."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(len(curves), 4)
    rows = -(-len(curves) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(3.2 * columns, 3 * rows), squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    for axis, (name, by_model) in zip(axes.flat, curves.items()):
        for model, (miss, false_match) in by_model.items():
            axis.plot(miss, false_match, label=model)
        axis.set(title=name, xlabel="same object missed", ylabel="other object matched", xlim=(0, 1), ylim=(0, 1))
    axes.flat[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> int:
    """Run all suites."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=numbers_file, default="out/bench/appearance.json", help="JSON file to write (default: %(default)s)")
    parser.add_argument("--suites", nargs="+", default=[*SUITES, *LOOK_ALIKES], choices=[*SUITES, *LOOK_ALIKES], help="suites to run")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(320, 326)), help="seeds of the clips (default: 320 to 325)")
    parser.add_argument("--masks", choices=("tracks", "truth"), default="tracks", help="masks of the objects (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    segmenter = load_segmenter("toy", device="cpu")
    table: list[dict[str, Any]] = []
    curves: dict[str, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    print(f"Masks of {options.masks}, seeds {' '.join(map(str, options.seeds))}. false match: at 5 % misses.\n")
    print("| suite | frames | model | AUC | EER | false match | miss at .8 | false match at .8 |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.suites:
        by_gap = measure(segmenter, name, options.seeds, true_samples if options.masks == "truth" else tracked_samples)
        for gap, scores in by_gap.items():
            same, other = np.array(scores.same).reshape(-1, len(MODELS)), np.array(scores.other).reshape(-1, len(MODELS))
            if not len(same) or not len(other):
                continue
            for column, model in enumerate(MODELS):
                row = errors(same[:, column], other[:, column])
                table.append({"suite": name, "gap": gap, "model": model, "same": len(same), "other": len(other), **row})
                print(f"| {name} | {gap} | {model} | " + " | ".join(f"{value:.3f}" for value in row.values()) + " |", flush=True)
                curves.setdefault(name, {})[model] = curve(same[:, column], other[:, column])  # of the largest gap
    write(options.out, {"masks": options.masks, "seeds": options.seeds, "rows": table})
    draw(options.out.with_suffix(".png"), curves)
    return 0


if __name__ == "__main__":
    sys.exit(main())
