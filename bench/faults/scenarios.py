# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One function per fault: it injects the fault into a running node and returns the outcome.

`full` selects a longer and harder version than a test needs.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.qos import ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from bench.faults.rig import PERIOD_S, Rig
from lang2segtrack.srv import AddBoxPrompt, AddTextPrompt, ListTracks, RemoveTrack

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Outcome:
    """Outcome of a fault.

    Attributes:
        fault: description of the fault.
        lost, shown: number of images without a result, and number of published images, from the start of the fault to the recovery.
        replaced: number of lost images that newer ones replaced because the machine was too slow. The fault did not cause these.
        recovery_s: seconds from the end of the fault to the first image on which every object is found with its id; infinity for never.
        ids_kept: True when every object was found again with its id.
        prompts_kept: True when every request during the fault was completed, or refused with a reason.
        words: messages of /diagnostics during the fault.
        details: further numbers.
    """

    fault: str
    lost: int
    shown: int
    replaced: int
    recovery_s: float
    ids_kept: bool
    prompts_kept: bool
    words: str
    details: str = ""

    def row(self) -> dict[str, Any]:
        """Return the JSON row."""
        row = asdict(self)
        row["told"] = row.pop("details")  # the key of this column in all reports
        return row


def measure(
    rig: Rig,
    fault: str,
    inject_fault: Callable[[], tuple[bool, str] | None],
    words: Callable[[], str],
) -> Outcome:
    """Prompt the objects, inject the fault, and wait until the node has recovered.

    Args:
        rig: rig with the running node.
        fault: description of the fault.
        inject_fault: injects the fault and ends it. It returns whether the requests were completed, and further numbers.
        words: returns the diagnostics of the fault.
    """
    rig.begin()
    replaced_before = replaced(rig)
    started = time.monotonic()
    kept, details = inject_fault() or (True, "")
    recovery = rig.wait_for_recovery(time.monotonic())
    rig.spin(1.0, lambda: rig.count_lost(started)[0] == 0)  # wait for pending results
    lost, shown = rig.count_lost(started)
    lost_to_load = min(lost, replaced(rig) - replaced_before)
    return Outcome(fault, lost, shown, lost_to_load, round(recovery, 2), bool(np.isfinite(recovery)), kept, words(), details)


def replaced(rig: Rig) -> int:
    """Return how many images the node has replaced by newer ones so far."""
    rig.values = {}
    rig.spin(5.0, lambda: bool(rig.values))
    return int(rig.values.get("images_replaced", 0))


def value(rig: Rig, *keys: str) -> Callable[[], str]:
    """Return a function that reads the next diagnostics values.

    Args:
        rig: rig with the running node.
        *keys: keys of the values.
    """

    def read() -> str:
        rig.values = {}
        rig.spin(5.0, lambda: bool(rig.values))
        return "; ".join(f"{key}: {rig.values.get(key, '-')}" for key in keys)

    return read


def wait_for_message(rig: Rig, words: str, show_images: bool = False, limit_s: float = 10.0) -> str:
    """Wait until the diagnostics message contains some words.

    Args:
        rig: rig with the running node.
        words: words to wait for.
        show_images: True publishes images meanwhile.
        limit_s: longest time to wait.

    Returns:
        The latest diagnostics message.
    """
    rig.status_message = ""  # discard a message from before the fault
    end = time.monotonic() + limit_s
    while words not in rig.status_message and time.monotonic() < end:
        rig.run(PERIOD_S) if show_images else rig.spin(PERIOD_S)
    return rig.status_message


def camera_stops(rig: Rig, full: bool) -> Outcome:
    """Stop publishing for a while, then resume with the same publisher."""
    messages: list[str] = []

    def inject_fault() -> tuple[bool, str]:
        rig.spin(5.0 if full else 2.5)
        messages.append(wait_for_message(rig, "color/image_raw"))
        future = rig.ask(AddTextPrompt, "add_text_prompt", text="purple cross", mode="once")
        rig.spin(1.0)
        rig.run(4.0)
        return future.done() and bool(future.result().success or future.result().message), ""

    return measure(rig, "camera stops and returns", inject_fault, lambda: messages[0])


def camera_replaced(rig: Rig, full: bool) -> Outcome:
    """Replace the camera's publisher by one with another quality of service."""
    messages: list[str] = []

    def inject_fault() -> None:
        rig.disconnect_camera()
        rig.spin(2.0)
        messages.append(wait_for_message(rig, "nobody publishes"))
        rig.connect_camera(ReliabilityPolicy.BEST_EFFORT)
        rig.spin(1.5)

    try:
        return measure(rig, "camera driver dies and returns with another QoS", inject_fault, lambda: messages[0])
    finally:
        rig.disconnect_camera()
        rig.connect_camera()
        rig.spin(1.5)


def resolution(rig: Rig, full: bool) -> Outcome:
    """Change the image size, and the aspect ratio, in mid-stream."""

    def at(width: int, height: int) -> Callable[[Image], tuple[Image, str]]:
        return lambda color: (cv2.resize(color, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8), "rgb8")

    def inject_fault() -> None:
        for size in ((640, 480), (160, 120), (320, 180), (333, 251))[: 4 if full else 2]:
            rig.run(2.0 if full else 1.0, at(*size))

    return measure(rig, "resolution changes in mid-stream", inject_fault, value(rig, "skipped_size_changed_kept"))


def encoding(rig: Rig, full: bool) -> Outcome:
    """Change the image encoding in mid-stream, also to an unknown one."""
    changes: list[Callable[[Image], tuple[Image, str]]] = [
        lambda color: (np.ascontiguousarray(color[..., ::-1]), "bgr8"),
        lambda color: (color, "klingon8"),
        lambda color: (cv2.cvtColor(color, cv2.COLOR_RGB2BGRA).astype(np.uint8), "bgra8"),
        lambda color: (color[:, : color.shape[1] // 2], "rgb8"),
    ]

    def inject_fault() -> None:
        for change in changes[: 4 if full else 2]:
            rig.run(1.0, change)

    return measure(rig, "encoding changes, known and unknown", inject_fault, value(rig, "skipped_unknown_encoding"))


def clock(rig: Rig, full: bool) -> Outcome:
    """Let stamps jump, as a looping bag or a clock adjustment does."""

    def inject_fault() -> None:
        for jump_s in (-5, 3600, -7200, 86_400, -0.5)[: 5 if full else 3]:
            rig.stamp_ns += int(jump_s * 1e9)
            rig.run(1.0)

    return measure(rig, "clock jumps back and forth", inject_fault, value(rig, "skipped_clock_went_back_kept"))


def memory(rig: Rig, full: bool, fault: str, number: float, name: str) -> Outcome:
    """Let the device run out of memory while a prompt is pending. `number` is the threshold of the injected fault."""
    messages: list[str] = []

    def inject_fault() -> tuple[bool, str]:
        future = rig.ask(AddTextPrompt, "add_text_prompt", text="purple cross", mode="once")
        rig.inject(fault, number)
        rig.run(3.0)
        messages.append(wait_for_message(rig, "out of memory", show_images=True))
        answered = rig.spin(5.0, future.done)
        rig.clear_fault(fault)
        return answered and bool(future.result().success), value(rig, "memory_settings")()

    return measure(rig, name, inject_fault, lambda: messages[0])


def memory_objects(rig: Rig, full: bool) -> Outcome:
    """Leave memory for one object at a time."""
    return memory(rig, full, "objects_at_once", 1, "out of memory: too many objects at once")


def memory_images(rig: Rig, full: bool) -> Outcome:
    """Leave memory for small images only."""
    return memory(rig, full, "image_size", 130, "out of memory: images too large")


def memory_detector(rig: Rig, full: bool) -> Outcome:
    """Leave too little memory for the detector."""
    return memory(rig, full, "detector_size", 150, "out of memory: detector")


def memory_gone(rig: Rig, full: bool) -> Outcome:
    """Leave no memory at all for a while, so the node can only wait."""
    messages: list[str] = []

    def inject_fault() -> tuple[bool, str]:
        rig.inject("image_size", 1)
        future = rig.ask(AddTextPrompt, "add_text_prompt", text="purple cross", mode="once")
        rig.run(3.0)
        messages.append(wait_for_message(rig, "out of memory", show_images=True))
        rig.clear_fault("image_size")
        rig.run(3.0)
        found = any(track.label == "purple cross" for _, message in rig.received.values() for track in message.tracks)
        return future.done() and found, ""

    return measure(rig, "out of memory: no memory at all for 3 s", inject_fault, lambda: messages[0])


def exception_in(rig: Rig, full: bool, where: str, times: int) -> Outcome:
    """Raise an unexpected exception inside the node, a number of times; `where` is the name of the injected fault."""

    def inject_fault() -> tuple[bool, str]:
        future = rig.ask(AddTextPrompt, "add_text_prompt", text="purple cross", mode="once")
        rig.inject(where, times)
        rig.run(3.0)
        return rig.spin(5.0, future.done) and bool(future.result().success), ""

    return measure(rig, f"exception in the {where.replace('_', ' ')}", inject_fault, value(rig, "thread_restarts", "last_error"))


def engine_raises(rig: Rig, full: bool) -> Outcome:
    """Raise in the loop of the thread that owns the tracker."""
    return exception_in(rig, full, "engine", 3)


def engine_exits(rig: Rig, full: bool) -> Outcome:
    """Call sys.exit on the thread that owns the tracker."""
    return exception_in(rig, full, "engine_exit", 1)


def publisher_raises(rig: Rig, full: bool) -> Outcome:
    """Raise in the loop of the thread that publishes."""
    return exception_in(rig, full, "publisher", 3)


def detector_raises(rig: Rig, full: bool) -> Outcome:
    """Let the detector fail twice."""
    return exception_in(rig, full, "detector", 2)


def callback_raises(rig: Rig, full: bool) -> Outcome:
    """Raise during the conversion of an image."""
    return exception_in(rig, full, "callback", 3)


def slow_subscriber(rig: Rig, full: bool) -> Outcome:
    """Add a subscriber that needs a second per message; then suspend it with open connections."""

    def inject_fault() -> tuple[bool, str]:
        subscriber = rig.processes.start("slow", [sys.executable, "-m", "bench.faults.listener", "1.0"])
        rig.spin(20.0, lambda: "listening" in rig.processes.log("slow"))
        rig.run(5.0 if full else 3.0)
        subscriber.send_signal(signal.SIGSTOP)
        rig.run(40.0 if full else 6.0)
        subscriber.send_signal(signal.SIGKILL)
        subscriber.wait()
        return True, value(rig, "results_dropped")()

    return measure(rig, "slow subscriber, then a suspended one", inject_fault, lambda: "")


def flood(rig: Rig, full: bool) -> Outcome:
    """Send far more requests at once than the node is made for."""
    count = 1000 if full else 100

    def inject_fault() -> tuple[bool, str]:
        started = time.monotonic()
        futures = [rig.ask(ListTracks, "list_tracks") for _ in range(count)]
        futures += [rig.ask(AddTextPrompt, "add_text_prompt", text="purple cross", mode="once") for _ in range(count // 5)]
        futures += [rig.ask(AddBoxPrompt, "add_box_prompt", x_min=-9.0, x_max=-5.0, y_max=9.0) for _ in range(count // 2)]
        futures += [rig.ask(RemoveTrack, "remove_track", track_id=4_000_000_000) for _ in range(count // 2)]
        while time.monotonic() - started < 60.0 and not all(future.done() for future in futures):
            rig.run(0.2)
        done = sum(future.done() for future in futures)
        return done == len(futures), f"{done} of {len(futures)} requests answered within {time.monotonic() - started:.1f} s"

    return measure(rig, "flood of service requests", inject_fault, lambda: "")


def parameters(rig: Rig, full: bool) -> Outcome:
    """Change parameters while images arrive, to valid and invalid values."""
    integer, number = ParameterType.PARAMETER_INTEGER, ParameterType.PARAMETER_DOUBLE

    def inject_fault() -> tuple[bool, str]:
        futures = []
        for number_of_change in range(100 if full else 20):
            values = [
                Parameter(name="detect_every", value=ParameterValue(type=integer, integer_value=1 + number_of_change % 7)),
                Parameter(
                    name="lost_after_s",
                    value=ParameterValue(type=number, double_value=[0.5, 2.0, float("nan"), -1.0][number_of_change % 4]),
                ),
                Parameter(name="overlay_opacity", value=ParameterValue(type=number, double_value=number_of_change / 40)),
            ]
            futures.append(rig.ask(SetParameters, "track_node/set_parameters", parameters=values))
            rig.run(0.1)
        rig.spin(10.0, lambda: all(future.done() for future in futures))
        results = [result for future in futures if future.done() for result in future.result().results]
        refused = sum(not result.successful for result in results)
        details = all(result.successful or result.reason for result in results)
        return details and len(results) == 3 * len(futures), f"{len(results)} changes, {refused} refused with a reason"

    return measure(rig, "parameters change in flight", inject_fault, lambda: "")


def simulated_time(rig: Rig, full: bool) -> Outcome:
    """Let /clock jump and then stand still. The rig must use use_sim_time."""
    publisher = rig.node.create_publisher(Clock, "/clock", 10)

    def tick(seconds: float) -> None:
        publisher.publish(Clock(clock=Time(sec=int(seconds))))
        rig.stamp_ns = int(seconds * 1e9)

    def inject_fault() -> tuple[bool, str]:
        for now in (1000, 1001, 5000, 10, 12):
            tick(now)
            rig.run(1.0)
        future = rig.ask(AddBoxPrompt, "add_box_prompt", x_max=50.0, y_max=50.0)  # neither images nor clock messages follow
        rig.values = {}
        answered = rig.spin(8.0, future.done)
        return answered and bool(rig.values), "diagnostics and services continue while the clock stands still"

    return measure(rig, "simulated time jumps and stands still", inject_fault, lambda: "")


SCENARIOS: tuple[Callable[[Rig, bool], Outcome], ...] = (
    camera_stops,
    camera_replaced,
    resolution,
    encoding,
    clock,
    engine_raises,
    engine_exits,
    publisher_raises,
    detector_raises,
    callback_raises,
    flood,
    parameters,
    slow_subscriber,
    memory_objects,
    memory_detector,
    memory_images,
    memory_gone,
)
"""All faults. The memory faults come last, because the node stays degraded after them."""
