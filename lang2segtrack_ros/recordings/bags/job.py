# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The job on one bag: track forward and backward, and write a new bag with the input messages and the result topics.

A job runs the two passes of `recordings.resumable`. Its last stage, *writing*, copies every message of the input byte by byte into a new
bag, and adds the results after the image they belong to. The new bag gets its final name when it is complete.
"""

from __future__ import annotations

import errno
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rosbags.interfaces import Connection, ConnectionExtRosbag2
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from lang2segtrack_ros.history.backward_pass import RefinementError
from lang2segtrack_ros.history.trace_counts import TraceCounts
from lang2segtrack_ros.io.rendering import draw_overlay
from lang2segtrack_ros.io.result_messages import LabelBook
from lang2segtrack_ros.recordings.bag_types import BagError, offered_qos
from lang2segtrack_ros.recordings.bags.images import BagImages
from lang2segtrack_ros.recordings.bags.messages import TYPES, MessageCodec, definition
from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.recordings.resumable import ResumableRun, RunOptions, run_key
from lang2segtrack_ros.recordings.runs import OfflineError, Report, digest, remove_leftovers, working_folder
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult

NAME_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""A valid part between the slashes of a topic name."""
_CUSTOM_KEY = "lang2segtrack"  # entry of custom_data in metadata.yaml, with the digest of all options


@dataclass(frozen=True)
class BagOptions(RunOptions):
    """Options of a job, beside those of its run.

    Attributes:
        topic: topic of the images; empty chooses one, as `images.image_topic`.
        overlay: also write `overlay`.
        namespace: prefix for the names of the result topics.
        image_bits: number of used bits in 16-bit images.
    """

    topic: str = ""
    overlay: bool = False
    namespace: str = ""
    image_bits: int = 16


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
        answers: lines of the answers to instructions.
        resumed_at: number of images that an earlier run had done.
        already_done: True if an earlier run with the same options wrote the output, so this run did nothing.
    """

    images: int = 0
    topic: str = ""
    refused: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    counts: TraceCounts = field(default_factory=TraceCounts)
    answers: tuple[str, ...] = ()
    resumed_at: int = 0
    already_done: bool = False


class BagJob:
    """The job on one bag.

    Args:
        source: folder or file of the bag.
        target: folder of the new bag. The job uses the working folder `<name>.work` beside it, and removes this folder at the end.
        make_session: returns a new session.
        options: the options.
        report: progress callback.
        stop: returns True to interrupt the job after the current image.
    """

    def __init__(
        self,
        source: Path,
        target: Path,
        make_session: Callable[[], Session],
        options: BagOptions,
        report: Report,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.source = source
        self.target = target
        self.work = target.with_name(target.name + ".work")
        self.options = options
        self._make_session = make_session
        self._report = report
        self._stop = stop
        self._codec = MessageCodec(options.image_bits)

    def run(self) -> BagSummary:
        """Run the whole job, or resume an earlier run.

        Raises:
            BagError: the bag cannot be used.
            InterruptedRunError: `stop` returned True.
            OfflineError: a prompt is refused, no object is ever visible, the output of another job exists, another run uses it, or the
                disk is full.
            RefinementError: the backward pass has nothing to refine.
            OSError: files cannot be written.
        """
        invalid = [part for part in self._full_name("").split("/") if part and not NAME_PART.fullmatch(part)]
        if invalid:
            raise BagError(
                f'"{invalid[0]}" is not valid in a namespace: use letters, digits and _ between the slashes, with no digit first'
            )
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
        images = BagImages(bag, self.options.topic, self._codec)
        key = run_key(self.source, self.options, images.topic, self.options.image_bits)
        done_key = digest(key, self.options.backward, self.options.overlay, self.options.namespace)
        topic = f"{images.topic} ({images.reason})"
        if self.target.exists():
            if _key_of(self.target) != done_key:
                raise OfflineError(f"{self.target} already exists: choose another name, or remove it")
            remove_leftovers(self.work)
            return BagSummary(topic=topic, already_done=True)
        conflicts = sorted({self._full_name(topic) for topic in TYPES} & {item.topic for item in bag.connections})
        if conflicts:
            raise BagError(f"the bag already has topics with the names of our results ({', '.join(conflicts)}): set another --namespace")
        with working_folder(self.work, self.target):
            run = ResumableRun(self.work, images, self._make_session, self.options, key, self._report, self._stop)
            summary = BagSummary(0, topic, images.index.refused, images.index.example, resumed_at=run.resumed_at)
            try:
                run.run()
            except (BagError, OfflineError, RefinementError) as error:
                raise type(error)("; ".join([str(error), *bag.damage, *images.warnings.values()])) from error
            self._write(bag, images, run, summary, done_key)
            run.close()
            shutil.rmtree(self.work)
        summary.images, summary.answers, summary.damage = run.count, tuple(run.answers), [*bag.damage, *images.warnings.values()]
        return summary

    def _full_name(self, topic: str) -> str:
        return "/".join(["", *filter(None, self.options.namespace.split("/")), topic])

    def _write(self, bag: BagInput, images: BagImages, run: ResumableRun, summary: BagSummary, done_key: str) -> None:
        """Write the new bag in the working folder, and move it to its final name when it is complete."""
        partial = self.work / "bag" / self.target.name
        shutil.rmtree(partial.parent, ignore_errors=True)
        writer = Writer(partial, version=9, storage_plugin=StoragePlugin.SQLITE3 if bag.storage == "sqlite3" else StoragePlugin.MCAP)
        writer.set_custom_data(_CUSTOM_KEY, done_key)
        compression = bag.compression or ("storage" if bag.storage == "mcap" else "")  # masks shrink a hundredfold
        if compression:
            writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
        with writer:
            copies = self._copy_topics(bag, writer)
            results = _ResultWriter(self._codec, writer, self._full_name, self.options, summary)
            forward, refined = run.forward_results(), run.refined_results()
            message, frame, index = 0, 0, images.index
            for connection, stamp, data in bag.messages():
                writer.write(copies[connection.topic, connection.msgtype], stamp, data)
                if connection.topic != images.topic:
                    continue
                if frame < len(index.frames) and index.frames[frame] == message:
                    header, image = images.decode(data)
                    results.write(stamp, header, image, next(forward), next(refined) if refined is not None else None)
                    frame += 1
                    self._report("writing", frame, run.count)
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


def _key_of(bag: Path) -> str | None:
    """Return the digest in the metadata of a bag that a job wrote; None for other bags, files and folders."""
    try:
        key: str = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]["custom_data"][_CUSTOM_KEY]
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return None
    return key


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
