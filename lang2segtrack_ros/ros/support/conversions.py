# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversions that need rclpy's message classes.

Module `io.image_messages` converts images to arrays, `io.result_messages` converts results to messages.
"""

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
"""Model of sensor_msgs/distortion_models -> numbers of coefficients that OpenCV supports."""


def camera_model(msg: CameraInfo) -> CameraModel:
    """Return the camera of the raw image that a sensor_msgs/CameraInfo describes.

    If the message has a region of interest, the image shows that region. Binning changes only the image's size.

    Args:
        msg: the message.

    Raises:
        ConversionError: the camera is not calibrated, or its distortion is not supported.
    """
    k, d, roi = msg.k, tuple(float(value) for value in msg.d), msg.roi
    has_roi = roi.width > 0 and roi.height > 0
    is_fisheye = msg.distortion_model == "equidistant"
    is_distorted = any(d) or (is_fisheye and len(d) == 4)  # with all coefficients zero, this model is still not a pinhole camera
    if is_distorted and msg.distortion_model not in DISTORTION_MODELS:
        supported = ", ".join(DISTORTION_MODELS)
        raise ConversionError("unknown_distortion", f'camera_info has distortion model "{msg.distortion_model}", supported: {supported}')
    if is_distorted and len(d) not in DISTORTION_MODELS[msg.distortion_model]:
        raise ConversionError(
            "unknown_distortion", f"camera_info has {len(d)} coefficients of {msg.distortion_model} distortion, which is not supported"
        )
    try:
        return CameraModel(
            float(k[0]),
            float(k[4]),
            float(k[2]) - (roi.x_offset if has_roi else 0),
            float(k[5]) - (roi.y_offset if has_roi else 0),
            int(roi.width if has_roi else msg.width),
            int(roi.height if has_roi else msg.height),
            msg.header.frame_id,
            d if is_distorted else (),
            is_fisheye,
        )
    except FrameError as error:
        raise ConversionError("uncalibrated", str(error)) from error


class RosMessages:
    """Message library of rclpy, see `result_messages.MessageLibrary`."""

    @staticmethod
    @cache
    def message_class(kind: str) -> Any:
        """Return the class of a message type such as sensor_msgs/msg/Image. Raises ImportError or AttributeError if it is not installed."""
        package, _, name = kind.split("/")
        return getattr(import_module(f"{package}.msg"), name)

    def make(self, kind: str, **values: Any) -> Any:
        """Create a message.

        The class's __init__ is skipped if all fields are given: it would create every nested message once more and discard it.

        Args:
            kind: message type such as sensor_msgs/msg/Image.
            values: values of the fields by name.
        """
        message, fields = self._class(kind)
        made = message.__new__(message) if len(values) == fields else message()  # other versions of the message may have more fields
        if "_check_fields" in message.__slots__:  # from Jazzy on, data is copied unless it is checked
            made._check_fields = "data" in values
        for name, value in values.items():
            setattr(made, name, value)
        return made

    @staticmethod
    @cache
    def _class(kind: str) -> tuple[Any, int]:
        """Return a message class and the number of its fields."""
        message = RosMessages.message_class(kind)
        return message, len(message.get_fields_and_field_types())

    def to_field(self, values: NDArray[Any]) -> Any:
        """Return an array.array with the values of an array. Only this type is fast in rclpy."""
        buffer = array.array(values.dtype.char)
        buffer.frombytes(np.ascontiguousarray(values).data.cast("B"))
        return buffer

    def zeros(self, shape: tuple[int, ...], kind: str) -> tuple[Any, NDArray[Any]]:
        """Return an array.array of bytes that are 0, and a NumPy array of this shape and type in the same memory."""
        buffer = array.array("B", bytes(1)) * (math.prod(shape) * np.dtype(kind).itemsize)
        return buffer, np.frombuffer(buffer, kind).reshape(shape)


MESSAGES = ResultMessages(RosMessages())
