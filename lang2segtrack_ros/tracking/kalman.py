# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The box filter of SAMURAI for many objects in one batch.

A Kalman filter with constant velocity over (center x, center y, width / height, height), in pixels of the network's square image. One
step is one frame. SAMURAI (arXiv:2411.11922) takes the filter of DeepSORT (arXiv:1703.07402).

All noises are diagonal, and the motion couples a quantity only to its own velocity. The 8 x 8 covariance therefore consists of four
independent 2 x 2 blocks. Each block is stored as (position variance, position-velocity covariance, velocity variance). Every formula is
elementwise, without linear algebra and without synchronization with the device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

POSITION_WEIGHT = 1 / 20
VELOCITY_WEIGHT = 1 / 160


class BoxState(NamedTuple):
    """Filter states of N boxes.

    Attributes:
        mean: float64 [N, 8], (cx, cy, w/h, h) and their velocities a frame.
        covariance: float64 [N, 4, 3], the four blocks.
    """

    mean: Tensor
    covariance: Tensor

    def dense_covariance(self) -> Tensor:
        """Return the full covariance [N, 8, 8]."""
        var_p, cov, var_v = self.covariance.unbind(-1)
        top = torch.cat((torch.diag_embed(var_p), torch.diag_embed(cov)), dim=-1)
        bottom = torch.cat((torch.diag_embed(cov), torch.diag_embed(var_v)), dim=-1)
        return torch.cat((top, bottom), dim=-2)

    def boxes(self) -> Tensor:
        """Return the boxes of the states as [N, 4] = (x_min, y_min, x_max, y_max)."""
        cx, cy, aspect, height = self.mean[:, :4].unbind(-1)
        half_w, half_h = aspect * height / 2, height / 2
        return torch.stack((cx - half_w, cy - half_h, cx + half_w, cy + half_h), dim=-1)


def measurement(boxes: Tensor) -> Tensor:
    """Convert boxes [N, 4] = (x_min, y_min, x_max, y_max) to measurements of the filter, float64 [N, 4]. A height of 0 becomes 1."""
    x1, y1, x2, y2 = boxes.double().unbind(-1)
    width, height = x2 - x1, y2 - y1
    height = torch.where(height == 0, 1.0, height)
    return torch.stack((x1 + width / 2, y1 + (y2 - y1) / 2, width / height, height), dim=-1)


def _standard_deviations(height: Tensor, weight: float, aspect: float) -> Tensor:
    """Return standard deviations [N, 4] in proportion to the height of the box. That of the aspect ratio is constant."""
    scaled = weight * height
    return torch.stack((scaled, scaled, torch.full_like(scaled, aspect), scaled), dim=-1)


def initiate(measured: Tensor) -> BoxState:
    """Return the initial states of measured boxes [N, 4]."""
    height = measured[:, 3]
    var_p = _standard_deviations(height, 2 * POSITION_WEIGHT, 1e-2) ** 2
    var_v = _standard_deviations(height, 10 * VELOCITY_WEIGHT, 1e-5) ** 2
    mean = torch.cat((measured, torch.zeros_like(measured)), dim=-1)
    return BoxState(mean, torch.stack((var_p, torch.zeros_like(var_p), var_v), dim=-1))


def predict(state: BoxState) -> BoxState:
    """Return the states one frame later."""
    position, velocity = state.mean[:, :4], state.mean[:, 4:]
    height = state.mean[:, 3]
    noise_p = _standard_deviations(height, POSITION_WEIGHT, 1e-2) ** 2
    noise_v = _standard_deviations(height, VELOCITY_WEIGHT, 1e-5) ** 2
    var_p, cov, var_v = state.covariance.unbind(-1)
    mean = torch.cat((position + velocity, velocity), dim=-1)
    return BoxState(mean, torch.stack((var_p + 2 * cov + var_v + noise_p, cov + var_v, var_v + noise_v), dim=-1))


def update(state: BoxState, measured: Tensor) -> BoxState:
    """Return the predicted states after correction by measured boxes [N, 4]."""
    noise = _standard_deviations(state.mean[:, 3], POSITION_WEIGHT, 1e-1) ** 2
    var_p, cov, var_v = state.covariance.unbind(-1)
    total = var_p + noise
    gain_p, gain_v = var_p / total, cov / total
    innovation = measured - state.mean[:, :4]
    mean = torch.cat((state.mean[:, :4] + gain_p * innovation, state.mean[:, 4:] + gain_v * innovation), dim=-1)
    # P - K S K', with K S = (var_p, cov)
    covariance = torch.stack((var_p - gain_p * var_p, cov - gain_p * cov, var_v - gain_v * cov), dim=-1)
    return BoxState(mean, covariance)


def box_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the IoU [N, M] of boxes [N, 4] and candidates [N, M, 4], both (x_min, y_min, x_max, y_max). Boxes without area have IoU 0."""
    a = boxes[:, None, :].double()
    b = others.double()
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    union = area_a + area_b - overlap
    return torch.where((overlap > 0) & (union > 0), overlap / union, 0.0)
