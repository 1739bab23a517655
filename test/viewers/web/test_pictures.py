# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Slot for the newest image: waiting viewers get the next image, slow viewers get fewer images, and each image is encoded once."""

from __future__ import annotations

import threading

import cv2
import numpy as np

from lang2segtrack_ros.viewers.web.pictures import Pictures

RED = np.full((30, 40, 3), (250, 10, 10), np.uint8)


def test_image_keeps_its_size_and_colors() -> None:
    pictures = Pictures(90, 1000.0)
    pictures.put(RED, "overlay")
    picture = pictures.wait_for_next(0, 0.0)
    assert picture is not None
    assert (picture.source, picture.number) == ("overlay", 1)
    decoded = cv2.cvtColor(cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert decoded.shape == RED.shape
    assert np.abs(decoded.astype(int) - RED).max() < 12


def test_no_new_image_times_out() -> None:
    pictures = Pictures(80, 1000.0)
    assert pictures.wait_for_next(0, 0.01) is None
    pictures.put(RED, "overlay")
    assert pictures.wait_for_next(1, 0.01) is None


def test_unknown_number_returns_at_once() -> None:
    """A viewer keeps its last number over a restart of the server."""
    pictures = Pictures(80, 1000.0)
    pictures.put(RED, "overlay")
    assert pictures.wait_for_next(4711, 0.0) is not None


def test_slow_viewer_gets_the_newest_image() -> None:
    pictures = Pictures(80, 1000.0)
    for _ in range(5):
        pictures.put(RED, "overlay")
    picture = pictures.wait_for_next(1, 0.0)
    assert picture is not None
    assert picture.number == 5


def test_all_waiting_viewers_get_the_same_bytes() -> None:
    pictures = Pictures(80, 1000.0)
    received = []
    viewers = [threading.Thread(target=lambda: received.append(pictures.wait_for_next(0, 30.0))) for _ in range(6)]
    for viewer in viewers:
        viewer.start()
    pictures.put(RED, "camera")
    for viewer in viewers:
        viewer.join()
    assert len({id(picture.jpeg) for picture in received if picture is not None}) == 1
    assert len(received) == 6


def test_images_are_due_only_after_a_request() -> None:
    pictures = Pictures(80, 1000.0)
    assert not pictures.watched
    assert not pictures.due()
    pictures.wait_for_next(0, 0.0)
    assert pictures.watched
    assert pictures.due()


def test_images_above_the_rate_are_not_due() -> None:
    pictures = Pictures(80, 0.1)
    pictures.wait_for_next(0, 0.0)
    pictures.put(RED, "overlay")
    pictures.put(RED, "overlay")
    assert not pictures.due()


def test_close_wakes_waiting_viewers() -> None:
    pictures = Pictures(80, 1000.0)
    received: list[object] = []
    viewer = threading.Thread(target=lambda: received.append(pictures.wait_for_next(0, 300.0)))
    viewer.start()
    pictures.close()
    viewer.join(30.0)
    assert received == [None]
