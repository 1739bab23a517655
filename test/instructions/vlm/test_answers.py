# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Answers in all formats: what is read, and the sentence for what is not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lang2segtrack_ros.instructions.vlm.adapters.items import AnswerError
from lang2segtrack_ros.instructions.vlm.answers import ModelAnswer, parse_answer
from lang2segtrack_ros.instructions.vlm.coordinates import AmbiguousFormatError

SIZE = (640, 480)
MUG = '[{"bbox_2d": [64, 48, 320, 240], "label": "mug", "reason": "left"}]'


def places(text: str, declared: str = "pixels", size: tuple[int, int] = SIZE) -> list[tuple[float, ...]]:
    """Return the places of an answer."""
    return [item.place for item in parse_answer(text, declared, size).objects]


@pytest.mark.parametrize(
    "text",
    [
        MUG,
        f"```json\n{MUG}\n```",
        f"```\n{MUG}\n```",
        f"Here is [the mug], left of {{it}}:\n\n{MUG}\n\nIs [that] all?",
        f'<think>maybe [{{"bbox_2d": [1, 2, 3, 4]}}]</think>{MUG}',
        '{"bbox_2d": [64, 48, 320, 240], "label": "mug", "reason": "left"}',
        '{"numbers": [], "others": ' + MUG + "}",
        MUG.replace("bbox_2d", "bbox"),
    ],
    ids=["list", "fence", "plain fence", "prose", "thoughts", "one object", "others", "bbox"],
)
def test_boxes_in_json(text: str) -> None:
    """Models wrap the list in many ways."""
    (item,) = parse_answer(text, "pixels", SIZE).objects
    assert (item.place, item.label, item.reason) == ((64, 48, 320, 240), "mug", "left")


@pytest.mark.parametrize("declared", ["pixels", "thousandths", "fractions"])
def test_declared_format(declared: str) -> None:
    """All formats of one box become the same pixels."""
    scale = {"pixels": (1, 1), "thousandths": (1000 / 640, 1000 / 480), "fractions": (1 / 640, 1 / 480)}[declared]
    values = [64 * scale[0], 48 * scale[1], 320 * scale[0], 240 * scale[1]]
    assert places(json.dumps([{"bbox_2d": values}]), declared)[0] == pytest.approx((64, 48, 320, 240))


@pytest.mark.parametrize(
    ("values", "size", "expected"),
    [
        ([0.1, 0.1, 0.5, 0.5], SIZE, (64, 48, 320, 240)),  # within one pixel otherwise
        ([100, 100, 500, 900], SIZE, (64, 48, 320, 432)),  # below the lower edge as pixels
        ([100, 100, 1500, 900], (1600, 1200), (100, 100, 1500, 900)),  # beyond 1000
        ([100, 100, 500, 900], (1000, 1004), (100, 100, 500, 900)),  # pixels and thousandths are the same place
        ([0, 0, 1, 1], SIZE, (0, 0, 640, 480)),  # the whole image: one pixel is no object
    ],
)
def test_auto_decides_by_the_numbers(values: list[float], size: tuple[int, int], expected: tuple[float, ...]) -> None:
    """Only one format fits, or all mean the same place."""
    assert places(json.dumps([{"bbox_2d": values}]), "auto", size)[0] == pytest.approx(expected, abs=4)


def test_auto_refuses_to_guess() -> None:
    """A wrong guess would track another object."""
    with pytest.raises(AmbiguousFormatError) as raised:
        places(MUG, "auto")
    assert str(raised.value) == (
        "its coordinates [64, 48, 320, 240] fit pixels and thousandths on an image of 640 x 480 pixels: "
        "set vlm_answer_format to the format of the model"
    )


def test_one_clear_box_decides_for_all() -> None:
    """An answer has one format."""
    text = '[{"bbox_2d": [64, 48, 320, 240]}, {"bbox_2d": [100, 100, 990, 990]}]'
    assert places(text, "auto")[0] == pytest.approx((64 * 0.64, 48 * 0.48, 320 * 0.64, 240 * 0.48))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"point_2d": [64, 48], "label": "mug"}]', (64, 48)),
        ('<point x="10.0" y="10.0" alt="mug">mug</point>', (64, 48)),
        ("The mug: <point x='10.0' y='10.0'>mug</point>", (64, 48)),
        ('<points x1="10" y1="10" x2="50" y2="50" alt="mug">mug</points>', (64, 48)),
        ('<points coords="1 1 100 100 2 500 500">mug</points>', (64, 48)),
    ],
)
def test_points(text: str, expected: tuple[float, float]) -> None:
    """Points of Qwen are in the declared format, those of Molmo in percent, and those of Molmo2 in thousandths."""
    item = parse_answer(text, "pixels", SIZE).objects[0]
    assert item.place == pytest.approx(expected)
    assert item.label == "mug"


@pytest.mark.parametrize("task", ["<OPEN_VOCABULARY_DETECTION>", "<CAPTION_TO_PHRASE_GROUNDING>"])
def test_florence2(task: str) -> None:
    """The dictionaries of both tasks name their labels differently; a polygon becomes the box around it."""
    key = "bboxes_labels" if task == "<OPEN_VOCABULARY_DETECTION>" else "labels"
    found = {"bboxes": [[64, 48, 320, 240]], key: ["mug"]}
    if key == "bboxes_labels":
        found |= {"polygons": [[[10, 20, 30, 20, 30, 60]]], "polygons_labels": ["tool"]}
    first, *others = parse_answer(json.dumps({task: found}), "pixels", SIZE).objects
    assert (first.place, first.label) == ((64, 48, 320, 240), "mug")
    assert [(item.place, item.label) for item in others] == ([((10, 20, 30, 60), "tool")] if others else [])
    assert len(others) == (key == "bboxes_labels")


@pytest.mark.parametrize(
    "text", ["[]", "None.", "none", "No objects fit.", "There are none.", '{"numbers": [], "others": []}', "```json\n[]\n```"]
)
def test_none(text: str) -> None:
    """The model says that no object fits. This is an answer."""
    assert parse_answer(text, "pixels", SIZE, [1]) == ModelAnswer()


def test_numbers() -> None:
    """Numbers name tracks, each once."""
    assert parse_answer('{"numbers": [7, 3, 7]}', "pixels", SIZE, [3, 7]).numbers == (7, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("<think>hm</think> ", "it is empty"),
        ("I see a mug on the table.", "it holds no JSON and no points"),
        (MUG[:-20], "its JSON is cut off"),
        (f'[{MUG[1:-1]}, {{"bbox_2d": [1,', "its JSON is cut off"),  # the first object alone would be a wrong answer
        (MUG.replace("48,", "48 ,,"), "its JSON is not valid"),
        (f"{MUG} or rather {MUG}", "it holds several lists of objects, and one is needed"),
        ('[{"label": "mug"}]', 'an object has neither "bbox_2d" nor "point_2d"'),
        ('[{"bbox_2d": [1, 2, 3]}]', "bbox_2d is [1, 2, 3]: list should have at least 4 items"),
        ('[{"bbox_2d": [1, 2, "3", 4]}]', "bbox_2d.2 is 3: input should be a valid number"),
        ('[{"bbox_2d": [1, 2, NaN, 4]}]', "bbox_2d.2 is nan: input should be a finite number"),
        ('[{"bbox_2d": [1, 2, Infinity, 4]}]', "bbox_2d.2 is inf: input should be a finite number"),
        ('[{"bbox_2d": [1, 2, 1e400, 4]}]', "bbox_2d.2 is inf: input should be a finite number"),
        ('[{"bbox_2d": [320, 48, 64, 240]}]', "the box [320, 48, 64, 240] is inverted or has no area"),
        ('[{"bbox_2d": [64, 48, 64.5, 240]}]', "is inverted or has no area"),
        ('[{"bbox_2d": [64, 48, 320, 900]}]', "[64, 48, 320, 900] lies outside the image of 640 x 480 pixels"),
        ('[{"point_2d": [64, -30]}]', "[64, -30] lies outside the image of 640 x 480 pixels"),
        ('{"numbers": [4], "others": []}', "it chooses the number 4, but drawn are 3, 7"),
        ('{"numbers": ["3"]}', "numbers.0 is 3: input should be a valid integer"),
        ('<point x="ten" y="10">mug</point>', 'the point x="ten" y="10" is no pair of numbers'),
        ('<point alt="mug">mug</point>', "a point tag has no coordinates"),
        ('<point x="101" y="110">mug</point>', "[101, 110] lies outside the image"),
        ('<points x1="10.0" y1="1', "a point tag is cut off"),
        ('<points coords="1 1 100">mug</points>', 'coords="1 1 100" is no list of number, x and y'),
        ('{"<OPEN_VOCABULARY_DETECTION>": {"bboxes": [[1, 2, 3, 4]], "bboxes_labels": []}}', "it has not one label for each object"),
        ('{"<OPEN_VOCABULARY_DETECTION>": {"bboxes": [[1, 2]], "bboxes_labels": ["a"]}}', "the object [1, 2] is no list of 4 numbers"),
    ],
)
def test_unusable_answers(text: str, message: str) -> None:
    """The sentence says what is wrong, for the model and for the user."""
    with pytest.raises(AnswerError) as raised:
        parse_answer(text, "pixels", SIZE, [3, 7])
    assert message in str(raised.value)


def test_small_overhang_is_clipped() -> None:
    """Models round outward."""
    assert places('[{"bbox_2d": [-5, 10, 645, 488]}]')[0] == (0, 10, 640, 480)


def test_random_damage_never_crashes() -> None:
    """Any text is read or refused with a sentence."""
    rng = np.random.default_rng(3)
    texts = [
        MUG,
        f"```json\n{MUG}\n```",
        '<points x1="10" y1="10" alt="m">m</points>',
        '{"numbers": [3], "others": []}',
        '{"<OPEN_VOCABULARY_DETECTION>": {"bboxes": [[1, 2, 3, 4]], "bboxes_labels": ["a"]}}',
    ]
    letters = list('[]{}"\\<>,:0123456789.eE-+ ax\x00\ud800')
    outcomes = {"read": 0, "refused": 0}
    for _ in range(3000):
        text = list(texts[int(rng.integers(len(texts)))])
        for _ in range(int(rng.integers(1, 6))):
            text[int(rng.integers(len(text)))] = letters[int(rng.integers(len(letters)))] * int(rng.integers(3))
        try:
            for item in parse_answer("".join(text), ("auto", "pixels")[int(rng.integers(2))], SIZE, [3]).objects:
                assert all(0 <= value <= (640, 480)[index % 2] for index, value in enumerate(item.place))
            outcomes["read"] += 1
        except AnswerError as error:
            assert str(error)  # noqa: PT017
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 100, outcomes


@pytest.mark.parametrize(
    "text", ["[" * 40_000, '{"a":' * 9_000, '"' * 40_000, "[1," * 9_000 + MUG, "<points " * 5_000, "[x] " * 9_000, "mug " * 20_000]
)
def test_large_nonsense_is_refused(text: str) -> None:
    """Deep nesting must neither overflow the stack nor take minutes."""
    with pytest.raises(AnswerError):
        parse_answer(text, "pixels", SIZE)
