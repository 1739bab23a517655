# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The golden traces and the network of their recording; see test/data/golden/README.md."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from transformers import Sam2VideoConfig, Sam2VideoModel

from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, ObjectPrompt, PointPrompt
from test.cached import CachedSegmenter

FOLDER = Path(__file__).parent.parent / "data" / "golden"
FRAMES = 40

# Standard deviation of tensors other than matrices.
_SPREAD = {
    r"positional_embedding$": 1.0,
    r"^prompt_encoder\.(point_embed|not_a_point_embed|no_mask_embed)\.weight$": 1.0,
    r"^mask_decoder\.(iou_token|mask_tokens|obj_score_token)\.weight$": 1.0,
    r"^vision_encoder\.backbone\.pos_embed(_window)?$": 0.2,
    r"^memory_temporal_positional_encoding$": 0.5,
    r"^no_memory_(embedding|positional_encoding)$": 0.3,
    r"^no_object_pointer$": 1.0,
    r"^occlusion_spatial_embedding_parameter$": 0.5,
    r"^memory_encoder\.memory_fuser\.layers\.\d+\.scale$": 0.2,
}
# Factors that make the network depend on its memories. With plain random weights, the attention is uniform and hides errors.
_SHARPEN = {
    r"^memory_attention\.layers\.\d+\.cross_attn_image\.[qk]_proj\.weight$": 2.0,
    r"^temporal_positional_encoding_projection_layer\.weight$": 2.0,
    r"^object_pointer_proj\.proj_out\.weight$": 4.0,
    r"^mask_decoder\.transformer\..*(cross_attn_(token_to_image|image_to_token)|final_attn_token_to_image)\.[qko]_proj\.weight$": 2.0,
    r"^mask_decoder\.conv_s[01]\.weight$": 0.3,
    r"^mask_decoder\.iou_token\.weight$": 0.3,
    r"^mask_decoder\.iou_prediction_head\.proj_out\.weight$": 14.0,
}
_HYPER = "mask_decoder.output_hypernetworks_mlps."
# First elements of biases, for objects that are always visible, sparse masks, and IoU scores around the gates.
_BIAS = {
    "mask_decoder.pred_obj_score_head.proj_out.bias": [4.0],
    "mask_decoder.upscale_conv2.bias": [4.0],
    f"{_HYPER}0.proj_out.bias": [0.2],
    f"{_HYPER}1.proj_out.bias": [-1.3],
    f"{_HYPER}2.proj_out.bias": [-0.28],
    f"{_HYPER}3.proj_out.bias": [-0.43],
    "mask_decoder.iou_prediction_head.proj_out.bias": [0.0, -12.6, 2.1, -5.4],
}
_SEED_SUFFIX = {"mask_decoder.iou_prediction_head.proj_out.weight": "#14153", f"{_HYPER}1.proj_out.weight": "#32"}


def _tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the values of one tensor. They depend only on its name and shape."""
    if name == "prompt_encoder.shared_embedding.positional_embedding":
        name = "shared_image_embedding.positional_embedding"  # one matrix under two names
    seed = zlib.crc32((name + _SEED_SUFFIX.get(name, "")).encode("ascii"))
    values = np.random.Generator(np.random.PCG64(seed)).standard_normal(int(np.prod(shape))).reshape(shape)
    spread = next((value for pattern, value in _SPREAD.items() if re.search(pattern, name)), None)
    if spread is not None:
        values = spread * values
    elif re.search(r"layer_norm[^.]*\.weight$", name):
        values = 1.0 + 0.05 * values
    elif name.endswith(".bias"):
        values = 0.05 * values
    else:
        transposed = re.search(r"upscale_conv[12]\.weight$", name)
        values = 1.0 / np.sqrt(shape[0] if transposed else int(np.prod(shape[1:]))) * values
    for pattern, factor in _SHARPEN.items():
        if re.search(pattern, name):
            values = values * factor
    start = _BIAS.get(name)
    if start:
        values[: len(start)] = start
    return values.astype(np.float32)


@lru_cache(maxsize=1)
def golden_segmenter() -> tuple[Sam2Segmenter, str]:
    """Return the network of the traces, which encodes each image once, and the digest of its weights."""
    model = Sam2VideoModel(Sam2VideoConfig.from_dict(json.loads((FOLDER / "config.json").read_text()))).eval().requires_grad_(False)
    digest = hashlib.sha256()
    state = model.state_dict()
    for name in sorted(state):
        values = _tensor(name, tuple(state[name].shape))
        digest.update(name.encode("ascii") + np.ascontiguousarray(values).tobytes())
        state[name].copy_(torch.from_numpy(values))
    return CachedSegmenter(Sam2Segmenter(model, "golden")), digest.hexdigest()


@dataclass(frozen=True)
class Trace:
    """A recorded run of the reference."""

    name: str
    data: dict[str, np.ndarray]

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def frames(self) -> np.ndarray:
        """Return the images, RGB uint8 [40, 256, 256, 3]."""
        stacked = cv2.imread(str(FOLDER / f"{self['clip']}.webp"))
        return cv2.cvtColor(stacked, cv2.COLOR_BGR2RGB).reshape(FRAMES, 256, 256, 3)

    def prompt(self) -> ObjectPrompt:
        """Return the prompt of frame 0."""
        if "prompt_mask" in self.data:
            return MaskPrompt(self["prompt_mask"] > 0)
        points, labels = self["prompt_points"], self["prompt_labels"]
        if labels.tolist() == [2, 3]:
            x1, y1, x2, y2 = points.reshape(-1).tolist()
            return BoxPrompt((x1, y1, x2, y2))
        return PointPrompt([(float(x), float(y)) for x, y in points], labels.tolist())

    def memories(self, frame: int) -> list[tuple[int, int]]:
        """Return (frame, temporal row) of the memories of tracked frames that the reference read, oldest first."""
        pairs = zip(self["memory_frames"][frame].tolist(), self["memory_rows"][frame].tolist())
        return [(index, row) for index, row in pairs if index > 0]


def load_trace(name: str) -> Trace:
    """Load trace A, B, C, D or E."""
    with np.load(FOLDER / f"trace_{name}.npz") as data:
        return Trace(name, dict(data))
