# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the toy SAM 2 video network.

Training starts with single images and a prompt. Windows of 4 to 7 frames follow, on which the network uses memories of its own masks,
as in SAM 2's training (arXiv:2408.00714, appendix D). A small network needs these additions:

* heads that predict a coarse mask from the features; without them the network ignores prompts and memories;
* extra weight on pixels of other objects and on frames after a crossing or an occlusion;
* memories of ground-truth masks instead of own masks, with a decreasing ratio;
* in the last phases, losses that make features and memory attention separate an object from its look-alikes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Sam2VideoModel

from lang2segtrack_ros.segmentation.preprocessing import normalize
from lang2segtrack_ros.segmentation.sam2 import NO_OBJECT_LOGIT
from lang2segtrack_ros.toyworld.families import SHAPES_FAMILY, Family
from training.loop import Loop
from training.segmenter_data import (
    CROSSINGS,
    EVERYTHING,
    FINISH,
    LOOK_ALIKES,
    MIN_PIXELS,
    Batch,
    Mixture,
    box_prompts,
    make_batch,
    point_prompts,
)
from training.segmenter_driver import SIDE, Driver, Memories
from training.segmenter_losses import attention_loss, coarse_loss, identity_loss, mask_losses
from training.segmenter_network import IMAGE_SIZE, new_segmenter

MAX_LOGIT_STD = 4.5
"""Largest standard deviation of memory attention's logits over an image, see `soften`."""


@dataclass(frozen=True)
class Phase:
    """Phase of the training.

    Attributes:
        steps: number of steps.
        frames, objects, per_clip: frames of a window, objects of a batch, and largest number of objects of one clip.
        rate: highest learning rate.
        true_memory_ratio: fraction of object-frames whose memory is encoded from the true mask, at the start of the phase. It falls to 0.
        coarse: weight of the coarse heads.
        identity: weight of `identity_loss` and `attention_loss`.
        mixture: mixture of suites.
        soften: True divides large attention logits before the phase, see `soften`.
        side: size of the compared masks in pixels. Sharp boundaries need the full image size.
        dice: weight of the dice loss. It favors complete masks; the focal loss beside it favors leaving out uncertain pixels.
    """

    steps: int
    frames: int
    objects: int
    per_clip: int
    rate: float
    true_memory_ratio: float = 0.0
    coarse: float = 0.5
    identity: float = 0.0
    mixture: Mixture = EVERYTHING
    soften: bool = False
    side: int = IMAGE_SIZE // 2
    dice: float = 1.0


@dataclass(frozen=True)
class _Targets:
    """Ground truth of a batch of B objects with T frames each.

    Attributes:
        masks: uint8 [B, T, S, S].
        truth: float [B, T, R, R], masks at the size of the loss.
        rivals: float [B, T, R, R], masks of the other objects at the size of the loss.
        tokens: float [B, T, HW], fraction of each token that the object covers.
        rival_tokens: float [B, T, HW], fraction of each token that other objects cover.
        area: float [B, T], pixels of the object.
        visible: float [B, T], 1 where the object is visible.
        hidden: float [B, T], 1 where the object is fully hidden.
        weight: float [B, T], weight of each frame; the sum is 1.
        frame_rows: int64 [B, T], row of each frame among all frames of the batch.
    """

    masks: Tensor
    truth: Tensor
    rivals: Tensor
    tokens: Tensor
    rival_tokens: Tensor
    area: Tensor
    visible: Tensor
    hidden: Tensor
    weight: Tensor
    frame_rows: Tensor


@dataclass(frozen=True)
class _Prompting:
    """Prompts of a batch.

    Attributes:
        kind: "box", "point" or "mask" on frame 0.
        corrected: frame with a second prompt; 0 for none.
    """

    kind: str
    corrected: int


@dataclass(frozen=True)
class _Decoded:
    """Output of the network on one frame.

    Attributes:
        top: features [HW, B, C] at stride 16.
        maps: features [B, C, f, f] after memory attention.
        logits: mask logits [B, 4, h, w].
        ious: predicted IoUs [B, 4].
        tokens: mask tokens [B, 4, C].
        score: object scores [B].
        coarse: coarse logits [B, HW] of each decoder layer.
    """

    top: Tensor
    maps: Tensor
    logits: Tensor
    ious: Tensor
    tokens: Tensor
    score: Tensor
    coarse: list[Tensor]


class SegmenterTraining:
    """Loss function of one phase."""

    def __init__(self, model: Any, driver: Driver, phase: Phase, seed: int, number: int, family: Family = SHAPES_FAMILY) -> None:
        self.model, self.driver, self.phase, self.seed, self.number, self.family = model, driver, phase, seed, number, family
        self.device: torch.device = model.device

    def __call__(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a step's batch and the numbers to log."""
        phase = self.phase
        batch = make_batch((self.seed, self.number, step), phase.frames, phase.objects, phase.per_clip, phase.mixture, self.family)
        rng = np.random.default_rng([self.seed, self.number, step, 1])
        return self._loss(batch, rng, phase.true_memory_ratio * max(0.0, 1 - 1.5 * step / phase.steps))

    def _encode(self, frames: Tensor) -> tuple[list[Tensor], Tensor]:
        pixels = normalize(frames.to(self.device).flatten(0, 1).permute(0, 3, 1, 2))
        output = self.model.get_image_features(pixels, return_dict=True)
        return [level.float() for level in output.fpn_hidden_states], output.fpn_position_encoding[-1].float()

    def _targets(self, batch: Batch) -> _Targets:
        masks, others = batch.masks.to(self.device), batch.others.to(self.device)
        frames = masks.shape[1]
        size = (self.phase.side, self.phase.side)
        truth = (F.interpolate(masks.float(), size=size, mode="area") > 0.5).float()
        rivals = (F.interpolate(others.float(), size=size, mode="area") > 0.5).float()
        area = masks.flatten(2).sum(2, dtype=torch.float32)
        visible = (area > MIN_PIXELS).float()
        return _Targets(
            masks=masks,
            truth=truth,
            rivals=rivals,
            tokens=F.interpolate(masks.float(), size=(SIDE, SIDE), mode="area").flatten(2),
            rival_tokens=F.interpolate(others.float(), size=(SIDE, SIDE), mode="area").flatten(2),
            area=area,
            visible=visible,
            hidden=(area == 0).float(),
            weight=self._weights(truth, rivals, batch.fraction.to(self.device), visible),
            frame_rows=batch.clip_of.to(self.device)[:, None] * frames + torch.arange(frames, device=self.device),
        )

    def _loss(self, batch: Batch, rng: np.random.Generator, true_memory_ratio: float) -> tuple[Tensor, dict[str, float]]:
        levels, position = self._encode(batch.frames)
        targets = self._targets(batch)
        count, frames = targets.masks.shape[:2]
        kind = str(rng.choice(["box", "point", "mask"], p=[0.5, 0.42, 0.08] if frames == 1 else [0.8, 0.1, 0.1]))
        corrected = int(rng.integers(1, frames)) if frames > 1 and rng.random() < 0.15 else 0
        prompting = _Prompting(kind, corrected)
        objects = torch.arange(count, device=self.device)
        top_of_objects = levels[-1].transpose(0, 1)[targets.frame_rows]
        identity, separated = identity_loss(top_of_objects, targets.tokens, targets.rival_tokens)
        names = ("first", "choice", "iou", "object", "coarse", "attention")
        losses = dict.fromkeys(names, torch.zeros((), device=self.device))
        history: Memories = []
        ious, scores = [], []
        for t in range(frames):
            rows = targets.frame_rows[:, t]
            decoded = self._decode(batch, targets, prompting, [level[:, rows] for level in levels], position[:, rows], t, history, rng)
            iou = self._add_losses(losses, decoded, targets, t, bool(history))
            single = t == 0 and kind == "box"
            pick = torch.zeros(count, dtype=torch.long, device=self.device) if single else 1 + decoded.ious[:, 1:].argmax(1)
            ious.append((iou[objects, pick] * targets.visible[:, t]).detach())
            is_known = targets.visible[:, t] + targets.hidden[:, t]
            scores.append((((decoded.score > 0).float() == targets.visible[:, t]).float() * is_known).detach())
            if t < frames - 1:
                use_truth = torch.from_numpy(rng.random(count) < true_memory_ratio).to(self.device)
                if t == 0 and kind == "mask":
                    use_truth[:] = True
                history.append((t, self._encode_memory(decoded, targets, t, pick, use_truth)))
        loss = losses["first"] + losses["choice"] + losses["iou"] + 1.5 * losses["object"] + self.phase.coarse * losses["coarse"]
        loss = loss + self.phase.identity * (identity + losses["attention"])
        return loss, {
            **{name: float(value.detach()) for name, value in losses.items()},
            **self._accuracy(torch.stack(ious, 1), torch.stack(scores, 1), targets),
            "identity": float(identity.detach()),
            "told_apart": float(separated),
        }

    def _decode(
        self,
        batch: Batch,
        targets: _Targets,
        prompting: _Prompting,
        levels: list[Tensor],
        position: Tensor,
        t: int,
        history: Memories,
        rng: np.random.Generator,
    ) -> _Decoded:
        """Decode frame `t` from its features, the memories and the frame's prompt."""
        count = len(targets.masks)
        low, mid, top = levels
        high = [m.permute(1, 2, 0).reshape(count, -1, s, s) for m, s in ((low, 4 * SIDE), (mid, 2 * SIDE))]
        points = labels = mask_logits = None
        if t == 0 and prompting.kind == "mask":
            mask_logits = self.model.mask_downsample(targets.masks[:, :1].float())
            maps = top.permute(1, 2, 0).reshape(count, -1, SIDE, SIDE)
        else:
            maps = self.driver.condition(top, position, self._select_memories(history, t, rng), t)
            if t in (0, prompting.corrected):
                make_prompts = point_prompts if prompting.kind == "point" else box_prompts
                points, labels = (x.to(self.device) for x in make_prompts(batch.masks[:, t].numpy(), rng))
        logits, ious, tokens, score, coarse = self.driver.decode(maps, high, points, labels, mask_logits)
        return _Decoded(top, maps, logits, ious, tokens, score, coarse)

    def _add_losses(self, losses: dict[str, Tensor], decoded: _Decoded, targets: _Targets, t: int, has_memories: bool) -> Tensor:
        """Add the losses of frame `t` to `losses`. Return the IoU [B, 4] of each mask."""
        count, frames = targets.weight.shape
        visible, hidden, weight = targets.visible[:, t], targets.hidden[:, t], targets.weight[:, t]
        per_mask, iou = mask_losses(decoded.logits, targets.truth[:, t], targets.rivals[:, t], self.phase.dice)
        best = per_mask[:, 1:].min(1).values
        losses["first"] = losses["first"] + (per_mask[:, 0] * weight).sum()
        losses["choice"] = losses["choice"] + ((0.92 * best + 0.08 * per_mask[:, 1:].mean(1)) * weight).sum()
        losses["iou"] = losses["iou"] + ((decoded.ious - iou).abs().mean(1) * weight).sum()
        entropy = F.binary_cross_entropy_with_logits(decoded.score, visible, reduction="none")
        losses["object"] = losses["object"] + (entropy * (visible + 1.5 * hidden)).sum() / (count * frames)
        tokens, rival_tokens = targets.tokens, targets.rival_tokens
        if has_memories and self.phase.identity:
            logits = self.driver.attention_logits
            confusion = attention_loss(logits, tokens[:, t], rival_tokens[:, t], tokens[:, 0], rival_tokens[:, 0])
            losses["attention"] = losses["attention"] + confusion / (frames - 1)
        coarse = decoded.coarse
        if has_memories:
            coarse = [*coarse, self.driver.coarse[2](decoded.maps.flatten(2).transpose(1, 2))[..., 0].float()]
        losses["coarse"] = losses["coarse"] + sum((coarse_loss(head, tokens[:, t]) * weight).sum() for head in coarse)
        return iou

    def _encode_memory(self, decoded: _Decoded, targets: _Targets, t: int, pick: Tensor, use_truth: Tensor) -> dict[str, Tensor]:
        """Encode the memory of frame `t` from the picked masks [B], or from the true mask where `use_truth` [B] is set."""
        objects = torch.arange(len(pick), device=self.device)
        score = decoded.score
        mask = torch.where((score > 0)[:, None, None], decoded.logits[objects, pick], NO_OBJECT_LOGIT)
        truth = F.interpolate(targets.masks[:, t : t + 1].float(), size=mask.shape[1:], mode="area")[:, 0] * 20 - 10
        mask = torch.where(use_truth[:, None, None], truth, mask)
        score = torch.where(use_truth, targets.area[:, t] - 0.5, score)
        return self.driver.encode_memory(decoded.top, mask, score, t == 0, decoded.tokens[objects, pick])

    @staticmethod
    def _accuracy(ious: Tensor, correct: Tensor, targets: _Targets) -> dict[str, float]:
        """Return mean IoU and mean accuracy of the object score; both inputs are [B, T]."""
        visible, hidden = targets.visible, targets.hidden
        return {
            "J": float(ious.sum() / visible.sum()),
            "J_last": float(ious[:, -1].sum() / visible[:, -1].sum().clamp(min=1)),
            "visible_right": float((correct * visible).sum() / visible.sum()),
            "hidden_right": float((correct * hidden).sum() / hidden.sum()) if hidden.any() else float("nan"),
        }

    @staticmethod
    def _weights(truth: Tensor, rivals: Tensor, fraction: Tensor, visible: Tensor) -> Tensor:
        """Return the weight [B, T] of each frame, with a sum of 1.

        Frames without the object weigh 0; frames after a crossing or an occlusion weigh 2.5 times as much as others.
        """
        cell = truth.shape[-1] // (2 * SIDE)
        near = (F.max_pool2d(F.max_pool2d(truth, cell), 3, 1, 1) * F.max_pool2d(rivals, cell)).flatten(2).sum(2) > 2
        event = near.float().maximum((fraction < 0.5).float())
        after = torch.zeros_like(event)
        for t in range(1, event.shape[1]):
            after[:, t] = event[:, max(0, t - 2) : t + 1].amax(1)
        weight = visible * (1 + 1.5 * after)
        return weight / weight.sum().clamp(min=1)

    def _select_memories(self, history: Memories, now: int, rng: np.random.Generator) -> Memories:
        """Return the memories of the prompted frame and of the latest six others.

        Some memories are dropped at random, as memory policies skip some frames.
        """
        if not history:
            return []
        kept = [memory for memory in history[1:] if rng.random() > 0.12]
        ages = range(min(len(kept), 6), 0, -1)
        return [(now, history[0][1]), *((age, kept[-age][1]) for age in ages)]


PHASES = (
    Phase(700, 1, 20, 3, 1.4e-3),
    Phase(450, 4, 14, 4, 1.0e-3, true_memory_ratio=0.7),
    Phase(420, 6, 14, 4, 3e-4, true_memory_ratio=0.3, coarse=0.15),
    Phase(300, 7, 12, 4, 2.5e-4, coarse=0.1),
    Phase(650, 3, 18, 3, 5e-4, true_memory_ratio=0.4, coarse=0.15, identity=1.0, mixture=LOOK_ALIKES, soften=True),
    Phase(680, 7, 12, 3, 3.5e-4, true_memory_ratio=0.3, coarse=0.1, identity=0.4, mixture=CROSSINGS),
    Phase(1200, 7, 12, 3, 4e-4, true_memory_ratio=0.2, coarse=0.1, identity=0.3, mixture=FINISH, side=IMAGE_SIZE, dice=2.0),
)


@torch.no_grad()
def soften(training: SegmenterTraining) -> None:
    """Limit the standard deviation of memory attention's logits over an image to `MAX_LOGIT_STD`, by dividing larger ones.

    One-hot attention passes no gradient, so it cannot learn to separate look-alikes. The division changes the masks little
    (J .740 before, .742 after).
    """
    training(0)
    for layer, logits in zip(training.model.memory_attention.layers, training.driver.attention_logits):
        query = layer.cross_attn_image.q_proj
        excess = (logits.std(2).mean() / MAX_LOGIT_STD).clamp(min=1)
        query.weight.div_(excess)
        query.bias.div_(excess)


THINGS_PHASES = (
    Phase(500, 1, 20, 3, 8e-4, coarse=0.1),
    Phase(800, 4, 14, 4, 6e-4, true_memory_ratio=0.5, coarse=0.1, identity=0.3),
    Phase(700, 7, 12, 3, 4e-4, true_memory_ratio=0.3, coarse=0.1, identity=0.3, mixture=CROSSINGS),
    Phase(1200, 7, 12, 3, 4e-4, true_memory_ratio=0.2, coarse=0.1, identity=0.3, mixture=FINISH, side=IMAGE_SIZE, dice=2.0),
)
"""Phases for the everyday things, from the checkpoint of the shapes: first the look of things, then their memory and crossings."""


def train_segmenter(
    folder: Path,
    phases: tuple[Phase, ...] = PHASES,
    seed: int = 0,
    device: str = "cpu",
    family: Family = SHAPES_FAMILY,
    start: Path | None = None,
) -> Any:
    """Train from scratch or from a checkpoint, or resume an interrupted training.

    Args:
        folder: folder for the state and log of each phase.
        phases: phases to run.
        seed: seed of weights and batches.
        device: device of the training.
        family: family of the objects.
        start: checkpoint of the same architecture whose weights the training starts from; None for new ones.

    Returns:
        The model with averaged weights.
    """
    model: Any = new_segmenter(seed).to(device).eval()
    if start is not None:
        other: Any = Sam2VideoModel.from_pretrained(start, dtype=torch.float32)
        model.load_state_dict(other.state_dict())
    driver = Driver(model)
    helpers = nn.ModuleDict({"coarse": driver.coarse})
    for number, phase in enumerate(phases):
        training = SegmenterTraining(model, driver, phase, seed, number, family)
        if phase.soften:
            soften(training)
        loop = Loop(folder / f"phase{number}", model, helpers, phase.steps, phase.rate)
        loop.run(training)
        loop.averaged()
    return model
