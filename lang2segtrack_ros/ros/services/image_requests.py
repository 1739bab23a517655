# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Single images, segmented on a thread of their own: the tracker never waits for them. Needs no ROS."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detector
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
"""Objects that were too many at once when memory ran out."""
Answer = tuple[list[SegmentedObject], str]


class BusyError(RuntimeError):
    """Too many images wait already."""


class ImageRequests:
    """Answers one request after the other.

    The networks keep nothing between calls, so this thread and the tracker's may use them side by side; on a GPU this one has its own
    stream, so that the tracker's work is not queued behind it.
    """

    def __init__(self, segmenter: Sam2Segmenter, detector: Detector | None) -> None:
        self._segmenter = segmenter
        self._detector = detector
        self._condition = threading.Condition()
        self._waiting: deque[tuple[NDArray[np.uint8], TextPrompt, Future[Answer]]] = deque()
        self._closed = False
        self._answered = 0
        self._took = Durations()
        self._thread = SupervisedThread("lang2segtrack-images", self._run)

    def ask(self, image: NDArray[np.uint8], prompt: TextPrompt) -> Future[Answer]:
        """Objects on an RGB uint8 [H, W, 3] image, and a sentence for the user, which may be empty.

        Raises:
            PromptError: there is no detector, or it cannot take the phrases.
            BusyError: too many images wait.
        """
        if self._detector is None:
            raise PromptError("there is no detector to look for names: set the parameter detector and start the node again")
        self._detector.check(prompt.phrases)
        future: Future[Answer] = Future()
        with self._condition:
            if self._closed:
                raise BusyError("the node is shutting down")
            if len(self._waiting) >= MAX_WAITING:
                raise BusyError(f"{MAX_WAITING} images wait already: ask again when one is answered")
            self._waiting.append((image, prompt, future))
            self._condition.notify()
        return future

    @property
    def metrics(self) -> dict[str, object]:
        """What a user may want to know of single images, by name."""
        counts = {"single_images_segmented": self._answered, "single_images_pending": len(self._waiting)}
        return {**counts, **self._took.metrics("single_image")}

    def close(self) -> None:
        """Ends the thread after the image it is at; those that wait are failed."""
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
                began = time.perf_counter()
                try:
                    answer = self._answer(image, prompt)
                    self._took.add(time.perf_counter() - began)
                    self._answered += 1
                    future.set_result(answer)
                except Exception as error:  # handed to whoever waits for the future
                    future.set_exception(error)

    def _segmented(self, image: NDArray[np.uint8], prompt: TextPrompt) -> list[list[SegmentedObject]]:
        """Out of memory, it is tried again with less; what did for this image does for all later ones."""
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
            less, smaller = smaller_detector(detector), degrade(segmenter, BATCH)
            if less is None and smaller is None:
                raise PromptError("out of memory for this image, even at the smallest settings: send a smaller one, or free memory")
            detector, segmenter = less or detector, smaller or segmenter

    def _answer(self, image: NDArray[np.uint8], prompt: TextPrompt) -> Answer:
        assert self._detector is not None
        (objects,) = self._segmented(image, prompt)
        for item in objects:
            _ = item.rle  # encoded here, not on the executor's thread
        return objects, "; ".join(remarks(self._detector, prompt.phrases, objects))
