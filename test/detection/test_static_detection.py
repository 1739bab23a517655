# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The static functions of a detector: the same detections as usual, no frame that waits for them, and a fallback."""

from __future__ import annotations

import threading
from copy import copy, deepcopy
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lang2segtrack_ros.detection import static_detection
from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.detection.grounding_dino_forward import GroundingDinoForward, TextFeatures
from lang2segtrack_ros.detection.static_detection import StaticDetection
from lang2segtrack_ros.detection.worker import DetectionRequest, DetectionWorker
from lang2segtrack_ros.runtime import graphs
from lang2segtrack_ros.runtime.graphs import check_static, leaves
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.detection.test_grounding_dino_forward import DELIMITERS, random_model

CAPTIONS = [
    ("red circle",),
    ("red circle", "blue star", "yellow square", "purple cross"),
    ("a small red circle", "blue star", "green triangle", "yellow square", "pink heart"),
]


def accelerated(detector: GroundingDinoDetector) -> GroundingDinoDetector:
    """Return the detector with static functions, none of which is made."""
    made = copy(detector)
    made.acceleration, made.passes = "graphs", 1
    made.static = StaticDetection(made._detect, made._forward.constants, made.device)
    return made


def prepare(detector: GroundingDinoDetector, frame: SceneFrame, max_seconds: float = 60.0) -> list[str]:
    """Prepare a detector for the size of a frame, and return the sentences on the progress."""
    sentences: list[str] = []
    height, width = frame.color.shape[:2]
    detector.prepare([(height, width), (2 * height, 2 * width)], max_seconds, sentences.append)
    return sentences


def detect(detector: GroundingDinoDetector, frame: SceneFrame, phrases: tuple[str, ...] = CAPTIONS[1]) -> list[Detection]:
    return detector.detect(frame.color, phrases, [0.2] * len(phrases))


def check_equal(found: list[Detection], expected: list[Detection]) -> None:
    """Check that detections are equal but for rounding."""
    assert [item.label for item in found] == [item.label for item in expected]
    for one, two in zip(found, expected):
        assert one.score == pytest.approx(two.score, abs=1e-5)
        assert one.box == pytest.approx(two.box, abs=1e-2)


@pytest.mark.parametrize("is_random", [False, True], ids=["trained", "random"])
@torch.inference_mode()
def test_padding_changes_no_result(detector: GroundingDinoDetector, frames: list[SceneFrame], is_random: bool) -> None:
    """Captions of 5 to 23 tokens get up to 59 tokens of padding, which no query and no word may read."""
    forward = GroundingDinoForward(random_model(detector), DELIMITERS) if is_random else detector._forward
    pixels = torch.cat([detector.preprocess(frames[number].color) for number in (0, 20, 40)])
    for phrases in CAPTIONS:
        ids, _, _ = detector._caption(phrases)
        text = forward.encode_text(ids)
        logits, boxes = forward.detect(pixels, text)
        for count in (32, 64):
            padded, other = forward.detect(pixels, text.padded(count))
            assert padded.shape[-1] == count
            assert (padded[..., : len(ids)] - logits).abs().max() < 1e-5 * max(1.0, float(logits.abs().max()))
            assert (other - boxes).abs().max() < 1e-5


@torch.inference_mode()
def test_padded_image_part_depends_on_no_value(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """A CUDA graph repeats the operations of its capture for captions of other lengths, too."""
    forward = detector._forward
    images = [detector.preprocess(frames[number].color) for number in (0, 20)]
    texts = [forward.encode_text(detector._caption(phrases)[0]).padded(32) for phrases in CAPTIONS[:2]]
    constants = forward.constants(images[0])
    check_static(detector.static._pack, *((pixels, text, constants) for pixels, text in zip(images, texts)))


class HostRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A recorder of the operations that use or make a tensor of the host."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(leaf.device.type == "cpu" for leaf in leaves([result, list(args)])):
            self.found.append(str(func))
        return result


@torch.inference_mode()
def test_image_part_uses_no_tensor_of_the_host(detector: GroundingDinoDetector) -> None:
    """A CUDA graph cannot hold a copy from pageable memory. The device "meta" stands for the GPU: it has shapes and no values."""
    forward = GroundingDinoForward(deepcopy(detector.model).to("meta"), DELIMITERS)
    tokens, channels = 32, detector.model.config.d_model
    features = torch.empty(2, 1, tokens, channels, device="meta").unbind()
    text = TextFeatures(*features, *(torch.empty(1, *size, dtype=torch.bool, device="meta") for size in ((tokens, tokens), (tokens,))))
    pixels = torch.empty(1, 3, 192, 256, device="meta")
    constants = forward.constants(pixels)
    with HostRecorder() as recorder:
        StaticDetection(forward.detect, forward.constants, pixels.device)._pack(pixels, text, constants)
    assert recorder.found == []


def test_detections_equal_the_usual_ones(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """Captions take turns, so a function that keeps an old image or caption gives other detections."""
    usual, static = accelerated(detector), accelerated(detector)
    assert [sentence.partition(" after")[0] for sentence in prepare(static, frames[0])] == [
        "prepared the detector at 256 x 192 with 16 tokens",
        "prepared the detector at 256 x 192 with 32 tokens",
    ]
    for frame in frames[:50:5]:
        for phrases in CAPTIONS:
            expected = detect(usual, frame, phrases)
            assert expected
            check_equal(detect(static, frame, phrases), expected)
    assert static.acceleration_metrics() == {"detector_acceleration": "graphs", "detections_static": 30, "detections_not_static": 0}
    assert usual.static.detections == {"static": 0, "usual": 30}


def test_other_sizes_lengths_and_batches_run_as_usual(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    static = accelerated(detector)
    prepare(static, frames[0])
    detect(static, frames[0], CAPTIONS[1] + CAPTIONS[2] + CAPTIONS[1])
    static.detect(frames[0].color[:, 40:200], ["red circle"], [0.3])
    static.detect_batch([frames[0].color, frames[1].color], ["red circle"], [0.3])
    assert static.static.detections == {"static": 0, "usual": 3}


def test_detector_thread_makes_what_detections_lacked(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """The size of the camera's images is unknown at the start. A few single images of other sizes must not cause captures."""
    static = accelerated(detector)
    static.detect(frames[0].color[:, 40:200], ["red circle"], [0.3])
    worker = DetectionWorker(static)
    for _ in range(static_detection.MISSES + 2):
        worker.submit(DetectionRequest(0, frames[0].color, CAPTIONS[0], (0.3,)))
        worker.wait(10)
        assert worker.result is not None
        check_equal(list(worker.result.detections), detector.detect(frames[0].color, CAPTIONS[0], [0.3]))
        worker.discard_result()
        for _ in range(1000):
            if worker.idle:
                break
            threading.Event().wait(0.01)
    worker.close()
    assert list(static.static._prepared) == [(192, 256, 16)]
    assert static.static.detections == {"static": 2, "usual": static_detection.MISSES + 1}


def test_detection_waits_for_no_capture_of_another_thread(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """Sessions share a detector. A backward pass uses it on the engine's thread while the detector's thread captures."""
    static = accelerated(detector)
    prepare(static, frames[0])
    with static.static._lock:
        assert detect(static, frames[0])
    assert static.static.detections == {"static": 0, "usual": 1}


def test_number_of_functions_is_limited(detector: GroundingDinoDetector, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each function keeps memory on the device. Functions in use must not replace each other all the time."""
    monkeypatch.setattr(static_detection, "MAX_FUNCTIONS", 2)
    static = accelerated(detector)
    prepare(static, frames[0])
    text = static._text(static._caption(("red circle",))[0])
    assert not static.static._make((192, 256, 64), text)
    detect(static, frames[0], CAPTIONS[0])
    monkeypatch.setattr(static_detection, "IDLE_S", 0.0)
    assert static.static._make((192, 256, 64), text)
    assert list(static.static._prepared) == [(192, 256, 16), (192, 256, 64)], "the function for 32 tokens was not used"


def test_preparation_ends_in_time(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    static = accelerated(detector)
    assert prepare(static, frames[0], max_seconds=-1.0)[0] == (
        "no time is left to prepare the detector at 256 x 192 with 16 tokens: it runs as usual until its thread has prepared it"
    )
    assert detect(static, frames[0])


def check_fallback(static: GroundingDinoDetector, usual: GroundingDinoDetector, frame: SceneFrame, reason: str) -> None:
    """Check that all detections run as usual, for the given reason."""
    check_equal(detect(static, frame), detect(usual, frame))
    for _ in range(static_detection.MISSES):
        detect(static, frame)
    assert not static.has_missed(), "the fallback is for good"
    assert str(static.acceleration_metrics()["detector_acceleration"]).startswith(f"off, because {reason}")
    assert static.static.detections["static"] == 0


def test_failed_capture_falls_back_for_good(
    detector: GroundingDinoDetector, frames: list[SceneFrame], caplog: pytest.LogCaptureFixture
) -> None:
    static = accelerated(detector)

    def detect_with_branch(pixels: Any, text: Any, constants: Any) -> Any:
        if graphs.is_static():
            raise RuntimeError("operation not permitted when stream is capturing")
        return static._detect(pixels, text, constants)

    static.static = StaticDetection(detect_with_branch, static._forward.constants, static.device)
    assert prepare(static, frames[0]) == []
    reason = "RuntimeError: operation not permitted when stream is capturing"
    assert [record.getMessage() for record in caplog.records] == [f"detections run without CUDA graphs, which is slower: {reason}"]
    check_fallback(static, detector, frames[0], reason)


def test_wrong_replay_falls_back_for_good(
    detector: GroundingDinoDetector, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay that gives other values than the function, as a fault of a driver would make it. Detections must stay right."""

    def capture(function: Any, args: Any, pool: Any) -> Any:
        outputs = function(*args)
        graphs._compare([leaf * 3 + 100 for leaf in leaves(outputs)], leaves(outputs))
        return None, outputs

    monkeypatch.setattr(graphs, "_capture", capture)
    monkeypatch.setattr(static_detection, "graph_pool", lambda device: graphs.GraphPool("a pool", "a stream"))
    static = accelerated(detector)
    prepare(static, frames[0])
    check_fallback(static, detector, frames[0], "GraphError: output 0 of the replay differs by")


def test_smaller_detector_releases_the_functions(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """A session shrinks its detector when the device is out of memory, and graphs hold memory."""
    static = accelerated(detector)
    prepare(static, frames[0])
    smaller = static.shrunk()
    assert smaller is not None
    assert static.static._prepared == {}
    check_fallback(static, detector, frames[0], "the device ran out of memory")
    assert detect(smaller, frames[0])


def test_session_prepares_the_detector(segmenter: Sam2Segmenter, detector: GroundingDinoDetector) -> None:
    """Images of 4 : 3 and 16 : 9 are prepared before the first frame, and diagnostics show it."""
    sentences: list[str] = []
    session = Session(segmenter, accelerated(detector))
    session.prepare(report=sentences.append)
    assert len(sentences) == 4
    assert session.acceleration == {
        "acceleration": "off",
        "detector_acceleration": "graphs",
        "detections_static": 0,
        "detections_not_static": 0,
    }
    assert Session(segmenter, detector).acceleration["detector_acceleration"] == "off"
