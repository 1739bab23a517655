# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The object map against the truth of the toy room, with thousands of objects, and under kills: `python -m bench.object_map`.

Writes a table and a top view to out/bench. Times hold for the machine that runs it.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.object_map_picture import top_view
from bench.object_map_scenarios import HEADER, SIZE, Score, Walk, changed, loop_closure, still_tour, tours, two_cameras
from lang2segtrack_ros.geometry.surface import measure
from lang2segtrack_ros.identity.appearance import appearance_of
from lang2segtrack_ros.object_map.object_map import ObjectMap
from lang2segtrack_ros.object_map.objects import MapObject, ObjectState, Sighting, TrackReference
from lang2segtrack_ros.object_map.queries import Query, find
from lang2segtrack_ros.object_map.store import MapStore
from lang2segtrack_ros.object_map.words import LabelSimilarity
from lang2segtrack_ros.toyworld.room import default_items, furnished
from lang2segtrack_ros.toyworld.room_scene import RoomFrame, RoomScene
from lang2segtrack_ros.toyworld.room_truth import true_sightings

OUT = Path("out/bench")


def twenty_minutes(folder: Path, rate: float = 2.0) -> Score:
    """Twenty laps with new track ids in each, one item moved and one taken, and a restart from the file in the middle."""
    path = folder / "long.db"
    items = changed(default_items(), {4: (400.0, None), 9: (460.0, (1.5, 1.5))})
    scene = RoomScene(furnished(items, still_tour(20)), *SIZE)
    store = MapStore(path)
    walk = Walk("20 minutes, restart", scene, ObjectMap(), rate, lambda s, frame, at: true_sightings(s, frame, "", 100 * int(at // 60)))
    spent = time.process_time()
    for minute in range(20):
        walk.run(60.0 * minute, 60.0 * (minute + 1))
        store.save(walk.objects, walk.objects.take_changes())
        if minute == 9:
            store.close()
            store = MapStore(path)
            stored, next_id, merged = store.load()
            walk.objects = ObjectMap(None, stored, next_id, merged)
    score = walk.finish(1200.0)
    score.note = f"{time.process_time() - spent:.0f} s of processor time, pictures included"
    store.close()
    return score


def with_engine(rate: float = 8.0, laps: int = 1) -> tuple[Score, ObjectMap, RoomScene]:
    """The engine with the toy checkpoints on the tour: text prompts, masks of the tracker, noisy depth."""
    from lang2segtrack_ros import Frame, Session, SessionOptions, TextPrompt, load_detector, load_segmenter

    scene = RoomScene(furnished(default_items(), still_tour(laps)), *SIZE)
    session = Session(load_segmenter("toy"), load_detector("toy"), options=SessionOptions(detect_every=3))
    session.prompt(TextPrompt(". ".join(scene.labels) + "."))

    def tracker(scene: RoomScene, frame: RoomFrame, seconds: float) -> list[Sighting]:
        result = session.step(Frame(frame.color, round(seconds * 1e9)))
        sightings = []
        for track in result.announced:
            if track.box is None:
                continue
            others = [other.mask for other in result.tracks if other is not track and other.box is not None]
            surface = measure(track.mask, track.box, frame.depth_m, scene.camera, others)
            if surface is None:
                continue
            x1, y1, x2, y2 = track.box
            is_cut = x1 < 1 or y1 < 1 or x2 > scene.camera.width - 1 or y2 > scene.camera.height - 1
            appearance = appearance_of(frame.color, track.mask, track.box)
            reference = TrackReference("", track.id)
            center = np.array(surface.center)
            sightings.append(Sighting(reference, track.label, center, surface.size, track.score, appearance, is_cut))
        return sightings

    walk = Walk("engine, toy checkpoints", scene, ObjectMap(), rate, tracker)
    walk.run(0.0, 60.0 * laps)
    return walk.finish(60.0 * laps), walk.objects, scene


def crowd(count: int, seed: int = 0) -> list[MapObject]:
    """Return random objects in a building of 100 m by 100 m, with 200 labels."""
    rng = np.random.default_rng(seed)
    objects = []
    for number in range(1, count + 1):
        position = rng.uniform((0, 0, 0), (100, 100, 2))
        appearance = np.abs(rng.normal(size=264)).astype(np.float32)
        appearance /= np.linalg.norm(appearance)
        seen = int(rng.integers(10**18, 2 * 10**18))
        label = f"{('red', 'blue', 'green', 'small')[number % 4]} thing {number % 200}"
        item = MapObject(number, label, position, np.eye(3) * 1e-4, (0.1, 0.1, 0.2), seen, seen, ObjectState.REMEMBERED, seen)
        item.appearance, item.sightings = appearance, 20
        item.labels[label] = 20
        item.tracks[TrackReference("", number)] = seen
        objects.append(item)
    return objects


def capacity(folder: Path, count: int = 20_000, queries: int = 600) -> list[str]:
    """Measure a map of many objects: memory, file, load, and queries while images arrive."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    objects = ObjectMap(objects=crowd(count))
    changes = objects.take_changes()
    changes.updated |= {item.id for item in objects.table}
    changes.thumbnails.update({item.id: b"x" * 2000 for item in objects.table})
    store = MapStore(folder / "crowd.db")
    start = time.perf_counter()
    store.save(objects, changes)
    saved = time.perf_counter() - start
    store.close()
    store = MapStore(folder / "crowd.db")
    start = time.perf_counter()
    stored, next_id, merged = store.load()
    loaded = time.perf_counter() - start
    objects = ObjectMap(None, stored, next_id, merged)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    similarity, rng = LabelSimilarity(), np.random.default_rng(1)
    scene = RoomScene(furnished(default_items(), still_tour(1)), *SIZE)
    walk = Walk("crowd", scene, objects)
    times, observed = [], []
    for number in range(queries):
        kind = number % 4
        label = ("red thing 8", "thing 11", "", "blue thing")[kind]
        near = rng.uniform((0, 0, 0), (100, 100, 2)) if kind != 1 else None
        start = time.perf_counter()
        find(objects, Query(label, near, 5.0 if kind == 2 else 0.0), similarity)
        times.append(time.perf_counter() - start)
        if number % 2 == 0:  # five images for ten queries
            seconds = number / 10
            frame = scene.render_from(scene.room.camera_pose(seconds), seconds)
            sightings = true_sightings(scene, frame)
            start = time.perf_counter()
            objects.observe(walk.view(frame), sightings)
            observed.append(time.perf_counter() - start)
            store.save(objects, objects.take_changes())
    store.close()
    size = (folder / "crowd.db").stat().st_size / 2**20
    milliseconds = np.array(times) * 1000
    return [
        f"{count:,} objects: {memory:.0f} MiB more memory at the peak, file {size:.0f} MiB, first save {saved:.1f} s, load {loaded:.1f} s",
        f"{queries} queries, ten for each five images: median {np.median(milliseconds):.1f} ms, "
        f"p99 {np.percentile(milliseconds, 99):.1f} ms, largest {milliseconds.max():.1f} ms",
        f"an image with them: median {np.median(observed) * 1000:.1f} ms, p99 {np.percentile(observed, 99) * 1000:.1f} ms",
    ]


def kills(count: int) -> str:
    """Kill a process that saves changes without end at random moments."""
    command = [sys.executable, "-m", "test.object_map.killing", "--moments", str(count), "--seed", str(random.Random(5).randrange(99))]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Run the scenarios and print the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--only", default="", help="parts to run, separated by commas: tours, long, engine, capacity, kills")
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    chosen = set(filter(None, options.only.split(","))) or {"tours", "long", "engine", "capacity", "kills"}
    OUT.mkdir(parents=True, exist_ok=True)
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "tours" in chosen:
            for score in tours():
                print(score.row(), flush=True)
            print(two_cameras().row(), flush=True)
            print(loop_closure().row(), flush=True)
        if "long" in chosen:
            print(twenty_minutes(folder).row(), flush=True)
        if "engine" in chosen:
            score, objects, scene = with_engine()
            print(score.row(), flush=True)
            top_view(scene.room, list(objects.table), 60.0, OUT / "object_map.png")
        if "capacity" in chosen:
            print("\n".join(capacity(folder)), flush=True)
        if "kills" in chosen:
            print(kills(options.kills), flush=True)


if __name__ == "__main__":
    main()
