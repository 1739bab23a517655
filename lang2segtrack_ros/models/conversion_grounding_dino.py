# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Names and configuration of original Grounding DINO checkpoints in the layout of transformers.

The files are groundingdino_swint_ogc.pth and groundingdino_swinb_cogcoor.pth of https://github.com/IDEA-Research/GroundingDINO.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.segmentation.preprocessing import IMAGE_MEAN, IMAGE_STD

TOKENIZER = "google-bert/bert-base-uncased"
"""Repository of the tokenizer on the hub. The original files hold none."""
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")
_BERT_HEAD = 64  # width of an attention head of BERT
_POINTS = 4  # sampling points of the deformable attention; both configurations of the reference have this number
_UNUSED = re.compile(
    r"label_enc\.weight"  # labels of a training task
    r"|bert\.(pooler\.dense\.(weight|bias)|embeddings\.position_ids)"
    r"|backbone\.0\.layers\..*\.relative_position_index"
)
_BOX_HEAD = re.compile(r"(?:transformer\.decoder\.)?bbox_embed\.\d+\.(.*)")  # one head under the name of each decoder layer, twice
_PROJECTIONS = re.compile(r"(.*\.)(?:qkv\.|in_proj_)(weight|bias)")  # the rows of query, key and value in one tensor

_SWIN = "model.backbone.conv_encoder.model."
_LINEAR = {"linear1": "fc1", "linear2": "fc2"}
# Each rule: the begin of a name, its replacement, and new names for what follows. The longest name that fits applies.
_RULES: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.",
        rf"{_SWIN}encoder.layers.\1.blocks.\2.",
        {
            "norm1": "layernorm_before",
            "norm2": "layernorm_after",
            "attn": "attention.self",
            "attn.proj": "attention.output.dense",
            "mlp.fc1": "intermediate.dense",
            "mlp.fc2": "output.dense",
        },
    ),
    (r"backbone\.0\.layers\.", rf"{_SWIN}encoder.layers.", {}),
    (r"backbone\.0\.patch_embed\.", rf"{_SWIN}embeddings.", {"proj": "patch_embeddings.projection"}),
    (r"backbone\.0\.", rf"{_SWIN}hidden_states_norms.", {f"norm{stage}": f"stage{stage + 1}" for stage in range(4)}),
    (r"bert\.", "model.text_backbone.", {}),
    (r"feat_map\.", "model.text_projection.", {}),
    (r"input_proj\.", "model.input_proj_vision.", {}),
    (
        r"transformer\.encoder\.layers\.(\d+)\.",
        r"model.encoder.layers.\1.deformable_layer.",
        {**_LINEAR, "norm1": "self_attn_layer_norm", "norm2": "final_layer_norm"},
    ),
    (
        r"transformer\.encoder\.text_layers\.(\d+)\.",
        r"model.encoder.layers.\1.text_enhancer_layer.",
        {**_LINEAR, "norm1": "layer_norm_before", "norm2": "layer_norm_after"},
    ),
    (
        r"transformer\.encoder\.fusion_layers\.(\d+)\.",
        r"model.encoder.layers.\1.fusion_layer.",
        {
            "gamma_v": "vision_param",
            "gamma_l": "text_param",
            "layer_norm_v": "layer_norm_vision",
            "layer_norm_l": "layer_norm_text",
            "attn.v_proj": "attn.vision_proj",
            "attn.l_proj": "attn.text_proj",
            "attn.values_v_proj": "attn.values_vision_proj",
            "attn.values_l_proj": "attn.values_text_proj",
            "attn.out_v_proj": "attn.out_vision_proj",
            "attn.out_l_proj": "attn.out_text_proj",
        },
    ),
    (
        r"transformer\.decoder\.layers\.(\d+)\.",
        r"model.decoder.layers.\1.",
        {
            **_LINEAR,
            "norm1": "encoder_attn_layer_norm",
            "norm2": "self_attn_layer_norm",
            "norm3": "final_layer_norm",
            "catext_norm": "encoder_attn_text_layer_norm",
            "cross_attn": "encoder_attn",
            "ca_text": "encoder_attn_text",
        },
    ),
    (r"transformer\.decoder\.norm\.", "model.decoder.layer_norm.", {}),
    (r"transformer\.decoder\.ref_point_head\.", "model.decoder.reference_points_head.", {}),
    (r"transformer\.enc_out_bbox_embed\.", "model.encoder_output_bbox_embed.", {}),
    (r"transformer\.tgt_embed\.", "model.query_position_embeddings.", {}),
    (r"transformer\.", "model.", {}),  # level_embed, enc_output, enc_output_norm
)


def rename(name: str) -> str:
    """Return the name in transformers of an original tensor. The projections of `rename_all` are split before."""
    for begin, replacement, modules in _RULES:
        match = re.match(begin, name)
        if match:
            parts = name[match.end() :].split(".")
            for count in range(len(parts), 0, -1):
                known = modules.get(".".join(parts[:count]))
                if known is not None:
                    parts[:count] = [known]
                    break
            return match.expand(replacement) + ".".join(parts)
    return name


def rename_all(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Rename all tensors of a checkpoint to the names in transformers, and split the tensors that hold query, key and value.

    Args:
        tensors: the checkpoint.

    Returns:
        The renamed tensors, and the original names of those that the network does not need.

    Raises:
        WeightsError: the layers of the decoder have different box heads. The published checkpoints share one.
    """
    renamed: dict[str, Tensor] = {}
    unused = []
    for original, tensor in tensors.items():
        name = original.removeprefix("module.")
        if _UNUSED.fullmatch(name):
            unused.append(original)
        elif head := _BOX_HEAD.fullmatch(name):
            first = renamed.setdefault(f"bbox_embed.0.{head[1]}", tensor)
            if not torch.equal(first, tensor):
                raise WeightsError(f"{original} differs from the box head of another layer: only checkpoints with one shared head fit")
        elif merged := _PROJECTIONS.fullmatch(name):
            for part, rows in zip(("query", "key", "value"), tensor.chunk(3)):
                renamed[rename(f"{merged[1]}{part}.{merged[2]}")] = rows.contiguous()
        else:
            renamed[rename(name)] = tensor
    return renamed, unused


def make_config(tensors: dict[str, Tensor]) -> Any:
    """Return the GroundingDinoConfig that fits the tensor shapes of a checkpoint.

    Args:
        tensors: the checkpoint with names of transformers, see `rename_all`.

    Raises:
        WeightsError: a tensor that determines the architecture is missing.
    """
    from transformers import BertConfig, GroundingDinoConfig, SwinConfig

    def shape(name: str) -> list[int]:
        if name not in tensors:
            raise WeightsError(f"the tensor {name} (in transformers' names) is missing")
        return list(tensors[name].shape)

    def count(prefix: str) -> int:
        return len({name.removeprefix(prefix).split(".")[0] for name in tensors if name.startswith(prefix)})

    layers, bert = f"{_SWIN}encoder.layers.", "model.text_backbone."
    stages = count(layers)
    tables = [shape(f"{layers}{stage}.blocks.0.attention.self.relative_position_bias_table") for stage in range(stages)]
    window = (math.isqrt(tables[0][0]) + 1) // 2
    swin_width = shape(f"{_SWIN}embeddings.norm.weight")[0]
    words, width = shape(f"{bert}embeddings.word_embeddings.weight")
    levels, d_model = shape("model.level_embed")
    attention = "self_attn.attention_weights.weight"
    return GroundingDinoConfig(
        backbone_config=SwinConfig(
            image_size=32 * window,
            embed_dim=swin_width,
            depths=[count(f"{layers}{stage}.blocks.") for stage in range(stages)],
            num_heads=[heads for _, heads in tables],
            window_size=window,
            mlp_ratio=shape(f"{layers}0.blocks.0.intermediate.dense.weight")[0] / swin_width,
            out_indices=[stage for stage in range(1, stages + 1) if f"{_SWIN}hidden_states_norms.stage{stage}.weight" in tensors],
        ),
        text_config=BertConfig(
            vocab_size=words,
            hidden_size=width,
            num_hidden_layers=count(f"{bert}encoder.layer."),
            num_attention_heads=max(1, width // _BERT_HEAD),
            intermediate_size=shape(f"{bert}encoder.layer.0.intermediate.dense.weight")[0],
            max_position_embeddings=shape(f"{bert}embeddings.position_embeddings.weight")[0],
        ),
        d_model=d_model,
        num_feature_levels=levels,
        num_queries=shape("model.query_position_embeddings.weight")[0],
        encoder_layers=count("model.encoder.layers."),
        decoder_layers=count("model.decoder.layers."),
        encoder_ffn_dim=shape("model.encoder.layers.0.deformable_layer.fc1.weight")[0],
        decoder_ffn_dim=shape("model.decoder.layers.0.fc1.weight")[0],
        encoder_attention_heads=shape(f"model.encoder.layers.0.deformable_layer.{attention}")[0] // (levels * _POINTS),
        decoder_attention_heads=shape("model.decoder.layers.0.encoder_attn.attention_weights.weight")[0] // (levels * _POINTS),
    )


def recognizes(tensors: dict[str, Tensor]) -> bool:
    """Return whether the names of the tensors are those of Grounding DINO."""
    return any(name.removeprefix("module.") == "feat_map.weight" for name in tensors)


def build(tensors: dict[str, Tensor]) -> tuple[Any, list[str]]:
    """Return the GroundingDinoForObjectDetection with the tensors of a checkpoint, and the names of those that it does not need.

    Args:
        tensors: the checkpoint.

    Raises:
        WeightsError: a tensor is missing, unknown or has another shape.
    """
    from transformers import GroundingDinoForObjectDetection

    renamed, unused = rename_all(tensors)
    with _quiet():  # a fault is an error here, not a report in the log
        model, info = GroundingDinoForObjectDetection.from_pretrained(
            None, config=make_config(renamed), state_dict=renamed, output_loading_info=True, ignore_mismatched_sizes=True
        )
    faults = {kind: sorted(map(str, info[kind])) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[kind]}
    if faults:
        raise WeightsError("; ".join(f"{len(names)} {kind.replace('_', ' ')}, the first is {names[0]}" for kind, names in faults.items()))
    return model, unused


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the log and the progress bar of transformers."""
    from transformers.utils import logging

    verbosity, progress_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if progress_bar:
            logging.enable_progress_bar()


def write_processor(model: Any, folder: Path, tokenizer: Path | None) -> None:
    """Write the tokenizer and the image sizes of the reference into the folder of a converted checkpoint.

    Args:
        model: the converted network.
        folder: the folder.
        tokenizer: folder with the tokenizer of bert-base-uncased. None fetches it from the hub.

    Raises:
        WeightsError: there is no tokenizer, or it does not fit the network.
    """
    from huggingface_hub import snapshot_download
    from transformers import BertTokenizer

    advice = f"put tokenizer.json or vocab.txt of {TOKENIZER} into a folder, and give it with --tokenizer"
    if tokenizer is None:
        try:
            tokenizer = Path(snapshot_download(TOKENIZER, allow_patterns=list(_TOKENIZER_FILES)))
        except Exception as error:  # the client of the hub raises errors of many libraries
            raise WeightsError(f"the tokenizer {TOKENIZER} cannot be fetched from the hub ({type(error).__name__}): {advice}") from error
    try:
        loaded = BertTokenizer.from_pretrained(tokenizer, local_files_only=True)
    except Exception as error:  # the tokenizers library raises errors of many types
        raise WeightsError(f"{tokenizer} holds no tokenizer that can be read ({error}): {advice}") from error
    if len(loaded) != model.config.text_config.vocab_size:
        words = model.config.text_config.vocab_size
        raise WeightsError(f"the tokenizer in {tokenizer} has {len(loaded)} words, but the network {words}: {advice}")
    loaded.save_pretrained(folder)
    images = {
        "image_processor_type": "GroundingDinoImageProcessor",
        "format": "coco_detection",
        "do_resize": True,
        "size": {"shortest_edge": 800, "longest_edge": 1333},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(IMAGE_MEAN),
        "image_std": list(IMAGE_STD),
        "do_pad": True,
    }
    content = {"image_processor": images, "processor_class": "GroundingDinoProcessor"}
    (folder / "processor_config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
