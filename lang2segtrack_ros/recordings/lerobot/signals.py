# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Vectors from the messages of a topic: the numbers of one field, with their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.typesys import get_types_from_idl, get_types_from_msg
from rosbags.typesys.store import Typestore

from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.recordings.bag_types import BagError
from lang2segtrack_ros.recordings.bags.messages import MessageCodec
from lang2segtrack_ros.recordings.bags.reading import BagInput

JOINT_STATE = "sensor_msgs/msg/JointState"
_SKIPPED = ("header", "__msgtype__")


@dataclass(frozen=True)
class Signal:
    """A topic, and the field of its messages to take.

    Attributes:
        topic: the topic.
        field: names of nested fields, with dots. Empty takes all numbers of a message; of a JointState, the positions.
    """

    topic: str
    field: str = ""

    @staticmethod
    def parse(text: str) -> Signal:
        """Return the signal of a text such as "/joint_states" or "/arm/state.velocity"."""
        topic, _, field = text.partition(".")
        return Signal(topic, field)


@dataclass(frozen=True)
class Sample:
    """The numbers of one message.

    Attributes:
        names: a name for each number.
        values: the numbers.
    """

    names: tuple[str, ...]
    values: tuple[float, ...]


def read_signal(bag: BagInput, signal: Signal) -> Iterator[tuple[int, Sample]]:
    """Yield time in nanoseconds and numbers of each message. The time is the stamp of the header, or the log time without one.

    Args:
        bag: the bag.
        signal: topic and field.

    Raises:
        BagError: the bag has no such topic, a message has no such field, or the number of values changes.
    """
    kinds = {item.topic: item for item in bag.connections}
    if signal.topic not in kinds:
        raise BagError(f"topic {signal.topic} is not in {bag.path}; its topics: {', '.join(sorted(kinds))}")
    kind, size = kinds[signal.topic].msgtype, -1
    store = _store_with(kinds[signal.topic])
    for _, log_time, data in bag.messages(signal.topic):
        message: Any = store.deserialize_cdr(data, kind)
        stamp = stamp_ns(message.header.stamp) if hasattr(message, "header") else 0
        sample = _sample(message, kind, signal)
        if size not in (-1, len(sample.values)):
            raise BagError(f"{signal.topic} has {size} numbers first and {len(sample.values)} later: choose a field with a fixed number")
        size = len(sample.values)
        yield stamp or log_time, sample


def _store_with(connection: Connection) -> Typestore:
    """Return a store that knows the type of a topic. Raise BagError if the bag lacks the definition of a type that no store knows."""
    store, kind = MessageCodec().store, connection.msgtype
    if kind in store.fielddefs:
        return store
    is_idl = connection.msgdef.format == MessageDefinitionFormat.IDL
    try:
        store.register(get_types_from_idl(connection.msgdef.data) if is_idl else get_types_from_msg(connection.msgdef.data, kind))
    except Exception as error:  # the parser raises many types
        raise BagError(f"the bag has no usable definition of {kind}, the type of {connection.topic} ({error})") from error
    return store


def _sample(message: Any, kind: str, signal: Signal) -> Sample:
    field = signal.field or ("position" if kind == JOINT_STATE else "")
    value = message
    for name in filter(None, field.split(".")):
        if not hasattr(value, name):
            raise BagError(f"messages of {signal.topic} ({kind}) have no field {field}: they have {', '.join(_fields(message))}")
        value = getattr(value, name)
    pairs = list(_numbers(value, field))
    if not pairs:
        raise BagError(f"{signal.topic} ({kind}) has no numbers{f' in {field}' if field else ''}: name a field as TOPIC.field")
    names, values = [name for name, _ in pairs], [number for _, number in pairs]
    if kind == JOINT_STATE and len(message.name) == len(values):
        names = list(message.name)
    return Sample(tuple(names), tuple(values))


def _fields(message: Any) -> list[str]:
    return [name for name in message.__dataclass_fields__ if name not in _SKIPPED]


def _numbers(value: Any, name: str) -> Iterator[tuple[str, float]]:
    """Yield name and value of each number inside a value."""
    if isinstance(value, (bool, int, float)):
        yield name, float(value)
    elif isinstance(value, str):
        return
    elif hasattr(value, "__dataclass_fields__"):
        for field in _fields(value):
            yield from _numbers(getattr(value, field), f"{name}.{field}" if name else field)
    elif isinstance(value, Sequence) or hasattr(value, "tolist"):
        items = value.tolist() if hasattr(value, "tolist") else value
        for index, item in enumerate(items if isinstance(items, (list, tuple)) else [items]):
            yield from _numbers(item, f"{name}.{index}" if name else str(index))
