# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Objects named by text that is looked for continuously: are they found, once each, and do they keep their ids?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.evaluation.identity import IdentityRecord, combine
from lang2segtrack_ros.evaluation.masks import boundary_f, region_j
from lang2segtrack_ros.evaluation.prompted import FRAME_NS
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.metrics import MATCH_IOU
from lang2segtrack_ros.toyworld.suites import Clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import TextPrompt
from lang2segtrack_ros.types.results import TrackStatus


@dataclass
class TextScore:
    """Numbers of a text-prompted run over clips.

    Attributes:
        j, f: agreement of each visible object on each frame with the first track that matched it, from then on.
        waits: frames from each object's first sight to its first match, None for never.
        false_tracks: tracks that never matched an object.
        frames: of all clips.
        returns: see `IdentityRecord.returns`.
        labels: whether the label was right, for each matched object-frame.
        strays: for each track, frames on which it sat on something else after its object had left the world (scene cuts).
        results: TrackEval's results of each clip.
    """

    j: list[float] = field(default_factory=list)
    f: list[float] = field(default_factory=list)
    waits: list[int | None] = field(default_factory=list)
    false_tracks: int = 0
    frames: int = 0
    returns: list[tuple[bool, bool, int]] = field(default_factory=list)
    labels: list[bool] = field(default_factory=list)
    strays: list[int] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Means, 0..1, and counts; NaN where nothing of the kind happened."""
        found = [wait for wait in self.waits if wait is not None]
        identity = combine(self.results)
        return {
            "J&F": float((np.mean(self.j) + np.mean(self.f)) / 2) if self.j else float("nan"),
            **identity,
            "switches_per_1000": 1000 * identity["id_switches"] / max(identity["object_frames"], 1),
            "objects": len(self.waits),
            "found_in_15": float(np.mean([wait is not None and wait <= 15 for wait in self.waits])) if self.waits else float("nan"),
            "mean_wait": float(np.mean(found)) if found else float("nan"),
            "false_per_minute": self.false_tracks / (self.frames * FRAME_NS / 60e9),
            "label_right": float(np.mean(self.labels)) if self.labels else float("nan"),
            "returns": len(self.returns),
            "old_id": float(np.mean([same for _, same, _ in self.returns])) if self.returns else float("nan"),
            "longest_stray": max(self.strays, default=0),
        }


def listen(
    segmenter: Sam2Segmenter, detector: Detector, clips: Iterable[Clip], policy: str, options: SessionOptions | None = None
) -> TextScore:
    """Follows what the labels of all bodies name, from the first frame on; `options` go to the session."""
    score = TextScore()
    for clip in clips:
        session = Session(segmenter, detector, policy, options=options)
        names = {number: body.label for number, body in enumerate(clip.scene.bodies, start=1) if body.label}
        session.prompt(TextPrompt(". ".join(dict.fromkeys(names.values())) + ".", mode="continuous"))
        record = IdentityRecord()
        owner: dict[int, int] = {}  # track -> the object it first sat on
        follower: dict[int, int] = {}  # object -> the first track that sat on it
        astray: Counter[int] = Counter()
        for index in range(clip.length):
            shot = clip.scene.render(index)
            result = session.step(Frame(shot.color, index * FRAME_NS, shot.depth_m, clip.scene.camera))
            hidden = (TrackStatus.REMOVED, TrackStatus.TENTATIVE)
            masks = {track.id: track.mask for track in result.tracks if track.state not in hidden}
            record.add(shot.instances, [number for number in names if number in shot.bodies], masks)
            table, seen = record.ious[-1], record.truth[-1]
            for column, track in enumerate(record.tracks[-1]):
                row = int(table[:, column].argmax()) if seen else 0
                if not seen or table[row, column] < MATCH_IOU:
                    continue
                number = seen[row]
                score.labels.append(result.by_id[track].label == names[number])
                follower.setdefault(number, track)
                astray[track] += owner.setdefault(track, number) not in shot.bodies
            for number in set(seen) & set(follower):
                truth = shot.instances == number
                mask = masks.get(follower[number], np.zeros_like(truth))
                score.j.append(region_j(mask, truth))
                score.f.append(boundary_f(mask, truth))
        score.strays += astray.values()
        score.waits += record.first_match().values()
        score.false_tracks += record.false_tracks()
        score.frames += clip.length
        score.returns += [outcome for number in names for outcome in record.returns(number)]
        score.results.append(record.evaluate())
    return score
