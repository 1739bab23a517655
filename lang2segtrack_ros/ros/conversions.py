# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results to messages, and what else needs ROS's own classes; images to arrays are in `image_messages`."""

from __future__ import annotations

import array
import math
from collections.abc import Iterable

import numpy as np
from geometry_msgs.msg import PoseWithCovariance
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from vision_msgs.msg import BoundingBox2D, Detection2D, Detection2DArray, LabelInfo, ObjectHypothesisWithPose, VisionClass

from lang2segtrack.msg import RleMask, TrackArray
from lang2segtrack.msg import Track as TrackMsg
from lang2segtrack_ros.frame import CameraModel, FrameError
from lang2segtrack_ros.image_messages import COLOR_ENCODINGS as COLOR_ENCODINGS
from lang2segtrack_ros.image_messages import DEPTH_ENCODINGS as DEPTH_ENCODINGS
from lang2segtrack_ros.image_messages import MAX_INSTANCE_ID, Pixels
from lang2segtrack_ros.image_messages import ConversionError as ConversionError
from lang2segtrack_ros.image_messages import compressed_to_rgb as compressed_to_rgb
from lang2segtrack_ros.image_messages import depth_to_metres as depth_to_metres
from lang2segtrack_ros.image_messages import image_to_rgb as image_to_rgb
from lang2segtrack_ros.image_messages import instance_image as instance_image
from lang2segtrack_ros.image_messages import stamp_ns as stamp_ns
from lang2segtrack_ros.results import Rle, Track

DISTORTION_MODELS = {"plumb_bob": (4, 5), "rational_polynomial": (4, 5, 8, 12, 14), "equidistant": (4,)}
"""Models of sensor_msgs/distortion_models with the numbers of coefficients that OpenCV takes."""


def camera_model(msg: CameraInfo) -> CameraModel:
    """A sensor_msgs/CameraInfo as the camera that took the raw image. Raises ConversionError for one that cannot be used."""
    k, d = msg.k, tuple(float(value) for value in msg.d)
    bent = any(d)
    if bent and msg.distortion_model not in DISTORTION_MODELS:
        known = ", ".join(DISTORTION_MODELS)
        raise ConversionError("unknown_distortion", f'camera_info has distortion model "{msg.distortion_model}"; known: {known}')
    if bent and len(d) not in DISTORTION_MODELS[msg.distortion_model]:
        raise ConversionError("unknown_distortion", f"camera_info has {len(d)} coefficients of {msg.distortion_model} distortion")
    try:
        return CameraModel(
            float(k[0]),
            float(k[4]),
            float(k[2]),
            float(k[5]),
            int(msg.width),
            int(msg.height),
            msg.header.frame_id,
            d if bent else (),
            msg.distortion_model == "equidistant",
        )
    except FrameError as error:
        raise ConversionError("uncalibrated", str(error)) from error


def image_message(pixels: Pixels, encoding: str, header: Header) -> Image:
    """An array [H, W] or [H, W, C] as a sensor_msgs/Image. The bytes go through array.array, the only quick way in rclpy."""
    contiguous = np.ascontiguousarray(pixels)
    buffer = array.array("B")
    buffer.frombytes(contiguous.tobytes())
    message = Image(header=header, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, is_bigendian=0)
    message.step = contiguous.strides[0]
    message.data = buffer
    return message


def bounding_box(box: tuple[float, float, float, float] | None) -> BoundingBox2D:
    """A box (x_min, y_min, x_max, y_max) as centre and size; zeros for none."""
    message = BoundingBox2D()
    if box is not None:
        x1, y1, x2, y2 = box
        message.center.position.x, message.center.position.y = (x1 + x2) / 2, (y1 + y2) / 2
        message.size_x, message.size_y = x2 - x1, y2 - y1
    return message


def detections_message(tracks: Iterable[Track], header: Header) -> Detection2DArray:
    """The visible tracks as vision_msgs/Detection2DArray: id = track id, class_id = label."""
    message = Detection2DArray(header=header)
    for track in tracks:
        if track.box is None:
            continue
        result = ObjectHypothesisWithPose(pose=PoseWithCovariance())
        result.hypothesis.class_id, result.hypothesis.score = track.label, track.score
        message.detections.append(Detection2D(header=header, results=[result], bbox=bounding_box(track.box), id=str(track.id)))
    return message


def rle_message(rle: Rle) -> RleMask:
    """A run-length encoded mask."""
    return RleMask(height=rle.height, width=rle.width, counts=rle.counts)


def track_message(track: Track, with_mask: bool = True) -> TrackMsg:
    """One lang2segtrack/Track."""
    message = TrackMsg(
        id=track.id,
        label=track.label,
        state=int(track.state),
        score=track.score,
        predicted_iou=_finite(track.predicted_iou),
        object_score=_finite(track.object_score),
        motion_score=float(track.motion_score),
        frames_since_seen=track.frames_since_seen,
        bbox=bounding_box(track.box),
    )
    if with_mask:
        message.mask = rle_message(track.rle)
    return message


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def tracks_message(tracks: Iterable[Track], header: Header, with_masks: bool = True) -> TrackArray:
    """All tracks as lang2segtrack/TrackArray."""
    return TrackArray(header=header, tracks=[track_message(track, with_masks) for track in tracks])


def label_info_message(labels: dict[int, str], header: Header) -> LabelInfo:
    """What the values of the instance image mean: class_id = track id, class_name = label."""
    classes = [VisionClass(class_id=min(track_id, MAX_INSTANCE_ID), class_name=label) for track_id, label in sorted(labels.items())]
    return LabelInfo(header=header, class_map=classes)
