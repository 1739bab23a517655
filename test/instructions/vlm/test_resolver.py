# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The resolver with a real server that answers from the truth of the toy world."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from bench.chat_server import ChatServer, Seen, respond
from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.detection.instruction_resolver import InstructionResolver, InstructionResult
from lang2segtrack_ros.instructions.scene import box_iou
from lang2segtrack_ros.instructions.vlm.factory import make_vlm_resolver
from lang2segtrack_ros.instructions.vlm.model import VlmClosedError, VlmError
from lang2segtrack_ros.instructions.vlm.resolver import VlmResolver
from lang2segtrack_ros.toyworld.arrangements import Item, make_arrangement
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompts import PromptError
from lang2segtrack_ros.types.rle import Box
from test.instructions.vlm.toy_answers import boxes_of, request_for, track_of, true_answer

Serve = Callable[..., ChatServer]
WORLD = make_arrangement("scattered", 3)  # an orange cross, a blue and a red triangle, two red crosses
ORANGE_CROSS, BLUE_TRIANGLE, RED_CROSS, UPPER_RED_CROSS, RED_TRIANGLE = WORLD.items
TEXT = "the cross that a person would take for a plus sign, below the blue shape"


def resolver_of(server: ChatServer, detector: GroundingDinoDetector | None = None, **values: object) -> VlmResolver:
    """Return a resolver on a server. Coordinates are pixels unless the test says otherwise."""
    return make_vlm_resolver(server.options(**{"vlm_answer_format": "pixels", **values}), detector)


def true_box(item: Item) -> Box:
    """Return the box of an object on the image of the arrangement."""
    x1, y1, x2, y2 = map(float, item.box)
    return x1, y1, x2, y2


def check_chosen(result: InstructionResult, *items: Item, iou: float = 0.9, scale: int = 1) -> None:
    """Check that exactly some objects are chosen, each with a reason."""
    assert len(result.detections) == len(result.reasons) == len(items)
    for found, item in zip(result.detections, items):
        assert box_iou(found.box, tuple(edge * scale for edge in true_box(item))) > iou
    assert result.error is None


@pytest.mark.parametrize("answer_format", ["pixels", "thousandths", "fractions"])
@pytest.mark.parametrize("around", ["{}", "Sure! Here it is:\n```json\n{}\n```\nAnything else?"], ids=["plain", "prose"])
def test_right_object(serve: Serve, answer_format: str, around: str) -> None:
    """The box is that of the object in all formats, and the user reads who was asked and what came."""
    server = serve(true_answer([ORANGE_CROSS], answer_format, around))
    resolver: InstructionResolver = resolver_of(server, vlm_answer_format=answer_format)
    result = resolver.resolve(request_for(WORLD, TEXT))
    check_chosen(result, ORANGE_CROSS)
    assert result.detections[0].label == "cross"
    assert result.judged == (result.detections[0].box,)
    name = f"toy-vlm at {server.url}"
    assert result.plan[0] == f'asked {name}: "{TEXT}"'
    assert result.plan[1].startswith("answer: ")
    assert "bbox_2d" in result.plan[1]
    assert result.reasons == (f'{name} named it "cross"',)
    assert not result.missing
    assert result.notes[0].startswith(f"{name} answered in ")
    assert result.notes[0].endswith(" s to an image of 320 x 240 pixels")
    assert json.dumps(TEXT) in server.seen[0].text
    resolver.close()


@pytest.mark.parametrize(
    ("answer_format", "words"), [("pixels", "which is 320 wide and 240 high"), ("thousandths", "0 to 1000"), ("fractions", "0 to 1")]
)
def test_model_is_asked_for_the_declared_format(serve: Serve, answer_format: str, words: str) -> None:
    """A model that can follow writes the format that is read."""
    server = serve("[]")
    resolver_of(server, vlm_answer_format=answer_format).resolve(request_for(WORLD, TEXT))
    assert words in server.seen[0].text


def test_image_is_scaled_down_and_boxes_back(serve: Serve) -> None:
    """The server gets at most `vlm_max_edge`, and the boxes are those of the large image."""
    server = serve(true_answer([ORANGE_CROSS, RED_TRIANGLE]))
    result = resolver_of(server, vlm_max_edge=240).resolve(request_for(WORLD, TEXT, scale=3))
    assert server.seen[0].size == (240, 180)
    check_chosen(result, ORANGE_CROSS, RED_TRIANGLE, scale=3)
    assert result.notes[0].endswith("240 x 180 pixels")


def test_auto_needs_a_known_model_or_an_option(serve: Serve) -> None:
    """An ambiguous answer is refused without a second request, with the option to set. The name of a known model decides it."""
    server = serve(true_answer([UPPER_RED_CROSS], "thousandths"))
    boxes = boxes_of([UPPER_RED_CROSS], 640, 480, "thousandths")
    resolver = resolver_of(server, vlm_answer_format="auto")
    with pytest.raises(PromptError) as raised:
        resolver.resolve(request_for(WORLD, TEXT, scale=3))
    assert f"its coordinates [{', '.join(f'{value:g}' for value in boxes[0])}] fit pixels and thousandths" in str(raised.value)
    assert "set vlm_answer_format to the format of the model" in str(raised.value)
    assert len(server.seen) == 1
    result = resolver_of(server, vlm_answer_format="auto", vlm_model="Qwen/Qwen3-VL-8B-Instruct").resolve(request_for(WORLD, TEXT, scale=3))
    check_chosen(result, UPPER_RED_CROSS, scale=3)


def test_unusable_answer_is_asked_for_again_once(serve: Serve) -> None:
    """The second request says what was wrong, and its answer counts."""
    cut_off = '[{"bbox_2d": [89, 147, 119'
    server = serve(cut_off, true_answer([ORANGE_CROSS]))
    resolver = resolver_of(server)
    check_chosen(resolver.resolve(request_for(WORLD, TEXT)), ORANGE_CROSS)
    assert len(server.seen) == 2
    assert f'Your last answer was "{cut_off}". It cannot be used: its JSON is cut off.' in server.seen[1].text
    assert server.seen[1].text.startswith(server.seen[0].text)
    counters = resolver.metrics()
    assert (counters["vlm_instructions"], counters["vlm_asked_again"], counters["vlm_answers_refused"]) == (1, 1, 0)
    assert counters["vlm_requests"] == 2


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("", "it is empty"),
        ("The cross is in the middle.", "it holds no JSON and no points"),
        ('[{"bbox_2d": [89, 147, 119', "its JSON is cut off"),
        ('[{"bbox_2d": [89, 147, 900, 176]}]', "[89, 147, 900, 176] lies outside the image of 320 x 240 pixels"),
        (
            '[{"bbox_2d": [119, 147, 89, 176]}]',
            "the box [119, 147, 89, 176] is inverted or has no area: x1 must be less than x2, and y1 less than y2",
        ),
        ('{"numbers": [1], "others": []}', "it chooses the number 1, but no numbers are drawn"),
    ],
)
def test_unusable_answers_are_refused(serve: Serve, answer: str, problem: str) -> None:
    """After the second answer, the user reads what is wrong with it and what came."""
    server = serve(answer)
    resolver = resolver_of(server)
    with pytest.raises(PromptError) as raised:
        resolver.resolve(request_for(WORLD, TEXT))
    assert str(raised.value) == f'toy-vlm at {server.url} gave an answer that cannot be used: {problem}. It said: "{answer}"'
    assert len(server.seen) == 2
    assert resolver.metrics()["vlm_answers_refused"] == 1


def test_long_answer_is_shortened(serve: Serve) -> None:
    """A message of pages would hide its reason."""
    with pytest.raises(PromptError) as raised:
        resolver_of(serve("I think so. " * 500)).resolve(request_for(WORLD, TEXT))
    assert len(str(raised.value)) < 400
    assert str(raised.value).endswith(' ..."')


def test_none_is_an_answer(serve: Serve) -> None:
    """No object fits: nothing is chosen, and the user reads it."""
    server = serve("[]")
    resolver = resolver_of(server)
    result = resolver.resolve(request_for(WORLD, TEXT))
    assert (result.detections, result.judged) == ((), ())
    assert result.missing == (f"toy-vlm at {server.url} finds no such object",)
    assert resolver.metrics()["vlm_nothing_found"] == 1


def test_too_many_objects(serve: Serve) -> None:
    """The limit of the session holds, and nothing is chosen."""
    server = serve(true_answer(WORLD.items))
    with pytest.raises(PromptError, match="chooses 5 objects; the maximum is 3: name fewer objects"):
        resolver_of(server).resolve(request_for(WORLD, "everything", max_objects=3))
    check_chosen(resolver_of(server).resolve(request_for(WORLD, "everything", max_objects=5)), *WORLD.items)


def test_repeated_object_counts_once(serve: Serve) -> None:
    """Small models repeat themselves."""
    result = resolver_of(serve(true_answer([RED_CROSS] * 7))).resolve(request_for(WORLD, TEXT, max_objects=1))
    check_chosen(result, RED_CROSS)
    assert result.notes[1] == "6 objects were named more than once"


def test_check_again_chooses_by_number(serve: Serve) -> None:
    """The tracks are drawn with their ids. Chosen ones keep the boxes of their tracks, and all of them are judged."""
    tracks = [track_of(WORLD, ORANGE_CROSS.number, 4), track_of(WORLD, RED_TRIANGLE.number, 17)]

    def reply(seen: Seen) -> str:
        (box,) = boxes_of([RED_CROSS], *seen.size)
        return json.dumps({"numbers": [17], "others": [{"bbox_2d": box, "label": "cross", "reason": "it is new"}]})

    server = serve(reply)
    result = resolver_of(server).resolve(request_for(WORLD, TEXT, tracks, [4]))
    check_chosen(result, RED_TRIANGLE, RED_CROSS)
    assert result.detections[0].box == tracks[1].box
    assert result.detections[0].label == "triangle"
    assert result.reasons == (f"toy-vlm at {server.url} chose the track 17", "it is new")
    assert set(result.judged) == {tracks[0].box, tracks[1].box, result.detections[1].box}, "the session lets track 4 go"
    text, image = server.seen[0].text, server.seen[0].image
    assert '4: "cross", 17: "triangle"' in text
    changed = np.abs(image.astype(int) - WORLD.shot.color).max(axis=2) > 80
    for track in tracks:
        assert track.box is not None
        x1, y1, x2, y2 = map(int, track.box)
        assert changed[y1 - 3 : y2 + 3, x1 - 3 : x2 + 3].mean() > 0.05, "an outline"
        assert changed[max(y1 - 14, 0) : y1, x1 : x1 + 8].mean() > 0.5, "a number above it"
    x1, y1, x2, y2 = BLUE_TRIANGLE.box
    assert not changed[y1:y2, x1:x2].any(), "no track is there"


def test_check_again_by_box(serve: Serve) -> None:
    """A model that answers with boxes only means the track with this box; a track is not started twice."""
    tracks = [track_of(WORLD, ORANGE_CROSS.number, 4), track_of(WORLD, RED_TRIANGLE.number, 17)]
    result = resolver_of(serve(true_answer([ORANGE_CROSS]))).resolve(request_for(WORLD, TEXT, tracks, [4, 17]))
    assert [item.box for item in result.detections] == [tracks[0].box]
    assert set(result.judged) == {tracks[0].box, tracks[1].box}


def test_check_again_of_vanished_tracks(serve: Serve) -> None:
    """No track is visible, so the model is asked as at first."""
    server = serve(true_answer([ORANGE_CROSS]))
    hidden = track_of(WORLD, RED_TRIANGLE.number, 17).as_removed()
    check_chosen(resolver_of(server).resolve(request_for(WORLD, TEXT, [hidden], [17])), ORANGE_CROSS)
    assert "numbers" not in server.seen[0].text


def test_first_request_shows_no_other_tracks(serve: Serve) -> None:
    """Tracks of other prompts are neither drawn nor judged, but an object that is tracked already keeps its box."""
    tracks = [track_of(WORLD, ORANGE_CROSS.number, 4), track_of(WORLD, RED_TRIANGLE.number, 17)]
    server = serve(true_answer([ORANGE_CROSS]))
    result = resolver_of(server).resolve(request_for(WORLD, TEXT, tracks))
    assert result.judged == (tracks[0].box,)
    assert np.abs(server.seen[0].image.astype(int) - WORLD.shot.color).mean() < 6


def test_point_chooses_the_track_under_it(serve: Serve) -> None:
    """A pointing model chooses a track by a pixel of its mask."""
    track = track_of(WORLD, ORANGE_CROSS.number, 4)
    point = f'<point x="{ORANGE_CROSS.x / 3.2:.1f}" y="{ORANGE_CROSS.y / 2.4:.1f}" alt="cross">cross</point>'
    result = resolver_of(serve(point)).resolve(request_for(WORLD, TEXT, [track]))
    assert [item.box for item in result.detections] == [track.box]
    assert not result.missing


def test_point_takes_the_box_of_the_detector(serve: Serve, detector: GroundingDinoDetector) -> None:
    """Without a track, the detector gives the box of what the model points at, and not of another such object."""
    point = f'[{{"point_2d": [{UPPER_RED_CROSS.x:.0f}, {UPPER_RED_CROSS.y:.0f}], "label": "Red Cross"}}]'
    result = resolver_of(serve(point), detector).resolve(request_for(WORLD, TEXT))
    check_chosen(result, UPPER_RED_CROSS, iou=0.7)
    assert result.detections[0].label == "Red Cross"


@pytest.mark.parametrize(
    ("point", "with_detector", "reason"),
    [
        ([160, 200], False, "the point (160, 200) lies on no track, and there is no detector that could give its box"),
        ([160, 200], True, 'the point (160, 200) lies on no track, and the detector finds no "red cross" there'),
        ([103, 161], True, 'the point (103, 161) lies on no track, and the detector "toy" does not know: mug'),
        ([103, 160], True, "the point (103, 160) lies on no track and has no name for the detector"),
    ],
)
def test_point_without_an_object(serve: Serve, detector: GroundingDinoDetector, point: list[int], with_detector: bool, reason: str) -> None:
    """A point alone is no object. The user reads why, and nothing is chosen."""
    label = {161: "mug", 160: ""}.get(point[1], "red cross")
    answer = json.dumps([{"point_2d": point, "label": label}])
    result = resolver_of(serve(answer), detector if with_detector else None).resolve(request_for(WORLD, TEXT))
    assert not result.detections
    assert result.missing == (reason,)


def test_failure_of_the_server_passes_through(serve: Serve) -> None:
    """The session reports it, and the counters are those of the client."""
    server = serve(respond(500, "broken"))
    resolver = resolver_of(server)
    with pytest.raises(VlmError, match='refuses the request \\(HTTP 500\\) and says "broken": see the log of the server'):
        resolver.resolve(request_for(WORLD, TEXT))
    assert resolver.metrics()["vlm_requests_failed"] == 1


def test_check_of_an_instruction(serve: Serve) -> None:
    """Any sentence is fine; a setting without effect is named."""
    resolver = resolver_of(serve("[]"))
    assert resolver.check(InstructionPrompt("was auch immer links steht")) == []
    (note,) = resolver.check(InstructionPrompt("everything", everything="mug. tool."))
    assert note.endswith("reads the instruction itself and ignores everything")
    resolver.close()
    with pytest.raises(PromptError, match="is closed"):
        resolver.check(InstructionPrompt("the mug"))
    with pytest.raises(VlmClosedError):
        resolver.resolve(request_for(WORLD, TEXT))
