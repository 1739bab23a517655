# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The job on one bag: track forward and backward, and write a new bag with the input messages and the result topics.

A job has three stages. *forward* and *backward* write records and regular checkpoints to a folder beside the output. *writing* copies every
message of the input byte by byte into a new bag, and adds the results after the image they belong to. The new bag gets its final name when
it is complete.

A killed run resumes from its latest checkpoint, and its output equals that of an uninterrupted run. The backward pass reads images from the
bag again, a chunk at a time, so memory use does not depend on the length of the bag.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import pickle
import re
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, ConnectionExtRosbag2
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from lang2segtrack_ros import __version__
from lang2segtrack_ros.history.backward_pass import BackwardPass, RefinementError
from lang2segtrack_ros.history.frame_history import StoredPast
from lang2segtrack_ros.history.records import RecordFile, frame_record, read_frame
from lang2segtrack_ros.history.trace_counts import TraceCounts
from lang2segtrack_ros.io.rendering import draw_overlay
from lang2segtrack_ros.io.result_messages import LabelBook
from lang2segtrack_ros.recordings.bag_types import BagError, offered_qos
from lang2segtrack_ros.recordings.bags import checkpoint
from lang2segtrack_ros.recordings.bags.images import BagImages, ImageIndex
from lang2segtrack_ros.recordings.bags.messages import TYPES, MessageCodec, definition
from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.recordings.fill_back import fill_back
from lang2segtrack_ros.recordings.forward import ForwardState, OfflineError, PromptSchedule, Report, Scheduled, track_forward
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import MaskPrompt, Prompt
from lang2segtrack_ros.types.results import FrameResult

NAME_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""A valid part between the slashes of a topic name."""


@dataclass(frozen=True)
class BagOptions:
    """Options of a job.

    Attributes:
        topic: topic of the images; empty chooses one, as `images.image_topic`.
        prompts: the objects to track, by image number.
        backward: also run the backward pass, and write `tracks_refined`.
        overlay: also write `overlay`.
        namespace: prefix for the names of the result topics.
        checkpoint_s: time between two checkpoints, seconds.
        image_bits: number of used bits in 16-bit images.
        identity: text of everything else the results depend on, such as the names of the networks. A run resumes an earlier run only if
            both have the same text.
    """

    topic: str = ""
    prompts: Sequence[Scheduled] = ()
    backward: bool = True
    overlay: bool = False
    namespace: str = ""
    checkpoint_s: float = 30.0
    image_bits: int = 16
    identity: str = ""


@dataclass
class BagSummary:
    """Summary of a finished job.

    Attributes:
        images: number of images tracked.
        topic: topic of the images, with the reason for its choice.
        refused: number of images that could not be used, by reason.
        example: a sentence for each reason.
        damage: a sentence for each damage of the bag, and for each other reason to distrust the results.
        counts: the images on which each object is seen.
        resumed_at: number of images that an earlier run had done.
    """

    images: int = 0
    topic: str = ""
    refused: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    counts: TraceCounts = field(default_factory=TraceCounts)
    resumed_at: int = 0


@dataclass
class _State:
    """State of a job in a checkpoint. Loading truncates the files of records to the length they had."""

    key: str
    session: Session
    forward_state: ForwardState
    index: ImageIndex
    forward_records: RecordFile
    forward_done: bool = False
    backward_records: RecordFile | None = None
    sweep: BackwardPass | None = None


class BagJob:
    """The job on one bag.

    Args:
        source: folder or file of the bag.
        target: folder of the new bag. The job uses the working folder `<name>.work` beside it, and removes this folder at the end.
        make_session: returns a new session.
        options: the options.
        report: progress callback.
    """

    def __init__(self, source: Path, target: Path, make_session: Callable[[], Session], options: BagOptions, report: Report) -> None:
        self.source = source
        self.target = target
        self.work = target.with_name(target.name + ".work")
        self.options = options
        self._make_session = make_session
        self._report = report
        self._codec = MessageCodec(options.image_bits)

    def run(self) -> BagSummary:
        """Run the whole job, or resume an earlier run.

        Raises:
            BagError: the bag cannot be used.
            OfflineError: a prompt is refused, no object is ever visible, the output exists, another run uses it, or the disk is full.
            RefinementError: the backward pass has nothing to refine.
            OSError: files cannot be written.
        """
        invalid = [part for part in self._full_name("").split("/") if part and not NAME_PART.fullmatch(part)]
        if invalid:
            raise BagError(
                f'"{invalid[0]}" is not valid in a namespace: use letters, digits and _ between the slashes, with no digit first'
            )
        if self.target.exists():
            raise OfflineError(f"{self.target} already exists: choose another name, or remove it")
        try:
            with BagInput(self.source) as bag:
                return self._run(bag)
        except (OSError, sqlite3.Error) as error:
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in str(error):
                raise OfflineError(
                    f"the disk of {self.target.absolute().parent} is full, and there is no output yet: free some space and run the same "
                    f"command again; it resumes from {self.work.name}"
                ) from error
            raise

    def _run(self, bag: BagInput) -> BagSummary:
        conflicts = sorted({self._full_name(topic) for topic in TYPES} & {item.topic for item in bag.connections})
        if conflicts:
            raise BagError(f"the bag already has topics with the names of our results ({', '.join(conflicts)}): set another --namespace")
        images = BagImages(bag, self.options.topic, self._codec)
        self.work.mkdir(parents=True, exist_ok=True)
        with self._locked():
            return self._run_stages(bag, images)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the working folder against other runs. Raises OfflineError if another run holds the lock.

        The operating system releases the lock when the process ends.
        """
        with (self.work / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OfflineError(f"another run is working on {self.target}: wait for it, or choose another name") from error
            yield

    def _run_stages(self, bag: BagInput, images: BagImages) -> BagSummary:
        state = self._load_or_start(images)
        summary = BagSummary(resumed_at=len(state.forward_records), refused=state.index.refused, example=state.index.example)
        summary.topic = f"{images.topic} ({images.reason})"
        try:
            if not state.forward_done:
                self._forward(images, state)
            if self.options.backward:
                self._backward(images, state)
        except (OfflineError, BagError, RefinementError) as error:
            if not state.forward_done:  # a finished forward pass can be hours of work, so another run may use it
                shutil.rmtree(self.work)
            notes = [*bag.damage, *images.warnings.values()]
            raise type(error)("; ".join([str(error), *notes])) from error
        self._write(bag, images, state, summary)
        shutil.rmtree(self.work)
        summary.images, summary.damage = len(state.forward_records), [*bag.damage, *images.warnings.values()]
        return summary

    def _full_name(self, topic: str) -> str:
        return "/".join(["", *filter(None, self.options.namespace.split("/")), topic])

    def _key(self, topic: str) -> str:
        """Return a text of everything that the records depend on."""
        files = [self.source] if self.source.is_file() else sorted(item for item in self.source.iterdir() if item.is_file())
        stats = [(item.name, item.stat().st_size, item.stat().st_mtime_ns) for item in files]
        prompts = [(item.at, _full_repr(item.prompt)) for item in self.options.prompts]
        return repr((__version__, stats, topic, prompts, self.options.image_bits, self.options.identity))

    def _external(self, session: Session, images: BagImages) -> dict[str, object]:
        """Return the objects that a checkpoint refers to by name."""
        return {"segmenter": session.tracker.segmenter, "detector": session.detector, "images": images}

    def _load_or_start(self, images: BagImages) -> _State:
        """Return the state of an earlier run with the same key, or a new state."""
        session, key = self._make_session(), self._key(images.topic)
        try:
            state: _State = checkpoint.load(self.work / "checkpoint", self._external(session, images))
            if state.key == key:
                images.index = state.index
                return state
        except (OSError, ValueError, LookupError, EOFError, AttributeError, ImportError, TypeError, RuntimeError, pickle.UnpicklingError):
            pass  # there is no checkpoint, or it is from another version or device: the run starts again
        forward_state = ForwardState(PromptSchedule(self.options.prompts))
        return _State(key, session, forward_state, images.index, RecordFile(self.work / "forward.jsonl"))

    def _save(self, images: BagImages, state: _State) -> None:
        checkpoint.save(self.work / "checkpoint", state, self._external(state.session, images))

    def _forward(self, images: BagImages, state: _State) -> None:
        saved = time.monotonic()
        records, total = state.forward_records, images.expected
        state.forward_state.schedule.check(total)
        for _, result, _ in track_forward(state.session, images.frames(), state.forward_state):
            records.append(frame_record(result))
            self._report("forward", len(records), total)
            if time.monotonic() - saved >= self.options.checkpoint_s:
                self._save(images, state)
                saved = time.monotonic()
        if not len(records):
            reasons = "; ".join(images.index.example.values()) or "it has no messages"
            raise BagError(f"topic {images.topic} has no usable image: {reasons}")
        state.forward_state.check_outcome(self.options.prompts)
        state.forward_done = True
        self._save(images, state)

    def _backward(self, images: BagImages, state: _State) -> None:
        if state.sweep is None:
            state.backward_records = RecordFile(self.work / "backward.jsonl")
            past = StoredPast(state.forward_records, images.read)
            state.sweep = state.session.backward(past=past, store=state.backward_records)
        saved = time.monotonic()
        for progress in state.sweep.sweep():
            self._report("backward", progress.done, progress.total)
            if time.monotonic() - saved >= self.options.checkpoint_s:
                self._save(images, state)
                saved = time.monotonic()
        self._save(images, state)

    def _write(self, bag: BagInput, images: BagImages, state: _State, summary: BagSummary) -> None:
        """Write the new bag in the working folder, and move it to its final name when it is complete."""
        partial = self.work / "bag" / self.target.name
        shutil.rmtree(partial.parent, ignore_errors=True)
        writer = Writer(partial, version=9, storage_plugin=StoragePlugin.SQLITE3 if bag.storage == "sqlite3" else StoragePlugin.MCAP)
        if bag.compression:
            writer.set_compression(CompressionMode[bag.compression.upper()], CompressionFormat.ZSTD)
        with writer:
            copies = self._copy_topics(bag, writer)
            results = _ResultWriter(self._codec, writer, self._full_name, self.options, summary)
            forward = fill_back((read_frame(state.forward_records[number]) for number in state.forward_records), lambda result: result)
            refined = state.sweep.results() if state.sweep is not None and self.options.backward else None
            message, frame = 0, 0
            for connection, stamp, data in bag.messages():
                writer.write(copies[connection.topic, connection.msgtype], stamp, data)
                if connection.topic != images.topic:
                    continue
                if frame < len(state.index.frames) and state.index.frames[frame] == message:
                    header, image = images.decode(data)
                    results.write(stamp, header, image, next(forward)[1], next(refined) if refined is not None else None)
                    frame += 1
                    self._report("writing", frame, len(state.forward_records))
                message += 1
        partial.rename(self.target)

    def _copy_topics(self, bag: BagInput, writer: Writer) -> dict[tuple[str, str], Connection]:
        """Declare the topics of the input in the new bag. Return their connections by topic and type."""
        copies = {}
        for item in bag.connections:
            text, digest = definition(item, self._codec.store)
            ext = item.ext
            assert isinstance(ext, ConnectionExtRosbag2)
            copies[item.topic, item.msgtype] = writer.add_connection(
                item.topic,
                item.msgtype,
                msgdef=text,
                rihs01=digest,
                serialization_format=ext.serialization_format,
                offered_qos_profiles=ext.offered_qos_profiles,
            )
        return copies


def _full_repr(prompt: Prompt) -> str:
    """Return a text of the whole prompt, with a hash of its mask, because NumPy abbreviates the text of a large array."""
    mask = hashlib.sha256(prompt.mask.tobytes()).hexdigest() if isinstance(prompt, MaskPrompt) else ""
    return f"{prompt!r} {mask}"


class _ResultWriter:
    """A writer of the result topics of a new bag. It also counts the objects for the summary."""

    def __init__(
        self, codec: MessageCodec, writer: Writer, full_name: Callable[[str], str], options: BagOptions, summary: BagSummary
    ) -> None:
        self._codec, self._writer, self._summary = codec, writer, summary
        self._labels = LabelBook()
        omitted = {*(() if options.overlay else ("overlay",)), *(() if options.backward else ("tracks_refined",))}
        self._connections = {}
        for topic, kind in TYPES.items():
            if topic not in omitted:
                latched = topic == "label_info"
                qos = [offered_qos(1 if latched else 5, latched)]
                self._connections[topic] = writer.add_connection(full_name(topic), kind, typestore=codec.store, offered_qos_profiles=qos)

    def write(self, stamp: int, header: Any, image: Frame, result: FrameResult, refined: FrameResult | None) -> None:
        """Write all results of one image, with the log time of the image.

        Args:
            stamp: log time of the image, nanoseconds.
            header: header of the image.
            image: the image.
            result: the forward result.
            refined: the merged result; None without a backward pass.
        """
        make = self._codec.make
        if self._labels.update(result):
            self._put("label_info", stamp, make.label_info(self._labels.labels, header))
        self._put("detections", stamp, make.detections(result.announced, header))
        self._put("tracks", stamp, make.tracks(result.tracks, header))
        self._put("instance_masks", stamp, make.instance_masks(result, header))
        if "overlay" in self._connections:
            self._put("overlay", stamp, make.image(draw_overlay(image.color, result.announced), "rgb8", header))
        if refined is not None:
            self._put("tracks_refined", stamp, make.tracks(refined.tracks, header))
        self._summary.counts.add(refined or result)

    def _put(self, topic: str, stamp: int, message: Any) -> None:
        self._writer.write(self._connections[topic], stamp, self._codec.encode(topic, message))
