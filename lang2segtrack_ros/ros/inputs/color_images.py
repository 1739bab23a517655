# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The color images of a node: subscription, conversion, and reports on jumps, gaps and images that cannot be used.

Images that nothing needs are kept as messages, and only one in a second is converted. It shows whether the stream can be used.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from lang2segtrack_ros.io.image_messages import ConversionError, compressed_to_rgb, image_to_rgb, stamp_ns
from lang2segtrack_ros.ros.inputs.subscription import QosMatchingSubscription
from lang2segtrack_ros.ros.support.interfaces import COLOR_COMPRESSED, COLOR_IMAGE
from lang2segtrack_ros.ros.support.repeated_warnings import RepeatedWarnings

SILENT = "silent"
"""Cause of the warnings that no image arrives."""
IDLE_PERIOD_S = 1.0
"""Time between two conversions of images that nothing needs."""
Pixels = NDArray[np.uint8]


class ColorImages:
    """The color images from configure to cleanup.

    Args:
        node: node that owns the subscription.
        offer: called with the header, the image (RGB uint8 [H, W, 3]) and the stamp in nanoseconds of each usable image.
        pass_over: called for each image. It returns True, and counts the image, if nothing needs it.
        image_bits: returns the number of used bits of 16-bit images.
        skipped: counters of the node by reason.
        warn: the warnings of the node.

    Attributes:
        subscription: the subscription while the node is active, otherwise None.
    """

    def __init__(
        self,
        node: Node,
        offer: Callable[[Header, Pixels, int], None],
        pass_over: Callable[[], bool],
        image_bits: Callable[[], int],
        skipped: Counter[str],
        warn: RepeatedWarnings,
    ) -> None:
        self._node, self._offer, self._pass_over = node, offer, pass_over
        self._image_bits, self._skipped, self._warn = image_bits, skipped, warn
        self._last_stamp = 0
        self._latest: Callable[[], Pixels] | None = None
        self._size: tuple[int, int] | None = None
        self._converted_at = float("-inf")
        self.subscription: QosMatchingSubscription | None = None

    def open(self, transport: str, group: CallbackGroup, qos: str) -> None:
        """Subscribe.

        Args:
            transport: "raw" or "compressed".
            group: callback group of the subscription.
            qos: "auto", "reliable" or "best_effort".
        """
        topic, callback = (COLOR_IMAGE, self._on_image) if transport == "raw" else (COLOR_COMPRESSED, self._on_compressed)
        self.subscription = QosMatchingSubscription(self._node, topic, callback, group, qos)
        self._node.get_logger().info(f"listening to {self.subscription.topic}")

    def close(self) -> None:
        """Unsubscribe. The last image stays."""
        if self.subscription is not None:
            self.subscription.close()
            self.subscription = None

    @property
    def has_image(self) -> bool:
        """Return True after the first image."""
        return self._latest is not None

    @property
    def latest(self) -> Pixels | None:
        """Return the last image, RGB uint8 [H, W, 3]. None before the first one. Raises ConversionError."""
        return None if self._latest is None else self._latest()

    @property
    def size(self) -> tuple[int, int] | None:
        """Return height and width of the last image in pixels. None before the first one. Raises ConversionError."""
        latest = self.latest
        return None if latest is None else latest.shape[:2]

    def report_silence(self, limit_s: float) -> str:
        """Return a sentence on why no image arrives, and log it as a warning. Empty if images arrive, or the node is paused.

        Args:
            limit_s: time in seconds without an image after which it is missing.
        """
        if self.subscription is None or self.subscription.silent_s <= limit_s:
            return ""
        silence = self.subscription.explain_silence()
        self._warn(SILENT, f"no image for {self.subscription.silent_s:.1f} s: {silence}")
        return silence

    def explain_waiting(self) -> str:
        """Return a sentence on the image that is waited for. Empty if the node is paused."""
        color = self.subscription
        if color is None:
            return ""
        if color.last_arrival is None:
            return f"no image has arrived yet: {color.explain_silence()}"
        return f"the last image arrived {color.silent_s:.1f} s ago on {color.topic}"

    def _on_image(self, msg: Image) -> None:
        self._process(msg.header, msg.encoding, cache(lambda: image_to_rgb(msg, self._image_bits(), self._warn)))

    def _on_compressed(self, msg: CompressedImage) -> None:
        self._process(msg.header, msg.format, cache(lambda: compressed_to_rgb(msg, self._image_bits(), self._warn)))

    def _process(self, header: Header, encoding: str, convert: Callable[[], Pixels]) -> None:
        if time.monotonic() - self._converted_at < IDLE_PERIOD_S and self._pass_over():
            self._latest = convert
            return
        try:
            color = convert()
        except ConversionError as error:
            self._skip(error)
            return
        except Exception as error:  # out of memory, or a library that fails on this image; it must not end the node
            self._skip(ConversionError("unexpected", f"{type(error).__name__}: {error}"))
            return
        stamp = stamp_ns(header.stamp)
        self._report_arrival(color, encoding)
        self._report_changes(color, stamp)
        self._last_stamp, self._size, self._latest, self._converted_at = stamp, color.shape[:2], convert, time.monotonic()
        self._offer(header, color, stamp)

    def _report_arrival(self, color: Pixels, encoding: str) -> None:
        """Log the first image, and the first one after a gap that was reported."""
        if self._latest is None:
            self._node.get_logger().info(f"first image: {color.shape[1]} x {color.shape[0]}, {encoding}")
        elif self._warn.clear(SILENT):
            self._node.get_logger().info("images arrive again")

    def _report_changes(self, color: Pixels, stamp: int) -> None:
        """Warn about a stamp before that of the last image, and about another image size."""
        if self._last_stamp and stamp < self._last_stamp:
            self._skipped["clock_went_back_kept"] += 1
            self._warn("clock", f"stamps jumped back by {(self._last_stamp - stamp) / 1e9:.3f} s, as in a looping bag: objects are kept")
        if self._size not in (None, color.shape[:2]):
            self._skipped["size_changed_kept"] += 1
            before, now = (f"{width} x {height}" for height, width in (self._size, color.shape[:2]))
            self._warn("size", f"the image size changed from {before} to {now}: objects are kept")

    def _skip(self, error: ConversionError) -> None:
        self._skipped[error.reason] += 1
        self._warn(error.reason, f"image skipped ({error.reason}): {error}")
