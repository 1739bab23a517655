# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation of single images on a thread of its own, so that the tracker never waits for it. Needs no ROS."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detector, unknown_words
from lang2segtrack_ros.runtime.metrics import Durations
from lang2segtrack_ros.runtime.streams import own_stream
from lang2segtrack_ros.runtime.supervised import SupervisedThread
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.degradation import degrade, describe, is_out_of_memory, smaller_detector
from lang2segtrack_ros.session.image_segmentation import SegmentedObject, remarks, segment_images
from lang2segtrack_ros.types.prompts import PromptError, TextPrompt

log = logging.getLogger(__name__)
MAX_WAITING = 4
BATCH = 16
"""Number of objects per batch from which degradation starts when memory runs out."""
Answer = tuple[list[SegmentedObject], str]


class BusyError(RuntimeError):
    """Refusal of a request: too many images wait, or the node is shutting down."""


class ImageRequests:
    """Queue of images that are segmented one after the other.

    The networks keep no state between calls, so this thread and the tracker's thread may use them at the same time. On a GPU this thread
    has its own stream, so the tracker's work does not queue behind it.

    Args:
        segmenter: SAM 2.
        detector: open-vocabulary detector, None to refuse all requests.
    """

    def __init__(self, segmenter: Sam2Segmenter, detector: Detector | None) -> None:
        self._segmenter = segmenter
        self._detector = detector
        self._condition = threading.Condition()
        self._waiting: deque[tuple[NDArray[np.uint8], TextPrompt, Future[Answer]]] = deque()
        self._closed = False
        self._answered = 0
        self._durations = Durations()
        self._thread = SupervisedThread("lang2segtrack-images", self._run)

    def ask(self, image: NDArray[np.uint8], prompt: TextPrompt) -> Future[Answer]:
        """Queue an image. The future gets the objects and a sentence for the user, which may be empty.

        Args:
            image: RGB uint8 [H, W, 3].
            prompt: names of the objects.

        Raises:
            PromptError: there is no detector, or the detector cannot read the phrases.
            BusyError: too many images wait.
        """
        if self._detector is None:
            raise PromptError("there is no detector for object names: set the parameter detector and restart the node")
        unknown_words(self._detector, prompt.phrases)
        future: Future[Answer] = Future()
        with self._condition:
            if self._closed:
                raise BusyError("the node is shutting down")
            if len(self._waiting) >= MAX_WAITING:
                raise BusyError(f"{MAX_WAITING} images already wait: try again after one of them is segmented")
            self._waiting.append((image, prompt, future))
            self._condition.notify()
        return future

    @property
    def metrics(self) -> dict[str, object]:
        """Number of segmented and waiting images and their durations, for diagnostics."""
        counts = {"single_images_segmented": self._answered, "single_images_pending": len(self._waiting)}
        return {**counts, **self._durations.metrics("single_image")}

    def close(self) -> None:
        """End the thread after its current image. Fail the waiting requests."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()
        for _, _, future in self._waiting:
            future.set_exception(BusyError("the node is shutting down"))

    def _run(self) -> None:
        with own_stream(self._segmenter.device):
            while True:
                with self._condition:
                    self._condition.wait_for(lambda: self._closed or self._waiting)
                    if self._closed:
                        return
                    image, prompt, future = self._waiting.popleft()
                started = time.perf_counter()
                try:
                    answer = self._answer(image, prompt)
                    self._durations.add(time.perf_counter() - started)
                    self._answered += 1
                    future.set_result(answer)
                except Exception as error:  # passed on to the caller that waits for the future
                    future.set_exception(error)

    def _segment(self, image: NDArray[np.uint8], prompt: TextPrompt) -> list[list[SegmentedObject]]:
        """Segment an image. If memory runs out, retry with smaller settings and keep those that work for all later images."""
        assert self._detector is not None
        segmenter, detector = self._segmenter, self._detector
        while True:
            try:
                objects = segment_images(segmenter, detector, [image], prompt.phrases, prompt.threshold)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            else:
                if (segmenter, detector) != (self._segmenter, self._detector):
                    self._segmenter, self._detector = segmenter, detector
                    log.warning("out of memory: single images are from now on segmented with %s", describe(segmenter))
                return objects
            detector_step, segmenter_step = smaller_detector(detector), degrade(segmenter, BATCH)
            if detector_step is None and segmenter_step is None:
                raise PromptError("out of memory for this image, even at the smallest settings: send a smaller image, or free memory")
            detector, segmenter = detector_step or detector, segmenter_step or segmenter

    def _answer(self, image: NDArray[np.uint8], prompt: TextPrompt) -> Answer:
        assert self._detector is not None
        (objects,) = self._segment(image, prompt)
        for item in objects:
            _ = item.rle  # encoded here, not on the executor's thread
        return objects, "; ".join(remarks(self._detector, prompt.phrases, objects))
