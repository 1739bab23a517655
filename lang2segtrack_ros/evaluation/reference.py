# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""SAM 2 as published: transformers' own video session, fed as a stream, on the weights of a segmenter."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.segmentation.postprocess import image_masks
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptOutcome
from lang2segtrack_ros.types.prompts import BoxPrompt
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus
from lang2segtrack_ros.types.rle import mask_box

BOX_CORNERS = (2, 3)
"""Labels of the upper left and the lower right corner of a box among the point prompts of SAM 2."""


class Sam2Reference:
    """A `Sam2VideoInferenceSession` with all objects of a stream, behind two methods of `Session`.

    It uses the segmenter's network and input images. Masks are the logits above 0 at image size, without any further rule.

    Args:
        segmenter: segmenter whose network runs.
    """

    def __init__(self, segmenter: Sam2Segmenter) -> None:
        from transformers import Sam2VideoInferenceSession

        self.segmenter = segmenter
        # Part of a segmenter in bfloat16 stays in float32. The session needs one type for the whole network.
        self._model = deepcopy(segmenter.model).to(torch.bfloat16) if segmenter.dtype == torch.bfloat16 else segmenter.model
        device = segmenter.device
        self.session = Sam2VideoInferenceSession(
            inference_device=device, inference_state_device=device, video_storage_device=device, dtype=segmenter.dtype
        )
        self._waiting: list[PromptHandle] = []
        self._labels: dict[int, str] = {}

    def prompt(self, prompt: BoxPrompt) -> PromptHandle:
        """Queue a box for the next frame, and return the handle of its outcome."""
        handle = PromptHandle(prompt)
        self._waiting.append(handle)
        return handle

    def predict(self, color: NDArray[np.uint8]) -> Tensor:
        """Process one image, and return the mask logits float32 [N, h, w] of all objects. It needs at least one object.

        Args:
            color: uint8 [H, W, 3], RGB.
        """
        for handle in self._waiting:
            self._start(handle, color.shape[0], color.shape[1])
        self._waiting.clear()
        with torch.inference_mode():
            output = self._model(inference_session=self.session, frame=self.segmenter.preprocess(color)[0])
        logits: Tensor = output.pred_masks[:, 0].float()
        return logits

    def step(self, frame: Frame) -> FrameResult:
        """Process one frame. Frames before the first prompt have no tracks and do not enter the session.

        Args:
            frame: the frame.
        """
        height, width = frame.color.shape[:2]
        tracks: list[Track] = []
        if self._waiting or self._labels:
            masks = image_masks(self.predict(frame.color), height, width).cpu().numpy()
            tracks = [self._track(track_id, mask) for track_id, mask in zip(self.session.obj_ids, masks)]
        return FrameResult(frame.stamp_ns, (self.session.num_frames or 0) - 1, height, width, tuple(tracks))

    def _start(self, handle: PromptHandle, height: int, width: int) -> None:
        """Add an object to the session on the next frame."""
        prompt = handle.prompt
        assert isinstance(prompt, BoxPrompt)
        track_id = len(self._labels) + 1
        self._labels[track_id] = prompt.label
        scale = torch.tensor([self.segmenter.image_size / width, self.segmenter.image_size / height])
        corners = (torch.tensor(prompt.box, dtype=torch.float32).view(2, 2) * scale)[None, None].to(self.segmenter.compute_dtype)
        labels = torch.tensor([[list(BOX_CORNERS)]], dtype=torch.int32)
        row = self.session.obj_id_to_idx(track_id)
        self.session.add_point_inputs(row, self.session.num_frames or 0, {"point_coords": corners, "point_labels": labels})
        self.session.obj_with_new_inputs.append(track_id)
        handle.resolve(PromptOutcome((track_id,), (prompt.label,)))

    def _track(self, track_id: int, mask: NDArray[np.bool_]) -> Track:
        """Return the result of one object. The network's own estimates stay unknown."""
        box = mask_box(mask)
        return Track(
            id=track_id,
            label=self._labels[track_id],
            state=TrackStatus.TRACKED if box is not None else TrackStatus.OCCLUDED,
            score=float(box is not None),
            box=box,
            mask=mask,
            predicted_iou=float("nan"),
            object_score=float("nan"),
            motion_score=float("nan"),
            stable_frames=0,
        )
