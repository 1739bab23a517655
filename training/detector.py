# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the toy Grounding DINO with the losses of its paper (arXiv:2303.05499): Hungarian matching, focal, L1 and GIoU loss.

The training uses transformers' loss with three corrections:

* Class targets are looked up per image. transformers adds offsets that are correct for equal captions only.
* The encoder's proposals have a loss of their own. transformers' proposal loss gets detached boxes and has no gradient.
* Queries that match an object count twice in the focal loss, because they meet the hardest wrong phrases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.loss.loss_grounding_dino import GroundingDinoHungarianMatcher, GroundingDinoImageLoss
from transformers.models.grounding_dino import modeling_grounding_dino as grounding_dino

from lang2segtrack_ros.segmentation.preprocessing import normalize
from lang2segtrack_ros.toyworld.families import Family
from training.detector_data import make_batch
from training.detector_network import load_weights, new_detector, write_tokenizer
from training.loop import Loop

PICTURES = 10
PHASES = ((4000, 1.2e-3), (1000, 8e-4), (1500, 7e-4), (1400, 6e-4), (4200, 7e-4))
"""Steps and highest learning rate of each phase. The network learns positions first, then colors; shapes need the later phases."""

THINGS_PHASES = ((3000, 1.2e-3), (3000, 9e-4), (4000, 7e-4))
"""The same for the everyday things, from the checkpoint of the shapes."""


class _Criterion(GroundingDinoImageLoss):  # type: ignore[misc]
    def _class_targets(self, outputs: dict[str, Any], targets: list[dict[str, Tensor]], indices: list[tuple[Tensor, Tensor]]) -> Tensor:
        class_targets = torch.zeros_like(outputs["logits"])
        for row, (target, (queries, objects)) in enumerate(zip(targets, indices)):
            if len(objects):
                class_targets[row, queries] = outputs["label_maps"][row][target["class_labels"][objects]].to(class_targets)
        return class_targets

    def loss_labels(
        self, outputs: dict[str, Any], targets: list[dict[str, Tensor]], indices: list[tuple[Tensor, Tensor]], num_boxes: float
    ) -> dict[str, Tensor]:
        """Return the focal loss over the tokens of each caption."""
        class_targets, text_mask = self._class_targets(outputs, targets, indices), outputs["text_mask"]
        logits = torch.where(text_mask, outputs["logits"], 0.0)
        p = logits.sigmoid()
        p_correct = p * class_targets + (1 - p) * (1 - class_targets)
        balance = self.focal_alpha * class_targets + (1 - self.focal_alpha) * (1 - class_targets)
        loss = F.binary_cross_entropy_with_logits(logits, class_targets, reduction="none") * (1 - p_correct) ** 2 * balance * text_mask
        weight = torch.ones(logits.shape[:2], device=logits.device)
        for row, (queries, _) in enumerate(indices):
            weight[row, queries] = 2.0
        return {"loss_ce": (loss.sum(-1) * weight).sum() / num_boxes}


@contextmanager
def _fast_deformable_attention() -> Iterator[None]:
    """Replace deformable attention by a level-by-level sum: the same values in a third of the time on a CPU."""

    def forward(
        _self: Any, value: Tensor, _shapes: Any, shapes: list[tuple[int, int]], _start: Any, locations: Tensor, weights: Tensor, _step: Any
    ) -> Tensor:
        batch, _, heads, width = value.shape
        queries, points = locations.shape[1], locations.shape[4]
        total: Tensor | float = 0.0
        for level, (level_values, (height, level_width)) in enumerate(zip(torch.split(value, [h * w for h, w in shapes], dim=1), shapes)):
            maps = level_values.flatten(2).transpose(1, 2).reshape(batch * heads, width, height, level_width)
            grid = (2 * locations[:, :, :, level] - 1).transpose(1, 2).flatten(0, 1)
            sampled = F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
            weight = weights[:, :, :, level].transpose(1, 2).reshape(batch * heads, 1, queries, points)
            total = total + (sampled * weight).sum(-1)
        assert isinstance(total, Tensor)
        return total.view(batch, heads * width, queries).transpose(1, 2).contiguous()

    original = grounding_dino.MultiScaleDeformableAttention.forward
    grounding_dino.MultiScaleDeformableAttention.forward = forward
    try:
        yield
    finally:
        grounding_dino.MultiScaleDeformableAttention.forward = original


class DetectorTraining:
    """Loss function of one phase."""

    def __init__(self, model: Any, tokenizer: Any, seed: int, phase: int, family: Family) -> None:
        self.model, self.tokenizer, self.seed, self.family = model, tokenizer, seed + 1000 * phase, family
        self.device: torch.device = model.device
        matcher = GroundingDinoHungarianMatcher(class_cost=2.0, bbox_cost=5.0, giou_cost=2.0)
        self.criterion = _Criterion(matcher, 0.25, ["labels", "boxes"])

    def __call__(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a step's batch and the numbers to log."""
        colors, pictures, targets = make_batch((self.seed, step), PICTURES, self.family)
        pixels = normalize(colors.to(self.device).permute(0, 3, 1, 2))
        captions = [". ".join(phrase.text for phrase in picture.phrases) + "." for picture in pictures]
        text = self.tokenizer(captions, padding=True, return_tensors="pt", return_token_type_ids=True).to(self.device)
        targets = [{name: value.to(self.device) for name, value in target.items()} for target in targets]
        output = self.model(
            pixel_values=pixels, input_ids=text.input_ids, token_type_ids=text.token_type_ids, attention_mask=text.attention_mask
        )
        maps = grounding_dino.build_label_maps(output.logits, output.input_ids)
        loss = torch.zeros((), device=self.device)
        logged: dict[str, float] = {}
        for name, logits, boxes in self._stages(output, text.attention_mask):
            text_mask = grounding_dino.build_text_mask(logits, text.attention_mask)
            terms = self.criterion({"logits": logits, "pred_boxes": boxes, "label_maps": maps, "text_mask": text_mask}, targets)
            loss = loss + 2 * terms["loss_ce"] + 5 * terms["loss_bbox"] + 2 * terms["loss_giou"]
            logged |= {f"{name}_{key[5:]}": float(value.detach()) for key, value in terms.items()}
        return loss, {name: value for name, value in logged.items() if not name.startswith("layer")}

    def _stages(self, output: Any, attention: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield name, logits and boxes of the last decoder layer, of the earlier ones, and of the encoder's proposals."""
        yield "last", output.logits, output.pred_boxes
        hidden = output.intermediate_hidden_states
        for layer in range(hidden.shape[1] - 1):
            reference = output.init_reference_points if layer == 0 else output.intermediate_reference_points[:, layer - 1]
            logits = self.model.class_embed[layer](hidden[:, layer], output.encoder_last_hidden_state_text, attention.bool())
            offset = self.model.bbox_embed[layer](hidden[:, layer])
            yield f"layer{layer}", logits, (offset + torch.special.logit(reference, eps=1e-5)).sigmoid()
        yield "proposals", output.enc_outputs_class, output.enc_outputs_coord_logits.sigmoid()


def train_detector(
    folder: Path,
    family: Family,
    phases: Sequence[tuple[int, float]] = PHASES,
    seed: int = 0,
    device: str = "cpu",
    start: Path | None = None,
) -> Any:
    """Train from scratch or from a checkpoint, or resume an interrupted training.

    Args:
        folder: folder for the state and log of each phase.
        family: family of the objects.
        phases: steps and highest learning rate of each phase.
        seed: seed of weights and batches.
        device: device of the training.
        start: checkpoint whose weights the training starts from; None for new ones. Words that it does not know start anew.

    Returns:
        The model with averaged weights.
    """
    model: Any = new_detector(seed).to(device).train()
    tokenizer = write_tokenizer(folder / "checkpoint", family)
    if start is not None:
        load_weights(model, tokenizer, start)
    with _fast_deformable_attention():
        for number, (steps, rate) in enumerate(phases):
            loop = Loop(folder / f"phase{number}", model, nn.Module(), steps, rate)
            loop.run(DetectorTraining(model, tokenizer, seed, number, family))
            loop.averaged()
    return model.eval()
