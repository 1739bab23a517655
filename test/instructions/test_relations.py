# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The geometry of each relation, at its limits."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.instructions.plan import Relation
from lang2segtrack_ros.instructions.relations import PAIRS, MissingDepthError, between
from lang2segtrack_ros.instructions.scene import SceneObject
from test.instructions.scenes import placed

CUP = placed(1, "cup", (40, 40, 60, 60))


def holds(relation: Relation, item: SceneObject, other: SceneObject) -> bool:
    return PAIRS[relation](item, other) is not None


@pytest.mark.parametrize(
    ("relation", "box", "expected"),
    [
        (Relation.LEFT_OF, (70, 0, 90, 20), True),  # far above, but left of it
        (Relation.LEFT_OF, (44, 70, 64, 90), False),  # nearly below each other: neither left nor right
        (Relation.RIGHT_OF, (36, 70, 56, 90), False),
        (Relation.RIGHT_OF, (0, 40, 20, 60), True),
        (Relation.ABOVE, (40, 70, 60, 90), True),
        (Relation.BELOW, (40, 0, 60, 20), True),
        (Relation.NEXT_TO, (75, 40, 95, 60), True),
        (Relation.NEXT_TO, (85, 40, 105, 60), False),  # the gap is wider than the objects
        (Relation.ON, (20, 60, 100, 90), True),  # it stands on the upper edge
        (Relation.ON, (20, 50, 100, 90), True),  # seen from above, its foot is inside the table
        (Relation.ON, (20, 70, 100, 90), False),  # it floats
        (Relation.ON, (55, 60, 100, 90), False),  # most of it stands beside
        (Relation.ON, (45, 45, 55, 55), False),  # it contains the other one
        (Relation.IN, (30, 30, 80, 80), True),
        (Relation.IN, (45, 30, 90, 80), True),  # three quarters inside
        (Relation.IN, (50, 30, 90, 80), False),
        (Relation.IN, (42, 42, 58, 58), False),  # it is the larger one
        (Relation.LARGER, (0, 0, 18, 18), True),
        (Relation.LARGER, (0, 0, 20, 19), False),  # nearly equal
        (Relation.SMALLER, (0, 0, 30, 30), True),
    ],
)
def test_relation_of_boxes(relation: Relation, box: tuple[float, float, float, float], expected: bool) -> None:
    """Each case is on one side of a limit of the relation."""
    assert holds(relation, CUP, placed(2, "box", box)) is expected


def test_masks_are_more_exact_than_boxes() -> None:
    """The box of a diagonal plank covers a cup beside it; its hull does not."""
    plank, cup = np.zeros((100, 100), np.uint8), np.zeros((100, 100), bool)
    cv2.line(plank, (5, 95), (95, 5), 1, 8)
    cup[10:25, 10:25] = True
    cup_box = (10, 10, 25, 25)
    boxes = placed(1, "cup", cup_box), placed(2, "plank", (2, 2, 98, 98))
    masks = placed(1, "cup", cup_box, mask=cup), placed(2, "plank", (2, 2, 98, 98), mask=plank.astype(bool))
    assert holds(Relation.IN, *boxes)
    assert not holds(Relation.IN, *masks)
    assert not holds(Relation.ON, *masks)
    assert masks[0].center == (17.5, 17.5)


@pytest.mark.parametrize(
    ("lab", "other", "expected"),
    [
        ((50, 60, 40), (35, 42, 28), True),  # the same red in the shade
        ((50, 60, 40), (60, 10, 60), False),
        ((50, 60, -10), (50, 60, 4), True),  # hue angles on both sides of 0
        ((80, 2, 1), (85, -2, 0), True),  # two light grays
        ((80, 2, 1), (20, -2, 0), False),  # white and black
        ((80, 2, 1), (80, 50, 0), False),  # gray and red
        (None, (80, 50, 0), False),
    ],
)
def test_same_color(lab: tuple[float, float, float] | None, other: tuple[float, float, float], expected: bool) -> None:
    """Hue tells colors apart in any light; grays have none."""
    assert holds(Relation.SAME_COLOR, placed(1, "cup", (0, 0, 9, 9), lab=lab), placed(2, "cup", (20, 0, 29, 9), lab=other)) is expected


def test_depth_decides_in_front_and_next_to() -> None:
    """Objects side by side in the image may be a meter apart."""
    near, far = placed(1, "cup", (0, 0, 20, 20), depth=1.0), placed(2, "box", (25, 0, 45, 20), depth=2.0)
    assert holds(Relation.IN_FRONT_OF, near, far)
    assert holds(Relation.BEHIND, far, near)
    assert not holds(Relation.BEHIND, near, placed(3, "box", (25, 0, 45, 20), depth=0.99))
    points = [
        SceneObject(item.number, item.box, item.names, depth=item.depth, point=(x, 0.0, item.depth or 0))
        for x, item in ((0, near), (0.1, far))
    ]
    assert holds(Relation.NEXT_TO, near, far)
    assert not holds(Relation.NEXT_TO, *points)
    with pytest.raises(MissingDepthError, match="has no depth"):
        holds(Relation.BEHIND, near, CUP)


def test_size_with_depth_is_the_one_in_space() -> None:
    """A far truck is smaller in the image than a near toy."""
    toy, truck = placed(1, "toy", (0, 0, 30, 30), depth=0.5), placed(2, "truck", (50, 0, 70, 20), depth=20.0)
    assert holds(Relation.LARGER, truck, toy)
    assert holds(Relation.LARGER, toy, CUP)  # the cup has no depth, so the image decides


@pytest.mark.parametrize(
    ("box", "expected"), [((40, 0, 60, 20), True), ((40, 40, 60, 60), False), ((90, 0, 110, 20), False), ((0, 0, 8, 8), False)]
)
def test_between(box: tuple[float, float, float, float], expected: bool) -> None:
    """In the middle, too far aside, behind one end, and on the other."""
    one, two = placed(2, "box", (0, 0, 20, 20)), placed(3, "box", (80, 0, 100, 20))
    assert (between(placed(1, "cup", box), one, two) is not None) is expected
    assert between(CUP, one, one) is None
