# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack export` and `import` on the command line, and `--export` of `track` and `bag`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from lang2segtrack_ros.cli import export, import_labels
from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.evaluation.real_clips import davis_sequences
from lang2segtrack_ros.io.exports.registry import FORMATS
from lang2segtrack_ros.io.exports.trace import Trace
from lang2segtrack_ros.io.imports.registry import READERS
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from test.conftest import body_box, iou
from test.io.exports.conftest import odd
from test.io.exports.traces import check_equal, truth_of
from test.recordings.bags.making import record

__all__ = ["odd"]
COUNT = 6
TOY = ["--segmenter", "toy", "--detector", "toy", "--device", "cpu"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, frames: list[SceneFrame]) -> Path:
    """Write the first images of the demo scene."""
    folder = tmp_path_factory.mktemp("source") / "images"
    for number in range(COUNT):
        write_png(folder / f"shot {number}.png", frames[number].color)
    return folder


def boxes(frames: list[SceneFrame]) -> list[str]:
    """Return the options that prompt two objects on the first image."""
    places = [",".join(f"{value:g}" for value in body_box(frames[0], body)) for body in (1, 2)]
    return ["--box", f"{places[0]}=red circle", "--box", f"{places[1]}=blue star"]


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory, images: Path, frames: list[SceneFrame]) -> Path:
    """Track two objects, and export at once."""
    out = tmp_path_factory.mktemp("run") / "out"
    assert main(["track", str(images), *boxes(frames), *TOY, "--out", str(out), "--export", "coco,davis", "--export", "mot"]) == 0
    return out


def coco_masks(folder: Path) -> list[dict[int, object]]:
    data = COCO(str(folder / "annotations" / "instances.json"))
    found = []
    for image_id in sorted(data.getImgIds()):
        annotations = data.loadAnns(data.getAnnIds(imgIds=[image_id]))
        found.append({item["track_id"]: data.annToMask(item).astype(bool) for item in annotations})
    return found


def test_track_exports_each_format(tracked: Path) -> None:
    """Each format has a folder of its own, with the names of the user's images, and the images stay where they are."""
    assert sorted(path.name for path in (tracked / "exports").iterdir()) == ["coco", "davis", "mot"]
    check_equal(coco_masks(tracked / "exports" / "coco"), truth_of(tracked / "tracks.jsonl"))  # type: ignore[arg-type]
    names = [item["file_name"] for item in COCO(str(tracked / "exports" / "coco" / "annotations" / "instances.json")).dataset["images"]]
    assert names == [f"shot {number}.png" for number in range(COUNT)]
    assert not (tracked / "exports" / "davis" / "JPEGImages").exists()


def test_export_equals_that_of_track(tmp_path: Path, tracked: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command reads what the run wrote, so both give the same bytes."""
    arguments = ["export", str(tracked), "--format", "coco", "--images", str(images), "--name", "images", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "2 objects, 12 times visible and 0 times hidden, on 6 images of images" in capsys.readouterr().out
    for name in ("annotations/instances.json", "README.txt"):
        assert (tmp_path / "out" / name).read_bytes() == (tracked / "exports" / "coco" / name).read_bytes()
    assert main(arguments) == 0
    assert "already done" in capsys.readouterr().out


def test_images_are_copied_on_request(tmp_path: Path, tracked: Path, images: Path) -> None:
    """Several formats get folders of their names; the benchmark reads the one of DAVIS."""
    arguments = ["--format", "davis,yolo-seg", "--images", str(images), "--copy-images", "--out", str(tmp_path / "out")]
    assert main(["export", str(tracked), *arguments]) == 0
    (sequence,) = davis_sequences(tmp_path / "out" / "davis", "val", "Full-Resolution")
    assert len(sequence.images) == COUNT
    linked = sorted((tmp_path / "out" / "yolo-seg" / "images" / "train").iterdir())
    assert [path.read_bytes() for path in linked] == [path.read_bytes() for path in sorted(images.iterdir())]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none", "--format", "coco"], "there is no file or folder none"),
        (["{odd}", "--format", "voc"], 'there is no format "voc"; the formats are coco, ytvis'),
        (["{odd}", "--format", "coco", "--copy-images"], "--copy-images needs the images"),
        (["{odd}", "--format", "coco", "--images", "{empty}"], "there is no image in"),
        (["{empty}", "--format", "coco"], "holds no tracks.jsonl and is no bag: give the output of lang2segtrack track, bag or import"),
    ],
)
def test_errors_are_sentences(tmp_path: Path, odd: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """The command prints one message, returns 1, and leaves no output."""
    (tmp_path / "empty").mkdir()
    given = [argument.format(odd=odd, empty=tmp_path / "empty") for argument in arguments]
    assert main(["export", *given, "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_help_names_the_formats() -> None:
    """The parser lists them without loading them."""
    assert export._FORMATS.split(", ") == list(FORMATS)
    assert tuple(READERS) == import_labels.FORMATS


def test_other_files_are_never_replaced(tmp_path: Path, odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An export replaces an export with --overwrite, and nothing else."""
    out = tmp_path / "out"
    assert main(["export", str(odd), "--format", "coco", "--out", str(out)]) == 0
    assert main(["export", str(odd), "--format", "mot", "--out", str(out)]) == 1
    assert "exists already: choose another folder, or add --overwrite" in capsys.readouterr().err
    assert main(["export", str(odd), "--format", "mot", "--out", str(out), "--overwrite"]) == 0
    assert (out / "gt" / "gt.txt").is_file()
    assert not (out / "annotations").exists()
    (out / "notes.txt").write_text("mine")
    assert main(["export", str(odd), "--format", "coco", "--out", str(out), "--overwrite"]) == 1
    assert "holds files that lang2segtrack did not write there (notes.txt)" in capsys.readouterr().err
    assert (out / "gt" / "gt.txt").is_file()


def test_a_killed_export_leaves_no_output(tmp_path: Path, odd: Path) -> None:
    """Half a data set under the final name would be trained on. The same command then writes the whole one."""
    lines = odd.read_text().splitlines(keepends=True)
    long = tmp_path / "long.jsonl"
    long.write_text("".join(lines * 3000))
    command = ["export", str(long), "--format", "davis", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-m", "lang2segtrack_ros.cli.main", *command], env=environment, stderr=subprocess.DEVNULL)
    folder = tmp_path / "out.work" / "output" / "Annotations" / "Full-Resolution" / "long"
    while process.poll() is None and not (folder / "00100.png").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    assert not (tmp_path / "out").exists()
    long.write_text("".join(lines))
    assert main(command) == 0
    assert len(list((tmp_path / "out" / "Annotations" / "Full-Resolution" / "long").iterdir())) == len(lines)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.jsonl", "out"]


def test_images_come_from_a_video(tmp_path: Path, frames: list[SceneFrame]) -> None:
    """The image of each label is the one that was tracked, also if the run ended before the video."""
    video = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"mp4v"), 15.0, (320, 240))
    for number in range(COUNT + 3):
        writer.write(np.ascontiguousarray(frames[5 * number].color[..., ::-1]))
    writer.release()
    arguments = ["--frames", str(COUNT), "--export", "yolo-seg", "--export-images", "--out", str(tmp_path / "out")]
    assert main(["track", str(video), *boxes(frames), *TOY, *arguments]) == 0
    files = sorted((tmp_path / "out" / "exports" / "yolo-seg" / "images" / "train").iterdir())
    assert len(files) == COUNT
    for number, file in enumerate(files):
        image = cv2.imread(str(file))
        assert image is not None
        distances = [np.abs(image[..., ::-1].astype(int) - frames[5 * other].color).mean() for other in range(COUNT + 3)]
        assert np.argmin(distances) == number


def test_labels_of_another_tool_start_a_run(tmp_path: Path, tracked: Path, images: Path, frames: list[SceneFrame]) -> None:
    """Import, track with the prompts, and the tracks are on the labeled objects."""
    labels = tracked / "exports" / "coco"
    assert main(["import", str(labels), "--format", "coco", "--out", str(tmp_path / "labels")]) == 0
    prompts = str(tmp_path / "labels" / "prompts.yaml")
    assert main(["track", str(images), "--prompts", prompts, *TOY, "--out", str(tmp_path / "again")]) == 0
    for found, expected in zip(truth_of(tmp_path / "again" / "tracks.jsonl"), truth_of(tmp_path / "labels" / "tracks.jsonl"), strict=True):
        assert all(iou(found[track_id], mask) > 0.8 for track_id, mask in expected.items())
    assert main(["export", str(tmp_path / "labels"), "--format", "mots", "--out", str(tmp_path / "mots")]) == 0, "an import is a trace"


def test_import_reports_errors(tmp_path: Path, odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong format on the command line must not end in a traceback."""
    for name, message in (
        ("coco", "is not valid JSON"),
        ("mot", "there is no"),
        ("davis", "is not a folder"),
        ("cvat", "is not valid XML"),
    ):
        assert main(["import", str(odd), "--format", name, "--out", str(tmp_path / "out")]) == 1
        assert message in capsys.readouterr().err
    assert main(["import", "none", "--format", "coco", "--out", str(tmp_path / "out")]) == 1
    assert not list(tmp_path.iterdir())


def test_bag_exports_and_export_of_a_bag(
    tmp_path: Path, scene: Scene, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    """Robots record bags. Images come from the bag by their stamps, and the refined tracks are exported."""
    bag = record(tmp_path / "in", scene, COUNT)
    out = tmp_path / "tracked"
    command = ["bag", str(bag), *boxes(frames), *TOY, "--overlay", "--out", str(out), "--export", "coco", "--export-images"]
    assert main(command) == 0
    folder = tmp_path / "tracked_exports" / "coco"
    found = coco_masks(folder)
    assert [sorted(masks) for masks in found] == [[1, 2]] * COUNT
    assert all(iou(masks[1], frames[number].instances == 1) > 0.7 for number, masks in enumerate(found))  # type: ignore[arg-type]
    assert len(list((folder / "images").iterdir())) == COUNT
    assert main(["export", str(out), "--format", "ytvis", "--topic", "/tracks", "--out", str(tmp_path / "ytvis")]) == 0
    assert main(["import", str(tmp_path / "ytvis"), "--format", "ytvis", "--out", str(tmp_path / "labels")]) == 0
    forward = Trace(tmp_path / "labels" / "tracks.jsonl", "labels")
    assert forward.info.length == COUNT
    capsys.readouterr()
    assert main([*command, "--export", "mot"]) == 0, "the bag is done, the exports are added"
    assert "already done" in capsys.readouterr().out
    assert (tmp_path / "tracked_exports" / "mot" / "gt" / "gt.txt").is_file()
    assert main(["export", str(bag), "--format", "coco", "--out", str(tmp_path / "none")]) == 1
    assert "has no topic of type lang2segtrack/msg/TrackArray: track its images first" in capsys.readouterr().err
    assert main(["export", str(out), "--format", "coco", "--topic", "/tf", "--out", str(tmp_path / "none")]) == 1
    assert (
        "has no topic /tf of type lang2segtrack/msg/TrackArray; its topics of this type: /tracks, /tracks_refined"
        in capsys.readouterr().err
    )
