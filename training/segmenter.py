# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the toy SAM 2 video network.

First single images (a prompt shows what is meant), then windows of 4 to 7 frames on which the network remembers its own masks, as in
SAM 2's training (arXiv:2408.00714, appendix D), with additions that a small network needs: heads that ask the features for a coarse
mask (it does not learn to heed prompts and memories without them), extra weight on pixels of other objects and on frames after a
meeting or a hiding, memories that are sometimes true instead of its own, ever more rarely, and at last losses that ask features
and memory attention to tell an object from its look-alikes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.sam2_video.modeling_sam2_video import apply_rotary_pos_emb_2d

from lang2segtrack_ros.segmentation.preprocessing import normalise
from lang2segtrack_ros.segmentation.sam2 import NO_OBJECT_LOGIT
from training.loop import Loop
from training.segmenter_data import (
    EVERYTHING,
    FINISH,
    LOOK_ALIKES,
    MEETINGS,
    MIN_PIXELS,
    Batch,
    Mixture,
    box_prompts,
    make_batch,
    point_prompts,
)
from training.segmenter_network import IMAGE_SIZE, WIDTH, new_segmenter

SIDE = IMAGE_SIZE // 16
LARGEST = 64.0
"""Mean square of features at stride 16 above which a training that compares them holds them back."""
SOFT = 4.5


@dataclass(frozen=True)
class Phase:
    """A stretch of the training.

    Attributes:
        steps: its length.
        frames, objects, per_clip: of a batch.
        rate: highest learning rate.
        told: share of object-frames that are remembered with the true mask, at the phase's beginning; it falls to 0.
        coarse: weight of the coarse heads.
        identity: weight of `identity_loss` and `attention_loss`.
        mixture: what is shown.
        soften: whether memory attention is made softer before the phase, see `soften`.
        side: of the masks that the losses compare, in pixels; rims need the whole picture's.
        dice: weight of the dice loss, which wants the whole of a mask, beside the focal loss, which rather leaves out what is doubtful.
    """

    steps: int
    frames: int
    objects: int
    per_clip: int
    rate: float
    told: float = 0.0
    coarse: float = 0.5
    identity: float = 0.0
    mixture: Mixture = EVERYTHING
    soften: bool = False
    side: int = IMAGE_SIZE // 2
    dice: float = 1.0


class Driver:
    """One step of the network for B objects of N clips, with gradients.

    Attributes:
        model: the network.
        coarse: heads that read a mask at stride 16 out of the decoder's image tokens, and of the memory-conditioned features.
        likeness: what the layers of the latest `condition` made of tokens then and now, see `_watch`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.coarse = nn.ModuleList(nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 1)) for _ in range(3)).to(model.device)
        self._seen: list[Tensor] = []
        self._tokens: Tensor = torch.empty(0)
        decoder = model.mask_decoder
        decoder._dynamic_multimask_via_stability = lambda masks, ious: (masks, ious)  # all four masks come out
        for layer in decoder.transformer.layers:
            layer.register_forward_hook(lambda _module, _inputs, output: self._seen.append(output[1][:, 0]))
        decoder.transformer.register_forward_hook(lambda _module, _inputs, output: setattr(self, "_tokens", output[0]))
        self.likeness: list[Tensor] = []
        for layer in model.memory_attention.layers:
            layer.cross_attn_image.register_forward_pre_hook(self._watch, with_kwargs=True)

    def _watch(self, attention: Any, _arguments: Any, given: dict[str, Any]) -> None:
        """Notes what each layer's attention makes of the image's tokens and the prompted frame's: logits [B, HW, HW]."""
        count = SIDE * SIDE
        query = attention.q_proj(given["query"]).reshape(-1, 1, count, attention.head_dim)
        key = attention.k_proj(given["key"][:, :, :count]).reshape(-1, 1, count, attention.head_dim)
        query, key = apply_rotary_pos_emb_2d(query, key, *given["position_embeddings"])
        self.likeness.append((query @ key.transpose(2, 3))[:, 0] * attention.scaling)

    def decode(
        self, maps: Tensor, high: list[Tensor], points: Tensor | None, labels: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, list[Tensor]]:
        """Masks [B, 4, h, w], IoUs [B, 4], tokens [B, 4, C], object scores [B] and coarse logits [B, HW] of each layer."""
        count = len(maps)
        if points is None or labels is None:
            points = maps.new_zeros(count, 1, 1, 2)
            labels = torch.full((count, 1, 1), -1, dtype=torch.int32, device=maps.device)
        sparse, dense = self.model.prompt_encoder(points, labels, None, mask)
        self._seen.clear()
        masks, ious, _, score = self.model.mask_decoder(
            image_embeddings=maps,
            image_positional_embeddings=self.model.get_image_wide_positional_embeddings().expand(count, -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            high_resolution_features=high,
        )
        coarse = [head(seen)[..., 0].float() for head, seen in zip(self.coarse, self._seen)]
        return masks[:, 0].float(), ious[:, 0].float(), self._tokens[:, 0, 2:6], score[:, 0, 0].float(), coarse

    def condition(self, top: Tensor, position: Tensor, memories: list[tuple[int, dict[str, Tensor]]], age: int) -> Tensor:
        """Features [HW, B, C] in the light of memories: maps [B, C, f, f].

        Args:
            top: [HW, B, C].
            position: their position code, [HW, B, C].
            memories: age in frames and content; the first is the prompted frame's.
            age: frames since the prompt.
        """
        count = top.shape[1]
        self.likeness.clear()
        if not memories:
            bare: Tensor = (top + self.model.no_memory_embedding).permute(1, 2, 0).reshape(count, -1, SIDE, SIDE)
            return bare
        spatial = [(0, memories[0][1]), *memories[1:]][: self.model.num_maskmem]
        memory, codes = self.model._build_memory_attention_inputs(spatial, top.device)
        ages = [age, *(old for old, _ in memories[1:])]
        pointers, pointer_codes = self.model._process_object_pointers(
            ages, [content["object_pointer"] for _, content in memories], 16, count, WIDTH, top.device
        )
        output = self.model.memory_attention(
            current_vision_features=top,
            current_vision_position_embeddings=position,
            memory=torch.cat([*memory, pointers]),
            memory_posision_embeddings=torch.cat([*codes, pointer_codes]),
            num_object_pointer_tokens=len(pointers),
        )
        maps: Tensor = output.reshape(count, SIDE * SIDE, WIDTH).transpose(1, 2).reshape(count, -1, SIDE, SIDE).float()
        return maps

    def encode_memory(self, top: Tensor, logits: Tensor, score: Tensor, hard: bool, token: Tensor) -> dict[str, Tensor]:
        """What is remembered of masks [B, h, w] with object scores [B] and tokens [B, C]."""
        large = F.interpolate(logits[:, None], size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False)
        features, codes = self.model._encode_new_memory(top, large, score[:, None, None], is_mask_from_pts=hard)
        seen = (score > 0).float()[:, None]
        pointer = self.model.object_pointer_proj(token).float()
        return {
            "maskmem_features": features.float(),
            "maskmem_pos_enc": codes,
            "object_pointer": seen * pointer + (1 - seen) * self.model.no_object_pointer,
        }


def mask_losses(logits: Tensor, truth: Tensor, others: Tensor, dice_weight: float = 1.0) -> tuple[Tensor, Tensor]:
    """Focal and dice loss and IoU, both [B, M], of logits [B, M, h, w] for truth and others [B, R, R]; others' pixels count thrice."""
    x = F.interpolate(logits, size=truth.shape[1:], mode="bilinear", align_corners=False)
    goal = truth[:, None]
    entropy = F.binary_cross_entropy_with_logits(x, goal.expand_as(x), reduction="none") * (1 + 2 * others[:, None])
    p = x.sigmoid()
    hit, size, want = (p * goal).sum((2, 3)), p.sum((2, 3)), goal.sum((2, 3))
    right = 2 * p * goal - p - goal + 1
    focal = (entropy * (0.5 * (1 - right) ** 2 + 0.5)).mean((2, 3))
    dice = 1 - (2 * hit + 1) / (size + want + 1)
    with torch.no_grad():
        hard = (x > 0).float()
        both = (hard * goal).sum((2, 3))
        iou = both / (hard.sum((2, 3)) + want - both).clamp(min=1)
    return 8 * focal + dice_weight * dice, iou


def coarse_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """[B] cross entropy and dice of logits [B, HW] against covered shares [B, HW]."""
    p = logits.sigmoid()
    dice = 1 - (2 * (p * truth).sum(1) + 0.5) / (p.sum(1) + truth.sum(1) + 0.5)
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(1) * 4 + dice


def _whose(own: Tensor, rivals: Tensor) -> tuple[Tensor, Tensor]:
    """Which tokens are an object's, and which the others', bool like the covered shares [..., HW]; a small object has the fullest ones."""
    mine = own > 0.6 * own.amax(-1, keepdim=True).clamp(min=0.4)
    return mine, (rivals > 0.6) & ~mine


def identity_loss(top: Tensor, own: Tensor, rivals: Tensor) -> tuple[Tensor, Tensor]:
    """How badly features tell an object on later frames from the others, and how often they do tell it.

    Masks alone do not teach this: without it, features at stride 16 know a look-alike by its kind and nothing else (two of one label
    but of different tints were told apart in 52 of 100 cases; by their mean colour, in all).

    Args:
        top: features [B, T, HW, C] of each object's frames.
        own: covered shares [B, T, HW] of the tokens by the object.
        rivals: likewise by all others.

    Returns:
        Mean contrast loss (InfoNCE with the other objects' tokens, arXiv:1807.03748) and the share of object-frames told right.
    """
    features = F.normalize(top - top.mean((0, 1, 2)).detach(), dim=-1)  # attention does not see what all tokens share
    is_mine, theirs = _whose(own, rivals)
    mine = is_mine.float()
    anchor = F.normalize((features[:, 0] * mine[:, 0, :, None]).sum(1), dim=-1)
    alike = torch.einsum("bthc,bc->bth", features, anchor) / 0.1
    size, others = mine.sum(2), theirs.sum(2)
    right = (alike * mine).sum(2) / size.clamp(min=1)
    wrong = alike.masked_fill(~theirs, -30.0).logsumexp(2) - others.clamp(min=1).log()
    counts = (size > 0) & (others > 0) & (size[:, :1] > 0)
    number = counts.sum().clamp(min=1)
    # Features that are compared by direction alone grow without end, and attention to what is made of them becomes one-hot.
    large = F.relu(top.square().mean() / LARGEST - 1)
    return (F.softplus(wrong - right) * counts).sum() / number + large.square(), ((right > wrong) & counts).sum() / number


def attention_loss(likeness: list[Tensor], own: Tensor, rivals: Tensor, own_then: Tensor, rivals_then: Tensor) -> Tensor:
    """How far memory attention takes an object's tokens for those of the others on the prompted frame, and theirs for its own.

    Args:
        likeness: logits [B, HW, HW] of each layer, see `Driver`.
        own: covered shares [B, HW] of the image's tokens by the object.
        rivals: likewise by all others.
        own_then: likewise on the prompted frame.
        rivals_then: likewise.
    """
    mine, theirs = _whose(own, rivals)
    mine_then, theirs_then = _whose(own_then, rivals_then)
    able = mine_then.any(1, keepdim=True) & theirs_then.any(1, keepdim=True)
    size, others = mine_then.sum(1, keepdim=True).clamp(min=1).log(), theirs_then.sum(1, keepdim=True).clamp(min=1).log()
    total = own.new_zeros(())
    for logits in likeness:
        to_mine = logits.masked_fill(~mine_then[:, None], -1e4).logsumexp(2) - size
        to_theirs = logits.masked_fill(~theirs_then[:, None], -1e4).logsumexp(2) - others
        wrong = torch.where(mine, to_theirs - to_mine, to_mine - to_theirs)
        counts = (mine | theirs) & able
        total = total + (F.softplus(wrong) * counts).sum() / counts.sum().clamp(min=1)
    return total / max(len(likeness), 1)


class SegmenterTraining:
    """The loss of a step of a phase."""

    def __init__(self, model: Any, driver: Driver, phase: Phase, seed: int, number: int) -> None:
        self.model, self.driver, self.phase, self.seed, self.number = model, driver, phase, seed, number
        self.device: torch.device = model.device

    def __call__(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Loss of the batch that belongs to `step`, and what is worth knowing of it."""
        phase = self.phase
        batch = make_batch((self.seed, self.number, step), phase.frames, phase.objects, phase.per_clip, phase.mixture)
        rng = np.random.default_rng([self.seed, self.number, step, 1])
        return self._loss(batch, rng, phase.told * max(0.0, 1 - 1.5 * step / phase.steps))

    def _encode(self, frames: Tensor) -> tuple[list[Tensor], Tensor]:
        pixels = normalise(frames.to(self.device).flatten(0, 1).permute(0, 3, 1, 2))
        output = self.model.get_image_features(pixels, return_dict=True)
        return [level.float() for level in output.fpn_hidden_states], output.fpn_position_encoding[-1].float()

    def _loss(self, batch: Batch, rng: np.random.Generator, told: float) -> tuple[Tensor, dict[str, float]]:
        driver, device = self.driver, self.device
        levels, position = self._encode(batch.frames)
        masks, others = batch.masks.to(device), batch.others.to(device)
        count, frames = masks.shape[:2]
        size = (self.phase.side, self.phase.side)
        truth = (F.interpolate(masks.float(), size=size, mode="area") > 0.5).float()
        rivals = (F.interpolate(others.float(), size=size, mode="area") > 0.5).float()
        tokens = F.interpolate(masks.float(), size=(SIDE, SIDE), mode="area").flatten(2)
        area = masks.flatten(2).sum(2, dtype=torch.float32)
        visible, hidden = (area > MIN_PIXELS).float(), (area == 0).float()
        weight = self._weights(truth, rivals, batch.fraction.to(device), visible)
        kind = str(rng.choice(["box", "point", "mask"], p=[0.5, 0.42, 0.08] if frames == 1 else [0.8, 0.1, 0.1]))
        corrected = int(rng.integers(1, frames)) if frames > 1 and rng.random() < 0.15 else 0
        rows = torch.arange(count, device=device)
        shots = batch.clip_of.to(device)[:, None] * frames + torch.arange(frames, device=device)
        rival_tokens = F.interpolate(others.float(), size=(SIDE, SIDE), mode="area").flatten(2)
        identity, told_apart = identity_loss(levels[-1].transpose(0, 1)[shots], tokens, rival_tokens)
        losses = dict.fromkeys(("first", "choice", "iou", "object", "coarse", "attention"), torch.zeros((), device=device))
        history: list[tuple[int, dict[str, Tensor]]] = []
        ious, scores = [], []
        for t in range(frames):
            at = shots[:, t]
            low, mid, top = (level[:, at] for level in levels)
            high = [m.permute(1, 2, 0).reshape(count, -1, s, s) for m, s in ((low, 4 * SIDE), (mid, 2 * SIDE))]
            points = labels = mask_logits = None
            hard = t == 0
            if t == 0 and kind == "mask":
                mask_logits = self.model.mask_downsample(masks[:, :1].float())
                maps = top.permute(1, 2, 0).reshape(count, -1, SIDE, SIDE)
            else:
                maps = driver.condition(top, position[:, at], self._recalled(history, t, rng), t)
                if t == 0 or t == corrected:
                    make = point_prompts if kind == "point" else box_prompts
                    points, labels = (x.to(device) for x in make(batch.masks[:, t].numpy(), rng))
            logits, predicted, mask_tokens, score, coarse = driver.decode(maps, high, points, labels, mask_logits)
            per_mask, iou = mask_losses(logits, truth[:, t], rivals[:, t], self.phase.dice)
            share = weight[:, t]
            best = per_mask[:, 1:].min(1).values
            losses["first"] = losses["first"] + (per_mask[:, 0] * share).sum()
            losses["choice"] = losses["choice"] + ((0.92 * best + 0.08 * per_mask[:, 1:].mean(1)) * share).sum()
            losses["iou"] = losses["iou"] + ((predicted - iou).abs().mean(1) * share).sum()
            known = visible[:, t] + hidden[:, t]
            entropy = F.binary_cross_entropy_with_logits(score, visible[:, t], reduction="none")
            losses["object"] = losses["object"] + (entropy * (visible[:, t] + 1.5 * hidden[:, t])).sum() / (count * frames)
            if history and self.phase.identity:
                taken_for = attention_loss(driver.likeness, tokens[:, t], rival_tokens[:, t], tokens[:, 0], rival_tokens[:, 0])
                losses["attention"] = losses["attention"] + taken_for / (frames - 1)
            if history:
                coarse = [*coarse, driver.coarse[2](maps.flatten(2).transpose(1, 2))[..., 0].float()]
            losses["coarse"] = losses["coarse"] + sum((coarse_loss(head, tokens[:, t]) * share).sum() for head in coarse)
            single = t == 0 and kind == "box"
            pick = torch.zeros(count, dtype=torch.long, device=device) if single else 1 + predicted[:, 1:].argmax(1)
            ious.append((iou[rows, pick] * visible[:, t]).detach())
            scores.append((((score > 0).float() == visible[:, t]).float() * known).detach())
            if t < frames - 1:
                chosen = torch.where((score > 0)[:, None, None], logits[rows, pick], NO_OBJECT_LOGIT)
                is_told = torch.from_numpy(rng.random(count) < told).to(device)
                if hard and kind == "mask":
                    is_told[:] = True
                true = F.interpolate(masks[:, t : t + 1].float(), size=chosen.shape[1:], mode="area")[:, 0] * 20 - 10
                chosen = torch.where(is_told[:, None, None], true, chosen)
                score = torch.where(is_told, area[:, t] - 0.5, score)
                history.append((t, driver.encode_memory(top, chosen, score, hard, mask_tokens[rows, pick])))
        loss = losses["first"] + losses["choice"] + losses["iou"] + 1.5 * losses["object"] + self.phase.coarse * losses["coarse"]
        loss = loss + self.phase.identity * (identity + losses["attention"])
        seen, right = torch.stack(ious, 1), torch.stack(scores, 1)
        gone = float((right * hidden).sum() / hidden.sum()) if hidden.any() else float("nan")
        return loss, {
            **{name: float(value.detach()) for name, value in losses.items()},
            "J": float(seen.sum() / visible.sum()),
            "J_last": float(seen[:, -1].sum() / visible[:, -1].sum().clamp(min=1)),
            "visible_right": float((right * visible).sum() / visible.sum()),
            "hidden_right": gone,
            "identity": float(identity.detach()),
            "told_apart": float(told_apart),
        }

    @staticmethod
    def _weights(truth: Tensor, rivals: Tensor, fraction: Tensor, visible: Tensor) -> Tensor:
        """[B, T], sum 1: frames on which the object is seen; those after a meeting or a hiding count 2.5 times."""
        cell = truth.shape[-1] // (2 * SIDE)
        near = (F.max_pool2d(F.max_pool2d(truth, cell), 3, 1, 1) * F.max_pool2d(rivals, cell)).flatten(2).sum(2) > 2
        event = near.float().maximum((fraction < 0.5).float())
        after = torch.zeros_like(event)
        for t in range(1, event.shape[1]):
            after[:, t] = event[:, max(0, t - 2) : t + 1].amax(1)
        weight = visible * (1 + 1.5 * after)
        return weight / weight.sum().clamp(min=1)

    def _recalled(
        self, history: list[tuple[int, dict[str, Tensor]]], now: int, rng: np.random.Generator
    ) -> list[tuple[int, dict[str, Tensor]]]:
        """The prompted frame and those of the latest six memories that are not left out, as policies leave some out."""
        if not history:
            return []
        kept = [item for item in history[1:] if rng.random() > 0.12]
        ages = range(min(len(kept), 6), 0, -1)
        return [(now, history[0][1]), *((age, kept[-age][1]) for age in ages)]


PHASES = (
    Phase(700, 1, 20, 3, 1.4e-3),
    Phase(450, 4, 14, 4, 1.0e-3, told=0.7),
    Phase(420, 6, 14, 4, 3e-4, told=0.3, coarse=0.15),
    Phase(300, 7, 12, 4, 2.5e-4, coarse=0.1),
    Phase(650, 3, 18, 3, 5e-4, told=0.4, coarse=0.15, identity=1.0, mixture=LOOK_ALIKES, soften=True),
    Phase(680, 7, 12, 3, 3.5e-4, told=0.3, coarse=0.1, identity=0.4, mixture=MEETINGS),
    Phase(1200, 7, 12, 3, 4e-4, told=0.2, coarse=0.1, identity=0.3, mixture=FINISH, side=IMAGE_SIZE, dice=2.0),
)


@torch.no_grad()
def soften(training: SegmenterTraining) -> None:
    """Divides the logits of memory attention so that their standard deviation over an image is SOFT, where it is greater.

    An attention that has become one-hot passes no gradient, so it could not learn which of two look-alikes it should look at; what it
    says changes little by this (J .740 before, .742 after).
    """
    training(0)
    for layer, logits in zip(training.model.memory_attention.layers, training.driver.likeness):
        query = layer.cross_attn_image.q_proj
        excess = (logits.std(2).mean() / SOFT).clamp(min=1)
        query.weight.div_(excess)
        query.bias.div_(excess)


def train_segmenter(folder: Path, phases: tuple[Phase, ...] = PHASES, seed: int = 0, device: str = "cpu") -> Any:
    """Trains from scratch, or goes on where an earlier run in `folder` stopped. Returns the model with averaged weights."""
    model: Any = new_segmenter(seed).to(device).eval()
    driver = Driver(model)
    helpers = nn.ModuleDict({"coarse": driver.coarse})
    for number, phase in enumerate(phases):
        training = SegmenterTraining(model, driver, phase, seed, number)
        if phase.soften:
            soften(training)
        loop = Loop(folder / f"phase{number}", model, helpers, phase.steps, phase.rate)
        loop.run(training)
        loop.averaged()
    return model
