# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The images of one topic of a bag: streamed in order, and read again in reverse order, a chunk at a time."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from lang2segtrack_ros.io.image_messages import ConversionError, stamp_ns
from lang2segtrack_ros.io.result_messages import IMAGE
from lang2segtrack_ros.recordings.bag_types import BagError
from lang2segtrack_ros.recordings.bags.messages import COMPRESSED, MessageCodec
from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.types.frame import Frame

CHUNK_BYTES = 64 << 20
"""Size of the images that one read in reverse order decodes together."""


_SAMPLES = 10  # messages of a topic that are decoded to find out what it shows


@dataclass(frozen=True)
class ImageTopic:
    """The topic of the images to track.

    Attributes:
        name: its name.
        kind: its message type.
        reason: the reason for its choice, for the user.
    """

    name: str
    kind: str
    reason: str


def image_topic(bag: BagInput, requested: str, codec: MessageCodec) -> ImageTopic:
    """Return the topic of the images to track.

    If no topic is requested, the only color topic is chosen. Without color topics, the only topic that shows no depth is chosen. The first
    images of a topic may be dark or broken, so several of them count.

    Args:
        bag: the bag.
        requested: topic; empty to choose one.
        codec: decoder of images.

    Raises:
        BagError: the requested topic does not exist, the bag has no images, or several topics qualify.
    """
    topics = {item.topic: item.msgtype for item in bag.connections if item.msgtype in (IMAGE, COMPRESSED)}
    listing = ", ".join(sorted(topics)) or "none"
    if requested:
        if requested not in topics:
            all_topics = {item.topic: item.msgtype for item in bag.connections}
            known = requested in all_topics
            reason = f"is of type {all_topics[requested]}, not {IMAGE} or {COMPRESSED}" if known else "is not in the bag"
            raise BagError(f"topic {requested} {reason}; image topics: {listing}")
        return ImageTopic(requested, topics[requested], "as requested")
    if not topics:
        names = ", ".join(sorted(f"{item.topic} ({item.msgtype})" for item in bag.connections)) or "none"
        raise BagError("; ".join([f"there are no images ({IMAGE} or {COMPRESSED}) in {bag.path}", f"its topics: {names}", *bag.damage]))
    by_has_color: dict[bool, list[str]] = {True: [], False: []}  # infrared images and images of ids have no color
    for topic, kind in sorted(topics.items()):
        if (kind == COMPRESSED and topic.rpartition("/")[0] in topics) or "depth" in topic.lower():
            continue
        has_color = _has_color(bag, topic, kind, codec)
        if has_color is not None:
            by_has_color[has_color].append(topic)
    candidates = by_has_color[True] or by_has_color[False]
    if not candidates:
        sentence = f"no topic has an image in its first {_SAMPLES} that can be used for tracking; choose one with --topic: {listing}"
        raise BagError("; ".join([sentence, *bag.damage]))
    if len(candidates) > 1:
        raise BagError(f"several topics have images; choose one with --topic: {', '.join(candidates)}")
    kind = "color images" if by_has_color[True] else "images, and they are gray"
    return ImageTopic(candidates[0], topics[candidates[0]], f"the only topic of {len(topics)} with {kind}")


def _has_color(bag: BagInput, topic: str, kind: str, codec: MessageCodec) -> bool | None:
    """Return True if one of the first images of a topic has color, False if all are gray, None if none can be decoded."""
    result = None
    for _, _, data in islice(bag.messages(topic), _SAMPLES):
        try:
            _, color = codec.decode_image(kind, data)
        except ConversionError:
            continue
        if bool((color != color[..., :1]).any()):
            return True
        result = False
    return result


@dataclass
class ImageIndex:
    """An index of the topic's messages read so far, at most 16 bytes for each message.

    Attributes:
        times: log times of all messages, in nanoseconds.
        frames: for each usable image, in order, the number of its message.
        refused: number of images that cannot be used, by reason.
        example: a sentence for each reason.
    """

    times: array[int] = field(default_factory=lambda: array("q"))
    frames: array[int] = field(default_factory=lambda: array("q"))
    refused: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)


class BagImages:
    """A reader of the images of one topic.

    Args:
        bag: the bag.
        topic: as in `image_topic`.
        codec: decoder of images.

    Attributes:
        topic: the chosen topic.
        reason: the reason for its choice.
        index: the messages read so far.
        warnings: a sentence for each kind of image that is usable, but probably not as intended.

    Raises:
        BagError: as `image_topic`.
    """

    def __init__(self, bag: BagInput, topic: str, codec: MessageCodec) -> None:
        self.bag = bag
        chosen = image_topic(bag, topic, codec)
        self.topic, self._kind, self.reason = chosen.name, chosen.kind, chosen.reason
        self.index = ImageIndex()
        self.warnings: dict[str, str] = {}
        self._codec = codec
        self._chunk: dict[int, Frame] = {}

    @property
    def expected(self) -> int | None:
        """Number of messages of the topic; None if the bag does not give it."""
        return sum(item.msgcount for item in self.bag.connections if item.topic == self.topic) or None

    def decode(self, data: bytes) -> tuple[Any, Frame]:
        """Return header and image of a serialized message. Raises ConversionError."""
        header, color = self._codec.decode_image(self._kind, data, self.warnings.setdefault)
        return header, Frame(color, stamp_ns(header.stamp))

    def frames(self) -> Iterator[Frame]:
        """Yield the usable images that the index does not have yet, and add them to the index. Raises BagError if there is none."""
        index = self.index
        indexed = len(index.times)
        for number, (_, time, data) in enumerate(self.bag.messages(self.topic)):
            if number < indexed:
                continue
            index.times.append(time)
            try:
                if number and time < index.times[number - 1]:
                    raise ConversionError("out_of_order", "an image has an earlier log time than the image before it in the bag")
                _, frame = self.decode(data)
            except ConversionError as error:
                index.refused[error.reason] += 1
                index.example.setdefault(error.reason, str(error))
                continue
            index.frames.append(number)
            yield frame
        if not index.frames:
            reasons = "; ".join(index.example.values()) or "it has no messages"
            raise BagError(f"topic {self.topic} has no usable image: {reasons}")

    def read(self, number: int) -> Frame:
        """Return a usable image by its number in the index. Raises BagError if the bag no longer has it."""
        if number not in self._chunk:
            size = next(iter(self._chunk.values())).color.nbytes if self._chunk else 0
            self._chunk = {}  # free the memory before the next chunk is decoded
            self._read_chunk(max(0, number + 1 - (max(1, CHUNK_BYTES // size) if size else 4)), number)
        if number not in self._chunk:
            raise BagError(f"image {number} of {self.topic} is no longer at its position in the bag: did the bag change?")
        return self._chunk[number]

    def _read_chunk(self, begin: int, end: int) -> None:
        index = self.index
        requested = {index.frames[number]: number for number in range(begin, end + 1)}
        times = np.array(index.times)
        start, stop = int(times[list(requested)].min()), int(times[list(requested)].max()) + 1
        # Log times may fall from one file of a bag to the next, so the messages of a time range may be far apart in the bag.
        inside = np.flatnonzero((times >= start) & (times < stop)).tolist()
        for message, (_, _, data) in zip(inside, self.bag.messages(self.topic, start, stop)):
            if message in requested:
                self._chunk[requested[message]] = self.decode(data)[1]
