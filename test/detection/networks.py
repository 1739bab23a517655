# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Small random detectors, saved in the layout of the published checkpoints: config, tokenizer, image settings and safetensors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from transformers import (
    CLIPTokenizer,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2Processor,
    Sam3Config,
    Sam3Model,
    Sam3VideoConfig,
    Sam3VideoModel,
)
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.models import catalogue
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import demo_scene
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import TextPrompt
from lang2segtrack_ros.types.results import FrameResult

TOY = catalogue.TOY_FOLDER / "detector"


def save_mm_grounding_dino(folder: Path) -> Path:
    """Save an MM-Grounding-DINO with the structure of the toy detector, sharp attention, and a bias of the contrastive head."""
    raw = json.loads((TOY / "config.json").read_text())
    for key in ("model_type", "architectures", "two_stage_bbox_embed_share"):
        del raw[key]
    raw |= {"decoder_bbox_embed_share": False, "decoder_cls_embed_share": False}  # as in the published checkpoints
    config = MMGroundingDinoConfig(**raw)
    torch.manual_seed(5)
    model = MMGroundingDinoForObjectDetection(config).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and "backbone" not in name:
            parameter.mul_(2.0)
        if name.endswith(("vision_param", "text_param")):
            parameter.fill_(0.5)
        if "class_embed" in name:
            parameter.fill_(-0.7)
        if "bbox_embed" in name:
            parameter.normal_(std=0.2)  # the last layers are 0 otherwise
    model.save_pretrained(folder)
    for file in ("processor_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(TOY / file, folder / file)
    return folder


def clip_tokenizer(length: int) -> CLIPTokenizer:
    """Return a tokenizer of CLIP that has a token for each word of the tests, and spells other words."""
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters)]
    merges = []
    for word in ("photo", "of", "red", "blue", "circle", "star", "square"):
        parts = [*word[:-1], f"{word[-1]}</w>"]
        for end in range(1, len(parts)):
            merges.append(("".join(parts[:end]), parts[end]))
            vocabulary.append("".join(parts[: end + 1]))
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]  # the last id must be the end of the text
    ids = {token: index for index, token in enumerate(dict.fromkeys(vocabulary))}
    return CLIPTokenizer(ids, merges, pad_token="!", model_max_length=length)


def save_owlv2(folder: Path) -> Path:
    """Save an OWLv2 with 8 x 8 patches."""
    tokenizer = clip_tokenizer(16)
    shared = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**shared, "vocab_size": len(tokenizer), "eos_token_id": len(tokenizer) - 1, "bos_token_id": len(tokenizer) - 2}
    vision = {**shared, "image_size": 64, "patch_size": 8}
    config = Owlv2Config(text_config=text, vision_config=vision, projection_dim=32)
    torch.manual_seed(5)
    model = Owlv2ForObjectDetection(config).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 or "embedding" in name:
            parameter.normal_(std=0.15 if "box_head" in name else 0.3)
    model.save_pretrained(folder)
    Owlv2Processor(Owlv2ImageProcessorPil(size={"height": 64, "width": 64}), tokenizer).save_pretrained(folder)
    return folder


def sam3_config(vocabulary: int) -> Sam3Config:
    """Return the configuration of a small SAM 3 for images of 112 x 112 pixels."""
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    backbone = {
        **layers,
        "num_hidden_layers": 2,
        "image_size": 112,
        "window_size": 4,
        "global_attn_indexes": [1],
        "pretrain_image_size": 56,
    }
    text = {
        **layers,
        "num_hidden_layers": 2,
        "vocab_size": vocabulary,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "max_position_embeddings": 32,
    }
    return Sam3Config(
        vision_config={
            "backbone_config": {"model_type": "sam3_vit_model", **backbone},
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
        text_config={"model_type": "clip_text_model", "projection_dim": 32, **text},
        geometry_encoder_config={**layers, "num_layers": 1},
        detr_encoder_config={**layers, "num_layers": 2},
        detr_decoder_config={**layers, "num_layers": 2, "num_queries": 12},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )


def save_sam3(folder: Path, video: bool = False) -> Path:
    """Save a SAM 3 image model, or with `video` a SAM 3 video model, as the published checkpoint is one."""
    tokenizer = clip_tokenizer(32)
    config = sam3_config(len(tokenizer))
    model = (Sam3VideoModel(Sam3VideoConfig(detector_config=config)) if video else Sam3Model(config)).eval().requires_grad_(False)
    torch.manual_seed(0)  # the detectors of both models are equal
    for name, parameter in (model.detector_model if video else model).named_parameters():
        if parameter.dim() > 1:
            parameter.normal_(std=0.25 if "box_head" in name else 2.0 if "query_embed" in name else 0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def follow(segmenter: Sam2Segmenter, detector: Detector, phrases: list[str], threshold: float, frames: int = 40) -> list[FrameResult]:
    """Track two phrases in a session, which repeats the detection. Check that tracks exist for both, and only for them."""
    scene = demo_scene(320, 240)
    session = Session(segmenter, detector, options=SessionOptions(max_objects=4))
    for phrase in phrases:
        session.prompt(TextPrompt(phrase, threshold=threshold, interval=10))
    results = [session.step(Frame(scene.render(index).color, index * 66_666_667)) for index in range(frames)]
    session.close()
    labels = {track.label for result in results for track in result.tracks}
    assert labels == set(phrases)
    return results
