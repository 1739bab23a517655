# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Backward tracking of all objects in one sweep, and the merged traces of both directions.

    backward = session.backward()             # or BackwardPass(segmenter, policy, past)
    for progress in backward.sweep():         # newest frame first; may be left at any time and continued
        ...
    for result in backward.results():         # oldest frame first; each object from the first frame that shows it
        ...

The sweep uses its own tracker, so its memory and its motion model are fresh. Each object joins the sweep on the frame of its first prompt
and again after each of its gaps (see `merging`). It starts there from the mask of the forward pass. All objects on a frame are one batch.
Each image is encoded at most once. The sweep encodes no image whose features the history kept, and no image that no object needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from lang2segtrack_ros.history.frame_history import FrameUnavailableError, Past, step_ns
from lang2segtrack_ros.history.merging import (
    VERDICT_FRAMES,
    PassComparison,
    TrackSummary,
    corrected_frames,
    gap_frames,
    summarize_tracks,
)
from lang2segtrack_ros.history.records import Record, read_track, record_rle, track_record
from lang2segtrack_ros.identity.lifecycle import LifecycleOptions, track_status
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter
from lang2segtrack_ros.tracking.policies.base import Policy
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.prompts import MaskPrompt
from lang2segtrack_ros.types.results import FrameResult, Source, TrackStatus

MAX_UNSEEN_FRAMES = 30
"""The sweep ends a run that fills a gap after this many confident forward frames on which the backward pass shows no object."""


class RefinementError(ValueError):
    """Error of a backward pass that has nothing to refine; the message gives the reason."""


class RecordStore(Protocol):
    """Storage for the records of the sweep: `records.RecordFile`, or memory."""

    def append(self, record: Record) -> None:
        """Add a record under its "frame"."""
        ...

    def get(self, number: int, /) -> Record | None:
        """Return the record of a frame, or None if the store has none."""
        ...


class MemoryRecords(dict[int, Record]):
    """Records in memory, by frame number."""

    def append(self, record: Record) -> None:
        """Add a record under its "frame"."""
        self[record["frame"]] = record


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


@dataclass
class _Run:
    """One object tracked backward from one start frame.

    Attributes:
        summary: the forward pass's trace of the object.
        gap: first frame of the gap to fill; None for the run that starts on the object's first frame.
        is_correction: True if the run starts on a frame where the user corrected the object.
        comparisons: both directions compared, one entry a frame; empty for the run that starts on the first frame.
    """

    summary: TrackSummary
    gap: int | None = None
    is_correction: bool = False
    comparisons: list[PassComparison] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """True if both directions showed the same object on the frame compared last."""
        return bool(self.comparisons) and self.comparisons[-1].agrees is True

    def is_settled(self) -> bool:
        """Return True if further frames cannot change which masks of this run are accepted."""
        if self.gap is None or not self.comparisons:
            return False
        if self.is_correction:
            before_gap = self.comparisons
        else:
            latest = self.comparisons[-MAX_UNSEEN_FRAMES:]
            before_gap = [comparison for comparison in latest if comparison.number < self.gap and comparison.is_confident]
        verdicts = [comparison.agrees for comparison in before_gap[-VERDICT_FRAMES:]]
        if len(verdicts) == VERDICT_FRAMES and (all(verdict is True for verdict in verdicts)):
            return True
        if self.is_correction:
            return False
        if len(verdicts) == VERDICT_FRAMES and all(verdict is False for verdict in verdicts):
            return True
        return len(before_gap) == MAX_UNSEEN_FRAMES and all(comparison.backward == 0 for comparison in before_gap)

    def accepted_frames(self) -> set[int]:
        """Return the frames on which the masks of this run replace those of the forward pass."""
        return corrected_frames(self.comparisons) if self.is_correction else gap_frames(self.comparisons)


class BackwardPass:
    """A backward sweep over past frames and its merged results. Apart from the store, it keeps a few bytes for each frame.

    Args:
        segmenter: the network.
        policy: the memory policy, as in `StreamTracker`.
        past: frames and forward results. It may add and drop frames meanwhile; the pass ignores frames that it adds later.
        track_ids: the objects; None for all.
        min_region_ratio: as in `StreamTracker`.
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
        segmenter: Sam2Segmenter,
        policy: str | Policy,
        past: Past,
        track_ids: Sequence[int] | None = None,
        min_region_ratio: float = 0.0,
        lost_after_s: float = 2.0,
        store: RecordStore | None = None,
    ) -> None:
        self.past = past
        self.numbers = list(past.numbers())
        self._summaries = summarize_tracks((past.record(number) for number in self.numbers), track_ids)
        missing = sorted(set(track_ids or ()) - set(self._summaries))
        if missing or not self._summaries:
            span = f"on frames {self.numbers[0]} to {self.numbers[-1]}" if self.numbers else "in the empty history"
            subject = f"track {', '.join(map(str, missing))} is not" if missing else "no object is"
            raise RefinementError(f"{subject} visible {span}, so there is nothing to refine")
        self.store = MemoryRecords() if store is None else store
        self.encoded = 0
        self.reused = 0
        self._lost_after_s = lost_after_s
        self._tracker = StreamTracker(segmenter, policy, len(self._summaries), min_region_ratio)
        self._runs: dict[int, _Run] = {}
        self._accepted: dict[int, set[int]] = {track_id: set() for track_id in self._summaries}
        self._starts: dict[int, list[_Run]] = {}
        oldest = self.numbers[0]
        for summary in self._summaries.values():
            if summary.first > oldest:
                self._starts.setdefault(summary.first, []).append(_Run(summary))
            for number, gap in summary.gaps.items():
                self._starts.setdefault(number, []).append(_Run(summary, gap))
            for number in summary.corrections:
                self._starts.setdefault(number, []).append(_Run(summary, number, is_correction=True))
        self._remaining = len(self.numbers)  # the sweep has processed all frames from this index on

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

    def _step(self, number: int) -> None:
        """Process one frame: start runs, track all objects, compare with the forward pass, end settled runs."""
        starting = self._runs_starting_at(number)
        if not starting and not self._runs:
            return
        record = self.past.record(number)
        features = self._features_of(number)
        for track_id in starting:
            self._end_run(track_id)
        tracks = self._track_objects(features, record, starting)
        tracked = self._compare_runs(number, record, tracks)
        self._runs.update(starting)
        if tracked:
            self.store.append({"frame": number, "tracks": tracked})
        for track_id, run in [*self._runs.items()]:
            if run.gap is not None and (run.is_settled() or number == run.summary.first):
                self._end_run(track_id)

    def _runs_starting_at(self, number: int) -> dict[int, _Run]:
        """Return the runs that start on a frame, by track id.

        A gap needs no new run where an active run already follows the object: the active run then fills this gap too.
        """
        starting: dict[int, _Run] = {}
        for run in self._starts.get(number, ()):
            track_id, active = run.summary.track_id, self._runs.get(run.summary.track_id)
            if run.gap is not None and not run.is_correction and active is not None and (active.is_correction or active.agrees):
                active.gap = run.gap
            elif track_id not in starting or run.gap is None or run.is_correction:
                starting[track_id] = run
        return starting

    def _features_of(self, number: int) -> ImageFeatures:
        """Return the encoded image of a frame: the one the history kept, or a new one."""
        features = self.past.features(number)
        if features is None:
            features = self._tracker.encode(self.past.frame(number))
            self.encoded += 1
        else:
            self.reused += 1
        return features

    def _track_objects(self, features: ImageFeatures, record: Record, starting: Mapping[int, _Run]) -> dict[int, Record]:
        """Track all objects on a frame and return their records by track id. Starting runs take the forward mask as a prompt."""
        forward = _by_id(record)
        opened = self._tracker.begin(features, record["height"], record["width"])
        for track_id, run in starting.items():
            mask = record_rle(forward[track_id]).decode()
            opened.accept(opened.predict(MaskPrompt(mask, run.summary.label)), track_id)
        return {track.id: track_record(track) for track in self._tracker.commit(opened)}

    def _compare_runs(self, number: int, record: Record, tracks: Mapping[int, Record]) -> list[Record]:
        """Compare both directions for each active run and return the backward records of these runs."""
        forward = _by_id(record)
        tracked = []
        for track_id, run in self._runs.items():
            if number >= run.summary.first:
                run.comparisons.append(PassComparison.of(number, forward.get(track_id), tracks[track_id], track_id in record["prompted"]))
            tracked.append(tracks[track_id])
        return tracked

    def _end_run(self, track_id: int) -> None:
        run = self._runs.pop(track_id, None)
        if run is not None:
            self._accepted[track_id] |= run.accepted_frames()
            self._tracker.remove(track_id)

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
            for chosen, source in self._merged(number, record):
                track = replace(read_track(chosen), source=source)
                visible = track.box is not None
                unseen[track.id] = 0 if visible else unseen.get(track.id, 0) + 1
                unseen_ns[track.id] = 0 if visible else unseen_ns.get(track.id, 0) + elapsed_ns
                state = track_status(visible, unseen_ns[track.id], options)
                label = track.label or self._summaries[track.id].label
                tracks.append(replace(track, label=label, state=state, frames_since_seen=unseen[track.id]))
            yield FrameResult(
                stamp_ns=stamp,
                index=number,
                height=record["height"],
                width=record["width"],
                tracks=tuple(tracks),
                prompted=tuple(track_id for track_id in record["prompted"] if track_id in self._summaries),
            )

    def _merged(self, number: int, record: Record) -> Iterator[tuple[Record, Source]]:
        """Yield each object's record on a frame with the pass it comes from, by rising track id."""
        forward_by_id = _by_id(record)
        backward_by_id = _by_id(self.store.get(number) or {"tracks": []})
        for track_id, summary in sorted(self._summaries.items()):
            forward, backward = forward_by_id.get(track_id), backward_by_id.get(track_id)
            if forward is not None and forward["state"] == TrackStatus.REMOVED.name.lower():
                forward = None
            if number < summary.first:
                if backward is not None:
                    yield backward, Source.BACKWARD
            elif backward is not None and number in self._accepted[track_id]:
                yield backward, Source.MERGED
            elif forward is not None:
                yield forward, Source.FORWARD

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
