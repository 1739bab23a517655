# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Prediction of masks from the memories of objects and from prompts. Stateless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lang2segtrack_ros.segmentation.candidates import Candidates
from lang2segtrack_ros.segmentation.mask_prediction import OUTSIDE_LOGIT, MaskPrediction
from lang2segtrack_ros.segmentation.sam2 import NO_OBJECT_LOGIT, Decoded, ImageFeatures, Memories, Sam2Segmenter, concatenate
from lang2segtrack_ros.tracking.depth_gate import outside_depth_gate
from lang2segtrack_ros.tracking.memory_bank import EMPTY, MAX_PROMPTED, RECENT, TRACKED, FrameNumber, MemoryBank
from lang2segtrack_ros.tracking.policies.base import Choice, Policy, checked_choice, checked_rows
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, PointPrompt

PROMPT_OBJECT_SCORE = 10.0
"""Object score of a mask prompt. As in SAM 2, a mask prompt counts as proof that the object is visible."""


@dataclass(frozen=True)
class MemoryReadout:
    """The prediction from memory for N objects on an image.

    Attributes:
        maps: [N, C, f, f], decoder maps conditioned on the memories.
        prediction: the chosen masks.
        choice: the choice of the policy.
    """

    maps: Tensor
    prediction: MaskPrediction
    choice: Choice


@dataclass(frozen=True)
class Predictor:
    """Mask predictor with a network and a policy that chooses among candidates."""

    segmenter: Sam2Segmenter
    policy: Policy

    def read_memory(self, features: ImageFeatures, bank: MemoryBank, frame: FrameNumber, prompts: int) -> MemoryReadout:
        """Predict the objects of a bank on an image from their memories.

        Args:
            features: the encoded image.
            bank: the memories of the objects.
            frame: frame number of the image.
            prompts: largest number of prompts that one of the objects had.
        """
        prompt_slots = min(prompts, MAX_PROMPTED)
        maps, decoded = [], []
        for batch, rows in self.segmenter.batches(len(bank)):
            count = batch.stop - batch.start
            memories = self._read(bank, frame, prompt_slots, rows)
            attended = self.segmenter.attend(features, memories)
            decoded.append(self.segmenter.decode(attended, features).first(count))
            maps.append(attended[:count])
        prediction, choice = self._choose_by_policy(bank, frame, Decoded.join(decoded), features.depth)
        return MemoryReadout(concatenate(maps), prediction, choice)

    def _read(self, bank: MemoryBank, frame: FrameNumber, prompt_slots: int, batch: Tensor) -> Memories:
        """Gather the memories and pointers of the objects `batch` (int64 [B]).

        The spatial memories are those that the policy reads, newest first, then those of `prompt_slots` prompts.
        """
        segmenter = self.segmenter
        rows, valid = checked_rows(self.policy, self.policy.recent_rows(bank, frame), len(bank))
        newest_first = torch.where(valid, rows, rows.shape[1]).argsort(dim=1, stable=True)[:, :RECENT]
        prompted = torch.arange(TRACKED, TRACKED + prompt_slots, device=rows.device).expand(len(bank), -1)
        slots = torch.cat((newest_first, prompted), dim=1)  # the slots to read for each object
        prompt_rows = torch.full_like(prompted, segmenter.num_memories - 1)
        rows = torch.cat((rows.gather(1, newest_first), prompt_rows), dim=1)
        valid = torch.cat((valid.gather(1, newest_first), bank.frames.gather(1, prompted) != EMPTY), dim=1)
        memory = bank.features[batch[:, None], slots[batch]].to(segmenter.compute_dtype)

        count = bank.ring + prompt_slots
        pointer_frames = bank.pointer_frames[batch, :count]
        ages = (frame - pointer_frames).abs()
        current = ages < segmenter.num_pointers  # a restored ring buffer may hold older pointers
        current[:, bank.ring :].fill_(True)
        tokens = segmenter.pointer_tokens
        pointers = bank.pointers[batch, :count].reshape(len(batch), count * tokens, segmenter.memory_dim)
        pointer_position = segmenter.pointer_position(ages).repeat_interleave(tokens, dim=1)
        pointer_valid = ((pointer_frames != EMPTY) & current).repeat_interleave(tokens, dim=1)
        return Memories(memory, segmenter.temporal_rows[rows[batch]], valid[batch], pointers, pointer_position, pointer_valid)

    def from_mask(self, features: ImageFeatures, prompt: MaskPrompt) -> MaskPrediction:
        """Return the prediction of a mask prompt. As in SAM 2, the prompt is the mask, and the decoder only gives the object pointer."""
        segmenter = self.segmenter
        size = (segmenter.image_size, segmenter.image_size)
        mask = torch.from_numpy(prompt.mask).to(segmenter.device)[None, None].to(segmenter.compute_dtype)
        if mask.shape[-2:] != size:
            mask = (F.interpolate(mask, size=size, mode="bilinear", align_corners=False, antialias=True) >= 0.5).to(segmenter.compute_dtype)
        low_size = (segmenter.mask_size, segmenter.mask_size)
        low_res_logits = F.interpolate(mask * 20.0 - 10.0, size=low_size, mode="bilinear", align_corners=False, antialias=True)[:, 0]
        decoded = segmenter.decode(
            segmenter.raw_maps(features, 1), features, mask_logits=segmenter.mask_prompt_logits(mask), multimask=False
        )
        visible = torch.ones(1, dtype=torch.bool, device=segmenter.device)
        one = torch.ones(1, dtype=segmenter.compute_dtype, device=segmenter.device)
        return MaskPrediction.of(
            low_res_logits,
            one,
            one * PROMPT_OBJECT_SCORE,
            one.double() * float("nan"),
            visible,
            segmenter.point(decoded.tokens[:, 0], decoded.object_score > 0),
        )

    def from_points(
        self,
        features: ImageFeatures,
        prompt: BoxPrompt | PointPrompt,
        height: int,
        width: int,
        frame: int,
        new_bank: MemoryBank,
        row: int | None,
        readout: MemoryReadout | None,
    ) -> MaskPrediction:
        """Predict the mask of a box or of points on an image.

        Args:
            features: the encoded image.
            prompt: the box or the points.
            height: height of the image in pixels.
            width: width of the image in pixels.
            frame: frame number of the image.
            new_bank: a bank of one object. For a new object from a single click, the motion model is written there.
            row: row of the corrected object in `readout`; None for a new object.
            readout: the prediction from memory for the existing objects; None without objects.
        """
        segmenter = self.segmenter
        scale_x, scale_y = segmenter.image_size / width, segmenter.image_size / height
        if isinstance(prompt, BoxPrompt):
            x1, y1, x2, y2 = prompt.box
            pixels = [(x1 * scale_x, y1 * scale_y), (x2 * scale_x, y2 * scale_y)]
            labels: Sequence[int] = (2, 3)
        else:  # pixel centers stay pixel centers
            pixels = [((x + 0.5) * scale_x - 0.5, (y + 0.5) * scale_y - 0.5) for x, y in prompt.points]
            labels = prompt.labels
        # A click on a visible object refines the prediction from memory. A box replaces it.
        if row is not None and isinstance(prompt, PointPrompt) and readout is not None:
            from_memory = readout.prediction
            maps = readout.maps[row : row + 1]
            visible = from_memory.visible[row : row + 1, None, None, None]
            logits = torch.where(visible, from_memory.low_res_logits[row : row + 1, None].clamp(-32.0, 32.0), 0.0)
        else:
            maps, logits = segmenter.unconditioned(features, 1), None
        decoded = segmenter.decode(
            maps,
            features,
            torch.tensor([pixels], dtype=segmenter.compute_dtype, device=segmenter.device),
            torch.tensor([list(labels)], dtype=torch.int32, device=segmenter.device),
            logits,
            multimask=len(labels) == 1,
        )
        if row is not None or len(labels) != 1:
            return self._choose_by_iou(decoded)
        # A single click on a new object has three candidates. SAMURAI's filter starts with the chosen one.
        prediction, choice = self._choose_by_policy(new_bank, frame, decoded, None)
        new_bank.write_motion(choice.state, choice.has_filter, choice.stable, prediction.is_finite)
        return prediction

    def _choose_by_policy(
        self, bank: MemoryBank, frame: FrameNumber, decoded: Decoded, depth: Tensor | None
    ) -> tuple[MaskPrediction, Choice]:
        """Return the candidate that the policy chooses for each object of a bank, with masks inside the gate of depth [m, m] in meters."""
        masks = self._masks(decoded)
        if depth is not None:
            masks = torch.where(
                outside_depth_gate(depth, bank.distance, bank.frames_unseen)[:, None], masks.clamp(max=OUTSIDE_LOGIT), masks
            )
        candidates = Candidates(masks, decoded.ious, decoded.object_score, self.segmenter.image_size, self.segmenter.batch_size)
        choice = checked_choice(self.policy, self.policy.choose(bank, frame, candidates), len(bank))
        return self._select(decoded, candidates.masks, choice.index, choice.motion_score), choice

    def _choose_by_iou(self, decoded: Decoded) -> MaskPrediction:
        """Return the candidate with the highest predicted IoU for each object."""
        unknown = torch.full_like(decoded.object_score, float("nan"), dtype=torch.float64)
        return self._select(decoded, self._masks(decoded), decoded.ious.argmax(-1), unknown)

    def _masks(self, decoded: Decoded) -> Tensor:
        """Return the candidate masks, with all masks of invisible objects far below 0."""
        visible = decoded.object_score > self.policy.visible_above
        return torch.where(visible[:, None, None, None], decoded.masks, NO_OBJECT_LOGIT)

    def _select(self, decoded: Decoded, masks: Tensor, index: Tensor, motion_score: Tensor) -> MaskPrediction:
        """Return the prediction of the candidates `index`, int64 [N]."""
        rows = torch.arange(len(index), device=index.device)
        visible = decoded.object_score > self.policy.visible_above
        pointers = self.segmenter.point(decoded.tokens[rows, index], visible)
        return MaskPrediction.of(masks[rows, index], decoded.ious[rows, index], decoded.object_score, motion_score, visible, pointers)
