# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Grounding DINO (arXiv:2303.05499) with exactly one phrase for each box.

The caption is put together token by token, so that every phrase's span is known, and a box scores each phrase by the mean of its
token probabilities, as Grounding DINO's own evaluation does. Pre-processing is done here, on the device, without torchvision.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.detection.detector import Detection, suppress_duplicates
from lang2segtrack_ros.segmentation.preprocessing import normalised
from lang2segtrack_ros.types.prompts import PromptError

CLS, SEP, DOT = 101, 102, 1012
"""BERT ids that the network's text masks are built on."""
SMALLEST_EDGE = 96
"""Images are not made smaller than this to save memory."""
PHRASES_AT_ONCE = 4
"""The more phrases a caption has, the lower the score of each: longer lists are looked for in parts."""
PASSES = 3
"""Parts at most, unless told otherwise."""
_DELIMITERS = {CLS, SEP, DOT, 1029}


class GroundingDinoDetector:
    """A loaded Grounding DINO.

    Args:
        model: a `transformers.GroundingDinoForObjectDetection`.
        tokenizer: its tokenizer.
        shortest_edge, longest_edge: the image is scaled, aspect kept, until one of the two is met.
        name: what the user called it, for messages.
        dtype: float32, or bfloat16 to run under autocast.
        passes: more than `PHRASES_AT_ONCE` phrases are looked for in parts, at most so many, each a pass over the image; None: `PASSES`.
    """

    default_threshold = 0.35

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        shortest_edge: int,
        longest_edge: int,
        name: str = "",
        dtype: torch.dtype = torch.float32,
        passes: int | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.shortest_edge = shortest_edge
        self.longest_edge = longest_edge
        self.name = name
        self.passes = passes or PASSES
        self.device: torch.device = model.device
        self._autocast = dtype == torch.bfloat16
        self._caption = lru_cache(maxsize=64)(self._build_caption)

    @staticmethod
    def from_folder(model: Any, folder: Path, name: str, dtype: torch.dtype, passes: int | None = None) -> GroundingDinoDetector:
        """Completes a loaded model with the tokenizer and image size from its folder."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        size = {"shortest_edge": 800, "longest_edge": 1333}
        for file in ("preprocessor_config.json", "processor_config.json"):
            if (folder / file).is_file():
                settings = json.loads((folder / file).read_text(encoding="utf-8"))
                size = settings.get("image_processor", settings).get("size", size)
                break
        return GroundingDinoDetector(model, tokenizer, size["shortest_edge"], size["longest_edge"], name, dtype, passes)

    def _build_caption(self, phrases: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...], tuple[str, ...]]:
        """Token ids of the caption, each phrase's span [start, end) in them, and the words the tokenizer does not know."""
        ids, spans, unknown = [CLS], [], []
        for phrase in phrases:
            words = phrase.split()
            tokens = [[t for t in self.tokenizer.encode(word, add_special_tokens=False) if t not in _DELIMITERS] for word in words]
            unknown += [word for word, part in zip(words, tokens) if self.tokenizer.unk_token_id in part]
            flat = [token for part in tokens for token in part]
            if not flat:
                raise PromptError(f'the detector cannot read the phrase "{phrase}"; use words')
            spans.append((len(ids), len(ids) + len(flat)))
            ids += [*flat, DOT]
        ids.append(SEP)
        longest = self.model.config.max_text_len
        if len(ids) > longest:
            raise PromptError(
                f"the phrases make {len(ids)} tokens, the detector reads at most {longest}: ask for fewer objects or use shorter names"
            )
        return tuple(ids), tuple(spans), tuple(dict.fromkeys(unknown))

    def check(self, phrases: Sequence[str]) -> list[str]:
        """See `Detector.check`."""
        return list(self._caption(tuple(phrases))[2])

    def shrunk(self) -> GroundingDinoDetector | None:
        """See `ShrinkingDetector.shrunk`."""
        shortest = self.shortest_edge * 3 // 4
        if shortest < SMALLEST_EDGE or shortest**2 * self._tokens_per_pixel < self.model.config.num_queries:
            return None  # of an image's tokens as many are chosen as the network has queries
        other = copy(self)
        other.shortest_edge, other.longest_edge = shortest, self.longest_edge * 3 // 4
        return other

    @property
    def _tokens_per_pixel(self) -> float:
        """Of all levels of features: strides 8, 16, 32, ..."""
        return float(sum((8 << level) ** -2 for level in range(self.model.config.num_feature_levels)))

    def preprocess(self, color: NDArray[np.uint8]) -> Tensor:
        """RGB uint8 [H, W, 3] to the network's float32 [1, 3, h, w]: scaled with its aspect kept, normalised."""
        height, width = color.shape[:2]
        scale = min(self.shortest_edge / min(height, width), self.longest_edge / max(height, width))
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        return normalised(color, size, self.device)

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        """See `Detector.detect`."""
        return self.detect_batch([color], phrases, thresholds)[0]

    @torch.inference_mode()
    def detect_batch(
        self, colors: Sequence[NDArray[np.uint8]], phrases: Sequence[str], thresholds: Sequence[float]
    ) -> list[list[Detection]]:
        """See `BatchDetector.detect_batch`. Images that are of one size for the network are one batch: none is padded."""
        found: list[list[Detection]] = [[] for _ in colors]
        if not phrases:
            return found
        by_size: dict[tuple[int, ...], list[tuple[int, Tensor]]] = {}
        for index, color in enumerate(colors):
            pixels = self.preprocess(color)
            by_size.setdefault(tuple(pixels.shape), []).append((index, pixels))
        for group in by_size.values():
            batch = torch.cat([pixels for _, pixels in group])
            for part in self._parts(len(phrases)):
                ids, spans, _ = self._caption(tuple(phrases[part]))
                tokens = torch.tensor([ids], device=self.device).expand(len(group), -1)
                with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast):
                    output = self.model(
                        pixel_values=batch,
                        input_ids=tokens,
                        token_type_ids=torch.zeros_like(tokens),
                        attention_mask=torch.ones_like(tokens),
                    )
                for row, (index, _) in enumerate(group):
                    size = colors[index].shape[:2]
                    found[index] += self._read(output.logits[row], output.pred_boxes[row], size, spans, phrases[part], thresholds[part])
        return [suppress_duplicates(detections) for detections in found]

    def _parts(self, count: int) -> list[slice]:
        """Which of `count` phrases are looked for together: as few parts as `PHRASES_AT_ONCE` and `passes` ask for, equally large."""
        parts = min(self.passes, -(-count // PHRASES_AT_ONCE))
        return [slice(count * part // parts, count * (part + 1) // parts) for part in range(parts)]

    @staticmethod
    def _read(
        logits: Tensor,
        pred_boxes: Tensor,
        size: tuple[int, ...],
        spans: Sequence[tuple[int, int]],
        phrases: Sequence[str],
        thresholds: Sequence[float],
    ) -> list[Detection]:
        """What the network says of one image: logits [queries, tokens], boxes [queries, 4] (centre x, y, width, height; 0..1)."""
        probabilities = logits.float().sigmoid()
        scores = torch.stack([probabilities[:, start:end].mean(dim=1) for start, end in spans], dim=1)
        best, phrase = (part.cpu().numpy() for part in scores.max(dim=1))
        height, width = size
        boxes = pred_boxes.float().cpu().numpy() * (width, height, width, height)
        corners = np.concatenate((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2), axis=1)
        corners = np.clip(corners, 0, (width, height, width, height))
        keep = [
            query
            for query in range(len(best))
            if best[query] >= thresholds[phrase[query]] and (corners[query, 2:] - corners[query, :2]).min() >= 1
        ]
        return [
            Detection(
                phrases[phrase[query]],
                float(best[query]),
                (float(corners[query, 0]), float(corners[query, 1]), float(corners[query, 2]), float(corners[query, 3])),
            )
            for query in keep
        ]
