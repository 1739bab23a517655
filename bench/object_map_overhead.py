# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Latency of track_node with and without object_map_node: `python -m bench.object_map_overhead`.

The toy camera walks through its room. Both cases alternate, so that a change of the machine's load affects both.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile

from lang2segtrack.msg import TrackArray
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.ros.support.process import spin_until
from lang2segtrack_ros.toyworld.demo import REMAPPINGS
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment

REMAP = [argument for rule in REMAPPINGS for argument in ("-r", rule)]
SETTLE_S = 6.0


def processor_seconds(process: Any) -> float:
    """Return the processor time of a process in seconds, from /proc (Linux)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def memory_mib(process: Any) -> float:
    """Return the resident memory of a process in MiB, from /proc (Linux)."""
    (line,) = (line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Measure and print both latencies, and the processor time of the map."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="duration of each part")
    parser.add_argument("--parts", type=int, default=3, help="number of parts of each case")
    options = parser.parse_args()
    latencies: dict[bool, list[float]] = {False: [], True: []}
    shares, memory = [], 0.0
    with tempfile.TemporaryDirectory() as folder, isolated_environment() as environment:
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=int(environment["ROS_DOMAIN_ID"]))
        node = rclpy.create_node("listener", context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        case: list[bool | None] = [None]

        def note(msg: TrackArray) -> None:
            if case[0] is not None:
                latencies[case[0]].append((node.get_clock().now().nanoseconds - stamp_ns(msg.header.stamp)) / 1e6)

        node.create_subscription(TrackArray, "tracks", note, QoSProfile(depth=50))
        with Processes(environment, Path(folder)) as processes:
            stream = ["-p", "suite:=room", "-p", "fps:=6.0", "-p", "width:=320", "-p", "height:=240"]
            processes.start("camera", [*executable("toy_camera"), "--ros-args", *stream])
            toy = ["-p", "segmenter:=toy", "-p", "detector:=toy", "-p", "device:=cpu", "-p", "text:=red circle. blue square."]
            processes.start("track_node", [*executable("track_node"), "--ros-args", *toy, *REMAP])
            spin_until(executor, 20.0)
            for part in range(2 * options.parts):
                with_map = part % 2 == 1
                with Processes(environment, Path(folder) / str(part)) as more:
                    started = None
                    if with_map:
                        file = ["-p", f"file:={folder}/objects.db"]
                        started = more.start("object_map_node", [*executable("object_map_node"), "--ros-args", *file, *REMAP])
                    spin_until(executor, SETTLE_S)
                    before, start = processor_seconds(started) if started else 0.0, time.monotonic()
                    case[0] = with_map
                    spin_until(executor, options.seconds)
                    case[0] = None
                    if started is not None:
                        shares.append((processor_seconds(started) - before) / (time.monotonic() - start))
                        memory = max(memory, memory_mib(started))
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
    for with_map, name in ((False, "without the map"), (True, "with the map")):
        values = np.array(latencies[with_map])
        print(f"{name}: {len(values)} images, median {np.median(values):.1f} ms, p95 {np.percentile(values, 95):.1f} ms")
    print(f"difference of the medians: {np.median(latencies[True]) - np.median(latencies[False]):+.2f} ms")
    print(f"object_map_node: {100 * float(np.mean(shares)):.0f} % of one core, {memory:.0f} MiB")


if __name__ == "__main__":
    main()
