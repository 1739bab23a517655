# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Published benchmarks in their own folder layouts: DAVIS 2017 (masks) and LaSOT (boxes), with any checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.evaluation.masks import boundary_f, region_j
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt


class LayoutError(ValueError):
    """A folder is not laid out as its benchmark's; the message says what is missing."""


@dataclass(frozen=True)
class Sequence:
    """A sequence on disk.

    Attributes:
        name: as the benchmark calls it.
        images: its frames in order.
        truth: DAVIS: one indexed PNG for each frame; LaSOT: the file with a box for each frame.
        absent: LaSOT: files that mark frames on which the object cannot be seen.
    """

    name: str
    images: tuple[Path, ...]
    truth: tuple[Path, ...]
    absent: tuple[Path, ...] = ()


def davis_sequences(root: Path, split: str = "val", resolution: str = "480p") -> list[Sequence]:
    """Sequences of `JPEGImages/<resolution>/<name>` with `Annotations/<resolution>/<name>`, those of the split when it is listed.

    Raises:
        LayoutError: folders or files are missing.
    """
    images, masks = root / "JPEGImages" / resolution, root / "Annotations" / resolution
    for folder in (images, masks):
        if not folder.is_dir():
            raise LayoutError(f"{folder} does not exist: DAVIS has JPEGImages/{resolution} and Annotations/{resolution}")
    listed = root / "ImageSets" / "2017" / f"{split}.txt"
    names = listed.read_text().split() if listed.is_file() else sorted(path.name for path in images.iterdir() if path.is_dir())
    sequences = []
    for name in names:
        frames, truth = tuple(sorted((images / name).glob("*.jpg"))), tuple(sorted((masks / name).glob("*.png")))
        if not frames or len(frames) != len(truth):
            raise LayoutError(f"{name} has {len(frames)} frames in {images / name} and {len(truth)} masks in {masks / name}")
        sequences.append(Sequence(name, frames, truth))
    return sequences


def lasot_sequences(root: Path) -> list[Sequence]:
    """Sequences of `<class>/<name>` or `<name>`, each with `img/*.jpg` and `groundtruth.txt` (x,y,width,height a line).

    Raises:
        LayoutError: there are none, or a file has another number of lines than there are frames.
    """
    sequences = []
    for truth in sorted([*root.glob("*/groundtruth.txt"), *root.glob("*/*/groundtruth.txt")]):
        frames = tuple(sorted((truth.parent / "img").glob("*.jpg")))
        lines = len(truth.read_text().split())
        if not frames or lines != len(frames):
            raise LayoutError(f"{truth} has {lines} boxes and {truth.parent / 'img'} has {len(frames)} frames")
        marks = tuple(path for path in (truth.parent / "full_occlusion.txt", truth.parent / "out_of_view.txt") if path.is_file())
        sequences.append(Sequence(truth.parent.name, frames, (truth,), marks))
    if not sequences:
        raise LayoutError(f"{root} has no folder with a groundtruth.txt: LaSOT keeps one beside img/ in each sequence")
    return sequences


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise LayoutError(f"{path} cannot be read as an image")
    return np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)


def _indexed(path: Path) -> NDArray[np.uint8]:
    """The indices of a palette PNG, 255 (ignore) as background. OpenCV would give its colours."""
    from PIL import Image

    indices = np.asarray(Image.open(path))
    if indices.ndim != 2:
        raise LayoutError(f"{path} is not an indexed PNG: each pixel must hold the number of its object")
    return np.where(indices == 255, 0, indices).astype(np.uint8)


def run_davis(segmenter: Sam2Segmenter, sequence: Sequence, policy: str) -> dict[int, tuple[float, float]]:
    """J and F of each object that is there on the first frame, from its true mask; first and last frame do not count (DAVIS 2017)."""
    first = _indexed(sequence.truth[0])
    numbers = [int(number) for number in np.unique(first) if number]
    session = Session(segmenter, policy=policy, options=SessionOptions(min_region_ratio=0.0))
    handles = {number: session.prompt(MaskPrompt(first == number, str(number))) for number in numbers}
    scores: dict[int, list[tuple[float, float]]] = {number: [] for number in numbers}
    for index, path in enumerate(sequence.images):
        result = session.step(Frame(_read(path), index * 40_000_000))
        if index in (0, len(sequence.images) - 1):
            continue
        truth = _indexed(sequence.truth[index])
        for number in numbers:
            mask = result.by_id[handles[number].track_ids[0]].mask
            scores[number].append((region_j(mask, truth == number), boundary_f(mask, truth == number)))
    return {number: (float(np.mean([j for j, _ in rows])), float(np.mean([f for _, f in rows]))) for number, rows in scores.items()}


def run_lasot(segmenter: Sam2Segmenter, sequence: Sequence, policy: str) -> dict[str, float]:
    """Success (area under the curve of IoU), precision (20 pixels) and normalised precision of LaSOT (arXiv:1809.07845).

    Frames on which the object is marked as hidden or out of view do not count.
    """
    boxes = np.array([[float(v) for v in line.replace("\t", ",").split(",")] for line in sequence.truth[0].read_text().split()])
    gone = np.zeros(len(boxes), bool)
    for path in sequence.absent:
        gone |= np.array([int(v) for v in path.read_text().replace("\n", ",").split(",") if v.strip()][: len(boxes)], bool)
    session = Session(segmenter, policy=policy)
    x, y, width, height = boxes[0]
    handle = session.prompt(BoxPrompt((x, y, x + width, y + height)))
    found = np.full((len(boxes), 4), np.nan)
    for index, path in enumerate(sequence.images):
        result = session.step(Frame(_read(path), index * 33_000_000))
        if not handle.track_ids:
            raise LayoutError(f"{sequence.name}: the first box was refused: {handle.error}")
        box = result.by_id[handle.track_ids[0]].box
        if box is not None:
            found[index] = (box[0], box[1], box[2] - box[0], box[3] - box[1])
    keep = ~gone & (boxes[:, 2:] > 0).all(axis=1)
    return _one_pass(found[keep], boxes[keep])


def _one_pass(found: NDArray[np.float64], boxes: NDArray[np.float64]) -> dict[str, float]:
    """LaSOT's three numbers of boxes [T, 4] (x, y, width, height; NaN for none) against truth."""
    low = np.maximum(found[:, :2], boxes[:, :2])
    high = np.minimum(found[:, :2] + found[:, 2:], boxes[:, :2] + boxes[:, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=1)
    iou = np.nan_to_num(both / (np.prod(found[:, 2:], axis=1) + np.prod(boxes[:, 2:], axis=1) - both))
    shift = (found[:, :2] + found[:, 2:] / 2) - (boxes[:, :2] + boxes[:, 2:] / 2)
    apart = np.nan_to_num(np.linalg.norm(shift, axis=1), nan=np.inf)
    relative = np.nan_to_num(np.linalg.norm(shift / boxes[:, 2:], axis=1), nan=np.inf)
    return {
        "success": float(np.mean([(iou > t).mean() for t in np.linspace(0, 1, 21)])),
        "precision": float((apart <= 20).mean()),
        "normalised_precision": float(np.mean([(relative <= t).mean() for t in np.linspace(0, 0.5, 51)])),
        "frames": len(boxes),
    }
