# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of the toy world, in the form that `ros2 bag record` writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from lang2segtrack_ros.io.result_messages import IMAGE
from lang2segtrack_ros.recordings.bag_types import BagMessages, offered_qos
from lang2segtrack_ros.recordings.bags.messages import COMPRESSED
from lang2segtrack_ros.toyworld.scene import Scene

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 66_666_667
TOPIC = "/camera/color/image_raw"


def header(types: Any, stamp: int) -> Any:
    """Return a header of the toy camera."""
    time = types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
    return types["std_msgs/msg/Header"](stamp=time, frame_id="camera_color_optical_frame")


def record(
    path: Path,
    scene: Scene,
    count: int,
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
    encoding: str = "rgb8",
    start: int = 0,
) -> Path:
    """Write a bag with a topic of color images and a topic of text. The log time of an image is 5 ms after its stamp.

    Args:
        path: folder of the bag.
        scene: the scene.
        count: number of images.
        storage: file format.
        compression: compression mode.
        encoding: encoding of the images; "jpeg" for compressed images.
        start: number of the first image.
    """
    store = BagMessages().typestore
    types = store.types
    writer = Writer(path, version=9, storage_plugin=storage)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        kind = COMPRESSED if encoding == "jpeg" else IMAGE
        images = writer.add_connection(TOPIC, kind, typestore=store, offered_qos_profiles=[offered_qos(5)])
        texts = writer.add_connection("/chatter", "std_msgs/msg/String", typestore=store)
        for number in range(start, start + count):
            stamp = START_NS + number * PERIOD_NS
            color = scene.render(number).color
            if encoding == "jpeg":
                data = cv2.imencode(".jpg", color[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].reshape(-1)
                message = types[COMPRESSED](header=header(types, stamp), format="jpeg", data=data)
            else:
                pixels = color[:, :, ::-1] if encoding == "bgr8" else color
                height, width = pixels.shape[:2]
                flat = np.ascontiguousarray(pixels).reshape(-1)
                message = types[IMAGE](
                    header=header(types, stamp), height=height, width=width, encoding=encoding, is_bigendian=0, step=3 * width, data=flat
                )
            text = store.serialize_cdr(types["std_msgs/msg/String"](data=f"image {number}"), "std_msgs/msg/String")
            writer.write(texts, stamp, text)
            writer.write(images, stamp + 5_000_000, store.serialize_cdr(message, kind))
    return path


def contents(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yield topic, log time and data of every message of a bag."""
    with Reader(path) as reader:
        for connection, stamp, data in reader.messages():
            yield connection.topic, stamp, bytes(data)
