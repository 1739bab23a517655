# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The box filter against recorded steps of SAMURAI's reference filter, which uses dense 8 x 8 matrices in float64."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from lang2segtrack_ros.tracking import kalman

GOLDEN = json.loads((Path(__file__).parent.parent / "data" / "kf_golden.json").read_text())


def relative(found: np.ndarray, expected: object) -> float:
    reference = np.array(expected)
    return float(np.abs(found - reference).max() / np.abs(reference).max())


def test_filter_equals_every_recorded_step() -> None:
    state: kalman.BoxState | None = None
    operations = []
    for operation, box, first, second in GOLDEN:
        operations.append(operation)
        measured = None if box is None else kalman.measurement(torch.tensor([box], dtype=torch.float64))
        if operation == "iou":
            assert state is not None
            assert abs(float(kalman.box_iou(state.boxes(), torch.tensor([[box]]))[0, 0]) - first) < 1e-6
            continue
        if operation == "initiate":
            assert measured is not None
            state = kalman.initiate(measured)
        elif operation == "predict":
            assert state is not None
            state = kalman.predict(state)
        else:
            assert state is not None
            assert measured is not None
            state = kalman.update(state, measured)
        assert relative(state.mean[0].numpy(), first) < 1e-6
        assert relative(state.dense_covariance()[0].numpy(), second) < 1e-6
    assert operations.count("update") == operations.count("predict") == 30, "the recording must not be empty"


def test_boxes_do_not_influence_each_other() -> None:
    boxes = torch.tensor([[10, 20, 60, 90], [5, 5, 15, 200]], dtype=torch.float64)
    together = kalman.update(kalman.predict(kalman.initiate(kalman.measurement(boxes))), kalman.measurement(boxes + 3))
    for row in range(2):
        one = boxes[row : row + 1]
        alone = kalman.update(kalman.predict(kalman.initiate(kalman.measurement(one))), kalman.measurement(one + 3))
        assert torch.equal(together.mean[row], alone.mean[0])
        assert torch.equal(together.covariance[row], alone.covariance[0])


def test_box_iou_of_empty_boxes_is_zero() -> None:
    """An empty candidate is [0, 0, 0, 0]. The reference divides by a height of 1 in this case."""
    iou = kalman.box_iou(torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[[0.0, 0, 0, 0], [0, 0, 10, 5]]]))
    assert iou.tolist() == [[0.0, 0.5]]
