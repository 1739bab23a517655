# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Writer of a rosbag2 without ROS. The bag has the topics, QoS profiles and messages of the camera node."""

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
"""Stamp of the first frame. It is the same in every bag, so a bag depends on its options alone."""
DEMO_FRAMES = 150
STORAGES = tuple(plugin.name.lower() for plugin in StoragePlugin)
VERSION: Literal[8] = 8  # of the metadata; all ROS 2 distributions since Humble read it


def write_bag(path: Path, options: StreamOptions, frames: int | None = None, storage: str = "mcap", compressed: bool = False) -> int:
    """Write a clip as a rosbag2. Remove a bag that could not be finished.

    Args:
        path: folder of the bag. It must not exist.
        options: content of the clip. Frames that `drop` selects are missing; `jitter_ms` shifts the reception times.
        frames: length of the clip in frames, dropped ones included. None selects the whole clip, or ten seconds of the demo.
        storage: "mcap" or "sqlite3".
        compressed: True writes color as JPEG instead of raw images.

    Returns:
        The number of frames written.

    Raises:
        BagError: The folder exists or cannot be created, or an argument has an unknown value.
    """
    if storage not in STORAGES:
        raise BagError(f'storage "{storage}" is unknown; choose one of: {", ".join(STORAGES)}')
    if frames is not None and frames < 1:
        raise BagError(f"frames is {frames}; a bag needs at least one frame")
    if path.exists():
        raise BagError(f"{path} already exists: choose another name or remove it")
    scene = options.scene()
    length = frames or scene.length or DEMO_FRAMES
    bag_messages = BagMessages()
    messages = CameraMessages(bag_messages, scene, options.depth_encoding)
    topics = [topic for topic in FRAME_TOPICS if topic is not (COLOR if compressed else COMPRESSED)]
    indices = [index for index in range(length) if options.is_published(index)]
    try:
        with Writer(path, version=VERSION, storage_plugin=StoragePlugin[storage.upper()]) as writer:

            def write(connection: Connection, received_ns: int, message: Any) -> None:
                writer.write(connection, received_ns, bag_messages.typestore.serialize_cdr(message, connection.msgtype))

            def connect(topic: Topic) -> Connection:
                qos = [offered_qos(topic.depth, topic.latched)]
                return writer.add_connection(topic.path, topic.kind, typestore=bag_messages.typestore, offered_qos_profiles=qos)

            write(connect(LABEL_INFO), BEGIN_NS, messages.label_info())
            connections = {topic: connect(topic) for topic in topics}
            received = BEGIN_NS
            for index in indices:
                stamp = BEGIN_NS + index * options.period_ns
                received = max(received, stamp + options.delay_ns(index))
                frame = scene.render(index)
                for topic, connection in connections.items():
                    write(connection, received, messages.frame(topic, frame, stamp))
    except OSError as error:
        shutil.rmtree(path, ignore_errors=True)
        raise BagError(f"{path} cannot be written: {error.strerror or error}") from error
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return len(indices)
