# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The forms of the memory attention that a GPU runs, against the plain form, on any device."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Sam2VideoModel

from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.runtime.graphs import check_static
from lang2segtrack_ros.segmentation import chunked_attention
from lang2segtrack_ros.segmentation.chunked_attention import first_right, plain_kernel, queries_that_fill
from lang2segtrack_ros.segmentation.memory_attention import FusedLayer, Memories, MemoryAttention, halves, rotate, rotate_halves
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from test.conftest import DEVICE

SLOTS, POINTERS = 5, 6


def memories(segmenter: Sam2Segmenter, count: int, seed: int = 0) -> Memories:
    """Return random memories of `count` objects. All slots and pointers exist."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(segmenter.device, segmenter.dtype)

    def ones(*shape: int) -> Tensor:
        return torch.ones(*shape, dtype=torch.bool, device=segmenter.device)

    tokens, width = segmenter.feature_size**2, segmenter.memory_dim
    rows, pointers = random(count, SLOTS, width), random(count, POINTERS, width)
    return Memories(
        random(count, SLOTS, tokens, width), rows, ones(count, SLOTS), pointers, random(count, POINTERS, width), ones(count, POINTERS)
    )


def make(segmenter: Sam2Segmenter, is_chunked: bool) -> MemoryAttention:
    """Return the fused form of the attention of a segmenter."""
    plain = segmenter.memory_attention
    fused = MemoryAttention(segmenter.model.memory_attention, plain.rotations, plain.rotations, segmenter.memory_position)
    fused.fuse()
    fused.is_chunked = is_chunked
    return fused


def image(segmenter: Sam2Segmenter) -> Tensor:
    """Return random image tokens."""
    generator = torch.Generator().manual_seed(9)
    return torch.randn(1, segmenter.feature_size**2, segmenter.hidden_dim, generator=generator).to(segmenter.device, segmenter.dtype)


@pytest.fixture(scope="module", params=[1, 2], ids=["one head", "two heads"])
def double(request: pytest.FixtureRequest) -> Sam2Segmenter:
    """Return the toy segmenter in float64, or a random one whose memory attention has two heads. The published ones have one."""
    model = load_segmenter("toy", device=DEVICE, dtype="float32").model
    if request.param == 2:
        config = deepcopy(model.config)
        config.memory_attention_num_attention_heads = 2
        torch.manual_seed(0)
        model = Sam2VideoModel(config).requires_grad_(False).to(DEVICE)
    return Sam2Segmenter(model.double(), dtype=torch.float64, memory_dtype=torch.float64)


def valid_masks(read: Memories) -> list[Memories]:
    """Return the memories with all tokens, without some, with a single slot, and with pointers only. Objects differ."""
    count, device = len(read.valid), read.valid.device
    some = torch.rand(read.valid.shape, generator=torch.Generator().manual_seed(3)).to(device) > 0.4
    some[:, 0] = True
    single = torch.zeros_like(read.valid)
    single[torch.arange(count), torch.arange(count) % SLOTS] = True
    no_slots, no_pointers = torch.zeros_like(read.valid), torch.zeros_like(read.pointer_valid)
    last_pointer = no_pointers.clone()
    last_pointer[:, -1] = True
    parts = (read.memory, read.rows), (read.pointers, read.pointer_position)
    cases = (read.valid, read.pointer_valid), (some, read.pointer_valid), (single, no_pointers), (no_slots, last_pointer)
    return [Memories(*parts[0], valid, *parts[1], pointer_valid) for valid, pointer_valid in cases]


@torch.inference_mode()
@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize("is_chunked", [True, False], ids=["chunks", "mask"])
def test_fused_attention_equals_plain_attention(double: Sam2Segmenter, count: int, is_chunked: bool) -> None:
    """In float64, only an error in the computation exceeds 1e-10."""
    fused, x = make(double, is_chunked), image(double)
    for read in valid_masks(memories(double, count)):
        torch.testing.assert_close(fused(x, read), double.memory_attention(x, read), atol=1e-10, rtol=1e-10)


@torch.inference_mode()
@pytest.mark.parametrize("is_chunked", [True, False], ids=["chunks", "mask"])
def test_fused_attention_in_float32_differs_by_rounding(segmenter: Sam2Segmenter, is_chunked: bool) -> None:
    fused, x = make(segmenter, is_chunked), image(segmenter)
    for read in valid_masks(memories(segmenter, 3)):
        expected = segmenter.memory_attention(x, read)
        torch.testing.assert_close(fused(x, read), expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-5)


@torch.inference_mode()
def test_memory_that_does_not_exist_has_no_influence(segmenter: Sam2Segmenter) -> None:
    """The storage of a slot without a memory holds values of earlier objects."""
    fused, x, read = make(segmenter, True), image(segmenter), memories(segmenter, 2)
    read.valid[:, 1] = False
    read.pointer_valid[:, 2] = False
    before = fused(x, read)
    read.memory[:, 1] = 1e4
    read.pointers[:, 2] = 1e4
    assert torch.equal(fused(x, read), before)
    read.memory[:, 2] = 1.0
    assert not torch.equal(fused(x, read), before)


@torch.inference_mode()
def test_fused_attention_can_be_a_graph_and_can_be_compiled(segmenter: Sam2Segmenter) -> None:
    """No operation depends on values, also not on which slots exist. fullgraph=True raises at a graph break."""
    x, cases = image(segmenter), valid_masks(memories(segmenter, 2))
    for is_chunked in (True, False):
        fused = make(segmenter, is_chunked)
        check_static(fused, *((x, read) for read in cases))
        compiled: Any = torch.compile(fused.__call__, backend="aot_eager", fullgraph=True, dynamic=False)
        expected = fused(x, cases[1])
        torch.testing.assert_close(compiled(x, cases[1]), expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-5)


def test_rotation_of_halves_equals_rotation_of_pairs(segmenter: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """All three forms agree: complex arithmetic, real arithmetic for torch.compile, and the permuted channels of the fused form."""
    rotations = segmenter.memory_attention.rotations
    x = torch.randn(2, 3, *rotations.shape, 2, device=segmenter.device)
    expected = rotate(x.flatten(-2), rotations)
    ordered = torch.cat((x[..., 0], x[..., 1], x[..., 0]), dim=-1)[..., None, :]
    pairs = expected.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)
    for is_compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda value=is_compiling: value)
        torch.testing.assert_close(rotate_halves(ordered, halves(rotations))[..., 0, :], pairs)
        torch.testing.assert_close(rotate(x.flatten(-2), rotations), expected)


def test_wrong_and_missing_kernels_are_not_used(caplog: pytest.LogCaptureFixture) -> None:
    """Libraries differ in the logarithm that they return, and old GPUs lack their kernels. The trial must tell before the first frame."""

    def missing(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        raise RuntimeError("no kernel for this GPU")

    def in_base_2(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        mixed, sums = plain_kernel(query, key, value)
        return mixed, sums / torch.tensor(2.0).log()

    query, key, value = torch.randn(3, 1, 2, 70, 32)
    right = chunked_attention._flash_on_cpu
    assert first_right((missing, in_base_2, right), query, key, value) is right
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "the attention kernel in_base_2 gives wrong results on this device and is not used"
    ]
    assert first_right((missing, in_base_2), query, key, value) is plain_kernel


def test_device_chooses_between_chunks_and_mask(segmenter: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU uses the plain form. A GPU uses chunks until the queries of all objects occupy it."""
    assert queries_that_fill(torch.device("cpu")) == 0
    attention = make(segmenter, True)
    assert isinstance(attention._layers[0], FusedLayer)
    attention.is_chunked, attention._filling_queries = None, 3 * segmenter.feature_size**2
    assert [attention._chooses_chunks(count) for count in (1, 2, 3, 4)] == [True, True, False, False]
    if segmenter.device.type == "cpu":
        bfloat16 = load_segmenter("toy", device="cpu", dtype="bfloat16")
        assert not any(bfloat16.memory_attention._chooses_chunks(count) for count in (1, 4))
