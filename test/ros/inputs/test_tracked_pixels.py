# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The object under a pixel, from messages on the topic `tracks`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from vision_msgs.msg import BoundingBox2D

from lang2segtrack.msg import RleMask, Track, TrackArray
from lang2segtrack_ros.ros.inputs import tracked_pixels
from lang2segtrack_ros.ros.inputs.tracked_pixels import TrackedPixels
from lang2segtrack_ros.ros.support.process import spin_until
from lang2segtrack_ros.toyworld.graph import isolated_environment
from lang2segtrack_ros.types.rle import Rle


def track(number: int, rows: slice, columns: slice) -> Track:
    """Return a track whose mask is a rectangle of an image of 40 x 30 pixels."""
    mask = np.zeros((30, 40), bool)
    mask[rows, columns] = True
    size = BoundingBox2D(size_x=float(mask.any(0).sum()), size_y=float(mask.any(1).sum()))
    return Track(id=number, bbox=size, mask=RleMask(height=30, width=40, counts=Rle.encode(mask).counts))


@pytest.fixture
def domain() -> Iterator[int]:
    with isolated_environment() as environment:
        yield int(environment["ROS_DOMAIN_ID"])


def test_smallest_object_under_the_pixel_is_found(domain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mug may stand in front of a table that is tracked too. Hidden objects have no mask."""
    tracks = TrackArray(tracks=[track(1, slice(0, 30), slice(0, 20)), track(2, slice(10, 15), slice(5, 9)), Track(id=3)])
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("viewer", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    publisher = node.create_publisher(TrackArray, "tracks", QoSProfile(depth=2))
    try:
        pixels = TrackedPixels(node, node.default_callback_group)
        assert pixels.at(6.0, 12.0) is None
        pixels.update(True)
        assert spin_until(executor, 30.0, lambda: publisher.publish(tracks) or pixels.at(0.0, 0.0) is not None)
        found = {place: pixels.at(*place) for place in ((6.4, 11.6), (-0.5, -0.5), (19.4, 29.4), (19.6, 3.0), (39.4, 3.0), (-9.0, 99.0))}
        assert [item and item.id for item in found.values()] == [2, 1, 1, None, None, None]
        with monkeypatch.context() as late:
            late.setattr(tracked_pixels, "STALE_S", -1.0)
            assert pixels.at(6.0, 12.0) is None, "the objects of an old message may have moved"
        pixels.update(False)
        assert pixels.at(6.0, 12.0) is None
        assert node.count_subscribers("tracks") == 0
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
