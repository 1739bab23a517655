# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The model of an object from the frames on which it was alone: its color, its size and its trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.appearance import mean_lab_of
from lang2segtrack_ros.identity.color_model import ColorModel
from lang2segtrack_ros.types.results import Track

_TRAJECTORY_FRAMES = 8  # number of latest frames in a trajectory
_LAB_STD = 5.0  # standard deviation of a color between frames, on a scale of 0..255, in addition to the measured variance


@dataclass(frozen=True, eq=False)
class ObjectModel:
    """Color and motion of an object, from the frames on which it was alone.

    Attributes:
        mean_lab: [3], running mean of its mean color in CIE Lab.
        lab_variance: [3], running variance of this color.
        area: running mean of its mask area in pixels.
        trajectory: frame number and box center (x, y) in pixels on the latest frames.
        frames: number of frames in the model.
        color_model: detailed distribution of its colors.
    """

    mean_lab: NDArray[np.float64]
    lab_variance: NDArray[np.float64]
    area: float
    trajectory: tuple[tuple[int, float, float], ...] = ()
    frames: int = 0
    color_model: ColorModel = field(default_factory=ColorModel)

    @staticmethod
    def of(frame: int, track: Track, color: NDArray[np.uint8], exposure: float, old: ObjectModel | None) -> ObjectModel | None:
        """Return the model with one more frame.

        Args:
            frame: frame number.
            track: the object, visible and alone on the frame.
            color: image of the frame, RGB uint8 [H, W, 3].
            exposure: exposure of the image, see `scene_cut.SceneState`.
            old: the model before this frame. None starts a model.

        Returns:
            The model, or `old` if the mask is too small.
        """
        mean_lab = mean_lab_of(color, track.mask, track.box)
        if mean_lab is None or track.box is None:
            return old
        x_min, y_min, x_max, y_max = track.box
        window = np.s_[int(y_min) : int(y_max), int(x_min) : int(x_max)]
        mask = track.mask[window]
        area = float(np.count_nonzero(mask))
        model = ObjectModel(mean_lab, np.zeros(3), area) if old is None else old
        frames = model.frames + 1
        weight = max(1 / frames, 0.05)
        difference = mean_lab - model.mean_lab
        position = (frame, (x_min + x_max) / 2, (y_min + y_max) / 2)
        return replace(
            model,
            frames=frames,
            mean_lab=model.mean_lab + weight * difference,
            lab_variance=(1 - weight) * (model.lab_variance + weight * difference**2),
            area=model.area + weight * (area - model.area),
            trajectory=(*model.trajectory, position)[-_TRAJECTORY_FRAMES:],
            color_model=model.color_model.updated(color[window], mask, exposure),
        )

    def predict(self, frame: int) -> tuple[NDArray[np.float64], float]:
        """Extrapolate the trajectory to a later frame; return the center (x, y) and its standard deviation, both in pixels."""
        table = np.array(self.trajectory)
        ages = table[:, 0] - table[-1, 0]
        velocity = np.polyfit(ages, table[:, 1:], 1)[0] if len(table) > 2 else np.zeros(2)
        frames_ahead, size = frame - table[-1, 0], float(np.sqrt(self.area))
        deviation = 0.35 * size + frames_ahead * (0.4 * float(np.linalg.norm(velocity)) + 0.02 * size)
        return table[-1, 1:] + frames_ahead * velocity, deviation

    def color_distance(self, mean_lab: NDArray[np.float64]) -> float:
        """Return the distance of a CIE Lab color from the model in squared standard deviations."""
        return float(np.sum((mean_lab - self.mean_lab) ** 2 / (_LAB_STD**2 + self.lab_variance)))

    def motion_distances(self, frame: int, centers: Sequence[NDArray[np.float64]]) -> list[float]:
        """Return the distances of centers from the predicted one in squared standard deviations, limited to 9."""
        predicted, deviation = self.predict(frame)
        return [min(float(np.sum((center - predicted) ** 2)) / deviation**2, 9.0) for center in centers]
