# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A point somebody clicks in a 3-D view (RViz's "Publish Point") as a point prompt on the camera's image.

Clicks are rare, so nothing is listened to before one comes: then camera_info and, for another frame than the camera's, transforms are
subscribed until the point is placed or its time is over.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped
from numpy.typing import NDArray
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo

from lang2segtrack_ros.geometry.rays import project, rays
from lang2segtrack_ros.io.image_messages import ConversionError
from lang2segtrack_ros.ros.inputs.subscription import QosMatchingSubscription
from lang2segtrack_ros.ros.inputs.transforms import Transforms
from lang2segtrack_ros.ros.support import conversions
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.types.frame import CameraModel, FrameError
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import PointPrompt

WAIT_S = 2.0
"""A click waits this long for camera_info and transforms."""
MAX_WAITING = 8
LEAST_Z = 0.01  # metres in front of the camera
ROUND_TRIP = 0.02  # a distorted pixel must look back along its ray this closely, at a distance of 1


@dataclass(frozen=True)
class View:
    """The image that clicks are meant for: its frame, "" for unknown, its (height, width), None before the first."""

    frame_id: str
    size: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class _Click:
    point: NDArray[np.float64]
    frame_id: str
    until: float


def pixel_of(point: NDArray[np.float64], camera: CameraModel) -> tuple[float, float]:
    """Column and row at which a camera sees a point.

    Args:
        point: float64 [3], metres in the camera's optical frame.
        camera: with the size of its image.

    Raises:
        ConversionError: `behind_camera` or `outside_image`.
    """
    x, y, z = (float(value) for value in point)
    if z < LEAST_Z:
        raise ConversionError("behind_camera", f"the point ({x:.3f}, {y:.3f}, {z:.3f}) m lies behind the camera {camera.frame_id}")
    single = np.array([[x], [y], [z]], np.float32)
    column, row = (float(value[0]) for value in project(single[0], single[1], single[2], camera))
    outside = ConversionError("outside_image", f"the camera looks past the point ({x:.3f}, {y:.3f}, {z:.3f}) m in {camera.frame_id}")
    if not (-0.5 <= column < camera.width - 0.5 and -0.5 <= row < camera.height - 0.5):
        raise outside
    if camera.distortion:  # polynomials fold what lies far outside back into the image
        seen = rays(camera)[round(row), round(column)]
        if np.hypot(*(seen - (x / z, y / z))) > ROUND_TRIP + 1 / min(camera.fx, camera.fy):
            raise outside
    return column, row


class ClickedPoints:
    """Subscribes `clicked_point` and prompts.

    Args:
        node: whose subscriptions they are.
        group: their callback group.
        view: the image as of now.
        engine: the engine as of now.
        counted: refused clicks are counted here, as `clicked_point_` and the reason.
        warn: told about each of them with a key and a sentence.
    """

    def __init__(
        self,
        node: Node,
        group: CallbackGroup,
        view: Callable[[], View],
        engine: Callable[[], EngineThread[Any] | None],
        counted: Counter[str],
        warn: Callable[[str, str], None],
    ) -> None:
        self._node = node
        self._group = group
        self._view = view
        self._engine = engine
        self._counted = counted
        self._warn = warn
        self._waiting: list[_Click] = []
        self._info: CameraInfo | None = None
        self._infos: QosMatchingSubscription | None = None
        self._transforms: Transforms | None = None
        self._clicks = node.create_subscription(PointStamped, "clicked_point", self._on_click, QoSProfile(depth=10), callback_group=group)

    def follow(self) -> None:
        """Lets go of clicks whose time is over; to be called now and then."""
        self._settle()
        if self._infos is not None:
            self._infos.follow()
        if not self._waiting:
            self._stop_listening()

    def close(self) -> None:
        """Ends the subscriptions."""
        self._waiting.clear()
        self._stop_listening()
        self._node.destroy_subscription(self._clicks)

    def _on_click(self, msg: PointStamped) -> None:
        frame = msg.header.frame_id.lstrip("/")
        point = np.array([msg.point.x, msg.point.y, msg.point.z])
        if not frame:
            self._refuse(ConversionError("no_frame", "the point names no frame: set header.frame_id"))
        elif not np.isfinite(point).all():
            self._refuse(ConversionError("not_finite", f"the point is {point.tolist()}: not three finite numbers"))
        elif len(self._waiting) == MAX_WAITING:
            self._refuse(ConversionError("too_many", f"{MAX_WAITING} clicked points wait for camera_info or transforms already"))
        else:
            self._waiting.append(_Click(point, frame, time.monotonic() + WAIT_S))
            self._listen()
            self._settle()

    def _listen(self) -> None:
        if self._infos is None:
            self._infos = QosMatchingSubscription(self._node, CameraInfo, "color/camera_info", self._on_info, self._group)
            self._infos.follow()
        if self._transforms is None:
            self._transforms = Transforms(self._node, self._group, self._settle)

    def _stop_listening(self) -> None:
        for source in (self._infos, self._transforms):
            if source is not None:
                source.close()
        self._infos, self._transforms, self._info = None, None, None

    def _on_info(self, msg: CameraInfo) -> None:
        self._info = msg
        self._settle()

    def _settle(self) -> None:
        """Places every click that can be placed now."""
        waiting, self._waiting = self._waiting, []
        for click in waiting:
            try:
                pixel = self._place(click)
            except ConversionError as error:
                if error.reason in ("no_camera_info", "no_transform") and time.monotonic() < click.until:
                    self._waiting.append(click)
                else:
                    self._refuse(error)
                continue
            self._give(click, pixel)

    def _place(self, click: _Click) -> tuple[float, float]:
        assert self._infos is not None
        assert self._transforms is not None
        if self._info is None:
            raise ConversionError("no_camera_info", f"no camera_info within {WAIT_S:g} s: {self._infos.silence_explained()}")
        view = self._view()
        camera = conversions.camera_model(self._info)
        target = view.frame_id.lstrip("/") or camera.frame_id.lstrip("/")
        try:
            camera = camera.resized(view.size[1], view.size[0]) if view.size is not None else camera
        except FrameError as error:
            raise ConversionError("wrong_camera_info", f"{self._infos.topic} does not fit the colour image: {error}") from error
        if click.frame_id == target:
            return pixel_of(click.point, camera)
        motion = self._transforms.motion(click.frame_id, target)
        if motion is None:
            raise ConversionError(
                "no_transform",
                f"the point is in frame {click.frame_id}, the camera in {target or 'none'}, and neither /tf nor /tf_static connected them "
                f"within {WAIT_S:g} s: publish the transforms, or set RViz's fixed frame to the camera's",
            )
        return pixel_of(motion.rotation @ click.point + motion.translation, camera)

    def _give(self, click: _Click, pixel: tuple[float, float]) -> None:
        told = f"clicked point {np.round(click.point, 3).tolist()} in {click.frame_id} is pixel ({pixel[0]:.0f}, {pixel[1]:.0f})"
        engine = self._engine()
        if engine is None:
            self._refuse(ConversionError("not_configured", "the node is not configured"))
            return

        def fails(finished: Future[Any]) -> bool:
            error = finished.exception()
            problem = str(error) if error is not None else finished.result().error
            if problem:
                self._refuse(ConversionError("refused", f"{told}: {problem}"))
            return bool(problem)

        def taken(given: Future[PromptHandle]) -> None:  # on the engine's thread, like the next one
            if not fails(given):
                engine.applied(given.result()).add_done_callback(applied)

        def applied(finished: Future[PromptHandle]) -> None:
            if not fails(finished):
                self._node.get_logger().info(f"{told}: object {', '.join(str(number) for number in finished.result().track_ids)}")

        engine.call(lambda session: session.prompt(PointPrompt([pixel]))).add_done_callback(taken)

    def _refuse(self, error: ConversionError) -> None:
        self._counted[f"clicked_point_{error.reason}"] += 1
        self._warn(f"clicked point {error.reason}", f"clicked point left out ({error.reason}): {error}")
