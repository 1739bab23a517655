# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A few hundred requests and images of `make fuzz`, with fixed seeds."""

from __future__ import annotations

import array
import contextlib
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger

from lang2segtrack.srv import AddTextPrompt, RemoveTextPrompt
from lang2segtrack_ros.io.image_messages import ConversionError, compressed_to_rgb, depth_to_meters, image_to_rgb
from test.ros.services.fuzzing import SERVICES, VALID, Fuzzer, fuzzer, images


@pytest.fixture(scope="module")
def fuzzing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzer]:
    with fuzzer(tmp_path_factory.mktemp("fuzz")) as fuzzing:
        yield fuzzing


def test_every_request_is_answered_without_exception(fuzzing: Fuzzer) -> None:
    fuzzing.run(400, number=7)
    assert fuzzing.complaints() == []
    assert len(fuzzing.sent) == len(SERVICES)
    done = [name for name in VALID if fuzzing.sent[name] > fuzzing.refused[name]]
    assert done, "some valid requests must succeed, otherwise the others only test an empty node"  # which ones depends on the clock
    assert fuzzing.rig.call(Trigger, "reset").success
    prompt = fuzzing.rig.call(AddTextPrompt, "add_text_prompt", text="red circle.")
    assert prompt.success, prompt.message
    assert fuzzing.rig.call(RemoveTextPrompt, "remove_text_prompt", prompt_id=prompt.prompt_id).success


def test_image_with_invalid_utf8_does_not_end_the_node(fuzzing: Fuzzer) -> None:
    """Any program may publish an encoding that is not UTF-8. rclpy then raises in the executor, where it creates the message."""
    message = Image(encoding="thisisit", height=1, width=1, step=3, data=array.array("B", b"abc"))
    fuzzing.rig.camera.publish(serialize_message(message).replace(b"thisisit", b"this\xff\xfeit"))
    fuzzing.rig.begin()
    assert fuzzing.rig.process.poll() is None


@seed(11)
@settings(max_examples=2000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(images())
def test_images_are_converted_or_refused(message: Image) -> None:
    """A conversion raises only ConversionError, or returns an image of the stated size."""
    for convert, shape in ((image_to_rgb, (message.height, message.width, 3)), (depth_to_meters, (message.height, message.width))):
        with contextlib.suppress(ConversionError):
            pixels = convert(message)
            assert pixels.shape == shape
            assert pixels.dtype == (np.uint8 if len(shape) == 3 else np.float32)
            assert pixels.flags.c_contiguous


@seed(12)
@settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), st.integers(0, 2000), st.integers(0, 2000), st.sampled_from(["jpeg", "png", ""]))
def test_damaged_compressed_images_are_converted_or_refused(data: bytes, start: int, end: int, kind: str) -> None:
    """Inputs are random bytes, and valid JPEG and PNG files with a part replaced by random bytes."""
    if kind:
        good = bytes(cv2.imencode(f".{kind}", np.arange(3072, dtype=np.uint32).astype(np.uint8).reshape(32, 32, 3))[1])
        data = good[:start] + data + good[end:]
    with contextlib.suppress(ConversionError):
        pixels = compressed_to_rgb(CompressedImage(format=kind, data=array.array("B", data)))
        assert pixels.ndim == 3
        assert pixels.dtype == np.uint8
