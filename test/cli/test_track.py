# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack track` on the command line: its output files, and the message of every error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.cli.progress import ProgressLine
from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.conftest import body_box, iou

COUNT = 8
TOY = ["--segmenter", "toy", "--detector", "toy", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path: Path, frames: list[SceneFrame]) -> Path:
    for number in range(COUNT):
        write_png(tmp_path / "images" / f"{number:03}.png", frames[number].color)
    return tmp_path / "images"


def box(frame: SceneFrame, body: int) -> str:
    return ",".join(f"{value:g}" for value in body_box(frame, body))


def test_backward_pass_writes_complete_traces(tmp_path: Path, folder: Path, frames: list[SceneFrame]) -> None:
    """Prompts on later images, one of them from a file, still give masks on all images in every output file."""
    write_png(folder.parent / "mask.png", np.repeat((frames[3].instances == 2).astype(np.uint8)[..., None] * 255, 3, axis=2))
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("- {at: 3, mask: mask.png, label: blue star}\n")
    out = tmp_path / "out"
    arguments = ["track", str(folder), "--box", f"{box(frames[5], 1)}=red circle", "--at", "5", "--prompts", str(prompts), "--backward"]
    assert main([*arguments, *TOY, "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        ".lang2segtrack.json",
        "masks",
        "overlay.webm",
        "trace.webm",
        "tracks.jsonl",
        "tracks_mot.txt",
        "tracks_mot_labels.txt",
    ]
    records = [json.loads(line) for line in (out / "tracks.jsonl").read_text().splitlines()]
    assert [record["frame"] for record in records] == list(range(COUNT))
    labels = {track["id"]: track["label"] for track in records[0]["tracks"]}
    assert sorted(labels.values()) == ["blue star", "red circle"]
    for track_id, label in labels.items():
        body = 1 if label == "red circle" else 2
        for number in range(COUNT):
            mask = cv2.imread(str(out / "masks" / str(track_id) / f"{number:06}.png"), cv2.IMREAD_GRAYSCALE)
            assert mask is not None
            assert iou(mask > 0, frames[number].instances == body) > 0.7
    rows = [line.split(",") for line in (out / "tracks_mot.txt").read_text().splitlines()]
    assert len(rows) == 2 * COUNT
    assert {int(row[0]) for row in rows} == set(range(1, COUNT + 1))
    for name in ("overlay.webm", "trace.webm"):
        assert int(cv2.VideoCapture(str(out / name)).get(cv2.CAP_PROP_FRAME_COUNT)) == COUNT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is no prompt"),
        (["--box", "1,2,3"], "--box takes 4 numbers"),
        (["--box", "900,900,950,950"], "lies outside the 320 x 240 image"),
        (["--box", "0.2,0.25,0.75,0.8"], "is within one pixel: multiply it by the size of the image, 320 x 240"),
        (["--box", "-5,-9,-1,-2"], "the box (-5, -9, -1, -2) lies outside"),
        (["--box", "1,1,9,9", "--at", "50"], "there is a prompt for image 50, but the source has 8 images"),
        (["--instruct", "the circle he likes"], 'the grammar cannot read "he" after "the circle"'),
        (["--instruct", "the mug left of the star"], 'the instruction is refused: the detector "toy" does not know: mug'),
        (["--instruct", "the circle right of the star"], 'is not answered: "circle": none of 1 (#1) is right of "star" (#2)'),
        (["--text", "green triangle"], '"green triangle" was found on none of the 8 images'),
        (["--mask", "none.png"], "the mask none.png is not a readable image"),
        (["--box", "1,1,9,9", "--model", "unknown"], 'no segmenter is called "unknown"'),
        (["--prompts", "none.yaml"], "none.yaml"),
        (["--exemplar", "1,1,9,9"], '--exemplar is "1,1,9,9": write picture, box and label, such as mug.png:10,20,60,70=mug'),
        (["--exemplar", "mug.png:1,1,9=mug"], '--exemplar takes 4 numbers separated by commas, such as 10,20,50,60, not "1,1,9"'),
        (["--exemplar", "none.png:1,1,9,9=mug"], "the picture none.png of --exemplar: the file cannot be read"),
        (["--exemplar", "900,1,990,9=mug"], "the session refused the prompt for image 0: the box (900, 1, 990, 9) lies outside"),
        (["--exemplar", "1,1,9,9=mug", "--exemplar-by", "detector"], "finds objects by name only"),
    ],
)
def test_error_is_reported_and_leaves_no_files(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """The command prints one message, returns 1, and leaves no partial output."""
    assert main(["track", str(folder), *TOY, *arguments, "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_exemplars_from_a_picture_and_from_a_file(tmp_path: Path, folder: Path, frames: list[SceneFrame]) -> None:
    """ "Find it again": the object on a picture of another time, by command line and by file. The default detector is not loaded for it."""
    write_png(tmp_path / "old=1:2.png", frames[50].color)  # a name with both separators
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text(f'- {{at: 1, exemplar: [{box(frames[50], 2)}], image: "old=1:2.png", label: star, threshold: 0.4}}\n')
    arguments = ["--exemplar", f"{tmp_path / 'old=1:2.png'}:{box(frames[50], 1)}=mug", "--prompts", str(prompts)]
    networks = ["--segmenter", "toy", "--device", "cpu", "--detect-every-backward", "0"]
    out = tmp_path / "out"
    assert main(["track", str(folder), *arguments, *networks, "--out", str(out)]) == 0
    record = json.loads((out / "tracks.jsonl").read_text().splitlines()[-1])
    assert sorted(track["label"] for track in record["tracks"]) == ["mug", "star"]


def test_existing_output_folder_is_kept(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "user.txt").write_text("kept")
    assert main(["track", str(folder), "--box", "1,1,9,9", "--out", str(tmp_path / "out")]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "user.txt").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[: x", "is not valid YAML"),
        ("text: cup", "must hold a list"),
        ("- {box: [1, 2, 3]}", "prompt 1 of"),
        ("- {text: cup}\n- {text: cup, box: [1, 1, 9, 9]}", "prompt 2 of"),
        ("[]", "must hold a list"),
        ("- {text: cup, color: red}", 'there is no key "color"; the keys are at, label,'),
        ("- {at: -1, text: cup}", "at is -1: input should be greater than or equal to 0; write at: 30"),
        ("- {text: [a, b]}", "text is ['a', 'b']: input should be a valid string"),
        ("- {text: null}", "this one has none"),
        ("- {text: cup, label: null}", "label is None: input should be a valid string"),
        ('- {text: cup, threshold: "0.3"}', "threshold is '0.3': input should be a valid number"),
        ("- {text: cup, threshold: .nan}", "threshold is nan"),
        ("- {points: [140, 55]}", "points[0] is 140: input should be a valid list; write points: [[100, 200], [140, 210, 0]]"),
        ("- {points: [[140, 55, 0.5]]}", "the third number of a point is 1 (on the object) or 0"),
        ('- {points: [[140, 55]], track: "1"}', "track is '1': input should be a valid integer"),
        ("- {box: [1, 2, 3, true]}", "box[3] is True: input should be a valid number"),
        (
            "- {exemplar: [1, 2, 3], label: mug}",
            "exemplar is [1, 2, 3]: list should have at least 4 items after validation, not 3; write exemplar",
        ),
        ("- {exemplar: [1, 2, 30, 40]}", "the exemplar has no label"),
        ("- {exemplar: [1, 2, 30, 40], label: mug, image: none.png}", "none.png: the file cannot be read"),
        ("- {box: [1, 2, 30, 40], image: none.png}", "image is the picture of an exemplar, but there is no exemplar"),
    ],
)
def test_invalid_prompt_file_is_reported(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    (tmp_path / "prompts.yaml").write_text(text)
    assert main(["track", str(folder), "--prompts", str(tmp_path / "prompts.yaml"), "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err


def test_words_unknown_to_the_detector_are_reported(tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise a user cannot see why the command finds no object, or a wrong one."""
    assert main(["track", str(folder), "--text", "red circle. blarg.", *TOY, "--out", str(tmp_path / "out")]) == 0
    (message,) = [record.getMessage() for record in caplog.records if "does not know" in record.getMessage()]
    assert message.startswith(
        "the detector does not know: blarg; detections for these words are unreliable. It knows: a, and, blue, circle,"
    )


def test_output_folder_must_not_contain_the_source(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --overwrite, the command would delete the source and all files beside it."""
    for out in (folder, folder.parent):
        assert main(["track", str(folder), "--box", "1,1,9,9", *TOY, "--out", str(out), "--overwrite"]) == 1
        assert "contains the source" in capsys.readouterr().err
    assert len(list(folder.iterdir())) == COUNT
    (tmp_path / "file").write_text("user data")
    assert main(["track", str(folder), "--box", "1,1,9,9", *TOY, "--out", str(tmp_path / "file"), "--overwrite"]) == 1
    assert "is a file" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "user data"


def test_overwrite_replaces_only_what_the_command_wrote(
    tmp_path: Path, folder: Path, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped folder would otherwise be emptied."""
    out = tmp_path / "out"
    command = ["track", str(folder), "--box", box(frames[0], 1), *TOY, "--frames", "3", "--out", str(out), "--overwrite"]
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    assert main(command) == 1
    assert "holds files that lang2segtrack did not write there (thesis.tex)" in capsys.readouterr().err
    (out / "thesis.tex").unlink()
    assert main(command) == 0, "an empty folder is replaced"
    assert main(command) == 0, "and so is an output of the command"
    (out / "masks" / "note.txt").write_text("mine")
    assert main(command) == 1
    assert (out / "masks" / "note.txt").read_text() == "mine"


def test_folder_of_the_user_under_the_name_of_the_working_folder_stays(
    tmp_path: Path, folder: Path, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    """The command removes its working folder at the end, and removed the files of the user with it."""
    (tmp_path / "out.work").mkdir()
    (tmp_path / "out.work" / "thesis.tex").write_text("years of work")
    assert main(["track", str(folder), "--box", box(frames[0], 1), *TOY, "--frames", "2", "--out", str(tmp_path / "out")]) == 1
    assert "out.work holds other files (thesis.tex), so it stays" in capsys.readouterr().err
    assert (tmp_path / "out.work" / "thesis.tex").read_text() == "years of work"


def test_damaged_checkpoint_starts_the_run_again(tmp_path: Path, folder: Path, frames: list[SceneFrame]) -> None:
    """These bytes declare a text of 5 exabytes, so that reading them raised MemoryError."""
    (tmp_path / "out.work").mkdir()
    (tmp_path / "out.work" / "checkpoint").write_bytes(bytes.fromhex("8db18258ae43dd7d45b883d1"))
    assert main(["track", str(folder), "--box", box(frames[0], 1), *TOY, "--frames", "2", "--out", str(tmp_path / "out")]) == 0


def test_unreadable_pictures_are_left_out_and_named(
    tmp_path: Path, folder: Path, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    """One broken file must not cost the work on the others, and the masks stay with their pictures."""
    (folder / "0000.png").write_bytes((folder / "000.png").read_bytes()[:2000])
    out = tmp_path / "out"
    assert main(["track", str(folder), "--box", box(frames[0], 1), *TOY, "--backward", "--out", str(out)]) == 0
    output = capsys.readouterr().out
    assert "warning: " in output
    assert "0000.png is left out: the data ends before the end of the picture" in output
    records = [json.loads(line) for line in (out / "tracks.jsonl").read_text().splitlines()]
    assert [record["frame"] for record in records] == list(range(COUNT))
    mask = cv2.imread(str(out / "masks" / "1" / "000003.png"), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    assert iou(mask > 0, frames[3].instances == 1) > 0.7


def test_prompt_beyond_the_limit_is_refused_before_the_run(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--box", "1,1,99,99", "--at", "5", *TOY, "--frames", "4", "--out", str(tmp_path / "out")]
    assert main(["track", str(folder), *arguments]) == 1
    assert "there is a prompt for image 5, but the source has 4 images" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["nan", "0", "-5", "inf", "many"])
def test_invalid_rate_is_refused(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], value: str) -> None:
    with pytest.raises(SystemExit):
        main(["track", str(folder), "--box", "1,1,9,9", *TOY, f"--fps={value}", "--out", str(tmp_path / "out")])
    assert "is not a number of images per second" in capsys.readouterr().err


def test_folder_with_mixed_sizes_and_other_files(tmp_path: Path, folder: Path, frames: list[SceneFrame]) -> None:
    """macOS adds a "._" file for each file. The video contains all images, even one of another size."""
    (folder / "._000.png").write_bytes(b"metadata")
    (folder / "inner.png").mkdir()
    write_png(folder / "1\u00b22.png", cv2.resize(frames[0].color, (160, 120)).astype(np.uint8))
    assert main(["track", str(folder), "--box", f"{box(frames[0], 1)}=circle", *TOY, "--out", str(tmp_path / "out")]) == 0
    assert int(cv2.VideoCapture(str(tmp_path / "out" / "overlay.webm")).get(cv2.CAP_PROP_FRAME_COUNT)) == COUNT + 1


def interrupt_at(monkeypatch: pytest.MonkeyPatch, stage: str, image: int) -> list[tuple[str, int]]:
    """Send SIGINT, as Ctrl-C does, when a stage reports an image. Return the list that collects all reports."""
    reports: list[tuple[str, int]] = []

    def report(_self: ProgressLine, now: str, done: int, _total: int | None) -> None:
        reports.append((now, done))
        if (now, done) == (stage, image) and reports.count((now, done)) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(ProgressLine, "__call__", report)
    return reports


def texts(folder: Path) -> dict[str, bytes]:
    """Return the content of all result files but the videos, in which encoders may differ, and the marker."""
    files = [item for item in folder.rglob("*") if item.suffix in (".txt", ".jsonl", ".png")]
    return {str(item.relative_to(folder)): item.read_bytes() for item in files}


@pytest.mark.parametrize(("stage", "image"), [("forward", 5), ("backward", 3)])
def test_interrupted_run_keeps_its_results_and_goes_on(
    tmp_path: Path,
    folder: Path,
    frames: list[SceneFrame],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stage: str,
    image: int,
) -> None:
    """Hours of work must not be lost. The completed output must equal that of an uninterrupted run."""
    command = ["track", str(folder), "--box", f"{box(frames[2], 1)}=circle", "--at", "2", "--backward", *TOY, "--out"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    reports = interrupt_at(monkeypatch, stage, image)
    out = tmp_path / "out"
    assert main([*command, str(out)]) == 130
    done = image if stage == "forward" else COUNT
    assert len((out / "tracks.jsonl").read_text().splitlines()) == done
    assert f"interrupted in the {stage} pass at image {image} of 8" in (out / "UNFINISHED.txt").read_text()
    assert f"interrupted in the {stage} pass at image {image} of 8" in capsys.readouterr().out
    assert main([*command, str(out)]) == 0, "the output of the same command may be completed without --overwrite"
    assert f"resumed at image {done} of an earlier run" in capsys.readouterr().out
    assert sum(now == "forward" for now, _ in reports) == COUNT, "finished images are not repeated"
    assert texts(out) == texts(tmp_path / "whole")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["images", "out", "whole"], "no working folder stays"


def test_finished_run_given_again_is_done(
    tmp_path: Path, folder: Path, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    """A script may give its commands again after a failure. Other options would give other results, so they are refused."""
    command = ["track", str(folder), "--box", box(frames[0], 1), *TOY, "--frames", "3", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    written = texts(tmp_path / "out")
    (tmp_path / "out" / "notes.md").write_text("mine")
    assert main(command) == 0
    assert f"already done: {tmp_path / 'out'}" in capsys.readouterr().out
    assert main([*command, "--backward"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert texts(tmp_path / "out") == written


def test_killed_run_goes_on_from_its_checkpoint(
    tmp_path: Path, folder: Path, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL leaves no time to write anything, and the output must not exist under its name."""
    for number in range(COUNT, 10 * COUNT):  # forward and backward repeatedly, so that the signal arrives before the end
        index = number % (2 * COUNT - 2)
        (folder / f"{number:03}.png").symlink_to(folder / f"{min(index, 2 * COUNT - 2 - index):03}.png")
    out = tmp_path / "out"
    fast = ["--image-size", "64", "--checkpoint-every", "0"]
    command = ["track", str(folder), "--box", box(frames[0], 1), *TOY, *fast, "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "lang2segtrack_ros.cli.main", *command], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "out.work" / "checkpoint").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert not out.exists()
    assert main(command) == 0
    assert "of an earlier run" in capsys.readouterr().out
    assert len((out / "tracks.jsonl").read_text().splitlines()) == 10 * COUNT


def test_mot_file_counts_from_1_and_has_a_file_of_labels(tmp_path: Path, folder: Path, frames: list[SceneFrame]) -> None:
    """MOTChallenge's tools count frames and pixels from 1, and its format has no field for names."""
    out = tmp_path / "out"
    assert main(["track", str(folder), "--box", f"{box(frames[0], 1)}=red circle", *TOY, "--frames", "2", "--out", str(out)]) == 0
    record = json.loads((out / "tracks.jsonl").read_text().splitlines()[0])["tracks"][0]
    x1, y1, x2, y2 = record["box"]
    frame, track_id, *numbers = (out / "tracks_mot.txt").read_text().splitlines()[0].split(",")
    assert (frame, track_id) == ("1", "1")
    assert list(map(float, numbers[:4])) == [x1 + 1, y1 + 1, x2 - x1, y2 - y1]
    assert (out / "tracks_mot_labels.txt").read_text() == "1,red circle\n"


class OneAlarm:
    """A detector plug-in that reports an object on its first image, and never again."""

    name, default_threshold = "one-alarm", 0.3

    def __init__(self, device: str) -> None:
        self._detections = [Detection("ghost", 0.9, (200.0, 150.0, 260.0, 200.0))]

    def check(self, phrases: Sequence[str]) -> list[str]:
        return []

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        detections, self._detections = self._detections, []
        return detections


def test_unconfirmed_objects_are_left_out_and_counted(
    tmp_path: Path, folder: Path, frames: list[SceneFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    """Most of them are false alarms: 62 of the 68 tracks of a video of two minutes were."""
    plugin = ["--segmenter", "toy", "--detector", f"{__name__}:OneAlarm", "--device", "cpu"]
    command = ["track", str(folder), "--box", f"{box(frames[0], 1)}=circle", "--text", "ghost.", *plugin, "--out"]
    assert main([*command, str(tmp_path / "out")]) == 0
    assert (
        "1 object was detected but never confirmed, and left out as false alarms: --keep-unconfirmed keeps them" in capsys.readouterr().out
    )
    assert [item.name for item in (tmp_path / "out" / "masks").iterdir()] == ["1"]
    assert {line.split(",")[1] for line in (tmp_path / "out" / "tracks_mot.txt").read_text().splitlines()} == {"1"}
    assert main([*command, str(tmp_path / "all"), "--keep-unconfirmed"]) == 0
    assert sorted(item.name for item in (tmp_path / "all" / "masks").iterdir()) == ["1", "2"]
