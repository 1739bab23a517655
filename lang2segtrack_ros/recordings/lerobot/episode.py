# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One bag as an episode: at each time of a constant rate, the latest image of each camera with its objects, states and actions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.io.exports.trace import LabeledFrame, LabeledObject
from lang2segtrack_ros.recordings.bag_types import BagError
from lang2segtrack_ros.recordings.bags.images import BagImages
from lang2segtrack_ros.recordings.bags.messages import MessageCodec
from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.recordings.exporting import TraceOptions, open_trace
from lang2segtrack_ros.recordings.lerobot.alignment import LatestValue
from lang2segtrack_ros.recordings.lerobot.signals import Sample, Signal, read_signal

STALE_S = 0.5
"""Age in seconds above which the latest image or number counts as old."""


@dataclass(frozen=True)
class EpisodeInput:
    """The parts of an episode.

    Attributes:
        bag: the bag.
        cameras: topic of the images by name of the camera.
        tracks: tracked recording by name of the camera. A camera may have none.
        signals: topics of numbers by feature: observation.state and action.
        fps: frames per second of the dataset.
    """

    bag: Path
    cameras: Mapping[str, str]
    tracks: Mapping[str, Path]
    signals: Mapping[str, tuple[Signal, ...]]
    fps: int


@dataclass(frozen=True, eq=False)
class EpisodeFrame:
    """One frame of an episode.

    Attributes:
        images: RGB uint8 [H, W, 3] by camera.
        objects: visible objects by camera, on exactly this image.
        vectors: numbers by feature, with a name for each.
    """

    images: dict[str, NDArray[np.uint8]]
    objects: dict[str, tuple[LabeledObject, ...]]
    vectors: dict[str, Sample]


@dataclass
class Episode:
    """An open episode; see `open_episode`.

    Attributes:
        counts: number of frames with something to report, by sentence.
    """

    parts: EpisodeInput
    cameras: dict[str, LatestValue[NDArray[np.uint8]]]
    tracks: dict[str, LatestValue[LabeledFrame]]
    signals: dict[str, list[LatestValue[Sample]]]
    counts: Counter[str] = field(default_factory=Counter)

    def frames(self) -> Iterator[EpisodeFrame]:
        """Yield the frames from the time at which all streams have begun, to the end of the first camera that ends.

        Raises:
            BagError: the times of the streams do not overlap, or a message cannot be read.
        """
        streams: list[LatestValue[Any]] = [*self.cameras.values(), *(item for items in self.signals.values() for item in items)]
        start, period_ns = max(stream.stamp for stream in streams), 1e9 / self.parts.fps
        shown: dict[str, int] = {}
        number = 0
        while True:
            time_ns = start + round(number * period_ns)
            for stream in streams:
                stream.advance(time_ns)
            if any(camera.has_ended and camera.stamp + period_ns / 2 < time_ns for camera in self.cameras.values()):
                break
            for name, camera in self.cameras.items():
                self.counts[f"the image of {name} was repeated, because the camera was slower"] += shown.get(name) == camera.stamp
                shown[name] = camera.stamp
            stale = any(time_ns - stream.stamp > STALE_S * 1e9 for stream in streams)
            self.counts[f"an image or a number was older than {STALE_S:g} s"] += stale
            yield EpisodeFrame(
                {name: camera.value for name, camera in self.cameras.items()},
                {name: self._objects(name, camera.stamp) for name, camera in self.cameras.items() if name in self.tracks},
                {name: _joined(items) for name, items in self.signals.items()},
            )
            number += 1
        if not number:
            raise BagError(f"{self.parts.bag}: the times of its cameras and topics do not overlap: check their clocks")

    def _objects(self, camera: str, stamp: int) -> tuple[LabeledObject, ...]:
        """Return the objects on an image, by its stamp. Count images that were not tracked."""
        tracks = self.tracks[camera]
        if tracks.advance(stamp) and tracks.stamp == stamp:
            return tracks.value.objects
        self.counts[f"the image of {camera} is not in the trace, so it has no objects"] += 1
        return ()


@contextmanager
def open_episode(parts: EpisodeInput, folder: Path) -> Iterator[Episode]:
    """Open the streams of an episode.

    Args:
        parts: the parts.
        folder: folder for temporary files.

    Raises:
        BagError: the bag, a topic or a message cannot be read.
        TraceError: a tracked recording cannot be read.
    """
    with ExitStack() as stack:
        cameras: dict[str, LatestValue[NDArray[np.uint8]]] = {}
        tracks: dict[str, LatestValue[LabeledFrame]] = {}
        for name, topic in parts.cameras.items():  # each stream reads the bag on its own, so each needs its own reader
            images = BagImages(stack.enter_context(BagInput(parts.bag)), topic, MessageCodec())
            cameras[name] = LatestValue((frame.stamp_ns, frame.color) for frame in images.frames())
            if name in parts.tracks:
                spool = folder / name
                spool.mkdir(parents=True, exist_ok=True)
                trace, _ = stack.enter_context(open_trace(parts.tracks[name], TraceOptions(), spool))
                tracks[name] = LatestValue((frame.stamp_ns, frame) for frame in trace.frames())
        signals = {
            feature: [_open(stack.enter_context(BagInput(parts.bag)), signal) for signal in items]
            for feature, items in parts.signals.items()
        }
        yield Episode(parts, cameras, tracks, signals)


def _open(bag: BagInput, signal: Signal) -> LatestValue[Sample]:
    try:
        return LatestValue(read_signal(bag, signal))
    except ValueError as error:
        if isinstance(error, BagError):
            raise
        raise BagError(f"topic {signal.topic} of {bag.path} has no message") from error


def _joined(items: list[LatestValue[Sample]]) -> Sample:
    """Return the numbers of several topics one after the other."""
    samples: list[Any] = [item.value for item in items]
    return Sample(tuple(name for item in samples for name in item.names), tuple(value for item in samples for value in item.values))
