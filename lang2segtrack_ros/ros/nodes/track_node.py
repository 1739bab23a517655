# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`track_node`, a lifecycle node: configure loads the networks, activate subscribes, deactivate pauses, cleanup frees the device.

The class owns no process state. Context, namespace and parameter overrides are arguments, so several nodes can run in one process.
"""

from __future__ import annotations

import traceback
from collections import Counter
from functools import partial
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from lang2segtrack_ros.io.image_messages import ConversionError
from lang2segtrack_ros.models.cache import free_unused
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.ros.inputs.clicked_points import ClickedPoints, View
from lang2segtrack_ros.ros.inputs.color_images import ColorImages
from lang2segtrack_ros.ros.inputs.depth import DepthSource
from lang2segtrack_ros.ros.inputs.receive_thread import ReceiveThread
from lang2segtrack_ros.ros.outputs.node_status import NodeStatus
from lang2segtrack_ros.ros.outputs.publisher import Outputs
from lang2segtrack_ros.ros.services.image_requests import ImageRequests
from lang2segtrack_ros.ros.services.prompt_services import Services
from lang2segtrack_ros.ros.services.refinement import Refinement
from lang2segtrack_ros.ros.services.tracking_goals import TrackingGoals
from lang2segtrack_ros.ros.support import parameters, qos_overrides
from lang2segtrack_ros.ros.support.command_line import check_command_line
from lang2segtrack_ros.ros.support.output_options import OutputOptions, find_problem
from lang2segtrack_ros.ros.support.parameter_table import TableNode
from lang2segtrack_ros.ros.support.process import Wait, configure_process, poll, run_node
from lang2segtrack_ros.ros.support.repeated_warnings import RepeatedWarnings
from lang2segtrack_ros.ros.support.session_factory import change_session, describe_session, make_session
from lang2segtrack_ros.ros.support.session_loading import SessionLoading
from lang2segtrack_ros.ros.support.transitions import CheckedTransitions, log_transition_errors
from lang2segtrack_ros.runtime.allocator import return_freed_memory
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import PromptError
from lang2segtrack_ros.types.results import FrameResult

WATCHDOG_PERIOD_S, LONG_LOAD_S = 0.5, 5.0
REPORT_EVERY, RETURN_MEMORY_EVERY = 2, 120  # watchdog ticks, the second one between two returns of freed memory to the system


class TrackNode(TableNode, CheckedTransitions, LifecycleNode):
    """Node that tracks named objects in the images of a camera.

    `support.interfaces` declares its topics and services, `support.parameters` its parameters.

    Attributes:
        engine: engine of the configured node, otherwise None.
        loading: networks that are being loaded, otherwise None.
        image_requests: queue of single images of the configured node, otherwise None.
        last_header: header of the last processed image.
        detection_threshold: default threshold of detections. 0 uses the detector's own.
        everything: names that "everything" stands for in instructions. Empty uses those known for the detector.
        skipped: number of skipped images and clicks, and of jumps in the stream, by reason.
        problem: sentence on why the last transition failed. Empty after a success.
    """

    table = parameters.TABLE

    def __init__(self, node_name: str = "track_node", **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self.engine: EngineThread[Header] | None = None
        self.image_requests: ImageRequests | None = None
        self.last_header = Header()
        self.detection_threshold, self.everything = 0.0, ""
        self.skipped: Counter[str] = Counter()
        self.problem = ""
        self._outputs: Outputs | None = None
        self._color: ColorImages | None = None
        self._depth: DepthSource | None = None
        self._clicks: ClickedPoints | None = None
        self._uses_depth = False
        self._warn = RepeatedWarnings(self.get_logger().warning)
        self.loading: SessionLoading | None = None
        self._is_active = False
        self._receiver: ReceiveThread | None = None
        try:
            parameters.TABLE.declare(self)
        except Exception:  # a parameter of a wrong type or out of range; in a container, the rest of the process continues
            super().destroy_node()
            raise
        self._node_services = Services(self, self)
        self._refinement = Refinement(self, self, self._node_services)
        self._goals = TrackingGoals(self, self, self._node_services, lambda: self._outputs)
        self._status = NodeStatus(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still or jump
        self._watch = self.create_timer(WATCHDOG_PERIOD_S, self._on_watchdog, callback_group=MutuallyExclusiveCallbackGroup(), clock=steady)
        self._watchdog_ticks = 0
        self.add_on_set_parameters_callback(self._on_parameters)
        parameters.TABLE.warn_unknown_parameters(self)

    # Lifecycle

    def autostart(self, wait: Wait = poll) -> bool:
        """Configure and activate if the parameter `autostart` is true. Return False if a transition failed.

        Args:
            wait: waits until a condition holds. The node may work meanwhile.
        """
        if not self._value("autostart"):
            return True
        if self.trigger_configure() != TransitionCallbackReturn.SUCCESS:
            return False
        wait(self._finish_loading)
        if self.engine is None or not self.context.ok():  # the load failed, another transition or a signal stopped it
            return not self.problem and self.context.ok()
        return self._is_active or bool(self.trigger_activate() == TransitionCallbackReturn.SUCCESS)

    @log_transition_errors
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to load the networks, and wait `configure_wait_s` for them. `_finish_loading` does the rest."""
        problem = find_problem({parameter.name: self._value(parameter.name) for parameter in parameters.PARAMETERS})
        if problem:
            return self._failed(problem)
        self.get_logger().info(f"loading segmenter {self._value('segmenter')}, detector {self._value('detector') or 'none'}")
        self.loading = SessionLoading(partial(make_session, self._value))
        if self.loading.wait(self._value("configure_wait_s")) and not self._use_session():
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def _finish_loading(self) -> bool:
        """Use the session if it is loaded. Return False while it is loading. After a failure, the node is unconfigured again."""
        if self.loading is None or not self.loading.is_finished:
            return self.loading is None
        was_active = self._is_active
        if self._use_session():
            if was_active:
                self._subscribe()
        else:
            problem = self.problem
            for transition in (self.trigger_deactivate, self.trigger_cleanup) if was_active else (self.trigger_cleanup,):
                transition()
            self.problem = problem
        return True

    def _use_session(self) -> bool:
        """Start the threads with the loaded session. Return False after a failure."""
        assert self.loading is not None
        loading, self.loading = self.loading, None
        try:
            self._start(loading.take())
        except (WeightsError, PromptError, OSError) as error:
            self._failed(str(error))
        except Exception as error:  # rclpy would end the transition silently; also out of GPU memory
            self._failed(f"could not load the networks: {type(error).__name__}: {error}", traceback.format_exc())
        else:
            self.get_logger().info(f"ready after {loading.seconds:.1f} s: {self._status.setup}")
            return True
        finally:
            loading.settled.set_result(None)  # services that wait now answer
        self._stop()
        return False

    def _start(self, session: Session) -> None:
        self.engine = EngineThread(session, self._on_result, self._node_services.wake)  # first: it closes the session if the rest fails
        self._status.begin(describe_session(session, self._value("policy")), str(session.tracker.segmenter.device))
        self._uses_depth = session.tracker.policy.uses_depth
        self._outputs = Outputs(self, OutputOptions.read(self._value), self._warn)
        self.image_requests = ImageRequests(session.tracker.segmenter, session.detector)
        self._color = ColorImages(self, self._offer, self._pass_over, partial(self._value, "image_bits"), self.skipped, self._warn)
        self._apply({name: self._value(name) for name in ("detection_threshold", "everything", "overlay_opacity", "depth_wait_s")})

    def _failed(self, problem: str, details: str = "") -> TransitionCallbackReturn:
        self.problem = problem
        self.get_logger().error("\n".join(filter(None, (problem, details if self.context.ok() else ""))))
        return TransitionCallbackReturn.FAILURE

    @log_transition_errors
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe images, depth and clicked points, now or when the networks are loaded."""
        if self.loading is None:
            self._subscribe()
        self._is_active = True
        return super().on_activate(state)

    def _subscribe(self) -> None:
        qos = self._value("image_qos")
        assert self._color is not None
        self._receiver = receiver = ReceiveThread(self.context)
        self._color.open(self._value("image_transport"), receiver, qos)
        if self._value("use_depth") and self._outputs is not None:
            registration, transport = self._value("depth_registration"), self._value("depth_transport")
            slop_s = partial(self._value, "depth_slop_s")
            self._depth = DepthSource(self, receiver, qos, registration, slop_s, self._outputs.wake, transport)
            self._outputs.resume(self._depth, receiver)
        self._clicks = ClickedPoints(self, receiver, self._view, lambda: self.engine, self.skipped, self._warn)
        for name in qos_overrides.unused(self):
            self._warn(name, f"parameter {name} has no effect: the node has no such publisher or subscription")

    def _view(self) -> View:
        return View(self.last_header.frame_id, self._color.size if self._color is not None else None)

    @log_transition_errors
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe. Objects and prompts stay."""
        self._is_active = False
        self._unsubscribe()
        return super().on_deactivate(state)

    @log_transition_errors
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the networks. Objects and prompts are removed."""
        self._stop()
        return super().on_cleanup(state)

    @log_transition_errors
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End all threads and free the networks."""
        self._stop()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End everything after a transition raised an exception, so that the node can be configured again."""
        self._stop()
        return super().on_error(state)

    def _unsubscribe(self) -> None:
        if self._outputs is not None:
            self._outputs.pause()
        for source in (self._color, self._depth, self._clicks):
            if source is not None:
                source.close()
        self._depth, self._clicks = None, None
        if self._receiver is not None:
            self._receiver.close()
            self._receiver = None

    def _stop(self) -> None:
        self._is_active = False
        self._unsubscribe()
        if self.loading is not None:
            self.loading.abandon()
            self.loading = None
        if self.image_requests is not None:
            self.image_requests.close()
            self.image_requests = None
        if self.engine is not None:
            self.engine.close()
            self.engine = None
        if self._outputs is not None:
            self._outputs.close()
        self._outputs = self._color = None
        free_unused()

    def destroy_node(self) -> None:
        """End the threads, then destroy the node."""
        self._refinement.close()
        self._goals.close()
        self._stop()
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()  # rclpy forgets it: the node would stay in the graph, its memory in /dev/shm

    # Images

    def _offer(self, header: Header, color: NDArray[np.uint8], stamp: int) -> None:
        if self.engine is not None:
            self.engine.offer(header, lambda: self._make_frame(header, color, stamp))

    def _pass_over(self) -> bool:
        """Count an image that neither the engine nor a subscriber needs, and return True. Otherwise return False."""
        engine, outputs = self.engine, self._outputs
        if engine is None or outputs is None or not engine.is_idle or outputs.are_watched:
            return False
        engine.count_idle()
        return True

    def _make_frame(self, header: Header, color: NDArray[np.uint8], stamp: int) -> Frame:
        """Return a frame, with its depth if policy or instruction use depth and it is available. Called on the engine's thread."""
        frame, source = Frame(color, stamp), self._depth
        if source is not None:
            source.expect(header)
            if self._uses_depth or (self.engine is not None and self.engine.needs_depth):
                try:
                    return source.complete(frame, header, self._value("depth_wait_s"))
                except ConversionError as error:
                    self.skipped[f"depth_{error.reason}"] += 1
                    self._warn(f"depth {error.reason}", f"policy or instruction get no depth for this image ({error.reason}): {error}")
        return frame

    def _on_result(self, header: Header, frame: Frame, result: FrameResult) -> None:
        self.last_header = header
        self._status.latency.measure(self.get_clock().now().nanoseconds, frame.stamp_ns)
        if self._outputs is not None:
            self._outputs.put(header, frame, result)
        self._goals.update(result)

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
    def has_image(self) -> bool:
        """True after the first image since configure."""
        return self._color is not None and self._color.has_image

    @property
    def latest_color(self) -> NDArray[np.uint8] | None:
        """Last image since configure, RGB uint8 [H, W, 3]. None before the first one. Raises ConversionError."""
        return self._color.latest if self._color is not None else None

    def explain_no_engine(self) -> str:
        """Return a sentence on why the node has no engine, with the fix."""
        if self.loading is not None:
            return f"the networks are still loading, for {self.loading.seconds:.0f} s now: try again when /diagnostics says paused"
        change = f"ros2 lifecycle set {self.get_fully_qualified_name()}"
        return f"the node is not configured: run {change} configure, then {change} activate"

    def explain_waiting(self) -> str:
        """Return a sentence on why no image arrives."""
        waiting = self._color.explain_waiting() if self._color is not None else ""
        return waiting or f"the node is paused: run ros2 lifecycle set {self.get_fully_qualified_name()} activate"

    # Watchdog and diagnostics

    def _on_watchdog(self) -> None:
        self._node_services.expire()
        if not self._finish_loading() and self.loading is not None and self.loading.seconds > LONG_LOAD_S:
            self._warn("loading", f"the networks are still loading after {self.loading.seconds:.0f} s")
        color = self._color.subscription if self._color is not None else None
        for source in (color, self._depth, self._clicks, self._outputs):
            if source is not None:
                source.match_publishers()
        silence = self._color.report_silence(self._value("no_image_warn_s")) if self._color is not None else ""
        self._watchdog_ticks += 1
        if self._watchdog_ticks % REPORT_EVERY == 0:
            self._report(silence)
        if self._watchdog_ticks % RETURN_MEMORY_EVERY == 0:
            return_freed_memory()

    def _report(self, silence: str) -> None:
        if self.engine is None or self._outputs is None:
            self._status.publish_unconfigured(self.problem, self.loading)
            return
        color = self._color.subscription if self._color is not None else None
        depth_topic, info_topic = self._depth.topics if self._depth is not None else ("", "")
        parts: dict[str, object] = {
            **({"color_topic": color.topic, "depth_topic": depth_topic, "camera_info_topic": info_topic} if color is not None else {}),
            **(self.image_requests.metrics if self.image_requests is not None else {}),
            **self._node_services.metrics,
            **self._goals.metrics,
            "depth_images_received": self._depth.received if self._depth is not None else "off",
            "refinement": self._refinement.state,
            **{f"skipped_{reason}": count for reason, count in sorted(self.skipped.items())},
        }
        self._status.publish(self.engine, self._outputs, self._receiver, parts, silence)

    # Parameters

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        values = {change.name: change.value for change in changes}
        problem = parameters.TABLE.check(values)
        fixed = [name for name in values if name in parameters.TABLE.by_name and not parameters.TABLE.by_name[name].dynamic]
        if not problem and fixed and (self.engine is not None or self.loading is not None):
            problem = f"{fixed[0]} is fixed while the node is configured: run the cleanup transition first, or set it at start"
        if problem:
            return SetParametersResult(successful=False, reason=problem)
        self._apply(values)
        return SetParametersResult(successful=True)

    def _apply(self, values: dict[str, Any]) -> None:
        for name in values.keys() & {"detection_threshold", "everything"}:
            setattr(self, name, values[name])
        for name in values.keys() & {"overlay_opacity", "depth_wait_s"} if self._outputs is not None else ():
            setattr(self._outputs, name, values[name])
        if self.engine is not None:
            self.engine.call(lambda session: change_session(session, values))


def main(args: list[str] | None = None) -> NoReturn:
    """Run one node until it is told to stop, then end the process. The exit code is 1 if the node could not start."""
    check_command_line("track_node", "Track named objects in the images of a camera.", parameters.TABLE.rows, args)
    configure_process()
    run_node("track_node", TrackNode, args, TrackNode.autostart)
