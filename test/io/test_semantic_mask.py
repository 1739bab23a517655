# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Class ids: stable, bounded, and 0 for the background, as costmap layers read them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lang2segtrack_ros.io.semantic_mask import MAX_CLASS_ID, ClassBook, confidence, paint
from lang2segtrack_ros.types.results import Track
from test.io.test_rendering import make_track


def named(label: str, track_id: int = 1, score: float = 0.5, columns: slice = slice(0, 3)) -> Track:
    mask = np.zeros((4, 6), bool)
    mask[1:3, columns] = True
    box = (columns.start, 1, columns.stop, 3)
    return replace(make_track(mask, track_id), label=label, score=score, box=box)


def test_ids_follow_the_order_of_appearance_and_stay() -> None:
    """A costmap keeps cells under their id, so an id must not change its name when a track ends."""
    book = ClassBook()
    assert book.update([named("Red  Mug"), named("chair", 2)])
    assert not book.update([named("chair", 5)])
    assert book.update([named("", 6)])
    assert book.names == {0: "background", 1: "red mug", 2: "chair", 3: "object"}
    assert book.class_id(named("RED mug", 9)) == 1


def test_listed_classes_are_fixed() -> None:
    """With a list, a reader knows all classes before the first object, and others stay background."""
    book = ClassBook("background. person. Chair.")
    assert book.names == {0: "background", 1: "person", 2: "chair"}
    assert not book.update([named("dog")])
    assert (book.class_id(named("dog")), book.class_id(named("chair"))) == (0, 2)


def test_ids_fit_into_a_byte() -> None:
    """A mono8 image holds 255 classes beside the background. Further labels are background, not another class."""
    book = ClassBook()
    book.update([named(f"thing {index}") for index in range(300)])
    assert max(book.names) == MAX_CLASS_ID == 255
    assert book.class_id(named("thing 254")) == 255
    assert book.class_id(named("thing 255")) == 0


def test_higher_score_wins_where_masks_overlap() -> None:
    """Class and confidence of a pixel must come from the same object."""
    tracks = [named("a", 1, 0.9, slice(0, 3)), named("b", 2, 0.4, slice(2, 5))]
    book = ClassBook()
    book.update(tracks)
    classes, scores = np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.uint8)
    paint(classes, tracks, book.class_id)
    paint(scores, tracks, confidence)
    assert classes[1].tolist() == [1, 1, 1, 2, 2, 0]
    assert scores[1].tolist() == [230, 230, 230, 102, 102, 0]
    assert not classes[0].any()


def test_confidence_of_an_object_is_never_that_of_the_background() -> None:
    """The costmap layer chooses the most confident pixel of a cell: an object must win against the background."""
    assert confidence(named("a", score=0.0)) == 1
    assert confidence(named("a", score=1.0)) == 255
