# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One function for each fault: what is done to a running node, and the outcome. `full` makes it longer and harder than a test needs."""

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
    """What came of a fault.

    Attributes:
        fault: what was done.
        lost, shown: images that got no answer, of those shown from the fault's beginning to the recovery.
        replaced: how many of the lost ones were replaced by newer ones because the machine was too slow, which is no fault's doing.
        recovery_s: from the end of the fault to the first image on which every object is found under its id; infinity for never.
        ids_kept: whether every object was found again under its id.
        prompts_kept: whether everything asked for during the fault was done, or refused with a sentence.
        words: what /diagnostics said, at its worst.
        told: further numbers.
    """

    fault: str
    lost: int
    shown: int
    replaced: int
    recovery_s: float
    ids_kept: bool
    prompts_kept: bool
    words: str
    told: str = ""

    def row(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure(
    rig: Rig, fault: str, act: Callable[[], tuple[bool, str] | None], words: Callable[[], str], during: Callable[[], Any] | None = None
) -> Outcome:
    """Points at the objects, lets the fault happen (`act`), and watches until all is well again.

    `act` returns whether what was asked for was done, and further numbers; `words` says what diagnostics should show.
    """
    rig.begin()
    before = replaced(rig)
    began = time.monotonic()
    kept, told = act() or (True, "")
    ended = time.monotonic()
    recovery = rig.recover(ended)
    rig.spin(1.0)  # the answers that are still under way
    lost, shown = rig.lost(began)
    late = min(lost, replaced(rig) - before)
    return Outcome(fault, lost, shown, late, round(recovery, 2), bool(np.isfinite(recovery)), kept, words(), told)


def replaced(rig: Rig) -> int:
    """How many images the node has left out so far because newer ones had come."""
    rig.values = {}
    rig.spin(5.0, lambda: bool(rig.values))
    return int(rig.values.get("images_replaced", 0))


def value(rig: Rig, *keys: str) -> Callable[[], str]:
    """The next values of diagnostics under these keys, in words."""

    def read() -> str:
        rig.values = {}
        rig.spin(5.0, lambda: bool(rig.values))
        return "; ".join(f"{key}: {rig.values.get(key, '-')}" for key in keys)

    return read


def wait_for_words(rig: Rig, words: str, showing: bool = False, limit_s: float = 10.0) -> str:
    """What diagnostics say once it contains some words, while images are shown or not; the last it said when it never does."""
    rig.said = ""  # said before the fault, perhaps
    end = time.monotonic() + limit_s
    while words not in rig.said and time.monotonic() < end:
        rig.run(PERIOD_S) if showing else rig.spin(PERIOD_S)
    return rig.said


def camera_stops(rig: Rig, full: bool) -> Outcome:
    """No image for a while, then the same camera again."""
    said: list[str] = []

    def act() -> tuple[bool, str]:
        rig.spin(5.0 if full else 2.5)
        said.append(wait_for_words(rig, "color/image_raw"))
        future = rig.ask(AddTextPrompt, "add_text_prompt", text="purple cross", mode="once")
        rig.spin(1.0)
        rig.run(4.0)
        return future.done() and bool(future.result().success or future.result().message), ""

    return measure(rig, "camera stops and returns", act, lambda: said[0])


def camera_replaced(rig: Rig, full: bool) -> Outcome:
    """The driver dies and is started again, with another quality of service."""
    said: list[str] = []

    def act() -> None:
        rig.pull_out()
        rig.spin(2.0)
        said.append(wait_for_words(rig, "nobody publishes"))
        rig.plug_in(ReliabilityPolicy.BEST_EFFORT)
        rig.spin(1.5)

    try:
        return measure(rig, "camera driver dies and returns with another QoS", act, lambda: said[0])
    finally:
        rig.pull_out()
        rig.plug_in()
        rig.spin(1.5)


def resolution(rig: Rig, full: bool) -> Outcome:
    """The size of the images changes in mid-stream, also to another shape."""

    def at(width: int, height: int) -> Callable[[Image], tuple[Image, str]]:
        return lambda color: (cv2.resize(color, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8), "rgb8")

    def act() -> None:
        for size in ((640, 480), (160, 120), (320, 180), (333, 251))[: 4 if full else 2]:
            rig.run(2.0 if full else 1.0, at(*size))

    return measure(rig, "resolution changes in mid-stream", act, value(rig, "skipped_size_changed_kept"))


def encoding(rig: Rig, full: bool) -> Outcome:
    """The encoding changes in mid-stream, also to one that nobody knows."""
    changes: list[Callable[[Image], tuple[Image, str]]] = [
        lambda color: (np.ascontiguousarray(color[..., ::-1]), "bgr8"),
        lambda color: (color, "klingon8"),
        lambda color: (cv2.cvtColor(color, cv2.COLOR_RGB2BGRA).astype(np.uint8), "bgra8"),
        lambda color: (color[:, : color.shape[1] // 2], "rgb8"),
    ]

    def act() -> None:
        for change in changes[: 4 if full else 2]:
            rig.run(1.0, change)

    return measure(rig, "encoding changes, known and unknown", act, value(rig, "skipped_unknown_encoding"))


def clock(rig: Rig, full: bool) -> Outcome:
    """Stamps jump: a bag that loops, a clock that is set."""

    def act() -> None:
        for jump_s in (-5, 3600, -7200, 86_400, -0.5)[: 5 if full else 3]:
            rig.stamp_ns += int(jump_s * 1e9)
            rig.run(1.0)

    return measure(rig, "clock jumps back and forth", act, value(rig, "skipped_clock_went_back_kept"))


def memory(rig: Rig, full: bool, fault: str, number: float, name: str) -> Outcome:
    """The device runs out of memory, while a prompt waits."""
    said: list[str] = []

    def act() -> tuple[bool, str]:
        future = rig.ask(AddTextPrompt, "add_text_prompt", text="purple cross", mode="once")
        rig.inject(fault, number)
        rig.run(3.0)
        said.append(wait_for_words(rig, "out of memory", showing=True))
        answered = rig.spin(5.0, future.done)
        rig.mend(fault)
        return answered and bool(future.result().success), value(rig, "memory_settings")()

    return measure(rig, name, act, lambda: said[0])


def memory_objects(rig: Rig, full: bool) -> Outcome:
    """Memory for one object at once is left."""
    return memory(rig, full, "objects_at_once", 1, "out of memory: too many objects at once")


def memory_images(rig: Rig, full: bool) -> Outcome:
    """Memory for small images is left."""
    return memory(rig, full, "image_size", 130, "out of memory: images too large")


def memory_detector(rig: Rig, full: bool) -> Outcome:
    """The detector does not fit."""
    return memory(rig, full, "detector_size", 150, "out of memory: detector")


def memory_gone(rig: Rig, full: bool) -> Outcome:
    """Another program takes all memory for a while; nothing can be done but wait."""
    said: list[str] = []

    def act() -> tuple[bool, str]:
        rig.inject("image_size", 1)
        future = rig.ask(AddTextPrompt, "add_text_prompt", text="purple cross", mode="once")
        rig.run(3.0)
        said.append(wait_for_words(rig, "out of memory", showing=True))
        rig.mend("image_size")
        rig.run(3.0)
        found = any(track.label == "purple cross" for _, message in rig.heard.values() for track in message.tracks)
        return future.done() and found, ""

    return measure(rig, "out of memory: nothing left at all for 3 s", act, lambda: said[0])


def raising(rig: Rig, full: bool, where: str, times: int) -> Outcome:
    """Something inside raises what nobody foresaw."""

    def act() -> tuple[bool, str]:
        future = rig.ask(AddTextPrompt, "add_text_prompt", text="purple cross", mode="once")
        rig.inject(where, times)
        rig.run(3.0)
        return rig.spin(5.0, future.done) and bool(future.result().success), ""

    return measure(rig, f"exception in the {where.replace('_', ' ')}", act, value(rig, "thread_restarts", "last_error"))


def engine_raises(rig: Rig, full: bool) -> Outcome:
    """In the loop of the thread that owns the tracker."""
    return raising(rig, full, "engine", 3)


def engine_exits(rig: Rig, full: bool) -> Outcome:
    """A library calls sys.exit on that thread."""
    return raising(rig, full, "engine_exit", 1)


def publisher_raises(rig: Rig, full: bool) -> Outcome:
    """In the loop of the thread that publishes."""
    return raising(rig, full, "publisher", 3)


def detector_raises(rig: Rig, full: bool) -> Outcome:
    """The detector fails twice, then answers."""
    return raising(rig, full, "detector", 2)


def callback_raises(rig: Rig, full: bool) -> Outcome:
    """Converting an image raises what nobody foresaw."""
    return raising(rig, full, "callback", 3)


def slow_subscriber(rig: Rig, full: bool) -> Outcome:
    """Somebody takes a second over each message, and is then stopped dead, connections open."""

    def act() -> tuple[bool, str]:
        slow = rig.processes.start("slow", [sys.executable, "-m", "bench.faults.listener", "1.0"])
        rig.spin(20.0, lambda: "listening" in rig.processes.log("slow"))
        rig.run(5.0 if full else 3.0)
        slow.send_signal(signal.SIGSTOP)
        rig.run(40.0 if full else 6.0)
        slow.send_signal(signal.SIGKILL)
        slow.wait()
        return True, value(rig, "results_dropped")()

    return measure(rig, "slow subscriber, then one stopped dead", act, lambda: "")


def flood(rig: Rig, full: bool) -> Outcome:
    """More requests at once than anybody should send."""
    count = 1000 if full else 100

    def act() -> tuple[bool, str]:
        began = time.monotonic()
        futures = [rig.ask(ListTracks, "list_tracks") for _ in range(count)]
        futures += [rig.ask(AddTextPrompt, "add_text_prompt", text="purple cross", mode="once") for _ in range(count // 5)]
        futures += [rig.ask(AddBoxPrompt, "add_box_prompt", x_min=-9.0, x_max=-5.0, y_max=9.0) for _ in range(count // 2)]
        futures += [rig.ask(RemoveTrack, "remove_track", track_id=4_000_000_000) for _ in range(count // 2)]
        while time.monotonic() - began < 60.0 and not all(future.done() for future in futures):
            rig.run(0.2)
        done = sum(future.done() for future in futures)
        return done == len(futures), f"{done} of {len(futures)} requests answered within {time.monotonic() - began:.1f} s"

    return measure(rig, "flood of service requests", act, lambda: "")


def parameters(rig: Rig, full: bool) -> Outcome:
    """Parameters change while images come, to values that are allowed and others."""
    integer, number = ParameterType.PARAMETER_INTEGER, ParameterType.PARAMETER_DOUBLE

    def act() -> tuple[bool, str]:
        futures = []
        for turn in range(100 if full else 20):
            values = [
                Parameter(name="detect_every", value=ParameterValue(type=integer, integer_value=1 + turn % 7)),
                Parameter(name="lost_after_s", value=ParameterValue(type=number, double_value=[0.5, 2.0, float("nan"), -1.0][turn % 4])),
                Parameter(name="overlay_opacity", value=ParameterValue(type=number, double_value=turn / 40)),
            ]
            futures.append(rig.ask(SetParameters, "track_node/set_parameters", parameters=values))
            rig.run(0.1)
        rig.spin(10.0, lambda: all(future.done() for future in futures))
        results = [result for future in futures if future.done() for result in future.result().results]
        refused = sum(not result.successful for result in results)
        told = all(result.successful or result.reason for result in results)
        return told and len(results) == 3 * len(futures), f"{len(results)} changes, {refused} refused with a reason"

    return measure(rig, "parameters change in flight", act, lambda: "")


def simulated_time(rig: Rig, full: bool) -> Outcome:
    """The node lives on /clock, which jumps, and then stands still; needs a rig with use_sim_time."""
    publisher = rig.node.create_publisher(Clock, "/clock", 10)

    def tick(seconds: float) -> None:
        publisher.publish(Clock(clock=Time(sec=int(seconds))))
        rig.stamp_ns = int(seconds * 1e9)

    def act() -> tuple[bool, str]:
        for now in (1000, 1001, 5000, 10, 12):
            tick(now)
            rig.run(1.0)
        future = rig.ask(AddBoxPrompt, "add_box_prompt", x_max=50.0, y_max=50.0)  # and no image, and no time
        rig.values = {}
        answered = rig.spin(8.0, future.done)
        return answered and bool(rig.values), "diagnostics and answers go on while the clock stands"

    return measure(rig, "simulated time jumps and stands still", act, lambda: "")


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
"""The memory faults come last: what they took from the node stays taken."""
