# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The run that the checks of `self_check` judge: text to tracks forward, the same objects backward, and detections on some images."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detector, detect
from lang2segtrack_ros.evaluation.self_check import BoxMatch, Observations, Sighting, match_boxes
from lang2segtrack_ros.history.merging import rle_iou
from lang2segtrack_ros.history.records import Record, frame_record, read_frame
from lang2segtrack_ros.io.rendering import contact_sheet, draw_note, draw_overlay
from lang2segtrack_ros.io.sources import ImageSource
from lang2segtrack_ros.io.writers import VideoWriter, write_png
from lang2segtrack_ros.recordings.fill_back import fill_back
from lang2segtrack_ros.recordings.forward import ForwardState, PromptSchedule, Scheduled, track_forward
from lang2segtrack_ros.recordings.runs import Report
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import MaskPrompt, TextPrompt

SAMPLES = 8
"""Number of images with a detection for the comparison with the masks. The contact sheet shows the same images."""
_CELL_WIDTH = 480  # of a picture in the contact sheet, pixels


def observe(
    segmenter: Sam2Segmenter, detector: Detector, policy: str, source: ImageSource, prompt: TextPrompt, out: Path, report: Report
) -> Observations:
    """Run both passes over a clip, and write overlay.webm and contact_sheet.png.

    The backward pass starts each object from its last forward mask, and knows nothing else of the forward pass.

    Args:
        segmenter: the segmenter.
        detector: the detector.
        policy: memory policy of both passes.
        source: the clip, which must be stored.
        prompt: the objects.
        out: folder of the files.
        report: progress callback.

    Raises:
        OfflineError: the session refused the prompt.
        SourceError: the clip cannot be read.
        OSError: a file cannot be written.
    """
    session = Session(segmenter, detector, policy)
    records, sightings, speeds = _forward(session, source, prompt, out / "overlay.webm", report)
    session.close()
    samples = _Samples(detector, prompt, records, sightings)
    agreements: dict[int, list[float]] = defaultdict(list)
    backward = _Backward(StreamTracker(segmenter, policy, max_objects=len(sightings)), agreements)
    for number in reversed(range(len(records))):
        frame = source.read(number)
        backward.step(frame, [item for item in sightings if item.frame == number])
        samples.add(number, frame)
        report("backward", len(records) - number, len(records))
    samples.write_sheet(out / "contact_sheet.png")
    return Observations(prompt.phrases, len(records), sightings, samples.matches, speeds, agreements, segmenter.device.type)


def _forward(
    session: Session, source: ImageSource, prompt: TextPrompt, path: Path, report: Report
) -> tuple[list[Record], list[Sighting], array[float]]:
    """Track forward, and write the overlay video. Return the record of each image, the visible objects, and the rate on each image."""
    session.prepare()
    records: list[Record] = []
    sightings: list[Sighting] = []
    speeds = array("d")
    state = ForwardState(PromptSchedule([Scheduled(0, prompt)]))
    steps = track_forward(session, islice(source.frames(), source.limit), state)
    with VideoWriter(path, source.fps) as video:
        for step, result in fill_back(steps, lambda step: step.result):
            records.append(frame_record(result))
            sightings += [
                Sighting(result.index, track.id, track.label, track.score, track.box, track.rle)
                for track in result.announced
                if track.box is not None
            ]
            speeds.append(step.fps)
            overlay = draw_overlay(step.frame.color, result.announced)
            draw_note(overlay, f"{step.fps:.1f} FPS")
            video.write(overlay)
            report("forward", len(records), source.expected)
    return records, sightings, speeds


class _Backward:
    """The backward pass, image by image.

    Args:
        tracker: an empty tracker.
        agreements: receives the IoU of both directions on each image on which the forward pass shows an object, by track id. The image on
            which an object starts has no entry.
    """

    def __init__(self, tracker: StreamTracker, agreements: dict[int, list[float]]) -> None:
        self._tracker = tracker
        self._agreements = agreements
        self._ids: dict[int, int] = {}  # id in the backward pass, by track id

    def step(self, frame: Frame, forward: Sequence[Sighting]) -> None:
        """Process the next older image.

        Args:
            frame: the image.
            forward: its visible objects in the forward pass.
        """
        compared = [item for item in forward if item.track_id in self._ids]
        for item in forward:
            if item.track_id not in self._ids:
                self._ids[item.track_id] = self._tracker.add(MaskPrompt(item.mask.decode(), item.label))
        if not self._ids:
            return
        tracks = {track.id: track for track in self._tracker.step(frame)}
        for item in compared:
            track = tracks[self._ids[item.track_id]]
            self._agreements[item.track_id].append(rle_iou(item.mask, track.rle) if track.box is not None else 0.0)


class _Samples:
    """Images over the whole clip: their detections, compared with the masks, and their pictures.

    Args:
        detector: the detector.
        prompt: the objects.
        records: the results of all images.
        sightings: the visible objects on all images.

    Attributes:
        matches: the comparisons of masks and detected boxes.
    """

    def __init__(self, detector: Detector, prompt: TextPrompt, records: Sequence[Record], sightings: Sequence[Sighting]) -> None:
        self.matches: list[BoxMatch] = []
        self._detector = detector
        self._prompt = prompt
        self._records = records
        self._sightings = sightings
        self._numbers = {round(index * (len(records) - 1) / (SAMPLES - 1)) for index in range(SAMPLES)}
        self._pictures: dict[int, NDArray[np.uint8]] = {}

    def add(self, number: int, frame: Frame) -> None:
        """Detect on an image and draw it, if it is one of the samples.

        Args:
            number: number of the image.
            frame: the image.
        """
        if number not in self._numbers:
            return
        phrases = self._prompt.phrases
        found = detect(self._detector, frame.color, phrases, [self._detector.default_threshold] * len(phrases))
        for item in self._sightings:
            if item.frame == number:
                match = match_boxes(item, [detection.box for detection in found if detection.label == item.label])
                self.matches += [match] if match is not None else []
        overlay = draw_overlay(frame.color, read_frame(self._records[number]).announced)
        size = (_CELL_WIDTH, round(_CELL_WIDTH * self._records[0]["height"] / self._records[0]["width"]))
        self._pictures[number] = cv2.resize(overlay, size, interpolation=cv2.INTER_AREA).astype(np.uint8)

    def write_sheet(self, path: Path) -> None:
        """Write the pictures as a contact sheet. Raises OSError."""
        numbers = sorted(self._pictures)
        write_png(path, contact_sheet([self._pictures[number] for number in numbers], [f"image {number}" for number in numbers]))
