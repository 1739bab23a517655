# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A bag tracked through, forwards and backwards, and written anew with our topics.

Three stages: *forward* and *backward* leave records in a folder beside the output, with a checkpoint now and then; *writing* copies
every message of the input, byte by byte, with ours after the image they belong to, into a new bag that gets its name when it is whole.
A run that was killed goes on from its last checkpoint, and its output equals that of an uninterrupted one. Images are read from the bag
again for the way back, a stretch at a time, so memory does not depend on the bag's length.
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

from rosbags.interfaces import ConnectionExtRosbag2
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from lang2segtrack_ros import __version__
from lang2segtrack_ros.history.backward_pass import BackwardPass, RefinementError
from lang2segtrack_ros.history.frame_history import StoredPast
from lang2segtrack_ros.history.records import RecordFile, frame_record, read_frame
from lang2segtrack_ros.io.rendering import draw_overlay
from lang2segtrack_ros.io.result_messages import LabelBook
from lang2segtrack_ros.recordings.bag_types import BagError, offered_qos
from lang2segtrack_ros.recordings.bags import checkpoint
from lang2segtrack_ros.recordings.bags.images import BagImages, ImageIndex
from lang2segtrack_ros.recordings.bags.messages import TYPES, Messages, definition
from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.recordings.offline import OfflineError, Report, Scheduled, Script, nothing_found
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import MaskPrompt, Prompt
from lang2segtrack_ros.types.results import FrameResult, Source

TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What stands between the slashes of a topic's name."""


@dataclass(frozen=True)
class BagOptions:
    """What to do with a bag.

    Attributes:
        topic: of the images; empty takes the only one there is.
        prompts: what to follow, by image number.
        backward: also go backwards and write `tracks_refined`.
        overlay: also write `overlay`.
        namespace: put before our topics.
        checkpoint_s: seconds from one checkpoint to the next.
        identity: anything else the result depends on, such as the networks' names; a changed one does not go on with an old run.
    """

    topic: str = ""
    prompts: Sequence[Scheduled] = ()
    backward: bool = True
    overlay: bool = False
    namespace: str = ""
    checkpoint_s: float = 30.0
    identity: str = ""


@dataclass
class BagSummary:
    """What came of it: images tracked, images refused by reason, what was damaged, and for each track its label and images seen."""

    images: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    labels: dict[int, str] = field(default_factory=dict)
    visible: Counter[int] = field(default_factory=Counter)
    filled: Counter[int] = field(default_factory=Counter)
    resumed_at: int = 0


@dataclass
class _State:
    """What a checkpoint keeps; files of records are opened again at the length they had."""

    key: str
    session: Session
    script: Script
    index: ImageIndex
    forward: RecordFile
    seen: bool = False
    forward_done: bool = False
    backward: RecordFile | None = None
    sweep: BackwardPass | None = None


class BagJob:
    """One bag to be tracked.

    Args:
        source: a bag's folder or file.
        target: the new bag's folder; beside it `<name>.work` is used and removed.
        make_session: gives a fresh session.
        options: what to do.
        report: hears how far it is.
    """

    def __init__(self, source: Path, target: Path, make_session: Callable[[], Session], options: BagOptions, report: Report) -> None:
        self.source = source
        self.target = target
        self.work = target.with_name(target.name + ".work")
        self.options = options
        self._make_session = make_session
        self._report = report
        self._messages = Messages()

    def run(self) -> BagSummary:
        """Does it all.

        Raises:
            BagError: the bag cannot be used.
            OfflineError: a prompt cannot be followed, nothing is found, the output is there already, or the disk is full.
            OSError: files cannot be written.
        """
        wrong = [part for part in self._name("").split("/") if part and not TOKEN.fullmatch(part)]
        if wrong:
            raise BagError(f'"{wrong[0]}" cannot stand in a namespace: there are letters, digits and _ between the slashes, no digit first')
        if self.target.exists():
            raise OfflineError(f"{self.target} is there already: choose another name, or remove it")
        try:
            with BagInput(self.source) as bag:
                return self._run(bag)
        except (OSError, sqlite3.Error) as error:
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in str(error):
                raise OfflineError(
                    f"the disk of {self.target.absolute().parent} is full: make room and run the same command again, it goes on from "
                    f"{self.work.name}; there is no output yet"
                ) from error
            raise

    def _run(self, bag: BagInput) -> BagSummary:
        both = sorted({self._name(topic) for topic in TYPES} & {item.topic for item in bag.connections})
        if both:
            raise BagError(f"the bag has topics of our names already ({', '.join(both)}): choose another place with --namespace")
        images = BagImages(bag, self.options.topic, self._messages)
        self.work.mkdir(parents=True, exist_ok=True)
        with self._alone():
            return self._run_alone(bag, images)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other runs out of the working folder; the system lets go of it when a run dies. Raises OfflineError when one is there."""
        with (self.work / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OfflineError(f"another run is working on {self.target}: wait for it, or choose another name") from error
            yield

    def _run_alone(self, bag: BagInput, images: BagImages) -> BagSummary:
        state = self._begin(images)
        summary = BagSummary(resumed_at=len(state.forward), refused=state.index.refused, example=state.index.example)
        try:
            if not state.forward_done:
                self._forward(images, state)
            if self.options.backward:
                self._backward(images, state)
        except (OfflineError, BagError, RefinementError):
            if not state.forward_done:  # else hours of work, which another try may go on from
                shutil.rmtree(self.work)
            raise
        self._write(bag, images, state, summary)
        shutil.rmtree(self.work)
        summary.images, summary.damage = len(state.forward), bag.damage
        return summary

    def _name(self, topic: str) -> str:
        return "/".join(["", *filter(None, self.options.namespace.split("/")), topic])

    def _key(self, topic: str) -> str:
        """Whatever the records depend on."""
        files = [self.source] if self.source.is_file() else sorted(item for item in self.source.iterdir() if item.is_file())
        stats = [(item.name, item.stat().st_size, item.stat().st_mtime_ns) for item in files]
        prompts = [(item.at, _exactly(item.prompt)) for item in self.options.prompts]
        return repr((__version__, stats, topic, prompts, self.options.identity))

    def _outside(self, session: Session, images: BagImages) -> dict[str, object]:
        return {"segmenter": session.tracker.segmenter, "detector": session.detector, "images": images}

    def _begin(self, images: BagImages) -> _State:
        """The state of an earlier run that did the same, or a new one."""
        session, key = self._make_session(), self._key(images.topic)
        try:
            state: _State = checkpoint.load(self.work / "checkpoint", self._outside(session, images))
            if state.key == key:
                images.index = state.index
                return state
        except (OSError, ValueError, LookupError, EOFError, AttributeError, ImportError, TypeError, RuntimeError, pickle.UnpicklingError):
            pass  # no checkpoint, or one of another version or device: the run begins anew
        return _State(key, session, Script(self.options.prompts), images.index, RecordFile(self.work / "forward.jsonl"))

    def _save(self, images: BagImages, state: _State) -> None:
        checkpoint.save(self.work / "checkpoint", state, self._outside(state.session, images))

    def _forward(self, images: BagImages, state: _State) -> None:
        session, saved = state.session, time.monotonic()
        total = images.expected
        for frame in images.frames():
            state.script.before(session, len(state.forward))
            result = session.step(frame)
            state.script.after()
            state.seen = state.seen or any(track.box is not None for track in result.announced)
            state.forward.append(frame_record(result))
            self._report("forward", len(state.forward), total)
            if time.monotonic() - saved >= self.options.checkpoint_s:
                self._save(images, state)
                saved = time.monotonic()
        if not len(state.forward):
            raise BagError(f"no image of {images.topic} can be used: {'; '.join(images.index.example.values()) or 'it has no messages'}")
        state.script.finish(len(state.forward))
        if not state.seen:
            raise nothing_found([item.prompt for item in self.options.prompts], len(state.forward))
        state.forward_done = True
        self._save(images, state)

    def _backward(self, images: BagImages, state: _State) -> None:
        if state.sweep is None:
            state.backward = RecordFile(self.work / "backward.jsonl")
            state.sweep = state.session.backward(past=StoredPast(state.forward, images.read), store=state.backward)
        saved = time.monotonic()
        for at in state.sweep.sweep():
            self._report("backward", at.done, at.total)
            if time.monotonic() - saved >= self.options.checkpoint_s:
                self._save(images, state)
                saved = time.monotonic()
        self._save(images, state)

    def _write(self, bag: BagInput, images: BagImages, state: _State, summary: BagSummary) -> None:
        """The new bag, in the working folder until it is whole."""
        half = self.work / "bag" / self.target.name
        shutil.rmtree(half.parent, ignore_errors=True)
        writer = Writer(half, version=9, storage_plugin=StoragePlugin.SQLITE3 if bag.storage == "sqlite3" else StoragePlugin.MCAP)
        if bag.compression:
            writer.set_compression(CompressionMode[bag.compression.upper()], CompressionFormat.ZSTD)
        with writer:
            copies = {}
            for item in bag.connections:
                text, digest = definition(item, self._messages.store)
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
            ours = _Ours(self._messages, writer, self._name, self.options, summary)
            forward = iter(state.forward[number] for number in state.forward)
            refined = state.sweep.results() if state.sweep is not None and self.options.backward else None
            message, frame = 0, 0
            for connection, stamp, data in bag.messages():
                writer.write(copies[connection.topic, connection.msgtype], stamp, data)
                if connection.topic != images.topic:
                    continue
                if frame < len(state.index.frames) and state.index.frames[frame] == message:
                    header, image = images.decode(data)
                    ours.write(stamp, header, image, read_frame(next(forward)), next(refined) if refined is not None else None)
                    frame += 1
                    self._report("writing", frame, len(state.forward))
                message += 1
        half.rename(self.target)


def _exactly(prompt: Prompt) -> str:
    """All of a prompt; NumPy leaves out most of a large mask."""
    mask = hashlib.sha256(prompt.mask.tobytes()).hexdigest() if isinstance(prompt, MaskPrompt) else ""
    return f"{prompt!r} {mask}"


class _Ours:
    """Writes our topics."""

    def __init__(self, messages: Messages, writer: Writer, name: Callable[[str], str], options: BagOptions, summary: BagSummary) -> None:
        self._messages, self._writer, self._summary = messages, writer, summary
        self._labels = LabelBook()
        left_out = {*(() if options.overlay else ("overlay",)), *(() if options.backward else ("tracks_refined",))}
        self._connections = {}
        for topic, kind in TYPES.items():
            if topic not in left_out:
                latched = topic == "label_info"
                qos = [offered_qos(1 if latched else 5, latched)]
                self._connections[topic] = writer.add_connection(name(topic), kind, typestore=messages.store, offered_qos_profiles=qos)

    def write(self, stamp: int, header: Any, image: Frame, result: FrameResult, refined: FrameResult | None) -> None:
        """All of one image, logged at the image's own time."""
        make = self._messages.make
        if self._labels.update(result):
            self._put("label_info", stamp, make.label_info(self._labels.labels, header))
        self._put("detections", stamp, make.detections(result.announced, header))
        self._put("tracks", stamp, make.tracks(result.tracks, header))
        self._put("instance_masks", stamp, make.instance_masks(result, header))
        if "overlay" in self._connections:
            self._put("overlay", stamp, make.image(draw_overlay(image.color, result.announced), "rgb8", header))
        if refined is not None:
            self._put("tracks_refined", stamp, make.tracks(refined.tracks, header))
        for track in (refined or result).tracks:
            if track.box is not None:
                self._summary.labels[track.id] = track.label
                self._summary.visible[track.id] += 1
                self._summary.filled[track.id] += track.source is not Source.FORWARD

    def _put(self, topic: str, stamp: int, message: Any) -> None:
        self._writer.write(self._connections[topic], stamp, self._messages.bytes_of(topic, message))
