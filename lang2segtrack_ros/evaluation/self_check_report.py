# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The report of a self-check, for a bug report: setup, checks and objects. It holds the names of files, but no folders of the user."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import transformers

from lang2segtrack_ros import __version__
from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.evaluation.self_check import Check, Observations, finite_or_none, summarize_tracks
from lang2segtrack_ros.io.sources import ImageSource
from lang2segtrack_ros.models import catalogue
from lang2segtrack_ros.models.store import CHECKSUMS
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter


def describe_setup(segmenter: Sam2Segmenter, detector: Detector, source: ImageSource) -> dict[str, Any]:
    """Return versions, device, models and clip.

    Args:
        segmenter: the segmenter.
        detector: the detector.
        source: the clip.
    """
    device = segmenter.device
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    modules = {module.__name__: module.__version__ for module in (torch, transformers, np, cv2)}
    return {
        "versions": {"lang2segtrack": __version__, "python": platform.python_version(), **modules},
        "device": {
            "name": str(device),
            "gpu": gpu,
            "machine": f"{platform.system()} {platform.machine()}",
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
        "segmenter": {
            **_describe_weights(segmenter.name, "segmenter"),
            "image_size": segmenter.image_size,
            "dtype": str(segmenter.dtype).removeprefix("torch."),
            "acceleration": segmenter.acceleration,
        },
        "detector": {**_describe_weights(detector.name, "detector"), "threshold": detector.default_threshold},
        "clip": {"name": Path(source.name).name, "fps": round(source.fps, 3)},
    }


def _describe_weights(name: str, kind: catalogue.Kind) -> dict[str, Any]:
    """Return the name of a network, the type in its configuration, and the digests of its files as far as they are known."""
    folder = catalogue.local_folder(name, kind)
    if folder is None:  # a plug-in
        return {"name": name}
    config, checksums = folder / "config.json", folder / CHECKSUMS
    digests = json.loads(checksums.read_text(encoding="utf-8")) if checksums.is_file() else {}
    shown = Path(name).name if Path(name).is_dir() else name
    return {"name": shown, "type": json.loads(config.read_text(encoding="utf-8")).get("model_type"), "sha256": digests}


def describe_result(seen: Observations, checks: Sequence[Check]) -> dict[str, Any]:
    """Return the outcome, the checks and the objects.

    Args:
        seen: the observations.
        checks: the checks of the observations.
    """
    return {
        "passed": all(check.passed for check in checks),
        "frames": seen.frames,
        "checks": [
            {
                "name": check.name,
                "value": finite_or_none(check.value),
                "low": finite_or_none(check.low),
                "high": finite_or_none(check.high),
                "passed": check.passed,
            }
            for check in checks
        ],
        "tracks": summarize_tracks(seen),
    }


def check_table(checks: Sequence[Check]) -> str:
    """Return the checks as a table of text."""
    rows = [(check.name, check.shown_value, check.limits, "passed" if check.passed else "FAILED") for check in checks]
    rows.insert(0, ("check", "value", "limit", "result"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
