# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Grounding DINO of under two million parameters, initialized for training, and its tokenizer of a few dozen words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertTokenizer, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

from lang2segtrack_ros.toyworld.families import Family
from lang2segtrack_ros.toyworld.phrases import words_of

SHORTEST_EDGE, LONGEST_EDGE = 192, 256
_SPECIAL = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1010: ",", 1012: ".", 1029: "?"}
_VOCABULARY = 1032
_FIRST_WORD = 200
_MAX_TOKENS = 64


def write_tokenizer(folder: Path, family: Family) -> Any:
    """Write a BERT tokenizer with the words of a family. Special tokens keep BERT's ids, which the network relies on.

    Args:
        folder: folder for the tokenizer's files.
        family: the family.

    Returns:
        The tokenizer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = {index: f"[unused{index}]" for index in range(_VOCABULARY)} | _SPECIAL
    table |= {_FIRST_WORD + index: word for index, word in enumerate((*words_of(family), "a", "the", "and"))}
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("".join(f"{table[index]}\n" for index in range(_VOCABULARY)))
    tokenizer = BertTokenizer(vocab=str(vocabulary), do_lower_case=True, model_max_length=_MAX_TOKENS)
    tokenizer.save_pretrained(folder)
    return tokenizer


def detector_config() -> GroundingDinoConfig:
    """Return the architecture of Grounding DINO with fewer and narrower layers and three feature levels."""
    return GroundingDinoConfig(
        backbone_config=SwinConfig(
            image_size=LONGEST_EDGE,
            embed_dim=32,
            depths=[1, 1, 2, 1],
            num_heads=[2, 4, 8, 8],
            window_size=6,
            mlp_ratio=3.0,
            drop_path_rate=0.0,
            out_indices=[2, 3, 4],
        ),
        text_config=BertConfig(
            vocab_size=_VOCABULARY,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=128,
            max_position_embeddings=_MAX_TOKENS,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        ),
        num_queries=24,
        encoder_layers=2,
        decoder_layers=2,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        d_model=64,
        num_feature_levels=3,
        max_text_len=_MAX_TOKENS,
        auxiliary_loss=True,
        dropout=0.0,
        fusion_droppath=0.0,
        disable_custom_kernels=True,
        init_std=0.02,
    )


@torch.no_grad()
def new_detector(seed: int = 0) -> GroundingDinoForObjectDetection:
    """Return an untrained network, initialized for training."""
    torch.manual_seed(seed)
    config = detector_config()
    model = GroundingDinoForObjectDetection(config)
    for layer in model.model.encoder.layers:
        layer.fusion_layer.vision_param.fill_(0.1)  # the default of 1e-4 suits loaded weights and would delay the fusion of text and image
        layer.fusion_layer.text_param.fill_(0.1)
    for module in [*model.model.backbone.modules(), *model.model.text_backbone.modules(), model.model.text_projection]:
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    # Class logits are products of two normalized vectors without scale or bias. Small gains and opposite biases start them at about -4,
    # which suits a focal loss.
    direction = nn.functional.normalize(torch.randn(config.d_model), dim=0)
    text_norm = model.model.encoder.layers[-1].text_enhancer_layer.layer_norm_after
    text_norm.weight.fill_(0.3)
    text_norm.bias.copy_(2 * direction)
    for norm in (model.model.enc_output_norm, model.model.decoder.layer_norm):
        norm.weight.fill_(0.3)
        norm.bias.copy_(-2 * direction)
    nn.init.normal_(model.model.text_backbone.embeddings.word_embeddings.weight, std=0.3)
    return model


@torch.no_grad()
def load_weights(model: GroundingDinoForObjectDetection, tokenizer: Any, folder: Path) -> None:
    """Copy the weights of a checkpoint of the same architecture. A word has the embedding of the checkpoint if that knows it.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        folder: folder of the checkpoint.
    """
    embeddings = model.model.text_backbone.embeddings.word_embeddings.weight
    new = embeddings.clone()
    other: Any = GroundingDinoForObjectDetection.from_pretrained(folder, dtype=torch.float32)
    model.load_state_dict(other.state_dict())
    known = BertTokenizer.from_pretrained(folder).get_vocab()
    for word, index in tokenizer.get_vocab().items():
        if word not in known and not word.startswith("["):
            embeddings[index] = new[index]
        elif not word.startswith("["):
            embeddings[index] = other.model.text_backbone.embeddings.word_embeddings.weight[known[word]]
