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
    """Error of a folder whose layout differs from that of its benchmark. The message names the missing part."""


@dataclass(frozen=True)
class Sequence:
    """Sequence on disk.

    Attributes:
        name: name in the benchmark.
        images: image files in order.
        truth: DAVIS: one indexed PNG per frame. LaSOT: one file with a box per frame.
        absent: LaSOT: files that mark the frames on which the object is not visible.
    """

    name: str
    images: tuple[Path, ...]
    truth: tuple[Path, ...]
    absent: tuple[Path, ...] = ()


def davis_sequences(root: Path, split: str = "val", resolution: str = "480p") -> list[Sequence]:
    """Return the sequences of `JPEGImages/<resolution>/<name>` with `Annotations/<resolution>/<name>`.

    Args:
        root: folder of the benchmark.
        split: name of a list in `ImageSets/2017`. Without such a list, all sequences are returned.
        resolution: name of the sub-folder.

    Raises:
        LayoutError: Folders or files are missing.
    """
    images, masks = root / "JPEGImages" / resolution, root / "Annotations" / resolution
    for folder in (images, masks):
        if not folder.is_dir():
            raise LayoutError(f"{folder} does not exist: DAVIS needs JPEGImages/{resolution} and Annotations/{resolution}")
    split_file = root / "ImageSets" / "2017" / f"{split}.txt"
    names = split_file.read_text().split() if split_file.is_file() else sorted(path.name for path in images.iterdir() if path.is_dir())
    sequences = []
    for name in names:
        frames, truth = tuple(sorted((images / name).glob("*.jpg"))), tuple(sorted((masks / name).glob("*.png")))
        if not frames or len(frames) != len(truth):
            raise LayoutError(f"{name} has {len(frames)} frames in {images / name} and {len(truth)} masks in {masks / name}")
        sequences.append(Sequence(name, frames, truth))
    return sequences


def lasot_sequences(root: Path) -> list[Sequence]:
    """Return the sequences of `<class>/<name>` or `<name>`, each with `img/*.jpg` and `groundtruth.txt`.

    `groundtruth.txt` holds one line x,y,width,height per frame.

    Args:
        root: folder of the benchmark.

    Raises:
        LayoutError: There is no sequence, or a file has another number of lines than there are frames.
    """
    sequences = []
    for truth in sorted([*root.glob("*/groundtruth.txt"), *root.glob("*/*/groundtruth.txt")]):
        frames = tuple(sorted((truth.parent / "img").glob("*.jpg")))
        lines = len(truth.read_text().split())
        if not frames or lines != len(frames):
            raise LayoutError(f"{truth} has {lines} boxes and {truth.parent / 'img'} has {len(frames)} frames")
        absence_files = tuple(path for path in (truth.parent / "full_occlusion.txt", truth.parent / "out_of_view.txt") if path.is_file())
        sequences.append(Sequence(truth.parent.name, frames, (truth,), absence_files))
    if not sequences:
        raise LayoutError(f"{root} has no folder with a groundtruth.txt: LaSOT needs one beside img/ in each sequence")
    return sequences


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise LayoutError(f"{path} cannot be read as an image")
    return np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)


def _read_indexed(path: Path) -> NDArray[np.uint8]:
    """Return the indices of a palette PNG, with 255 (ignore) as background. OpenCV would return its colors."""
    from PIL import Image

    indices = np.asarray(Image.open(path))
    if indices.ndim != 2:
        raise LayoutError(f"{path} is not an indexed PNG: each pixel must hold the number of its object")
    return np.where(indices == 255, 0, indices).astype(np.uint8)


def run_davis(segmenter: Sam2Segmenter, sequence: Sequence, policy: str) -> dict[int, tuple[float, float]]:
    """Track each object of the first frame from its ground-truth mask. First and last frame do not count (DAVIS 2017).

    Args:
        segmenter: segmenter of the session.
        sequence: sequence to run.
        policy: name of the memory policy.

    Returns:
        Mean J and F of each object.

    Raises:
        LayoutError: A file cannot be read.
    """
    first = _read_indexed(sequence.truth[0])
    numbers = [int(number) for number in np.unique(first) if number]
    session = Session(segmenter, policy=policy, options=SessionOptions(min_region_ratio=0.0))
    handles = {number: session.prompt(MaskPrompt(first == number, str(number))) for number in numbers}
    scores: dict[int, list[tuple[float, float]]] = {number: [] for number in numbers}
    for index, path in enumerate(sequence.images):
        result = session.step(Frame(_read(path), index * 40_000_000))
        if index in (0, len(sequence.images) - 1):
            continue
        truth = _read_indexed(sequence.truth[index])
        for number in numbers:
            mask = result.by_id[handles[number].track_ids[0]].mask
            scores[number].append((region_j(mask, truth == number), boundary_f(mask, truth == number)))
    return {number: (float(np.mean([j for j, _ in rows])), float(np.mean([f for _, f in rows]))) for number, rows in scores.items()}


def run_lasot(segmenter: Sam2Segmenter, sequence: Sequence, policy: str) -> dict[str, float]:
    """Track the box of the first frame. Frames on which the object is marked as occluded or out of view do not count.

    Args:
        segmenter: segmenter of the session.
        sequence: sequence to run.
        policy: name of the memory policy.

    Returns:
        Success (area under the IoU curve), precision (20 pixels) and normalized precision of LaSOT (arXiv:1809.07845).

    Raises:
        LayoutError: A file cannot be read, or the first box is invalid.
    """
    boxes = np.array([[float(v) for v in line.replace("\t", ",").split(",")] for line in sequence.truth[0].read_text().split()])
    absent = np.zeros(len(boxes), bool)
    for path in sequence.absent:
        absent |= np.array([int(v) for v in path.read_text().replace("\n", ",").split(",") if v.strip()][: len(boxes)], bool)
    session = Session(segmenter, policy=policy)
    x, y, width, height = boxes[0]
    handle = session.prompt(BoxPrompt((x, y, x + width, y + height)))
    predicted = np.full((len(boxes), 4), np.nan)
    for index, path in enumerate(sequence.images):
        result = session.step(Frame(_read(path), index * 33_000_000))
        if not handle.track_ids:
            raise LayoutError(f"{sequence.name}: the first box was refused: {handle.error}")
        box = result.by_id[handle.track_ids[0]].box
        if box is not None:
            predicted[index] = (box[0], box[1], box[2] - box[0], box[3] - box[1])
    keep = ~absent & (boxes[:, 2:] > 0).all(axis=1)
    return _one_pass(predicted[keep], boxes[keep])


def _one_pass(predicted: NDArray[np.float64], boxes: NDArray[np.float64]) -> dict[str, float]:
    """Return LaSOT's three metrics of predicted boxes [T, 4] (x, y, width, height; NaN for none) against ground truth."""
    low = np.maximum(predicted[:, :2], boxes[:, :2])
    high = np.minimum(predicted[:, :2] + predicted[:, 2:], boxes[:, :2] + boxes[:, 2:])
    intersection = np.prod(np.maximum(high - low, 0), axis=1)
    iou = np.nan_to_num(intersection / (np.prod(predicted[:, 2:], axis=1) + np.prod(boxes[:, 2:], axis=1) - intersection))
    shift = (predicted[:, :2] + predicted[:, 2:] / 2) - (boxes[:, :2] + boxes[:, 2:] / 2)
    distance = np.nan_to_num(np.linalg.norm(shift, axis=1), nan=np.inf)
    relative = np.nan_to_num(np.linalg.norm(shift / boxes[:, 2:], axis=1), nan=np.inf)
    return {
        "success": float(np.mean([(iou > t).mean() for t in np.linspace(0, 1, 21)])),
        "precision": float((distance <= 20).mean()),
        "normalized_precision": float(np.mean([(relative <= t).mean() for t in np.linspace(0, 0.5, 51)])),
        "frames": len(boxes),
    }
