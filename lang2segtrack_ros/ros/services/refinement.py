# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`refine_backward` on the graph: a service and an action that sweep back through the history while tracking goes on.

The sweep runs on the engine's thread, an image at a time between those of the stream. What it finds is published, and saved where that
is asked for, on a thread of the sweep's own.
"""

from __future__ import annotations

import concurrent.futures
import os
import queue
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from lang2segtrack.action import RefineBackward as RefineBackwardAction
from lang2segtrack.msg import TrackArray
from lang2segtrack.srv import RefineBackward
from lang2segtrack_ros.history.backward_pass import BackwardPass, RefinementError
from lang2segtrack_ros.history.frame_history import ForgottenError
from lang2segtrack_ros.io.trace_files import TraceFiles
from lang2segtrack_ros.ros.services.prompt_services import Services
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult

QUEUE = 8
"""Results that wait to be published."""
DEPTH = 1000
"""Of the publisher's queue: refined results come faster than those of a stream."""
FEEDBACK_S = 0.1
TOPICS = (("tracks_refined", "lang2segtrack/TrackArray", "What `refine_backward` found: whole traces, with the original images' stamps."),)
ACTIONS = (("refine_backward", "lang2segtrack/RefineBackward", "The service of this name, with progress, and it can be cancelled."),)


class RefinementNode(Protocol):
    """What a refinement needs of the node."""

    engine: EngineThread[Header] | None
    last_header: Header

    @property
    def refine_share(self) -> float:
        """As the parameter."""
        ...

    @property
    def save_folder(self) -> str:
        """As the parameter."""
        ...

    def no_engine(self) -> str:
        """Why there is no engine now, as a sentence."""
        ...


class Sweep:
    """One request on its way. Its `steps` run on the engine's thread; results leave through `waiting`.

    Args:
        track_ids: the objects; empty for all.
        seconds: how far back; 0 for as far as the history goes.
        with_images: results come with their images.

    Attributes:
        stage, done, total: how far it is.
        rate: images a second of the history.
        waiting: results to be published, with their images where they are saved.
        cancelled: True ends it.
    """

    def __init__(self, track_ids: list[int], seconds: float, with_images: bool) -> None:
        if not seconds >= 0:
            raise RefinementError(f"seconds is {seconds:g}; it must be 0 or more")
        self._track_ids, self._seconds, self._with_images = track_ids, seconds, with_images
        self.stage, self.done, self.total = "backward", 0, 0
        self.rate = 30.0
        self.waiting: queue.Queue[tuple[FrameResult, Frame | None]] = queue.Queue(QUEUE)
        self.cancelled = False

    def steps(self, session: Session) -> Iterator[None]:
        """Does the work, piece by piece. Raises RefinementError."""
        history = session.history
        if history is None:
            raise RefinementError("the node remembers nothing: set history_s above 0 and configure it anew")
        self.rate, cleared = history.rate, history.cleared
        sweep = session.backward(self._track_ids or None, history.latest(self._seconds) if self._seconds else history)
        for _ in self._pieces(sweep):
            yield
            if self.cancelled:
                return
            if history.cleared != cleared:
                raise RefinementError("the session was reset: what was gone back over is known no longer")

    def _pieces(self, sweep: BackwardPass) -> Iterator[None]:
        yield
        for at in sweep.sweep():
            self.done, self.total = at.done, at.total
            yield
        self.stage, self.done = "publishing", 0
        for result in sweep.results():
            image = None
            if self._with_images:
                try:
                    image = sweep.past.frame(result.index)
                except ForgottenError:
                    continue
            while not self.cancelled:
                try:
                    self.waiting.put((result, image), timeout=0.01)
                    break
                except queue.Full:
                    yield
            if self.cancelled:
                return
            self.done += 1
            yield


class Refinement:
    """The service and the action on a node, and the publisher of `tracks_refined`."""

    def __init__(self, node: Node, host: RefinementNode, services: Services) -> None:
        self._host = host
        self._services = services
        self._publisher = node.create_publisher(TrackArray, "tracks_refined", QoSProfile(depth=DEPTH))
        self._running: Sweep | None = None
        self.finished = 0
        services.offer(RefineBackward, "refine_backward", self._refine)
        self._action: Any = ActionServer(
            node,
            RefineBackwardAction,
            "refine_backward",
            self._act,
            callback_group=ReentrantCallbackGroup(),
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    @property
    def state(self) -> str:
        """Words for diagnostics."""
        sweep = self._running
        return f"{sweep.stage}, {sweep.done} of {sweep.total} images" if sweep is not None else f"{self.finished} done"

    def close(self) -> None:
        """Ends what is running, and the action server."""
        if self._running is not None:
            self._running.cancelled = True
        self._action.destroy()

    async def _act(self, goal: Any) -> Any:
        result = await self._refine(goal.request, RefineBackwardAction.Result(), goal)
        if goal.is_cancel_requested:
            goal.canceled()
        elif result.success:
            goal.succeed()
        else:
            goal.abort()
        return result

    async def _refine(self, request: Any, answer: Any, goal: Any = None) -> Any:
        """Fills in the answer of the service or the action."""
        engine = self._host.engine
        if engine is None:
            answer.message = self._host.no_engine()
            return answer
        if self._running is not None:
            answer.message = "a refinement is running already: wait for it, or cancel it"
            return answer
        folder = self._new_folder() if request.save else None
        try:
            self._running = sweep = Sweep([int(number) for number in request.track_ids], float(request.seconds), folder is not None)
        except RefinementError as error:
            answer.message = str(error)
            return answer
        work = engine.work(sweep.steps, lambda: self._host.refine_share)
        published: concurrent.futures.Future[int] = concurrent.futures.Future()
        args = (sweep, work, self._host.last_header.frame_id, folder, goal, published)
        threading.Thread(target=self._deliver, args=args, name="lang2segtrack-refined", daemon=True).start()
        try:
            await self._services.finished(published, float("inf"))
            answer.frames = published.result()
        except Exception as error:  # the sweep's own, a full disk, or shutting down; either way a sentence for the caller
            answer.message = str(error) if isinstance(error, RefinementError) else f"{type(error).__name__}: {error}"
            return answer
        finally:
            self._running = None
        self.finished += 1
        answer.success = not sweep.cancelled
        answer.message = f"cancelled after {sweep.done} of {sweep.total} images" if sweep.cancelled else ""
        answer.folder = str(folder) if folder is not None and folder.is_dir() else ""
        return answer

    def _new_folder(self) -> Path:
        """A folder that does not exist, where the user's saves go."""
        home = Path(os.environ.get("ROS_HOME") or Path.home() / ".ros")
        parent = Path(self._host.save_folder).expanduser() if self._host.save_folder else home / "lang2segtrack"
        return parent / f"refined-{datetime.now():%Y%m%d-%H%M%S-%f}"

    def _deliver(
        self,
        sweep: Sweep,
        work: concurrent.futures.Future[None],
        frame_id: str,
        folder: Path | None,
        goal: Any,
        published: concurrent.futures.Future[int],
    ) -> None:
        """Publishes and saves on a thread of its own, until the work is done and everything has left."""
        partial = folder.with_name(folder.name + ".partial") if folder is not None else None
        files: TraceFiles | None = None
        count = 0
        told = 0.0
        try:
            while not (work.done() and sweep.waiting.empty()):
                if goal is not None and goal.is_cancel_requested:
                    sweep.cancelled = True
                if goal is not None and time.monotonic() - told >= FEEDBACK_S:
                    told = time.monotonic()
                    goal.publish_feedback(RefineBackwardAction.Feedback(stage=sweep.stage, done=sweep.done, total=sweep.total))
                try:
                    item = sweep.waiting.get(timeout=FEEDBACK_S)
                except queue.Empty:
                    continue
                result, image = item
                self._publisher.publish(MESSAGES.tracks(result.tracks, _header(result.stamp_ns, frame_id)))
                count += 1
                if partial is not None and image is not None:
                    files = files or TraceFiles(partial, sweep.rate)
                    files.write(image, result)
            work.result()
            if files is not None and folder is not None and not sweep.cancelled:
                files.close()
                files.folder.rename(folder)
            published.set_result(count)
        except Exception as error:  # handed to whoever waits for the answer
            sweep.cancelled = True
            published.set_exception(error)
        finally:
            if files is not None:
                files.close()
                shutil.rmtree(files.folder, ignore_errors=True)


def _header(stamp_ns: int, frame_id: str) -> Header:
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    return header
