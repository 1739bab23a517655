# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of the object map, and the objects on the web page."""

from __future__ import annotations

import numpy as np
import pytest
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from lang2segtrack.msg import MapObject as MapObjectMessage
from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.object_map.objects import ObjectState
from lang2segtrack_ros.ros.support.map_messages import object_markers, object_message, time_message
from lang2segtrack_ros.ros.support.remembered_objects import remembered
from test.object_map.test_store import thing


@pytest.mark.parametrize("state", ObjectState)
def test_states_equal_the_constants_of_the_message(state: ObjectState) -> None:
    """A reader of the message compares with its constants."""
    assert int(state) == getattr(MapObjectMessage, state.name)


def test_each_field_arrives() -> None:
    """The latest track comes first; the orientation has no information."""
    message = object_message(thing(), lambda number: b"jpeg" if number == 3 else b"")
    assert (message.id, message.label, message.name, message.state) == (3, "rote Tasse ☕", "dock", MapObjectMessage.MISSING)
    assert (message.last_seen.sec, message.last_seen.nanosec, message.sightings) == (0, 3_000, 5)
    assert (message.size.x, message.size.y, message.size.z) == (0.1, 0.2, 0.3)
    assert [(track.source, track.track_id) for track in message.tracks] == [("", 1), ("front", 7)]
    covariance = np.array(message.pose.covariance).reshape(6, 6)
    assert covariance[:3, :3] == pytest.approx(thing().covariance)
    assert covariance[5, 5] == pytest.approx(np.pi**2)
    assert (message.thumbnail.format, bytes(message.thumbnail.data)) == ("jpeg", b"jpeg")


def test_another_frame_turns_position_and_covariance() -> None:
    """A quarter turn exchanges the variances of x and y."""
    turn = RigidTransform(np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), np.array([1.0, 0.0, 0.0]))
    message = object_message(thing(), None, turn)
    place = message.pose.pose.position
    assert (place.x, place.y, place.z) == pytest.approx((3.25, 1.5, 0.125))
    covariance = np.array(message.pose.covariance).reshape(6, 6)
    assert (covariance[0, 0], covariance[1, 1]) == pytest.approx((3e-4, 2e-4))


def test_times_outside_the_message_are_limited() -> None:
    """A simulated clock may begin below zero, and a file may hold any number."""
    assert (time_message(-5).sec, time_message(2**62).sec) == (0, 2**31 - 1)


def test_markers_replace_the_earlier_ones_and_say_what_is_missing() -> None:
    """RViz keeps markers that nobody deletes."""
    first, box, text = object_markers([thing()], Header(frame_id="map")).markers
    assert first.action == Marker.DELETEALL
    assert (box.scale.x, box.color.r > box.color.g) == (0.1, True)
    assert text.text == "3 dock (missing)"


def test_the_page_names_the_nearest_object_with_a_name() -> None:
    """An age in seconds, a place in words, a picture as a URL."""
    dock, mug, far = thing(1), thing(2), thing(3)
    dock.state = ObjectState.VISIBLE
    mug.name, mug.position = "", dock.position + np.array([0.0, 1.2, 0.0])
    far.name, far.position = "", dock.position + np.array([9.0, 0.0, 0.0])
    items = remembered([object_message(item, lambda _: b"abc") for item in (dock, mug, far)], 250_000_000_000)
    assert [item["near"] for item in items] == ["", "1.2 m from dock", ""]
    assert (items[0]["age_s"], items[1]["state"]) == (250, "missing")
    assert items[0]["thumbnail"] == "data:image/jpeg;base64,YWJj"
