# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results to messages, on a thread of its own, and only for topics that somebody listens to.

Masks go first. What needs depth waits aside until the depth image is there, or has had its time; results that come meanwhile are not
held up by it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from lang2segtrack.msg import TrackArray
from lang2segtrack_ros.io.rendering import draw_overlay
from lang2segtrack_ros.io.result_messages import LabelBook
from lang2segtrack_ros.ros.inputs.depth import DepthSource
from lang2segtrack_ros.ros.outputs.annotations import annotations_class, annotations_message
from lang2segtrack_ros.ros.outputs.spatial_outputs import SPATIAL_TOPICS, SpatialOutputs
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.runtime.metrics import Durations
from lang2segtrack_ros.runtime.supervised import SupervisedThread
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult

log = logging.getLogger(__name__)
QUEUE = 2
"""Results that wait to be published; the oldest is dropped, and counted, when the network is slower than the engine."""
WAITING_FOR_DEPTH = 8
"""Results that wait for their depth image, likewise."""

TOPICS: tuple[tuple[str, str, str], ...] = (
    ("detections", "vision_msgs/Detection2DArray", "Visible objects: `id` is the track id, `class_id` the label, `score` the confidence."),
    ("instance_masks", "sensor_msgs/Image", "mono16, each pixel the id of the object there, 0 for none; 65535 for all ids from there on."),
    ("label_info", "vision_msgs/LabelInfo", "Latched: which label each id in `instance_masks` has."),
    ("tracks", "lang2segtrack/TrackArray", "Every object, also hidden ones: state, scores, box and run-length encoded mask."),
    ("overlay", "sensor_msgs/Image", "rgb8, the image with masks, boxes, ids and labels painted on."),
    (
        "annotations",
        "foxglove_msgs/ImageAnnotations",
        "For Foxglove to paint, with the image's stamp: outlines, boxes, captions. Only where foxglove_msgs is installed.",
    ),
    *SPATIAL_TOPICS,
)
Item = tuple[Header, Frame, FrameResult]
"""A result, the frame it is of, and that frame's header."""


class Outputs:
    """The node's publishers and the thread that feeds them.

    Args:
        node: whose publishers they are.
        publish_tf, tf_prefix, warn: see `SpatialOutputs`.
    """

    def __init__(self, node: Node, publish_tf: bool, tf_prefix: str, warn: Callable[[str, str], None]) -> None:
        self._node = node
        reliable = QoSProfile(depth=5)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._detections = node.create_publisher(Detection2DArray, "detections", reliable)
        self._masks = node.create_publisher(Image, "instance_masks", reliable)
        self._label_info = node.create_publisher(LabelInfo, "label_info", latched)
        self._tracks = node.create_publisher(TrackArray, "tracks", reliable)
        self._overlay = node.create_publisher(Image, "overlay", reliable)
        annotations = annotations_class()
        self._annotations = node.create_publisher(annotations, "annotations", reliable) if annotations is not None else None
        self.overlay_opacity = 0.5
        self.depth_wait_s = 0.05
        self.depth_source: DepthSource | None = None
        self.published: Counter[str] = Counter()
        self._dropped = 0
        self._dropped_spatial = 0
        self._waited, self._masks_took, self._spatial_took = Durations(), Durations(), Durations()
        self.spatial = SpatialOutputs(node, publish_tf, tf_prefix, warn, self._count)
        self._last_error = ""
        self._labels = LabelBook()
        self._condition = threading.Condition()
        self._queue: deque[tuple[float, Item]] = deque()  # since when, what
        self._waiting: deque[tuple[float, Item]] = deque()  # until when, what
        self.failed_at = float("-inf")  # on the clock of time.monotonic
        self._closed = False
        self._thread = SupervisedThread("lang2segtrack-publisher", self._run)

    def put(self, header: Header, frame: Frame, result: FrameResult) -> None:
        """Hands over a result; never blocks."""
        with self._condition:
            if len(self._queue) == QUEUE:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append((time.perf_counter(), (header, frame, result)))
            self._condition.notify()

    @property
    def restarts(self) -> int:
        """How often the thread's loop had to be started again."""
        return self._thread.restarts

    @property
    def last_errors(self) -> list[str]:
        """What failed last: a result, the thread's loop."""
        return list(filter(None, (self._last_error, self._thread.last_error)))

    @property
    def metrics(self) -> dict[str, object]:
        """What a user may want to know of what is published, what waits and what is not, by name."""
        return {
            **self._waited.metrics("publish_wait"),
            **self._masks_took.metrics("publish"),
            **self._spatial_took.metrics("publish_3d"),
            "results_pending": len(self._queue),
            "results_pending_depth": len(self._waiting),
            "results_dropped": self._dropped,
            "results_3d_dropped": self._dropped_spatial,
            **{f"skipped_3d_{reason}": count for reason, count in sorted(self.spatial.skipped.items())},
            **{f"published_{topic.lstrip('/')}": count for topic, count in sorted(self.published.items())},
        }

    def wake(self) -> None:
        """Tells that a depth image has arrived."""
        with self._condition:
            self._condition.notify()

    def close(self) -> None:
        """Ends the thread and the publishers."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()
        for publisher in (self._detections, self._masks, self._label_info, self._tracks, self._overlay, self._annotations):
            if publisher is not None:
                self._node.destroy_publisher(publisher)
        self.spatial.close()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not (self._closed or self._queue or self._ripe()):
                    self._condition.wait(max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None)
                if self._closed:
                    return
                since, item = self._queue.popleft() if self._queue else (None, self._waiting.popleft()[1])
            began = time.perf_counter()
            try:
                if since is not None:
                    self._waited.add(began - since)
                    self._publish(*item)
                    self._masks_took.add(time.perf_counter() - began)
                    self._wait_for_depth(item)
                elif (source := self.depth_source) is not None:
                    self.spatial.publish(*item, source)
                    self._spatial_took.add(time.perf_counter() - began)
            except Exception as error:
                if not self._node.context.ok():  # shutting down: nobody is left to publish to
                    return
                # One result that cannot be published must not end the thread; it shows in diagnostics.
                self._last_error = f"{type(error).__name__}: {error}"
                self.failed_at = time.monotonic()
                log.exception("a result could not be published")

    def _ripe(self) -> bool:
        """Whether the oldest result that waits for depth need not wait any longer."""
        if not self._waiting:
            return False
        (until, (header, _, _)), source = self._waiting[0], self.depth_source
        return source is None or time.monotonic() >= until or source.settled(header)

    def _wait_for_depth(self, item: Item) -> None:
        if self.depth_source is None or not self.spatial.wanted:
            return
        if len(self._waiting) == WAITING_FOR_DEPTH:
            self._waiting.popleft()
            self._dropped_spatial += 1
        self._waiting.append((time.monotonic() + self.depth_wait_s, item))

    def _publish(self, header: Header, frame: Frame, result: FrameResult) -> None:
        tracks = result.announced
        if self._labels.update(result):
            self._send("label_info", self._label_info, MESSAGES.label_info(self._labels.labels, header))
        if self._detections.get_subscription_count():
            self._send("detections", self._detections, MESSAGES.detections(tracks, header))
        if self._tracks.get_subscription_count():
            self._send("tracks", self._tracks, MESSAGES.tracks(result.tracks, header))
        if self._masks.get_subscription_count():
            self._send("instance_masks", self._masks, MESSAGES.instance_masks(result, header))
        if self._overlay.get_subscription_count():
            painted = draw_overlay(frame.color, tracks, self.overlay_opacity)
            self._send("overlay", self._overlay, MESSAGES.image(painted, "rgb8", header))
        if self._annotations is not None and self._annotations.get_subscription_count():
            self._send("annotations", self._annotations, annotations_message(result, header))

    def _send(self, name: str, publisher: Any, message: Any) -> None:
        publisher.publish(message)
        self._count(name)

    def _count(self, name: str) -> None:
        self.published[name] += 1
