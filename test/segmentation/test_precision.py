# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Networks in bfloat16, the passes of the image encoder and the memory encoder, and operations that have no reader."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lang2segtrack_ros.models.loading import at_size, load_segmenter
from lang2segtrack_ros.segmentation.image_encoder import encode_levels, position_embedding
from lang2segtrack_ros.segmentation.memory_encoder import MemoryEncoder, channel_norm
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from test.conftest import DEVICE
from test.segmentation.test_memory_attention import memories


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A recorder of attention weights, and of casts between types of floats."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, result = func.overloadpacket.__name__, func(*args, **(kwargs or {}))
        if name in ("to", "_to_copy", "float"):
            before, after = args[0].dtype, result.dtype
            self.counts["casts"] += before.is_floating_point and after.is_floating_point and before != after
        self.counts["attention weights"] += "softmax" in name
        return result


@pytest.fixture(scope="module")
def bfloat16() -> Sam2Segmenter:
    return load_segmenter("toy", device=DEVICE, dtype="bfloat16", acceleration="off")


@torch.inference_mode()
@pytest.mark.parametrize("size", [192, 128])
def test_image_encoder_equals_transformers_to_the_last_bit(segmenter: Sam2Segmenter, size: int) -> None:
    """At 128 pixels, windows need padding. A stored position embedding changes the order of axes, and no value."""
    sized = segmenter if size == 192 else at_size(segmenter, size)
    backbone = sized.model.vision_encoder.backbone
    pixels = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0)).to(sized.device)
    expected = backbone(pixels, return_dict=True).intermediate_hidden_states
    position = position_embedding(backbone, size // 4)
    for levels in (encode_levels(backbone, pixels), encode_levels(backbone, pixels, position)):
        assert [torch.equal(one, two) for one, two in zip(levels, expected)] == [True] * 4


@torch.inference_mode()
def test_fused_memory_encoder_differs_by_rounding(segmenter: Sam2Segmenter) -> None:
    """Channels last and the norm of few channels change the order of operations only. One mask comes from a prompt, one is hidden."""
    model = load_segmenter("toy", device=DEVICE, dtype="float32").model
    fused = MemoryEncoder(model, segmenter.image_size)
    fused.fuse()
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(1, segmenter.hidden_dim, segmenter.feature_size, segmenter.feature_size, generator=generator)
    masks = 5 * torch.randn(3, segmenter.mask_size, segmenter.mask_size, generator=generator)
    score, binary = torch.tensor([2.0, -1.0, 3.0]), torch.tensor([False, False, True])
    inputs = [item.to(segmenter.device) for item in (maps, masks, score, binary)]
    expected = segmenter.memory_encoder(*inputs)
    torch.testing.assert_close(fused(*inputs), expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-5)
    assert model.memory_encoder.projection.weight.is_contiguous(memory_format=torch.channels_last)


def test_channel_norm_has_statistics_in_float32() -> None:
    """In bfloat16 the mean of values around 100 would be wrong by 0.2."""
    norm = torch.nn.LayerNorm(4, dtype=torch.bfloat16)
    x = (100 + torch.randn(2, 4, 5, 6)).bfloat16()
    expected = norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(channel_norm(norm, x), expected, atol=1e-2, rtol=1e-2)


def run_all(segmenter: Sam2Segmenter) -> dict[str, Counter[str]]:
    """Run the functions of a tracked frame, and return what was recorded of each."""
    recorded = {}

    def record(name: str, *args: Any) -> Any:
        with Recorder() as recorder:
            result = getattr(segmenter, name)(*args)
        recorded[name] = recorder.counts
        return result

    features = record("encode", torch.zeros(1, 3, segmenter.image_size, segmenter.image_size, device=segmenter.device))
    maps = record("attend", features, memories(segmenter, 2))
    decoded = record("decode", maps, features)
    record("encode_memory", features, decoded.masks[:, 0], decoded.object_score, decoded.object_score > 0)
    return recorded


@torch.inference_mode()
def test_no_function_computes_attention_weights(segmenter: Sam2Segmenter) -> None:
    """The image encoder of transformers computes them for nobody. The recorder must see that."""
    assert {name: counts["attention weights"] for name, counts in run_all(segmenter).items()} == dict.fromkeys(
        ("encode", "attend", "decode", "encode_memory"), 0
    )
    with Recorder() as recorder:
        segmenter.model.vision_encoder.backbone(torch.zeros(1, 3, segmenter.image_size, segmenter.image_size, device=segmenter.device))
    assert recorder.counts["attention weights"] > 0


@torch.inference_mode()
def test_bfloat16_casts_inputs_and_results_only() -> None:
    """In the forms of a GPU, no layer returns to float32. The norms of two layers with few channels compute in float32 themselves."""
    fused = load_segmenter("toy", device=DEVICE, dtype="bfloat16", acceleration="off")
    fused.memory_attention.fuse()
    fused.memory_attention.is_chunked = False
    fused.memory_encoder.fuse()
    casts = {name: counts["casts"] for name, counts in run_all(fused).items()}
    assert casts == {"encode": 1, "attend": 1, "decode": 6, "encode_memory": 6}


def test_bfloat16_network_is_shared_between_image_sizes(bfloat16: Sam2Segmenter) -> None:
    """Merged layers come from the weights before their cast, and a second size must not hold a second copy of the weights."""
    sized = at_size(bfloat16, 128)
    ours, theirs = (dict(item.model.named_parameters()) for item in (bfloat16, sized))
    assert all(ours[name].data_ptr() == theirs[name].data_ptr() for name in ours)
    assert sized._frozen is not None
    assert bfloat16._frozen is not None
    assert sized._frozen.merged is bfloat16._frozen.merged
    assert {value.dtype for value in ours.values()} == {torch.float32, torch.bfloat16}
    cast = sum(value.numel() for value in ours.values() if value.dtype == torch.bfloat16)
    assert cast > 0.9 * sum(value.numel() for value in ours.values())


@torch.inference_mode()
def test_bfloat16_functions_stay_close_to_float32(segmenter: Sam2Segmenter, bfloat16: Sam2Segmenter) -> None:
    """Each function alone gets the same inputs in both types."""
    pixels = torch.randn(1, 3, 192, 192, generator=torch.Generator().manual_seed(2)).to(segmenter.device)
    exact, rounded = segmenter.encode(pixels), bfloat16.encode(pixels)
    read = memories(segmenter, 2)
    masks = 5 * torch.randn(2, 48, 48, generator=torch.Generator().manual_seed(3)).to(segmenter.device)
    score = torch.ones(2, device=segmenter.device)
    pairs = {
        "top": (exact.top, rounded.top),
        "low": (exact.high[0], rounded.high[0]),
        "maps": (segmenter.attend(exact, read), bfloat16.attend(rounded, read)),
        "masks": (
            segmenter.decode(segmenter.unconditioned(exact, 1), exact).masks,
            bfloat16.decode(bfloat16.unconditioned(rounded, 1), rounded).masks,
        ),
        "memory": (segmenter.encode_memory(exact, masks, score, score > 2), bfloat16.encode_memory(rounded, masks, score, score > 2)),
    }
    for name, (one, two) in pairs.items():
        error = float((two.float() - one.float()).abs().mean() / one.float().abs().mean())
        assert error < 0.03, f"{name} differs by {error:.3f}"
