# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What all services of track_node do: wait for the engine without blocking the executor, and respond in every case."""

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
from std_msgs.msg import Header

from lang2segtrack_ros.io.image_messages import ConversionError
from lang2segtrack_ros.ros.services.image_requests import ImageRequests
from lang2segtrack_ros.ros.support.interfaces import Service
from lang2segtrack_ros.ros.support.session_loading import SessionLoading
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.instruction import AnyPrompt
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import PromptError

REPLY_S = 3.0
"""If no image has applied a prompt for this long, the service responds that the prompt is kept."""
ACCEPT_S = 6.0
"""Maximum time until the engine accepts a prompt, between two images. A large network on a CPU takes that long for one image."""
LOADING_REPLY_S = 600.0
"""Maximum time for networks that are being loaded. A download may take longer; the service then says so."""
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
        everything: names that "everything" stands for in instructions. Empty uses those known for the detector.
    """

    engine: EngineThread[Header] | None
    loading: SessionLoading | None
    image_requests: ImageRequests | None
    has_image: bool
    detection_threshold: float
    everything: str
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


class ServiceBase:
    """Services whose callbacks wait for other threads.

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

    async def prompt(self, make: Callable[[], AnyPrompt], response: Any, replace_prompt_id: int = 0, reply_s: float = REPLY_S) -> Any:
        """Give a prompt to the engine, and return the response with its outcome.

        Args:
            make: makes the prompt. It may raise PromptError or ConversionError.
            response: the response of the service, which the method fills.
            replace_prompt_id: see `Session.prompt`.
            reply_s: maximum time in seconds to wait for the outcome.
        """
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
            was_applied = self._host.has_image and await self.finished(handle.future, reply_s)
        except Exception as error:  # refused by the session, or shutting down
            response.message = str(error)
            return response
        if not was_applied:
            handle.future.add_done_callback(lambda _: self._report_late(handle))
            response.success = True
            response.message = f"kept, and applied to the next image ({self._host.explain_waiting()})"
            return response
        return fill_response(response, handle)

    def _report_late(self, handle: PromptHandle) -> None:
        """Log the outcome of a prompt whose caller got the response that it is kept."""
        if handle.error:
            self._node.get_logger().warning(f"a prompt that was kept is refused: {handle.error}")
        else:
            self._node.get_logger().info(f"a prompt that was kept is applied: {'; '.join([*_found(handle), *handle.notes])}")

    async def call(self, response: Any, function: Callable[[Session], str | None]) -> Any:
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


def fill_response(response: Any, handle: PromptHandle) -> Any:
    """Return the response of a service with the outcome of a prompt. The service may have fields for labels and for an instruction.

    Args:
    response: the response.
    handle: the prompt, which has its outcome.
    """
    response.success = not handle.error
    outcome = handle.outcome
    response.message = handle.error or "; ".join([*_found(handle), *outcome.missing, *outcome.notes])
    response.track_ids = handle.track_ids
    if hasattr(response, "labels"):
        response.labels = handle.labels
    if hasattr(response, "plan"):
        response.plan, response.reasons, response.not_found = outcome.plan, outcome.reasons, outcome.missing
    return response


def _found(handle: PromptHandle) -> list[str]:
    """Return a sentence on the objects of an applied prompt. Empty without objects."""
    outcome = handle.outcome
    if not outcome.track_ids:
        return []
    if not outcome.scores:  # found by a detector or a resolver
        objects = ", ".join(f"{track_id} {label}" for track_id, label in zip(outcome.track_ids, outcome.labels))
        return [f"{len(outcome.track_ids)} object{'s' if len(outcome.track_ids) > 1 else ''}: {objects}"]
    rows = zip(outcome.track_ids, outcome.labels, outcome.scores)
    return [", ".join(f"{track_name(track_id, label)}, score {score:.2f}" for track_id, label, score in rows)]


def track_name(track_id: int, label: str) -> str:
    """Return the name of a track for messages."""
    return f"track {track_id} ({label})" if label else f"track {track_id}"
