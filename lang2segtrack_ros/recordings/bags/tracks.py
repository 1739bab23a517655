# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The tracks of a bag as records: the bag of `lang2segtrack bag`, or a recording of the node's topics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lang2segtrack_ros.history.records import Record
from lang2segtrack_ros.io.exports.trace import TraceError
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.io.result_messages import TRACKS
from lang2segtrack_ros.recordings.bags.messages import MessageCodec
from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.types.results import Source, TrackStatus
from lang2segtrack_ros.types.rle import Box

_SOURCES = (Source.FORWARD, Source.BACKWARD, Source.MERGED)  # in the order of the constants of lang2segtrack/msg/Track


def tracks_topic(bag: BagInput, requested: str) -> str:
    """Return the topic of the tracks.

    Refined tracks come first, unless they cover fewer images: a node publishes them for a part of its stream only.

    Args:
        bag: the bag.
        requested: topic; empty to choose one.

    Raises:
        TraceError: the bag has no such topic, or several qualify.
    """
    counts = {item.topic: item.msgcount for item in bag.connections if item.msgtype == TRACKS}
    listing = ", ".join(sorted(counts)) or "none"
    if requested:
        if requested not in counts:
            raise TraceError(f"{bag.path} has no topic {requested} of type {TRACKS}; its topics of this type: {listing}")
        return requested
    refined = [topic for topic in counts if topic.endswith("tracks_refined")]
    plain = [topic for topic in counts if topic not in refined]
    if len(refined) > 1 or len(plain) > 1:
        raise TraceError(f"{bag.path} has several topics of tracks; choose one with --topic: {listing}")
    if refined and (not plain or counts[refined[0]] >= counts[plain[0]]):
        return refined[0]
    if not plain:
        raise TraceError(f"{bag.path} has no topic of type {TRACKS}: track its images first, with lang2segtrack bag")
    return plain[0]


def bag_records(bag: BagInput, topic: str, sentences: list[str]) -> Iterator[Record]:
    """Yield a record for each image that has tracks.

    Args:
        bag: the bag.
        topic: topic of the tracks; empty chooses one.
        sentences: gets a sentence for each kind of message left out, at the end.

    Raises:
        TraceError: the bag has no tracks, or a message of another version of this package.
    """
    topic = tracks_topic(bag, topic)
    store = MessageCodec().store
    last: int | None = None
    number = repeated = 0
    for _, _, data in bag.messages(topic):
        try:
            message: Any = store.deserialize_cdr(data, TRACKS)
        except Exception as error:  # the deserializer raises many types
            place = f"message {number + 1} of {topic} cannot be read ({type(error).__name__}: {error})"
            raise TraceError(f"{place}: track the images again with this version") from error
        stamp = stamp_ns(message.header.stamp)
        if last is not None and stamp <= last:  # a second refinement of the same images
            repeated += 1
            continue
        yield _record(message, number, stamp)
        number, last = number + 1, stamp
    if repeated:
        sentences.append(f"{topic}: {repeated} messages whose stamp is not later than the one before were left out")


def _record(message: Any, number: int, stamp: int) -> Record:
    """Return the record of a message. Its size is 0 if it has no track; `Trace` then takes that of the other images."""
    tracks = [_track(item) for item in message.tracks]
    height, width = next((item["rle"]["size"] for item in tracks if item["rle"]["size"][0]), (0, 0))
    return {"frame": number, "stamp_ns": stamp, "height": height, "width": width, "prompted": [], "tracks": tracks}


def _track(item: Any) -> Record:
    box = _box(item.bbox)
    return {
        "id": int(item.id),
        "label": item.label,
        "state": TrackStatus(item.state).name.lower(),
        "source": _SOURCES[item.source].value,
        "score": round(float(item.score), 6),
        "box": None if box is None else list(box),
        "rle": {"size": [int(item.mask.height), int(item.mask.width)], "counts": item.mask.counts},
    }


def _box(box: Any) -> Box | None:
    """Return a vision_msgs/BoundingBox2D (center and size) as corners; None for size 0."""
    x, y, width, height = box.center.position.x, box.center.position.y, box.size_x, box.size_y
    if not width or not height:
        return None
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
