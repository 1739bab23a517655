# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The toy camera's stream as a rosbag2, written without ROS: the same topics, QoS profiles and messages as the camera node's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer

from lang2segtrack_ros.recordings.bag_types import BagError, BagMessages, offered_qos
from lang2segtrack_ros.toyworld.camera_messages import COLOR, COMPRESSED, FRAME_TOPICS, LABEL_INFO, CameraMessages, Topic
from lang2segtrack_ros.toyworld.stream import StreamOptions

BEGIN_NS = 1_700_000_000_000_000_000
"""Stamp of the first frame, the same in every bag, so that a bag is a function of its options."""
DEMO_FRAMES = 150
STORAGES = tuple(plugin.name.lower() for plugin in StoragePlugin)
VERSION: Literal[8] = 8  # of the metadata; every distribution since Humble reads it


def write_bag(path: Path, options: StreamOptions, frames: int | None = None, storage: str = "mcap", compressed: bool = False) -> int:
    """Writes a clip as a rosbag2; a bag that was begun and could not be finished is removed.

    Args:
        path: the bag's folder, which must not exist.
        options: what is shown; frames that `drop` leaves out are missing, `jitter_ms` moves the times of reception.
        frames: frames of the clip, counting those left out; None for the whole clip, ten seconds of the demo.
        storage: mcap or sqlite3.
        compressed: colour as JPEG in place of raw images.

    Returns:
        The number of frames written.

    Raises:
        BagError: the folder exists or cannot be made, or an argument is none of those above.
    """
    if storage not in STORAGES:
        raise BagError(f'storage "{storage}" is not known; it must be one of: {", ".join(STORAGES)}')
    if frames is not None and frames < 1:
        raise BagError(f"a bag needs at least one frame, not {frames}")
    if path.exists():
        raise BagError(f"{path} exists already: choose another name or remove it")
    scene = options.scene()
    length = frames or scene.length or DEMO_FRAMES
    library = BagMessages()
    messages = CameraMessages(library, scene, options.depth_encoding)
    topics = [topic for topic in FRAME_TOPICS if topic is not (COLOR if compressed else COMPRESSED)]
    kept = [index for index in range(length) if options.kept(index)]
    try:
        with Writer(path, version=VERSION, storage_plugin=StoragePlugin[storage.upper()]) as writer:

            def write(connection: Connection, received_ns: int, message: Any) -> None:
                writer.write(connection, received_ns, library.typestore.serialize_cdr(message, connection.msgtype))

            def connect(topic: Topic) -> Connection:
                qos = [offered_qos(topic.depth, topic.latched)]
                return writer.add_connection(topic.path, topic.kind, typestore=library.typestore, offered_qos_profiles=qos)

            write(connect(LABEL_INFO), BEGIN_NS, messages.label_info())
            connections = {topic: connect(topic) for topic in topics}
            received = BEGIN_NS
            for index in kept:
                stamp = BEGIN_NS + index * options.period_ns
                received = max(received, stamp + options.delay_ns(index))
                shot = scene.render(index)
                for topic, connection in connections.items():
                    write(connection, received, messages.frame(topic, shot, stamp))
    except OSError as error:
        shutil.rmtree(path, ignore_errors=True)
        raise BagError(f"{path} cannot be written: {error.strerror or error}") from error
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return len(kept)
