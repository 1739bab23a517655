# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A session with a vision-language model on a real server: objects are chosen, checked again, let go, and failures reported."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from bench.chat_server import ChatServer, Seen, respond
from lang2segtrack_ros.instructions.vlm.factory import make_vlm_resolver
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.arrangements import Item, make_arrangement
from lang2segtrack_ros.types.events import EventKind
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.results import FrameResult
from test.conftest import iou
from test.instructions.vlm.toy_answers import boxes_of, true_answer

Serve = Callable[..., ChatServer]
WORLD = make_arrangement("scattered", 3)
CROSS, TRIANGLE = WORLD.items[3:5]
FRAME_NS = 100_000_000


def play(session: Session, frames: int, start: int = 0) -> list[FrameResult]:
    """Return the results of frames of the resting scene."""
    return [session.step(Frame(WORLD.shot.color, (start + number) * FRAME_NS)) for number in range(frames)]


def mask_of(item: Item) -> np.ndarray:
    """Return the true mask of an object."""
    return np.asarray(WORLD.shot.instances == item.number)


def numbers_of(seen: Seen, *names: str) -> list[int]:
    """Return the numbers of tracks with these labels, as the text of the request lists them."""
    listed = seen.text.partition("number: ")[2].partition(". Find")[0]
    return [int(part.split(":")[0]) for part in listed.split(", ") if json.loads(part.split(": ")[1]) in names]


def test_instruction_follows_the_answers(serve: Serve, segmenter: Sam2Segmenter) -> None:
    """The first answer starts a track. Checks again keep it by its number, then choose another object, and the track is let go."""
    box = {"bbox_2d": boxes_of([TRIANGLE], 320, 240)[0], "label": "triangle"}

    def keep(seen: Seen) -> str:
        return json.dumps({"numbers": numbers_of(seen, "cross"), "others": []})

    def change(seen: Seen) -> str:
        return json.dumps({"numbers": numbers_of(seen, "triangle"), "others": [] if numbers_of(seen, "triangle") else [box]})

    server = serve(true_answer([CROSS]), keep, keep, change)
    resolver = make_vlm_resolver(server.options(vlm_answer_format="pixels"))
    session = Session(segmenter, resolver=resolver, background=False)
    handle = session.prompt(InstructionPrompt("the thing a person would press", mode="continuous", verify_every_s=0.3))
    results = play(session, 20)
    outcome = handle.future.result(0)
    assert outcome.labels == ("cross",)
    assert outcome.reasons == (f'{resolver.name} named it "cross"',)
    assert outcome.plan[0] == f'asked {resolver.name}: "the thing a person would press"'
    first = outcome.track_ids[0]
    assert iou(results[5].by_id[first].mask, mask_of(CROSS)) > 0.8
    happened = [(event.kind, event.track_ids) for result in results for event in result.events]
    (second,) = {track.id for track in results[-1].tracks}
    assert happened == [(EventKind.CHOSEN, (first,)), (EventKind.CHOSEN, (second,)), (EventKind.RELEASED, (first,))]
    assert iou(results[-1].by_id[second].mask, mask_of(TRIANGLE)) > 0.8
    assert len(server.seen) >= 5
    session.close()


def test_failing_server_is_reported_once(serve: Serve, segmenter: Sam2Segmenter) -> None:
    """Tracking goes on, one event names the reason, and the server is not asked while it asks for a pause."""
    server = serve(respond(429, "", Retry_After="600"))
    session = Session(segmenter, resolver=make_vlm_resolver(server.options()), background=False)
    handle = session.prompt(InstructionPrompt("the cross", mode="continuous", verify_every_s=0.2))
    results = play(session, 12)
    reason = f"the server {server.url} refuses the request (HTTP 429): reduce vlm_max_requests_per_min"
    assert [event.message for result in results for event in result.events] == [reason]
    assert handle.future.result(0).notes == (f"not answered, and asked again later: {reason}",)
    assert len(server.seen) == 1
    metrics = session.instructions.metrics
    assert metrics["instructions_failed"] == metrics["vlm_requests_held_back"] + 1  # type: ignore[operator]
    session.close()
