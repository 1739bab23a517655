# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the segmenter: its data, its losses, and resuming."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lang2segtrack_ros.toyworld.suites import make_clip
from training import segmenter_data
from training.loop import Loop
from training.segmenter import MAX_LOGIT_STD, Phase, SegmenterTraining, soften
from training.segmenter_data import CROSSINGS, EVERYTHING, FINISH, LOOK_ALIKES, TRAINING_SEEDS, Mixture, make_batch
from training.segmenter_driver import Driver
from training.segmenter_losses import MAX_MEAN_SQUARE, attention_loss, identity_loss, mask_losses
from training.segmenter_network import new_segmenter

HW, C = 16, 8


def rows(*tokens: int) -> Tensor:
    """Return covered fractions of one object-frame: 1 on these tokens."""
    share = torch.zeros(HW)
    share[list(tokens)] = 1.0
    return share


def features(own: Tensor, other: Tensor, scale: float = 1.0) -> Tensor:
    """Return [1, 2, HW, C]: an object on tokens 0 and 1, then 4 and 5; another on 8 and 9, then 12 and 13; noise on all other tokens."""
    maps = torch.randn(1, 2, HW, C, generator=torch.Generator().manual_seed(0)) * 0.1
    maps[0, 0, :2], maps[0, 1, 4:6] = own, own
    maps[0, 0, 8:10], maps[0, 1, 12:14] = other, other
    return maps * scale


OWN = torch.stack([rows(0, 1), rows(4, 5)])[None]
RIVALS = torch.stack([rows(8, 9), rows(12, 13)])[None]
ONE, TWO = torch.eye(C)[0], torch.eye(C)[1]


def test_separated_features_have_a_lower_identity_loss() -> None:
    separate_loss, separated = identity_loss(features(ONE, TWO), OWN, RIVALS)
    similar_loss, _ = identity_loss(features(ONE, ONE + 0.01 * TWO), OWN, RIVALS)
    assert separate_loss < 0.1 < similar_loss
    assert separated == 1.0


def test_identity_loss_separates_features_of_look_alikes() -> None:
    maps = features(ONE, ONE + 0.01 * TWO).requires_grad_()
    loss, _ = identity_loss(maps, OWN, RIVALS)
    loss.backward()
    assert maps.grad is not None
    with torch.no_grad():
        new_loss, _ = identity_loss(maps - 0.1 * maps.grad, OWN, RIVALS)
    assert new_loss < loss


def test_identity_loss_penalizes_large_features() -> None:
    """The loss compares directions only. Without the penalty, sizes grew by a factor of forty in 500 steps and attention became one-hot."""
    small, _ = identity_loss(features(ONE, TWO), OWN, RIVALS)
    scale = float((MAX_MEAN_SQUARE / features(ONE, TWO).square().mean()).sqrt())
    allowed, _ = identity_loss(features(ONE, TWO, scale), OWN, RIVALS)
    large, _ = identity_loss(features(ONE, TWO, 2 * scale), OWN, RIVALS)
    assert allowed == pytest.approx(float(small), abs=1e-4)
    assert large > small + 1


def test_object_without_rivals_has_no_identity_loss() -> None:
    loss, separated = identity_loss(features(ONE, TWO), OWN, torch.zeros_like(RIVALS))
    assert (float(loss), float(separated)) == (0.0, 0.0)


@pytest.mark.parametrize(("own", "others", "is_low"), [(5.0, -5.0, True), (-5.0, 5.0, False), (0.0, 0.0, False)])
def test_attention_to_the_correct_object_has_a_lower_loss(own: float, others: float, is_low: bool) -> None:
    """`own` is the logit of an object's tokens for its own earlier tokens, `others` for those of the other object."""
    logits = torch.zeros(1, HW, HW)
    logits[0, 4:6, :2], logits[0, 4:6, 8:10] = own, others
    logits[0, 12:14, 8:10], logits[0, 12:14, :2] = own, others
    loss = attention_loss([logits], OWN[:, 1], RIVALS[:, 1], OWN[:, 0], RIVALS[:, 0])
    assert (float(loss) < 0.1) is is_low


def test_object_without_rivals_has_no_attention_loss() -> None:
    no_tokens = torch.zeros(1, HW)
    assert float(attention_loss([torch.randn(1, HW, HW)], OWN[:, 1], no_tokens, OWN[:, 0], no_tokens)) == 0.0


def test_dice_loss_favors_uncertain_pixels() -> None:
    """At an edge where the network is unsure, a larger dice weight must pull harder towards the mask."""
    truth, rivals = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
    truth[:, 2:6, 2:6] = 1
    logits = torch.where(truth > 0, -0.5, -6.0)[:, None].requires_grad_()
    gradients = []
    for dice in (1.0, 2.0):
        loss, iou = mask_losses(logits, truth, rivals, dice)
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        gradients.append(float(-gradient[0, 0, 2:6, 2:6].sum()))
    assert gradients[1] > gradients[0] > 0
    assert float(iou.detach()) == 0


@pytest.mark.parametrize("side", [96, 192])
def test_frames_after_a_crossing_weigh_more_at_any_size(side: int) -> None:
    truth, rivals = torch.zeros(1, 4, side, side), torch.zeros(1, 4, side, side)
    truth[..., : side // 2, : side // 4] = 1
    rivals[:, :, : side // 2, side // 2 :] = 1
    rivals[:, 1, : side // 2, side // 4 :] = 1  # the masks touch on the second frame
    weight = SegmenterTraining._weights(truth, rivals, torch.ones(1, 4), torch.ones(1, 4))
    assert torch.allclose(weight * 8.5, torch.tensor([[1.0, 2.5, 2.5, 2.5]]))


@pytest.mark.parametrize("mixture", [EVERYTHING, LOOK_ALIKES, CROSSINGS, FINISH])
def test_batches_depend_on_their_seed_alone(mixture: Mixture) -> None:
    assert sum(mixture.suites.values()) == pytest.approx(1.0)
    batch, repeated = (make_batch((0, 1), 3, 5, 2, mixture) for _ in range(2))
    assert torch.equal(batch.frames, repeated.frames)
    assert torch.equal(batch.masks, repeated.masks)
    assert batch.masks.shape == (5, 3, 192, 192)
    assert batch.masks[:, 0].flatten(1).any(1).all(), "an object must be visible on its prompt frame"
    assert not (batch.masks & batch.others).any()


def test_windows_contain_the_crossing() -> None:
    rng = np.random.default_rng(0)
    mixture = Mixture({"crossing": 1.0}, gaps=(2, 3, 4), even=0.0, crossing=1.0)
    for seed in range(20):
        clip = make_clip("crossing", TRAINING_SEEDS + seed)
        closest = segmenter_data._closest(clip)
        assert closest is not None
        times = segmenter_data._times(rng, 7, clip, mixture)
        assert times == sorted(set(times))
        assert 0 <= times[0] <= closest <= times[-1] < clip.length


class Helpers(nn.Module):
    """Additional parameters of a training."""

    def __init__(self, coarse: nn.Module) -> None:
        super().__init__()
        self.coarse = coarse


def test_soften_limits_one_hot_attention() -> None:
    torch.manual_seed(0)
    model = new_segmenter(0).eval()
    training = SegmenterTraining(model, Driver(model), Phase(1, 2, 3, 2, 1e-3), 0, 0)
    with torch.no_grad():
        for layer in model.memory_attention.layers:
            layer.cross_attn_image.q_proj.weight.mul_(1000)
    soften(training)
    training(0)
    assert all(
        0.5 * MAX_LOGIT_STD < float(logits.detach().std(2).mean()) < 1.5 * MAX_LOGIT_STD for logits in training.driver.attention_logits
    )
    soft_weight = model.memory_attention.layers[0].cross_attn_image.q_proj.weight.clone() / 10
    with torch.no_grad():
        model.memory_attention.layers[0].cross_attn_image.q_proj.weight.copy_(soft_weight)
    soften(training)
    assert torch.equal(model.memory_attention.layers[0].cross_attn_image.q_proj.weight, soft_weight), "soft attention must stay unchanged"


def test_training_changes_weights_and_resumes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = new_segmenter(0).eval()
    driver = Driver(model)
    phase = Phase(4, 2, 3, 2, 1e-3, identity=1.0, mixture=LOOK_ALIKES)
    loss_of = SegmenterTraining(model, driver, phase, 0, 0)
    before = {name: value.clone() for name, value in model.named_parameters()}
    loop = Loop(tmp_path, model, Helpers(driver.coarse), phase.steps, phase.rate)
    loop.run(loss_of)
    changed = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert {"memory_attention.layers.0.cross_attn_image.q_proj.weight", "vision_encoder.backbone.patch_embed.projection.weight"} <= changed
    assert all(torch.isfinite(value).all() for value in model.state_dict().values() if value.is_floating_point())
    resumed = Loop(tmp_path, new_segmenter(1), Helpers(driver.coarse), phase.steps, phase.rate)
    assert resumed.step == phase.steps
    assert torch.equal(resumed.model.state_dict()["no_memory_embedding"], model.state_dict()["no_memory_embedding"])
