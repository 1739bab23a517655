# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark on folders in the layouts of DAVIS and LaSOT, which the tests write from a toy clip."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.evaluation import real_clips
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import demo_scene

image = pytest.importorskip("PIL.Image", reason="reads indexed PNGs")
FRAMES = 4


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("davis")
    frames, masks = root / "JPEGImages" / "480p" / "shapes", root / "Annotations" / "480p" / "shapes"
    frames.mkdir(parents=True)
    masks.mkdir(parents=True)
    scene = demo_scene(320, 240)
    for index in range(FRAMES):
        shot = scene.render(index)
        cv2.imwrite(str(frames / f"{index:05d}.jpg"), shot.color[..., ::-1])
        indexed = image.fromarray(np.where(shot.instances > 2, 0, shot.instances).astype(np.uint8), mode="P")
        indexed.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        indexed.save(masks / f"{index:05d}.png")
    return root


@pytest.fixture(scope="module")
def lasot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lasot")
    sequence = root / "circle" / "circle-1"
    (sequence / "img").mkdir(parents=True)
    scene = demo_scene(320, 240)
    lines = []
    for index in range(FRAMES):
        shot = scene.render(index)
        cv2.imwrite(str(sequence / "img" / f"{index + 1:08d}.jpg"), shot.color[..., ::-1])
        box = shot.bodies[1].box
        assert box is not None
        lines.append(f"{box[0]},{box[1]},{box[2] - box[0]},{box[3] - box[1]}")
    (sequence / "groundtruth.txt").write_text("\n".join(lines) + "\n")
    (sequence / "full_occlusion.txt").write_text("0,0,1,0")
    (sequence / "out_of_view.txt").write_text("0,0,0,0")
    return root


def test_davis_command_writes_j_and_f(davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "davis", str(davis), "--policies", "samurai", "--device", "cpu", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "davis.json").is_file()
    assert "shapes/2" in capsys.readouterr().out


def test_davis_masks_are_tracked(davis: Path, segmenter: Sam2Segmenter) -> None:
    (sequence,) = real_clips.davis_sequences(davis)
    scores = real_clips.run_davis(segmenter, sequence, "sam2")
    assert set(scores) == {1, 2}
    assert all(j > 0.7 for j, _ in scores.values()), "J of the two frames after a true mask"


def test_lasot_boxes_are_tracked_and_hidden_frames_skipped(lasot: Path, segmenter: Sam2Segmenter) -> None:
    (sequence,) = real_clips.lasot_sequences(lasot)
    metrics = real_clips.run_lasot(segmenter, sequence, "samurai")
    assert metrics["frames"] == FRAMES - 1
    assert metrics["success"] > 0.7
    assert metrics["precision"] == 1.0


def test_lasot_metrics_of_known_boxes() -> None:
    """A missing box scores 0. A box shifted by 30 pixels misses the precision threshold of 20."""
    truth = np.array([[0, 0, 100, 100], [0, 0, 100, 100]], float)
    predicted = np.array([[0, 0, 100, 100], [np.nan] * 4], float)
    metrics = real_clips._one_pass(predicted, truth)
    assert metrics["precision"] == 0.5
    assert metrics["success"] == pytest.approx(0.5 * 20 / 21), "an IoU of 1 exceeds 20 of 21 thresholds"
    assert real_clips._one_pass(truth + np.array([30, 0, 0, 0]), truth)["precision"] == 0.0


@pytest.mark.parametrize(
    ("kind", "words"), [("davis", "JPEGImages"), ("lasot", "groundtruth.txt")], ids=["davis without images", "lasot without boxes"]
)
def test_wrong_layout_is_reported(kind: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", kind, str(tmp_path), "--device", "cpu"]) == 1
    assert words in capsys.readouterr().err
