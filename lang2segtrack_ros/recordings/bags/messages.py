# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Serialized messages: decoding of a bag's images, encoding of results, and message definitions."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from lang2segtrack_ros.io.image_messages import ConversionError, Warn, compressed_to_rgb, image_to_rgb
from lang2segtrack_ros.io.result_messages import DETECTIONS, IMAGE, LABEL_INFO, TRACKS, ResultMessages
from lang2segtrack_ros.recordings.bag_types import BagMessages

COMPRESSED = "sensor_msgs/msg/CompressedImage"
TYPES = {
    "detections": DETECTIONS,
    "instance_masks": IMAGE,
    "label_info": LABEL_INFO,
    "tracks": TRACKS,
    "tracks_refined": TRACKS,
    "overlay": IMAGE,
}
"""Message type of each result topic."""


IDL_HEAD = "=" * 80 + "\nIDL: "
"""Start of a definition in IDL in a bag; the name of its type follows."""
UNKNOWN_HASH = "RIHS01_" + "0" * 64
"""Type hash of a topic whose definition is missing or cannot be parsed."""
log = logging.getLogger(__name__)


def definition(connection: Connection, store: Typestore) -> tuple[str, str]:
    """Return definition and type hash of an input topic, for the output bag.

    The definition comes from the input, else from the store. If both have none, the definition is empty. A definition that cannot be parsed
    is copied as it is, because the messages of the topic are copied byte by byte, too.

    Args:
        connection: the input topic.
        store: message types of rosbags.
    """
    kind, text = connection.msgtype, connection.msgdef.data
    if connection.msgdef.format == MessageDefinitionFormat.NONE:
        if kind not in store.fielddefs:
            return "", connection.digest or UNKNOWN_HASH
        text = store.generate_msgdef(kind, ros_version=2)[0]
    if connection.msgdef.format == MessageDefinitionFormat.IDL and not text.startswith(IDL_HEAD):  # "omgidl" of an MCAP file
        text = f"{IDL_HEAD}{kind}\n{text}"
    if connection.digest:
        return text, connection.digest
    own = get_typestore(Stores.EMPTY)
    parse = get_types_from_idl if connection.msgdef.format == MessageDefinitionFormat.IDL else None
    try:
        own.register(parse(text) if parse else get_types_from_msg(text, kind))
        return text, own.hash_rihs01(kind)
    except Exception as error:  # the parsers raise many types
        log.warning(
            "the definition of %s (%s) cannot be parsed, so it is copied as it is, without a type hash: %s", connection.topic, kind, error
        )
        return text, UNKNOWN_HASH


class MessageCodec:
    """A decoder of images and an encoder of results, one for a whole bag.

    Args:
        image_bits: number of used bits in 16-bit images.

    Attributes:
        store: message types of rosbags.
        make: converter from results to messages.
    """

    def __init__(self, image_bits: int = 16) -> None:
        self._image_bits = image_bits
        library = BagMessages()
        self.store = library.typestore
        self.make = ResultMessages(library)

    def decode_image(self, kind: str, data: bytes, warn: Warn | None = None) -> tuple[Any, NDArray[np.uint8]]:
        """Return header and RGB uint8 [H, W, 3] of a serialized Image or CompressedImage.

        Args:
            kind: the message type.
            data: the serialized message.
            warn: called if 16-bit values use fewer bits.

        Raises:
            ConversionError: the image cannot be used.
        """
        try:
            message: Any = self.store.deserialize_cdr(data, kind)
        except Exception as error:  # the deserializer raises many types for a damaged message
            raise ConversionError("unreadable", f"an image message cannot be read: {type(error).__name__}: {error}") from error
        convert = image_to_rgb if kind == IMAGE else compressed_to_rgb
        return message.header, convert(message, self._image_bits, warn)

    def encode(self, topic: str, message: Any) -> bytes:
        """Return a serialized message of a result topic.

        Args:
            topic: its name in TYPES.
            message: the message.
        """
        return bytes(self.store.serialize_cdr(message, TYPES[topic]))
