# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Datasets of toy bags with three cameras and joint states, read back file by file, and by LeRobot's own loader where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.io.result_messages import IMAGE
from lang2segtrack_ros.recordings.bag_types import BagMessages
from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.scene import Scene
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus
from lang2segtrack_ros.types.rle import Rle, mask_box
from test.io.exports.traces import write_trace
from test.recordings.bags.making import START_NS, header

av = pytest.importorskip("av", reason="PyAV is not installed: pip install av")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install pyarrow")
JOINTS = "sensor_msgs/msg/JointState"
CAMERAS = {"front": (0, 66_666_667), "left": (20_000_000, 66_666_667), "wrist": (5_000_000, 33_333_333)}
"""Time of the first image after the start, and period, both in nanoseconds, by camera."""
SECONDS = 4.0
FPS = 10


def scene_of(camera: str) -> Scene:
    """Return a scene with a fast red circle that starts elsewhere for each camera."""
    phase = float(list(CAMERAS).index(camera))
    body = Body("red", "circle", (0.5, 0.5), (0.3, 0.25), (45.0, 40.0), (phase, phase))
    return Scene((body, Body("blue", "star", (0.2, 0.8))), 320, 240, 3)


def is_red(color: np.ndarray) -> np.ndarray:
    """Return the red pixels of an image, bool [H, W]."""
    red, green, blue = (color[:, :, channel].astype(int) for channel in range(3))
    found: np.ndarray = (red > 120) & (red - green > 60) & (red - blue > 60)
    return found


def record(folder: Path, name: str, joints: int = 3) -> Path:
    """Write a bag of three cameras and joint states at 50 Hz, and the true traces of the cameras. Return the bag."""
    store = BagMessages().typestore
    types = store.types
    events: list[tuple[int, str, Any, str]] = []
    for camera, (first, period) in CAMERAS.items():
        results = []
        scene = scene_of(camera)
        for index, offset in enumerate(range(first, int(SECONDS * 1e9), period)):
            shot, stamp = scene.render(index), START_NS + offset
            data = np.ascontiguousarray(shot.color).reshape(-1)
            image = types[IMAGE](header=header(types, stamp), height=240, width=320, encoding="rgb8", is_bigendian=0, step=960, data=data)
            events.append((stamp + 4_000_000, f"/{camera}/color/image_raw", image, IMAGE))
            mask = shot.instances == 1
            nan = float("nan")
            track = Track(1, "red circle", TrackStatus.TRACKED, 0.9, mask_box(mask), mask, 0.9, 5.0, nan, 0)
            results.append(FrameResult(stamp, index, 240, 320, (track,)))
        target = folder / f"{name}_{camera}"
        target.mkdir()
        write_trace(target / "tracks.jsonl", results)
    for offset in range(0, int(SECONDS * 1e9), 20_000_000):
        stamp, position = START_NS + offset, np.full(joints, offset / 1e9) + np.arange(joints)
        names = [f"joint_{number}" for number in range(joints)]
        state = types[JOINTS](header=header(types, stamp), name=names, position=position, velocity=np.zeros(0), effort=np.zeros(0))
        events.append((stamp, "/joint_states", state, JOINTS))
        command = types["std_msgs/msg/Float64"](data=offset / 1e9)
        events.append((stamp, "/gripper", command, "std_msgs/msg/Float64"))
    path = folder / name
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        kinds = {topic: kind for _, topic, _, kind in events}
        connections = {topic: writer.add_connection(topic, kind, typestore=store) for topic, kind in kinds.items()}
        for time, topic, message, kind in sorted(events, key=lambda event: (event[0], event[1])):
            writer.write(connections[topic], time, store.serialize_cdr(message, kind))
    return path


def command(folder: Path, *bags: Path, out: str = "dataset", action: str = "/gripper") -> list[str]:
    """Return the command line for some bags."""
    cameras = [item for name in CAMERAS for item in ("--camera", f"{name}=/{name}/color/image_raw")]
    tracks = [item for name in CAMERAS for item in ("--tracks", f"{name}={folder}/{{bag}}_{name}")]
    signals = ["--state", "/joint_states", "--action", action]
    return [
        "lerobot",
        *map(str, bags),
        *cameras,
        *tracks,
        *signals,
        "--fps",
        str(FPS),
        "--task",
        "leg die Tasse hin",
        "--out",
        str(folder / out),
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record two bags and make a dataset of them."""
    folder = tmp_path_factory.mktemp("lerobot")
    assert main(command(folder, record(folder, "run1"), record(folder, "run2"))) == 0
    return folder


def video(dataset: Path, camera: str, episode: int) -> list[np.ndarray]:
    """Return the frames of a video."""
    path = dataset / f"videos/observation.images.{camera}/chunk-000/file-{episode:03d}.mp4"
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_description_fits_the_files(folder: Path) -> None:
    """LeRobot finds every file by the patterns and numbers in info.json and in the episodes."""
    dataset = folder / "dataset"
    info = json.loads((dataset / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_episodes"], info["total_tasks"]) == ("v3.0", FPS, 2, 1)
    assert info["features"]["observation.state"] == {"dtype": "float32", "shape": [3], "names": ["joint_0", "joint_1", "joint_2"]}
    assert info["features"]["action"] == {"dtype": "float32", "shape": [1], "names": ["data"]}
    assert info["features"]["observation.images.wrist"]["shape"] == [240, 320, 3]
    episodes = pq.read_table(dataset / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [row["dataset_from_index"] for row in episodes] == [0, episodes[0]["length"]]
    assert episodes[1]["dataset_to_index"] == info["total_frames"]
    for row in episodes:
        place = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
        data = pq.read_table(dataset / info["data_path"].format(**place))
        assert data.num_rows == row["length"]
        for camera in CAMERAS:
            key = f"observation.images.{camera}"
            assert (dataset / info["video_path"].format(video_key=key, **place)).is_file()
            assert row[f"videos/{key}/to_timestamp"] == pytest.approx(row["length"] / FPS)
            assert len(video(dataset, camera, row["episode_index"])) == row["length"]


def test_numbers_are_the_latest_at_each_time(folder: Path) -> None:
    """The joints move by 1 per second. All streams have begun 20 ms after the start, when the slowest camera begins."""
    data = pq.read_table(folder / "dataset/data/chunk-000/file-000.parquet").to_pydict()
    times = np.array(data["timestamp"])
    assert times == pytest.approx(np.arange(len(times)) / FPS)
    first = np.array(data["observation.state"])[:, 0]
    assert np.abs(first - (times + 0.02)).max() <= 0.0201
    assert np.array(data["action"]) == pytest.approx(first)
    assert (np.array(data["observation.state"])[:, 2] - first) == pytest.approx(2.0)
    assert len(times) == pytest.approx(SECONDS * FPS, abs=2)


@pytest.mark.parametrize("camera", CAMERAS)
def test_objects_are_on_their_images(folder: Path, camera: str) -> None:
    """The truth is in the pixels of the video: the mask of another image would miss a part of the fast circle."""
    rows = pq.read_table(folder / "dataset/objects/chunk-000/file-001.parquet").to_pylist()
    own = [row for row in rows if row["camera"] == camera]
    frames = video(folder / "dataset", camera, 1)
    assert [row["frame_index"] for row in own] == list(range(len(frames)))
    red = []
    for row in own:
        mask = Rle(*row["mask_size"], row["mask_counts"]).decode()
        red.append(is_red(frames[row["frame_index"]])[mask].mean())
        assert mask_box(mask) == tuple(row["bbox"])
        assert (row["track_id"], row["label"], row["episode_index"]) == (1, "red circle", 1)
    late = [is_red(frames[row["frame_index"] - 1])[Rle(*row["mask_size"], row["mask_counts"]).decode()].mean() for row in own[1:]]
    assert np.median(red) > 0.97  # single frames are less red, because the codec is not exact
    assert np.mean(late) < 0.93  # with the image before, so that the test can fail


def test_statistics_are_those_of_all_frames(folder: Path) -> None:
    """Policies normalize by them."""
    stats = json.loads((folder / "dataset/meta/stats.json").read_text())
    states = np.concatenate(
        [np.array(pq.read_table(folder / f"dataset/data/chunk-000/file-{n:03d}.parquet").to_pydict()["observation.state"]) for n in (0, 1)]
    )
    for name, expected in (("mean", states.mean(0)), ("std", states.std(0)), ("min", states.min(0)), ("max", states.max(0))):
        assert stats["observation.state"][name] == pytest.approx(expected, abs=1e-5)
    assert np.array(stats["observation.images.front"]["mean"]).shape == (3, 1, 1)
    assert stats["observation.state"]["count"] == [len(states)]


def test_same_bags_give_the_same_bytes(folder: Path) -> None:
    """A dataset can be made again, and compared."""
    assert main(command(folder, folder / "run1", folder / "run2", out="again")) == 0
    files = [path.relative_to(folder / "dataset") for path in sorted((folder / "dataset").rglob("*")) if path.is_file()]
    for file in files:
        if file.name != ".lang2segtrack.json":
            assert (folder / "dataset" / file).read_bytes() == (folder / "again" / file).read_bytes(), file


def test_loader_of_lerobot_reads_it(folder: Path) -> None:
    """LeRobot pins older versions of torch and huggingface_hub, so it is not among the requirements of the tests."""
    lerobot = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="LeRobot is not installed")
    dataset = lerobot.LeRobotDataset("me/toy", root=folder / "dataset")
    item = dataset[len(dataset) - 1]
    assert item["observation.state"].shape == (3,)
    assert item["observation.images.wrist"].shape == (3, 240, 320)
    assert item["task"] == "leg die Tasse hin"


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        (["--camera", "front=/nowhere"], 1, "topic /nowhere is not in the bag"),
        (["--camera", "front"], 2, "write a name"),
        (["--tracks", "rear=/tmp"], 2, "there is no such camera"),
        (["--state", "/nowhere"], 1, "topic /nowhere is not in"),
        (["--state", "/joint_states.color"], 1, "they have name, position, velocity, effort"),
        (["--state", "/joint_states.velocity"], 1, "has no numbers in velocity"),
        (["--fps", "0"], 2, "give the rate of the cameras"),
    ],
)
def test_wrong_options_are_explained(folder: Path, capsys: pytest.CaptureFixture[str], changes: list[str], code: int, words: str) -> None:
    """Each sentence names the option or topic, and nothing is written."""
    base = ["lerobot", str(folder / "run1"), "--camera", "left=/left/color/image_raw", "--fps", "5", "--out", str(folder / "wrong")]
    assert main([*base, *changes]) == code
    assert words in capsys.readouterr().err
    assert not (folder / "wrong").exists()


def test_bags_of_different_robots_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dataset has one size of each feature."""
    record(folder, "run3", joints=4)
    assert main(command(folder, folder / "run1", folder / "run3", out="mixed")) == 1
    assert "observation.state is [4], and [3] in the first episode" in capsys.readouterr().err
    assert not (folder / "mixed").exists()


def test_finished_dataset_is_made_again_only_for_other_inputs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Changed tracks under the same path are another input: "already done" would keep the old objects."""
    record(folder, "run4")
    assert main(command(folder, folder / "run4", out="kept")) == 0
    assert main(command(folder, folder / "run4", out="kept")) == 0
    assert "already done" in capsys.readouterr().out
    trace = folder / "run4_front/tracks.jsonl"
    trace.write_bytes(trace.read_bytes().replace(b"red circle", b"red ball"))
    assert main(command(folder, folder / "run4", out="kept")) != 0
    assert "already done" not in capsys.readouterr().out
