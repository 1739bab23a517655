# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Random and invalid requests and images for a running node: every request must get a response, and none may raise.

`python -m test.ros.services.fuzzing --requests 20000` is the long run (`make fuzz`). test_fuzzing.py is the short one.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters, SetParametersAtomically
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from vision_msgs.msg import Point2D

from bench.faults.rig import PERIOD_S, Rig, rig
from lang2segtrack.srv import (
    AddBoxPrompt,
    AddExemplarPrompt,
    AddInstruction,
    AddMaskPrompt,
    AddPointPrompt,
    AddTextPrompt,
    ListTracks,
    RefineBackward,
    RemoveTextPrompt,
    RemoveTrack,
    SegmentImage,
)
from lang2segtrack_ros.io.image_messages import COLOR_ENCODINGS, DEPTH_ENCODINGS
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.ros.support.parameters import PARAMETERS
from lang2segtrack_ros.toyworld.scene import demo_scene

ANSWER_S = 60.0
BATCH = 20
WIDTH, HEIGHT = 320, 240
ARGUMENTS = ("-p", "max_objects:=3", "-p", "image_size:=64", "-p", "history_s:=1.0")

Request = tuple[Any, str, dict[str, Any]]

numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-10.0, 400.0),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324, -0.0, 319.5, 320.0, 239.5]),
)
small_numbers = st.one_of(st.floats(width=32), st.sampled_from([0.0, 0.3, 1.0, -1.0, float("nan"), float("inf")]))
ids = st.one_of(st.integers(0, 12), st.integers(0, 2**32 - 1))
characters = st.characters(exclude_categories=("Cs",))  # surrogates are not valid text, and rclpy does not send them
texts = st.one_of(
    st.sampled_from(["", ".", "red circle", "red circle. blue star.", "x" * 5000, ". " * 600, "a. " * 300, "[SEP]", "\u0000", "🤖" * 100]),
    st.text(characters, max_size=60),
    st.lists(st.text(characters, max_size=12), max_size=40).map(". ".join),
)
points = st.lists(st.builds(Point2D, x=numbers, y=numbers), max_size=70)


@st.composite
def images(draw: Any, encodings: Any = None) -> Image:
    """Draw any combination of encoding, size, step, byte order and data length. Half of the images are consistent."""
    name = draw(encodings if encodings is not None else st.sampled_from([*COLOR_ENCODINGS, *DEPTH_ENCODINGS, "klingon8", "", "rgb16"]))
    height, width = draw(st.integers(0, 40)), draw(st.integers(0, 40))
    size = {"rgb8": 3, "bgr8": 3, "8UC3": 3, "rgba8": 4, "bgra8": 4, "8UC4": 4, "mono16": 2, "16UC1": 2, "32FC1": 4, "rgb16": 6}.get(name)
    row = width * (size or (2 if "yu" in name else 1))
    is_valid = draw(st.booleans())
    step = row if is_valid else draw(st.sampled_from([0, 1, row - 1, row + 5, 2**32 - 1, 2**31]))
    length = step * height if is_valid else draw(st.integers(0, 5000))
    message = Image(encoding=name, height=height, width=width, step=max(0, step), is_bigendian=draw(st.integers(0, 255)))
    if not is_valid and draw(st.booleans()):
        message.height, message.width = draw(st.sampled_from([(2**32 - 1, 2**32 - 1), (1, 2**31), (2**16, 2**16), (height, 2**20)]))
    message.data = array.array("B", draw(st.binary(min_size=1, max_size=7)) * (length // 7 + 1))[:length]
    return message


PARAMETER_NAMES = [item.name for item in PARAMETERS if item.name != "save_folder"]
"""All parameters except the one that would save files to random folders."""


@st.composite
def parameter(draw: Any) -> Parameter:
    """Draw a parameter with an existing or random name and a value of any type."""
    name = draw(st.one_of(st.sampled_from(PARAMETER_NAMES), st.text(characters, max_size=9)))
    value = ParameterValue(type=draw(st.integers(0, 9)))
    value.integer_value, value.double_value = draw(st.integers(-(2**63), 2**63 - 1)), draw(numbers)
    value.string_value, value.bool_value = draw(texts), draw(st.booleans())
    if value.type in (ParameterType.PARAMETER_NOT_SET, ParameterType.PARAMETER_BYTE_ARRAY, 9):
        value.double_array_value = draw(st.lists(numbers, max_size=3))
    return Parameter(name=name, value=value)


def filled(start: tuple[int, int], size: tuple[int, int]) -> Image:
    """Return a mask of the camera image's size with a filled rectangle."""
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[start[1] : start[1] + size[1], start[0] : start[0] + size[0]] = 255
    return Image(encoding="mono8", height=HEIGHT, width=WIDTH, step=WIDTH, data=array.array("B", pixels.tobytes()))


def request(kind: Any, name: str, **fields: Any) -> st.SearchStrategy[Request]:
    """Return a strategy for requests of one service."""
    return st.fixed_dictionaries(fields).map(lambda drawn: (kind, name, drawn))


MASKS = images(st.sampled_from(["mono8", "8UC1", "rgb8", "mono16", "klingon8"]))
MODES = st.one_of(st.sampled_from(["", "once", "continuous", "twice"]), texts)
BOX = {"x_min": numbers, "y_min": numbers, "x_max": numbers, "y_max": numbers, "label": texts, "track_id": ids}
POINTS = {"points": points, "labels": st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(0, 1), max_size=70), "label": texts}
EDGES = {name: BOX[name] for name in ("x_min", "y_min", "x_max", "y_max", "label")}
PARAMETER_LIST = st.lists(parameter(), max_size=4)
SERVICES = {
    "add_text_prompt": request(
        AddTextPrompt, "add_text_prompt", text=texts, mode=MODES, threshold=small_numbers, interval=ids, replace_prompt_id=ids
    ),
    "add_exemplar_prompt": request(
        AddExemplarPrompt, "add_exemplar_prompt", image=images(), **EDGES, mode=MODES, threshold=small_numbers, interval=ids
    ),
    "add_instruction": request(
        AddInstruction, "add_instruction", text=texts, mode=MODES, threshold=small_numbers, everything=texts, verify_every_s=small_numbers
    ),
    "add_box_prompt": request(AddBoxPrompt, "add_box_prompt", **BOX),
    "add_point_prompt": request(AddPointPrompt, "add_point_prompt", **POINTS, track_id=ids),
    "add_mask_prompt": request(AddMaskPrompt, "add_mask_prompt", mask=MASKS, label=texts, track_id=ids),
    "remove_track": request(RemoveTrack, "remove_track", track_id=ids),
    "remove_text_prompt": request(RemoveTextPrompt, "remove_text_prompt", prompt_id=ids),
    "list_tracks": request(ListTracks, "list_tracks"),
    "reset": request(Trigger, "reset"),
    "segment_image": request(SegmentImage, "segment_image", image=images(), text=texts, threshold=small_numbers),
    "refine_backward": request(RefineBackward, "refine_backward", track_ids=st.lists(ids, max_size=5), seconds=small_numbers),
    "set_parameters": request(SetParameters, "track_node/set_parameters", parameters=PARAMETER_LIST),
    "set_parameters_atomically": request(SetParametersAtomically, "track_node/set_parameters_atomically", parameters=PARAMETER_LIST),
    "get_parameters": request(GetParameters, "track_node/get_parameters", names=st.lists(texts, max_size=3)),
    "describe_parameters": request(DescribeParameters, "track_node/describe_parameters", names=st.lists(texts, max_size=3)),
    "change_state": request(
        ChangeState, "track_node/change_state", transition=st.builds(Transition, id=st.integers(10, 59) | st.integers(70, 255))
    ),
}
positions = st.tuples(st.integers(0, WIDTH - 40), st.integers(0, HEIGHT - 40))
sizes = st.tuples(st.integers(8, 200), st.integers(8, 200))
corners = st.tuples(positions, sizes).map(lambda drawn: (*drawn[0], drawn[0][0] + drawn[1][0], drawn[0][1] + drawn[1][1]))
track_ids = st.one_of(st.just(0), st.integers(1, 40))
names = st.sampled_from(["red circle", "blue star. purple cross.", "yellow square", "cup"])
whole_image = st.just(MESSAGES.image(demo_scene(WIDTH, HEIGHT).render(0).color, "rgb8", Header()))
VALID = {
    "add_text_prompt": request(
        AddTextPrompt, "add_text_prompt", text=names, mode=st.sampled_from(["", "once"]), threshold=st.just(0.3), interval=st.integers(0, 9)
    ),
    "add_exemplar_prompt": corners.map(
        lambda drawn: (AddExemplarPrompt, "add_exemplar_prompt", {**dict(zip(EDGES, map(float, drawn))), "label": "cup"})
    ),
    "add_instruction": request(
        AddInstruction,
        "add_instruction",
        text=st.sampled_from(["the red circle left of the blue star", "everything", "the largest circle", "all stars except the red one"]),
        mode=st.sampled_from(["", "continuous"]),
        verify_every_s=st.sampled_from([0.0, 0.1]),
    ),
    "add_box_prompt": st.tuples(corners, track_ids).map(
        lambda drawn: (AddBoxPrompt, "add_box_prompt", {**dict(zip(BOX, map(float, drawn[0]))), "track_id": drawn[1]})
    ),
    "add_point_prompt": request(
        AddPointPrompt,
        "add_point_prompt",
        points=st.lists(positions.map(lambda position: Point2D(x=float(position[0]), y=float(position[1]))), min_size=1, max_size=5),
        track_id=track_ids,
    ),
    "add_mask_prompt": request(AddMaskPrompt, "add_mask_prompt", mask=st.builds(filled, positions, sizes), track_id=track_ids),
    "remove_track": request(RemoveTrack, "remove_track", track_id=track_ids),
    "segment_image": request(SegmentImage, "segment_image", image=whole_image, text=names),
    "refine_backward": request(RefineBackward, "refine_backward", seconds=st.floats(0.0, 1.0, width=32), save=st.booleans()),
}
"""Valid requests. They create the tracks and prompts that the invalid requests then meet."""
requests = st.sampled_from(sorted(SERVICES)).flatmap(lambda name: st.one_of(SERVICES[name], VALID.get(name, SERVICES[name])))


class Fuzzer:
    """Sender of batches of requests and images.

    Attributes:
        rig: the running node.
        sent: number of requests by service.
        refused: number of refused requests by service.
    """

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.sent: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def send(self, batch: list[Request], shown: list[Image]) -> None:
        """Send all requests at once, then images until all requests are answered. Raises AssertionError if one stays unanswered."""
        rig = self.rig
        futures = [(name, fields, rig.ask(kind, name, **fields)) for kind, name, fields in batch]
        for message in shown:
            rig.show(message=message)
        began = time.monotonic()
        while not all(future.done() for _, _, future in futures):
            waited = time.monotonic() - began
            pending = [(name, fields) for name, fields, future in futures if not future.done()]
            assert waited < ANSWER_S, f"unanswered after {waited:.0f} s: {pending}"
            rig.show()
            rig.spin(PERIOD_S, lambda: all(future.done() for _, _, future in futures))
        for name, fields, future in futures:
            answer = future.result()
            self.sent[name] += 1
            if not getattr(answer, "success", True):
                self.refused[name] += 1
                assert name.endswith("change_state") or answer.message, f"{name} {fields} was refused without a message"
        assert rig.process.poll() is None, rig.processes.log("track_node")[-3000:]

    def complaints(self) -> list[str]:
        """Return lines of the node's log about unexpected failures."""
        bad = ("Traceback", "failed and restarts", "a callback failed", "unexpected")
        return [line for line in self.rig.processes.log("track_node").splitlines() if any(word in line for word in bad)]

    def run(self, count: int, number: int) -> None:
        """Send at least `count` requests that are drawn with the seed `number`."""

        @seed(number)
        @settings(
            max_examples=-(-count // BATCH),
            deadline=None,
            database=None,
            phases=[Phase.generate],  # no shrinking: the node's state depends on all earlier requests
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        @given(st.lists(requests, min_size=BATCH, max_size=BATCH), st.lists(images(), max_size=3))
        def play(batch: list[Request], shown: list[Image]) -> None:
            self.send(batch, shown)

        play()


@contextlib.contextmanager
def fuzzer(logs: Path) -> Iterator[Fuzzer]:
    """Start a node for fuzzing in a ROS domain of its own."""
    with rig(logs, *ARGUMENTS, "-p", f"save_folder:={logs / 'saved'}") as running:
        running.begin()
        yield Fuzzer(running)


def main() -> int:
    """Run the long fuzzing test and write out/bench/fuzz.json. Return 1 if the log has complaints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/bench/fuzz.json"))
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, fuzzer(Path(folder)) as fuzzing:
        part = 1000
        for number in range(-(-options.requests // part)):
            fuzzing.run(part, options.seed + number)
            total, usage = sum(fuzzing.sent.values()), fuzzing.rig.usage()
            print(
                f"{total} requests answered, {sum(fuzzing.refused.values())} refused, {time.monotonic() - began:.0f} s, {usage}", flush=True
            )
        complaints = fuzzing.complaints()
    report = {"requests": dict(fuzzing.sent), "refused": dict(fuzzing.refused), "unanswered": 0, "complaints": complaints}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    print(f"{sum(fuzzing.sent.values())} requests, none unanswered; {len(complaints)} complaints in the log", *complaints[:10], sep="\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
