# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A process that changes a map without end, and its kill at random moments. `python -m test.object_map.killing --moments 50` is a long run.

The process prints the number of each change before it makes it and after the save. A killed process may lose only changes whose save it
has not reported.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lang2segtrack_ros.object_map.object_map import ObjectMap
from lang2segtrack_ros.object_map.objects import MapObject
from lang2segtrack_ros.object_map.store import MapStore


def change_without_end(path: Path) -> None:
    """Add an object, move an older one and remove a third one, save, report, and begin again."""
    store = MapStore(path)
    objects, next_id, merged = store.load()
    world = ObjectMap(objects=objects, next_id=next_id, merged=merged)
    while True:
        number = world.next_id
        item = MapObject(number, f"thing {number}", np.array([number, 0.0, 0.0]), np.eye(3) * 1e-4, (0.1, 0.1, 0.1), 1, number)
        world.table.add(item)
        world.next_id += 1
        changes = world.take_changes()
        changes.updated.add(number)
        changes.thumbnails[number] = b"x" * 2000
        if number > 50:
            world.table.remove(number - 50)
            changes.removed.add(number - 50)
        store.save(world, changes)
        print(number, flush=True)


def kill_once(path: Path, seconds: float) -> tuple[int, list[int]]:
    """Kill a process that changes a map after some seconds of work.

    Args:
        path: the file.
        seconds: time from the first reported change to the kill.

    Returns:
        The last change that the process reported, and the ids in the file afterwards.
    """
    command = [sys.executable, "-m", "test.object_map.killing", "--change", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        lines = [first, *process.stdout.readlines()]
    reported = max(int(line) for line in lines if line.endswith("\n"))
    store = MapStore(path)
    objects, next_id, _ = store.load()
    store.close()
    ids = sorted(item.id for item in objects)
    assert next_id == ids[-1] + 1, f"the next id is {next_id}, the last object {ids[-1]}: a transaction was torn"
    assert ids == list(range(max(1, ids[-1] - 49), ids[-1] + 1)), f"the file has the ids {ids}: a transaction was torn"
    return reported, ids


def main() -> None:
    """Kill a process at random moments and report."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--change", type=Path, help="change the map in this file without end")
    parser.add_argument("--moments", type=int, default=50, help="number of kills")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.change:
        change_without_end(options.change)
    random_moment = random.Random(options.seed)
    lost = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.moments):
            reported, ids = kill_once(Path(folder) / "map.db", random_moment.uniform(0.0, 0.6))
            lost.append(reported - ids[-1])
    print(f"{options.moments} kills: the file opened each time; saved changes that were lost: {max(max(lost), 0)}")


if __name__ == "__main__":
    main()
