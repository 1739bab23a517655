# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of Meta's .pt files into folders that load with every tensor, and refusal of other files with a message that names them.

`meta_tensor_shapes.json` holds the names and shapes of the tensors in Meta's files. They come from networks built from Meta's
configurations.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.conversion import convert
from lang2segtrack_ros.models.conversion_sam2 import make_config, rename, rename_all
from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.models.store import verify

FACTS: dict[str, Any] = json.loads((Path(__file__).parent / "meta_tensor_shapes.json").read_text(encoding="utf-8"))
SHAPES: dict[str, list[int]] = FACTS["tiny"]
POSITION = "image_encoder.trunk.pos_embed"
MATRIX = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
POINTS = [f"sam_prompt_encoder.point_embeddings.{index}.weight" for index in range(4)]


def zero_checkpoint() -> dict[str, Tensor]:
    """Return a checkpoint with the right shapes that is tiny on disk, because each tensor expands one number."""
    return {name: torch.zeros(()).expand(shape) for name, shape in SHAPES.items()}


def save(path: Path, tensors: dict[str, Tensor]) -> Path:
    torch.save({"model": tensors}, path)
    return path


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


@pytest.fixture(scope="module")
def folder(checkpoint: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("meta")
    source = save(base / "sam2.1_hiera_tiny.pt", checkpoint)
    target = convert(source, base / "converted")
    with pytest.raises(WeightsError, match="converted exists already"):
        convert(source, target)
    source.unlink()  # no other test needs these 150 MB
    return target


@pytest.fixture(scope="module")
def loaded(folder: Path) -> dict[str, Tensor]:
    segmenter = load_segmenter(str(folder), device="cpu", image_size=256)
    assert segmenter.image_size == 256
    tensors: dict[str, Tensor] = segmenter.model.state_dict()
    return tensors


def test_reference_lists_every_tensor() -> None:
    assert len(SHAPES) == 471


def test_every_tensor_is_unchanged_under_its_new_name(checkpoint: dict[str, Tensor], loaded: dict[str, Tensor]) -> None:
    changed = [name for name, tensor in checkpoint.items() if name not in POINTS and not torch.equal(loaded[rename(name)], tensor)]
    assert changed == []
    assert torch.equal(loaded["prompt_encoder.point_embed.weight"], torch.cat([checkpoint[name] for name in POINTS]))
    assert torch.equal(loaded["prompt_encoder.shared_embedding.positional_embedding"], checkpoint[MATRIX])
    assert torch.equal(loaded["shared_image_embedding.positional_embedding"], checkpoint[MATRIX])


def test_renaming_maps_tensors_one_to_one(loaded: dict[str, Tensor]) -> None:
    renamed = [rename(name) for name in SHAPES if name not in POINTS]
    assert len(set(renamed)) == len(renamed) == 467
    assert set(loaded) == {*renamed, "prompt_encoder.point_embed.weight", "shared_image_embedding.positional_embedding"}


def test_converted_folder_passes_verification(folder: Path) -> None:
    assert verify(folder) == []


@pytest.mark.parametrize("size", ["small", "base_plus", "large"])
def test_larger_backbones_are_recognized_by_their_shapes(size: str) -> None:
    facts = FACTS[size]
    blocks = {f"vision_encoder.backbone.blocks.{block}.layer_norm1.weight": torch.zeros(1) for block in range(facts["blocks"])}
    position = torch.zeros(()).expand(facts["pos_embed"])
    backbone = make_config({"vision_encoder.backbone.pos_embed": position, **blocks}).vision_config.backbone_config
    assert sum(backbone.blocks_per_stage) == facts["blocks"]
    assert [1, backbone.hidden_size, *backbone.window_positional_embedding_background_size] == facts["pos_embed"]


@pytest.mark.parametrize("name", ["memory_attention.layers.3.linear2.bias", "no_obj_embed_spatial"])  # SAM 2.0 lacks the second one
def test_missing_tensor_is_refused(name: str, tmp_path: Path) -> None:
    tensors = zero_checkpoint()
    del tensors[name]
    source = save(tmp_path / "incomplete.pt", tensors)
    with pytest.raises(WeightsError, match=re.escape(str(source))) as caught:
        convert(source, tmp_path / "out")
    assert rename(name) in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["obj_ptr_proj.layers.1.weight", POINTS[2]])
def test_wrong_shape_is_refused(name: str, tmp_path: Path) -> None:
    rows, columns = SHAPES[name]
    source = save(tmp_path / "misshapen.pt", {**zero_checkpoint(), name: torch.zeros(rows + 1, columns)})
    with pytest.raises(WeightsError, match=re.escape(str(source))):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, torch.zeros(3), {1: torch.zeros(3)}])
def test_torch_file_without_tensors_is_refused(content: object, tmp_path: Path) -> None:
    source = tmp_path / "no_tensors.pt"
    torch.save({"model": content}, source)
    with pytest.raises(WeightsError, match=re.escape(str(source))):
        convert(source, tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"not a torch file", b"PK\x03\x04 not a torch file"], ids=["empty", "text", "zip"])
def test_other_file_format_is_refused(content: bytes, tmp_path: Path) -> None:
    source = tmp_path / "broken.pt"
    source.write_bytes(content)
    with pytest.raises(WeightsError, match=re.escape(str(source))):
        convert(source, tmp_path / "out")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"missing.pt"):
        convert(tmp_path / "missing.pt", tmp_path / "out")


@pytest.mark.parametrize("tensors", [{}, {"weight": torch.zeros(2)}], ids=["empty", "another network"])
def test_another_network_is_refused(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"other.pt is not a known checkpoint"):
        convert(save(tmp_path / "other.pt", tensors), tmp_path / "out")


def test_unknown_backbone_width_is_refused(tmp_path: Path) -> None:
    tensors = {**zero_checkpoint(), POSITION: torch.zeros(1, 100, 7, 7)}
    with pytest.raises(WeightsError, match=r"100 wide with 12 blocks"):
        convert(save(tmp_path / "wide.pt", tensors), tmp_path / "out")
    with pytest.raises(WeightsError, match=r"100 wide with 12 blocks"):
        make_config(rename_all(tensors))
