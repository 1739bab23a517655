# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of a color image, registered to the color camera.

Depth is looked up when 3-D positions are needed, after the color image was processed. By then it has usually arrived. If processing
took long, many later depth images have arrived too. The matching one is therefore kept from the start of processing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from lang2segtrack_ros.geometry.alignment import align_depth
from lang2segtrack_ros.io.compressed_depth import compressed_depth_to_meters
from lang2segtrack_ros.io.image_messages import ConversionError, depth_to_meters, stamp_ns
from lang2segtrack_ros.ros.inputs.stamp_cache import StampCache
from lang2segtrack_ros.ros.inputs.subscription import QosMatchingSubscription
from lang2segtrack_ros.ros.inputs.transforms import StaticTransforms
from lang2segtrack_ros.ros.support.conversions import camera_model
from lang2segtrack_ros.ros.support.interfaces import COLOR_INFO, DEPTH_COMPRESSED, DEPTH_IMAGE, DEPTH_INFO
from lang2segtrack_ros.types.frame import CameraModel, Frame, FrameError

CACHED_IMAGES = 16
EXPECTED_IMAGES = 16
"""Number of the latest processed color images for which the nearest depth image is kept."""
POLL_S = 0.002
CLOSE_S = 0.005
"""A depth image this close in time is the match. Otherwise a closer one may still arrive."""
CLOCK_JUMP_NS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class RegisteredDepth:
    """Depth in the view of the color camera.

    Attributes:
        depth: float32 [H, W] in meters.
        camera: color camera, scaled to the size of the color image.
    """

    depth: NDArray[np.float32]
    camera: CameraModel


class DepthSource:
    """Subscriber of depth/image_raw or depth/image_raw/compressedDepth, color/camera_info, depth/camera_info and /tf_static.

    Args:
        node: node that owns the subscriptions.
        group: callback group of the subscriptions.
        qos: QoS of the depth image, see `QosMatchingSubscription`.
        registration: "auto", "registered" or "reproject", see the parameter `depth_registration`.
        slop_s: returns the maximum difference of stamps in seconds. Called at each look-up.
        on_depth: called after a depth image has arrived.
        transport: "raw" or "compressedDepth", see the parameter `depth_transport`.
        prefix: start of the names of all topics, such as "front/" for a camera in that namespace.

    Attributes:
        received: number of depth images received.
    """

    def __init__(
        self,
        node: Node,
        group: CallbackGroup,
        qos: str,
        registration: str,
        slop_s: Callable[[], float],
        on_depth: Callable[[], None],
        transport: str = "raw",
        prefix: str = "",
    ) -> None:
        self.received = 0
        self._registration = registration
        self._slop_s = slop_s
        self._on_depth = on_depth
        self._cache = StampCache(CACHED_IMAGES)
        self._newest_ns = 0
        self._expected: dict[int, Image | CompressedImage | None] = {}  # stamp of a color image -> nearest depth image so far
        self._lock = threading.Lock()
        self._camera: CameraInfo | None = None
        self._depth_camera: CameraInfo | None = None
        self._transforms = StaticTransforms(node, group)
        is_raw = transport == "raw"
        depth, info, depth_info = (
            replace(topic, name=f"{prefix}{topic.name}") if prefix else topic
            for topic in (DEPTH_IMAGE if is_raw else DEPTH_COMPRESSED, COLOR_INFO, DEPTH_INFO)
        )
        self._to_meters = depth_to_meters if is_raw else compressed_depth_to_meters
        self._depth = QosMatchingSubscription(node, depth, self._on_image, group, qos)
        self._infos = [
            QosMatchingSubscription(node, info, self._on_camera, group),
            QosMatchingSubscription(node, depth_info, self._on_depth_camera, group),
        ]

    @property
    def topics(self) -> tuple[str, str]:
        """Names of the topics of depth images and of the color camera's camera_info."""
        return self._depth.topic, self._infos[0].topic

    @property
    def camera_size(self) -> tuple[int, int] | None:
        """Height and width of the color image by its camera_info. None if they are not known."""
        camera = self._camera
        return (int(camera.height), int(camera.width)) if camera is not None and camera.height and camera.width else None

    def match_publishers(self) -> None:
        """Match the publishers' QoS, see `QosMatchingSubscription.match_publishers`."""
        for subscription in (self._depth, *self._infos):
            subscription.match_publishers()

    def close(self) -> None:
        """Destroy the subscriptions."""
        for subscription in (self._depth, *self._infos):
            subscription.close()
        self._transforms.close()

    def _on_image(self, msg: Image | CompressedImage) -> None:
        self.received += 1
        stamp = stamp_ns(msg.header.stamp)
        if stamp < 0:  # the first moments of a simulation; ROS's own times cannot be compared with it
            return
        with self._lock:
            if stamp < self._newest_ns - CLOCK_JUMP_NS:  # the clock jumped back: cached images belong to another time
                self._cache = StampCache(CACHED_IMAGES)
                self._expected.clear()
            self._newest_ns = stamp
            self._cache.add(msg)
            for target_ns, kept in self._expected.items():
                if kept is None or abs(stamp - target_ns) < abs(stamp_ns(kept.header.stamp) - target_ns):
                    self._expected[target_ns] = msg
        self._on_depth()

    def _on_camera(self, msg: CameraInfo) -> None:
        self._camera = msg

    def _on_depth_camera(self, msg: CameraInfo) -> None:
        self._depth_camera = msg

    def expect(self, header: Header) -> None:
        """Keep the depth image nearest to a color image for `find`, however long processing takes.

        Args:
            header: header of the color image.
        """
        with self._lock:
            self._expected[stamp_ns(header.stamp)] = self._cache.nearest(header.stamp, float("inf"))
            while len(self._expected) > EXPECTED_IMAGES:
                del self._expected[next(iter(self._expected))]

    def is_settled(self, header: Header) -> bool:
        """Return True if no better depth image can arrive for the color image with this header."""
        if self._newest_ns >= stamp_ns(header.stamp):
            return True
        return self._cache.nearest(header.stamp, min(self._slop_s(), CLOSE_S)) is not None

    def complete(self, frame: Frame, header: Header, wait_s: float) -> Frame:
        """Return a frame with its depth and the camera.

        Args:
            frame: the color frame.
            header: header of its image.
            wait_s: maximum time in seconds to wait for the depth image.

        Raises:
            ConversionError: see `find`.
        """
        deadline = time.monotonic() + wait_s
        while not self.is_settled(header) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        registered = self.find(header, *frame.color.shape[:2])
        return replace(frame, depth=registered.depth, camera=registered.camera)

    def find(self, header: Header, height: int, width: int) -> RegisteredDepth:
        """Return the depth of a color image.

        Args:
            header: header of the color image.
            height: height of the color image in pixels.
            width: width of the color image in pixels.

        Raises:
            ConversionError: no depth can be given. The error names the reason and the fix.
        """
        slop = self._slop_s()
        msg = self._nearest(header, slop)
        if msg is None:
            raise self._no_depth(header, slop)
        camera = self._model(self._camera, self._infos[0], "color")
        try:
            camera = camera.resized(width, height)
        except FrameError as error:
            raise ConversionError("wrong_camera_info", f"{self._infos[0].topic} does not fit the color image: {error}") from error
        depth = self._to_meters(msg)
        if self._is_registered(msg, header):
            return RegisteredDepth(self._checked(depth, camera), camera)
        return RegisteredDepth(self._reprojected(depth, msg.header.frame_id, camera, header.frame_id), camera)

    def _nearest(self, header: Header, slop_s: float) -> Image | CompressedImage | None:
        """Return the nearest depth image among the cached ones and the one kept for this header."""
        with self._lock:
            target_ns, cached = stamp_ns(header.stamp), self._cache.nearest(header.stamp, slop_s)
            kept = self._expected.get(target_ns)
        found = [msg for msg in (cached, kept) if msg is not None and abs(stamp_ns(msg.header.stamp) - target_ns) <= slop_s * 1e9]
        return min(found, key=lambda msg: abs(stamp_ns(msg.header.stamp) - target_ns), default=None)

    def _no_depth(self, header: Header, slop: float) -> ConversionError:
        if not self.received:
            return ConversionError("no_depth", self._depth.explain_silence())
        other = self._cache.nearest(header.stamp, float("inf"))
        if other is None:
            return ConversionError("no_depth", f"no depth image on {self._depth.topic} is left from the time of the color image")
        apart = abs(stamp_ns(other.header.stamp) - stamp_ns(header.stamp)) / 1e9
        return ConversionError(
            "depth_too_far_in_time",
            f"the nearest depth image on {self._depth.topic} is {apart * 1e3:.0f} ms from the color image, more than "
            f"depth_slop_s = {slop:g} s: synchronize the camera, or raise depth_slop_s",
        )

    @staticmethod
    def _model(msg: CameraInfo | None, subscription: QosMatchingSubscription, camera: str) -> CameraModel:
        if msg is None:
            raise ConversionError(f"no_{camera}_camera_info", f"no {camera} camera_info: {subscription.explain_silence()}")
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
                f"depth on {self._depth.topic} is {width} x {height}, color {camera.width} x {camera.height}: the views differ; "
                "subscribe depth that is aligned to color, or set depth_registration to reproject",
            )
        return depth

    def _reprojected(self, depth: NDArray[np.float32], source: str, camera: CameraModel, target: str) -> NDArray[np.float32]:
        depth_camera = self._model(self._depth_camera, self._infos[1], "depth")
        motion = self._transforms.motion(source, target)
        if motion is None:
            raise ConversionError(
                "no_extrinsics",
                f"depth is in frame {source}, color in {target}, and /tf_static does not connect them: publish the camera's static "
                "transforms, subscribe depth that is aligned to color, or set depth_registration to registered if it is aligned",
            )
        try:
            depth_camera = depth_camera.resized(depth.shape[1], depth.shape[0])
        except FrameError as error:
            raise ConversionError("wrong_camera_info", f"{self._infos[1].topic} does not fit the depth image: {error}") from error
        return align_depth(depth, depth_camera, camera, motion)
