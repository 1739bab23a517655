# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The slot for the newest picture: who waits gets the next one, who is slow gets fewer, and each is coded once."""

from __future__ import annotations

import threading

import cv2
import numpy as np

from lang2segtrack_ros.viewers.web.pictures import Pictures

RED = np.full((30, 40, 3), (250, 10, 10), np.uint8)


def test_a_picture_is_a_jpeg_of_its_size_and_colours() -> None:
    pictures = Pictures(90, 1000.0)
    pictures.put(RED, "overlay")
    shown = pictures.another(0, 0.0)
    assert shown is not None
    assert (shown.source, shown.number) == ("overlay", 1)
    decoded = cv2.cvtColor(cv2.imdecode(np.frombuffer(shown.jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert decoded.shape == RED.shape
    assert np.abs(decoded.astype(int) - RED).max() < 12


def test_nothing_new_is_nothing() -> None:
    pictures = Pictures(80, 1000.0)
    assert pictures.another(0, 0.01) is None
    pictures.put(RED, "overlay")
    assert pictures.another(1, 0.01) is None


def test_a_number_from_before_a_restart_is_no_reason_to_wait() -> None:
    pictures = Pictures(80, 1000.0)
    pictures.put(RED, "overlay")
    assert pictures.another(4711, 0.0) is not None


def test_a_slow_viewer_gets_the_newest() -> None:
    pictures = Pictures(80, 1000.0)
    for _ in range(5):
        pictures.put(RED, "overlay")
    shown = pictures.another(1, 0.0)
    assert shown is not None
    assert shown.number == 5


def test_all_who_wait_get_the_same_bytes() -> None:
    pictures = Pictures(80, 1000.0)
    got = []
    viewers = [threading.Thread(target=lambda: got.append(pictures.another(0, 30.0))) for _ in range(6)]
    for viewer in viewers:
        viewer.start()
    pictures.put(RED, "camera")
    for viewer in viewers:
        viewer.join()
    assert len({id(shown.jpeg) for shown in got if shown is not None}) == 1
    assert len(got) == 6


def test_nobody_watches_until_somebody_asks() -> None:
    pictures = Pictures(80, 1000.0)
    assert not pictures.watched
    assert not pictures.due()
    pictures.another(0, 0.0)
    assert pictures.watched
    assert pictures.due()


def test_more_than_the_rate_is_not_due() -> None:
    pictures = Pictures(80, 0.1)
    pictures.another(0, 0.0)
    pictures.put(RED, "overlay")
    pictures.put(RED, "overlay")
    assert not pictures.due()


def test_closing_lets_everybody_go() -> None:
    pictures = Pictures(80, 1000.0)
    got: list[object] = []
    viewer = threading.Thread(target=lambda: got.append(pictures.another(0, 300.0)))
    viewer.start()
    pictures.close()
    viewer.join(30.0)
    assert got == [None]
