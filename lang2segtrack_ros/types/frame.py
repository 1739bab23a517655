# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The input of the engine: one image with its timestamp, optional depth and an optional camera model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.checks import as_finite, as_integer, as_list, describe


class FrameError(ValueError):
    """An image that the engine cannot process, or a value of a wrong type. The message names the fault."""


@dataclass(frozen=True)
class CameraModel:
    """A calibrated camera in the optical frame of REP-103 (x right, y down, z forward).

    Attributes:
        fx, fy: focal lengths in pixels.
        cx, cy: principal point in pixels. (0, 0) is the center of the top left pixel.
        width, height: image size in pixels for which the intrinsics hold. 0 means any size.
        frame_id: name of the optical frame.
        distortion: distortion coefficients of OpenCV. Empty for a pinhole camera.
        fisheye: True if the coefficients belong to OpenCV's fisheye model (ROS: equidistant).

    Raises:
        FrameError: a focal length is not positive, or a value is no finite number.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    frame_id: str = ""
    distortion: tuple[float, ...] = ()
    fisheye: bool = False

    def __post_init__(self) -> None:
        intrinsics = [as_finite(value) for value in (self.fx, self.fy, self.cx, self.cy)]
        if None in intrinsics or not (self.fx > 0 and self.fy > 0):
            raise FrameError(
                f"camera model has no valid intrinsics (fx={self.fx!r}, fy={self.fy!r}, cx={self.cx!r}, cy={self.cy!r}): "
                "calibrate the camera"
            )
        if as_integer(self.width) is None or as_integer(self.height) is None:
            raise FrameError(f"camera model has the size {self.width!r} x {self.height!r}: give whole numbers of pixels, or 0 for any size")
        distortion = as_list(self.distortion)
        if distortion is None or None in map(as_finite, distortion):
            raise FrameError(f"camera model has distortion coefficients that are not finite: {self.distortion}: calibrate the camera")

    def resized(self, width: int, height: int) -> CameraModel:
        """Return the same camera for its image scaled to another size.

        Some drivers leave the size at 0. The intrinsics then count as those of the requested size.

        Args:
            width: new image width in pixels.
            height: new image height in pixels.

        Raises:
            FrameError: the new aspect ratio differs by 1 % or more.
        """
        if self.width == 0 or self.height == 0:
            return replace(self, width=width, height=height)
        if (self.width, self.height) == (width, height):
            return self
        x, y = width / self.width, height / self.height
        if not 0.99 < x / y < 1.01:
            raise FrameError(
                f"camera model is for {self.width} x {self.height} pixels, but the image has {width} x {height}: "
                "use a camera_info with the same aspect ratio"
            )
        # Scaling keeps pixel edges aligned. Pixel centers therefore shift by half a pixel.
        cx, cy = (self.cx + 0.5) * x - 0.5, (self.cy + 0.5) * y - 0.5
        return replace(self, fx=self.fx * x, fy=self.fy * y, cx=cx, cy=cy, width=width, height=height)


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a stream.

    Attributes:
        color: uint8 [H, W, 3], RGB.
        stamp_ns: exposure time in nanoseconds, an integer. Only differences count, so it may be negative.
        depth: float32 [h, w] in meters along the optical axis, NaN where unknown. Its size may differ from the size of the color image.
        camera: camera model of the color image.

    Raises:
        FrameError: an array has the wrong dtype or shape, or has no pixels, or a value has a wrong type.
    """

    color: NDArray[np.uint8]
    stamp_ns: int = 0
    depth: NDArray[np.float32] | None = None
    camera: CameraModel | None = None

    def __post_init__(self) -> None:
        color, depth, stamp_ns = self.color, self.depth, as_integer(self.stamp_ns)
        if not isinstance(color, np.ndarray) or color.dtype != np.uint8 or color.ndim != 3 or color.shape[2] != 3:
            raise FrameError(f"color must be a uint8 array [H, W, 3] in RGB order, not {describe(color)}")
        if color.shape[0] < 1 or color.shape[1] < 1:
            raise FrameError(f"color has no pixels (height {color.shape[0]}, width {color.shape[1]}): give an image with pixels")
        if stamp_ns is None:
            raise FrameError(f"stamp_ns is {describe(self.stamp_ns)}: give whole nanoseconds, such as round(seconds * 1e9)")
        if depth is not None and (not isinstance(depth, np.ndarray) or depth.dtype != np.float32 or depth.ndim != 2 or depth.size == 0):
            raise FrameError(f"depth must be a float32 array [h, w] in meters, not {describe(depth)}")
        if self.camera is not None and not isinstance(self.camera, CameraModel):
            raise FrameError(f"camera must be a CameraModel or None, not {describe(self.camera)}")
        object.__setattr__(self, "stamp_ns", stamp_ns)

    def __repr__(self) -> str:
        """Return a short text. The pixels would fill pages."""
        depth = "" if self.depth is None else f", depth {self.depth.shape[1]} x {self.depth.shape[0]}"
        return f"Frame({self.width} x {self.height}, stamp_ns={self.stamp_ns}{depth}{', camera' if self.camera else ''})"

    @property
    def height(self) -> int:
        """Return the number of rows of the color image."""
        return int(self.color.shape[0])

    @property
    def width(self) -> int:
        """Return the number of columns of the color image."""
        return int(self.color.shape[1])
