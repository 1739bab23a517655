# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""How masks are proposed: from what objects remember, and from what a user says. Stateless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lang2segtrack_ros.segmentation.candidates import Candidates
from lang2segtrack_ros.segmentation.mask_prediction import OUTSIDE_LOGIT, MaskPrediction
from lang2segtrack_ros.segmentation.sam2 import NO_OBJECT_LOGIT, Decoded, ImageFeatures, Memories, Sam2Segmenter, joined
from lang2segtrack_ros.tracking.depth_gate import outside_depth_gate
from lang2segtrack_ros.tracking.memory_bank import EMPTY, MAX_PROMPTED, RECENT, TRACKED, MemoryBank
from lang2segtrack_ros.tracking.policies.base import Choice, Policy
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, PointPrompt

PROMPT_OBJECT_SCORE = 10.0
"""Object score of a mask prompt: SAM 2 takes the user's word that the object is there."""


@dataclass(frozen=True)
class MemoryReadout:
    """What memory says of N objects on an image: maps [N, C, f, f] for the decoder, the masks taken, the policy's verdict."""

    maps: Tensor
    prediction: MaskPrediction
    choice: Choice


@dataclass(frozen=True)
class Predictor:
    """Proposes masks with a network and a policy that chooses among candidates."""

    segmenter: Sam2Segmenter
    policy: Policy

    def read_memory(self, features: ImageFeatures, bank: MemoryBank, frame: int, prompts: int) -> MemoryReadout:
        """What memory says of a bank's objects on an image; `prompts` is the largest number of prompts that one of them had."""
        used = min(prompts, MAX_PROMPTED)
        maps, decoded = [], []
        for part, rows in self.segmenter.batches(len(bank)):
            count = part.stop - part.start
            read = self._read(bank, frame, used, rows)
            attended = self.segmenter.attend(features, read)
            decoded.append(self.segmenter.decode(attended, features).first(count))
            maps.append(attended[:count])
        prediction, choice = self._choose_by_policy(bank, frame, Decoded.join(decoded), features.depth)
        return MemoryReadout(joined(maps), prediction, choice)

    def _read(self, bank: MemoryBank, frame: int, used: int, batch: Tensor) -> Memories:
        """The memories of the objects `batch` (int64 [B]) that the policy reads, newest first, then those of `used` prompts; pointers."""
        segmenter = self.segmenter
        rows, valid = self.policy.recent_rows(bank, frame)
        newest_first = torch.where(valid, rows, rows.shape[1]).argsort(dim=1, stable=True)[:, :RECENT]
        prompted = torch.arange(TRACKED, TRACKED + used, device=rows.device).expand(len(bank), -1)
        slots = torch.cat((newest_first, prompted), dim=1)  # the slots that are read, of each object
        oldest = torch.full_like(prompted, segmenter.num_memories - 1)
        rows = torch.cat((rows.gather(1, newest_first), oldest), dim=1)
        valid = torch.cat((valid.gather(1, newest_first), bank.frames.gather(1, prompted) != EMPTY), dim=1)
        memory = bank.features[batch[:, None], slots[batch]].to(segmenter.compute_dtype)

        count = bank.ring + used
        pointer_frames = bank.pointer_frames[batch, :count]
        ages = (frame - pointer_frames).abs()
        current = ages < segmenter.num_pointers  # a restored ring may hold older ones
        current[:, bank.ring :] = True
        parts = segmenter.pointer_tokens
        pointers = bank.pointers[batch, :count].reshape(len(batch), count * parts, segmenter.memory_dim)
        pointer_position = segmenter.pointer_position(ages).repeat_interleave(parts, dim=1)
        pointer_valid = ((pointer_frames != EMPTY) & current).repeat_interleave(parts, dim=1)
        return Memories(memory, segmenter.temporal_rows[rows[batch]], valid[batch], pointers, pointer_position, pointer_valid)

    def from_mask(self, features: ImageFeatures, prompt: MaskPrompt) -> MaskPrediction:
        """SAM 2's way: the mask is the answer, the decoder is only asked for the pointer."""
        segmenter = self.segmenter
        size = (segmenter.image_size, segmenter.image_size)
        mask = torch.from_numpy(prompt.mask).to(segmenter.device)[None, None].to(segmenter.compute_dtype)
        if mask.shape[-2:] != size:
            mask = (F.interpolate(mask, size=size, mode="bilinear", align_corners=False, antialias=True) >= 0.5).to(segmenter.compute_dtype)
        low_size = (segmenter.mask_size, segmenter.mask_size)
        low_res_logits = F.interpolate(mask * 20.0 - 10.0, size=low_size, mode="bilinear", align_corners=False, antialias=True)[:, 0]
        decoded = segmenter.decode(segmenter.bare(features, 1), features, mask_logits=segmenter.mask_prompt_logits(mask), multimask=False)
        yes = torch.ones(1, dtype=torch.bool, device=segmenter.device)
        one = torch.ones(1, dtype=segmenter.compute_dtype, device=segmenter.device)
        return MaskPrediction.of(
            low_res_logits,
            one,
            one * PROMPT_OBJECT_SCORE,
            one.double() * float("nan"),
            yes,
            segmenter.point(decoded.tokens[:, 0], decoded.object_score > 0),
        )

    def from_points(
        self,
        features: ImageFeatures,
        prompt: BoxPrompt | PointPrompt,
        height: int,
        width: int,
        frame: int,
        fresh: MemoryBank,
        row: int | None,
        readout: MemoryReadout | None,
    ) -> MaskPrediction:
        """The mask of a box or of points on an image of the given size in pixels.

        Args:
            features: the encoded image.
            prompt: the box or points.
            height: of the image.
            width: of the image.
            frame: its number.
            fresh: a bank of one object; the motion model of a new object that a single click started is written there.
            row: the object that is corrected, as a row of `recalled`; None for a new one.
            recalled: what memory says of the objects there are.
        """
        segmenter = self.segmenter
        scale_x, scale_y = segmenter.image_size / width, segmenter.image_size / height
        if isinstance(prompt, BoxPrompt):
            x1, y1, x2, y2 = prompt.box
            pixels = [(x1 * scale_x, y1 * scale_y), (x2 * scale_x, y2 * scale_y)]
            labels: Sequence[int] = (2, 3)
        else:  # pixel centres stay pixel centres
            pixels = [((x + 0.5) * scale_x - 0.5, (y + 0.5) * scale_y - 0.5) for x, y in prompt.points]
            labels = prompt.labels
        # A click on an object in view corrects what memory says of it; a box says it all anew.
        if row is not None and isinstance(prompt, PointPrompt) and readout is not None:
            known = readout.prediction
            maps = readout.maps[row : row + 1]
            visible = known.visible[row : row + 1, None, None, None]
            logits = torch.where(visible, known.low_res_logits[row : row + 1, None].clamp(-32.0, 32.0), 0.0)
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
        # A single click on a new object leaves three candidates, and SAMURAI's filter starts with the one taken.
        prediction, choice = self._choose_by_policy(fresh, frame, decoded, None)
        fresh.write_motion(choice.state, choice.has_filter, choice.stable, prediction.is_finite)
        return prediction

    def _choose_by_policy(self, bank: MemoryBank, frame: int, decoded: Decoded, depth: Tensor | None) -> tuple[MaskPrediction, Choice]:
        """The candidate that the policy takes, for each object of a bank; nothing of it lies where depth [m, m] says otherwise."""
        at_once = self.segmenter.batch_limit or len(bank)
        masks = self._masks(decoded)
        if depth is not None:
            masks = torch.where(
                outside_depth_gate(depth, bank.distance, bank.frames_unseen)[:, None], masks.clamp(max=OUTSIDE_LOGIT), masks
            )
        candidates = Candidates(masks, decoded.ious, decoded.object_score, self.segmenter.image_size, at_once)
        choice = self.policy.choose(bank, frame, candidates)
        return self._take(decoded, candidates.masks, choice.index, choice.motion_score), choice

    def _choose_by_iou(self, decoded: Decoded) -> MaskPrediction:
        """The candidate with the highest predicted IoU, for each object."""
        unknown = torch.full_like(decoded.object_score, float("nan"), dtype=torch.float64)
        return self._take(decoded, self._masks(decoded), decoded.ious.argmax(-1), unknown)

    def _masks(self, decoded: Decoded) -> Tensor:
        visible = decoded.object_score > self.policy.visible_above
        return torch.where(visible[:, None, None, None], decoded.masks, NO_OBJECT_LOGIT)

    def _take(self, decoded: Decoded, masks: Tensor, index: Tensor, motion_score: Tensor) -> MaskPrediction:
        rows = torch.arange(len(index), device=index.device)
        visible = decoded.object_score > self.policy.visible_above
        pointers = self.segmenter.point(decoded.tokens[rows, index], visible)
        return MaskPrediction.of(masks[rows, index], decoded.ious[rows, index], decoded.object_score, motion_score, visible, pointers)
