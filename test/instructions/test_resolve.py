# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Plans on scenes: which objects are chosen, and what the answer says about the others."""

from __future__ import annotations

import pytest

from test.instructions.scenes import answered, chosen, placed

CUPS = [placed(number, "cup", (x, 0, x + 10, 10 + number)) for number, x in ((1, 50), (2, 0), (3, 100))]
PLATE = placed(4, "plate", (23, 0, 33, 10))
SCENE = [*CUPS, PLATE]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("all cups", [1, 2, 3]),
        ("a cup", [1]),  # the best score
        ("two of the cups", [1, 2]),
        ("the three cups", [1, 2, 3]),
        ("the cup left of the plate", [2]),
        ("all cups right of the plate", [1, 3]),
        ("all cups that are not right of the plate", [2]),
        ("the second cup from the left", [1]),
        ("the two rightmost cups", [3, 1]),
        ("the largest cup right of the plate", [3]),
        ("the cup nearest to the plate", [2]),
        ("the cup farthest from the plate", [3]),
        ("the cup between the plate and a cup", [1]),
        ("the cup between the cups", [1]),
        ("the cup right of a cup and right of the plate and left of a cup", [1]),
        ("all cups right of all cups", [3]),
        ("all cups except the largest one", [1, 2]),
        ("everything except the cups", [4]),
        ("everything that is not a cup", [4]),
        ("everything except the fork", [1, 2, 3, 4]),
        ("the plate and the leftmost cup", [4, 2]),
    ],
)
def test_chosen_objects(text: str, numbers: list[int]) -> None:
    """One scene in a row: cup 2, plate 4, cup 1, cup 3."""
    assert sorted(chosen(text, *SCENE)) == sorted(numbers)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("the cup", "one object is asked for, but 3 fit (#1, #2, #3)"),
        ("both cups", "exactly 2 is asked for, but 3 fit"),
        ("the fork", 'no "fork" was detected'),
        ("the cup left of the fork", 'left of "fork" is not clear: no "fork" was detected'),
        ("the plate left of the cup", 'left of "cup" is not clear: one object is asked for, but 3 fit'),
        ("the cup above the plate", 'none of 3 (#1, #2, #3) is above "plate" (#4)'),
        ("the fourth cup from the left", "there are only 3 (#2, #1, #3), but number 4"),
        ("five of the cups", "3 of 5 objects fit"),
        ("all cups except all cups", "are left out"),
        ("all plates except the cup", 'the exception "cup" is not clear'),
        ("the nearest cup", "has no depth"),
        ("cups closer than 1 m", "has no depth"),
        ("the plate nearest to the plate", "from which distances are measured"),
        ("the plate left of the plate", 'none of 1 (#4) is left of "plate" (#4)'),
        ("the cup left of the plate and right of the plate", 'none of 1 (#2) is right of "plate"'),
        ("everything that is a fork", 'no "fork" was detected'),
    ],
)
def test_missing_objects_are_explained(text: str, why: str) -> None:
    """Nothing is chosen silently in place of what was asked for."""
    answer = answered(text, *SCENE)
    assert why in "\n".join(answer.missing)
    assert not answer.is_complete
    assert f"not found: {answer.missing[0]}" in answer.lines()


def test_each_choice_has_its_reason() -> None:
    """A user sees why an object was chosen, and how far the next one was."""
    (choice,) = answered("the largest cup right of the plate, except a fork", *SCENE).choices
    assert choice.reason == '"cup" 0.97; right of #4 "plate" (77 px); not "fork"; largest of 2 (130 px, next 110 px)'
    assert choice.label == "cup"
    assert choice.prompt.label == "cup"


def test_an_object_is_chosen_once() -> None:
    """Two targets may mean the same object, and the tracker must not get it twice."""
    assert chosen("the leftmost cup and all cups", *SCENE) == [2, 1, 3]


def test_exception_that_is_absent_is_noted() -> None:
    """The user may have misnamed it."""
    for text in ("everything except the fork", "everything that is not a fork"):
        assert answered(text, *SCENE).notes == ('no "fork" was detected, so none is left out',)


@pytest.mark.parametrize("text", ["the cup nearest to the plate", "the second cup from the left", "the largest cup"])
def test_equal_objects_have_no_order(text: str) -> None:
    """A choice among equals would be a guess."""
    twins = [placed(1, "cup", (0, 0, 10, 10)), placed(2, "cup", (0, 0, 10, 10)), placed(3, "plate", (40, 0, 50, 10))]
    assert "are equal: name another order" in answered(text, *twins).missing[0]
    assert chosen("the two leftmost cups", *twins) == [1, 2]


def test_empty_scene() -> None:
    """An image may show nothing."""
    assert answered("everything").missing == ("object of any kind: nothing was detected",)
