# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""OWLv2 (arXiv:2306.09683): objects by name, and objects that look like an exemplar.

Each image patch predicts one box. Its scores are the similarities of its class embedding to the query embeddings. A query is an encoded
phrase, or the class embedding of an object on another image.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.detection.decoding import best_detections, corners_of
from lang2segtrack_ros.detection.detector import Detection, suppress_duplicates
from lang2segtrack_ros.detection.owlv2_preprocessing import pad_and_resize
from lang2segtrack_ros.detection.processor_files import load_tokenizer, read_image_settings
from lang2segtrack_ros.types.prompts import PromptError
from lang2segtrack_ros.types.rle import Box

TEMPLATE = "a photo of a {}"
"""Text of a phrase, as in the training of OWLv2."""
EXEMPLAR_IOU = 0.3
"""IoU above which two boxes of one exemplar count as one object, as in transformers."""
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Owlv2Detector:
    """A loaded OWLv2 detector.

    Args:
        model: a `transformers.Owlv2ForObjectDetection`.
        tokenizer: tokenizer of the model.
        mean: mean of the normalization of images, for values of 0..1.
        std: standard deviation of the normalization.
        name: name of the detector for messages.
        dtype: float32, or bfloat16 to run the encoders under autocast.
    """

    default_threshold = 0.1
    default_exemplar_threshold = 0.9

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        mean: Sequence[float] = _CLIP_MEAN,
        std: Sequence[float] = _CLIP_STD,
        name: str = "",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.device: torch.device = model.device
        self.image_size: int = model.config.vision_config.image_size
        self._mean, self._std = (torch.tensor(values, device=self.device).view(3, 1, 1) for values in (mean, std))
        self._autocast = dtype == torch.bfloat16
        self._query = lru_cache(maxsize=256)(self._encode_phrase)  # a continuous text repeats its phrases for hours

    @staticmethod
    def from_folder(model: Any, folder: Path, name: str, dtype: torch.dtype) -> Owlv2Detector:
        """Create a detector from a loaded model and the tokenizer and image settings in its folder.

        Args:
            model: a `transformers.Owlv2ForObjectDetection`.
            folder: folder of the checkpoint.
            name: name of the detector for messages.
            dtype: float32, or bfloat16 to run under autocast.

        Raises:
            ValueError: the tokenizer or the image settings cannot be read.
        """
        image = read_image_settings(folder)
        mean, std = image.get("image_mean", _CLIP_MEAN), image.get("image_std", _CLIP_STD)
        tokenizer = load_tokenizer(folder, model.config.text_config.vocab_size)
        return Owlv2Detector(model, tokenizer, mean, std, name, dtype)

    def _tokens(self, phrase: str) -> list[int]:
        """Return the token ids of a phrase. Raise PromptError if it is too long."""
        ids: list[int] = self.tokenizer.encode(TEMPLATE.format(phrase))
        limit = self.model.config.text_config.max_position_embeddings
        if len(ids) > limit:
            raise PromptError(f'"{phrase}" has {len(ids)} tokens, but the detector reads at most {limit}: use a shorter name')
        return ids

    def _encode_phrase(self, phrase: str) -> Tensor:
        """Return the query embedding [C] of a phrase."""
        tokens = torch.tensor([self._tokens(phrase)], device=self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast):
            features = self.model.owlv2.get_text_features(tokens).pooler_output[0].float()
        query: Tensor = features / torch.linalg.norm(features)
        return query

    def check(self, phrases: Sequence[str]) -> list[str]:
        """Return no words, because the tokenizer can spell each one; see `Detector.check`."""
        for phrase in phrases:
            self._tokens(phrase)
        return []

    def preprocess(self, color: NDArray[np.uint8]) -> Tensor:
        """Pad, scale and normalize an RGB uint8 [H, W, 3] image to float32 [1, 3, S, S] on the device."""
        return pad_and_resize(color, self.image_size, self._mean, self._std)

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        """Return the objects on one image; see `Detector.detect`."""
        return self.detect_batch([color], phrases, thresholds)[0]

    @torch.inference_mode()
    def detect_batch(
        self, colors: Sequence[NDArray[np.uint8]], phrases: Sequence[str], thresholds: Sequence[float]
    ) -> list[list[Detection]]:
        """Return the objects on each image; see `BatchDetector.detect_batch`."""
        if not phrases or not colors:
            return [[] for _ in colors]
        queries = torch.stack([self._query(phrase) for phrase in phrases])
        scores, boxes = self._match(torch.cat([self.preprocess(color) for color in colors]), queries)
        return [
            suppress_duplicates(best_detections(rows, _corners(places, color), color.shape[:2], phrases, thresholds))
            for rows, places, color in zip(scores, boxes, colors)
        ]

    @torch.inference_mode()
    def encode_exemplar(self, color: NDArray[np.uint8], box: Box) -> Tensor:
        """Return the query embedding [C] of the object in a box; see `ExemplarDetector.encode_exemplar`.

        The network sees the box as an image of its own. The query is the class embedding of the patch that is most probably an object.
        """
        height, width = color.shape[:2]
        x1, y1 = (max(0, int(np.floor(value))) for value in box[:2])
        x2, y2 = (min(limit, int(np.ceil(value))) for value, limit in zip(box[2:], (width, height)))
        if x1 >= x2 or y1 >= y2:
            raise PromptError(f"the exemplar box {box} covers no pixel of the image, {width} x {height}: draw it around an object")
        query: Tensor = self.model.embed_image_query(*self._patches(self.preprocess(color[y1:y2, x1:x2])))[0]
        return query[0, 0]

    @torch.inference_mode()
    def detect_exemplar(
        self, color: NDArray[np.uint8], exemplars: Sequence[Any], labels: Sequence[str], thresholds: Sequence[float]
    ) -> list[Detection]:
        """Return the objects that look like exemplars; see `ExemplarDetector.detect_exemplar`."""
        if not exemplars:
            return []
        scores, boxes = self._match(self.preprocess(color), torch.stack(list(exemplars)))
        corners = _corners(boxes[0], color)
        for column in scores[0].T:
            column[_suppressed(column, corners)] = -1.0
        return suppress_duplicates(best_detections(scores[0], corners, color.shape[:2], labels, thresholds))

    def _patches(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of the patches of N images in float32, [N, P, C] and [N, rows, columns, C]."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast):
            grid: Tensor = self.model.image_embedder(pixels)[0].float()
        return grid.flatten(1, 2), grid

    def _match(self, pixels: Tensor, queries: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return scores [N, P, queries] and boxes [N, P, 4] of N images [N, 3, S, S] for queries [queries, C], on the host.

        Boxes are center x, center y, width and height, relative to the padded image. The heads run in float32, because bfloat16 would
        round boxes to several pixels.
        """
        patches, grid = self._patches(pixels)
        logits = self.model.class_predictor(patches, queries[None].expand(len(pixels), -1, -1))[0]
        return logits.sigmoid().cpu().numpy(), self.model.box_predictor(patches, grid).cpu().numpy()


def _corners(boxes: NDArray[np.float32], color: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return boxes of a padded image in pixels; see `corners_of`."""
    side = max(color.shape[:2])
    return corners_of(boxes, (side, side))


def _suppressed(scores: NDArray[np.float32], corners: NDArray[np.float64]) -> list[int]:
    """Return the queries whose box overlaps one with a higher score by more than `EXEMPLAR_IOU`."""
    boxes = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1)
    kept = set(np.asarray(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, EXEMPLAR_IOU)).ravel().tolist())
    return [query for query in range(len(scores)) if query not in kept]
