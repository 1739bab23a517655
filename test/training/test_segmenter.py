# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The segmenter's training: what it is shown, what its losses ask for, and that it goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lang2segtrack_ros.toyworld.suites import make_clip
from training import segmenter_data
from training.loop import Loop
from training.segmenter import LARGEST, SOFT, Driver, Phase, SegmenterTraining, attention_loss, identity_loss, mask_losses, soften
from training.segmenter_data import EVERYTHING, FINISH, LOOK_ALIKES, MEETINGS, TRAINING_SEEDS, Mixture, make_batch
from training.segmenter_network import new_segmenter

HW, C = 16, 8


def rows(*tokens: int) -> Tensor:
    """Covered shares of one object-frame: 1 on these tokens."""
    share = torch.zeros(HW)
    share[list(tokens)] = 1.0
    return share


def features(own: Tensor, other: Tensor, scale: float = 1.0) -> Tensor:
    """[1, 2, HW, C]: an object on tokens 0 and 1, then 4 and 5; another on 8 and 9, then 12 and 13; noise elsewhere."""
    maps = torch.randn(1, 2, HW, C, generator=torch.Generator().manual_seed(0)) * 0.1
    maps[0, 0, :2], maps[0, 1, 4:6] = own, own
    maps[0, 0, 8:10], maps[0, 1, 12:14] = other, other
    return maps * scale


OWN = torch.stack([rows(0, 1), rows(4, 5)])[None]
RIVALS = torch.stack([rows(8, 9), rows(12, 13)])[None]
ONE, TWO = torch.eye(C)[0], torch.eye(C)[1]


def test_features_that_tell_instances_apart_cost_less() -> None:
    apart, told = identity_loss(features(ONE, TWO), OWN, RIVALS)
    alike, _ = identity_loss(features(ONE, ONE + 0.01 * TWO), OWN, RIVALS)
    assert apart < 0.1 < alike
    assert told == 1.0


def test_features_of_look_alikes_are_pulled_apart() -> None:
    maps = features(ONE, ONE + 0.01 * TWO).requires_grad_()
    loss, _ = identity_loss(maps, OWN, RIVALS)
    loss.backward()
    assert maps.grad is not None
    with torch.no_grad():
        better, _ = identity_loss(maps - 0.1 * maps.grad, OWN, RIVALS)
    assert better < loss


def test_large_features_are_held_back() -> None:
    """Directions alone are compared: without this, sizes grew fortyfold in 500 steps, and attention to them became one-hot."""
    small, _ = identity_loss(features(ONE, TWO), OWN, RIVALS)
    scale = float((LARGEST / features(ONE, TWO).square().mean()).sqrt())
    allowed, _ = identity_loss(features(ONE, TWO, scale), OWN, RIVALS)
    large, _ = identity_loss(features(ONE, TWO, 2 * scale), OWN, RIVALS)
    assert allowed == pytest.approx(float(small), abs=1e-4)
    assert large > small + 1


def test_an_object_without_rivals_has_nothing_to_be_told_from() -> None:
    loss, told = identity_loss(features(ONE, TWO), OWN, torch.zeros_like(RIVALS))
    assert (float(loss), float(told)) == (0.0, 0.0)


@pytest.mark.parametrize(("mine", "theirs", "low"), [(5.0, -5.0, True), (-5.0, 5.0, False), (0.0, 0.0, False)])
def test_attention_to_the_right_object_costs_less(mine: float, theirs: float, low: bool) -> None:
    """`mine`: what tokens of an object make of its own tokens then; `theirs`: of the other's."""
    logits = torch.zeros(1, HW, HW)
    logits[0, 4:6, :2], logits[0, 4:6, 8:10] = mine, theirs
    logits[0, 12:14, 8:10], logits[0, 12:14, :2] = mine, theirs
    loss = attention_loss([logits], OWN[:, 1], RIVALS[:, 1], OWN[:, 0], RIVALS[:, 0])
    assert (float(loss) < 0.1) is low


def test_attention_is_not_judged_where_there_is_no_rival() -> None:
    nobody = torch.zeros(1, HW)
    assert float(attention_loss([torch.randn(1, HW, HW)], OWN[:, 1], nobody, OWN[:, 0], nobody)) == 0.0


def test_dice_asks_for_doubtful_pixels() -> None:
    """At a rim of which the network is unsure, more of the dice loss pulls harder towards the mask."""
    truth, rivals = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
    truth[:, 2:6, 2:6] = 1
    logits = torch.where(truth > 0, -0.5, -6.0)[:, None].requires_grad_()
    pulls = []
    for dice in (1.0, 2.0):
        loss, iou = mask_losses(logits, truth, rivals, dice)
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        pulls.append(float(-gradient[0, 0, 2:6, 2:6].sum()))
    assert pulls[1] > pulls[0] > 0
    assert float(iou.detach()) == 0


@pytest.mark.parametrize("side", [96, 192])
def test_frames_after_a_meeting_weigh_more_whatever_the_size(side: int) -> None:
    truth, rivals = torch.zeros(1, 4, side, side), torch.zeros(1, 4, side, side)
    truth[..., : side // 2, : side // 4] = 1
    rivals[:, :, : side // 2, side // 2 :] = 1
    rivals[:, 1, : side // 2, side // 4 :] = 1  # they touch on the second frame
    weight = SegmenterTraining._weights(truth, rivals, torch.ones(1, 4), torch.ones(1, 4))
    assert torch.allclose(weight * 8.5, torch.tensor([[1.0, 2.5, 2.5, 2.5]]))


@pytest.mark.parametrize("mixture", [EVERYTHING, LOOK_ALIKES, MEETINGS, FINISH])
def test_batches_are_what_their_seed_says(mixture: Mixture) -> None:
    assert sum(mixture.suites.values()) == pytest.approx(1.0)
    batch, again = (make_batch((0, 1), 3, 5, 2, mixture) for _ in range(2))
    assert torch.equal(batch.frames, again.frames)
    assert torch.equal(batch.masks, again.masks)
    assert batch.masks.shape == (5, 3, 192, 192)
    assert batch.masks[:, 0].flatten(1).any(1).all(), "an object is seen on the frame it is prompted on"
    assert not (batch.masks & batch.others).any()


def test_windows_lie_around_meetings() -> None:
    rng = np.random.default_rng(0)
    always = Mixture({"crossing": 1.0}, gaps=(2, 3, 4), even=0.0, meeting=1.0)
    for seed in range(20):
        clip = make_clip("crossing", TRAINING_SEEDS + seed)
        moment = segmenter_data._closest(clip)
        assert moment is not None
        times = segmenter_data._times(rng, 7, clip, always)
        assert times == sorted(set(times))
        assert 0 <= times[0] <= moment <= times[-1] < clip.length


class Two(nn.Module):
    """Helpers of a training."""

    def __init__(self, coarse: nn.Module) -> None:
        super().__init__()
        self.coarse = coarse


def test_one_hot_attention_is_softened() -> None:
    torch.manual_seed(0)
    model = new_segmenter(0).eval()
    training = SegmenterTraining(model, Driver(model), Phase(1, 2, 3, 2, 1e-3), 0, 0)
    with torch.no_grad():
        for layer in model.memory_attention.layers:
            layer.cross_attn_image.q_proj.weight.mul_(1000)
    soften(training)
    training(0)
    assert all(0.5 * SOFT < float(logits.detach().std(2).mean()) < 1.5 * SOFT for logits in training.driver.likeness)
    kept = model.memory_attention.layers[0].cross_attn_image.q_proj.weight.clone() / 10
    with torch.no_grad():
        model.memory_attention.layers[0].cross_attn_image.q_proj.weight.copy_(kept)
    soften(training)
    assert torch.equal(model.memory_attention.layers[0].cross_attn_image.q_proj.weight, kept), "what is soft stays as it is"


def test_a_training_learns_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = new_segmenter(0).eval()
    driver = Driver(model)
    phase = Phase(4, 2, 3, 2, 1e-3, identity=1.0, mixture=LOOK_ALIKES)
    loss_of = SegmenterTraining(model, driver, phase, 0, 0)
    before = {name: value.clone() for name, value in model.named_parameters()}
    loop = Loop(tmp_path, model, Two(driver.coarse), phase.steps, phase.rate)
    loop.run(loss_of)
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert {"memory_attention.layers.0.cross_attn_image.q_proj.weight", "vision_encoder.backbone.patch_embed.projection.weight"} <= moved
    assert all(torch.isfinite(value).all() for value in model.state_dict().values() if value.is_floating_point())
    again = Loop(tmp_path, new_segmenter(1), Two(driver.coarse), phase.steps, phase.rate)
    assert again.step == phase.steps
    assert torch.equal(again.model.state_dict()["no_memory_embedding"], model.state_dict()["no_memory_embedding"])
