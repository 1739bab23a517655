# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The node's services: requests to prompts, prompts to the engine, answers back, without ever blocking the executor."""

from __future__ import annotations

import concurrent.futures
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.task import Future
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from lang2segtrack.msg import TextPrompt as TextPromptMsg
from lang2segtrack.srv import (
    AddBoxPrompt,
    AddMaskPrompt,
    AddPointPrompt,
    AddTextPrompt,
    ListTracks,
    RemoveTextPrompt,
    RemoveTrack,
    SegmentImage,
)
from lang2segtrack_ros.io.image_messages import ConversionError, image_to_rgb
from lang2segtrack_ros.ros.services.image_requests import BusyError, ImageRequests
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import MAX_POINTS, BoxPrompt, MaskPrompt, PointPrompt, Prompt, PromptError, TextPrompt

REPLY_S = 3.0
"""A prompt that no image has answered for this long is answered as kept."""
TAKEN_S = 6.0
"""The engine takes a prompt between two images: a large network on a CPU works on one for so long."""
IMAGE_REPLY_S = 600.0
"""An image that is not segmented after this long is answered as failed; a large detector on a CPU may take minutes."""
REQUESTS = QoSProfile(depth=1000)
"""The usual ten are lost from the eleventh on when many ask at once, and their callers wait for ever."""
T = TypeVar("T")

SERVICES: tuple[tuple[str, str, str], ...] = (
    (
        "add_text_prompt",
        "lang2segtrack/AddTextPrompt",
        "Find objects by name, or change what is looked for; answers after the first look.",
    ),
    ("remove_text_prompt", "lang2segtrack/RemoveTextPrompt", "Look for it no longer; its objects stay."),
    ("add_box_prompt", "lang2segtrack/AddBoxPrompt", "Track what is in a box, or correct a track."),
    ("add_point_prompt", "lang2segtrack/AddPointPrompt", "Track what is under points, or correct a track with points on and off it."),
    ("add_mask_prompt", "lang2segtrack/AddMaskPrompt", "Track what a mask covers, or correct a track."),
    ("remove_track", "lang2segtrack/RemoveTrack", "Forget one object."),
    ("list_tracks", "lang2segtrack/ListTracks", "What is tracked and looked for."),
    ("segment_image", "lang2segtrack/SegmentImage", "Objects by name on one image: labels, scores, boxes, masks; tracking goes on."),
    ("refine_backward", "lang2segtrack/RefineBackward", "Whole traces, back through what the node remembers; see also the action."),
    ("reset", "std_srvs/Trigger", "Forget all objects and prompts."),
)


class ServiceNode(Protocol):
    """What the services need of the node."""

    engine: EngineThread[Header] | None
    image_requests: ImageRequests | None
    images_seen: bool
    detection_threshold: float
    last_header: Header

    def no_engine(self) -> str:
        """Why there is no engine now, as a sentence."""
        ...

    def waiting_for(self) -> str:
        """What the node waits for when no image comes, as a sentence."""
        ...


class Services:
    """Offers the services of `SERVICES` on a node."""

    def __init__(self, node: LifecycleNode, host: ServiceNode) -> None:
        self._node = node
        self._host = host
        self.failed: Counter[str] = Counter()
        self._waiting: list[tuple[float, Future[None]]] = []
        self._guard_group = ReentrantCallbackGroup()
        self._guard = node.create_guard_condition(lambda: None, self._guard_group)
        self._group = ReentrantCallbackGroup()  # one service that waits must not hold up the others
        offered: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
            (AddTextPrompt, "add_text_prompt", self._add_text),
            (RemoveTextPrompt, "remove_text_prompt", self._remove_text),
            (AddBoxPrompt, "add_box_prompt", self._add_box),
            (AddPointPrompt, "add_point_prompt", self._add_point),
            (AddMaskPrompt, "add_mask_prompt", self._add_mask),
            (RemoveTrack, "remove_track", self._remove),
            (ListTracks, "list_tracks", self._list),
            (SegmentImage, "segment_image", self._segment),
            (Trigger, "reset", self._reset),
        )
        for service_type, name, callback in offered:
            self.offer(service_type, name, callback)

    def offer(self, service_type: Any, name: str, callback: Callable[..., Any]) -> None:
        """Another service of the node, which answers whatever happens."""
        self._node.create_service(service_type, name, self._answering(name, callback), qos_profile=REQUESTS, callback_group=self._group)

    def _answering(self, name: str, callback: Callable[..., Any]) -> Callable[..., Any]:
        """A callback that answers whatever happens: an exception would end the executor and leave the caller waiting for ever."""

        async def answer(request: Any, response: Any) -> Any:
            try:
                return await callback(request, response)
            except Exception as error:
                self.failed[name] += 1
                self._node.get_logger().error(f"{name} failed:\n{traceback.format_exc()}")
                empty = type(response)()
                if hasattr(empty, "message"):
                    empty.message = f"{name} failed, and nothing was changed: {type(error).__name__}: {error}"
                return empty

        return answer

    @property
    def metrics(self) -> dict[str, object]:
        """What a user may want to know of services, by name."""
        failed = {f"service_failures_{name}": count for name, count in sorted(self.failed.items())}
        return {"services_pending": len(self._waiting), **failed}

    def wake(self) -> None:
        """Lets the executor look at the services that wait; may be called from any thread."""
        self._guard.trigger()

    def expire(self) -> None:
        """Lets go of answers that are overdue; to be called now and then on the executor."""
        now = time.monotonic()
        waiting, self._waiting = self._waiting, []
        for until, future in waiting:
            if future.done():
                continue
            if now > until:
                future.set_result(None)
            else:
                self._waiting.append((until, future))

    async def finished(self, work: concurrent.futures.Future[T], limit_s: float = REPLY_S) -> bool:
        """Waits until a future of another thread is done, at most so long; whether it is."""
        bridge: Future[None] = Future()

        def done(_: Any) -> None:
            if not bridge.done():
                bridge.set_result(None)
            self.wake()

        self._waiting.append((time.monotonic() + limit_s, bridge))
        work.add_done_callback(done)
        await bridge
        return work.done()

    async def _prompt(self, make: Callable[[], Prompt], response: Any, replace_prompt_id: int = 0) -> Any:
        engine = self._host.engine
        if engine is None:
            response.message = self._host.no_engine()
            return response
        try:
            prompt = make()
        except (PromptError, ConversionError) as error:
            response.message = str(error)
            return response
        taken = engine.call(lambda session: session.prompt(prompt, replace_prompt_id))
        try:
            if not await self.finished(taken, TAKEN_S):
                response.message = "the engine is still busy with an image; the prompt is taken after it, unless it is refused"
                return response
            handle = taken.result()
            if hasattr(response, "prompt_id"):
                response.prompt_id = handle.prompt_id
            # Before the first image there is nothing to wait for.
            applied = engine.applied(handle) if self._host.images_seen else None
            answered = applied is not None and await self.finished(applied)
            if applied is not None and answered:
                applied.result()
        except Exception as error:  # refused by the session, or shutting down; either way a sentence for the caller
            response.message = str(error)
            return response
        if not answered:
            response.success = True
            response.message = f"kept, and applied to the next image ({self._host.waiting_for()})"
            return response
        return self._fill(response, handle)

    @staticmethod
    def _fill(response: Any, handle: PromptHandle) -> Any:
        response.success = not handle.error
        response.message = handle.error or "; ".join(handle.notes)
        response.track_ids = handle.track_ids
        if hasattr(response, "labels"):
            response.labels = handle.labels
        return response

    async def _add_text(self, request: AddTextPrompt.Request, response: AddTextPrompt.Response) -> Any:
        threshold = float(request.threshold) or self._host.detection_threshold or None
        interval = int(request.interval) or None
        replace_prompt_id = int(request.replace_prompt_id)
        return await self._prompt(
            lambda: TextPrompt(request.text, request.mode or "continuous", threshold, interval), response, replace_prompt_id
        )

    async def _add_box(self, request: AddBoxPrompt.Request, response: AddBoxPrompt.Response) -> Any:
        box = (request.x_min, request.y_min, request.x_max, request.y_max)
        return await self._prompt(lambda: BoxPrompt(box, request.label, request.track_id or None), response)

    async def _add_point(self, request: AddPointPrompt.Request, response: AddPointPrompt.Response) -> Any:
        points = [(point.x, point.y) for point in request.points[: MAX_POINTS + 1]]  # one too many is refused as well as a million
        return await self._prompt(lambda: PointPrompt(points, list(request.labels), request.label, request.track_id or None), response)

    async def _add_mask(self, request: AddMaskPrompt.Request, response: AddMaskPrompt.Response) -> Any:
        def make() -> Prompt:
            if request.mask.encoding not in ("mono8", "8UC1"):
                raise PromptError(f'the mask\'s encoding is "{request.mask.encoding}"; send mono8 or 8UC1')
            return MaskPrompt(image_to_rgb(request.mask)[:, :, 0] > 0, request.label, request.track_id or None)

        return await self._prompt(make, response)

    async def _call(self, response: Any, function: Callable[[Session], None]) -> Any:
        engine = self._host.engine
        if engine is None:
            response.message = self._host.no_engine()
            return response
        work = engine.call(function)
        if not await self.finished(work):
            response.message = "the engine is still busy with an image; the request is carried out after it"
            return response
        error = work.exception()
        response.success = error is None
        response.message = str(error) if error is not None else ""
        return response

    async def _remove_text(self, request: RemoveTextPrompt.Request, response: RemoveTextPrompt.Response) -> Any:
        return await self._call(response, lambda session: session.remove_text(int(request.prompt_id)))

    async def _remove(self, request: RemoveTrack.Request, response: RemoveTrack.Response) -> Any:
        return await self._call(response, lambda session: session.remove(int(request.track_id)))

    async def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Any:
        return await self._call(response, lambda session: session.reset())

    async def _list(self, request: ListTracks.Request, response: ListTracks.Response) -> Any:
        engine = self._host.engine
        if engine is None:
            return response
        work = engine.call(lambda session: (session.last, list(session.tracker.ids), session.texts, session.detect_every))
        if await self.finished(work):
            last, ids, texts, interval = work.result()
            response.text_prompts = [
                TextPromptMsg(prompt_id=number, phrases=text.phrases, threshold=text.threshold or 0.0, interval=text.interval or interval)
                for number, text in texts.items()
            ]
            if last is not None:
                response.header = self._host.last_header
                response.tracks = [MESSAGES.track(track, with_mask=False) for track in last.tracks if track.id in ids]
        return response

    async def _segment(self, request: SegmentImage.Request, response: SegmentImage.Response) -> Any:
        requests = self._host.image_requests
        if requests is None:
            response.message = self._host.no_engine()
            return response
        try:
            threshold = float(request.threshold) or self._host.detection_threshold or None
            work = requests.ask(image_to_rgb(request.image), TextPrompt(request.text, "once", threshold))
        except (PromptError, ConversionError, BusyError) as error:
            response.message = str(error)
            return response
        if not await self.finished(work, IMAGE_REPLY_S):
            response.message = f"the image was not segmented within {IMAGE_REPLY_S:.0f} s"
            return response
        try:
            objects, response.message = work.result()
        except Exception as failure:  # out of memory, or shutting down; either way a sentence for the caller
            response.message = f"{type(failure).__name__}: {failure}"
            return response
        response.success = True
        response.labels = [item.label for item in objects]
        response.scores = [item.score for item in objects]
        response.boxes = [MESSAGES.box(item.box) for item in objects]
        response.masks = [MESSAGES.rle(item.rle) for item in objects]
        return response
