# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A bag's images, our results as serialised messages, and the definitions of both."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from lang2segtrack_ros.io.image_messages import ConversionError, compressed_to_rgb, image_to_rgb
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


def definition(connection: Connection, store: Typestore) -> tuple[str, str]:
    """Definition and type hash of an input's topic, for the output: its own where it has one, else the one we know, else none."""
    kind, text = connection.msgtype, connection.msgdef.data
    if connection.msgdef.format == MessageDefinitionFormat.NONE:
        if kind not in store.fielddefs:
            return "", connection.digest or "RIHS01_" + "0" * 64
        text = store.generate_msgdef(kind, ros_version=2)[0]
    if connection.digest:
        return text, connection.digest
    own = get_typestore(Stores.EMPTY)
    parse = get_types_from_idl if connection.msgdef.format == MessageDefinitionFormat.IDL else None
    own.register(parse(text) if parse else get_types_from_msg(text, kind))
    return text, own.hash_rihs01(kind)


class Messages:
    """Reads images and serialises results; one for a whole bag.

    Attributes:
        store: rosbags' types.
        make: makes messages of results.
    """

    def __init__(self) -> None:
        library = BagMessages()
        self.store = library.typestore
        self.make = ResultMessages(library)

    def image(self, kind: str, data: bytes) -> tuple[Any, NDArray[np.uint8]]:
        """Header and RGB uint8 [H, W, 3] of a serialised Image or CompressedImage.

        Raises:
            ConversionError: the image cannot be used.
        """
        try:
            message: Any = self.store.deserialize_cdr(data, kind)
        except Exception as error:  # whatever a damaged message makes of the deserialiser
            raise ConversionError("unreadable", f"an image message cannot be read: {type(error).__name__}: {error}") from error
        return message.header, image_to_rgb(message) if kind == IMAGE else compressed_to_rgb(message)

    def bytes_of(self, topic: str, message: Any) -> bytes:
        """A message of one of our topics, as it is stored."""
        return bytes(self.store.serialize_cdr(message, TYPES[topic]))
