# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Slot for the newest image: waiting viewers get the next image, slow viewers get fewer images, and each image is encoded once."""

from __future__ import annotations

import asyncio
import threading

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.viewers.web.pictures import EncodedPicture, Pictures

RED = np.full((30, 40, 3), (250, 10, 10), np.uint8)


def newest(pictures: Pictures, number: int = 0, timeout: float = 30.0) -> EncodedPicture:
    """Return the next image after a number. Raise asyncio.TimeoutError if there is none in time."""
    return asyncio.run(asyncio.wait_for(pictures.next(number), timeout))


def test_image_keeps_its_size_and_colors() -> None:
    pictures = Pictures(90, 1000.0)
    pictures.put(RED, "overlay")
    picture = newest(pictures)
    assert (picture.source, picture.number) == ("overlay", 1)
    decoded = cv2.cvtColor(cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert decoded.shape == RED.shape
    assert np.abs(decoded.astype(int) - RED).max() < 12


def test_viewer_waits_for_a_new_image() -> None:
    pictures = Pictures(80, 1000.0)
    pictures.put(RED, "overlay")
    with pytest.raises(asyncio.TimeoutError):
        newest(pictures, 1, 0.01)


def test_unknown_number_returns_at_once() -> None:
    """A viewer keeps its last number over a restart of the server."""
    pictures = Pictures(80, 1000.0)
    pictures.put(RED, "overlay")
    assert newest(pictures, 4711).number == 1


def test_slow_viewer_gets_the_newest_image() -> None:
    pictures = Pictures(80, 1000.0)
    for _ in range(5):
        pictures.put(RED, "overlay")
    assert newest(pictures, 1).number == 5


def test_all_waiting_viewers_get_the_same_bytes() -> None:
    """The image comes from another thread, as from ROS. Each viewer must wake, and only the first one encodes."""
    pictures = Pictures(80, 1000.0)

    async def watch() -> list[EncodedPicture]:
        viewers = [asyncio.create_task(pictures.next(0)) for _ in range(6)]
        await asyncio.sleep(0)
        threading.Thread(target=pictures.put, args=(RED, "camera")).start()
        return await asyncio.wait_for(asyncio.gather(*viewers), 30.0)

    received = asyncio.run(watch())
    assert len({id(picture.jpeg) for picture in received}) == 1
    assert len(received) == 6


def test_images_are_due_only_after_a_request() -> None:
    pictures = Pictures(80, 1000.0)
    assert not pictures.watched
    assert not pictures.due()
    pictures.put(RED, "overlay")
    newest(pictures)
    assert pictures.watched
    assert pictures.due()


def test_waiting_viewer_counts_as_watching() -> None:
    """A viewer of a camera that is still off must not lose its subscription before the first image."""
    pictures = Pictures(80, 1000.0)

    async def watch() -> None:
        viewer = asyncio.create_task(pictures.next(0))
        await asyncio.sleep(0)
        pictures._requested_at = float("-inf")
        assert pictures.watched
        viewer.cancel()

    asyncio.run(watch())


def test_images_above_the_rate_are_not_due() -> None:
    pictures = Pictures(80, 0.1)
    pictures.put(RED, "overlay")
    newest(pictures)
    pictures.put(RED, "overlay")
    assert not pictures.due()


def test_image_after_the_end_of_the_server_is_dropped() -> None:
    """The subscription may deliver one more image while the node shuts down."""
    pictures = Pictures(80, 1000.0)
    pictures.put(RED, "overlay")
    newest(pictures)
    pictures.put(RED, "overlay")
    assert pictures.due()
