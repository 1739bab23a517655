# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Wrong labels: each fault gets a sentence that names file, place and reason, and nothing crashes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.io.imports.labels import LabelError
from lang2segtrack_ros.io.imports.prompts import write_prompts
from lang2segtrack_ros.io.imports.registry import READERS
from test.io.exports.conftest import odd
from test.io.exports.traces import export

__all__ = ["odd"]
Edit = Callable[[Any], object]


def read(name: str, source: Path, video: str = "") -> list[str]:
    """Import labels, and return the sentences."""
    folder = source.parent / "imported"
    folder.mkdir(exist_ok=True)
    return write_prompts(READERS[name](source, video), folder)


def fails(name: str, source: Path, message: str, video: str = "") -> None:
    with pytest.raises(LabelError, match=message):
        read(name, source, video)


def edited(odd: Path, tmp_path: Path, name: str, edit: Edit) -> Path:
    """Export in a format of JSON, change a value, and return the file."""
    export(odd, name, tmp_path / "out")
    file = tmp_path / "out" / "annotations" / "instances.json"
    data = json.loads(file.read_text())
    edit(data)
    file.write_text(json.dumps(data))
    return file


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: data["annotations"][2].update(track_id=-1), r"instances.json: annotations\[2\]: the id of an object is -1"),
        (lambda data: data["annotations"][2].update(bbox=[1, 2, 3]), r"annotations\[2\]\.bbox: list should have at least 4 items"),
        (lambda data: data["annotations"][2].update(image_id=99), r"annotations\[2\]\.image_id is 99, but no image has this id"),
        (lambda data: data["annotations"][2].update(category_id=99), r"annotations\[2\]\.category_id is 99, but no category has this id"),
        (lambda data: data["annotations"][1].update(track_id=1), "two objects have the id 1 on one image"),
        (lambda data: data["annotations"][0]["segmentation"].update(size=[9, 9]), r"annotations\[0\]\.segmentation\.size is \[9, 9\]"),
        (
            lambda data: data["annotations"][0]["segmentation"].update(counts="zzzz"),
            r"segmentation\.counts does not describe 37 x 53 pixels",
        ),
        (lambda data: data["annotations"][0]["segmentation"].update(counts=[5, 10**12]), r"segmentation\.counts does not describe"),
        (lambda data: data["annotations"][0]["segmentation"].update(counts=[-5, 1966]), r"segmentation\.counts does not describe"),
        (lambda data: data["annotations"][0].update(segmentation=[[1, 2, 3]]), r"segmentation is .*: give polygons"),
        (lambda data: data["annotations"][0].update(segmentation=[[1, 2, "x", 4, 5, 6]]), "has a coordinate that is not a number"),
        (lambda data: data["annotations"][0].update(segmentation=None, bbox=None), "has neither segmentation nor bbox"),
        (lambda data: data["images"][0].update(width=0), "the image has 0 x 37 pixels"),
        (lambda data: data["images"][0].update(width=10**9), "the image has 1000000000 x 37 pixels"),
        (lambda data: data["annotations"][0].update(score=float("nan")), r"annotations\[0\]\.score: input should be a finite number"),
        (lambda data: data.pop("images"), "images: field required"),
        (lambda data: data.update(images=[]), "no image has this id|images is empty"),
        (lambda data: data.update(annotations=[]), "has no object on its 10 images"),
        (lambda data: data["categories"][0].update(name="x" * 1001), "the label has 1001 characters"),
        (lambda data: [image.update(video_id=number % 2) for number, image in enumerate(data["images"])], "has images of the videos 0, 1"),
    ],
)
def test_values_of_coco(tmp_path: Path, odd: Path, edit: Edit, message: str) -> None:
    """pycocotools checks nothing: wrong runs would overwrite memory, and wrong ids would end in a KeyError."""
    fails("coco", edited(odd, tmp_path, "coco", edit), message)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: data["annotations"][0].update(id=0), "the id of an object is 0"),
        (lambda data: data["annotations"][0]["segmentations"].pop(), "has 9 segmentations, but the video has 10 images"),
        (lambda data: data["annotations"][0]["segmentations"].__setitem__(3, 7), r"annotations\[0\]\.segmentations\[3\] is 7"),
        (lambda data: data["videos"].append({**data["videos"][0], "id": 2}), r"has 2 videos, choose one with --video: 1 \(my_clip\), 2"),
        (lambda data: data.update(videos=[]), "has 0 videos"),
        (lambda data: data["videos"][0].update(file_names=[]), "has no file_names"),
        (lambda data: data["annotations"][0].update(category_id=50), "category_id is 50, but no category has this id"),
    ],
)
def test_values_of_youtube_vis(tmp_path: Path, odd: Path, edit: Edit, message: str) -> None:
    """The lists of masks must fit the images."""
    fails("ytvis", edited(odd, tmp_path, "ytvis", edit), message)


def test_one_of_several_videos_can_be_chosen(tmp_path: Path, odd: Path) -> None:
    """Published data sets have thousands of videos in one file."""
    file = edited(odd, tmp_path, "ytvis", lambda data: data["videos"].append({**data["videos"][0], "id": 2}))
    assert "5 objects, 33 times visible on 10 images of my_clip" in read("ytvis", file, "1")


@pytest.mark.parametrize("name", ["coco", "ytvis"])
@pytest.mark.parametrize(
    ("text", "message"), [('{"images": [{"id"', "is not valid JSON"), ("[]", "the whole file: input should be"), ("", "is not valid JSON")]
)
def test_cut_json(tmp_path: Path, name: str, text: str, message: str) -> None:
    """A download may end early."""
    (tmp_path / "labels.json").write_text(text)
    fails(name, tmp_path / "labels.json", message)


def test_crowds_and_single_annotations_are_counted(tmp_path: Path, odd: Path) -> None:
    """COCO's own data has no track ids, and crowds are no objects."""

    def edit(data: Any) -> None:
        data["annotations"] = data["annotations"][:3]
        data["annotations"][0]["iscrowd"] = 1
        del data["annotations"][1]["track_id"]

    sentences = read("coco", edited(odd, tmp_path, "coco", edit))
    assert sentences == [
        "2 objects, 2 times visible on 10 images of instances",
        "1 annotations of crowds",
        "1 annotations without a track_id, each taken for an object of its own",
    ]


LINE = "1,1,5,5,10,10,1,1,1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1,5,5\n", r'line 1 of .*gt.txt is "1,1,5,5": write frame, id, left, top'),
        (LINE + "x,1,5,5,10,10\n", "line 2 of .*gt.txt"),
        ("1,-1,5,5,10,10,1\n", "line 1 of .*gt.txt: the id of an object is -1"),
        ("1,1.5,5,5,10,10,1\n", "the id is 1.5: give a whole number"),
        ("0,1,5,5,10,10,1\n", "the frame is 0, but frames count from 1 to seqLength = 10"),
        ("99,1,5,5,10,10,1\n", "the frame is 99, but"),
        ("1,1,nan,5,10,10,1\n", "line 1 of"),
        (LINE + LINE, "image 0: two objects have the id 1"),
        ("1,1,500,5,10,10,1\n1,2,5,5,-3,10,1\n", "has no object on its 10 images"),
        ("", "has no object"),
    ],
)
def test_lines_of_mot(tmp_path: Path, odd: Path, text: str, message: str) -> None:
    """Detections have the id -1, and other tools count frames from 0."""
    export(odd, "mot", tmp_path / "out")
    (tmp_path / "out" / "gt" / "gt.txt").write_text(text)
    fails("mot", tmp_path / "out", message)


def test_mot_without_its_description(tmp_path: Path, odd: Path) -> None:
    """The size of the images stands in seqinfo.ini only."""
    export(odd, "mot", tmp_path / "out")
    ini = tmp_path / "out" / "seqinfo.ini"
    ini.write_text(ini.read_text().replace("imWidth=53", "imWidth=wide"))
    fails("mot", tmp_path / "out", "seqinfo.ini: .*needs whole numbers for seqLength, imWidth and imHeight")
    ini.unlink()
    fails("mot", tmp_path / "out", r"there is no .*seqinfo.ini: write one with the section \[Sequence\]")
    shutil.rmtree(tmp_path / "out" / "gt")
    fails("mot", tmp_path / "out", "has no file gt/gt.txt or gt.txt")
    fails("mot", tmp_path / "none", "there is no file or folder")


def test_ignored_lines_and_clipped_boxes_of_mot(tmp_path: Path, odd: Path) -> None:
    """A seventh number 0 marks ignored boxes, and boxes of the MOT Challenge reach beyond the image."""
    export(odd, "mot", tmp_path / "out")
    (tmp_path / "out" / "gt" / "gt.txt").write_text("1,1,-4,-4,10,10,1,1,1\n1,2,5,5,10,10,0,1,1\n1,3,900,5,10,10,1,1,1\n")
    assert read("mot", tmp_path / "out")[1:] == [
        "1 boxes outside their image, or without an area",
        "1 lines that are marked as ignored (seventh number 0)",
    ]
    record = json.loads((tmp_path / "imported" / "tracks.jsonl").read_text().splitlines()[0])
    assert [item["box"] for item in record["tracks"]] == [[0.0, 0.0, 5.0, 5.0]]


def test_pictures_of_davis(tmp_path: Path, odd: Path) -> None:
    """A picture with colors has lost the numbers of its objects; a cut or missing one would shift the images."""
    export(odd, "davis", tmp_path / "out")
    folder = tmp_path / "out" / "Annotations" / "Full-Resolution" / "my_clip"
    picture = folder / "00002.png"
    whole = picture.read_bytes()
    cv2.imwrite(str(picture), np.zeros((37, 53, 3), np.uint8))
    fails("davis", tmp_path / "out", "00002.png has colors instead of indices")
    picture.write_bytes(whole[:-20])
    fails("davis", tmp_path / "out", "00002.png: the data ends before the end of the picture")
    picture.write_bytes(b"no picture")
    fails("davis", tmp_path / "out", "00002.png is not a PNG file, or it is cut")
    picture.write_bytes(whole)
    (tmp_path / "out" / "labels.txt").write_text("one 1 mug\n")
    fails("davis", tmp_path / "out", "line 1 of .*labels.txt")
    shutil.copytree(folder, folder.with_name("other"))
    fails("davis", tmp_path / "out", "has the sequences Full-Resolution/my_clip, Full-Resolution/other: choose one with --video")
    fails("davis", tmp_path / "out" / "ImageSets", "has no PNG file")
    fails("davis", picture, "is not a folder")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_small_palettes_of_davis(tmp_path: Path, bits: int) -> None:
    """Pillow writes 1, 2 or 4 bits for few objects. 255 marks ignored pixels, which are no object."""
    image = pytest.importorskip("PIL.Image", reason="the format's usual writer")
    values = np.zeros((9, 11), np.uint8)
    values[2:5, 3:7] = 2**bits - 1
    picture = image.fromarray(values, mode="P")
    picture.putpalette([255, 0, 0] * 2**bits)
    picture.save(tmp_path / "00000.png", bits=bits)
    void = image.fromarray(np.full((9, 11), 255, np.uint8), mode="P")
    void.putpalette([0, 0, 0] * 256)
    void.save(tmp_path / "00001.png")
    (frame, empty) = READERS["davis"](tmp_path, "").frames
    assert [(item.id, item.box) for item in frame.objects] == [(2**bits - 1, (3.0, 2.0, 7.0, 5.0))]
    assert not empty.objects


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</annotations>", "", "is not valid XML"),
        ("<annotations>", "<labels>", "is not valid XML"),
        (' frame="1"', ' frame="one"', "track 1: frame is 'one': it must be a whole number"),
        (' frame="1"', ' frame="77"', "track 1: frame 77 is not among the 10 images from 0 on"),
        (' frame="1"', ' frame="0"', "track 1: frame 0 has two shapes of one object"),
        ('xtl="2.00"', 'xtl="left"', "track 1, frame 0: xtl is 'left': it must be a number"),
        ('xtl="2.00"', 'left="2.00"', "track 1, frame 0 has no attribute xtl"),
        ('<track id="1"', '<track id="-4"', "the id of an object is -4"),
        ('<track id="1"', "<track", "a track has no attribute id"),
        ("<size>10</size>", "", "<size> in <meta> is None: it must be a whole number"),
        ("<size>10</size>", "<size>0</size>", "size is 0"),
        ("<width>53</width>", "<width>-1</width>", "the image has -1 x 37 pixels"),
        ("<version>1.1</version>", '<image id="0"/>', "is of CVAT for images, which has no tracks"),
    ],
)
def test_xml_of_cvat(tmp_path: Path, odd: Path, old: str, new: str, message: str) -> None:
    """CVAT's own reader ends with a KeyError at most of these."""
    export(odd, "cvat-box", tmp_path / "out")
    file = tmp_path / "out" / "annotations.xml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    fails("cvat", file, message)


@pytest.mark.parametrize(
    ("written", "old", "new", "message"),
    [
        ("cvat", 'points="', 'points="7,', r"points is .*: write at least three as x,y;x,y;x,y"),
        ("cvat", 'points="', 'points="nan,3;', "points is"),
        ("cvat-mask", 'rle="0, ', 'rle="1, ', "rle does not describe"),
        ("cvat-mask", 'left="2"', 'left="50"', "the mask reaches beyond the image of 53 x 37 pixels"),
    ],
)
def test_shapes_of_cvat(tmp_path: Path, odd: Path, written: str, old: str, new: str, message: str) -> None:
    """Files edited by hand, or cut by a script."""
    export(odd, written, tmp_path / "out")
    file = tmp_path / "out" / "annotations.xml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    fails("cvat", file, message)


TASK = """<annotations><version>1.1</version><meta><task><name>t</name><size>7</size><start_frame>10</start_frame>
<original_size><width>40</width><height>30</height></original_size></task></meta>
<track id="0" label="cup">{}</track></annotations>"""
BOX = '<box frame="{}" keyframe="1" outside="{}" occluded="0" xtl="{}" ytl="2" xbr="{}" ybr="9"/>'


def test_key_frames_of_cvat_are_interpolated(tmp_path: Path) -> None:
    """CVAT stores key frames, moves boxes linearly between them, and shows an object until outside=1, or to the end."""
    file = tmp_path / "annotations.xml"
    file.write_text(TASK.format(BOX.format(10, 0, 1, 5) + BOX.format(12, 0, 3, 7) + BOX.format(13, 1, 3, 7) + BOX.format(15, 0, 8, 12)))
    video = READERS["cvat"](file, "")
    found = [[(item.id, item.box) for item in frame.objects] for frame in video.frames]
    expected = [(1, 5), (2, 6), (3, 7), None, None, (8, 12), (8, 12)]
    assert found == [[] if item is None else [(1, (float(item[0]), 2.0, float(item[1]), 9.0))] for item in expected]
    assert video.left_out["boxes interpolated between key frames"] == 2


def test_other_shapes_of_cvat_are_counted(tmp_path: Path) -> None:
    """Lines and points are no objects."""
    file = tmp_path / "annotations.xml"
    points = '<points frame="10" keyframe="1" outside="0" occluded="0" points="1,1"/>'
    file.write_text(TASK.format(BOX.format(10, 0, 1, 5) + BOX.format(11, 1, 1, 5) + points))
    assert read("cvat", file)[1:] == ["1 shapes that are no boxes, polygons or masks"]


FILES = {
    "coco": "annotations/instances.json",
    "ytvis": "annotations/instances.json",
    "mot": "gt/gt.txt",
    "davis": "Annotations/Full-Resolution/my_clip/00003.png",
    "cvat": "annotations.xml",
}


@pytest.mark.parametrize("name", [*FILES, "cvat-box", "cvat-mask"])
def test_damaged_files_never_crash(tmp_path: Path, odd: Path, name: str) -> None:
    """Changed, missing and repeated bytes give labels or a sentence, no other exception and no crash of the process."""
    export(odd, name, tmp_path / "out")
    kind = name.partition("-")[0]
    file = tmp_path / "out" / FILES[kind]
    whole = file.read_bytes()
    generator = np.random.default_rng(len(name))
    failed = 0
    for _ in range(60):
        begin, length = int(generator.integers(len(whole))), int(generator.integers(1, 9))
        middle = [b"", generator.bytes(length), whole[begin : begin + length] * 2, b"9" * length, b"-"][int(generator.integers(5))]
        file.write_bytes(whole[:begin] + middle + whole[begin + length :])
        try:
            read(kind, tmp_path / "out")
        except LabelError:
            failed += 1
    assert failed, "no damage was noticed"
