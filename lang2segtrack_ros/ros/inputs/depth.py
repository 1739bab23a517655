# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The depth image that belongs to a colour image, seen as the colour camera sees it.

It is looked up when positions are wanted, which is after the image was worked on: by then it has usually arrived, and where that took
long many others have come since, so it is kept from when the work on its image began.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from lang2segtrack_ros.geometry.alignment import align_depth
from lang2segtrack_ros.io.image_messages import ConversionError, depth_to_metres, stamp_ns
from lang2segtrack_ros.ros.inputs.stamp_cache import StampCache
from lang2segtrack_ros.ros.inputs.subscription import QosMatchingSubscription
from lang2segtrack_ros.ros.inputs.transforms import StaticTransforms
from lang2segtrack_ros.ros.support.conversions import camera_model
from lang2segtrack_ros.types.frame import CameraModel, FrameError

CACHED_IMAGES = 16
EXPECTED_IMAGES = 16
"""The latest colour images that were worked on; for each the nearest depth image is kept."""
CLOSE_S = 0.005
"""A depth image this near in time is the one; otherwise a nearer one may still come."""


CLOCK_JUMP_NS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class RegisteredDepth:
    """Depth float32 [h, w] metres in the view of the colour camera, and that camera at the colour image's size."""

    depth: NDArray[np.float32]
    camera: CameraModel


class DepthSource:
    """Subscribes depth/image_raw, color/camera_info, depth/camera_info and /tf_static.

    Args:
        node: whose subscriptions they are.
        group: their callback group.
        qos: see `QosMatchingSubscription`.
        registration: "auto", "registered" or "reproject", see the parameter `depth_registration`.
        slop_s: how far apart stamps may be, asked each time.
        on_depth: called when a depth image has arrived.
    """

    def __init__(
        self,
        node: Node,
        group: CallbackGroup,
        qos: str,
        registration: str,
        slop_s: Callable[[], float],
        on_depth: Callable[[], None],
    ) -> None:
        self.received = 0
        self._registration = registration
        self._slop_s = slop_s
        self._on_depth = on_depth
        self._cache = StampCache(CACHED_IMAGES)
        self._newest_ns = 0
        self._expected: dict[int, Image | None] = {}  # by stamp of a colour image: the nearest depth image yet
        self._lock = threading.Lock()
        self._camera: CameraInfo | None = None
        self._depth_camera: CameraInfo | None = None
        self._transforms = StaticTransforms(node, group)
        self._depth = QosMatchingSubscription(node, Image, "depth/image_raw", self._take, group, qos)
        self._infos = [
            QosMatchingSubscription(node, CameraInfo, "color/camera_info", self._take_camera, group),
            QosMatchingSubscription(node, CameraInfo, "depth/camera_info", self._take_depth_camera, group),
        ]

    def follow(self) -> None:
        """See `QosMatchingSubscription.follow`."""
        for subscription in (self._depth, *self._infos):
            subscription.follow()

    def close(self) -> None:
        """Ends the subscriptions."""
        for subscription in (self._depth, *self._infos):
            subscription.close()
        self._transforms.close()

    def _take(self, msg: Image) -> None:
        self.received += 1
        stamp = stamp_ns(msg.header.stamp)
        if stamp < 0:  # a simulation's first moments; ROS's own times cannot be compared with it
            return
        with self._lock:
            if stamp < self._newest_ns - CLOCK_JUMP_NS:  # the clock went back: what is cached belongs to another time
                self._cache = StampCache(CACHED_IMAGES)
                self._expected.clear()
            self._newest_ns = stamp
            self._cache.add(msg)
            for wanted, kept in self._expected.items():
                if kept is None or abs(stamp - wanted) < abs(stamp_ns(kept.header.stamp) - wanted):
                    self._expected[wanted] = msg
        self._on_depth()

    def _take_camera(self, msg: CameraInfo) -> None:
        self._camera = msg

    def _take_depth_camera(self, msg: CameraInfo) -> None:
        self._depth_camera = msg

    def expect(self, header: Header) -> None:
        """From now on the depth image nearest to a colour image with this header is kept for `find`, however long the work on it takes."""
        with self._lock:
            self._expected[stamp_ns(header.stamp)] = self._cache.nearest(header.stamp, float("inf"))
            while len(self._expected) > EXPECTED_IMAGES:
                del self._expected[next(iter(self._expected))]

    def settled(self, header: Header) -> bool:
        """Whether no better depth image can come for a colour image."""
        if self._newest_ns >= stamp_ns(header.stamp):
            return True
        return self._cache.nearest(header.stamp, min(self._slop_s(), CLOSE_S)) is not None

    def find(self, header: Header, height: int, width: int) -> RegisteredDepth:
        """The depth for a colour image with this header and size. Raises ConversionError, which says what is missing."""
        slop = self._slop_s()
        msg = self._nearest(header, slop)
        if msg is None:
            raise self._no_depth(header, slop)
        camera = self._model(self._camera, self._infos[0], "color")
        try:
            camera = camera.resized(width, height)
        except FrameError as error:
            raise ConversionError("wrong_camera_info", f"{self._infos[0].topic} does not fit the colour image: {error}") from error
        depth = depth_to_metres(msg)
        if self._is_registered(msg, header):
            return RegisteredDepth(self._checked(depth, camera), camera)
        return RegisteredDepth(self._reprojected(depth, msg.header.frame_id, camera, header.frame_id), camera)

    def _nearest(self, header: Header, slop_s: float) -> Image | None:
        """The nearest depth image, of those that are cached and the one that was kept for this header."""
        with self._lock:
            wanted, cached = stamp_ns(header.stamp), self._cache.nearest(header.stamp, slop_s)
            kept = self._expected.get(wanted)
        found = [msg for msg in (cached, kept) if msg is not None and abs(stamp_ns(msg.header.stamp) - wanted) <= slop_s * 1e9]
        return min(found, key=lambda msg: abs(stamp_ns(msg.header.stamp) - wanted), default=None)

    def _no_depth(self, header: Header, slop: float) -> ConversionError:
        if not self.received:
            return ConversionError("no_depth", self._depth.silence_explained())
        other = self._cache.nearest(header.stamp, float("inf"))
        if other is None:
            return ConversionError("no_depth", f"no depth image on {self._depth.topic} is left of the colour image's time")
        apart = abs(stamp_ns(other.header.stamp) - stamp_ns(header.stamp)) / 1e9
        return ConversionError(
            "depth_too_far_in_time",
            f"the nearest depth image on {self._depth.topic} is {apart * 1e3:.0f} ms from the colour image, more than "
            f"depth_slop_s = {slop:g} s: synchronise the camera, or raise depth_slop_s",
        )

    @staticmethod
    def _model(msg: CameraInfo | None, subscription: QosMatchingSubscription, which: str) -> CameraModel:
        if msg is None:
            raise ConversionError(f"no_{which}_camera_info", f"no {which} camera_info: {subscription.silence_explained()}")
        try:
            return camera_model(msg)
        except ConversionError as error:
            raise ConversionError(error.reason, f"{subscription.topic}: {error}") from error

    def _is_registered(self, msg: Any, header: Header) -> bool:
        if self._registration != "auto":
            return self._registration == "registered"
        return not msg.header.frame_id or not header.frame_id or msg.header.frame_id.lstrip("/") == header.frame_id.lstrip("/")

    def _checked(self, depth: NDArray[np.float32], camera: CameraModel) -> NDArray[np.float32]:
        height, width = depth.shape
        if not 0.97 < (width / camera.width) / (height / camera.height) < 1.03:
            raise ConversionError(
                "depth_of_another_shape",
                f"depth on {self._depth.topic} is {width} x {height}, colour {camera.width} x {camera.height}: not the same view; "
                "subscribe depth that is aligned to colour, or set depth_registration to reproject",
            )
        return depth

    def _reprojected(self, depth: NDArray[np.float32], source: str, camera: CameraModel, target: str) -> NDArray[np.float32]:
        depth_camera = self._model(self._depth_camera, self._infos[1], "depth")
        motion = self._transforms.motion(source, target)
        if motion is None:
            raise ConversionError(
                "no_extrinsics",
                f"depth is in frame {source}, colour in {target}, and /tf_static does not connect them: publish the camera's static "
                "transforms, subscribe depth that is aligned to colour, or set depth_registration to registered if it is",
            )
        try:
            depth_camera = depth_camera.resized(depth.shape[1], depth.shape[0])
        except FrameError as error:
            raise ConversionError("wrong_camera_info", f"{self._infos[1].topic} does not fit the depth image: {error}") from error
        return align_depth(depth, depth_camera, camera, motion)
