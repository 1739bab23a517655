# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A vision-language server beside a running node: the tracker's rate while it answers, and what each of its failures costs.

A real track_node tracks three objects of the toy world, and a server on this machine answers instructions about the purple cross, which no
prompt names. The server finds the cross by its color in the image that it gets. Writes tables and out/bench/instruction_server.json.

* Rate: windows in which the server is asked again and again, and takes some seconds each time, alternate with windows without it.
* Failures: one instruction for each, then a right answer: message for the user, images without a result, and whether the next one succeeds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from aiohttp import web

from bench.chat_server import ChatServer, Reply, Seen, completion, respond
from bench.faults import rig as rigs
from bench.faults.rig import Rig, rig
from lang2segtrack.msg import Track
from lang2segtrack.srv import AddInstruction, RemoveTrack
from lang2segtrack_ros.types.rle import Rle

TEXT = "the thing that looks like a plus sign"
CROSS = 4
ANSWER_S = 5.0
TIMEOUT_S = 8.0
Frames = dict[str, float]


def cross_box(image: np.ndarray) -> list[int]:
    """Return the box (x_min, y_min, x_max, y_max) of the purple pixels of an RGB image, in thousandths of its size."""
    red, green, blue = (image[:, :, channel].astype(int) for channel in range(3))
    x, y, width, height = cv2.boundingRect(((red - green > 50) & (blue - green > 50)).astype(np.uint8))
    edges = 1000 * np.array([x, y, x + width, y + height]) / np.array([image.shape[1], image.shape[0]] * 2)
    return [round(edge) for edge in edges.tolist()]


def right(seen: Seen) -> str:
    """Return the true answer to a request."""
    return json.dumps([{"bbox_2d": cross_box(seen.image), "label": "plus sign"}])


def delayed(seconds: float, reply: Callable[[Seen], str] = right) -> Reply:
    """Return a reply that takes some seconds."""

    async def handle(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return web.json_response(completion(reply(Seen(0.0, {}, json.loads(await request.text())))))

    return handle


async def drip(request: web.Request) -> web.StreamResponse:
    """Send one byte a second, for ever."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    with contextlib.suppress(ConnectionResetError):  # the client gives up
        while True:
            await response.write(b" ")
            await asyncio.sleep(1.0)
    return response


FAILURES: dict[str, Reply] = {
    "boxes in pixels, declared as thousandths": lambda seen: json.dumps([{"bbox_2d": [2000, 90, 2600, 300], "label": "plus sign"}]),
    "prose around JSON": lambda seen: f"Certainly! Here it is:\n```json\n{right(seen)}\n```\nAnything else?",
    "truncated JSON": lambda seen: right(seen)[:-9],
    "empty answer": "",
    "no such object": "[]",
    "HTTP 429": respond(429, '{"error": {"message": "slow down"}}', Retry_After="1"),
    "HTTP 500": respond(500, "CUDA error: out of memory"),
    "no response": delayed(10 * TIMEOUT_S),
    "slow response": drip,
    "wrong content type": respond(200, "<html>Welcome</html>", "text/html"),
}
"""Reply of the server by name of the failure."""


def cross_iou(node: Rig, stamp: int, track_id: int) -> float:
    """Return the IoU of a track with the cross on an image. 0 without a track."""
    truth = node.frames[node.shown[stamp].index].instances == CROSS
    for track in node.received[stamp][1].tracks:
        if track.id == track_id and track.state == Track.TRACKED:
            mask = Rle(track.mask.height, track.mask.width, track.mask.counts).decode()
            return int(np.count_nonzero(mask & truth)) / max(1, int(np.count_nonzero(mask | truth)))
    return 0.0


def window(node: Rig, seconds: float, is_asked: bool) -> float:
    """Publish for some seconds and return the rate of results in Hz. With `is_asked`, an instruction is always in progress."""
    began, future = time.monotonic(), None
    before = len(node.received)
    while time.monotonic() - began < seconds:
        if is_asked and (future is None or future.done()):
            future = node.ask(AddInstruction, "add_instruction", text=TEXT)
        node.run(rigs.PERIOD_S)
    rate = (len(node.received) - before) / (time.monotonic() - began)
    while future is not None and not future.done():
        node.run(rigs.PERIOD_S)
    return rate


def measure_rate(node: Rig, server: ChatServer, seconds: float, repeats: int) -> dict[str, Any]:
    """Return the rates without and with a server that is asked all the time, and the object that its first answer has started."""
    server.replies = [delayed(ANSWER_S)]
    node.begin()
    began = time.monotonic()
    answer = node.call(AddInstruction, "add_instruction", limit_s=60.0, text=TEXT)
    waited = time.monotonic() - began
    node.run(2.0)
    (track_id,) = answer.track_ids
    stamps = sorted(stamp for stamp in node.received if stamp in node.shown)[-5:]
    ious = [cross_iou(node, stamp, track_id) for stamp in stamps]
    pairs = [(window(node, seconds, False), window(node, seconds, True)) for _ in range(repeats)]
    again = node.call(AddInstruction, "add_instruction", limit_s=60.0, text=TEXT)
    return {
        "answer_s": round(waited, 2),
        "message": answer.message,
        "iou": round(statistics.mean(ious), 3),
        "same_id_later": list(again.track_ids) == [track_id],
        "rate_without_hz": [round(pair[0], 2) for pair in pairs],
        "rate_with_hz": [round(pair[1], 2) for pair in pairs],
        "ratio": round(statistics.median([pair[1] / pair[0] for pair in pairs]), 3),
    }


def measure_failure(node: Rig, server: ChatServer, reply: Reply) -> dict[str, Any]:
    """Return what one failure costs, and whether the next instruction succeeds."""
    server.replies = [reply]
    node.run(1.0)
    since = time.monotonic()
    answer = node.call(AddInstruction, "add_instruction", limit_s=60.0, text=TEXT)
    seconds = time.monotonic() - since
    node.spin(1.0)
    lost, shown = node.count_lost(since)
    server.replies = [right]
    recovered: Any = None
    end = time.monotonic() + 60.0
    while time.monotonic() < end and not (recovered is not None and recovered.track_ids):  # the client pauses after failures
        recovered = node.call(AddInstruction, "add_instruction", limit_s=60.0, text=TEXT)
    for track_id in {*answer.track_ids, *recovered.track_ids}:
        node.call(RemoveTrack, "remove_track", track_id=track_id)
    return {
        "success": bool(answer.success),
        "message": answer.message,
        "seconds": round(seconds, 1),
        "images": shown,
        "images_lost": lost,
        "objects_kept": node.all_found(max(stamp for stamp in node.received if stamp in node.shown)),
        "recovered": bool(recovered.track_ids),
    }


def main() -> None:
    """Run both measurements and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=12.0, help="length of a window of the rate")
    parser.add_argument("--repeats", type=int, default=4, help="number of pairs of windows")
    parser.add_argument("--rate", type=float, default=30.0, help="images per second for the rate; above what the tracker can process")
    parser.add_argument("--out", type=Path, default=Path("out/bench/instruction_server.json"))
    options = parser.parse_args()
    server = ChatServer([right])
    settings = (f"vlm_url:={server.url}", "vlm_model:=qwen3-vl", f"vlm_timeout_s:={TIMEOUT_S}", "vlm_max_requests_per_min:=6000")
    arguments = [part for setting in settings for part in ("-p", setting)]
    results: dict[str, Any] = {"machine": platform.processor() or platform.machine()}
    with tempfile.TemporaryDirectory() as folder, rig(Path(folder), *arguments) as node:
        period, rigs.PERIOD_S = rigs.PERIOD_S, 1.0 / options.rate
        results["rate"] = measure_rate(node, server, options.seconds, options.repeats)
        rigs.PERIOD_S = period
        print(json.dumps(results["rate"], indent=2))
        node.begin()
        results["failures"] = {}
        print("\n| server | response of the service | after | images lost | objects kept | next instruction |\n|---|---|---|---|---|---|")
        for name, reply in FAILURES.items():
            row = results["failures"][name] = measure_failure(node, server, reply)
            cells = (
                row["message"],
                f"{row['seconds']} s",
                f"{row['images_lost']} of {row['images']}",
                row["objects_kept"],
                row["recovered"],
            )
            print(f"| {name} | {' | '.join(map(str, cells))} |", flush=True)
    server.close()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
