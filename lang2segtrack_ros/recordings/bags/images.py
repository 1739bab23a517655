# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The images of one topic of a bag: in order, and, a stretch at a time, again for falling numbers."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lang2segtrack_ros.io.image_messages import ConversionError, stamp_ns
from lang2segtrack_ros.io.result_messages import IMAGE
from lang2segtrack_ros.recordings.bag_types import BagError
from lang2segtrack_ros.recordings.bags.messages import COMPRESSED, Messages
from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.types.frame import Frame

CHUNK_BYTES = 64 << 20
"""Images decoded ahead on the way back."""


def image_topic(bag: BagInput, wanted: str, messages: Messages) -> tuple[str, str]:
    """Topic and type of the images to track; where none is named the only ones with colours, or the only ones at all that are no depth.

    Raises:
        BagError: there is no such topic, or no images, or several topics of images and none was named.
    """
    found = {item.topic: item.msgtype for item in bag.connections if item.msgtype in (IMAGE, COMPRESSED)}
    listing = ", ".join(sorted(found)) or "none"
    if wanted:
        if wanted not in found:
            others = {item.topic: item.msgtype for item in bag.connections}
            why = f"is of type {others[wanted]}, not {IMAGE} or {COMPRESSED}" if wanted in others else "is not in the bag"
            raise BagError(f"topic {wanted} {why}; topics of images: {listing}")
        return wanted, found[wanted]
    if not found:
        topics = ", ".join(sorted(f"{item.topic} ({item.msgtype})" for item in bag.connections)) or "none"
        raise BagError(f"there are no images ({IMAGE} or {COMPRESSED}) in {bag.path}; its topics: {topics}")
    usable: dict[bool, list[str]] = {True: [], False: []}  # whether they have colours: an infrared image has not, nor has one of ids
    for topic, kind in sorted(found.items()):
        first = next(bag.messages(topic), None)
        if first is None or (kind == COMPRESSED and topic.rpartition("/")[0] in found) or "depth" in topic.lower():
            continue
        try:
            _, color = messages.image(kind, first[2])
        except ConversionError:
            continue
        usable[bool((color != color[..., :1]).any())].append(topic)
    chosen = usable[True] or usable[False]
    if not chosen:
        raise BagError(f"no topic begins with an image that can be tracked in; choose one with --topic: {listing}")
    if len(chosen) > 1:
        raise BagError(f"several topics hold images; choose one with --topic: {', '.join(chosen)}")
    return chosen[0], found[chosen[0]]


@dataclass
class ImageIndex:
    """What is known of the topic's messages so far, eight bytes for each.

    Attributes:
        times: log times of all its messages, in nanoseconds.
        frames: for each usable image, in order, which of the messages it is.
        refused: number of images that cannot be used, by reason.
        example: a sentence for each reason.
    """

    times: array[int] = field(default_factory=lambda: array("q"))
    frames: array[int] = field(default_factory=lambda: array("q"))
    refused: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)


class BagImages:
    """Reads the images of a topic."""

    def __init__(self, bag: BagInput, topic: str, messages: Messages) -> None:
        self.bag = bag
        self.topic, self._kind = image_topic(bag, topic, messages)
        self.index = ImageIndex()
        self._messages = messages
        self._chunk: dict[int, Frame] = {}

    @property
    def expected(self) -> int | None:
        """How many messages the topic has, where the bag says so."""
        return sum(item.msgcount for item in self.bag.connections if item.topic == self.topic) or None

    def decode(self, data: bytes) -> tuple[Any, Frame]:
        """Header and image of a message. Raises ConversionError."""
        header, color = self._messages.image(self._kind, data)
        return header, Frame(color, stamp_ns(header.stamp))

    def frames(self) -> Iterator[Frame]:
        """The usable images that are not in the index yet; they are put there."""
        known, index = len(self.index.times), self.index
        for number, (_, time, data) in enumerate(self.bag.messages(self.topic)):
            if number < known:
                continue
            index.times.append(time)
            try:
                if number and time < index.times[number - 1]:
                    raise ConversionError("out_of_order", "an image was recorded before the one that stands before it in the bag")
                _, frame = self.decode(data)
            except ConversionError as error:
                index.refused[error.reason] += 1
                index.example.setdefault(error.reason, str(error))
                continue
            index.frames.append(number)
            yield frame

    def read(self, number: int) -> Frame:
        """A usable image by its number in the index. Raises BagError when it is not found again."""
        if number not in self._chunk:
            size = next(iter(self._chunk.values())).color.nbytes if self._chunk else 0
            self._chunk = {}  # let go before the next ones are made
            self._read_chunk(max(0, number + 1 - (max(1, CHUNK_BYTES // size) if size else 4)), number)
        if number not in self._chunk:
            raise BagError(f"image {number} of {self.topic} is not found again where it was: did the bag change?")
        return self._chunk[number]

    def _read_chunk(self, begin: int, end: int) -> None:
        index = self.index
        wanted = {index.frames[number]: number for number in range(begin, end + 1)}
        times = np.array(index.times)
        start, stop = int(times[list(wanted)].min()), int(times[list(wanted)].max()) + 1
        # Times may fall from one file of a bag to the next, so messages of a stretch of time need not stand side by side.
        inside = np.flatnonzero((times >= start) & (times < stop)).tolist()
        for message, (_, _, data) in zip(inside, self.bag.messages(self.topic, start, stop)):
            if message in wanted:
                self._chunk[wanted[message]] = self.decode(data)[1]
