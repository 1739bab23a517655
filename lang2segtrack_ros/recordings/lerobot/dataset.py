# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The writer of a LeRobot dataset, format v3.0: Parquet files of frames and episodes, MP4 files of cameras, and JSON beside them.

Each episode has files of its own. LeRobot reads any distribution of episodes over files. Source of the format: `lerobot/datasets` of
LeRobot 0.4 (Apache-2.0), whose own writer needs older versions of torch and huggingface_hub than this package.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lang2segtrack_ros.recordings.bag_types import BagError
from lang2segtrack_ros.recordings.lerobot.episode import Episode, EpisodeFrame
from lang2segtrack_ros.recordings.lerobot.objects import PATH as OBJECTS_PATH
from lang2segtrack_ros.recordings.lerobot.objects import ObjectWriter
from lang2segtrack_ros.recordings.lerobot.statistics import Stats, image_stats, joined, vector_stats
from lang2segtrack_ros.recordings.lerobot.video import VideoWriter

VERSION = "v3.0"
CHUNK = 1000
"""Number of files in a folder."""
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"
IMAGE_KEY = "observation.images."
_STATISTICS_EVERY = 15  # frames from one image of the statistics to the next
_STATISTICS_STEP = 8  # pixels from one of them to the next, in both directions
_COUNTERS = ("timestamp", "frame_index", "episode_index", "index", "task_index")


class DatasetWriter:
    """A writer of a dataset. Memory grows by the numbers of the episodes only, not by their images.

    Args:
        root: folder of the dataset.
        fps: frames per second.
        robot: name of the robot, for info.json.

    Attributes:
        frames: number of frames so far.
        objects: number of objects on all of them.
    """

    def __init__(self, root: Path, fps: int, robot: str) -> None:
        self.frames = 0
        self.objects = 0
        self._root, self._fps, self._robot = root, fps, robot
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict[str, Any]] = []
        self._stats: list[dict[str, Stats]] = []
        self._features: dict[str, dict[str, Any]] = {}

    def add_episode(self, episode: Episode, task: str) -> Counter[str]:
        """Write an episode. Return the number of frames with something to report, by sentence.

        Args:
            episode: the open episode.
            task: what the robot does, in words.

        Raises:
            BagError: the bag cannot be read, or its cameras or numbers differ from those of the first episode.
            TraceError: a tracked recording cannot be read.
        """
        number = len(self._episodes)
        place = {"chunk_index": number // CHUNK, "file_index": number % CHUNK}
        task_index = self._tasks.setdefault(task, len(self._tasks))
        pixels: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in episode.cameras}
        vectors: dict[str, list[tuple[float, ...]]] = {name: [] for name in episode.signals}
        objects = ObjectWriter(self._root / OBJECTS_PATH.format(chunk=place["chunk_index"], file=place["file_index"]))
        names: dict[str, tuple[str, ...]] = {}
        length = 0
        with ExitStack() as stack:
            stack.callback(objects.close)
            videos = {
                name: stack.enter_context(VideoWriter(self._root / VIDEO_PATH.format(video_key=IMAGE_KEY + name, **place), self._fps))
                for name in episode.cameras
            }
            for length, frame in enumerate(episode.frames(), 1):
                index = {"episode_index": number, "frame_index": length - 1, "index": self.frames + length - 1}
                self._add_frame(frame, videos, objects, index, episode)
                for name, sample in frame.vectors.items():
                    vectors[name].append(sample.values)
                    names.setdefault(name, sample.names)
                if (length - 1) % _STATISTICS_EVERY == 0:
                    for name, color in frame.images.items():
                        pixels[name].append(color[::_STATISTICS_STEP, ::_STATISTICS_STEP].reshape(-1, 3))
        self._check_features(episode, videos, names)
        columns = {name: np.array(values) for name, values in vectors.items()}
        self._write_data(columns, length, number, task_index, place)
        stats = {IMAGE_KEY + name: image_stats(items) for name, items in pixels.items()}
        stats |= {name: vector_stats(values) for name, values in columns.items()}
        self._episodes.append(self._episode_row(number, task, length, place, list(videos), stats))
        self._stats.append(stats)
        self.frames += length
        self.objects += objects.rows
        return +episode.counts

    @staticmethod
    def _add_frame(
        frame: EpisodeFrame, videos: dict[str, VideoWriter], objects: ObjectWriter, index: dict[str, int], episode: Episode
    ) -> None:
        for name, color in frame.images.items():
            try:
                videos[name].add(color)
            except ValueError as error:
                raise BagError(f"{episode.parts.bag}, camera {name}: {error}: export the parts of one size") from error
        for name, items in frame.objects.items():
            for item in items:
                objects.add(index, name, item)

    def finish(self) -> None:
        """Write the files that describe the dataset. Without them, LeRobot does not read it."""
        meta = self._root / "meta"
        meta.mkdir(parents=True, exist_ok=True)
        (self._root / EPISODES_PATH).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(self._episodes), self._root / EPISODES_PATH)
        pq.write_table(_tasks_table(self._tasks), meta / "tasks.parquet")
        stats = {name: joined([item[name] for item in self._stats]) for name in self._stats[0]}
        _write_json(meta / "stats.json", {name: {key: value.tolist() for key, value in item.items()} for name, item in stats.items()})
        counters = {name: {"dtype": "float32" if name == "timestamp" else "int64", "shape": [1], "names": None} for name in _COUNTERS}
        info = {
            "codebase_version": VERSION,
            "robot_type": self._robot,
            "total_episodes": len(self._episodes),
            "total_frames": self.frames,
            "total_tasks": len(self._tasks),
            "chunks_size": CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": self._fps,
            "splits": {"train": f"0:{len(self._episodes)}"},
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH,
            "features": {**self._features, **counters},
        }
        _write_json(meta / "info.json", info)

    def _check_features(self, episode: Episode, videos: dict[str, VideoWriter], names: dict[str, tuple[str, ...]]) -> None:
        """Take the features of the first episode, and refuse an episode with others."""
        features: dict[str, dict[str, Any]] = {}
        for name, video in videos.items():
            size = video.size or (0, 0)
            features[IMAGE_KEY + name] = {
                "dtype": "video",
                "shape": [*size, 3],
                "names": ["height", "width", "channels"],
                "info": video.info(),
            }
        for name, labels in names.items():
            features[name] = {"dtype": "float32", "shape": [len(labels)], "names": list(labels)}
        self._features = self._features or features
        for name, feature in features.items():
            if feature != self._features.get(name):
                raise BagError(
                    f"{episode.parts.bag}: {name} is {feature['shape']}, and {self._features.get(name, {}).get('shape')} in the first "
                    "episode, or its names differ: export such bags to datasets of their own"
                )

    def _write_data(
        self, columns: dict[str, NDArray[np.float64]], length: int, number: int, task_index: int, place: dict[str, int]
    ) -> None:
        rows = np.arange(length)
        arrays: dict[str, Any] = {name: _vectors(values) for name, values in columns.items()}
        arrays |= {
            "timestamp": pa.array((rows / self._fps).astype(np.float32)),
            "frame_index": pa.array(rows),
            "episode_index": pa.array(np.full(length, number)),
            "index": pa.array(rows + self.frames),
            "task_index": pa.array(np.full(length, task_index)),
        }
        path = self._root / DATA_PATH.format(**place)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(arrays), path)

    def _episode_row(
        self, number: int, task: str, length: int, place: dict[str, int], cameras: list[str], stats: dict[str, Stats]
    ) -> dict[str, Any]:
        row: dict[str, Any] = {
            "episode_index": number,
            "tasks": [task],
            "length": length,
            **{f"data/{name}": value for name, value in place.items()},
            "dataset_from_index": self.frames,
            "dataset_to_index": self.frames + length,
        }
        for camera in cameras:
            key = f"videos/{IMAGE_KEY}{camera}"
            row |= {f"{key}/{name}": value for name, value in place.items()}
            row |= {f"{key}/from_timestamp": 0.0, f"{key}/to_timestamp": length / self._fps}
        row |= {f"stats/{name}/{key}": value.tolist() for name, item in stats.items() for key, value in item.items()}
        return {**row, "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}


def _vectors(values: NDArray[np.float64]) -> Any:
    """Return rows of numbers as a column of float32: of lists, or of single numbers as LeRobot stores them."""
    flat = pa.array(values.astype(np.float32).ravel())
    return flat if values.shape[1] == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _tasks_table(tasks: dict[str, int]) -> Any:
    """Return the tasks as pandas stores a frame with the tasks as index, because LeRobot reads the file with pandas."""
    index = "__index_level_0__"
    column = {"field_name": "task_index", "name": "task_index", "numpy_type": "int64", "pandas_type": "int64", "metadata": None}
    label = {"field_name": index, "name": None, "numpy_type": "object", "pandas_type": "unicode", "metadata": None}
    about = {"index_columns": [index], "column_indexes": [], "columns": [column, label], "pandas_version": "2.0.0"}
    table = pa.table({"task_index": pa.array(list(tasks.values()), pa.int64()), index: pa.array(list(tasks), pa.string())})
    return table.replace_schema_metadata({"pandas": json.dumps(about)})


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
