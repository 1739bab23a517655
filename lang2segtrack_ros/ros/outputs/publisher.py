# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Publisher of results, on a thread of its own and only for topics with subscribers.

Masks are published first. 3-D output waits in a second queue until the depth image has arrived or its waiting time is over. It does not
delay later results.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from std_msgs.msg import Header

from lang2segtrack.msg import InstructionEvent as InstructionEventMsg
from lang2segtrack_ros.io.rendering import draw_overlay
from lang2segtrack_ros.io.result_messages import LabelBook
from lang2segtrack_ros.io.semantic_mask import ClassBook, confidence
from lang2segtrack_ros.ros.inputs.depth import DepthSource
from lang2segtrack_ros.ros.outputs.annotations import annotations_message
from lang2segtrack_ros.ros.outputs.planner_outputs import PlannerOutputs
from lang2segtrack_ros.ros.outputs.spatial_outputs import SpatialOutputs
from lang2segtrack_ros.ros.outputs.track_log import TrackLog
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.ros.support.interfaces import (
    ANNOTATIONS,
    DETECTIONS,
    EVENTS,
    INSTANCE_MASKS,
    LABEL_INFO,
    OVERLAY,
    SEMANTIC_CONFIDENCE,
    SEMANTIC_LABEL_INFO,
    SEMANTIC_MASK,
    TRACKS,
    Topic,
)
from lang2segtrack_ros.ros.support.output_options import OutputOptions
from lang2segtrack_ros.runtime.metrics import Durations
from lang2segtrack_ros.runtime.supervised import SupervisedThread
from lang2segtrack_ros.types.events import InstructionEvent
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult, Track

log = logging.getLogger(__name__)
QUEUE = 2
"""Maximum number of results that wait for publishing. If the network is slower than the engine, the oldest is dropped and counted."""
WAITING_FOR_DEPTH = 8
"""Maximum number of results that wait for their depth image. Further results drop the oldest, which is counted."""

SEMANTIC = (SEMANTIC_MASK, SEMANTIC_CONFIDENCE, SEMANTIC_LABEL_INFO)
Item = tuple[Header, Frame, FrameResult]
"""Header of an image, the image, and its result."""


class Outputs:
    """Publishers of the node's results and the thread that feeds them.

    Args:
        node: node that owns the publishers.
        options: see the class.
        warn: see `SpatialOutputs`.

    Attributes:
        overlay_opacity: opacity of the masks on the overlay, 0..1.
        depth_wait_s: maximum time that 3-D output waits for depth, in seconds.
        depth_source: source of depth, None without depth.
        published: number of messages by topic.
        failed_at: time.monotonic of the last result that could not be published.
    """

    def __init__(self, node: Node, options: OutputOptions, warn: Callable[[str, str], None]) -> None:
        self._node = node
        topics = (DETECTIONS, INSTANCE_MASKS, LABEL_INFO, TRACKS, OVERLAY, ANNOTATIONS, EVENTS, *SEMANTIC)
        self._publishers: dict[Topic, Any] = {topic: topic.advertise(node) for topic in topics}
        self.overlay_opacity = 0.5
        self.depth_wait_s = 0.05
        self.depth_source: DepthSource | None = None
        self._group: CallbackGroup | None = None
        self.published: Counter[str] = Counter()
        self._condition = threading.Condition()
        self._dropped = 0
        self._dropped_spatial = 0
        self._wait_durations, self._publish_durations, self._spatial_durations = Durations(), Durations(), Durations()
        self.spatial = SpatialOutputs(node, options, warn, self._count, self.wake)
        self._track_log = TrackLog(node.get_logger())
        self._last_error = ""
        self._labels, self._classes = LabelBook(), ClassBook(options.semantic_classes)
        self._queue: deque[tuple[float, Item]] = deque()  # (time of arrival, item)
        self._waiting: deque[tuple[float, Item]] = deque()  # (deadline, item)
        self.failed_at = float("-inf")
        self._closed = False
        self._send_classes(Header())  # a costmap layer discards masks until it knows the classes
        self._thread = SupervisedThread("lang2segtrack-publisher", self._run)

    def put(self, header: Header, frame: Frame, result: FrameResult) -> None:
        """Queue a result for publishing, log the tracks that begin and end, and publish and log events at once. Never blocks."""
        self._track_log.update(result)
        self.planner.forget_ended(result, header)
        for event in result.events:  # the queue may drop results, and events come only once
            self._node.get_logger().info(f'instruction "{event.instruction}": {event.kind.value}: {event.message}')
            self._send(EVENTS, event_message(event, header))
        with self._condition:
            if len(self._queue) == QUEUE:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append((time.perf_counter(), (header, frame, result)))
            self._condition.notify()

    @property
    def restarts(self) -> int:
        """Number of restarts of the thread's loop."""
        return self._thread.restarts

    @property
    def last_errors(self) -> list[str]:
        """Last errors of publishing a result and of the thread's loop, without empty ones."""
        return list(filter(None, (self._last_error, self._thread.last_error)))

    @property
    def metrics(self) -> dict[str, object]:
        """Durations and numbers of published, waiting and dropped results, for diagnostics."""
        return {
            **self._wait_durations.metrics("publish_wait"),
            **self._publish_durations.metrics("publish"),
            **self._spatial_durations.metrics("publish_3d"),
            "results_pending": len(self._queue),
            "results_pending_depth": len(self._waiting),
            "results_dropped": self._dropped,
            "results_3d_dropped": self._dropped_spatial,
            **{f"skipped_3d_{reason}": count for reason, count in sorted(self.spatial.skipped.items())},
            **{f"published_{topic.lstrip('/')}": count for topic, count in sorted(self.published.items())},
        }

    @property
    def are_watched(self) -> bool:
        """True if any topic has a subscriber. /tf does not count, because many nodes subscribe it and objects alone fill it."""
        return any(item.get_subscription_count() for item in self._publishers.values() if item is not None) or self.spatial.are_watched

    @property
    def planner(self) -> PlannerOutputs:
        """Publishers of what planners take."""
        return self.spatial.planner

    @property
    def has_depth(self) -> bool:
        """True if depth is subscribed."""
        return self.depth_source is not None

    def resume(self, depth_source: DepthSource, group: CallbackGroup) -> None:
        """Begin to publish 3-D output.

        Args:
            depth_source: source of depth.
            group: callback group for subscriptions of transforms.
        """
        self.depth_source, self._group = depth_source, group

    def pause(self) -> None:
        """Stop publishing 3-D output, and close the subscriptions of transforms."""
        self.depth_source = self._group = None
        self.match_publishers()

    def match_publishers(self) -> None:
        """Subscribe or unsubscribe transforms as the outputs need them. Call this periodically."""
        self.spatial.match_transforms(self._group)

    def wake(self) -> None:
        """Wake the thread after a depth image or a transform has arrived."""
        with self._condition:
            self._condition.notify()

    def close(self) -> None:
        """End the thread and destroy the publishers."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()
        for publisher in self._publishers.values():
            if publisher is not None:
                self._node.destroy_publisher(publisher)
        self.spatial.close()

    def _run(self) -> None:
        while True:
            try:
                with self._condition:
                    while not (self._closed or self._queue or self._depth_wait_is_over()):
                        self._condition.wait(max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None)
                    if self._closed:
                        return
                    queued_at, item = self._queue.popleft() if self._queue else (None, self._waiting.popleft()[1])
                started = time.perf_counter()
                if queued_at is not None:
                    self._wait_durations.add(started - queued_at)
                    self._publish(*item)
                    self._publish_durations.add(time.perf_counter() - started)
                    self._wait_for_depth(item)
                elif (source := self.depth_source) is not None:
                    self.spatial.publish(*item, source)
                    self._spatial_durations.add(time.perf_counter() - started)
            except Exception as error:
                if not self._node.context.ok():  # shutting down: there is no graph to publish to
                    return
                # One result that cannot be published must not end the thread. Diagnostics show the error.
                self._last_error = f"{type(error).__name__}: {error}"
                self.failed_at = time.monotonic()
                log.exception("could not publish a result")

    def _depth_wait_is_over(self) -> bool:
        """Return True if the oldest result that waits for depth can be processed now."""
        if not self._waiting:
            return False
        (deadline, (header, _, _)), source = self._waiting[0], self.depth_source
        return source is None or time.monotonic() >= deadline or (source.is_settled(header) and self.spatial.is_settled(header))

    def _wait_for_depth(self, item: Item) -> None:
        if self.depth_source is None or not self.spatial.is_needed:
            return
        if len(self._waiting) == WAITING_FOR_DEPTH:
            self._waiting.popleft()
            self._dropped_spatial += 1
        self._waiting.append((time.monotonic() + self.depth_wait_s, item))

    def _publish(self, header: Header, frame: Frame, result: FrameResult) -> None:
        tracks = result.announced
        if self._labels.update(result):
            self._send(LABEL_INFO, MESSAGES.label_info(self._labels.labels, header))
        if self._classes.update(tracks):
            self._send_classes(header)
        messages: tuple[tuple[Topic, Callable[[], Any]], ...] = (
            (DETECTIONS, lambda: MESSAGES.detections(tracks, header)),
            (TRACKS, lambda: MESSAGES.tracks(result.tracks, header)),
            (INSTANCE_MASKS, lambda: MESSAGES.instance_masks(result, header)),
            (OVERLAY, lambda: MESSAGES.image(draw_overlay(frame.color, tracks, self.overlay_opacity), "rgb8", header)),
            (ANNOTATIONS, lambda: annotations_message(result, header)),
            (SEMANTIC_MASK, lambda: MESSAGES.painted_masks(result, self._classes.class_id, header)),
            (SEMANTIC_CONFIDENCE, lambda: MESSAGES.painted_masks(result, self._confidence, header)),
        )
        for topic, make in messages:
            publisher = self._publishers[topic]
            if publisher is not None and publisher.get_subscription_count():
                self._send(topic, make())

    def _send_classes(self, header: Header) -> None:
        self._send(SEMANTIC_LABEL_INFO, MESSAGES.label_info(self._classes.names, header))

    def _confidence(self, track: Track) -> int:
        """Return the confidence of a track with a class. Others are background."""
        return confidence(track) if self._classes.class_id(track) else 0

    def _send(self, topic: Topic, message: Any) -> None:
        self._publishers[topic].publish(message)
        self._count(topic.name)

    def _count(self, name: str) -> None:
        self.published[name] += 1


def event_message(event: InstructionEvent, header: Header) -> InstructionEventMsg:
    """Return an event as lang2segtrack/InstructionEvent.

    Args:
        event: the event.
        header: header of the image whose result shows the change.
    """
    return InstructionEventMsg(
        header=header,
        kind=event.kind.value,
        prompt_id=event.prompt_id,
        instruction=event.instruction,
        track_ids=event.track_ids,
        message=event.message,
    )
