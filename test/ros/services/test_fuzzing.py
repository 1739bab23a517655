# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A few hundred of the requests and images of `make fuzz`, always the same ones."""

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
from lang2segtrack_ros.io.image_messages import ConversionError, compressed_to_rgb, depth_to_metres, image_to_rgb
from test.ros.services.fuzzing import SANE, SERVICES, Fuzzer, fuzzer, images


@pytest.fixture(scope="module")
def fuzzing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzer]:
    with fuzzer(tmp_path_factory.mktemp("fuzz")) as made:
        yield made


def test_every_request_is_answered_and_none_raises(fuzzing: Fuzzer) -> None:
    fuzzing.run(400, number=7)
    assert fuzzing.complaints() == []
    assert len(fuzzing.sent) == len(SERVICES)
    done = [name for name in SANE if fuzzing.sent[name] > fuzzing.refused[name]]
    assert done, "some requests that make sense must get through, or the others meet an empty node"  # which ones depends on the clock
    assert fuzzing.around.call(Trigger, "reset").success
    prompt = fuzzing.around.call(AddTextPrompt, "add_text_prompt", text="red circle.")
    assert prompt.success, prompt.message
    assert fuzzing.around.call(RemoveTextPrompt, "remove_text_prompt", prompt_id=prompt.prompt_id).success


def test_bytes_that_are_no_text(fuzzing: Fuzzer) -> None:
    """Any program may publish an encoding that is not UTF-8; rclpy raises where it makes a message of it, in the executor."""
    message = Image(encoding="thisisit", height=1, width=1, step=3, data=array.array("B", b"abc"))
    fuzzing.around.camera.publish(serialize_message(message).replace(b"thisisit", b"this\xff\xfeit"))
    fuzzing.around.begin()
    assert fuzzing.around.process.poll() is None


@seed(11)
@settings(max_examples=2000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(images())
def test_images_are_converted_or_refused(message: Image) -> None:
    """Nothing but a ConversionError with a sentence, and nothing but an image of the size that was told."""
    for convert, shape in ((image_to_rgb, (message.height, message.width, 3)), (depth_to_metres, (message.height, message.width))):
        with contextlib.suppress(ConversionError):
            pixels = convert(message)
            assert pixels.shape == shape
            assert pixels.dtype == (np.uint8 if len(shape) == 3 else np.float32)
            assert pixels.flags.c_contiguous


@seed(12)
@settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), st.integers(0, 2000), st.integers(0, 2000), st.sampled_from(["jpeg", "png", ""]))
def test_damaged_compressed_images_are_converted_or_refused(data: bytes, start: int, end: int, kind: str) -> None:
    """Noise, and good JPEGs and PNGs with a piece replaced by noise."""
    if kind:
        good = bytes(cv2.imencode(f".{kind}", np.arange(3072, dtype=np.uint32).astype(np.uint8).reshape(32, 32, 3))[1])
        data = good[:start] + data + good[end:]
    with contextlib.suppress(ConversionError):
        pixels = compressed_to_rgb(CompressedImage(format=kind, data=array.array("B", data)))
        assert pixels.ndim == 3
        assert pixels.dtype == np.uint8
