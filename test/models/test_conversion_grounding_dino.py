# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of original Grounding DINO files into folders that load with every tensor, and refusal of files that do not fit.

A tiny network of transformers is written under the original names by a table of this file, which shares no code with the conversion.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.models import conversion_grounding_dino as grounding_dino
from lang2segtrack_ros.models.catalogue import TOY_FOLDER, WeightsError
from lang2segtrack_ros.models.conversion import convert
from lang2segtrack_ros.models.loading import load_detector
from lang2segtrack_ros.models.store import verify
from test.models.original_names import original_shapes

TOKENIZER = TOY_FOLDER / "detector"
UNUSED = {"label_enc.weight": torch.zeros(9, 32), "bert.embeddings.position_ids": torch.arange(16)[None]}
"""Tensors of the published files that the reference itself names as unexpected."""


@pytest.fixture(scope="module")
def model() -> Any:
    """A network with the structure of the published ones, whose random weights let every tensor change the output."""
    from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

    swin = SwinConfig(image_size=96, embed_dim=8, depths=[1, 2, 1, 1], num_heads=[1, 1, 2, 2], window_size=3, out_indices=[2, 3, 4])
    bert = BertConfig(
        vocab_size=1032, hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=48, max_position_embeddings=16
    )
    config = GroundingDinoConfig(
        backbone_config=swin,
        text_config=bert,
        d_model=32,
        num_queries=10,
        encoder_layers=2,
        decoder_layers=3,
        encoder_ffn_dim=64,
        decoder_ffn_dim=40,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        max_text_len=256,
    )
    torch.manual_seed(0)
    network = GroundingDinoForObjectDetection(config).eval().requires_grad_(False)
    for value in network.parameters():
        value += 0.1 * torch.randn(value.shape)
    return network


def published_names(model: Any) -> dict[str, Tensor]:
    """Return the tensors of a network under the names of its published folder, which older networks of transformers had in memory, too."""
    names: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if ".swin.layernorm." in name or "decoder.bbox_embed" in name:
            continue
        for new, old in (
            ("model.swin.", "model."),
            (".q_proj.", ".self.query."),
            (".k_proj.", ".self.key."),
            (".v_proj.", ".self.value."),
            (".attention.o_proj.", ".attention.output.dense."),
            (".relative_position_bias.relative_position_bias_table", ".self.relative_position_bias_table"),
            (".mlp.fc1.", ".intermediate.dense."),
            (".mlp.fc2.", ".output.dense."),
        ):
            if "backbone.conv_encoder" in name:
                name = name.replace(new, old)
        names[name] = value.clone()
    return names


ORIGINAL = (  # published name, original name
    (r"model\.backbone\.conv_encoder\.model\.embeddings\.patch_embeddings\.projection", "backbone.0.patch_embed.proj"),
    (r"model\.backbone\.conv_encoder\.model\.embeddings\.norm", "backbone.0.patch_embed.norm"),
    (r"model\.backbone\.conv_encoder\.model\.encoder\.layers\.(\d+)\.downsample", r"backbone.0.layers.\1.downsample"),
    (r"model\.backbone\.conv_encoder\.model\.encoder\.layers\.(\d+)\.blocks\.(\d+)", r"backbone.0.layers.\1.blocks.\2"),
    (r"(backbone\.0\..*)\.layernorm_before", r"\1.norm1"),
    (r"(backbone\.0\..*)\.layernorm_after", r"\1.norm2"),
    (r"(backbone\.0\..*)\.attention\.self\.", r"\1.attn."),
    (r"(backbone\.0\..*)\.attention\.output\.dense", r"\1.attn.proj"),
    (r"(backbone\.0\..*)\.intermediate\.dense", r"\1.mlp.fc1"),
    (r"(backbone\.0\..*)\.output\.dense", r"\1.mlp.fc2"),
    (r"model\.backbone\.conv_encoder\.model\.hidden_states_norms\.stage2", "backbone.0.norm1"),
    (r"model\.backbone\.conv_encoder\.model\.hidden_states_norms\.stage3", "backbone.0.norm2"),
    (r"model\.backbone\.conv_encoder\.model\.hidden_states_norms\.stage4", "backbone.0.norm3"),
    (r"model\.text_backbone", "bert"),
    (r"model\.text_projection", "feat_map"),
    (r"model\.input_proj_vision", "input_proj"),
    (r"model\.encoder\.layers\.(\d+)\.deformable_layer\.self_attn_layer_norm", r"transformer.encoder.layers.\1.norm1"),
    (r"model\.encoder\.layers\.(\d+)\.deformable_layer\.final_layer_norm", r"transformer.encoder.layers.\1.norm2"),
    (r"model\.encoder\.layers\.(\d+)\.deformable_layer\.fc(\d)", r"transformer.encoder.layers.\1.linear\2"),
    (r"model\.encoder\.layers\.(\d+)\.deformable_layer", r"transformer.encoder.layers.\1"),
    (r"model\.encoder\.layers\.(\d+)\.text_enhancer_layer\.layer_norm_before", r"transformer.encoder.text_layers.\1.norm1"),
    (r"model\.encoder\.layers\.(\d+)\.text_enhancer_layer\.layer_norm_after", r"transformer.encoder.text_layers.\1.norm2"),
    (r"model\.encoder\.layers\.(\d+)\.text_enhancer_layer\.fc(\d)", r"transformer.encoder.text_layers.\1.linear\2"),
    (r"model\.encoder\.layers\.(\d+)\.text_enhancer_layer", r"transformer.encoder.text_layers.\1"),
    (r"model\.encoder\.layers\.(\d+)\.fusion_layer\.vision_param", r"transformer.encoder.fusion_layers.\1.gamma_v"),
    (r"model\.encoder\.layers\.(\d+)\.fusion_layer\.text_param", r"transformer.encoder.fusion_layers.\1.gamma_l"),
    (r"model\.encoder\.layers\.(\d+)\.fusion_layer\.(.*)vision(_proj)?\.", r"transformer.encoder.fusion_layers.\1.\2v\3."),
    (r"model\.encoder\.layers\.(\d+)\.fusion_layer\.(.*)text(_proj)?\.", r"transformer.encoder.fusion_layers.\1.\2l\3."),
    (r"model\.decoder\.layers\.(\d+)\.self_attn_layer_norm", r"transformer.decoder.layers.\1.norm2"),
    (r"model\.decoder\.layers\.(\d+)\.encoder_attn_layer_norm", r"transformer.decoder.layers.\1.norm1"),
    (r"model\.decoder\.layers\.(\d+)\.final_layer_norm", r"transformer.decoder.layers.\1.norm3"),
    (r"model\.decoder\.layers\.(\d+)\.encoder_attn_text_layer_norm", r"transformer.decoder.layers.\1.catext_norm"),
    (r"model\.decoder\.layers\.(\d+)\.encoder_attn_text", r"transformer.decoder.layers.\1.ca_text"),
    (r"model\.decoder\.layers\.(\d+)\.encoder_attn", r"transformer.decoder.layers.\1.cross_attn"),
    (r"model\.decoder\.layers\.(\d+)\.fc(\d)", r"transformer.decoder.layers.\1.linear\2"),
    (r"model\.decoder\.layer_norm", "transformer.decoder.norm"),
    (r"model\.decoder\.reference_points_head", "transformer.decoder.ref_point_head"),
    (r"model\.encoder_output_bbox_embed", "transformer.enc_out_bbox_embed"),
    (r"model\.query_position_embeddings", "transformer.tgt_embed"),
    (r"model\.", "transformer."),
)


def original_name(name: str) -> str:
    for published, original in ORIGINAL:
        name = re.sub(f"^{published}", original, name)
    return name


def original_tensors(model: Any) -> dict[str, Tensor]:
    """Return the tensors of a network as in an original file: merged projections, and one box head under the names of all layers."""
    renamed = {original_name(name): value for name, value in published_names(model).items()}
    tensors: dict[str, Tensor] = {}
    for name, value in renamed.items():
        match = re.match(r"(.*\.)query\.(weight|bias)$", name)
        if match and not name.startswith("bert."):
            merged = "qkv." if name.startswith("backbone.") else "in_proj_"
            parts = [value, *(renamed[f"{match[1]}{part}.{match[2]}"] for part in ("key", "value"))]
            tensors[f"{match[1]}{merged}{match[2]}"] = torch.cat(parts)
        elif name.startswith("bert.") or not re.search(r"\.(key|value)\.(weight|bias)$", name):
            tensors[name] = value
    heads = {f"transformer.decoder.{name}": value for name, value in tensors.items() if name.startswith("bbox_embed.")}
    pooler = {"bert.pooler.dense.weight": torch.zeros(64, 64), "bert.pooler.dense.bias": torch.zeros(64)}
    return {f"module.{name}": value for name, value in {**tensors, **heads, **pooler, **UNUSED}.items()}


@pytest.fixture(scope="module")
def tensors(model: Any) -> dict[str, Tensor]:
    return original_tensors(model)


@pytest.fixture(scope="module")
def source(tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "groundingdino_swint_ogc.pth"
    torch.save({"model": tensors}, path)
    return path


@pytest.fixture(scope="module")
def folder(source: Path) -> Path:
    return convert(source, source.parent / "converted", TOKENIZER)


def test_converted_network_computes_the_same_bits(model: Any, folder: Path) -> None:
    converted = load_detector(str(folder), device="cpu", dtype="float32").model
    ids = torch.tensor([[101, 201, 210, 1012, 202, 102]])
    with torch.inference_mode():
        outputs = [network(torch.linspace(-1, 1, 3 * 80 * 96).view(1, 3, 80, 96).sin(), ids) for network in (model, converted)]
    finite = torch.isfinite(outputs[0].logits)
    assert finite.sum() == 10 * ids.shape[1]
    assert torch.equal(outputs[0].logits, outputs[1].logits)
    assert torch.equal(outputs[0].pred_boxes, outputs[1].pred_boxes)
    assert outputs[0].pred_boxes.std() > 0.01, "equal boxes would compare nothing"


def test_converted_folder_is_whole(folder: Path) -> None:
    """The image sizes are those of the reference: 800 pixels for the shorter edge, at most 1333 for the longer one."""
    assert verify(folder) == []
    detector = load_detector(str(folder), device="cpu")
    assert (detector.shortest_edge, detector.longest_edge) == (800, 1333)  # type: ignore[attr-defined]
    assert detector.check(["red circle"]) == []


def test_unused_tensors_are_named(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "convert", str(source), str(tmp_path / "out"), "--tokenizer", str(TOKENIZER)]) == 0
    output = capsys.readouterr().out
    named = ["module.bert.pooler.dense.weight", "module.bert.pooler.dense.bias", "module.label_enc.weight"]
    assert all(name in output for name in [*named, "module.bert.embeddings.position_ids"])
    assert "4 tensors" in output


def reference_tensors(size: str) -> dict[str, Tensor]:
    """Return tensors with the names and shapes of the reference modules. Each expands one number, so that they need no memory."""
    shapes = original_shapes("grounding_dino_tiny")
    if size == "base":
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith(("backbone.", "input_proj."))}
        shapes |= original_shapes("grounding_dino_base_backbone")
    return {f"module.{name}": torch.zeros(()).expand(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(("size", "count", "depths", "window"), [("tiny", 938, [2, 2, 6, 2], 7), ("base", 1106, [2, 2, 18, 2], 12)])
def test_reference_names_and_shapes_fit_the_published_architecture(size: str, count: int, depths: list[int], window: int) -> None:
    """Every tensor of the reference fits one tensor of the network in name and shape, and none of the network is left."""
    from transformers import GroundingDinoForObjectDetection

    tensors = reference_tensors(size)
    assert len(tensors) == count
    renamed, unused = grounding_dino.rename_all(tensors)
    config = grounding_dino.make_config(renamed)
    swin = config.backbone_config
    assert (list(swin.depths), swin.window_size, config.num_queries, config.encoder_attention_heads) == (depths, window, 900, 8)
    assert (config.text_config.num_attention_heads, swin.mlp_ratio, list(swin.out_indices)) == (12, 4.0, [2, 3, 4])
    assert all(re.search(r"pooler|relative_position_index", name) for name in unused)
    with torch.device("meta"):
        network = GroundingDinoForObjectDetection(config)
    expected = {name: list(value.shape) for name, value in published_names(network).items() if not re.match(r"bbox_embed\.[1-9]", name)}
    assert {name: list(value.shape) for name, value in renamed.items()} == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"module.feat_map.bias": None}, "1 missing keys, the first is model.text_projection.bias", id="missing"),
        pytest.param({"module.transformer.level_embed": None}, "model.level_embed .* is missing", id="missing size"),
        pytest.param({"module.transformer.new.weight": torch.zeros(2)}, "1 unexpected keys, the first is model.new.weight", id="unknown"),
        pytest.param({"module.feat_map.bias": torch.zeros(5)}, "1 mismatched keys.*text_projection.bias", id="misshapen"),
        pytest.param({"module.bbox_embed.1.layers.0.bias": torch.ones(32)}, "differs from the box head", id="separate heads"),
    ],
)
def test_file_that_does_not_fit_is_refused(
    change: dict[str, Tensor | None], message: str, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    changed = {name: value for name, value in {**tensors, **change}.items() if value is not None}
    torch.save({"model": changed}, tmp_path / "wrong.pth")
    with pytest.raises(WeightsError, match=message) as caught:
        convert(tmp_path / "wrong.pth", tmp_path / "out", TOKENIZER)
    assert "wrong.pth does not fit Grounding DINO" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_missing_tokenizer_is_refused_with_advice(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The original files hold no tokenizer, and a machine may have no access to the hub."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    (tmp_path / "empty").mkdir()
    for tokenizer, message in ((None, "cannot be fetched from the hub"), (tmp_path / "empty", "has 5 words, but the network 1032")):
        with pytest.raises(WeightsError, match=message) as caught:
            convert(source, tmp_path / "out", tokenizer)
        assert "--tokenizer" in str(caught.value)
        assert not (tmp_path / "out").exists()
