# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Output of a training: checkpoints in the format of transformers and of `models.loading`, and training curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lang2segtrack_ros.models.store import write_checksums
from lang2segtrack_ros.segmentation.preprocessing import IMAGE_MEAN, IMAGE_STD
from lang2segtrack_ros.toyworld.families import Family
from training.detector_network import LONGEST_EDGE, SHORTEST_EDGE, write_tokenizer
from training.segmenter_network import IMAGE_SIZE

_IMAGES = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": list(IMAGE_MEAN),
    "image_std": list(IMAGE_STD),
    "resample": 2,
    "rescale_factor": 1 / 255,
}


def _write(model: Any, folder: Path, processor: dict[str, Any]) -> None:
    model.to("cpu").half().save_pretrained(folder)
    (folder / "processor_config.json").write_text(json.dumps(processor, indent=2) + "\n")
    write_checksums(folder)


def package_segmenter(model: Any, folder: Path) -> None:
    """Write a segmenter in half precision, with the configuration of transformers' `Sam2VideoProcessor`."""
    square = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    mask = {"height": IMAGE_SIZE // 4, "width": IMAGE_SIZE // 4}
    processor = {
        "image_processor": {**_IMAGES, "image_processor_type": "Sam2ImageProcessor", "mask_size": mask, "size": square},
        "point_pad_value": -10,
        "processor_class": "Sam2VideoProcessor",
        "target_size": IMAGE_SIZE,
        "video_processor": {**_IMAGES, "video_processor_type": "Sam2VideoVideoProcessor", "size": square, "return_metadata": False},
    }
    _write(model, folder, processor)


def package_detector(model: Any, folder: Path, family: Family) -> None:
    """Write a detector in half precision, with its tokenizer and the configuration of transformers' `GroundingDinoProcessor`."""
    write_tokenizer(folder, family)
    size = {"shortest_edge": SHORTEST_EDGE, "longest_edge": LONGEST_EDGE}
    images = {**_IMAGES, "do_pad": True, "format": "coco_detection", "image_processor_type": "GroundingDinoImageProcessor", "size": size}
    _write(model, folder, {"image_processor": images, "processor_class": "GroundingDinoProcessor"})


def draw_curves(folder: Path, path: Path) -> None:
    """Draw the logged curves: mask agreement and object score of the segmenter, losses of the detector.

    Args:
        folder: folder of the trainings.
        path: image file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4))
    offset = 0
    labeled: set[str] = set()
    for log in sorted((folder / "segmenter").glob("phase*/log.jsonl")):
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        steps = [row["step"] + offset for row in rows]
        for name, color in (("J", "tab:blue"), ("J_last", "tab:orange"), ("hidden_right", "tab:green"), ("told_apart", "tab:red")):
            pairs = [(step, row[name]) for step, row in zip(steps, rows) if name in row]
            if pairs:
                left.plot(*zip(*pairs), color=color, label=None if name in labeled else name)
                labeled.add(name)
        offset = steps[-1] if steps else offset
        left.axvline(offset, color="0.8", linewidth=0.8)
    left.set_title("segmenter: images, then windows of 4 to 7 frames")
    left.set_ylim(0, 1)
    offset = 0
    for number, log in enumerate(sorted((folder / "detector").glob("phase*/log.jsonl"))):
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        steps = [row["step"] + offset for row in rows]
        for name, color in (("last_ce", "tab:blue"), ("last_bbox", "tab:orange"), ("last_giou", "tab:green")):
            right.semilogy(steps, [row[name] for row in rows], color=color, label=None if number else name)
        offset = steps[-1] if steps else offset
    right.set_title("detector: losses")
    for axes in (left, right):
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
