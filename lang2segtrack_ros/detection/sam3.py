# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""SAM 3 (arXiv:2511.16719) on single images: phrases in, boxes with masks out.

The image is encoded once. Each phrase then has its own pass of the detection head, whose queries predict boxes, scores and masks. The
score of a box is its own probability times the probability that the image shows the phrase at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.detection.detector import Detection, suppress_duplicates
from lang2segtrack_ros.detection.processor_files import load_tokenizer
from lang2segtrack_ros.segmentation.preprocessing import Statistics, resize_and_normalize
from lang2segtrack_ros.types.prompts import PromptError

MASK_THRESHOLD = 0.5
"""Probability above which a pixel belongs to an object."""
_STATISTICS: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Sam3Detector:
    """A loaded SAM 3 image model. Its detections have masks.

    Args:
        model: a `transformers.Sam3Model`.
        tokenizer: tokenizer of the model.
        name: name of the detector for messages.
        dtype: float32, or bfloat16 to run under autocast.
    """

    default_threshold = 0.5

    def __init__(self, model: Any, tokenizer: Any, name: str = "", dtype: torch.dtype = torch.float32) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.device: torch.device = model.device
        self.image_size: int = model.config.image_size
        self._autocast = dtype == torch.bfloat16
        self._text = lru_cache(maxsize=256)(self._encode_phrase)  # a continuous text repeats its phrases for hours

    @staticmethod
    def from_folder(model: Any, folder: Path, name: str, dtype: torch.dtype) -> Sam3Detector:
        """Create a detector from a loaded model and the tokenizer in its folder.

        Args:
            model: a `transformers.Sam3Model`.
            folder: folder of the checkpoint.
            name: name of the detector for messages.
            dtype: float32, or bfloat16 to run under autocast.

        Raises:
            ValueError: the tokenizer cannot be read.
        """
        return Sam3Detector(model, load_tokenizer(folder, model.config.text_config.vocab_size), name, dtype)

    def _tokens(self, phrase: str) -> list[int]:
        """Return the token ids of a phrase. Raise PromptError if it is too long."""
        ids: list[int] = self.tokenizer.encode(phrase)
        limit = self.model.config.text_config.max_position_embeddings
        if len(ids) > limit:
            raise PromptError(f'"{phrase}" has {len(ids)} tokens, but the detector reads at most {limit}: use a shorter name')
        return ids

    def _encode_phrase(self, phrase: str) -> Any:
        """Return the output of the text encoder for a phrase."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast):
            return self.model.get_text_features(torch.tensor([self._tokens(phrase)], device=self.device))

    def check(self, phrases: Sequence[str]) -> list[str]:
        """Return no words, because the tokenizer can spell each one; see `Detector.check`."""
        for phrase in phrases:
            self._tokens(phrase)
        return []

    def preprocess(self, color: NDArray[np.uint8]) -> Tensor:
        """Scale and normalize an RGB uint8 [H, W, 3] image to float32 [1, 3, S, S] on the device."""
        return resize_and_normalize(color, (self.image_size, self.image_size), self.device, statistics=_STATISTICS)

    @torch.inference_mode()
    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        """Return the objects on one image with their masks; see `Detector.detect`."""
        if not phrases:
            return []
        found: dict[Detection, Tensor] = {}
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast):
            vision = self.model.get_vision_features(self.preprocess(color))
        for phrase, threshold in zip(phrases, thresholds):
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast):
                outputs = self.model(vision_embeds=vision, text_embeds=self._text(phrase))
            found |= _decode(outputs, color.shape[:2], phrase, threshold)
        return [replace(item, mask=_mask(found[item], color.shape[:2])) for item in suppress_duplicates(list(found))]


def _decode(outputs: Any, size: tuple[int, ...], phrase: str, threshold: float) -> dict[Detection, Tensor]:
    """Return the detections of a phrase, each with its mask logits [h, w].

    Args:
        outputs: output of `transformers.Sam3Model` for one image.
        size: height and width of the image in pixels.
        phrase: the phrase.
        threshold: minimum score, 0..1.
    """
    height, width = size
    scores = outputs.pred_logits[0].float().sigmoid() * outputs.presence_logits[0].float().sigmoid()
    boxes = outputs.pred_boxes[0].float().cpu().numpy() * (width, height, width, height)
    clipped = np.clip(boxes, 0, (width, height, width, height))
    return {
        Detection(phrase, score, (float(x1), float(y1), float(x2), float(y2))): outputs.pred_masks[0, query]
        for query, (score, (x1, y1, x2, y2)) in enumerate(zip(scores.tolist(), clipped))
        if score >= threshold and min(x2 - x1, y2 - y1) >= 1
    }


def _mask(logits: Tensor, size: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Return the mask bool [H, W] of mask logits [h, w], or None if it is empty."""
    probability = F.interpolate(logits.float().sigmoid()[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    mask: NDArray[np.bool_] = (probability > MASK_THRESHOLD).cpu().numpy()
    return mask if mask.any() else None
