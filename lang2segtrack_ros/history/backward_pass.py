# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Backward tracking of all objects in one sweep, and the merged traces of both directions.

    backward = session.backward()             # or BackwardPass(reverse_tracker, past)
    for progress in backward.sweep():         # newest frame first; may be left at any time and continued
        ...
    for result in backward.results():         # oldest frame first; each object from the first frame that shows it
        ...

The sweep runs the stages of a session on reversed frames (`session.reverse`). A *run* refines one object: it starts on the frame of the
object's first prompt, and again after each of its gaps (see `merging`), from the mask of the forward pass. While a run is active, all other
objects that the forward pass shows with confidence take part, too. The identity rules thus know which object is which. They start anew from
the forward mask if their backward masks leave it.

A backward mask is left out if its appearance is uncertain, or if it lies on an object of which the forward pass is confident. After some
frames of the latter, the object must be verified again. An object that comes back into view is partly hidden at first, so it cannot be
verified. Once it is, its masks on the frames before in the sweep count, too.

Each image is encoded at most once. The sweep encodes no image whose features the history kept, and no image that no run needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from lang2segtrack_ros.history.backward_run import MAX_UNSEEN_FRAMES, Run
from lang2segtrack_ros.history.frame_history import FrameUnavailableError, Past, step_ns
from lang2segtrack_ros.history.merge_frame import Directions, merge_frame, share_mask
from lang2segtrack_ros.history.merging import (
    SAME_OBJECT_IOU,
    PassComparison,
    boxes_overlap,
    is_confident,
    record_iou,
    summarize_tracks,
)
from lang2segtrack_ros.history.records import MemoryRecords, Record, RecordStore, read_track, record_rle, track_record
from lang2segtrack_ros.history.reverse_tracking import ReverseTracker, Seen, Start
from lang2segtrack_ros.identity.association import track_iou
from lang2segtrack_ros.identity.lifecycle import LifecycleOptions, track_status
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus

_MAX_CONFLICTS = 3  # consecutive frames on another object, or off the own forward mask, before the sweep reacts
_TRAJECTORY_FRAMES = 8  # forward positions in the trajectory of a starting object


class RefinementError(ValueError):
    """Error of a backward pass that has nothing to refine; the message gives the reason."""


@dataclass(frozen=True)
class Progress:
    """Progress of a sweep.

    Attributes:
        done, total: frames; total is the number of past frames.
        number: the frame that the sweep processed last.
        encoded: images that the sweep has encoded so far.
    """

    done: int
    total: int
    number: int
    encoded: int


class BackwardPass:
    """A backward sweep over past frames and its merged results. Apart from the store, it keeps a few bytes for each frame.

    Args:
        tracker: the engine for reversed frames, without objects.
        past: frames and forward results. It may add and drop frames meanwhile; the pass ignores frames that it adds later.
        track_ids: the objects; None for all.
        lost_after_s: as in `identity.lifecycle`, seconds.
        store: storage for the masks of the sweep; None keeps them in memory.

    Attributes:
        encoded: images that the sweep has encoded.
        reused: images whose features the history had kept.

    Raises:
        RefinementError: `past` lacks a requested object, or shows no object at all.
    """

    def __init__(
        self,
        tracker: ReverseTracker,
        past: Past,
        track_ids: Sequence[int] | None = None,
        lost_after_s: float = 2.0,
        store: RecordStore | None = None,
    ) -> None:
        self.past = past
        self.numbers = list(past.numbers())
        self._known = summarize_tracks((past.record(number) for number in self.numbers), track_ids or ())
        self._summaries = {key: item for key, item in self._known.items() if not track_ids or key in track_ids}
        self._check(track_ids or ())
        self.store = MemoryRecords() if store is None else store
        self.encoded = 0
        self.reused = 0
        self._lost_after_s = lost_after_s
        self._tracker = tracker
        self._runs: dict[int, Run] = {}
        self._accepted: dict[int, set[int]] = {track_id: set() for track_id in self._summaries}
        self._corrected: dict[int, set[int]] = {track_id: set() for track_id in self._summaries}
        self._conflicts: Counter[int] = Counter()  # consecutive frames on another object, by track id
        self._unverified: dict[int, list[tuple[int, Record]]] = {}  # frame and mask of returning objects, newest frame first, by track id
        self._strays: Counter[int] = Counter()  # consecutive frames off the own forward mask, by track id
        self._starts: dict[int, list[Run]] = {}
        oldest = self.numbers[0]
        for summary in self._summaries.values():
            if summary.first > oldest:
                self._starts.setdefault(summary.first, []).append(Run(summary))
            for number, gap in summary.gaps.items():
                self._starts.setdefault(number, []).append(Run(summary, gap))
            for number in summary.corrections:
                self._starts.setdefault(number, []).append(Run(summary, number, is_correction=True))
        self._remaining = len(self.numbers)  # the sweep has processed all frames from this index on

    def _check(self, track_ids: Sequence[int]) -> None:
        """Raise RefinementError if a requested object, or every object, is missing."""
        span = f"on frames {self.numbers[0]} to {self.numbers[-1]}" if self.numbers else "in the empty history"
        if not self._summaries and not track_ids:
            raise RefinementError(f"no object is visible {span}, so there is nothing to refine")
        missing = sorted({*track_ids} - {*self._summaries})
        if not missing:
            return
        listed = {track["id"] for number in self.numbers for track in self.past.record(number)["tracks"]}
        hidden = [track_id for track_id in missing if track_id in listed]
        if hidden:
            names = ", ".join(map(str, hidden))
            raise RefinementError(f"track {names} is not visible {span}, so there is no mask to go back from: try again when it was seen")
        names, others = ", ".join(map(str, missing)), ", ".join(map(str, sorted(self._known))) or "none"
        raise RefinementError(f"there is no track {names} {span}; tracks there: {others}")

    def sweep(self) -> Iterator[Progress]:
        """Track backward, frame by frame, and yield the progress.

        The caller may leave the iteration at any time; the next call continues there. If the history drops the next frame meanwhile,
        the sweep ends early without an error.
        """
        while self._remaining > 0:
            number = self.numbers[self._remaining - 1]
            try:
                self._step(number)
            except FrameUnavailableError:
                self._remaining = 0
                break
            self._remaining -= 1
            yield Progress(len(self.numbers) - self._remaining, len(self.numbers), number, self.encoded)
        for track_id in list(self._runs):
            self._end_run(track_id)
        self._tracker.clear()

    def _step(self, number: int) -> None:
        """Process one frame: start runs, track all objects, compare with the forward pass, end settled runs."""
        starting = self._runs_starting_at(number)
        if not starting and not self._runs:
            if self._tracker.ids:
                self._tracker.clear()
            return
        record, frame = self.past.record(number), self.past.frame(number)
        forward = _by_id(record)
        features = self._features_of(number, frame)
        for track_id in starting:
            self._end_run(track_id)
        starts = [self._start_of(track_id, number, forward) for track_id in (*starting, *self._companions(record, starting))]
        index = len(self.numbers) - self._remaining
        seen = {item.track.id: item for item in self._tracker.step(index, frame, features, starts)}
        shown = self._shown(seen, record, {start.track_id for start in starts})
        self._compare_runs(number, record, shown)
        self._runs.update(starting)
        self._store(number, shown)
        self._accept_unverified(number, seen, shown, record)
        for track_id, run in [*self._runs.items()]:
            if run.gap is not None and (run.is_settled() or number == run.summary.first):
                self._end_run(track_id)

    def _companions(self, record: Record, starting: Mapping[int, Run]) -> list[int]:
        """Return the ids of the objects without a run that start on a frame because the forward pass is confident of them."""
        return [
            track["id"]
            for track in record["tracks"]
            if track["id"] in self._known
            and track["id"] not in starting
            and track["id"] not in self._runs
            and is_confident(track, track["id"] in record["prompted"])
            and (track["id"] not in self._tracker.ids or self._strays[track["id"]] >= _MAX_CONFLICTS)
        ]

    def _start_of(self, track_id: int, number: int, forward: Mapping[int, Record]) -> Start:
        """Return the start of an object from its forward mask, with its forward positions on the newer frames."""
        self._conflicts[track_id] = self._strays[track_id] = 0
        position = self._remaining - 1
        trajectory = []
        for index in range(min(position + _TRAJECTORY_FRAMES, len(self.numbers) - 1), position, -1):
            track = _by_id(self.past.record(self.numbers[index])).get(track_id)
            if track is not None and is_confident(track):
                x_min, y_min, x_max, y_max = track["box"]
                trajectory.append((len(self.numbers) - 1 - index, (x_min + x_max) / 2, (y_min + y_max) / 2))
        return Start(track_id, self._known[track_id].label, record_rle(forward[track_id]).decode(), tuple(trajectory))

    def _shown(self, seen: Mapping[int, Seen], record: Record, started: set[int]) -> dict[int, Record]:
        """Return the backward records of the objects on a frame. Masks that are uncertain, or on other objects, are hidden."""
        facts = self._facts(record)
        visible = {key: item.track for key, item in seen.items() if item.track.box is not None}
        conflicts = self._on_facts(visible, facts, started) | self._on_each_other(visible, seen, started)
        shown = {}
        for track_id, item in seen.items():
            self._conflicts[track_id] = self._conflicts[track_id] + 1 if track_id in conflicts else 0
            is_hidden = track_id not in started and (track_id in conflicts or item.is_uncertain)
            shown[track_id] = {**track_record(_hidden(item.track) if is_hidden else item.track), "detected": item.is_detected}
        conflicting = [track_id for track_id, count in self._conflicts.items() if count >= _MAX_CONFLICTS]
        if conflicting:
            self._tracker.require_verification(conflicting)
        return shown

    def _on_facts(self, visible: Mapping[int, Track], facts: Mapping[int, Record], started: set[int]) -> set[int]:
        """Return the ids of the tracks that lie on another object of which the forward pass is confident."""
        conflicts = set()
        for track_id in {*visible, *self._strays} - started:
            mask = track_record(visible[track_id]) if track_id in visible else None
            ious = {key: record_iou(mask, fact) if mask is not None else 0.0 for key, fact in facts.items()}
            own = ious.pop(track_id, None)
            self._strays[track_id] = self._strays[track_id] + 1 if own is not None and own < SAME_OBJECT_IOU else 0
            is_correction = track_id in self._runs and self._runs[track_id].is_correction
            if not is_correction and (own is None or own < SAME_OBJECT_IOU) and any(iou >= SAME_OBJECT_IOU for iou in ious.values()):
                conflicts.add(track_id)
        return conflicts

    def _on_each_other(self, visible: Mapping[int, Track], seen: Mapping[int, Seen], started: set[int]) -> set[int]:
        """Return the ids of the tracks on the mask of another track, which has a detection or resembles its object more."""
        conflicts = set()
        for one, other in combinations(sorted(visible), 2):
            if track_iou(visible[one], visible[other]) >= SAME_OBJECT_IOU:
                evidence = {key: (key in started, seen[key].is_detected, self._tracker.similarity(visible[key])) for key in (one, other)}
                conflicts.add(min(evidence, key=evidence.__getitem__))
        return conflicts

    def _store(self, number: int, tracks: Mapping[int, Record]) -> None:
        """Add the backward records of objects to those of a frame."""
        known = _by_id(self.store.get(number) or {"tracks": []})
        known.update((key, track) for key, track in tracks.items() if key in self._summaries)
        if known:
            self.store.append({"frame": number, "tracks": [known[key] for key in sorted(known)]})

    def _accept_unverified(self, number: int, seen: Mapping[int, Seen], shown: Mapping[int, Record], record: Record) -> None:
        """Collect the masks of returning objects until they are verified; then accept the masks that lead to the verified one."""
        facts = self._facts(record)
        for track_id, item in seen.items():
            masks = self._unverified.setdefault(track_id, [])
            if shown[track_id]["box"] is not None:
                newer = shown[track_id]
                for index, track in reversed(masks):
                    others = [item for item in (self.store.get(index) or {"tracks": []})["tracks"] if item["id"] != track_id]
                    if not boxes_overlap(newer["box"], track["box"]) or any(share_mask(track, other) for other in others):
                        break
                    self._store(index, {track_id: track})
                    run = self._runs.get(track_id)
                    if run is not None and index >= run.summary.first:
                        run.compare_again(index, _by_id(self.past.record(index)).get(track_id), track)
                    newer = track
                masks.clear()
                continue
            unverified = track_record(item.unverified) if item.unverified is not None else None
            if unverified is None or any(share_mask(unverified, fact) for fact in facts.values()):
                masks.clear()
            else:
                masks.append((number, {**unverified, "detected": False}))
                del masks[:-MAX_UNSEEN_FRAMES]

    def _facts(self, record: Record) -> dict[int, Record]:
        """Return the forward records of the objects of which the forward pass is confident on a frame.

        Before a correction by the user, the forward mask of the corrected object is none.
        """
        corrected = {track_id for track_id, run in self._runs.items() if run.is_correction}
        return {
            track["id"]: track
            for track in record["tracks"]
            if track["id"] in self._known and track["id"] not in corrected and is_confident(track, track["id"] in record["prompted"])
        }

    def _runs_starting_at(self, number: int) -> dict[int, Run]:
        """Return the runs that start on a frame, by track id.

        A gap needs no new run where an active run already follows the object: the active run then fills this gap too.
        """
        starting: dict[int, Run] = {}
        for run in self._starts.get(number, ()):
            track_id, active = run.summary.track_id, self._runs.get(run.summary.track_id)
            if run.gap is not None and not run.is_correction and active is not None and (active.is_correction or active.agrees):
                active.gap = run.gap
            elif track_id not in starting or run.gap is None or run.is_correction:
                starting[track_id] = run
        return starting

    def _features_of(self, number: int, frame: Frame) -> ImageFeatures:
        """Return the encoded image of a frame: the one the history kept, or a new one."""
        features = self.past.features(number)
        if features is None:
            features = self._tracker.encode(frame)
            self.encoded += 1
        else:
            self.reused += 1
        return features

    def _compare_runs(self, number: int, record: Record, shown: Mapping[int, Record]) -> None:
        """Compare both directions for each active run."""
        forward = _by_id(record)
        for track_id, run in self._runs.items():
            if number >= run.summary.first:
                prompted = track_id in record["prompted"]
                run.comparisons.append(PassComparison.of(number, forward.get(track_id), shown.get(track_id), prompted))

    def _end_run(self, track_id: int) -> None:
        """End a run. Its object stays in the sweep."""
        run = self._runs.pop(track_id, None)
        if run is not None:
            (self._corrected if run.is_correction else self._accepted)[track_id].update(run.accepted_frames())

    def results(self) -> Iterator[FrameResult]:
        """Yield the merged traces in time order, one result for each frame that is still available.

        The lifecycle states are computed anew from the merged traces in time order.
        """
        options = LifecycleOptions(self._lost_after_s)
        unseen: dict[int, int] = {}
        unseen_ns: dict[int, int] = {}
        previous_stamp: int | None = None
        for number in self.numbers:
            try:
                record = self.past.record(number)
            except FrameUnavailableError:
                continue
            stamp = record["stamp_ns"]
            elapsed_ns = 0 if previous_stamp is None else step_ns(previous_stamp, stamp)
            previous_stamp = stamp
            tracks = []
            for track_id, merged in merge_frame(self._directions(number, record)).items():
                visible = merged.record["box"] is not None
                unseen[track_id] = 0 if visible else unseen.get(track_id, 0) + 1
                unseen_ns[track_id] = 0 if visible else unseen_ns.get(track_id, 0) + elapsed_ns
                track = replace(
                    read_track(merged.record),
                    source=merged.source,
                    agreement=merged.agreement,
                    confidence=merged.confidence,
                    label=merged.record["label"] or self._summaries[track_id].label,
                    state=track_status(visible, unseen_ns[track_id], options),
                    frames_since_seen=unseen[track_id],
                )
                tracks.append(track)
            yield FrameResult(
                stamp_ns=stamp,
                index=number,
                height=record["height"],
                width=record["width"],
                tracks=tuple(tracks),
                prompted=tuple(track_id for track_id in record["prompted"] if track_id in self._summaries),
            )

    def _directions(self, number: int, record: Record) -> Directions:
        """Return what both directions show on a frame."""
        backward = _by_id(self.store.get(number) or {"tracks": []})
        forward = {key: track for key, track in _by_id(record).items() if track["state"] != TrackStatus.REMOVED.name.lower()}
        return Directions(
            forward=forward,
            backward=backward,
            ids=tuple(sorted(self._summaries)),
            before_first=frozenset(key for key, summary in self._summaries.items() if number < summary.first),
            accepted=frozenset(key for key, frames in self._accepted.items() if number in frames),
            corrected=frozenset(key for key, frames in self._corrected.items() if number in frames),
            prompted=frozenset(record["prompted"]),
        )

    def run(self, progress: Callable[[Progress], bool | None] | None = None) -> Iterator[FrameResult]:
        """Run the whole sweep, then yield the results.

        Args:
            progress: called after each frame of the sweep; a return value of False cancels, and nothing is yielded.
        """
        for step in self.sweep():
            if progress is not None and progress(step) is False:
                return
        yield from self.results()


def _by_id(record: Mapping[str, list[Record]]) -> dict[int, Record]:
    return {track["id"]: track for track in record["tracks"]}


def _hidden(track: Track) -> Track:
    """Return the track without its mask."""
    return replace(track, box=None, mask=np.zeros_like(track.mask), score=0.0)
