# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs on whole bags: outputs, resumed runs, damaged bags and errors."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import CompressionMode, Reader, StoragePlugin

from lang2segtrack_ros.recordings.bag_types import BagError, BagMessages
from lang2segtrack_ros.recordings.bags.job import BagJob, BagOptions, BagSummary
from lang2segtrack_ros.recordings.bags.messages import TYPES
from lang2segtrack_ros.recordings.bags.reading import BagInput, zstd
from lang2segtrack_ros.recordings.forward import Scheduled
from lang2segtrack_ros.recordings.runs import InterruptedRunError, OfflineError
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, TextPrompt
from lang2segtrack_ros.types.rle import Rle
from test.cached import NETWORK, CachedSegmenter
from test.conftest import body_box, iou
from test.recordings.bags.making import PERIOD_NS, START_NS, TOPIC, contents, record
from test.session.test_session_identity import ScriptedDetector

COUNT, PROMPTED = 10, 6


@pytest.fixture(scope="module")
def segmenter(segmenter: Sam2Segmenter) -> Sam2Segmenter:
    """Cache the network, because the tests process the same images many times."""
    return CachedSegmenter(segmenter, NETWORK)


def job(source: Path, target: Path, segmenter: Sam2Segmenter, frames: list[SceneFrame], **options: Any) -> BagSummary:
    """Run a job; by default it tracks the red circle, with a box prompt on image PROMPTED."""
    options.setdefault("prompts", [Scheduled(PROMPTED, BoxPrompt(body_box(frames[PROMPTED], 1), "red circle"))])
    return BagJob(source, target, lambda: Session(segmenter), BagOptions(**options), lambda *_: None).run()


@pytest.mark.parametrize(
    ("storage", "compression", "encoding"),
    [
        (StoragePlugin.MCAP, CompressionMode.NONE, "rgb8"),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE, "bgr8"),
        (StoragePlugin.MCAP, CompressionMode.STORAGE, "jpeg"),
        (StoragePlugin.SQLITE3, CompressionMode.FILE, "rgb8"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_new_bag_has_all_input_messages_and_the_result_topics(
    tmp_path: Path,
    segmenter: Sam2Segmenter,
    scene: Scene,
    frames: list[SceneFrame],
    storage: StoragePlugin,
    compression: CompressionMode,
    encoding: str,
) -> None:
    """The new bag must replace the input bag for its users.

    Input messages stay equal byte by byte, with types and QoS. Results have the headers and log times of the images. The refined trace
    starts at the first image.
    """
    source = record(tmp_path / "in", scene, COUNT, storage, compression, encoding)
    summary = job(source, tmp_path / "out", segmenter, frames, overlay=True)
    assert summary.images == COUNT
    assert summary.damage == []
    assert not (tmp_path / "out.work").exists()

    messages, output = list(contents(source)), list(contents(tmp_path / "out"))
    assert [item for item in output if item[0] in (TOPIC, "/chatter")] == messages
    store = BagMessages().typestore
    with Reader(tmp_path / "out") as reader:
        kinds = {item.topic: item.msgtype for item in reader.connections}
        assert kinds == {TOPIC: kinds[TOPIC], "/chatter": "std_msgs/msg/String", **{f"/{topic}": kind for topic, kind in TYPES.items()}}
        qos = {item.topic: item.ext.offered_qos_profiles for item in reader.connections}  # type: ignore[union-attr]
        assert qos["/label_info"][0].durability is QosDurability.TRANSIENT_LOCAL
    with Reader(source) as reader:
        assert {item.topic: item.ext.offered_qos_profiles for item in reader.connections}[TOPIC] == qos[TOPIC]  # type: ignore[union-attr]

    refined = [(stamp, store.deserialize_cdr(data, TYPES["tracks_refined"])) for topic, stamp, data in output if topic == "/tracks_refined"]
    assert [stamp for stamp, _ in refined] == [START_NS + number * PERIOD_NS + 5_000_000 for number in range(COUNT)]
    for number, (_, message) in enumerate(refined):
        assert message.header.frame_id == "camera_color_optical_frame"
        assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == START_NS + number * PERIOD_NS
        [track] = message.tracks
        assert track.label == "red circle"
        mask = Rle(track.mask.height, track.mask.width, track.mask.counts).decode()
        assert iou(mask, frames[number].instances == 1) > 0.7, number
    forward = [store.deserialize_cdr(data, TYPES["tracks"]) for topic, _, data in output if topic == "/tracks"]
    assert [len(message.tracks) for message in forward] == [0] * PROMPTED + [1] * (COUNT - PROMPTED)
    boxes = [store.deserialize_cdr(data, TYPES["detections"]) for topic, _, data in output if topic == "/detections"]
    assert boxes[-1].detections[0].results[0].hypothesis.class_id == "red circle"
    ids = [store.deserialize_cdr(data, TYPES["instance_masks"]) for topic, _, data in output if topic == "/instance_masks"]
    assert iou(ids[-1].data.view(np.uint16).reshape(240, 320) == 1, frames[COUNT - 1].instances == 1) > 0.7


class KilledError(Exception):
    """Simulated end of the process: the job runs no code after it."""


@pytest.mark.parametrize(("stage", "at"), [("forward", 8), ("backward", 5), ("writing", 4)])
def test_resumed_run_gives_the_same_bag(
    tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame], stage: str, at: int
) -> None:
    """A process can end at any time.

    The test copies the working folder at that time, and resumes from the copy.
    """
    source = record(tmp_path / "in", scene, COUNT)
    job(source, tmp_path / "whole", segmenter, frames)
    prompts = [Scheduled(PROMPTED, BoxPrompt(body_box(frames[PROMPTED], 1), "red circle"))]

    def die(now: str, done: int, total: int | None) -> None:
        if (now, done) == (stage, at):
            shutil.copytree(tmp_path / "resumed.work", tmp_path / "copy")
            raise KilledError

    options = BagOptions(prompts=prompts, checkpoint_s=0.0)
    with pytest.raises(KilledError):
        BagJob(source, tmp_path / "resumed", lambda: Session(segmenter), options, die).run()
    shutil.rmtree(tmp_path / "resumed.work")
    shutil.copytree(tmp_path / "copy", tmp_path / "resumed.work")
    assert not (tmp_path / "resumed").exists(), "an incomplete bag must not have the final name"
    stages: list[str] = []
    summary = BagJob(source, tmp_path / "resumed", lambda: Session(segmenter), options, lambda now, *_: stages.append(now)).run()
    assert summary.resumed_at == (at - 1 if stage == "forward" else COUNT)
    assert list(contents(tmp_path / "resumed")) == list(contents(tmp_path / "whole"))
    assert stages.count("forward") + summary.resumed_at == COUNT, "finished images must not be repeated"


def test_run_with_other_prompts_starts_again(tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]) -> None:
    """The records of the earlier run belong to other objects."""
    source = record(tmp_path / "in", scene, 8)

    def die(now: str, done: int, total: int | None) -> None:
        if done == 4:
            raise KilledError

    first = BagOptions(prompts=[Scheduled(0, BoxPrompt(body_box(frames[0], 1)))], checkpoint_s=0.0)
    with pytest.raises(KilledError):
        BagJob(source, tmp_path / "out", lambda: Session(segmenter), first, die).run()
    assert job(source, tmp_path / "out", segmenter, frames).resumed_at == 0


def test_run_killed_in_the_backward_pass_can_resume_without_it(
    tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]
) -> None:
    """The forward pass is finished. Its results must equal those of a run without a backward pass."""
    source = record(tmp_path / "in", scene, COUNT)
    job(source, tmp_path / "whole", segmenter, frames, backward=False)

    def die(now: str, done: int, total: int | None) -> None:
        if (now, done) == ("backward", 5):
            raise KilledError

    options = BagOptions(prompts=[Scheduled(PROMPTED, BoxPrompt(body_box(frames[PROMPTED], 1), "red circle"))], checkpoint_s=0.0)
    with pytest.raises(KilledError):
        BagJob(source, tmp_path / "out", lambda: Session(segmenter), options, die).run()
    assert job(source, tmp_path / "out", segmenter, frames, backward=False).resumed_at == COUNT
    assert list(contents(tmp_path / "out")) == list(contents(tmp_path / "whole"))


def test_run_with_another_mask_starts_again(tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]) -> None:
    """NumPy abbreviates large arrays, so the text of two masks can be equal."""
    source = record(tmp_path / "in", scene, 8)

    def die(now: str, done: int, total: int | None) -> None:
        if done == 4:
            raise KilledError

    masks = [[Scheduled(0, MaskPrompt(frames[0].instances == body))] for body in (1, 2)]
    options = BagOptions(prompts=masks[0], checkpoint_s=0.0)
    with pytest.raises(KilledError):
        BagJob(source, tmp_path / "out", lambda: Session(segmenter), options, die).run()
    assert job(source, tmp_path / "out", segmenter, frames, prompts=masks[1]).resumed_at == 0


def test_messages_in_the_write_ahead_log_of_sqlite_are_read(tmp_path: Path, scene: Scene, segmenter: Sam2Segmenter) -> None:
    """A killed recorder leaves its latest messages in this log. rosbags ignores the log and would silently lose half of the recording."""
    whole = record(tmp_path / "whole", scene, 12, storage=StoragePlugin.SQLITE3)
    (file,) = whole.glob("*.db3")
    killed = tmp_path / "killed"
    killed.mkdir()
    base = sqlite3.connect(file)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA wal_autocheckpoint=0")
    rows = base.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id DESC LIMIT 12").fetchall()[::-1]
    base.execute("DELETE FROM messages WHERE id > (SELECT MAX(id) - 12 FROM messages)")
    base.commit()
    base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    base.executemany("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", rows)
    base.commit()
    for item in whole.glob("*.db3*"):  # while the database is open, as after a power failure
        shutil.copy(item, killed / item.name)
    base.close()
    with BagInput(killed) as bag:
        assert sum(1 for _ in bag.messages(TOPIC)) == 12
        assert any("-wal" in sentence for sentence in bag.damage)


def test_split_bag_without_metadata_is_read_up_to_the_damage(
    tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]
) -> None:
    """A power failure of the recorder leaves files without metadata.yaml, and the last file is incomplete."""
    first, second = record(tmp_path / "a", scene, 7), record(tmp_path / "b", scene, 12, start=7)
    bag = tmp_path / "bag"
    bag.mkdir()
    shutil.copy(first / "a.mcap", bag / "bag_0.mcap")
    data = (second / "b.mcap").read_bytes()
    (bag / "bag_1.mcap").write_bytes(data[: int(len(data) * 0.6)])
    summary = job(bag, tmp_path / "out", segmenter, frames)
    assert 8 <= summary.images < 19
    assert any("bag_1.mcap ends or is damaged after" in sentence for sentence in summary.damage)
    copied = [item for item in contents(tmp_path / "out") if item[0] in (TOPIC, "/chatter")]
    assert copied == [*contents(first), *contents(second)][: len(copied)]
    assert sum(topic == TOPIC for topic, _, _ in copied) == summary.images


def test_damaged_database_is_read_up_to_the_damage(
    tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]
) -> None:
    """rosbags refuses such a file, but most of its messages are intact."""
    source = record(tmp_path / "in", scene, 12, StoragePlugin.SQLITE3)
    file = source / "in.db3"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * 0.8)])
    summary = job(source, tmp_path / "out", segmenter, frames)
    assert PROMPTED < summary.images < 12
    assert summary.damage
    assert len([item for item in contents(tmp_path / "out") if item[0] == TOPIC]) == summary.images


def test_invalid_jobs_are_refused_without_output(
    tmp_path: Path, segmenter: Sam2Segmenter, detector: Any, scene: Scene, frames: list[SceneFrame]
) -> None:
    """Each error must give its reason, and leave no output and no working folder."""
    source = record(tmp_path / "in", scene, 3)
    box = [Scheduled(0, BoxPrompt(body_box(frames[0], 1)))]
    with pytest.raises(BagError, match="there is no bag"):
        job(tmp_path / "none", tmp_path / "out", segmenter, frames)
    with pytest.raises(BagError, match=f"topic /depth is not in the bag; image topics: {TOPIC}"):
        job(source, tmp_path / "out", segmenter, frames, topic="/depth")
    with pytest.raises(BagError, match="topic /chatter is of type std_msgs/msg/String, not sensor_msgs/msg/Image"):
        job(source, tmp_path / "out", segmenter, frames, topic="/chatter")
    with pytest.raises(OfflineError, match="there is a prompt for image 6, but the source has 3 images"):
        job(source, tmp_path / "out", segmenter, frames)
    with pytest.raises(OfflineError, match="lies outside the 320 x 240 image"):
        job(source, tmp_path / "out", segmenter, frames, prompts=[Scheduled(0, BoxPrompt((900, 900, 950, 950)))])
    absent = BagOptions(prompts=[Scheduled(0, TextPrompt("green triangle"))])
    with pytest.raises(OfflineError, match='"green triangle" was found on none of the 3 images'):
        BagJob(source, tmp_path / "out", lambda: Session(segmenter, detector), absent, lambda *_: None).run()
    with pytest.raises(BagError, match='"my mug" is not valid in a namespace'):
        job(source, tmp_path / "out", segmenter, frames, prompts=box, namespace="/robot/my mug/")
    unsupported = record(tmp_path / "unsupported", scene, 3, encoding="hologram")
    with pytest.raises(BagError, match='encoding "hologram" is not known'):
        job(unsupported, tmp_path / "out", segmenter, frames, topic=TOPIC, prompts=box)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "unsupported"]
    job(source, tmp_path / "out", segmenter, frames, prompts=box, backward=False)
    with pytest.raises(OfflineError, match="already exists"):
        job(source, tmp_path / "out", segmenter, frames, prompts=box)
    with pytest.raises(OfflineError, match="already exists"):
        job(source, source, segmenter, frames, prompts=box)
    with pytest.raises(BagError, match=r"already has topics with the names of our results \(/detections"):
        job(tmp_path / "out", tmp_path / "twice", segmenter, frames, prompts=box)


def test_masks_do_not_enlarge_an_mcap_bag(tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]) -> None:
    """Two bytes for each pixel of each mask were most of the new bag. They are nearly all zeros."""
    source = record(tmp_path / "in", scene, COUNT)
    job(source, tmp_path / "out", segmenter, frames)
    sizes = [sum(file.stat().st_size for file in folder.iterdir()) for folder in (source, tmp_path / "out")]
    masks = sum(len(data) for topic, _, data in contents(tmp_path / "out") if topic == "/instance_masks")
    assert sizes[1] < sizes[0] < sizes[0] + masks


def test_finished_job_given_again_is_done(tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]) -> None:
    """A script may give its commands again after a failure. The metadata of the bag holds the digest of the options."""
    source = record(tmp_path / "in", scene, 3)
    prompts = [Scheduled(0, BoxPrompt(body_box(frames[0], 1)))]
    assert not job(source, tmp_path / "out", segmenter, frames, prompts=prompts).already_done
    written = {item.name: item.read_bytes() for item in (tmp_path / "out").iterdir()}
    assert job(source, tmp_path / "out", segmenter, frames, prompts=prompts).already_done
    with pytest.raises(OfflineError, match="already exists"):
        job(source, tmp_path / "out", segmenter, frames, prompts=prompts, overlay=True)
    assert {item.name: item.read_bytes() for item in (tmp_path / "out").iterdir()} == written


def test_interrupted_job_goes_on(tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]) -> None:
    """A request to stop ends the run after an image, with a checkpoint of that image."""
    source = record(tmp_path / "in", scene, COUNT)
    job(source, tmp_path / "whole", segmenter, frames)
    options = BagOptions(prompts=[Scheduled(PROMPTED, BoxPrompt(body_box(frames[PROMPTED], 1), "red circle"))])
    reports: list[tuple[str, int]] = []

    def run(stop_at: tuple[str, int]) -> BagSummary:
        report = lambda stage, done, _: reports.append((stage, done))  # noqa: E731
        return BagJob(source, tmp_path / "out", lambda: Session(segmenter), options, report, lambda: reports[-1] == stop_at).run()

    for stage, image in (("forward", 8), ("backward", 4)):
        with pytest.raises(InterruptedRunError, match=f"interrupted in the {stage} pass at image {image} of {COUNT}"):
            run((stage, image))
        assert not (tmp_path / "out").exists()
    assert run(("never", 0)).resumed_at == COUNT
    assert reports.count(("forward", 8)) == 1
    assert list(contents(tmp_path / "out")) == list(contents(tmp_path / "whole"))


def test_second_run_with_the_same_output_is_refused(
    tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]
) -> None:
    """The second run must change no file, so that the output of the first run is complete."""
    source = record(tmp_path / "in", scene, COUNT)
    errors: list[str] = []

    def meanwhile(stage: str, done: int, total: int | None) -> None:
        if stage == "forward" and done == 8:
            with pytest.raises(OfflineError, match="another run is working on") as refused:
                job(source, tmp_path / "out", segmenter, frames)
            errors.append(str(refused.value))

    options = BagOptions(prompts=[Scheduled(PROMPTED, BoxPrompt(body_box(frames[PROMPTED], 1), "red circle"))])
    summary = BagJob(source, tmp_path / "out", lambda: Session(segmenter), options, meanwhile).run()
    assert errors
    assert summary.images == COUNT
    assert sorted(item.name for item in tmp_path.iterdir()) == ["in", "out"]


def test_false_alarm_counts_as_nothing_found(tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene) -> None:
    """A single detection stays tentative, so there is no object to report and none for the backward pass."""
    source = record(tmp_path / "in", scene, COUNT)
    detector = ScriptedDetector(lambda frame: [("green triangle", (20.0, 20.0, 60.0, 60.0))] if len(detector.queries) == 1 else [])
    options = BagOptions(prompts=[Scheduled(0, TextPrompt("green triangle."))])
    with pytest.raises(OfflineError, match=f"was found on none of the {COUNT} images"):
        BagJob(source, tmp_path / "out", lambda: Session(segmenter, detector), options, lambda *_: None).run()
    assert detector.queries
    assert [item.name for item in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("compression", [CompressionMode.NONE, CompressionMode.MESSAGE, CompressionMode.FILE], ids=lambda mode: mode.name)
def test_database_with_an_empty_definition_is_not_damaged(
    tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame], compression: CompressionMode
) -> None:
    """rosbag2 writes an empty definition if the package of a topic is not installed. The messages are intact."""
    source = record(tmp_path / "in", scene, COUNT, StoragePlugin.SQLITE3, compression)
    messages = list(contents(source))
    (file,) = source.glob("in.db3*")
    compressed = compression is CompressionMode.FILE
    plain = tmp_path / "plain.db3"
    plain.write_bytes(zstd.decompress(file.read_bytes()) if compressed else file.read_bytes())
    with contextlib.closing(sqlite3.connect(plain)) as base, base:
        base.execute("UPDATE message_definitions SET encoding = '', encoded_message_definition = '' WHERE topic_type LIKE 'std_msgs%'")
    file.write_bytes(zstd.compress(plain.read_bytes()) if compressed else plain.read_bytes())
    summary = job(source, tmp_path / "out", segmenter, frames, backward=False)
    assert summary.damage == []
    assert [item for item in contents(tmp_path / "out") if item[0] in (TOPIC, "/chatter")] == messages


@pytest.mark.parametrize(
    "definition",
    ["\ufeffstring data\r\n", "wstring data\n", "my-package/Thing data\n", "string data = {broken\n", "string<=5[<=3] data\nfloat128 x\n"],
    ids=["BOM and CRLF", "wstring", "dash", "broken", "unknown type"],
)
def test_odd_definition_of_another_topic_is_copied(
    tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame], definition: str
) -> None:
    """The topic is not tracked. Its definition must not end the run after all images are tracked."""
    source = record(tmp_path / "in", scene, COUNT, StoragePlugin.SQLITE3)
    messages = list(contents(source))
    with contextlib.closing(sqlite3.connect(source / "in.db3")) as base, base:
        base.execute("UPDATE message_definitions SET encoded_message_definition = ? WHERE topic_type LIKE 'std_msgs%'", (definition,))
        base.execute("UPDATE topics SET type_description_hash = '' WHERE type LIKE 'std_msgs%'")
    summary = job(source, tmp_path / "out", segmenter, frames, backward=False)
    assert summary.images == COUNT
    assert [item for item in contents(tmp_path / "out") if item[0] in (TOPIC, "/chatter")] == messages
    with contextlib.closing(sqlite3.connect(tmp_path / "out" / "out.db3")) as base:
        [(text,)] = base.execute("SELECT encoded_message_definition FROM message_definitions WHERE topic_type LIKE 'std_msgs%'").fetchall()
    assert text == definition


def test_single_file_with_compressed_messages_is_read(
    tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]
) -> None:
    """Only metadata.yaml declares the compression. Without metadata.yaml, the reader must detect it from the messages."""
    source = record(tmp_path / "in", scene, COUNT, StoragePlugin.SQLITE3, CompressionMode.MESSAGE)
    messages = list(contents(source))
    summary = job(source / "in.db3", tmp_path / "out", segmenter, frames, backward=False)
    assert summary.images == COUNT
    assert [item for item in contents(tmp_path / "out") if item[0] in (TOPIC, "/chatter")] == messages


def test_unreadable_image_is_skipped_and_counted(tmp_path: Path, segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]) -> None:
    """One damaged message must not end the run."""
    source = record(tmp_path / "in", scene, COUNT, StoragePlugin.SQLITE3)
    with contextlib.closing(sqlite3.connect(source / "in.db3")) as base, base:
        base.execute("UPDATE messages SET data = x'07070707' WHERE id = (SELECT max(id) FROM messages)")
    summary = job(source, tmp_path / "out", segmenter, frames, backward=False)
    assert summary.images == COUNT - 1
    assert summary.refused == {"unreadable": 1}
