# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What a stream has shown so far, bounded in seconds and bytes.

Images are kept as JPEG of quality 95 without chroma subsampling. Measured at 640 x 480 with the built-in network (`bench/history.py`):
230 KB where lossless PNG takes 606 and WebP 557, a tenth of PNG's time to write (2 to 5 ms on an idle core), and masks that overlap
those on the original images by 0.999, with the same overlap with the truth. `lossless=True` keeps PNG for those who need every bit.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.history.records import Record, dumps, frame_record
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult

MAX_STEP_NS = 1_000_000_000
"""A gap in the stamps counts as at most this long, and a step back as none: clocks jump, bags loop."""
JPEG_QUALITY = 95


def step_ns(before: int, stamp: int) -> int:
    """The time from one stamp to the next in nanoseconds, as far as stamps are believed."""
    return min(max(stamp - before, 0), MAX_STEP_NS)


class ForgottenError(LookupError):
    """A frame that is not known any more; the message says what still is."""


class Past(Protocol):
    """Frames that can be looked at again, in any order. What backward passes work on."""

    def numbers(self) -> Sequence[int]:
        """Rising numbers of the frames that are known."""
        ...

    def frame(self, number: int) -> Frame:
        """The image of a frame. Raises ForgottenError."""
        ...

    def record(self, number: int) -> Record:
        """The forward pass's result (see `records`). Raises ForgottenError."""
        ...

    def features(self, number: int) -> ImageFeatures | None:
        """The encoded image where it was kept."""
        ...


def compress(color: NDArray[np.uint8], lossless: bool) -> bytes:
    """An RGB uint8 [H, W, 3] image as JPEG or PNG."""
    pixels = cv2.cvtColor(color, cv2.COLOR_RGB2BGR)
    full = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, data = cv2.imencode(".png", pixels) if lossless else cv2.imencode(".jpg", pixels, full)
    return data.tobytes()


def decompress(data: bytes) -> NDArray[np.uint8]:
    """RGB uint8 [H, W, 3] from what `compress` gave. Raises ForgottenError for data that is damaged."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ForgottenError("the kept image is damaged")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


@dataclass
class _Entry:
    number: int
    time_ns: int  # since the first frame, as the bound in seconds counts it
    stamp_ns: int
    record: bytes
    image: bytes | Path
    image_size: int
    features: ImageFeatures | None

    @property
    def size(self) -> int:
        return len(self.record) + self.image_size + _feature_bytes(self.features)


def _feature_bytes(features: ImageFeatures | None) -> int:
    # The position code is the same tensor for all frames of a history, and not counted.
    return 0 if features is None else sum(item.nbytes for item in (*features.high, features.top))


def _remove(image: Path) -> None:
    with contextlib.suppress(OSError):  # on a disk that lets nothing be removed; the folder goes as a whole in the end
        image.unlink(missing_ok=True)


class FrameHistory:
    """The latest frames of a stream with the results of the forward pass; colour only, depth is not kept.

    The oldest frame is forgotten when a bound is reached; encoded images, where they are kept, go before any frame does.
    Use it on one thread.

    Args:
        max_seconds: how far back it reaches by the stamps.
        max_bytes: of images, results and encoded images together, in memory or, the images, on disk.
        folder: keep images there, in a folder of the history's own that goes with it, instead of in memory.
        lossless: PNG instead of JPEG.
        keep_features: also keep encoded images, on the device that made them, so that a backward pass need not encode them again. That is
            4.2 MB a frame in float32 at 512 pixels, so it is worth it for short histories only.

    Attributes:
        cleared: how often it has begun anew: frames that have one number before and after are not the same.
        failures, last_error: frames that could not be kept, and why the last of them.

    Raises:
        ValueError: a bound is not positive.
        OSError: the folder cannot be made.
    """

    def __init__(
        self,
        max_seconds: float = 60.0,
        max_bytes: int = 512 << 20,
        folder: Path | None = None,
        *,
        lossless: bool = False,
        keep_features: bool = False,
    ) -> None:
        if max_seconds <= 0 or max_bytes <= 0:
            raise ValueError(f"a history of {max_seconds:g} s and {max_bytes} bytes keeps nothing: both must be positive")
        self.max_seconds = max_seconds
        self.max_bytes = max_bytes
        self.lossless = lossless
        self.keep_features = keep_features
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._folder = tempfile.TemporaryDirectory(prefix="history-", dir=folder, ignore_cleanup_errors=True)
        self.failures = 0
        self.last_error = ""
        self.cleared = 0
        self.clear()

    def clear(self) -> None:
        """Forgets everything, for a stream that begins anew."""
        for entry in getattr(self, "_entries", ()):
            self._drop(entry)
        self._entries: deque[_Entry] = deque()
        self._by_number: dict[int, _Entry] = {}
        self._with_features: deque[_Entry] = deque()
        self.bytes_used = 0
        self.forgotten = 0
        self.cleared += 1

    def close(self) -> None:
        """Forgets everything and removes the folder."""
        self.clear()
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, frame: Frame, result: FrameResult, features: ImageFeatures | None = None) -> None:
        """Remembers a frame, and forgets what is too much.

        A disk that is full loses the frame, which counts in `failures` and shows in `last_error`, and nothing else.
        """
        time_ns = self._entries[-1].time_ns + step_ns(self._entries[-1].stamp_ns, frame.stamp_ns) if self._entries else 0
        data = compress(frame.color, self.lossless)
        image: bytes | Path = data
        if self._folder is not None:
            image = Path(self._folder.name) / f"{result.index:09d}"
            try:
                image.write_bytes(data)
            except OSError as error:
                _remove(image)
                self.failures += 1
                self.last_error = f"frame {result.index} could not be kept: {error}"
                return
        entry = _Entry(result.index, time_ns, frame.stamp_ns, dumps(frame_record(result)), image, len(data), None)
        if self.keep_features and features is not None:
            first = self._with_features[0].features if self._with_features else None
            entry.features = ImageFeatures(features.high, features.top, first.position if first is not None else features.position)
            self._with_features.append(entry)
        self._entries.append(entry)
        self._by_number[entry.number] = entry
        self.bytes_used += entry.size
        self._forget()

    def drop_features(self) -> None:
        """Forgets the encoded images, which a network at another size could not read."""
        while self._with_features:
            entry = self._with_features.popleft()
            self.bytes_used -= _feature_bytes(entry.features)
            entry.features = None

    def _forget(self) -> None:
        while self.bytes_used > self.max_bytes and self._with_features:
            entry = self._with_features.popleft()
            self.bytes_used -= _feature_bytes(entry.features)
            entry.features = None
        while self.bytes_used > self.max_bytes or self.seconds > self.max_seconds:
            entry = self._entries.popleft()
            if self._with_features and self._with_features[0] is entry:
                self._with_features.popleft()
            del self._by_number[entry.number]
            self.bytes_used -= entry.size
            self.forgotten += 1
            self._drop(entry)
            if not self._entries:  # one frame alone is more than the bound
                return

    @staticmethod
    def _drop(entry: _Entry) -> None:
        if isinstance(entry.image, Path):
            _remove(entry.image)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def seconds(self) -> float:
        """How far back it reaches."""
        return (self._entries[-1].time_ns - self._entries[0].time_ns) / 1e9 if self._entries else 0.0

    @property
    def rate(self) -> float:
        """Frames a second, 30 while that is not known."""
        return (len(self) - 1) / self.seconds if self.seconds else 30.0

    def latest(self, seconds: float) -> PastPart:
        """The frames of the last so many seconds."""
        newest = self._entries[-1].time_ns if self._entries else 0
        return PastPart(self, [entry.number for entry in self._entries if newest - entry.time_ns <= seconds * 1e9])

    def describe(self) -> str:
        """A sentence on what is known and what has been forgotten; may be asked for on any thread."""
        entries = tuple(self._entries)  # at one blow, as no other thread runs meanwhile
        known, seconds = "nothing is known yet", 0.0
        if entries:
            known = f"frames {entries[0].number} to {entries[-1].number} are known"
            seconds = (entries[-1].time_ns - entries[0].time_ns) / 1e9
        lost = f"; {self.forgotten} older ones are forgotten" if self.forgotten else ""
        failed = f"; {self.failures} could not be kept, the last: {self.last_error}" if self.failures else ""
        return f"{known} ({seconds:.1f} s, {self.bytes_used / 1e6:.1f} MB){lost}{failed}"

    def numbers(self) -> list[int]:
        """Rising numbers of the frames that are known."""
        return [entry.number for entry in self._entries]

    def _entry(self, number: int) -> _Entry:
        entry = self._by_number.get(number)
        if entry is None:
            raise ForgottenError(f"frame {number} is not known: {self.describe()}")
        return entry

    def frame(self, number: int) -> Frame:
        """The image of a frame. Raises ForgottenError."""
        entry = self._entry(number)
        try:
            data = entry.image.read_bytes() if isinstance(entry.image, Path) else entry.image
        except OSError as error:
            raise ForgottenError(f"frame {number} cannot be read: {error}") from error
        return Frame(decompress(data), entry.stamp_ns)

    def record(self, number: int) -> Record:
        """The result of a frame. Raises ForgottenError."""
        record: Record = json.loads(self._entry(number).record)
        return record

    def features(self, number: int) -> ImageFeatures | None:
        """The encoded image of a frame where it is kept; None where not."""
        entry = self._by_number.get(number)
        return entry.features if entry is not None else None


class PastPart:
    """Some frames of a past."""

    def __init__(self, past: Past, numbers: Sequence[int]) -> None:
        self._numbers = numbers
        self.frame, self.record, self.features = past.frame, past.record, past.features

    def numbers(self) -> Sequence[int]:
        """Rising numbers of these frames."""
        return self._numbers


class StoredPast:
    """Frames that are stored elsewhere, in a file or a bag, and can be read again.

    Args:
        records: the forward pass's results by frame number.
        read: gives the image of a frame; it is asked for falling numbers, one after the other.
    """

    def __init__(self, records: Mapping[int, Record], read: Callable[[int], Frame]) -> None:
        self._records = records
        self._read = read

    def numbers(self) -> list[int]:
        """Rising numbers of the frames that have a result."""
        return sorted(self._records)

    def frame(self, number: int) -> Frame:
        """The image of a frame."""
        return self._read(number)

    def record(self, number: int) -> Record:
        """The result of a frame."""
        return self._records[number]

    def features(self, number: int) -> None:
        """Encoded images are not stored."""
        return
