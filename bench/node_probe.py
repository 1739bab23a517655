# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""track_node with timestamps at each stage of an image; `bench/node.py` starts this file as a process.

The process runs `track_node.main` with wrapped functions of the node's own classes. An image's arrival is the reception time that the
middleware attaches to each message, so deserialization counts as overhead.

The model is all work on tensors of the network's own size: SAM 2, its memories, the motion model, the selection of masks. Scaling the
image for the network, scaling its masks, and all other work of `Session` are not part of the model.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.ros.inputs.receive_thread import ReceiveThread
from lang2segtrack_ros.ros.inputs.subscription import QosMatchingSubscription
from lang2segtrack_ros.ros.nodes import track_node
from lang2segtrack_ros.ros.outputs.publisher import Outputs
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.tracking.tracker import Tracker


class Probe:
    """Timestamps in nanoseconds of each image at each stage, by the image's stamp, and processor time of the node's threads.

    Processor times: `take_cpu` to take the message, `convert_cpu` for the callback, `step_cpu` for the step without the model,
    `publish_cpu` for messages and publishing. `model` and `model_cpu` are wall time and processor time of the model within the step.
    """

    def __init__(self) -> None:
        self.images: dict[int, dict[str, int]] = {}
        self._own = threading.local()

    def record(self, stamp: int, **stations: int) -> None:
        """Add timestamps of an image."""
        self.images.setdefault(stamp, {}).update(stations)

    def install(self) -> None:
        """Wrap the functions of all stages."""
        receive, offer, publish = QosMatchingSubscription._receive, EngineThread.offer, Outputs._publish
        take, step = ReceiveThread._take, Session.step

        def timed_take(subscription: Any) -> Any:
            began = time.thread_time_ns()
            taken = take(subscription)
            self._own.take = time.thread_time_ns() - began
            self._own.arrived = int(taken[1]["received_timestamp"]) if taken is not None else 0
            return taken

        def timed_receive(subscription: Any, msg: Any) -> None:
            is_color, called, began = subscription.topic.endswith("color/image_raw"), time.time_ns(), time.thread_time_ns()
            if is_color:
                self.record(stamp_ns(msg.header.stamp), arrived=self._own.arrived, called=called)
            receive(subscription, msg)
            if is_color:
                self.record(stamp_ns(msg.header.stamp), take_cpu=self._own.take, convert_cpu=time.thread_time_ns() - began)

        def timed_offer(engine: Any, tag: Any, frame: Any) -> None:
            self.record(stamp_ns(tag.stamp), offered=time.time_ns())
            offer(engine, tag, frame)

        def timed_step(session: Any, frame: Any, **options: Any) -> Any:
            self._own.inside, self._own.model, self._own.model_cpu = False, 0, 0
            began, began_cpu = time.time_ns(), time.thread_time_ns()
            result = step(session, frame, **options)
            model = {"model": self._own.model, "model_cpu": self._own.model_cpu}
            cpu = time.thread_time_ns() - began_cpu - self._own.model_cpu
            self.record(frame.stamp_ns, began=began, stepped=time.time_ns(), step_cpu=cpu, objects=len(result.tracks), **model)
            return result

        def timed_publish(outputs: Any, header: Any, frame: Any, result: Any) -> None:
            taken, began = time.time_ns(), time.thread_time_ns()
            publish(outputs, header, frame, result)
            self.record(frame.stamp_ns, taken=taken, published=time.time_ns(), publish_cpu=time.thread_time_ns() - began)

        ReceiveThread._take = staticmethod(timed_take)  # type: ignore[method-assign]
        QosMatchingSubscription._receive = timed_receive  # type: ignore[method-assign,assignment]
        EngineThread.offer = timed_offer  # type: ignore[method-assign,assignment]
        Session.step = timed_step  # type: ignore[method-assign,assignment]
        Outputs._publish = timed_publish  # type: ignore[method-assign,assignment]
        for name in ("encode", "open", "compute", "apply"):
            setattr(Tracker, name, self._model(getattr(Tracker, name), True))
        Sam2Segmenter.preprocess = self._model(Sam2Segmenter.preprocess, False)  # type: ignore[method-assign]

    def _model(self, function: Callable[..., Any], is_model: bool) -> Callable[..., Any]:
        """Wrap a function to measure the model's time.

        Args:
            function: function to wrap.
            is_model: True for a function of the model; False for a function within it whose time is subtracted again.
        """

        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            own = self._own
            if not hasattr(own, "inside") or own.inside == is_model:  # on another thread, nested, or outside the model
                return function(*arguments, **options)
            own.inside = is_model
            began, began_cpu, sign = time.time_ns(), time.thread_time_ns(), 1 if is_model else -1
            try:
                return function(*arguments, **options)
            finally:
                if torch.cuda.is_available():
                    torch.cuda.synchronize()  # else the first reader of the result would be charged for the wait
                own.model += sign * (time.time_ns() - began)
                own.model_cpu += sign * (time.thread_time_ns() - began_cpu)
                own.inside = not is_model

        return timed


class ProbedNode(track_node.TrackNode):
    """Node that writes the measurements when it is destroyed."""

    def destroy_node(self) -> None:
        """Write the measurements, then destroy the node."""
        partial = Path(sys.argv[1]).with_suffix(".part")
        partial.write_text(json.dumps(list(probe.images.values())))
        partial.rename(sys.argv[1])
        super().destroy_node()


if __name__ == "__main__":
    probe = Probe()
    probe.install()
    track_node.TrackNode = ProbedNode  # type: ignore[misc]
    track_node.main(["probe", *sys.argv[2:]])
