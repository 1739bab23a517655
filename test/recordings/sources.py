# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Random sources for the commands: videos, folders of pictures, and masks and prompt files for them. Half of them are damaged."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import yaml
from hypothesis import strategies as st
from numpy.typing import NDArray

from lang2segtrack_ros.io.writers import VideoWriter

FPS = 10.0
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
OTHER_PICTURES = (".gif", ".avif")
"""Suffixes of pictures that the commands leave out and name."""
GRAY, RED = (150, 150, 150), (215, 40, 40)
TEXT = "red circle"
"""The object on all pictures, in the words of the toy detector."""


@dataclass(frozen=True)
class Written:
    """A source on disk.

    Attributes:
        path: the argument of the command.
        images: number of images that were written.
        readable: number of images that a plain decoder still reads.
        is_exact: True if each image has a file or message of its own, which the command has to count.
        arguments: more arguments, such as the prompts.
        messages: topic, log time and data of all messages of a bag.
    """

    path: Path
    images: int
    readable: int
    is_exact: bool = True
    arguments: tuple[str, ...] = ()
    messages: tuple[tuple[str, int, bytes], ...] = ()


class Source(Protocol):
    """A drawn source; its text shows all that was drawn."""

    def write(self, folder: Path) -> Written:
        """Write the source into a new folder."""
        ...


@dataclass(frozen=True)
class Damage:
    """Random damage of a file: bytes replaced, the end missing, or nothing left."""

    places: tuple[float, ...] = ()
    values: bytes = b""
    keep: float = 1.0

    def of(self, data: bytes) -> bytes:
        """Return the damaged data."""
        changed = bytearray(data)
        for place, value in zip(self.places, self.values):
            if changed:
                changed[int(place * (len(changed) - 1))] = value
        return bytes(changed[: round(self.keep * len(changed))])


places = st.floats(0.0, 1.0)
damages = st.one_of(
    st.just(Damage()),
    st.just(Damage()),
    st.builds(Damage, places=st.lists(places, min_size=1, max_size=4).map(tuple), values=st.binary(min_size=4, max_size=4)),
    st.builds(Damage, keep=st.one_of(places, st.just(0.0))),
)
sides = st.one_of(st.integers(44, 64), st.integers(24, 64))


def radius(width: int, height: int) -> int:
    """Return the radius of the object in pixels."""
    return min(width, height) // 5


def picture(width: int, height: int, number: int) -> NDArray[np.uint8]:
    """Return RGB uint8 [H, W, 3]: a red circle that moves one pixel to the right on each image."""
    pixels = np.full((height, width, 3), GRAY, np.uint8)
    return cv2.circle(pixels, (width // 3 + number % 8, height // 2), radius(width, height), RED, -1).astype(np.uint8)


def box(width: int, height: int, number: int = 0) -> str:
    """Return the object's box for `--box`."""
    x, y, size = width // 3 + number % 8, height // 2, radius(width, height)
    return f"{x - size},{y - size},{x + size},{y + size}=circle"


@dataclass(frozen=True)
class Video:
    """A video file. OpenCV makes its sizes even."""

    suffix: str
    size: tuple[int, int]
    count: int
    damage: Damage
    frames: int | None

    def write(self, folder: Path) -> Written:
        path = folder / f"video{self.suffix}"
        pictures = [picture(*self.size, number) for number in range(self.count)]
        if self.suffix == ".webm":
            with VideoWriter(path, FPS) as writer:
                for pixels in pictures:
                    writer.write(pixels)
        else:
            code = cv2.VideoWriter.fourcc(*{".avi": "MJPG", ".mp4": "mp4v"}[self.suffix])
            plain = cv2.VideoWriter(str(path), code, FPS, self.size)
            for pixels in pictures:
                plain.write(pixels[..., ::-1])
            plain.release()
        path.write_bytes(self.damage.of(path.read_bytes()))
        capture, readable = cv2.VideoCapture(str(path)), 0
        while capture.isOpened() and capture.read()[0]:
            readable += 1
        capture.release()
        count, limit = self.count, self.frames or 10**6
        options = () if self.frames is None else ("--frames", str(self.frames))
        return Written(path, min(count, limit), min(readable, limit), self.damage == Damage(), ("--box", box(*self.size), *options))


videos = st.builds(
    Video,
    suffix=st.sampled_from([".avi", ".webm", ".mp4"]),
    size=st.tuples(sides, sides),
    count=st.one_of(st.integers(1, 5), st.integers(1, 12)),
    damage=damages,
    frames=st.one_of(st.none(), st.none(), st.integers(1, 6)),
)


def _gray16(pixels: NDArray[np.uint8]) -> NDArray[Any]:
    return pixels[..., 0].astype(np.uint16) * 257


FORMS = {
    "color": lambda pixels: pixels[..., ::-1],
    "gray": lambda pixels: pixels[..., 0],
    "alpha": lambda pixels: np.dstack((pixels[..., ::-1], np.full(pixels.shape[:2], 90, np.uint8))),
    "16-bit": lambda pixels: pixels[..., ::-1].astype(np.uint16) * 257,
    "16-bit gray": _gray16,
}
EIGHT_BITS = (".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm")


def encode(suffix: str, pixels: NDArray[Any]) -> bytes:
    """Return the file of a picture in the order of OpenCV's channels."""
    if suffix in EIGHT_BITS and pixels.dtype != np.uint8:
        pixels = (pixels >> 8).astype(np.uint8)
    if suffix in (".ppm", ".pgm", ".jpg", ".jpeg") and pixels.ndim == 3:
        pixels = pixels[..., :3]
    if suffix == ".pgm" and pixels.ndim == 3:
        pixels = pixels[..., 0]
    if suffix == ".ppm" and pixels.ndim == 2:
        pixels = np.dstack([pixels] * 3)
    return bytes(cv2.imencode(suffix, np.ascontiguousarray(pixels))[1])


@dataclass(frozen=True)
class Entry:
    """An entry of a folder. Only files with the suffix of a picture, which are not hidden, are images."""

    stem: str
    suffix: str
    form: str
    size: tuple[int, int] | None
    damage: Damage

    @property
    def name(self) -> str:
        return self.stem + self.suffix

    @property
    def is_image(self) -> bool:
        return not self.name.startswith(".") and self.suffix.lower() in (*SUFFIXES, *OTHER_PICTURES)

    def write(self, folder: Path, size: tuple[int, int], number: int) -> None:
        kind = self.suffix.lower() if self.suffix.lower() in SUFFIXES else ".png"
        (folder / self.name).write_bytes(self.damage.of(encode(kind, FORMS[self.form](picture(*(self.size or size), number)))))


letters = st.characters(exclude_categories=("Cs",), exclude_characters="/\0")
stems = st.one_of(
    st.integers(0, 20).map(str),
    st.text(letters, min_size=1, max_size=8),
    st.sampled_from(["ä" * 120, "x" * 240, "[a]*?", "a\nb", "-x", "._00", ".hidden", " ", os.fsdecode(b"\xff\xfe"), "🤖", "0=1"]),
)
suffixes = st.one_of(st.sampled_from([*SUFFIXES, ".PNG", ".Jpg"]), st.sampled_from([*OTHER_PICTURES, ".txt", ".pdf", ""]))
entries = st.builds(
    Entry, stem=stems, suffix=suffixes, form=st.sampled_from(sorted(FORMS)), size=st.none() | st.tuples(sides, sides), damage=damages
)
plain_entries = st.builds(
    Entry,
    stem=st.integers(0, 20).map(str),
    suffix=st.sampled_from(SUFFIXES),
    form=st.sampled_from(sorted(FORMS)),
    size=st.none(),
    damage=st.just(Damage()),
)


@dataclass(frozen=True)
class Folder:
    """A folder of pictures, with other files and folders."""

    size: tuple[int, int]
    entries: tuple[Entry, ...]
    folders: tuple[str, ...]
    by_text: bool

    def write(self, folder: Path) -> Written:
        path = folder / "images"
        path.mkdir()
        for name in self.folders:
            (path / f"{name}.png").mkdir(exist_ok=True)
        for number, entry in enumerate(self.entries):
            entry.write(path, self.size, number)
        images = [entry for entry in self.entries if entry.is_image]
        first = next((entry for entry in images if entry.suffix not in OTHER_PICTURES), None)
        size = (first and first.size) or self.size
        prompt = ("--text", TEXT) if self.by_text else ("--box", box(*size))
        return Written(path, len(images), 0, True, prompt)


def _unique(items: list[Entry]) -> tuple[Entry, ...]:
    return tuple({item.name: item for item in items if len(os.fsencode(item.name)) <= 255}.values())


folders = st.builds(
    Folder,
    size=st.tuples(sides, sides),
    entries=st.tuples(st.lists(plain_entries, min_size=1, max_size=4), st.lists(entries, max_size=3)).map(
        lambda drawn: _unique([*drawn[0], *drawn[1]])
    ),
    folders=st.lists(st.sampled_from(["dir", "ä"]), max_size=1).map(tuple),
    by_text=st.sampled_from([False, False, False, True]),
)


def palette_png(ids: NDArray[np.uint8]) -> bytes:
    """Return a PNG whose pixels are numbers of a palette, as DAVIS has it. OpenCV does not write this form."""
    height, width = ids.shape
    rows = b"".join(b"\0" + row.tobytes() for row in ids)
    parts = {b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0), b"PLTE": bytes(range(48)), b"IDAT": zlib.compress(rows)}
    chunks = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + b"\0\0\0\0IEND\xaeB`\x82"


MASKS = {
    "white": lambda ids: encode(".png", ids * 255),
    "ids": lambda ids: encode(".png", ids),
    "16-bit ids": lambda ids: encode(".png", ids.astype(np.uint16) * 260),
    "several ids": lambda ids: encode(".png", np.where(ids > 0, ids, np.eye(*ids.shape, dtype=np.uint8) * 2)),
    "palette": palette_png,
    "alpha": lambda ids: encode(".png", np.dstack((np.full((*ids.shape, 3), 200, np.uint8), ids * 255))),
    "JPEG": lambda ids: encode(".jpg", ids * 255),
    "TIFF": lambda ids: encode(".tiff", ids.astype(np.uint16) * 300),
    "empty": lambda ids: encode(".png", ids * 0),
}
"""File of each kind of mask, of ids uint8 [H, W] in which 1 is the object."""

values = st.one_of(
    st.sampled_from(
        [float("nan"), float("inf"), -1, 0, 0.5, 1e308, 10**400, -(10**30), None, True, "", "1", [], {}, [[]], "mask.png", "."]
    ),
    st.integers(-5, 100),
    st.text(letters, max_size=8),
    st.lists(st.integers(-5, 70) | st.floats(), max_size=5),
)
keys = st.sampled_from(["at", "label", "track", "text", "mode", "threshold", "interval", "box", "points", "mask", "color"])


@dataclass(frozen=True)
class Prompts:
    """A folder of two pictures with a prompt file, which may have a mask. `changes` replace values of the entries."""

    size: tuple[int, int]
    mask_size: tuple[int, int] | None
    kind: str
    mask_damage: Damage
    changes: tuple[tuple[int, str, Any], ...]
    damage: Damage
    as_option: bool

    def write(self, folder: Path) -> Written:
        path = folder / "images"
        path.mkdir()
        for number in range(2):
            (path / f"{number}.png").write_bytes(encode(".png", picture(*self.size, number)[..., ::-1]))
        ids = (picture(*(self.mask_size or self.size), 0)[..., 1] == RED[1]).astype(np.uint8)
        (folder / "mask.png").write_bytes(self.mask_damage.of(MASKS[self.kind](ids)))
        if self.as_option:
            return Written(path, 2, 2, True, ("--mask", f"{folder / 'mask.png'}=circle"))
        corners = [float(value) for value in box(*self.size).partition("=")[0].split(",")]
        content: list[dict[str, Any]] = [
            {"at": 0, "mask": "mask.png", "label": "circle"},
            {"at": 1, "box": corners, "label": "other"},
            {"at": 0, "points": [[self.size[0] // 3, self.size[1] // 2], [1, 1, 0]], "label": "third"},
        ]
        for number, key, value in self.changes:
            content[number][key] = value
        text = yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "surrogatepass")
        (folder / "prompts.yaml").write_bytes(self.damage.of(text))
        return Written(path, 2, 2, True, ("--prompts", str(folder / "prompts.yaml")))


prompts = st.builds(
    Prompts,
    size=st.tuples(sides, sides),
    mask_size=st.none() | st.none() | st.tuples(sides, sides),
    kind=st.sampled_from(sorted(MASKS)),
    mask_damage=st.just(Damage()) | damages,
    changes=st.lists(st.tuples(st.integers(0, 2), keys, values), max_size=1).map(tuple),
    damage=st.just(Damage()) | damages,
    as_option=st.booleans(),
)
