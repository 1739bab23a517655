# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`track_node`, a lifecycle node: configure loads the networks, activate subscribes, deactivate pauses, cleanup frees the device.

The class owns no process state. Context, namespace and parameter overrides are arguments, so several nodes can run in one process.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from numpy.typing import NDArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from lang2segtrack_ros.io.image_messages import ConversionError, compressed_to_rgb, image_to_rgb, stamp_ns
from lang2segtrack_ros.models.cache import free_unused
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.ros.inputs.clicked_points import ClickedPoints, View
from lang2segtrack_ros.ros.inputs.depth import DepthSource
from lang2segtrack_ros.ros.inputs.subscription import QosMatchingSubscription
from lang2segtrack_ros.ros.outputs.diagnostics import Diagnostics, summarize
from lang2segtrack_ros.ros.outputs.publisher import Outputs
from lang2segtrack_ros.ros.services.image_requests import ImageRequests
from lang2segtrack_ros.ros.services.prompt_services import Services
from lang2segtrack_ros.ros.services.refinement import Refinement
from lang2segtrack_ros.ros.support import parameters
from lang2segtrack_ros.ros.support.command_line import check_command_line
from lang2segtrack_ros.ros.support.interfaces import COLOR_COMPRESSED, COLOR_IMAGE
from lang2segtrack_ros.ros.support.latency import Latency
from lang2segtrack_ros.ros.support.parameter_table import TableNode
from lang2segtrack_ros.ros.support.process import configure_process, run_node
from lang2segtrack_ros.ros.support.session_factory import change_session, describe_session, make_session
from lang2segtrack_ros.ros.support.transitions import log_transition_errors
from lang2segtrack_ros.runtime.allocator import return_freed_memory
from lang2segtrack_ros.runtime.metrics import Rates, memory
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import PromptError
from lang2segtrack_ros.types.results import FrameResult

WARN_EVERY_S = 5.0
DEPTH_POLL_S = 0.002
WATCHDOG_PERIOD_S = 0.5
REPORT_EVERY, RETURN_MEMORY_EVERY = 2, 120  # watchdog ticks, the second one between two returns of freed memory to the system


class TrackNode(TableNode, LifecycleNode):
    """Node that tracks named objects in the images of a camera.

    `support.interfaces` declares its topics and services, `support.parameters` its parameters.

    Attributes:
        engine: engine of the configured node, otherwise None.
        image_requests: queue of single images of the configured node, otherwise None.
        latest_color: last image since configure, RGB uint8 [H, W, 3]. None before the first one.
        last_header: header of the last processed image.
        detection_threshold: default threshold of detections. 0 uses the detector's own.
        skipped: number of skipped images and clicks, and of jumps in the stream, by reason.
        problem: sentence on why the last transition failed. Empty after a success.
    """

    table = parameters.TABLE

    def __init__(self, node_name: str = "track_node", **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self.engine: EngineThread[Header] | None = None
        self.image_requests: ImageRequests | None = None
        self.latest_color: NDArray[np.uint8] | None = None
        self.last_header = Header()
        self.detection_threshold = 0.0
        self.skipped: Counter[str] = Counter()
        self.problem = ""
        self._outputs: Outputs | None = None
        self._color: QosMatchingSubscription | None = None
        self._depth: DepthSource | None = None
        self._clicks: ClickedPoints | None = None
        self._setup = ""
        self._device = ""
        self._uses_depth = False
        self._last_stamp = 0
        self._latency = Latency()
        self._rates = Rates()
        self._warned: dict[str, float] = {}
        self._images = MutuallyExclusiveCallbackGroup()
        try:
            parameters.TABLE.declare(self)
        except Exception:  # a parameter of a wrong type or out of range; in a container, the rest of the process continues
            super().destroy_node()
            raise
        self._node_services = Services(self, self)
        self._refinement = Refinement(self, self, self._node_services)
        self._diagnostics = Diagnostics(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still or jump
        self._watch = self.create_timer(WATCHDOG_PERIOD_S, self._on_watchdog, callback_group=MutuallyExclusiveCallbackGroup(), clock=steady)
        self._watchdog_ticks = 0
        self.add_on_set_parameters_callback(self._on_parameters)
        parameters.TABLE.warn_unknown_parameters(self)

    # Lifecycle

    def autostart(self) -> bool:
        """Configure and activate if the parameter `autostart` is true. Return False if a transition failed."""
        transitions = (self.trigger_configure, self.trigger_activate) if self._value("autostart") else ()
        return all(transition() == TransitionCallbackReturn.SUCCESS for transition in transitions)

    @log_transition_errors
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the networks and start the threads."""
        problem = parameters.TABLE.check({parameter.name: self._value(parameter.name) for parameter in parameters.PARAMETERS})
        if problem:
            return self._failed(problem)
        try:
            session = self._make_session()
        except (WeightsError, PromptError, OSError) as error:
            return self._failed(str(error))
        except Exception as error:  # rclpy would end the transition silently; also out of GPU memory
            return self._failed(f"could not load the networks: {type(error).__name__}: {error}", traceback.format_exc())
        self._rates = Rates()
        # The engine is created first, because it closes the session if the rest fails.
        self.engine = EngineThread(session, self._on_result, self._node_services.wake)
        self._outputs = Outputs(self, self._value("publish_tf"), self._value("tf_prefix"), self._warn)
        self._outputs.overlay_opacity = self._value("overlay_opacity")
        self._outputs.depth_wait_s = self._value("depth_wait_s")
        self.image_requests = ImageRequests(session.tracker.segmenter, session.detector)
        self.get_logger().info(f"ready: {self._setup}")
        return super().on_configure(state)

    def _failed(self, problem: str, details: str = "") -> TransitionCallbackReturn:
        self.problem = problem
        self.get_logger().error("\n".join(filter(None, (problem, details))))
        return TransitionCallbackReturn.FAILURE

    def _make_session(self) -> Session:
        self.get_logger().info(f"loading segmenter {self._value('segmenter')}, detector {self._value('detector') or 'none'}")
        self.detection_threshold = self._value("detection_threshold")
        session = make_session(self._value)
        self._device = str(session.tracker.segmenter.device)
        self._setup = describe_session(session, self._value("policy"))
        self._uses_depth = session.tracker.policy.uses_depth
        return session

    @log_transition_errors
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe images, depth and clicked points."""
        qos = self._value("image_qos")
        is_raw = self._value("image_transport") == "raw"
        topic, callback = (COLOR_IMAGE, self._on_image) if is_raw else (COLOR_COMPRESSED, self._on_compressed)
        self._color = QosMatchingSubscription(self, topic, callback, self._images, qos)
        if self._value("use_depth") and self._outputs is not None:
            registration, transport = self._value("depth_registration"), self._value("depth_transport")
            slop_s = partial(self._value, "depth_slop_s")
            self._depth = DepthSource(self, self._images, qos, registration, slop_s, self._outputs.wake, transport)
            self._outputs.depth_source = self._depth
        self._clicks = ClickedPoints(
            self, self._images, lambda: View(self.last_header.frame_id, self._image_size), lambda: self.engine, self.skipped, self._warn
        )
        self.get_logger().info(f"listening to {self._color.topic}")
        return super().on_activate(state)

    @log_transition_errors
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe. Objects and prompts stay."""
        self._unsubscribe()
        return super().on_deactivate(state)

    @log_transition_errors
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the networks. Objects and prompts are removed."""
        self._stop()
        free_unused()
        return super().on_cleanup(state)

    @log_transition_errors
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End all threads and free the networks."""
        self._stop()
        free_unused()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End everything after a transition raised an exception, so that the node can be configured again."""
        self._stop()
        free_unused()
        return super().on_error(state)

    def _unsubscribe(self) -> None:
        if self._outputs is not None:
            self._outputs.depth_source = None
        for source in (self._color, self._depth, self._clicks):
            if source is not None:
                source.close()
        self._color, self._depth, self._clicks = None, None, None

    def _stop(self) -> None:
        self._unsubscribe()
        if self.image_requests is not None:
            self.image_requests.close()
            self.image_requests = None
        if self.engine is not None:
            self.engine.close()
            self.engine = None
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None
        self.latest_color, self._last_stamp = None, 0

    def destroy_node(self) -> None:
        """End the threads, then destroy the node."""
        self._refinement.close()
        self._stop()
        super().destroy_node()

    # Images

    def _on_image(self, msg: Image) -> None:
        self._process(msg.header, lambda: image_to_rgb(msg, self._value("image_bits"), self._warn))

    def _on_compressed(self, msg: CompressedImage) -> None:
        self._process(msg.header, lambda: compressed_to_rgb(msg, self._value("image_bits"), self._warn))

    def _process(self, header: Header, convert: Callable[[], NDArray[np.uint8]]) -> None:
        if self.engine is None:
            return
        try:
            color = convert()
        except ConversionError as error:
            self._skip(error)
            return
        except Exception as error:  # out of memory, or a library that fails on this image; it must not end the node
            self._skip(ConversionError("unexpected", f"{type(error).__name__}: {error}"))
            return
        stamp = stamp_ns(header.stamp)
        if self._last_stamp and stamp < self._last_stamp:
            self.skipped["clock_went_back_kept"] += 1
            self._warn("clock", f"stamps jumped back by {(self._last_stamp - stamp) / 1e9:.3f} s, as in a looping bag: objects are kept")
        self._last_stamp = stamp
        if self._image_size not in (None, color.shape[:2]):
            self.skipped["size_changed_kept"] += 1
            before, now = (f"{width} x {height}" for height, width in (self._image_size, color.shape[:2]))
            self._warn("size", f"the image size changed from {before} to {now}: objects are kept")
        self.latest_color = color
        self.engine.offer(header, lambda: self._make_frame(header, color, stamp))

    def _make_frame(self, header: Header, color: NDArray[np.uint8], stamp: int) -> Frame:
        """Return a frame, with its depth if the policy uses depth and depth is available. Called on the engine's thread."""
        source = self._depth
        if source is not None:
            source.expect(header)
        if source is None or not self._uses_depth:
            return Frame(color, stamp)
        deadline = time.monotonic() + self._value("depth_wait_s")
        while not source.is_settled(header) and time.monotonic() < deadline:
            time.sleep(DEPTH_POLL_S)
        try:
            registered = source.find(header, color.shape[0], color.shape[1])
        except ConversionError as error:
            self.skipped[f"depth_{error.reason}"] += 1
            self._warn(f"policy {error.reason}", f"policy depth has no depth for this image ({error.reason}): {error}")
            return Frame(color, stamp)
        return Frame(color, stamp, registered.depth, registered.camera)

    def _skip(self, error: ConversionError) -> None:
        self.skipped[error.reason] += 1
        self._warn(error.reason, f"image skipped ({error.reason}): {error}")

    def _warn(self, key: str, sentence: str) -> None:
        """Log a warning, at most once every `WARN_EVERY_S` for each key. The counters include every occurrence."""
        now = time.monotonic()
        if now - self._warned.get(key, -WARN_EVERY_S) >= WARN_EVERY_S:
            self._warned[key] = now
            self.get_logger().warning(sentence)

    def _on_result(self, header: Header, frame: Frame, result: FrameResult) -> None:
        self.last_header = header
        self._latency.measure(self.get_clock().now().nanoseconds, frame.stamp_ns)
        if self._outputs is not None:
            self._outputs.put(header, frame, result)

    # Interfaces of `ServiceNode` and `RefinementNode`

    @property
    def refine_share(self) -> float:
        """Value of the parameter `refine_share`."""
        return float(self._value("refine_share"))

    @property
    def save_folder(self) -> str:
        """Value of the parameter `save_folder`."""
        return str(self._value("save_folder"))

    @property
    def _image_size(self) -> tuple[int, int] | None:
        return None if self.latest_color is None else self.latest_color.shape[:2]

    def explain_no_engine(self) -> str:
        """Return a sentence on why the node has no engine, with the fix."""
        name = self.get_fully_qualified_name()
        return f"the node is not configured: run ros2 lifecycle set {name} configure, then ros2 lifecycle set {name} activate"

    def explain_waiting(self) -> str:
        """Return a sentence on why no image arrives."""
        if self._color is None:
            return f"the node is paused: run ros2 lifecycle set {self.get_fully_qualified_name()} activate"
        if self._color.last_arrival is None:
            return f"no image has arrived yet: {self._color.explain_silence()}"
        return f"the last image arrived {self._color.silent_s:.1f} s ago on {self._color.topic}"

    # Watchdog and diagnostics

    def _on_watchdog(self) -> None:
        self._node_services.expire()
        for source in (self._color, self._depth, self._clicks):
            if source is not None:
                source.match_publishers()
        silent = self._color is not None and self._color.silent_s > self._value("no_image_warn_s")
        if silent and self._color is not None:
            self._warn("silent", f"no image for {self._color.silent_s:.1f} s: {self._color.explain_silence()}")
        self._watchdog_ticks += 1
        if self._watchdog_ticks % REPORT_EVERY == 0:
            self._report(silent)
        if self._watchdog_ticks % RETURN_MEMORY_EVERY == 0:
            return_freed_memory()

    def _report(self, silent: bool) -> None:
        if self.engine is None or self._outputs is None:
            self._diagnostics.publish(DiagnosticStatus.STALE, "not configured", {})
            return
        self._latency.warn_once(self.get_logger().warning)
        statistics = self.engine.statistics
        counts = {"received": statistics.received, "processed": statistics.processed}
        values: dict[str, object] = {
            "setup": self._setup,
            "device": self._device,
            **{f"images_{name}_rate_hz": rate for name, rate in self._rates.update(counts).items()},
            "latency_ms_last": self._latency.text,
            **self.engine.metrics,
            **self._outputs.metrics,
            **(self.image_requests.metrics if self.image_requests is not None else {}),
            **self._node_services.metrics,
            "depth_images_received": self._depth.received if self._depth is not None else "off",
            "refinement": self._refinement.state,
            **{f"skipped_{reason}": count for reason, count in sorted(self.skipped.items())},
            "thread_restarts": self.engine.restarts + self._outputs.restarts,
            **memory(self._device),
            "last_error": "; ".join([*self.engine.last_errors, *self._outputs.last_errors]) or "none",
        }
        level, message = summarize(
            silence=self._color.explain_silence() if silent and self._color is not None else "",
            failed_at=max(statistics.failed_at, self._outputs.failed_at),
            last_error=str(values["last_error"]),
            degraded_to=self.engine.degraded_to,
            is_active=self._color is not None,
        )
        self._diagnostics.publish(level, message, values)

    # Parameters

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        values = {change.name: change.value for change in changes}
        problem = parameters.TABLE.check(values)
        fixed = [name for name in values if name in parameters.TABLE.by_name and not parameters.TABLE.by_name[name].dynamic]
        if not problem and fixed and self.engine is not None:
            problem = f"{fixed[0]} is fixed while the node is configured: run the cleanup transition first, or set it at start"
        if problem:
            return SetParametersResult(successful=False, reason=problem)
        self._apply(values)
        return SetParametersResult(successful=True)

    def _apply(self, values: dict[str, Any]) -> None:
        if "detection_threshold" in values:
            self.detection_threshold = values["detection_threshold"]
        for name in ("overlay_opacity", "depth_wait_s"):
            if name in values and self._outputs is not None:
                setattr(self._outputs, name, values[name])
        if self.engine is not None:
            self.engine.call(lambda session: change_session(session, values))


def main(args: list[str] | None = None) -> NoReturn:
    """Run one node until it is told to stop, then end the process. The exit code is 1 if the node could not start."""
    check_command_line("track_node", "Track named objects in the images of a camera.", parameters.TABLE.rows, args)
    configure_process()
    run_node("track_node", TrackNode, args, TrackNode.autostart)
