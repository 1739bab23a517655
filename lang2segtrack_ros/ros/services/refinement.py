# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`refine_backward`: a service and an action that track objects backward through the frame history while tracking continues.

The backward pass runs on the engine's thread, one frame at a time between the images of the stream. A separate thread publishes the
results and, on request, saves them.
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
from std_msgs.msg import Header

from lang2segtrack_ros.history.backward_pass import BackwardPass, RefinementError
from lang2segtrack_ros.history.frame_history import FrameUnavailableError
from lang2segtrack_ros.io.trace_files import TraceFiles
from lang2segtrack_ros.ros.services.service_base import ServiceBase
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.ros.support.interfaces import REFINE_BACKWARD, REFINE_BACKWARD_ACTION, TRACKS_REFINED
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult

QUEUE = 8
"""Maximum number of results that wait for publishing."""
FEEDBACK_S = 0.1
"""Period of the action's feedback."""
LOG_S = 5.0
"""Period of the progress in the log."""


class RefinementNode(Protocol):
    """The attributes of a node that a refinement uses.

    Attributes:
        engine: engine of the configured node, otherwise None.
        last_header: header of the last processed image.
    """

    engine: EngineThread[Header] | None
    last_header: Header

    @property
    def refine_share(self) -> float:
        """Value of the parameter `refine_share`."""
        ...

    @property
    def save_folder(self) -> str:
        """Value of the parameter `save_folder`."""
        ...

    def explain_no_engine(self) -> str:
        """Return a sentence on why the node has no engine, with the fix."""
        ...


class RefinementJob:
    """One running request. Its `steps` run on the engine's thread and put results into `waiting`.

    Args:
        track_ids: ids of the objects. Empty for all objects.
        seconds: length of the refined part of the history, counted back from the last image. 0 for the whole history.
        with_images: True to pass on each result with its image.

    Attributes:
        stage: "backward", then "publishing".
        done: number of finished frames of this stage.
        total: number of frames of this stage.
        rate: frame rate of the history in Hz.
        waiting: results to publish, each with its image or None.
        canceled: set to True to end the job.

    Raises:
        RefinementError: `seconds` is negative or NaN.
    """

    def __init__(self, track_ids: list[int], seconds: float, with_images: bool) -> None:
        if not seconds >= 0:
            raise RefinementError(f"seconds is {seconds:g}: it must be 0 or more")
        self._track_ids, self._seconds, self._with_images = track_ids, seconds, with_images
        self.stage, self.done, self.total = "backward", 0, 0
        self.rate = 30.0
        self.waiting: queue.Queue[tuple[FrameResult, Frame | None]] = queue.Queue(QUEUE)
        self.canceled = False

    def steps(self, session: Session) -> Iterator[None]:
        """Run the job in small steps.

        Args:
            session: session of the engine.

        Raises:
            RefinementError: there is no history, or the session was reset meanwhile.
        """
        history = session.history
        if history is None:
            raise RefinementError("the node keeps no frame history: set history_s above 0 and configure the node again")
        self.rate, cleared = history.rate, history.cleared
        backward = session.backward(self._track_ids or None, history.latest(self._seconds) if self._seconds else history)
        for _ in self._run(backward):
            yield
            if self.canceled:
                return
            if history.cleared != cleared:
                raise RefinementError("the session was reset, which cleared the history: send the request again later")

    def _run(self, backward: BackwardPass) -> Iterator[None]:
        yield
        for progress in backward.sweep():
            self.done, self.total = progress.done, progress.total
            yield
        self.stage, self.done = "publishing", 0
        for result in backward.results():
            image = None
            if self._with_images:
                try:
                    image = backward.past.frame(result.index)
                except FrameUnavailableError:
                    continue
            while not self.canceled:
                try:
                    self.waiting.put((result, image), timeout=0.01)
                    break
                except queue.Full:
                    yield
            if self.canceled:
                return
            self.done += 1
            yield


class Refinement:
    """The service, the action and the publisher of `tracks_refined`.

    Args:
        node: node that owns them.
        host: the same node, as the refinement sees it.
        services: services of the node.

    Attributes:
        finished: number of finished refinements.
    """

    def __init__(self, node: Node, host: RefinementNode, services: ServiceBase) -> None:
        self._host = host
        self._services = services
        self._publisher = TRACKS_REFINED.advertise(node)
        self._log = node.get_logger()
        self._running: RefinementJob | None = None
        self.finished = 0
        services.offer(REFINE_BACKWARD, self._refine)
        self._action: Any = ActionServer(
            node,
            REFINE_BACKWARD_ACTION.kind,
            REFINE_BACKWARD_ACTION.name,
            self._execute,
            callback_group=ReentrantCallbackGroup(),
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    @property
    def state(self) -> str:
        """State of the running refinement or number of finished ones, for diagnostics."""
        job = self._running
        return f"{job.stage}, {job.done} of {job.total} images" if job is not None else f"{self.finished} done"

    def close(self) -> None:
        """Cancel the running refinement and destroy the action server."""
        if self._running is not None:
            self._running.canceled = True
        self._action.destroy()

    async def _execute(self, goal: Any) -> Any:
        result = await self._refine(goal.request, REFINE_BACKWARD_ACTION.kind.Result(), goal)
        if goal.is_cancel_requested:
            goal.canceled()
        elif result.success:
            goal.succeed()
        else:
            goal.abort()
        return result

    async def _refine(self, request: Any, response: Any, goal: Any = None) -> Any:
        """Fill in the response of the service or the result of the action."""
        engine = self._host.engine
        if engine is None:
            response.message = self._host.explain_no_engine()
            return response
        if self._running is not None:
            response.message = "a refinement is already running: wait for it, or cancel it"
            return response
        folder = self._new_folder() if request.save else None
        try:
            self._running = job = RefinementJob([int(number) for number in request.track_ids], float(request.seconds), folder is not None)
        except RefinementError as error:
            response.message = str(error)
            return response
        work = engine.work(job.steps, lambda: self._host.refine_share)
        published: concurrent.futures.Future[int] = concurrent.futures.Future()
        args = (job, work, self._host.last_header.frame_id, folder, goal, published)
        threading.Thread(target=self._deliver, args=args, name="lang2segtrack-refined", daemon=True).start()
        try:
            await self._services.finished(published, float("inf"))
            response.frames = published.result()
        except Exception as error:  # the job's own, a full disk, or shutting down
            response.message = str(error) if isinstance(error, RefinementError) else f"{type(error).__name__}: {error}"
            return response
        finally:
            self._running = None
        self.finished += 1
        response.success = not job.canceled
        response.message = f"canceled after {job.done} of {job.total} images" if job.canceled else ""
        response.folder = str(folder) if folder is not None and folder.is_dir() else ""
        return response

    def _new_folder(self) -> Path:
        """Return a new folder name below the folder for saved traces."""
        home = Path(os.environ.get("ROS_HOME") or Path.home() / ".ros")
        parent = Path(self._host.save_folder).expanduser() if self._host.save_folder else home / "lang2segtrack"
        return parent / f"refined-{datetime.now():%Y%m%d-%H%M%S-%f}"

    def _deliver(
        self,
        job: RefinementJob,
        work: concurrent.futures.Future[None],
        frame_id: str,
        folder: Path | None,
        goal: Any,
        published: concurrent.futures.Future[int],
    ) -> None:
        """Publish and save results on a separate thread until the job is done and its queue is empty."""
        partial = folder.with_name(folder.name + ".partial") if folder is not None else None
        files: TraceFiles | None = None
        count = 0
        feedback_at, log_at = 0.0, time.monotonic()
        try:
            while not (work.done() and job.waiting.empty()):
                if goal is not None and goal.is_cancel_requested:
                    job.canceled = True
                if time.monotonic() - log_at >= LOG_S:
                    log_at = time.monotonic()
                    self._log.info(f"refine_backward: {self.state}")
                if goal is not None and time.monotonic() - feedback_at >= FEEDBACK_S:
                    feedback_at = time.monotonic()
                    goal.publish_feedback(REFINE_BACKWARD_ACTION.kind.Feedback(stage=job.stage, done=job.done, total=job.total))
                try:
                    item = job.waiting.get(timeout=FEEDBACK_S)
                except queue.Empty:
                    continue
                result, image = item
                self._publisher.publish(MESSAGES.tracks(result.tracks, _header(result.stamp_ns, frame_id)))
                count += 1
                if partial is not None and image is not None:
                    files = files or TraceFiles(partial, job.rate)
                    files.write(image, result)
            work.result()
            if files is not None and folder is not None and not job.canceled:
                files.close()
                files.folder.rename(folder)
            published.set_result(count)
        except Exception as error:  # passed on to the caller that waits for the response
            job.canceled = True
            published.set_exception(error)
        finally:
            if files is not None:
                files.close()
                shutil.rmtree(files.folder, ignore_errors=True)


def _header(stamp_ns: int, frame_id: str) -> Header:
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    return header
