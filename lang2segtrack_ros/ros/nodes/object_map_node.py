# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`object_map_node`: remembers where the objects of one or several track_nodes are, in a fixed frame and in a file.

It uses only topics of track_node and of the cameras, and TF. It loads no network.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from lang2segtrack.msg import MapObjectArray
from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.geometry.transform_buffer import TransformError
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.object_map.object_map import ObjectMap
from lang2segtrack_ros.object_map.objects import View
from lang2segtrack_ros.object_map.options import MapOptions
from lang2segtrack_ros.object_map.queries import latest_first
from lang2segtrack_ros.object_map.store import MapStore, StoreError
from lang2segtrack_ros.object_map.words import LabelSimilarity
from lang2segtrack_ros.ros.inputs.map_source import MapSource, SourceOptions
from lang2segtrack_ros.ros.inputs.pose_history import PoseHistory
from lang2segtrack_ros.ros.inputs.receive_thread import ReceiveThread
from lang2segtrack_ros.ros.outputs.diagnostics import RECENT_S, Diagnostics
from lang2segtrack_ros.ros.services.map_services import MapServices
from lang2segtrack_ros.ros.support.command_line import check_command_line
from lang2segtrack_ros.ros.support.map_interfaces import OBJECT_MARKERS, OBJECTS
from lang2segtrack_ros.ros.support.map_messages import object_markers, object_message, time_message
from lang2segtrack_ros.ros.support.map_parameters import IN_MEMORY, PARAMETERS
from lang2segtrack_ros.ros.support.parameter_table import TableNode
from lang2segtrack_ros.ros.support.process import run_node
from lang2segtrack_ros.ros.support.repeated_warnings import RepeatedWarnings
from lang2segtrack_ros.types.frame import CameraModel

WORK_S, SAVE_S, REPORT_S = 0.05, 0.5, 1.0
IMAGE_WAIT_S = 0.3
"""Maximum time in which a result waits for the depth and the color of its image."""
NO_CAMERA = CameraModel(1.0, 1.0, 0.0, 0.0, 0, 0)
SMALL_M, SMALL_RAD = 1e-3, 1e-4
"""Corrections of the fixed frame below these are rounding, or come with the next one."""
JUMP_M, SPEED_M_S = 0.3, 3.0
"""A camera that moves by more than a jump plus this speed in the fixed frame was put there by a correction."""


class ObjectMapNode(TableNode, Node):
    """Node that keeps the map from its creation until it is destroyed.

    Attributes:
        objects: the map.
        transforms: history of the transforms.
        fixed_frame: frame of the map.
        map_name: name of the map.
        newest_ns: time of the newest image, nanoseconds.
        skipped: number of skipped images and objects, by reason.

    Raises:
        StoreError: the file cannot be used.
        OptionError: a parameter is out of its range.
    """

    table = PARAMETERS

    def __init__(self, node_name: str = "object_map_node", **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        try:
            PARAMETERS.declare(self, read_only=True)
            self.fixed_frame, self.map_name = self._value("fixed_frame").lstrip("/"), self._value("map_name")
            self._anchor_frame = self._value("anchor_frame").lstrip("/")
            path = self._value("file")
            self._store = MapStore(path if path == IN_MEMORY else Path(path).expanduser(), self.map_name, self.fixed_frame)
            options = MapOptions(**{item.name: self._value(item.name) for item in fields(MapOptions)})
            stored, next_id, merged = self._store.load()
            is_anchored = self._anchor_frame not in ("", self.fixed_frame)
            self.objects = ObjectMap(options, stored, next_id, merged, is_anchored)
        except Exception:
            super().destroy_node()
            raise
        PARAMETERS.warn_unknown_parameters(self)
        self.newest_ns = max((item.last_seen_ns for item in stored), default=0)
        self.skipped: Counter[str] = Counter()
        self._warn = RepeatedWarnings(self.get_logger().warning)
        self._failed_at, self._problem = float("-inf"), ""
        self._correction: RigidTransform | None = None
        self._last_pose: dict[str, tuple[int, RigidTransform]] = {}
        self._published_version, self._published_at = -1, float("-inf")
        self._busy_s, self._started = 0.0, time.monotonic()
        self._images = ReceiveThread(self.context)
        group = MutuallyExclusiveCallbackGroup()
        self.transforms = PoseHistory(self, group)
        self._sources = [MapSource(self, name, (group, self._images), self._source_options(), self.skipped) for name in self._namespaces()]
        self._outputs = {topic: topic.advertise(self) for topic in (OBJECTS, OBJECT_MARKERS)}
        self._diagnostics = Diagnostics(self, "object map")
        MapServices(self, self, LabelSimilarity())
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for period, work in ((WORK_S, self._work), (SAVE_S, self._keep), (REPORT_S, self._report)):
            self.create_timer(period, work, callback_group=group, clock=steady)
        self.get_logger().info(f"map {self.map_name} in frame {self.fixed_frame}: {len(self.objects.table)} objects from {path}")

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _namespaces(self) -> list[str]:
        names = [name.strip() for name in self._value("sources").split(",") if name.strip()]
        return list(dict.fromkeys(names)) or [""]

    def _source_options(self) -> SourceOptions:
        return SourceOptions(**{item.name: self._value(item.name) for item in fields(SourceOptions)})

    # Images

    def _work(self) -> None:
        """Fuse the results whose camera pose is known, of each source in order."""
        start = time.thread_time()
        self._follow_correction()
        for source in self._sources:
            while source.waiting and self._use(source, *source.waiting[0]):
                source.waiting.popleft()
        self._busy_s += time.thread_time() - start

    def _use(self, source: MapSource, arrived: float, msg: Detection3DArray) -> bool:
        """Fuse a result that arrived at a time of the monotonic clock. Return False if it must wait for the pose of its camera."""
        try:
            pose = self._pose_of(msg.header)
        except TransformError as error:
            if error.may_come and time.monotonic() - arrived < self._value("tf_wait_s"):
                return False
            self.skipped[error.reason] += 1
            self._warn(error.reason, f"an image is not used ({error.reason}): {error}")
        else:
            if not source.is_settled(msg.header) and time.monotonic() - arrived < IMAGE_WAIT_S:
                return False
            self._fuse(source, msg, pose)
        return True

    def _pose_of(self, header: Header) -> RigidTransform:
        """Return the pose of the camera in the fixed frame, by way of the anchor frame if there is one."""
        frame, stamp = header.frame_id.lstrip("/"), stamp_ns(header.stamp)
        if self._correction is not None:
            return self._correction.after(self.transforms.at(frame, self._anchor_frame, stamp))
        if self._anchor_frame and self._anchor_frame != self.fixed_frame:
            return self.transforms.latest(self._anchor_frame, self.fixed_frame).after(self.transforms.at(frame, self._anchor_frame, stamp))
        return self.transforms.at(frame, self.fixed_frame, stamp)

    def _follow_correction(self) -> None:
        """Move the objects of this run with the newest transform from the anchor frame to the fixed frame."""
        if not self._anchor_frame or self._anchor_frame == self.fixed_frame:
            return
        try:
            newest = self.transforms.latest(self._anchor_frame, self.fixed_frame)
        except TransformError:
            return  # images are counted and reported as tf_missing
        if self._correction is None:
            self._correction = newest
            return
        change = newest.after(self._correction.inverse())
        angle = float(np.arccos(np.clip((change.rotation.trace() - 1) / 2, -1.0, 1.0)))
        shift = float(np.linalg.norm(newest.translation - self._correction.translation))
        if shift > SMALL_M or angle > SMALL_RAD:
            self.objects.apply_correction(change)
            self._correction = newest

    def _fuse(self, source: MapSource, msg: Detection3DArray, pose: RigidTransform) -> None:
        stamp = stamp_ns(msg.header.stamp)
        self._note_jump(source.namespace, stamp, pose)
        registered = source.depth_of(msg.header)
        camera, depth = (NO_CAMERA, None) if registered is None else (registered.camera, registered.depth)
        view = View(stamp, pose, camera, depth, source.namespace)
        self.objects.observe(view, source.sightings_of(msg))
        self.newest_ns = stamp

    def _note_jump(self, name: str, stamp: int, pose: RigidTransform) -> None:
        before = self._last_pose.get(name)
        self._last_pose[name] = stamp, pose
        if before is None or self._correction is not None:
            return
        distance = float(np.linalg.norm(pose.translation - before[1].translation))
        if distance > JUMP_M + SPEED_M_S * abs(stamp - before[0]) / 1e9:
            self.skipped["pose_jumps"] += 1
            self._warn(
                "pose_jumps",
                f"the camera jumped by {distance:.2f} m in {self.fixed_frame}, and objects stay where they are: if SLAM closed a loop, set "
                "anchor_frame, such as odom, so that objects of this run move with it",
            )

    # File

    def thumbnail(self, number: int) -> bytes:
        """Return the JPEG file of an object. Empty without one."""
        return self._store.thumbnail(number)

    def save(self) -> None:
        """Save the changes of the map now, in one transaction.

        Raises:
            StoreError: the file cannot be written. The changes stay for the next try.
        """
        changes = self.objects.take_changes()
        try:
            self._store.save(self.objects, changes)
        except StoreError:
            self.objects.keep_changes(changes)
            raise

    def _keep(self) -> None:
        start = time.thread_time()
        for source in self._sources:
            source.match_publishers()
        try:
            self.save()
        except StoreError as error:
            self._failed_at, self._problem = time.monotonic(), str(error)
            self.skipped["saves_failed"] += 1
            self._warn("save", f"{error}; the map stays in memory, and the next save tries again")
        is_due = time.monotonic() - self._published_at >= self._value("publish_period_s")
        if is_due and self.objects.version != self._published_version:
            self._publish()
        self._busy_s += time.thread_time() - start

    def _publish(self) -> None:
        self._published_version, self._published_at = self.objects.version, time.monotonic()
        numbers = latest_first(self.objects)[: self._value("max_published")]
        items = [self.objects.table[number] for number in numbers]
        header = Header(stamp=time_message(self.newest_ns), frame_id=self.fixed_frame)
        message = MapObjectArray(header=header, map_name=self.map_name, total=len(self.objects.table))
        message.objects = [object_message(item) for item in items]
        self._outputs[OBJECTS].publish(message)
        self._outputs[OBJECT_MARKERS].publish(object_markers(items, header))

    # Report

    def _report(self) -> None:
        states = Counter(item.state.name.lower() for item in self.objects.table)
        elapsed = max(time.monotonic() - self._started, 1e-9)
        values: dict[str, object] = {
            "map": self.map_name,
            "file": self._value("file"),
            "objects": len(self.objects.table),
            **{f"objects_{name}": count for name, count in sorted(states.items())},
            "max_objects": self.objects.options.max_objects,
            "images_received": sum(source.received for source in self._sources),
            "images_waiting": sum(len(source.waiting) for source in self._sources),
            "processor_share": f"{self._busy_s / elapsed:.3f}",
            "transforms_skipped": self.transforms.skipped,
            **dict(sorted(self.objects.counters.items())),
            **{f"skipped_{reason}": count for reason, count in sorted(self.skipped.items())},
        }
        failed = time.monotonic() - self._failed_at < RECENT_S
        self._diagnostics.publish(DiagnosticStatus.ERROR if failed else DiagnosticStatus.OK, self._problem if failed else "mapping", values)

    def destroy_node(self) -> None:
        """Save the map, close the file and the subscriptions, then destroy the node."""
        for source in self._sources:
            source.close()
        self._images.close()
        self.transforms.close()
        try:
            self.save()
        except StoreError as error:
            self.get_logger().error(f"the last changes are lost: {error}")
        self._store.close()
        super().destroy_node()


def main(args: list[str] | None = None) -> NoReturn:
    """Map until the process is told to stop, then end it. The exit code is 1 if the node could not start."""
    check_command_line("object_map_node", "Remember where tracked objects are, in a fixed frame and a file.", PARAMETERS.rows, args)
    run_node("object_map_node", ObjectMapNode, args)
