# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One reverse sweep for all objects, and the traces of both directions made into one.

    work = session.backward()             # or BackwardPass(segmenter, policy, past)
    for progress in work.sweep():         # newest frame first; may be left at any time, and gone on with
        ...
    for result in work.results():         # oldest frame first, every object from the first frame it is seen on
        ...

The sweep has a tracker of its own, so memory and motion model are fresh. Each object joins on the frame it was first prompted on, and after
each of its gaps (see `merging`), from the forward pass's mask there. All objects on a frame are one batch, an image is encoded at
most once, and not at all where its features were kept or no object needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from lang2segtrack_ros.history.frame_history import ForgottenError, Past, step_ns
from lang2segtrack_ros.history.merging import PROOF, Outline, PassComparison, corrected_frames, gap_frames, outlines
from lang2segtrack_ros.history.records import Record, read_track, record_rle, track_record
from lang2segtrack_ros.identity.lifecycle import Lifecycle
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.tracking.policies.base import Policy
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.prompts import MaskPrompt
from lang2segtrack_ros.types.results import FrameResult, Source, TrackStatus

MAX_UNSEEN = 30
"""A run that fills a gap is given up when it has not shown its object for this many frames on which the forward pass is sure of it."""


class RefinementError(ValueError):
    """There is nothing to refine; the message says why."""


class RecordStore(Protocol):
    """What keeps the sweep's records: `records.RecordFile`, or memory."""

    def append(self, record: Record) -> None:
        """Adds a record under its "frame"."""
        ...

    def get(self, number: int, /) -> Record | None:
        """The record of a frame, None where there is none."""
        ...


class MemoryRecords(dict[int, Record]):
    """Records in memory."""

    def append(self, record: Record) -> None:
        """Adds a record under its "frame"."""
        self[record["frame"]] = record


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes:
        done, total: frames; total is the length of the past.
        number: the frame just done.
        encoded: images that were encoded so far.
    """

    done: int
    total: int
    number: int
    encoded: int


@dataclass
class _Run:
    """An object on its way back, from one start.

    Attributes:
        outline: the object.
        gap: first frame of the gap that is to be filled; None for the way back from the first frame.
        correction: it started where the user corrected the object.
        sights: what both directions said on the way; empty when there is nothing to compare with.
    """

    outline: Outline
    gap: int | None = None
    correction: bool = False
    comparisons: list[PassComparison] = field(default_factory=list)

    @property
    def agreeing(self) -> bool:
        """Whether both directions showed one object when they were last compared."""
        return bool(self.comparisons) and self.comparisons[-1].agrees is True

    def is_settled(self) -> bool:
        """Whether going on cannot change what is believed."""
        if self.gap is None or not self.comparisons:
            return False
        below = (
            self.comparisons
            if self.correction
            else [comparison for comparison in self.comparisons[-MAX_UNSEEN:] if comparison.number < self.gap and comparison.sure]
        )
        verdicts = [comparison.agrees for comparison in below[-PROOF:]]
        if len(verdicts) == PROOF and (all(verdict is True for verdict in verdicts)):
            return True
        if self.correction:
            return False
        if len(verdicts) == PROOF and all(verdict is False for verdict in verdicts):
            return True
        return len(below) == MAX_UNSEEN and all(comparison.backward == 0 for comparison in below)

    def taken(self) -> set[int]:
        """The frames on which this run is believed."""
        return corrected_frames(self.comparisons) if self.correction else gap_frames(self.comparisons)


class BackwardPass:
    """The sweep and its results. Everything it knows of the past's length is a few bytes a frame.

    Args:
        segmenter: the network.
        policy: the memory policy, as in `StreamTracker`.
        past: frames and forward results; it may go on growing and forgetting, frames that come later are not looked at.
        track_ids: the objects; None for all.
        min_region_ratio: as in `StreamTracker`.
        lost_after_s: as in `identity.Lifecycle`.
        store: keeps the sweep's masks; None keeps them in memory.

    Attributes:
        encoded: images the sweep has encoded.
        reused: images whose features the history had kept.

    Raises:
        RefinementError: an object is not in the past, or no object is.
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
        self._outlines = outlines((past.record(number) for number in self.numbers), track_ids)
        missing = sorted(set(track_ids or ()) - set(self._outlines))
        if missing or not self._outlines:
            span = f"frames {self.numbers[0]} to {self.numbers[-1]}" if self.numbers else "the empty history"
            what = f"track {', '.join(map(str, missing))} is" if missing else "no object is"
            raise RefinementError(f"{what} seen on {span}, so there is nothing to go back from")
        self.store = MemoryRecords() if store is None else store
        self.encoded = 0
        self.reused = 0
        self._lost_after_s = lost_after_s
        self._tracker = StreamTracker(segmenter, policy, len(self._outlines), min_region_ratio)
        self._runs: dict[int, _Run] = {}
        self._taken: dict[int, set[int]] = {track_id: set() for track_id in self._outlines}
        self._starts: dict[int, list[_Run]] = {}
        oldest = self.numbers[0]
        for outline in self._outlines.values():
            if outline.first > oldest:
                self._starts.setdefault(outline.first, []).append(_Run(outline))
            for number, gap in outline.gaps.items():
                self._starts.setdefault(number, []).append(_Run(outline, gap))
            for number in outline.corrections:
                self._starts.setdefault(number, []).append(_Run(outline, number, correction=True))
        self._at = len(self.numbers)  # place of the frame done last

    def sweep(self) -> Iterator[Progress]:
        """Goes back frame by frame; after an early end the next call goes on from there.

        Ends early, without an error, at frames that the history forgets in the meantime.
        """
        while self._at > 0:
            number = self.numbers[self._at - 1]
            try:
                self._step(number)
            except ForgottenError:
                self._at = 0
                break
            self._at -= 1
            yield Progress(len(self.numbers) - self._at, len(self.numbers), number, self.encoded)
        for track_id in list(self._runs):
            self._end(track_id)

    def _step(self, number: int) -> None:
        record: Record | None = None
        starting: dict[int, _Run] = {}
        for run in self._starts.get(number, ()):
            track_id, present = run.outline.track_id, self._runs.get(run.outline.track_id)
            if run.gap is not None and not run.correction and present is not None and (present.correction or present.agreeing):
                present.gap = run.gap  # it is on this object already, and fills the next gap as well
            elif track_id not in starting or run.gap is None or run.correction:
                starting[track_id] = run
        if not starting and not self._runs:
            return
        record = self.past.record(number)
        forward = {track["id"]: track for track in record["tracks"]}
        opened_features = self.past.features(number)
        if opened_features is None:
            opened_features = self._tracker.encode(self.past.frame(number))
            self.encoded += 1
        else:
            self.reused += 1
        for track_id in starting:
            self._end(track_id)
        opened = self._tracker.begin(opened_features, record["height"], record["width"])
        for track_id, run in starting.items():
            mask = record_rle(forward[track_id]).decode()
            opened.accept(opened.predict(MaskPrompt(mask, run.outline.label)), track_id)
        tracks = {track.id: track_record(track) for track in opened.commit()}
        kept = []
        for track_id, run in [*self._runs.items()]:
            if number >= run.outline.first:
                run.comparisons.append(PassComparison.of(number, forward.get(track_id), tracks[track_id], track_id in record["prompted"]))
            kept.append(tracks[track_id])
        self._runs.update(starting)
        if kept:
            self.store.append({"frame": number, "tracks": kept})
        for track_id, run in [*self._runs.items()]:
            if run.gap is not None and (run.is_settled() or number == run.outline.first):
                self._end(track_id)

    def _end(self, track_id: int) -> None:
        run = self._runs.pop(track_id, None)
        if run is not None:
            self._taken[track_id] |= run.taken()
            self._tracker.remove(track_id)

    def results(self) -> Iterator[FrameResult]:
        """The merged traces in time order, one result for each frame that is still known; states are those of a life in this order."""
        life = Lifecycle(self._lost_after_s)
        unseen: dict[int, int] = {}
        before: int | None = None
        for number in self.numbers:
            try:
                record = self.past.record(number)
            except ForgottenError:
                continue
            stamp = record["stamp_ns"]
            tracks = []
            for chosen, source in self._merged(number, record):
                track = replace(read_track(chosen), source=source)
                unseen[track.id] = 0 if track.box is not None else unseen.get(track.id, 0) + 1
                track = replace(track, label=track.label or self._outlines[track.id].label, frames_since_seen=unseen[track.id])
                tracks.append(track)
            elapsed_s = 0.0 if before is None else step_ns(before, stamp) / 1e9
            before = stamp
            yield FrameResult(
                stamp_ns=stamp,
                index=number,
                height=record["height"],
                width=record["width"],
                tracks=tuple(life.update(tracks, elapsed_s)),
                prompted=tuple(track_id for track_id in record["prompted"] if track_id in self._outlines),
            )

    def _merged(self, number: int, record: Record) -> Iterator[tuple[Record, Source]]:
        """Each object's record on a frame, by rising id, and the pass it is from."""
        forward = _by_id(record)
        backward = _by_id(self.store.get(number) or {"tracks": []})
        for track_id, outline in sorted(self._outlines.items()):
            ahead, back = forward.get(track_id), backward.get(track_id)
            if ahead is not None and ahead["state"] == TrackStatus.REMOVED.name.lower():
                ahead = None
            if number < outline.first:
                if back is not None:
                    yield back, Source.BACKWARD
            elif back is not None and number in self._taken[track_id]:
                yield back, Source.MERGED
            elif ahead is not None:
                yield ahead, Source.FORWARD

    def run(self, progress: Callable[[Progress], bool | None] | None = None) -> Iterator[FrameResult]:
        """The sweep, then the results. `progress` is called for each frame of the sweep; when it returns False, nothing is yielded."""
        for at in self.sweep():
            if progress is not None and progress(at) is False:
                return
        yield from self.results()


def _by_id(record: Mapping[str, list[Record]]) -> dict[int, Record]:
    return {track["id"]: track for track in record["tracks"]}
