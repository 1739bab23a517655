# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of messages: all supported kinds, and refusal of invalid ones."""

from __future__ import annotations

import array
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header
from vision_msgs.msg import Point2D, Pose2D

from lang2segtrack_ros.geometry.rays import rays
from lang2segtrack_ros.io.image_messages import (
    COLOR_ENCODINGS,
    MAX_INSTANCE_ID,
    ConversionError,
    compressed_to_rgb,
    depth_to_meters,
    image_to_rgb,
    paint_instances,
)
from lang2segtrack_ros.io.result_messages import ResultMessages
from lang2segtrack_ros.recordings.bag_types import BagMessages
from lang2segtrack_ros.ros.support.conversions import MESSAGES, RosMessages, camera_model
from lang2segtrack_ros.types.results import FrameResult, TrackStatus
from test.io.test_rendering import make_track


def image(pixels: np.ndarray, encoding: str, **changes: Any) -> Image:
    message = MESSAGES.image(pixels, encoding, Header())
    for name, value in changes.items():
        setattr(message, name, value)
    return message


RGB = np.zeros((4, 6, 3), np.uint8)
RGB[:, :3] = (250, 20, 30)
RGB[:, 3:] = (10, 200, 40)
GRAY = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize(
    ("pixels", "encoding", "expected"),
    [
        (RGB, "rgb8", RGB),
        (RGB[:, :, ::-1].copy(), "bgr8", RGB),
        (RGB[:, :, ::-1].copy(), "8UC3", RGB),
        (np.dstack((RGB, GRAY)), "rgba8", RGB),
        (np.dstack((RGB[:, :, ::-1], GRAY)), "bgra8", RGB),
        (GRAY, "mono8", np.dstack((GRAY, GRAY, GRAY))),
        (GRAY.astype(np.uint16) * 256 + 7, "mono16", np.dstack((GRAY, GRAY, GRAY))),
        (RGB.astype(np.uint16) * 256 + 7, "rgb16", RGB),
        (RGB[:, :, ::-1].astype(np.uint16) * 256, "bgr16", RGB),
        (RGB[:, :, ::-1].astype(np.uint16) * 256, "16UC3", RGB),
        (np.dstack((RGB, GRAY)).astype(np.uint16) * 256, "rgba16", RGB),
        (np.dstack((RGB[:, :, ::-1], GRAY)).astype(np.uint16) * 256, "bgra16", RGB),
    ],
)
def test_color_encodings(pixels: np.ndarray, encoding: str, expected: np.ndarray) -> None:
    assert np.array_equal(image_to_rgb(image(pixels, encoding)), expected)


def test_missing_fields_get_defaults() -> None:
    """A later version of a message may have more fields. They must have the defaults of the message class."""
    position = Point2D(x=1.0, y=2.0)
    assert RosMessages().make("vision_msgs/msg/Pose2D", theta=0.5) == Pose2D(theta=0.5)
    whole = RosMessages().make("vision_msgs/msg/Pose2D", theta=0.5, position=position)
    assert whole == Pose2D(theta=0.5, position=position)
    assert serialize_message(whole) == serialize_message(Pose2D(theta=0.5, position=position))
    with pytest.raises(AttributeError):
        RosMessages().make("vision_msgs/msg/Pose2D", theta=0.5, angle=1.0)


@pytest.mark.parametrize(("encoding", "order"), [("yuv422_yuy2", (0, 1, 0, 3)), ("yuv422", (1, 0, 3, 0))])
def test_yuv_orders(encoding: str, order: tuple[int, ...]) -> None:
    """Both orders of luma and chroma must give a red image."""
    y, u, v = (int(value) for value in cv2.cvtColor(np.full((1, 1, 3), (200, 30, 30), np.uint8), cv2.COLOR_RGB2YUV)[0, 0])
    pair = {0: y, 1: u, 3: v}
    row = np.array([pair[index] for index in order] * 2, np.uint8).reshape(4, 2)
    red, green, blue = image_to_rgb(image(np.stack([row, row]), encoding)).reshape(-1, 3).mean(axis=0)
    assert red > 170
    assert max(green, blue) < 60


@pytest.mark.parametrize(
    ("encoding", "first"), [("bayer_rggb8", (0, 0)), ("bayer_grbg8", (0, 1)), ("bayer_gbrg8", (1, 0)), ("bayer_bggr8", (1, 1))]
)
def test_bayer_patterns(encoding: str, first: tuple[int, int]) -> None:
    """Only red cells have a value, so each of the four patterns must give a red image."""
    pixels = np.zeros((16, 16), np.uint8)
    pixels[first[0] :: 2, first[1] :: 2] = 255
    deep = image(pixels.astype(np.uint16) << 8, f"{encoding[:-1]}16")
    for message in (image(pixels, encoding), deep):
        red, green, blue = image_to_rgb(message)[4:-4, 4:-4].reshape(-1, 3).mean(axis=0)
        assert red > 100
        assert max(green, blue) < 20


def test_padded_rows_and_big_endian_pixels_are_read() -> None:
    padded = np.zeros((4, 32), np.uint8)
    padded[:, :18] = RGB.reshape(4, 18)
    message = image(RGB, "rgb8", step=32, data=array.array("B", padded.tobytes()))
    assert np.array_equal(image_to_rgb(message), RGB)
    big = image((GRAY.astype(np.uint16) * 256).byteswap(), "mono16", is_bigendian=1)
    assert np.array_equal(image_to_rgb(big)[:, :, 0], GRAY)


@pytest.mark.parametrize(
    ("message", "reason", "words"),
    [
        (image(RGB, "rgb9"), "unknown_encoding", 'encoding "rgb9" is not known'),
        (image(RGB, ""), "unknown_encoding", "rgb8"),
        (image(RGB, "rgb8", step=5), "wrong_step", "a row of 6 rgb8 pixels takes 18"),
        (image(RGB, "rgb8", data=array.array("B", b"123")), "short_data", "3 bytes"),
        (image(RGB, "rgb8", height=0), "no_pixels", "6 x 0"),
        (image(RGB, "rgb8", width=0), "no_pixels", "0 x 4"),
        (image(RGB, "rgb8", width=100_000, height=100_000, step=300_000), "too_large", "100000 x 100000"),
        (image(np.zeros((3, 3, 2), np.uint8), "yuv422"), "unconvertible", "3 x 3 yuv422"),
    ],
)
def test_invalid_image_is_refused_with_reason(message: Image, reason: str, words: str) -> None:
    with pytest.raises(ConversionError) as caught:
        image_to_rgb(message)
    assert caught.value.reason == reason
    assert words in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(
    height=st.integers(0, 9),
    width=st.integers(0, 9),
    step=st.integers(0, 64),
    encoding=st.sampled_from([*COLOR_ENCODINGS, "16UC1", "32FC1", "nonsense"]),
    data=st.binary(max_size=300),
    big=st.integers(0, 1),
)
def test_random_message_is_converted_or_refused(height: int, width: int, step: int, encoding: str, data: bytes, big: int) -> None:
    """Any message gives an image of the stated size or a ConversionError."""
    message = Image(height=height, width=width, step=step, encoding=encoding, data=array.array("B", data), is_bigendian=big)
    for convert, channels in ((image_to_rgb, 3), (depth_to_meters, 0)):
        try:
            result = convert(message)
        except ConversionError:
            continue
        assert result.shape == ((height, width, channels) if channels else (height, width))


def test_compressed_images_are_decoded_or_refused() -> None:
    tall = np.repeat(np.repeat(RGB, 8, axis=0), 8, axis=1)
    data = cv2.imencode(".png", cv2.cvtColor(tall, cv2.COLOR_RGB2BGR))[1].tobytes()
    assert np.array_equal(compressed_to_rgb(CompressedImage(format="png", data=array.array("B", data))), tall)
    for broken in (b"", b"no image", data[:40]):
        with pytest.raises(ConversionError, match="do not decode"):
            compressed_to_rgb(CompressedImage(format="jpeg", data=array.array("B", broken)))


def test_depth_is_read_in_both_units() -> None:
    """REP-118: millimeters with 0 for unknown, or meters with NaN for unknown. Zero and infinite meters are invalid, too."""
    raw = depth_to_meters(image(np.array([[0, 1500]], np.uint16), "16UC1"))
    assert np.isnan(raw[0, 0])
    assert raw[0, 1] == pytest.approx(1.5)
    meters = depth_to_meters(image(np.array([[np.nan, 0.0, np.inf, 1.5]], np.float32), "32FC1"))
    assert np.isnan(meters[0, :3]).all()
    assert meters[0, 3] == 1.5
    with pytest.raises(ConversionError, match=r'"rgb8" is not known'):
        depth_to_meters(image(RGB, "rgb8"))


def test_camera_model_is_read_and_uncalibrated_camera_is_refused() -> None:
    info = CameraInfo(width=640, height=480, k=[600.0, 0.0, 320.0, 0.0, 610.0, 240.0, 0.0, 0.0, 1.0])
    info.header.frame_id = "camera_color_optical_frame"
    camera = camera_model(info)
    assert (camera.fx, camera.fy, camera.cx, camera.cy, camera.frame_id) == (600, 610, 320, 240, "camera_color_optical_frame")
    with pytest.raises(ConversionError) as caught:
        camera_model(CameraInfo(width=640, height=480))
    assert caught.value.reason == "uncalibrated"


def test_image_message_holds_pixels() -> None:
    pixels = np.arange(24, dtype=np.uint16).reshape(4, 6)[:, ::2]  # not contiguous
    message = MESSAGES.image(pixels, "mono16", Header(frame_id="f"))
    assert (message.height, message.width, message.step, message.header.frame_id) == (4, 3, 6, "f")
    assert np.array_equal(np.frombuffer(message.data, np.uint16).reshape(4, 3), pixels)


@pytest.mark.parametrize("messages", [MESSAGES, ResultMessages(BagMessages())], ids=["rclpy", "rosbags"])
def test_instance_masks_are_drawn_into_the_message(messages: ResultMessages) -> None:
    """An array that does not share the message's memory would leave the message all zero. Each of the 20 x 30 pixels has 2 bytes."""
    header = BagMessages().make("std_msgs/msg/Header", stamp=None, frame_id="f") if messages is not MESSAGES else Header(frame_id="f")
    message = messages.instance_masks(FrameResult(0, 0, 20, 30, (masked(slice(5, 15), slice(5, 15), 258),)), header)
    assert (message.height, message.width, message.step, message.encoding, message.is_bigendian) == (20, 30, 60, "mono16", 0)
    pixels = np.frombuffer(message.data, "<u2").reshape(20, 30)
    assert (pixels[5:15, 5:15] == 258).all()
    assert np.count_nonzero(pixels) == 100


def masked(rows: slice, columns: slice, track_id: int, score: float = 0.9) -> Any:
    mask = np.zeros((20, 30), bool)
    mask[rows, columns] = True
    track = make_track(mask, track_id, label=f"thing {track_id}")
    object.__setattr__(track, "score", score)
    return track


def test_detections_have_exact_boxes_and_skip_hidden_tracks() -> None:
    tracks = [masked(slice(2, 6), slice(10, 20), 7), masked(slice(0, 0), slice(0, 0), 8)]
    (detection,) = MESSAGES.detections(tracks, Header(frame_id="f")).detections
    assert detection.id == "7"
    assert detection.results[0].hypothesis.class_id == "thing 7"
    assert (detection.bbox.center.position.x, detection.bbox.center.position.y) == (15.0, 4.0)
    assert (detection.bbox.size_x, detection.bbox.size_y) == (10.0, 4.0)
    assert detection.header.frame_id == "f"


def test_instance_with_highest_score_is_on_top() -> None:
    tracks = [
        masked(slice(0, 10), slice(0, 10), 3, 0.9),
        masked(slice(5, 15), slice(5, 15), 4, 0.5),
        masked(slice(18, 20), slice(0, 2), 70_000),
    ]
    pixels = np.zeros((20, 30), np.uint16)
    paint_instances(pixels, tracks)
    assert [int(pixels[0, 0]), int(pixels[7, 7]), int(pixels[12, 12]), int(pixels[0, 29])] == [3, 3, 4, 0]
    assert int(pixels[19, 0]) == MAX_INSTANCE_ID


def test_tracks_message_keeps_overlapping_masks_and_states() -> None:
    hidden = make_track(np.zeros((20, 30), bool), 9, TrackStatus.LOST)
    tracks = [masked(slice(0, 10), slice(0, 10), 3), masked(slice(5, 15), slice(5, 15), 4), hidden]
    message = MESSAGES.tracks(tracks, Header())
    assert [(track.id, track.state) for track in message.tracks] == [(3, 1), (4, 1), (9, 3)]
    decoded = decode_mask(message.tracks[1].mask)
    assert np.array_equal(decoded, tracks[1].mask)
    assert np.isnan(message.tracks[0].motion_score)
    assert MESSAGES.track(tracks[0], with_mask=False).mask.counts == ""


def decode_mask(mask: Any) -> np.ndarray:
    from pycocotools import mask as coco_mask

    return coco_mask.decode({"size": [mask.height, mask.width], "counts": mask.counts.encode()}).astype(bool)


def test_label_info_is_sorted_by_id() -> None:
    info = MESSAGES.label_info({5: "cup", 2: "box"}, Header())
    assert [(item.class_id, item.class_name) for item in info.class_map] == [(2, "box"), (5, "cup")]


def test_distortion_is_read_and_unknown_models_are_refused() -> None:
    k = [600.0, 0.0, 320.0, 0.0, 600.0, 240.0, 0.0, 0.0, 1.0]
    distorted = CameraInfo(width=640, height=480, k=k, d=[0.1, -0.2, 0.0, 0.0, 0.01], distortion_model="plumb_bob")
    assert camera_model(distorted).distortion == (0.1, -0.2, 0.0, 0.0, 0.01)
    assert camera_model(CameraInfo(width=640, height=480, k=k, d=[0.0] * 5, distortion_model="odd")).distortion == ()
    fisheye = CameraInfo(width=640, height=480, k=k, d=[0.1, 0.0, 0.0, 0.0], distortion_model="equidistant")
    assert camera_model(fisheye).fisheye
    for model, d in (("unheard_of", [0.1] * 5), ("plumb_bob", [0.1] * 3)):
        with pytest.raises(ConversionError) as raised:
            camera_model(CameraInfo(width=640, height=480, k=k, d=d, distortion_model=model))
        assert raised.value.reason == "unknown_distortion"


def test_region_of_interest_shifts_the_principal_point() -> None:
    """Treated as scaling, the region would double the focal length. A region of the full size changes nothing. Binning is scaling."""
    k = [1000.0, 0.0, 639.5, 0.0, 1000.0, 479.5, 0.0, 0.0, 1.0]
    whole = CameraInfo(width=1280, height=960, k=k)
    part = CameraInfo(width=1280, height=960, k=k, roi=RegionOfInterest(x_offset=320, y_offset=240, width=640, height=480))
    same = CameraInfo(width=1280, height=960, k=k, roi=RegionOfInterest(width=1280, height=960))
    camera = camera_model(part).resized(640, 480)
    assert (camera.fx, camera.cx, camera.cy) == (1000.0, 319.5, 239.5)
    assert camera_model(same) == camera_model(whole)
    assert camera_model(part).resized(320, 240).fx == 500.0


def test_fisheye_camera_with_zero_coefficients_stays_fisheye() -> None:
    info = CameraInfo(width=640, height=480, k=[300.0, 0.0, 319.5, 0.0, 300.0, 239.5, 0.0, 0.0, 1.0], d=[0.0] * 4)
    info.distortion_model = "equidistant"
    assert rays(camera_model(info))[239, 639, 0] == pytest.approx(np.tan(319.5 / 300), rel=1e-2)
