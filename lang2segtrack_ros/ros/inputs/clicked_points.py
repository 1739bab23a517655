# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Point prompts from points clicked in a 3-D view, such as RViz's "Publish Point".

Clicks are rare. The node therefore subscribes camera_info only after a click, and transforms if the point is in a frame other than
the camera's. It unsubscribes as soon as the point has its pixel or the waiting time is over.
"""

from __future__ import annotations

import threading
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
from sensor_msgs.msg import CameraInfo

from lang2segtrack_ros.geometry.rays import project, rays
from lang2segtrack_ros.io.image_messages import ConversionError
from lang2segtrack_ros.ros.inputs.subscription import QosMatchingSubscription
from lang2segtrack_ros.ros.inputs.transforms import Transforms
from lang2segtrack_ros.ros.support import conversions
from lang2segtrack_ros.ros.support.interfaces import CLICKED_POINT, COLOR_INFO
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.types.frame import CameraModel, FrameError
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptOutcome
from lang2segtrack_ros.types.prompts import PointPrompt

WAIT_S = 2.0
"""A click waits this long for camera_info and transforms."""
MAX_WAITING = 8
MIN_Z = 0.01  # meters in front of the camera
ROUND_TRIP = 0.02  # maximum distance, in the plane z = 1, between the ray of a distorted pixel and the point


@dataclass(frozen=True)
class View:
    """The image that clicks refer to.

    Attributes:
        frame_id: frame of the image, "" if unknown.
        size: (height, width) in pixels, None before the first image.
    """

    frame_id: str
    size: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class _Click:
    point: NDArray[np.float64]
    frame_id: str
    deadline: float


def pixel_of(point: NDArray[np.float64], camera: CameraModel) -> tuple[float, float]:
    """Return the column and row at which a camera sees a point.

    Args:
        point: float64 [3], meters in the camera's optical frame.
        camera: camera model with the size of its image.

    Raises:
        ConversionError: `behind_camera` or `outside_image`.
    """
    x, y, z = (float(value) for value in point)
    if z < MIN_Z:
        raise ConversionError("behind_camera", f"the point ({x:.3f}, {y:.3f}, {z:.3f}) m lies behind the camera {camera.frame_id}")
    single = np.array([[x], [y], [z]], np.float32)
    column, row = (float(value[0]) for value in project(single[0], single[1], single[2], camera))
    outside = ConversionError("outside_image", f"the point ({x:.3f}, {y:.3f}, {z:.3f}) m in {camera.frame_id} lies outside the image")
    if not (-0.5 <= column < camera.width - 0.5 and -0.5 <= row < camera.height - 0.5):
        raise outside
    if camera.distortion:  # distortion polynomials fold points far outside back into the image
        ray = rays(camera)[round(row), round(column)]
        if np.hypot(*(ray - (x / z, y / z))) > ROUND_TRIP + 1 / min(camera.fx, camera.fy):
            raise outside
    return column, row


class ClickedPoints:
    """Subscriber of `clicked_point` that turns each point into a point prompt.

    Args:
        node: node that owns the subscriptions.
        group: callback group of the subscriptions.
        view: returns the current image's view.
        engine: returns the current engine, or None.
        counters: counts refused clicks as `clicked_point_` and the reason.
        warn: called with a key and a sentence for each refused click.
    """

    def __init__(
        self,
        node: Node,
        group: CallbackGroup,
        view: Callable[[], View],
        engine: Callable[[], EngineThread[Any] | None],
        counters: Counter[str],
        warn: Callable[[str, str], None],
    ) -> None:
        self._node = node
        self._group = group
        self._view = view
        self._engine = engine
        self._counters = counters
        self._warn = warn
        self._lock = threading.RLock()  # the watchdog and the subscriptions run on different threads
        self._waiting: list[_Click] = []
        self._info: CameraInfo | None = None
        self._infos: QosMatchingSubscription | None = None
        self._transforms: Transforms | None = None
        self._clicks = CLICKED_POINT.subscribe(node, self._on_click, group)

    def match_publishers(self) -> None:
        """Match the publishers' QoS and refuse clicks that have waited too long. Call this periodically."""
        with self._lock:
            self._process_waiting()
            if self._infos is not None:
                self._infos.match_publishers()
            if not self._waiting:
                self._unsubscribe()

    def close(self) -> None:
        """Destroy the subscriptions."""
        with self._lock:
            self._waiting.clear()
            self._unsubscribe()
        self._node.destroy_subscription(self._clicks)

    def _on_click(self, msg: PointStamped) -> None:
        frame = msg.header.frame_id.lstrip("/")
        point = np.array([msg.point.x, msg.point.y, msg.point.z])
        if not frame:
            self._refuse(ConversionError("no_frame", "the point has no frame: set header.frame_id"))
        elif not np.isfinite(point).all():
            self._refuse(ConversionError("not_finite", f"the point is {point.tolist()}: send three finite numbers"))
        elif len(self._waiting) == MAX_WAITING:
            self._refuse(ConversionError("too_many", f"{MAX_WAITING} clicked points already wait for camera_info or transforms"))
        else:
            with self._lock:
                self._waiting.append(_Click(point, frame, time.monotonic() + WAIT_S))
                self._subscribe()
                self._process_waiting()

    def _subscribe(self) -> None:
        if self._infos is None:
            self._infos = QosMatchingSubscription(self._node, COLOR_INFO, self._on_info, self._group)
            self._infos.match_publishers()
        if self._transforms is None:
            self._transforms = Transforms(self._node, self._group, self._process_waiting)

    def _unsubscribe(self) -> None:
        for source in (self._infos, self._transforms):
            if source is not None:
                source.close()
        self._infos, self._transforms, self._info = None, None, None

    def _on_info(self, msg: CameraInfo) -> None:
        with self._lock:
            if self._infos is not None:  # else this message came while the subscription was closed
                self._info = msg
            self._process_waiting()

    def _process_waiting(self) -> None:
        """Prompt with every click whose pixel can be computed now."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            for click in waiting:
                try:
                    pixel = self._pixel(click)
                except ConversionError as error:
                    if error.reason in ("no_camera_info", "no_transform") and time.monotonic() < click.deadline:
                        self._waiting.append(click)
                    else:
                        self._refuse(error)
                    continue
                self._prompt(click, pixel)

    def _pixel(self, click: _Click) -> tuple[float, float]:
        assert self._infos is not None
        assert self._transforms is not None
        if self._info is None:
            raise ConversionError("no_camera_info", f"no camera_info within {WAIT_S:g} s: {self._infos.explain_silence()}")
        view = self._view()
        camera = conversions.camera_model(self._info)
        target = view.frame_id.lstrip("/") or camera.frame_id.lstrip("/")
        try:
            camera = camera.resized(view.size[1], view.size[0]) if view.size is not None else camera
        except FrameError as error:
            raise ConversionError("wrong_camera_info", f"{self._infos.topic} does not fit the color image: {error}") from error
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

    def _prompt(self, click: _Click, pixel: tuple[float, float]) -> None:
        description = f"clicked point {np.round(click.point, 3).tolist()} in {click.frame_id} is pixel ({pixel[0]:.0f}, {pixel[1]:.0f})"
        engine = self._engine()
        if engine is None:
            self._refuse(ConversionError("not_configured", "the node is not configured: run the configure and activate transitions"))
            return

        def has_failed(finished: Future[Any]) -> bool:
            error = finished.exception()
            problem = str(error) if error is not None else finished.result().error
            if problem:
                self._refuse(ConversionError("refused", f"{description}: {problem}"))
            return bool(problem)

        def on_accepted(accepted: Future[PromptHandle]) -> None:  # runs on the engine's thread, as does the next one
            if not has_failed(accepted):
                accepted.result().future.add_done_callback(on_applied)

        def on_applied(finished: Future[PromptOutcome]) -> None:
            if not has_failed(finished):
                self._node.get_logger().info(f"{description}: object {', '.join(str(number) for number in finished.result().track_ids)}")

        engine.call(lambda session: session.prompt(PointPrompt([pixel]), log_outcome=False)).add_done_callback(on_accepted)

    def _refuse(self, error: ConversionError) -> None:
        self._counters[f"clicked_point_{error.reason}"] += 1
        self._warn(f"clicked point {error.reason}", f"clicked point refused ({error.reason}): {error}")
