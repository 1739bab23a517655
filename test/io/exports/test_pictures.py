# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The images of an export: which image belongs to which frame, and how its file gets there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.io.exports.pictures import Picture, Pictures
from lang2segtrack_ros.io.exports.trace import LabeledFrame, TraceError
from test.io.exports.traces import HEIGHT, NUMBERS, WIDTH, export


def files(folder: Path, suffix: str, count: int = 12) -> list[Path]:
    """Write images whose gray value is ten times their number."""
    folder.mkdir()
    paths = [folder / f"shot {number}{suffix}" for number in range(count)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8))
    return paths


def pictures(paths: list[Path], placed: bool, with_files: bool = True) -> Pictures:
    def items() -> Iterator[Picture]:
        for number, path in enumerate(paths):
            image = cv2.imread(str(path))
            assert image is not None
            yield Picture(number, np.asarray(image, np.uint8), path if with_files else None)

    return Pictures("shots", items(), placed=placed)


def values(folder: Path) -> list[int]:
    """Return the numbers of the images in a folder, in the order of their names."""
    images = (cv2.imread(str(path)) for path in sorted(folder.iterdir()))
    return [round(float(image.mean()) / 10) for image in images if image is not None]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
@pytest.mark.parametrize("with_files", [True, False])
def test_images_missing_in_the_trace_are_skipped(tmp_path: Path, odd: Path, suffix: str, with_files: bool) -> None:
    """The trace has no image 3 and 4. Their files must not shift the others."""
    export(odd, "coco", tmp_path / "out", pictures(files(tmp_path / "shots", suffix), True, with_files))
    assert values(tmp_path / "out" / "images") == list(NUMBERS)


def test_suitable_files_are_linked(tmp_path: Path, odd: Path) -> None:
    """A link keeps each bit of the image and takes no space; another encoding would lose quality."""
    paths = files(tmp_path / "shots", ".png")
    export(odd, "yolo-seg", tmp_path / "out", pictures(paths, True))
    assert os.path.samefile(tmp_path / "out" / "images" / "train" / "000003.png", paths[5])


def test_format_of_the_tool_comes_first(tmp_path: Path, odd: Path) -> None:
    """DAVIS reads JPEG only, and KITTI PNG only."""
    export(odd, "davis", tmp_path / "davis", pictures(files(tmp_path / "png", ".png"), True))
    assert {path.suffix for path in (tmp_path / "davis" / "JPEGImages").rglob("*.*")} == {".jpg"}
    export(odd, "mots", tmp_path / "mots", pictures(files(tmp_path / "jpg", ".jpg"), True))
    assert {path.suffix for path in (tmp_path / "mots" / "image_02").rglob("*.*")} == {".png"}


def test_images_of_one_sequence_have_one_type(tmp_path: Path, odd: Path) -> None:
    """seqinfo.ini names one type for all images, so a folder of mixed files gets that of the first."""
    paths = files(tmp_path / "shots", ".png")
    paths[2] = files(tmp_path / "other", ".jpg")[2]
    export(odd, "mot", tmp_path / "out", pictures(paths, True))
    assert {path.suffix for path in (tmp_path / "out" / "img1").iterdir()} == {".png"}
    assert "imExt=.png" in (tmp_path / "out" / "seqinfo.ini").read_text()
    assert values(tmp_path / "out" / "img1") == list(NUMBERS)


def test_rotated_files_are_encoded_anew(tmp_path: Path) -> None:
    """The masks fit the upright image. Some training tools ignore the rotation in EXIF data, so a link would be wrong there."""
    image = np.zeros((20, 10, 3), np.uint8)
    image[:10] = 255
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0\0\0\0\0"  # orientation 3: turned by 180 degrees
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    upright = cv2.imread(str(path))
    assert upright is not None
    assert upright[5].mean() < 50, "OpenCV follows the rotation"
    places = Pictures("shots", iter([Picture(0, np.asarray(upright, np.uint8), path)]), placed=True)
    places.seek(LabeledFrame(0, 0, 0, 20, 10))
    name = places.put(tmp_path / "out", "0")
    assert not os.path.samefile(tmp_path / "out" / name, path)
    written = cv2.imread(str(tmp_path / "out" / name), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert written is not None
    assert written[5].mean() < 50


def test_names_come_from_the_files(tmp_path: Path, odd: Path) -> None:
    """Without --copy-images, an export refers to the user's own files."""
    export(odd, "coco", tmp_path / "out", pictures(files(tmp_path / "shots", ".bmp"), False))
    data = json.loads((tmp_path / "out" / "annotations" / "instances.json").read_text())
    assert [image["file_name"] for image in data["images"]] == [f"shot {number}.bmp" for number in NUMBERS]
    assert not (tmp_path / "out" / "images").exists()


def test_wrong_recordings_are_refused(tmp_path: Path, odd: Path) -> None:
    """Images of another recording would make wrong training data."""
    with pytest.raises(TraceError, match="shots has no image 9 of the trace: give the recording that was tracked"):
        export(odd, "coco", tmp_path / "short", pictures(files(tmp_path / "few", ".png", 9), True))
    other = Pictures("other", iter([Picture(0, np.zeros((10, 10, 3), np.uint8))]))
    with pytest.raises(TraceError, match="image 0 of other has 10 x 10 pixels, but the trace has 53 x 37"):
        export(odd, "coco", tmp_path / "size", other)
