# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Services of track_node.

Each callback turns a request into a prompt or a call of the engine, waits for the result without blocking the executor, and responds.
"""

from __future__ import annotations

import concurrent.futures
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from lang2segtrack.msg import TextPrompt as TextPromptMsg
from lang2segtrack.srv import (
    AddBoxPrompt,
    AddExemplarPrompt,
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
from lang2segtrack_ros.ros.support import interfaces
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.ros.support.interfaces import Service
from lang2segtrack_ros.ros.support.session_loading import SessionLoading
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import (
    MAX_POINTS,
    BoxPrompt,
    ExemplarPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    PromptError,
    TextPrompt,
    plain_name,
)

REPLY_S = 3.0
"""If no image has applied a prompt for this long, the service responds that the prompt is kept."""
ACCEPT_S = 6.0
"""Maximum time until the engine accepts a prompt, between two images. A large network on a CPU takes that long for one image."""
LOADING_REPLY_S = 600.0
"""Maximum time for networks that are being loaded. A download may take longer; the service then says so."""
IMAGE_REPLY_S = 600.0
"""Maximum time for a single image. A large detector on a CPU may take minutes."""
T = TypeVar("T")


class ServiceNode(Protocol):
    """The attributes of a node that the services use.

    Attributes:
        engine: engine of the configured node, otherwise None.
        loading: networks that are being loaded, otherwise None.
        image_requests: queue of single images of the configured node, otherwise None.
        has_image: True after the first image.
        detection_threshold: default threshold of detections. 0 uses the detector's own.
        last_header: header of the last processed image.
    """

    engine: EngineThread[Header] | None
    loading: SessionLoading | None
    image_requests: ImageRequests | None
    has_image: bool
    detection_threshold: float
    last_header: Header

    @property
    def latest_color(self) -> NDArray[np.uint8] | None:
        """Last image, RGB uint8 [H, W, 3]. None before the first one. Raises ConversionError."""
        ...

    def explain_no_engine(self) -> str:
        """Return a sentence on why the node has no engine, with the fix."""
        ...

    def explain_waiting(self) -> str:
        """Return a sentence on why no image arrives."""
        ...


class Services:
    """The services of a node, except `refine_backward` (see `Refinement`).

    Args:
        node: node that owns the services.
        host: the same node, as the services see it.

    Attributes:
        failed: number of unexpected failures by service.
    """

    def __init__(self, node: LifecycleNode, host: ServiceNode) -> None:
        self._node = node
        self._host = host
        self.failed: Counter[str] = Counter()
        self._waiting: list[tuple[float, Future[None]]] = []
        self._guard_group = ReentrantCallbackGroup()
        self._guard = node.create_guard_condition(lambda: None, self._guard_group)
        self._group = ReentrantCallbackGroup()  # a service that waits must not block the others
        callbacks: dict[Service, Callable[..., Any]] = {
            interfaces.ADD_TEXT_PROMPT: self._add_text,
            interfaces.ADD_EXEMPLAR_PROMPT: self._add_exemplar,
            interfaces.REMOVE_TEXT_PROMPT: self._remove_text,
            interfaces.ADD_BOX_PROMPT: self._add_box,
            interfaces.ADD_POINT_PROMPT: self._add_point,
            interfaces.ADD_MASK_PROMPT: self._add_mask,
            interfaces.REMOVE_TRACK: self._remove,
            interfaces.LIST_TRACKS: self._list,
            interfaces.SEGMENT_IMAGE: self._segment,
            interfaces.RESET: self._reset,
        }
        for service, callback in callbacks.items():
            self.offer(service, callback)

    def offer(self, service: Service, callback: Callable[..., Any]) -> None:
        """Create a service whose callback always responds, also after an exception.

        Args:
            service: declaration of the service.
            callback: coroutine function of request and response.
        """
        self._node.create_service(
            service.kind,
            service.name,
            self._always_responding(service.name, callback),
            qos_profile=service.qos,
            callback_group=self._group,
        )

    def _always_responding(self, name: str, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Return a callback that responds to every request. An exception would end the executor and leave the caller waiting forever."""

        async def respond(request: Any, response: Any) -> Any:
            try:
                if (loading := self._host.loading) is not None:
                    await self.finished(loading.settled, LOADING_REPLY_S)
                answered = await callback(request, response)
                if message := getattr(answered, "message", ""):
                    self._node.get_logger().info(f"{name}: {message}")
                return answered
            except Exception as error:
                self.failed[name] += 1
                self._node.get_logger().error(f"{name} failed:\n{traceback.format_exc()}")
                empty = type(response)()
                if hasattr(empty, "message"):
                    empty.message = f"{name} failed and changed nothing: {type(error).__name__}: {error}"
                return empty

        return respond

    @property
    def metrics(self) -> dict[str, object]:
        """Number of waiting and failed services, for diagnostics."""
        failed = {f"service_failures_{name}": count for name, count in sorted(self.failed.items())}
        return {"services_pending": len(self._waiting), **failed}

    def wake(self) -> None:
        """Wake the executor for waiting services. May be called from any thread."""
        self._guard.trigger()

    def expire(self) -> None:
        """Resume services whose waiting time is over. Call this periodically on the executor's thread."""
        now = time.monotonic()
        waiting, self._waiting = self._waiting, []
        for deadline, future in waiting:
            if future.done():
                continue
            if now > deadline:
                future.set_result(None)
            else:
                self._waiting.append((deadline, future))

    async def finished(self, work: concurrent.futures.Future[T], limit_s: float = REPLY_S) -> bool:
        """Wait for a future of another thread. Return True if it is done in time.

        Args:
            work: the future.
            limit_s: maximum time to wait, in seconds.
        """
        bridge: Future[None] = Future()

        def on_done(_: Any) -> None:
            if not bridge.done():
                bridge.set_result(None)
            self.wake()

        self._waiting.append((time.monotonic() + limit_s, bridge))
        work.add_done_callback(on_done)
        await bridge
        return work.done()

    async def _prompt(self, make: Callable[[], Prompt], response: Any, replace_prompt_id: int = 0) -> Any:
        engine = self._host.engine
        if engine is None:
            response.message = self._host.explain_no_engine()
            return response
        try:
            prompt = make()
        except (PromptError, ConversionError) as error:
            response.message = str(error)
            return response
        accepted = engine.call(lambda session: session.prompt(prompt, replace_prompt_id, log_outcome=False))
        try:
            if not await self.finished(accepted, ACCEPT_S):
                response.message = "the engine is still busy with an image: it accepts or refuses the prompt after this image"
                return response
            handle = accepted.result()
            if hasattr(response, "prompt_id"):
                response.prompt_id = handle.prompt_id
            # Before the first image there is no result to wait for.
            was_applied = self._host.has_image and await self.finished(handle.future)
        except Exception as error:  # refused by the session, or shutting down
            response.message = str(error)
            return response
        if not was_applied:
            handle.future.add_done_callback(lambda _: self._report_late(handle))
            response.success = True
            response.message = f"kept, and applied to the next image ({self._host.explain_waiting()})"
            return response
        return self._fill(response, handle)

    def _report_late(self, handle: PromptHandle) -> None:
        """Log the outcome of a prompt whose caller got the response that it is kept."""
        if handle.error:
            self._node.get_logger().warning(f"a prompt that was kept is refused: {handle.error}")
        else:
            self._node.get_logger().info(f"a prompt that was kept is applied: {'; '.join([*_found(handle), *handle.notes])}")

    @staticmethod
    def _fill(response: Any, handle: PromptHandle) -> Any:
        response.success = not handle.error
        response.message = handle.error or "; ".join([*_found(handle), *handle.notes])
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

    async def _add_exemplar(self, request: AddExemplarPrompt.Request, response: AddExemplarPrompt.Response) -> Any:
        def make() -> Prompt:
            box, mode = (request.x_min, request.y_min, request.x_max, request.y_max), request.mode or "continuous"
            threshold, interval = float(request.threshold) or None, int(request.interval) or None
            image = self._image_of(request.image)
            return ExemplarPrompt(box, request.label, image, mode, threshold, interval)  # type: ignore[arg-type]  # it checks the mode

        return await self._prompt(make, response, int(request.replace_prompt_id))

    async def _add_box(self, request: AddBoxPrompt.Request, response: AddBoxPrompt.Response) -> Any:
        box = (request.x_min, request.y_min, request.x_max, request.y_max)
        return await self._prompt(lambda: BoxPrompt(box, request.label, request.track_id or None), response)

    async def _add_point(self, request: AddPointPrompt.Request, response: AddPointPrompt.Response) -> Any:
        points = [(point.x, point.y) for point in request.points[: MAX_POINTS + 1]]  # one too many is refused as a million would be
        return await self._prompt(lambda: PointPrompt(points, list(request.labels), request.label, request.track_id or None), response)

    async def _add_mask(self, request: AddMaskPrompt.Request, response: AddMaskPrompt.Response) -> Any:
        def make() -> Prompt:
            if request.mask.encoding not in ("mono8", "8UC1"):
                raise PromptError(f'the mask\'s encoding is "{request.mask.encoding}": send mono8 or 8UC1')
            return MaskPrompt(image_to_rgb(request.mask)[:, :, 0] > 0, request.label, request.track_id or None)

        return await self._prompt(make, response)

    async def _call(self, response: Any, function: Callable[[Session], str | None]) -> Any:
        """Call a function on the engine's thread. It returns the message of the response; None for none."""
        engine = self._host.engine
        if engine is None:
            response.message = self._host.explain_no_engine()
            return response
        work = engine.call(function)
        if not await self.finished(work):
            response.message = "the engine is still busy with an image: it carries out the request after this image"
            return response
        error = work.exception()
        response.success = error is None
        response.message = str(error) if error is not None else work.result() or ""
        return response

    async def _remove_text(self, request: RemoveTextPrompt.Request, response: RemoveTextPrompt.Response) -> Any:
        return await self._call(response, lambda session: session.remove_text(int(request.prompt_id)))

    async def _remove(self, request: RemoveTrack.Request, response: RemoveTrack.Response) -> Any:
        return await self._call(response, lambda session: _remove_track(session, int(request.track_id)))

    async def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Any:
        return await self._call(response, lambda session: session.reset())

    async def _list(self, request: ListTracks.Request, response: ListTracks.Response) -> Any:
        engine = self._host.engine
        if engine is None:
            return response
        work = engine.call(
            lambda session: (session.last, list(session.tracker.ids), session.continuous_prompts, session.options.detect_every)
        )
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

    def _image_of(self, message: Image) -> NDArray[np.uint8]:
        """Return the image of a request, or the node's last image for an empty one."""
        if message.width or message.height or message.encoding or len(message.data):
            return image_to_rgb(message)
        latest = self._host.latest_color
        if latest is None:
            reason = f"the request has no image, and the node has none yet ({self._host.explain_waiting()}): send one in the request"
            raise ConversionError("no_image", reason)
        return latest

    async def _segment(self, request: SegmentImage.Request, response: SegmentImage.Response) -> Any:
        requests = self._host.image_requests
        if requests is None:
            response.message = self._host.explain_no_engine()
            return response
        try:
            threshold = float(request.threshold) or self._host.detection_threshold or None
            work = requests.ask(self._image_of(request.image), TextPrompt(request.text, "once", threshold))
        except (PromptError, ConversionError, BusyError) as error:
            response.message = str(error)
            return response
        if not await self.finished(work, IMAGE_REPLY_S):
            response.message = f"the image was not segmented within {IMAGE_REPLY_S:.0f} s: use a smaller network, or a GPU"
            return response
        try:
            objects, response.message = work.result()
        except Exception as failure:  # out of memory, or shutting down
            response.message = f"{type(failure).__name__}: {failure}"
            return response
        response.success = True
        response.labels = [item.label for item in objects]
        response.scores = [item.score for item in objects]
        response.boxes = [MESSAGES.box(item.box) for item in objects]
        response.masks = [MESSAGES.rle(item.rle) for item in objects]
        return response


def _found(handle: PromptHandle) -> list[str]:
    """Return a sentence on the objects of an applied prompt. Empty without objects."""
    outcome = handle.outcome
    if not outcome.track_ids:
        return []
    if isinstance(handle.prompt, (TextPrompt, ExemplarPrompt)):
        objects = ", ".join(f"{track_id} {label}" for track_id, label in zip(outcome.track_ids, outcome.labels))
        return [f"{len(outcome.track_ids)} object{'s' if len(outcome.track_ids) > 1 else ''}: {objects}"]
    rows = zip(outcome.track_ids, outcome.labels, outcome.scores)
    return [", ".join(f"{_track_name(track_id, label)}, score {score:.2f}" for track_id, label, score in rows)]


def _track_name(track_id: int, label: str) -> str:
    return f"track {track_id} ({label})" if label else f"track {track_id}"


def _remove_track(session: Session, track_id: int) -> str:
    """Remove a track. Return a message that names the continuous prompts that will find its object again."""
    label = session.state.labels.get(track_id, "")
    session.remove(track_id)
    prompts = [str(prompt_id) for prompt_id, text in session.continuous_prompts.items() if {label, plain_name(label)} & {*text.phrases}]
    removed = f"{_track_name(track_id, label)} is removed"
    if not prompts:
        return removed
    return (
        f"{removed}, but text prompt {', '.join(prompts)} names it: the next detection starts it again as a new track. "
        f"Call remove_text_prompt with prompt_id {prompts[0]}, or reset, to stop that"
    )
