# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`track_node`: configure loads the networks, activate subscribes, deactivate pauses, cleanup frees the device.

The class owns no process state: context, namespace and parameter overrides come from outside, and several nodes run in one process.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from dataclasses import fields
from pathlib import Path
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

from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.identity.track_registry import IdentityOptions
from lang2segtrack_ros.io.image_messages import ConversionError, compressed_to_rgb, image_to_rgb, stamp_ns
from lang2segtrack_ros.models.cache import free_unused, shared_detector, shared_segmenter
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.ros.inputs.clicked_points import ClickedPoints, View
from lang2segtrack_ros.ros.inputs.depth import DepthSource
from lang2segtrack_ros.ros.inputs.subscription import QosMatchingSubscription
from lang2segtrack_ros.ros.outputs.diagnostics import Diagnostics
from lang2segtrack_ros.ros.outputs.publisher import Outputs
from lang2segtrack_ros.ros.services.image_requests import ImageRequests
from lang2segtrack_ros.ros.services.prompt_services import Services
from lang2segtrack_ros.ros.services.refinement import Refinement
from lang2segtrack_ros.ros.support import parameters
from lang2segtrack_ros.ros.support.process import configure_process, run_node
from lang2segtrack_ros.ros.support.transitions import log_transition_errors
from lang2segtrack_ros.runtime.allocator import return_freed_memory
from lang2segtrack_ros.runtime.metrics import Rates, memory
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import PromptError, TextPrompt
from lang2segtrack_ros.types.results import FrameResult

WARN_EVERY_S = 5.0
DEPTH_POLL_S = 0.002
WATCHDOG_PERIOD_S = 0.5
REPORT_EVERY, TIDY_EVERY = 2, 120
"""Looks around from one report to the next, and from one return of freed memory to the next."""
RECENT_S = 10.0
"""Failures show in the level of diagnostics for this long; the counters keep them."""


class TrackNode(LifecycleNode):
    """Tracks named objects in a camera's images. See `parameters`, `services` and `outputs` for what it offers."""

    def __init__(self, node_name: str = "track_node", **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self.engine: EngineThread[Header] | None = None
        self.image_requests: ImageRequests | None = None
        self.images_seen = False
        self.last_header = Header()
        self.detection_threshold = 0.0
        self.refused: Counter[str] = Counter()
        self.problem = ""  # why the last transition failed
        self._outputs: Outputs | None = None
        self._color: QosMatchingSubscription | None = None
        self._depth: DepthSource | None = None
        self._clicks: ClickedPoints | None = None
        self._described = ""
        self._device = ""
        self._uses_depth = False
        self._last_stamp = 0
        self._size: tuple[int, int] | None = None
        self._latency_s = 0.0
        self._rates = Rates()
        self._warned: dict[str, float] = {}
        self._images = MutuallyExclusiveCallbackGroup()
        try:
            parameters.TABLE.declare(self)
        except Exception:  # a parameter of a wrong type or out of its range; in a container the rest of the process goes on
            super().destroy_node()
            raise
        self._prompting = Services(self, self)
        self._refinement = Refinement(self, self, self._prompting)
        self._diagnostics = Diagnostics(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still or jump
        self._watch = self.create_timer(WATCHDOG_PERIOD_S, self._on_watchdog, callback_group=MutuallyExclusiveCallbackGroup(), clock=steady)
        self._watchdog_ticks = 0
        self.add_on_set_parameters_callback(self._on_parameters)
        parameters.TABLE.warn_unknown_parameters(self)

    # Life cycle

    def autostart(self) -> bool:
        """Configures and activates, when the parameter says so; False when that failed."""
        if not self._value("autostart"):
            return True
        if self.trigger_configure() != TransitionCallbackReturn.SUCCESS:
            return False
        return bool(self.trigger_activate() == TransitionCallbackReturn.SUCCESS)

    @log_transition_errors
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the networks."""
        problem = parameters.TABLE.check({parameter.name: self._value(parameter.name) for parameter in parameters.PARAMETERS})
        if problem:
            return self._failed(problem)
        try:
            session = self._make_session()
        except (WeightsError, PromptError, OSError) as error:
            return self._failed(str(error))
        except Exception as error:  # rclpy would end the transition without a word; out of GPU memory comes here
            return self._failed(f"the networks could not be loaded: {type(error).__name__}: {error}", traceback.format_exc())
        self._rates = Rates()
        self.engine = EngineThread(session, self._on_result, self._prompting.wake)  # first: it ends the session if the rest fails
        self._outputs = Outputs(self, self._value("publish_tf"), self._value("tf_prefix"), self._warn)
        self._outputs.overlay_opacity = self._value("overlay_opacity")
        self._outputs.depth_wait_s = self._value("depth_wait_s")
        self.image_requests = ImageRequests(session.tracker.segmenter, session.detector)
        self.get_logger().info(f"ready: {self._described}")
        return super().on_configure(state)

    def _failed(self, problem: str, details: str = "") -> TransitionCallbackReturn:
        self.problem = problem
        self.get_logger().error("\n".join(filter(None, (problem, details))))
        return TransitionCallbackReturn.FAILURE

    def _make_session(self) -> Session:
        device, dtype = self._value("device"), self._value("dtype")
        self.get_logger().info(f"loading segmenter {self._value('segmenter')}, detector {self._value('detector') or 'none'}")
        segmenter = shared_segmenter(self._value("segmenter"), device, self._value("image_size") or None, dtype, self._value("compiled"))
        passes = self._value("detector_passes")
        detector = shared_detector(self._value("detector"), device, dtype, passes) if self._value("detector") else None
        self._device = str(segmenter.device)
        self._described = (
            f"segmenter {segmenter.name} at {segmenter.image_size} px, detector {detector.name if detector else 'none'}, "
            f"policy {self._value('policy')}, device {segmenter.device}"
        )
        session = Session(
            segmenter,
            detector,
            self._value("policy"),
            background=self._value("background_detector"),
            history=self._make_history(),
            options=SessionOptions(
                detect_every=self._value("detect_every"),
                max_objects=self._value("max_objects"),
                min_region_ratio=self._value("min_region_ratio"),
                lost_after_s=self._value("lost_after_s"),
                remove_after_s=self._value("remove_after_s"),
                identity=IdentityOptions(**{item.name: self._value(item.name) for item in fields(IdentityOptions)}),
                scene_cut_threshold=self._value("scene_cut_threshold"),
            ),
        )
        self._uses_depth = session.tracker.policy.uses_depth
        self.detection_threshold = self._value("detection_threshold")
        if self._value("text"):
            try:
                session.prompt(TextPrompt(self._value("text"), threshold=self.detection_threshold or None))
            except PromptError:
                session.close()
                raise
        return session

    def _make_history(self) -> FrameHistory | None:
        if not self._value("history_s"):
            return None
        folder = Path(self._value("history_folder")).expanduser() if self._value("history_folder") else None
        bounds = self._value("history_s"), self._value("history_mb") << 20
        return FrameHistory(*bounds, folder, keep_features=self._value("history_features"))

    @log_transition_errors
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes."""
        qos = self._value("image_qos")
        if self._value("image_transport") == "raw":
            self._color = QosMatchingSubscription(self, Image, "color/image_raw", self._on_image, self._images, qos)
        else:
            self._color = QosMatchingSubscription(
                self, CompressedImage, "color/image_raw/compressed", self._on_compressed, self._images, qos
            )
        if self._value("use_depth") and self._outputs is not None:
            self._depth = DepthSource(
                self, self._images, qos, self._value("depth_registration"), lambda: float(self._value("depth_slop_s")), self._outputs.wake
            )
            self._outputs.depth_source = self._depth
        self._clicks = ClickedPoints(
            self,
            self._images,
            lambda: View(self.last_header.frame_id, self._size),
            lambda: self.engine,
            self.refused,
            self._warn,
        )
        self.get_logger().info(f"listening to {self._color.topic}")
        return super().on_activate(state)

    @log_transition_errors
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribes; objects and prompts stay."""
        self._unsubscribe()
        return super().on_deactivate(state)

    @log_transition_errors
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees the networks; objects and prompts are gone."""
        self._stop()
        free_unused()
        return super().on_cleanup(state)

    @log_transition_errors
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends everything."""
        self._stop()
        free_unused()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a transition that raised: ends everything, so that the node can be configured anew."""
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
        self.images_seen = False
        self._size, self._last_stamp = None, 0

    def destroy_node(self) -> None:
        """Ends the threads, then the node."""
        self._refinement.close()
        self._stop()
        super().destroy_node()

    # Images

    def _on_image(self, msg: Image) -> None:
        self._take(msg.header, lambda: image_to_rgb(msg))

    def _on_compressed(self, msg: CompressedImage) -> None:
        self._take(msg.header, lambda: compressed_to_rgb(msg))

    def _take(self, header: Header, convert: Any) -> None:
        if self.engine is None:
            return
        try:
            color = convert()
        except ConversionError as error:
            self._refuse(error)
            return
        except Exception as error:  # memory, or a library that breaks on this one image; it must not end the node
            self._refuse(ConversionError("unexpected", f"{type(error).__name__}: {error}"))
            return
        stamp = stamp_ns(header.stamp)
        if self._last_stamp and stamp < self._last_stamp:
            self.refused["clock_went_back_kept"] += 1
            self._warn("clock", f"stamps went back by {(self._last_stamp - stamp) / 1e9:.3f} s: a bag that loops? Objects are kept")
        self._last_stamp = stamp
        if self._size is not None and self._size != color.shape[:2]:
            self.refused["size_changed_kept"] += 1
            self._warn(
                "size", f"images are now {color.shape[1]} x {color.shape[0]}, before {self._size[1]} x {self._size[0]}; objects are kept"
            )
        self._size = color.shape[:2]
        self.images_seen = True
        self.engine.offer(header, lambda: self._frame(header, color, stamp))

    def _frame(self, header: Header, color: NDArray[np.uint8], stamp: int) -> Frame:
        """An image [H, W, 3], with its depth where the policy looks at depth and there is some; called on the engine's thread."""
        source = self._depth
        if source is not None:
            source.expect(header)
        if source is None or not self._uses_depth:
            return Frame(color, stamp)
        deadline = time.monotonic() + self._value("depth_wait_s")
        while not source.settled(header) and time.monotonic() < deadline:
            time.sleep(DEPTH_POLL_S)
        try:
            seen = source.find(header, color.shape[0], color.shape[1])
        except ConversionError as error:
            self.refused[f"depth_{error.reason}"] += 1
            self._warn(f"policy {error.reason}", f"policy depth works without depth on this image ({error.reason}): {error}")
            return Frame(color, stamp)
        return Frame(color, stamp, seen.depth, seen.camera)

    def _refuse(self, error: ConversionError) -> None:
        self.refused[error.reason] += 1
        self._warn(error.reason, f"image skipped ({error.reason}): {error}")

    def _warn(self, key: str, sentence: str) -> None:
        """Logs a warning, at most every few seconds for one key; the counters have them all."""
        now = time.monotonic()
        if now - self._warned.get(key, -WARN_EVERY_S) >= WARN_EVERY_S:
            self._warned[key] = now
            self.get_logger().warning(sentence)

    def _on_result(self, header: Header, frame: Frame, result: FrameResult) -> None:
        self.last_header = header
        self._latency_s = (self.get_clock().now().nanoseconds - frame.stamp_ns) / 1e9
        if self._outputs is not None:
            self._outputs.put(header, frame, result)

    # Watching

    @property
    def refine_share(self) -> float:
        """See `refinement.Host`."""
        return float(self._value("refine_share"))

    @property
    def save_folder(self) -> str:
        """See `refinement.Host`."""
        return str(self._value("save_folder"))

    def no_engine(self) -> str:
        """See `services.Host`."""
        name = self.get_fully_qualified_name()
        return f"the node is not configured; run: ros2 lifecycle set {name} configure, then activate"

    def waiting_for(self) -> str:
        """See `services.Host`."""
        if self._color is None:
            return f"the node is paused; run: ros2 lifecycle set {self.get_fully_qualified_name()} activate"
        if self._color.last_arrival is None:
            return f"no image has come yet: {self._color.silence_explained()}"
        return f"the last image came {self._color.silent_s:.1f} s ago on {self._color.topic}"

    def _on_watchdog(self) -> None:
        self._prompting.expire()
        for source in (self._color, self._depth, self._clicks):
            if source is not None:
                source.follow()
        silent = self._color is not None and self._color.silent_s > self._value("no_image_warn_s")
        if silent and self._color is not None:
            self._warn("silent", f"no image for {self._color.silent_s:.1f} s: {self._color.silence_explained()}")
        self._watchdog_ticks += 1
        if self._watchdog_ticks % REPORT_EVERY == 0:
            self._report(silent)
        if self._watchdog_ticks % TIDY_EVERY == 0:
            return_freed_memory()

    def _report(self, silent: bool) -> None:
        if self.engine is None or self._outputs is None:
            self._diagnostics.publish(DiagnosticStatus.STALE, "not configured", {})
            return
        statistics = self.engine.statistics
        counts = {"received": statistics.received, "processed": statistics.processed}
        values: dict[str, object] = {
            "setup": self._described,
            "device": self._device,
            **{f"images_{name}_rate_hz": rate for name, rate in self._rates.update(counts).items()},
            "latency_ms_last": f"{1e3 * self._latency_s:.1f}",
            **self.engine.metrics,
            **self._outputs.metrics,
            **(self.image_requests.metrics if self.image_requests is not None else {}),
            **self._prompting.metrics,
            "depth_images_received": self._depth.received if self._depth is not None else "off",
            "refinement": self._refinement.state,
            **{f"skipped_{reason}": count for reason, count in sorted(self.refused.items())},
            "thread_restarts": self.engine.restarts + self._outputs.restarts,
            **memory(self._device),
            "last_error": "; ".join([*self.engine.last_errors, *self._outputs.last_errors]) or "none",
        }
        if silent and self._color is not None:
            self._diagnostics.publish(DiagnosticStatus.WARN, self._color.silence_explained(), values)
        elif time.monotonic() - max(statistics.failed_at, self._outputs.failed_at) < RECENT_S:
            words = f"images fail: {values['last_error']}"
            self._diagnostics.publish(DiagnosticStatus.WARN, words, values)
        elif self.engine.degraded_to:
            self._diagnostics.publish(DiagnosticStatus.WARN, f"out of memory: from now on {self.engine.degraded_to}", values)
        else:
            self._diagnostics.publish(DiagnosticStatus.OK, "tracking" if self._color is not None else "paused", values)

    # Parameters

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        values = {change.name: change.value for change in changes}
        problem = parameters.TABLE.check(values)
        fixed = [name for name in values if name in parameters.TABLE.by_name and not parameters.TABLE.by_name[name].dynamic]
        if not problem and fixed and self.engine is not None:
            problem = f"{fixed[0]} is fixed while the node is configured: clean it up first, or set it at start"
        if problem:
            return SetParametersResult(successful=False, reason=problem)
        self._apply(values)
        return SetParametersResult(successful=True)

    def _apply(self, values: dict[str, Any]) -> None:
        if "detection_threshold" in values:
            self.detection_threshold = values["detection_threshold"]
        if "overlay_opacity" in values and self._outputs is not None:
            self._outputs.overlay_opacity = values["overlay_opacity"]
        if "depth_wait_s" in values and self._outputs is not None:
            self._outputs.depth_wait_s = values["depth_wait_s"]
        if self.engine is None:
            return

        def change(session: Session) -> None:
            session.detect_every = values.get("detect_every", session.detect_every)
            session.lifecycle.lost_after_s = values.get("lost_after_s", session.lifecycle.lost_after_s)
            session.lifecycle.remove_after_s = values.get("remove_after_s", session.lifecycle.remove_after_s)

        self.engine.call(change)


def main(args: list[str] | None = None) -> NoReturn:
    """Runs one node until it is told to stop, and ends the process; exit code 1 when it could not start."""
    configure_process()
    run_node("track_node", TrackNode, args, TrackNode.autostart)
