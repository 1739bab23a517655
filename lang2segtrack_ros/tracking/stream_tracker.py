# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Tracking of prompted objects through a stream, without detection and without identity rules.

tracker = StreamTracker(load_segmenter("toy"))
tracker.add(BoxPrompt((10, 10, 60, 80), "mug"))
for image in images:
    tracks = tracker.step(image)
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter
from lang2segtrack_ros.tracking.open_frame import ImageInfo, OpenFrame, TrackerError, unknown_id_message
from lang2segtrack_ros.tracking.policies.base import Policy
from lang2segtrack_ros.tracking.tracker import Tracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import ObjectPrompt
from lang2segtrack_ros.types.results import Track


class StreamTracker(Tracker):
    """A tracker that gives ids to its objects and counts its frames.

    Args:
        segmenter: the network.
        policy: the memory policy, see `Tracker`.
        max_objects: maximum number of objects. The tracker refuses further ones.
        min_region_ratio: see `Tracker`.

    Attributes:
        frame_index: number of the next frame.
    """

    def __init__(
        self, segmenter: Sam2Segmenter, policy: str | Policy = "samurai", max_objects: int = 32, min_region_ratio: float = 0.0
    ) -> None:
        super().__init__(segmenter, policy, min_region_ratio)
        self.max_objects = max_objects
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Remove all objects. The ids continue, so that an id never names two objects."""
        self.clear()
        self.frame_index = 0
        self._labels: dict[int, str] = {}
        self._pending: list[tuple[int, ObjectPrompt]] = []

    def add(self, prompt: ObjectPrompt) -> int:
        """Queue a prompt for the next frame, and return the id of its object.

        Raises:
            TrackerError: the prompt corrects an unknown object, or the tracker has no capacity for another object.
        """
        track_id = prompt.track_id
        if track_id is None:
            if len(self.rows.ids) + sum(item.track_id is None for _, item in self._pending) >= self.max_objects:
                raise TrackerError(f"{self.max_objects} objects are tracked already, which is the maximum: remove one first")
            track_id, self._next_id = self._next_id, self._next_id + 1
        elif track_id not in self.rows.ids:
            raise TrackerError(unknown_id_message(track_id, self.rows.ids))
        self._pending.append((track_id, prompt))
        return track_id

    def remove(self, track_id: int) -> None:
        """Remove an object, or the prompt that would start it.

        Raises:
            TrackerError: the object is not tracked.
        """
        pending_count = len(self._pending)
        self._pending = [item for item in self._pending if item[0] != track_id]
        if track_id in self.rows.ids:
            self.remove_objects([track_id])
        elif len(self._pending) == pending_count:
            raise TrackerError(unknown_id_message(track_id, self.rows.ids))

    @torch.inference_mode()
    def begin(self, features: ImageFeatures, height: int, width: int) -> OpenFrame:
        """Predict the masks of all objects on an encoded image of the given size in pixels. The tracker stays unchanged."""
        return self.open(ImageInfo(lambda: features, height, width, self.frame_index))

    def step(self, frame: Frame | NDArray[np.uint8]) -> list[Track]:
        """Process one frame: track all objects, and apply the prompts queued since the last frame.

        Returns:
            All objects in ascending order of ids.

        Raises:
            PromptError: a queued prompt does not fit the image. The tracker drops that prompt, and the frame does not count.
        """
        if not isinstance(frame, Frame):
            frame = Frame(frame)
        opened = self.begin(self.encode(frame), frame.height, frame.width)
        for item in list(self._pending):
            track_id, prompt = item
            try:
                self.prompt(opened, prompt, track_id)
            except ValueError:
                self._pending.remove(item)
                raise
        tracks = self.commit(opened)
        self._pending.clear()
        return tracks

    def prompt(self, opened: OpenFrame, prompt: ObjectPrompt, track_id: int) -> None:
        """Start or correct an object on an open frame; see `OpenFrame.predict` for the errors.

        Args:
            opened: the open frame.
            prompt: the prompt.
            track_id: id of its object.
        """
        opened.accept(opened.predict(prompt), track_id, keep_memories=prompt.track_id is not None)
        self._labels[track_id] = prompt.label or self._labels.get(track_id, "")

    def commit(self, opened: OpenFrame) -> list[Track]:
        """Write the memories of an open frame, and return every object on it in ascending order of ids."""
        tracks = opened.tracks(self._labels)
        self.apply(self.compute(opened))
        self.prepare_due()
        self.frame_index += 1
        return tracks
