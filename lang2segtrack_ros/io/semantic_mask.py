# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Labels as class ids, and the images of class ids and confidence that costmap layers read."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.prompts import plain_name, split_phrases
from lang2segtrack_ros.types.results import Track

BACKGROUND = "background"
"""Name of class 0."""
UNNAMED = "object"
"""Class of tracks without a label."""
MAX_CLASS_ID = 255


class ClassBook:
    """The class id of each label. An id never gets another label, because a reader keeps what it saw under the id.

    Args:
        classes: names of the classes 1, 2, 3, ..., as phrases such as "person. chair." An empty text gives each new label the next id.

    Attributes:
        names: name by class id, with 0 for the background.
    """

    def __init__(self, classes: str = "") -> None:
        listed = split_phrases(classes) if classes.strip() else ()
        names = dict.fromkeys((BACKGROUND, *listed))  # also a list that names the background has it once, as 0
        self._ids = {name: number for number, name in enumerate(names) if number <= MAX_CLASS_ID}
        self.names = {number: name for name, number in self._ids.items()}
        self._is_open = not listed

    def update(self, tracks: Iterable[Track]) -> bool:
        """Give ids to the labels of tracks. Return True if there is a new id."""
        count = len(self.names)
        for track in tracks:
            name = plain_name(track.label) or UNNAMED
            if self._is_open and name not in self._ids and len(self.names) <= MAX_CLASS_ID:
                self._ids[name] = len(self.names)
                self.names[len(self.names)] = name
        return len(self.names) != count

    def class_id(self, track: Track) -> int:
        """Return the class id of a track, or 0 if its label has none."""
        return self._ids.get(plain_name(track.label) or UNNAMED, 0)


def paint(image: NDArray[np.uint8], tracks: Iterable[Track], value: Callable[[Track], int]) -> None:
    """Paint a value into each pixel of the masks; where masks overlap, the track with the highest score wins.

    Args:
        image: uint8 [H, W] of zeros, painted in place.
        tracks: tracks with masks of the same size.
        value: returns the value of a track, 0 to 255.
    """
    for track in sorted(tracks, key=lambda track: track.score):
        if track.box is not None:
            x1, y1, x2, y2 = map(int, track.box)
            image[y1:y2, x1:x2][track.mask[y1:y2, x1:x2]] = value(track)


def confidence(track: Track) -> int:
    """Return the score of a track, 0 to 1, as 1 to 255. 0 is left to the background."""
    return max(1, round(255 * min(1.0, max(0.0, track.score))))
