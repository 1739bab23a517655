# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Services of track_node.

Each callback turns a request into a prompt or a call of the engine, waits for the result without blocking the executor, and responds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from lang2segtrack.msg import Instruction as InstructionMsg
from lang2segtrack.msg import TextPrompt as TextPromptMsg
from lang2segtrack.srv import (
    AddBoxPrompt,
    AddExemplarPrompt,
    AddInstruction,
    AddMaskPrompt,
    AddPointPrompt,
    AddTextPrompt,
    ListTracks,
    RemoveTextPrompt,
    RemoveTrack,
    SegmentImage,
)
from lang2segtrack_ros.io.image_messages import ConversionError, image_to_rgb
from lang2segtrack_ros.ros.services.image_requests import BusyError
from lang2segtrack_ros.ros.services.service_base import ServiceBase, ServiceNode, track_name
from lang2segtrack_ros.ros.support import interfaces
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.ros.support.interfaces import Service
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.instruction import InstructionPrompt
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

IMAGE_REPLY_S = 600.0
"""Maximum time for a single image. A large detector on a CPU may take minutes."""
INSTRUCTION_REPLY_S = 120.0
"""Maximum time for the answer to an instruction. A large model on a server may take a minute."""


class Services(ServiceBase):
    """The services of a node, except `refine_backward` (see `Refinement`).

    Args:
        node: node that owns the services.
        host: the same node, as the services see it.
    """

    def __init__(self, node: LifecycleNode, host: ServiceNode) -> None:
        super().__init__(node, host)
        callbacks: dict[Service, Callable[..., Any]] = {
            interfaces.ADD_TEXT_PROMPT: self._add_text,
            interfaces.ADD_EXEMPLAR_PROMPT: self._add_exemplar,
            interfaces.ADD_INSTRUCTION: self._add_instruction,
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

    async def _add_text(self, request: AddTextPrompt.Request, response: AddTextPrompt.Response) -> Any:
        threshold = float(request.threshold) or self._host.detection_threshold or None
        interval = int(request.interval) or None
        replace_prompt_id = int(request.replace_prompt_id)
        return await self.prompt(
            lambda: TextPrompt(request.text, request.mode or "continuous", threshold, interval), response, replace_prompt_id
        )

    async def _add_exemplar(self, request: AddExemplarPrompt.Request, response: AddExemplarPrompt.Response) -> Any:
        def make() -> Prompt:
            box, mode = (request.x_min, request.y_min, request.x_max, request.y_max), request.mode or "continuous"
            threshold, interval = float(request.threshold) or None, int(request.interval) or None
            image = self._image_of(request.image)
            return ExemplarPrompt(box, request.label, image, mode, threshold, interval)  # type: ignore[arg-type]  # it checks the mode

        return await self.prompt(make, response, int(request.replace_prompt_id))

    async def _add_instruction(self, request: AddInstruction.Request, response: AddInstruction.Response) -> Any:
        threshold = float(request.threshold) or self._host.detection_threshold or None
        everything, interval_s = request.everything or self._host.everything, float(request.verify_every_s) or None
        return await self.prompt(
            lambda: InstructionPrompt(request.text, threshold, everything, request.mode or "once", interval_s),
            response,
            reply_s=INSTRUCTION_REPLY_S,
        )

    async def _add_box(self, request: AddBoxPrompt.Request, response: AddBoxPrompt.Response) -> Any:
        box = (request.x_min, request.y_min, request.x_max, request.y_max)
        return await self.prompt(lambda: BoxPrompt(box, request.label, request.track_id or None), response)

    async def _add_point(self, request: AddPointPrompt.Request, response: AddPointPrompt.Response) -> Any:
        points = [(point.x, point.y) for point in request.points[: MAX_POINTS + 1]]  # one too many is refused as a million would be
        return await self.prompt(lambda: PointPrompt(points, list(request.labels), request.label, request.track_id or None), response)

    async def _add_mask(self, request: AddMaskPrompt.Request, response: AddMaskPrompt.Response) -> Any:
        def make() -> Prompt:
            if request.mask.encoding not in ("mono8", "8UC1"):
                raise PromptError(f'the mask\'s encoding is "{request.mask.encoding}": send mono8 or 8UC1')
            return MaskPrompt(image_to_rgb(request.mask)[:, :, 0] > 0, request.label, request.track_id or None)

        return await self.prompt(make, response)

    async def _remove_text(self, request: RemoveTextPrompt.Request, response: RemoveTextPrompt.Response) -> Any:
        return await self.call(response, lambda session: session.remove_text(int(request.prompt_id)))

    async def _remove(self, request: RemoveTrack.Request, response: RemoveTrack.Response) -> Any:
        return await self.call(response, lambda session: _remove_track(session, int(request.track_id)))

    async def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Any:
        return await self.call(response, lambda session: session.reset())

    async def _list(self, request: ListTracks.Request, response: ListTracks.Response) -> Any:
        engine = self._host.engine
        if engine is None:
            return response
        work = engine.call(
            lambda session: (
                session.last,
                list(session.tracker.ids),
                session.continuous_prompts,
                session.state.instructions,
                session.options,
            )
        )
        if await self.finished(work):
            last, ids, texts, instructions, options = work.result()
            response.text_prompts = [
                TextPromptMsg(
                    prompt_id=number, phrases=text.phrases, threshold=text.threshold or 0.0, interval=text.interval or options.detect_every
                )
                for number, text in texts.items()
            ]
            response.instructions = [
                InstructionMsg(
                    prompt_id=number,
                    text=item.prompt.text,
                    verify_every_s=item.prompt.verify_every_s or options.verify_every_s,
                    track_ids=sorted(item.chosen.intersection(ids)),
                )
                for number, item in instructions.active.items()
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


def _remove_track(session: Session, track_id: int) -> str:
    """Remove a track. Return a message that names the continuous prompts that will find its object again."""
    label = session.state.labels.get(track_id, "")
    session.remove(track_id)
    prompts = [str(prompt_id) for prompt_id, text in session.continuous_prompts.items() if {label, plain_name(label)} & {*text.phrases}]
    removed = f"{track_name(track_id, label)} is removed"
    if not prompts:
        return removed
    return (
        f"{removed}, but text prompt {', '.join(prompts)} names it: the next detection starts it again as a new track. "
        f"Call remove_text_prompt with prompt_id {prompts[0]}, or reset, to stop that"
    )
