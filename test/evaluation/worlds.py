# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Trackers whose tracks are known in advance, for tests of the metrics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.toyworld.suites import Clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptOutcome
from lang2segtrack_ros.types.prompts import Prompt
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus
from lang2segtrack_ros.types.rle import mask_box

Entry = tuple[int, str, NDArray[np.bool_], TrackStatus]
"""Id, label, mask and state of one track on one frame."""


class ScriptedTracker:
    """A session that returns given tracks. A prompt starts the next id.

    Args:
        clip: clip to show.
        script: function from the frame index and the rendered frame to the tracks of that frame.
    """

    def __init__(self, clip: Clip, script: Callable[[int, SceneFrame], list[Entry]]) -> None:
        self.clip, self.script = clip, script
        self.prompts: list[tuple[int, Prompt]] = []
        self.index = 0

    def prompt(self, prompt: Prompt, log_outcome: bool = True) -> PromptHandle:
        self.prompts.append((self.index, prompt))
        handle = PromptHandle(prompt)
        handle.resolve(PromptOutcome((len(self.prompts),), ("",)))
        return handle

    def step(self, frame: Frame) -> FrameResult:
        tracks = [
            Track(track_id, label, state, 1.0, mask_box(mask), mask, 1.0, 1.0, 1.0, 0)
            for track_id, label, mask, state in self.script(self.index, self.clip.scene.render(self.index))
        ]
        self.index += 1
        return FrameResult(frame.stamp_ns, self.index - 1, *frame.color.shape[:2], tuple(tracks))
