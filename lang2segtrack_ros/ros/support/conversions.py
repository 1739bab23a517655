# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What needs ROS's own message classes; images to arrays are in `image_messages`, results to messages in `result_messages`."""

from __future__ import annotations

import array
import math
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo

from lang2segtrack_ros.io.image_messages import ConversionError
from lang2segtrack_ros.io.result_messages import ResultMessages
from lang2segtrack_ros.types.frame import CameraModel, FrameError

DISTORTION_MODELS = {"plumb_bob": (4, 5), "rational_polynomial": (4, 5, 8, 12, 14), "equidistant": (4,)}
"""Models of sensor_msgs/distortion_models with the numbers of coefficients that OpenCV takes."""


def camera_model(msg: CameraInfo) -> CameraModel:
    """A sensor_msgs/CameraInfo as the camera that took the raw image. Raises ConversionError for one that cannot be used.

    Where it has a region of interest the image is of that region; binning shows in the image's size.
    """
    k, d, roi = msg.k, tuple(float(value) for value in msg.d), msg.roi
    part = roi.width > 0 and roi.height > 0
    bent = any(d) or (msg.distortion_model == "equidistant" and len(d) == 4)  # whose zeros are no pinhole camera
    if bent and msg.distortion_model not in DISTORTION_MODELS:
        known = ", ".join(DISTORTION_MODELS)
        raise ConversionError("unknown_distortion", f'camera_info has distortion model "{msg.distortion_model}"; known: {known}')
    if bent and len(d) not in DISTORTION_MODELS[msg.distortion_model]:
        raise ConversionError("unknown_distortion", f"camera_info has {len(d)} coefficients of {msg.distortion_model} distortion")
    try:
        return CameraModel(
            float(k[0]),
            float(k[4]),
            float(k[2]) - (roi.x_offset if part else 0),
            float(k[5]) - (roi.y_offset if part else 0),
            int(roi.width if part else msg.width),
            int(roi.height if part else msg.height),
            msg.header.frame_id,
            d if bent else (),
            msg.distortion_model == "equidistant",
        )
    except FrameError as error:
        raise ConversionError("uncalibrated", str(error)) from error


class RosMessages:
    """rclpy's message classes, see `result_messages.MessageLibrary`."""

    @staticmethod
    @cache
    def message_class(kind: str) -> Any:
        """The class of a kind such as sensor_msgs/msg/Image."""
        package, _, name = kind.split("/")
        return getattr(import_module(f"{package}.msg"), name)

    def make(self, kind: str, **values: Any) -> Any:
        """A message; without its class's __init__, which makes every message inside it once more, only to let it go."""
        message, fields = self._class(kind)
        made = message.__new__(message) if len(values) == fields else message()  # some versions have more fields than we know
        if "_check_fields" in message.__slots__:  # from Jazzy on, pixels that are not checked are copied instead
            made._check_fields = "data" in values
        for name, value in values.items():
            setattr(made, name, value)
        return made

    @staticmethod
    @cache
    def _class(kind: str) -> tuple[Any, int]:
        """A class and the number of its fields."""
        message = RosMessages.message_class(kind)
        return message, len(message.get_fields_and_field_types())

    def numbers(self, values: NDArray[Any]) -> Any:
        """The bytes go through array.array, the only quick way in rclpy."""
        buffer = array.array(values.dtype.char)
        buffer.frombytes(np.ascontiguousarray(values).data.cast("B"))
        return buffer

    def zeros(self, shape: tuple[int, ...], kind: str) -> tuple[Any, NDArray[Any]]:
        """An array.array, and an array in its memory."""
        buffer = array.array("B", bytes(1)) * (math.prod(shape) * np.dtype(kind).itemsize)
        return buffer, np.frombuffer(buffer, kind).reshape(shape)


MESSAGES = ResultMessages(RosMessages())
