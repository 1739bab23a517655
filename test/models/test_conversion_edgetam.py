# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of EdgeTAM's original file. The names and shapes come from the reference modules, except those of the image encoder.

The image encoder is a network of timm under the same names in both layouts. A backbone without tensors stands for it where timm is absent.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, EdgeTamVideoModel, EdgeTamVisionConfig, PreTrainedConfig, PreTrainedModel

from lang2segtrack_ros.models import conversion_edgetam as edgetam
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.conversion import convert
from test.models.original_names import original_shapes


class NoTensorsConfig(PreTrainedConfig):
    model_type = "no_tensors"


class NoTensors(PreTrainedModel):
    """A backbone without tensors."""

    config_class = NoTensorsConfig


AutoConfig.register("no_tensors", NoTensorsConfig)
AutoModel.register(NoTensorsConfig, NoTensors)


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in original_shapes("edgetam").items()}


@pytest.fixture(scope="module")
def loaded(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the published architecture, loaded strictly, without an image encoder."""
    config = edgetam.make_config()
    config.vision_config = EdgeTamVisionConfig(backbone_config=NoTensorsConfig())
    model = EdgeTamVideoModel(config)
    model.load_state_dict(edgetam.rename_all(tensors), strict=True)
    state: dict[str, Tensor] = model.state_dict()
    return state


def test_reference_lists_every_tensor_outside_the_image_encoder(tensors: dict[str, Tensor]) -> None:
    assert len(tensors) == 306


@pytest.mark.parametrize(
    ("original", "name"),
    [
        ("spatial_perceiver.latents", "spatial_perceiver.latents_1d"),
        ("spatial_perceiver.latents_2d", "spatial_perceiver.latents_2d"),
        ("spatial_perceiver.norm.bias", "spatial_perceiver.layer_norm.bias"),
        ("spatial_perceiver.layers.1.attn.norm_x.weight", "spatial_perceiver.layers.1.layer_norm_input.weight"),
        ("spatial_perceiver.layers.1.attn.norm_latents.weight", "spatial_perceiver.layers.1.layer_norm_latents.weight"),
        ("spatial_perceiver.layers.1.attn.to_q.weight", "spatial_perceiver.layers.1.cross_attention.q_proj.weight"),
        ("spatial_perceiver.layers.1.attn.to_out.weight", "spatial_perceiver.layers.1.cross_attention.o_proj.weight"),
        ("spatial_perceiver.layers.1.ff.0.weight", "spatial_perceiver.layers.1.mlp.layer_norm.weight"),
        ("spatial_perceiver.layers.1.ff.1.weight", "spatial_perceiver.layers.1.mlp.up_proj.weight"),
        ("spatial_perceiver.layers.1.ff.3.weight", "spatial_perceiver.layers.1.mlp.down_proj.weight"),
        ("spatial_perceiver.layers.1.self_attn.norm.weight", "spatial_perceiver.layers.1.layer_norm_self.weight"),
        ("spatial_perceiver.layers.1.self_attn.to_q.weight", "spatial_perceiver.layers.1.self_attention.q_proj.weight"),
        ("spatial_perceiver.layers.1.self_attn.to_out.weight", "spatial_perceiver.layers.1.self_attention.o_proj.weight"),
        ("spatial_perceiver.layers.1.self_ff.0.bias", "spatial_perceiver.layers.1.self_mlp.layer_norm.bias"),
        ("spatial_perceiver.layers.1.self_ff.1.weight", "spatial_perceiver.layers.1.self_mlp.up_proj.weight"),
        ("spatial_perceiver.layers.1.self_ff.3.weight", "spatial_perceiver.layers.1.self_mlp.down_proj.weight"),
        ("memory_attention.layers.0.linear1.weight", "memory_attention.layers.0.mlp.up_proj.weight"),
        ("memory_attention.layers.0.linear2.bias", "memory_attention.layers.0.mlp.down_proj.bias"),
        ("memory_attention.layers.1.cross_attn_image.out_proj.bias", "memory_attention.layers.1.cross_attn_image.o_proj.bias"),
        ("image_encoder.neck.convs.3.conv.weight", "vision_encoder.neck.convs.3.weight"),
        ("no_obj_ptr", "no_object_pointer"),
    ],
)
def test_tensor_is_unchanged_under_its_new_name(original: str, name: str, tensors: dict[str, Tensor], loaded: dict[str, Tensor]) -> None:
    """Several tensors of a layer have the same shape, so that the strict load alone cannot tell them apart."""
    assert torch.equal(loaded[name], tensors[original])


@pytest.mark.parametrize(("attention", "name"), [("attn", "cross_attention"), ("self_attn", "self_attention")])
def test_key_and_value_are_halves_of_one_tensor(attention: str, name: str, tensors: dict[str, Tensor], loaded: dict[str, Tensor]) -> None:
    halves = [loaded[f"spatial_perceiver.layers.0.{name}.{part}_proj.weight"] for part in "kv"]
    assert torch.equal(torch.cat(halves), tensors[f"spatial_perceiver.layers.0.{attention}.to_kv.weight"])


def test_every_other_tensor_is_used_once(tensors: dict[str, Tensor], loaded: dict[str, Tensor]) -> None:
    """One sum over all numbers of both layouts; the positional matrix has two names in transformers."""
    total = sum(tensor.double().sum() for tensor in tensors.values())
    matrix = loaded["shared_image_embedding.positional_embedding"].double().sum()
    assert torch.isclose(sum(tensor.double().sum() for tensor in loaded.values()) - matrix, total, rtol=0, atol=1e-6)


def test_missing_timm_is_one_sentence(tensors: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"model": tensors}, tmp_path / "edgetam.pt")
    find: Any = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "timm" else find(name))
    with pytest.raises(WeightsError, match=r"edgetam.pt does not fit EdgeTAM: .*pip install timm"):
        convert(tmp_path / "edgetam.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_whole_file_is_converted_with_timm(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="the image encoder is a network of timm", exc_type=Exception)
    trunk = timm.create_model("repvit_m1", features_only=True, out_indices=(0, 1, 2, 3)).state_dict()
    whole = {**tensors, **{f"image_encoder.trunk.body.{name}": value for name, value in trunk.items()}}
    torch.save({"model": whole}, tmp_path / "edgetam.pt")
    folder = convert(tmp_path / "edgetam.pt", tmp_path / "converted")
    model, info = EdgeTamVideoModel.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert torch.equal(model.state_dict()["vision_encoder.backbone.timm_model.stem.conv1.c.weight"], trunk["stem.conv1.c.weight"])
    del whole["image_encoder.trunk.body.stem.conv1.c.weight"]
    torch.save({"model": whole}, tmp_path / "edgetam.pt")
    with pytest.raises(WeightsError, match=r"stem.conv1.c.weight"):
        convert(tmp_path / "edgetam.pt", tmp_path / "second")
