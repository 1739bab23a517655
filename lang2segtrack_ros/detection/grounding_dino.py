# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Grounding DINO (arXiv:2303.05499), MM-Grounding-DINO (arXiv:2401.02361) and LLMDet (arXiv:2501.18954), one phrase for each box.

The detector builds the caption token by token, so that it knows the token span of each phrase. The score of a phrase for a box is the
mean probability of its tokens, as in the evaluation of Grounding DINO. Preprocessing runs on the device and needs no torchvision. The
results are copied to the host once, and a few NumPy calls decode them, because the tracker's thread needs the interpreter meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.detection.decoding import best_detections, corners_of
from lang2segtrack_ros.detection.detector import Detection, suppress_duplicates
from lang2segtrack_ros.detection.grounding_dino_forward import GroundingDinoForward, TextFeatures
from lang2segtrack_ros.detection.processor_files import load_tokenizer, read_image_settings
from lang2segtrack_ros.detection.static_detection import StaticDetection
from lang2segtrack_ros.segmentation.preprocessing import resize_and_normalize
from lang2segtrack_ros.types.prompts import PromptError

CLS, SEP, DOT = 101, 102, 1012
"""BERT token ids from which the network builds its text masks."""
MIN_EDGE = 96
"""Smallest shortest edge in pixels to which the detector shrinks images to save memory."""
PHRASES_PER_PASS = 4
"""Number of phrases above which a caption is split. Scores fall as the number of phrases in a caption rises."""
MAX_PASSES = 3
"""Default maximum number of captions, and so of passes over an image."""
_DELIMITERS = {CLS, SEP, DOT, 1029}


class GroundingDinoDetector:
    """A loaded detector with the structure of Grounding DINO.

    Args:
        model: a `transformers.GroundingDinoForObjectDetection` or `MMGroundingDinoForObjectDetection`.
        tokenizer: tokenizer of the model.
        shortest_edge: target length in pixels of the shorter image edge. The aspect ratio stays.
        longest_edge: maximum length in pixels of the longer image edge. This limit has priority.
        name: name of the detector for messages.
        dtype: float32, or bfloat16 to run under autocast.
        passes: maximum number of passes over an image. More than `PHRASES_PER_PASS` phrases are split over this many passes at most.
            None uses `MAX_PASSES`.

    Attributes:
        acceleration: "off" or "graphs".
        static: the static functions, if `acceleration` is "graphs".
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
        self.passes = passes or MAX_PASSES
        self.device: torch.device = model.device
        self._autocast = dtype == torch.bfloat16
        self._caption = lru_cache(maxsize=64)(self._build_caption)
        self._forward = GroundingDinoForward(self.model, _DELIMITERS)
        self._text = lru_cache(maxsize=64)(self._forward.encode_text)  # a continuous text repeats its captions for hours
        self.acceleration = "off"
        self.static = StaticDetection(self._detect, self._forward.constants, self.device)

    @staticmethod
    def from_folder(model: Any, folder: Path, name: str, dtype: torch.dtype, passes: int | None = None) -> GroundingDinoDetector:
        """Create a detector from a loaded model and the tokenizer and image size in its folder.

        Args:
            model: a `transformers.GroundingDinoForObjectDetection` or `MMGroundingDinoForObjectDetection`.
            folder: folder of the checkpoint.
            name: name of the detector for messages.
            dtype: float32, or bfloat16 to run under autocast.
            passes: maximum number of passes over an image. None uses `MAX_PASSES`.

        Raises:
            ValueError: the tokenizer or the image settings cannot be read, or the network has an unsupported structure.
        """
        size = read_image_settings(folder).get("size", {"shortest_edge": 800, "longest_edge": 1333})
        tokenizer = load_tokenizer(folder, model.config.text_config.vocab_size)
        return GroundingDinoDetector(model, tokenizer, size["shortest_edge"], size["longest_edge"], name, dtype, passes)

    def _build_caption(self, phrases: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...], tuple[str, ...]]:
        """Build the caption of some phrases.

        Args:
            phrases: the phrases in order.

        Returns:
            Token ids of the caption, the token span [start, end) of each phrase, and the words that the tokenizer does not know.

        Raises:
            PromptError: a phrase has no readable token, or the caption is too long.
        """
        ids, spans, unknown = [CLS], [], []
        for phrase in phrases:
            words = phrase.split()
            tokens = [[t for t in self.tokenizer.encode(word, add_special_tokens=False) if t not in _DELIMITERS] for word in words]
            unknown += [word for word, part in zip(words, tokens) if self.tokenizer.unk_token_id in part]
            flat = [token for part in tokens for token in part]
            if not flat:
                raise PromptError(f'the detector cannot read the phrase "{phrase}": use words')
            spans.append((len(ids), len(ids) + len(flat)))
            ids += [*flat, DOT]
        ids.append(SEP)
        max_tokens = self.model.config.max_text_len
        if len(ids) > max_tokens:
            raise PromptError(
                f"the phrases have {len(ids)} tokens, but the detector reads at most {max_tokens}: name fewer objects or use shorter names"
            )
        return tuple(ids), tuple(spans), tuple(dict.fromkeys(unknown))

    @property
    def vocabulary(self) -> list[str]:
        """Words that the tokenizer knows as a whole."""
        return sorted(word for word in self.tokenizer.get_vocab() if word.isalpha())

    def check(self, phrases: Sequence[str]) -> list[str]:
        """Return the unknown words; see `Detector.check`."""
        return list(self._caption(tuple(phrases))[2])

    def shrunk(self) -> GroundingDinoDetector | None:
        """Return this detector for smaller images; see `ShrinkingDetector.shrunk`."""
        shortest = self.shortest_edge * 3 // 4
        if shortest < MIN_EDGE or shortest**2 * self._tokens_per_pixel < self.model.config.num_queries:
            return None  # the network selects one image token for each query, so an image needs as many tokens as queries
        self.static.stop("the device ran out of memory")
        smaller = copy(self)
        smaller.shortest_edge, smaller.longest_edge = shortest, self.longest_edge * 3 // 4
        return smaller

    @property
    def _tokens_per_pixel(self) -> float:
        """Return the number of tokens per pixel over all feature levels (strides 8, 16, 32, ...)."""
        return float(sum((8 << level) ** -2 for level in range(self.model.config.num_feature_levels)))

    @torch.inference_mode()
    def prepare(self, images: Sequence[tuple[int, int]], max_seconds: float, report: Callable[[str], None]) -> None:
        """Capture CUDA graphs; see `AcceleratedDetector.prepare`."""
        if self.acceleration == "graphs":
            text = self._text(self._caption(("object",))[0])
            self.static.prepare([self._input_size(*size) for size in images], text, max_seconds, report)

    def has_missed(self) -> bool:
        """Return True if recent detections lacked a CUDA graph."""
        return self.acceleration == "graphs" and self.static.due is not None

    def prepare_missed(self) -> None:
        """Capture the CUDA graph that recent detections lacked."""
        self.static.prepare_missed()

    def acceleration_metrics(self) -> dict[str, object]:
        """Return the acceleration, and the number of passes with and without CUDA graphs."""
        if self.acceleration == "off":
            return {"detector_acceleration": "off"}
        return {
            "detector_acceleration": f"off, because {self.static.failure}" if self.static.failure else self.acceleration,
            "detections_static": self.static.detections["static"],
            "detections_not_static": self.static.detections["usual"],
        }

    def _detect(self, pixels: Tensor, text: TextFeatures, constants: Any) -> tuple[Tensor, Tensor]:
        """Run the image part; see `GroundingDinoForward.detect`."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast):
            return self._forward.detect(pixels, text, constants)

    def preprocess(self, color: NDArray[np.uint8]) -> Tensor:
        """Scale and normalize an RGB uint8 [H, W, 3] image to float32 [1, 3, h, w] on the device. Keep the aspect ratio."""
        return resize_and_normalize(color, self._input_size(*color.shape[:2]), self.device)

    def _input_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the network input for an image of this height and width, in pixels."""
        scale = min(self.shortest_edge / min(height, width), self.longest_edge / max(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        """Return the objects on one image; see `Detector.detect`."""
        return self.detect_batch([color], phrases, thresholds)[0]

    @torch.inference_mode()
    def detect_batch(
        self, colors: Sequence[NDArray[np.uint8]], phrases: Sequence[str], thresholds: Sequence[float]
    ) -> list[list[Detection]]:
        """Return the objects on each image; see `BatchDetector.detect_batch`.

        Images of the same network input size form one batch. No image is padded.
        """
        found: list[list[Detection]] = [[] for _ in colors]
        if not phrases:
            return found
        by_size: dict[tuple[int, ...], list[tuple[int, Tensor]]] = {}
        for index, color in enumerate(colors):
            pixels = self.preprocess(color)
            by_size.setdefault(tuple(pixels.shape), []).append((index, pixels))
        for group in by_size.values():
            batch = torch.cat([pixels for _, pixels in group])
            for selected in self._split_phrases(len(phrases)):
                ids, spans, _ = self._caption(tuple(phrases[selected]))
                with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast):
                    text = self._text(ids)
                probabilities, boxes = self.static.run(batch, text, len(ids))
                for row, (index, _) in enumerate(group):
                    size = colors[index].shape[:2]
                    found[index] += _decode(probabilities[row], boxes[row], size, spans, phrases[selected], thresholds[selected])
        return [suppress_duplicates(detections) for detections in found]

    def _split_phrases(self, count: int) -> list[slice]:
        """Split `count` phrases into passes of nearly equal size, as few as `PHRASES_PER_PASS` and `passes` allow."""
        passes = min(self.passes, -(-count // PHRASES_PER_PASS))
        return [slice(count * index // passes, count * (index + 1) // passes) for index in range(passes)]


def _decode(
    probabilities: NDArray[np.float32],
    pred_boxes: NDArray[np.float32],
    size: tuple[int, ...],
    spans: Sequence[tuple[int, int]],
    phrases: Sequence[str],
    thresholds: Sequence[float],
) -> list[Detection]:
    """Convert the network output for one image to detections.

    Args:
        probabilities: float32 [queries, tokens], 0..1.
        pred_boxes: float32 [queries, 4]: center x, center y, width, height, each relative to the image (0..1).
        size: height and width of the image in pixels.
        spans: token span [start, end) of each phrase.
        phrases: the phrases of the caption.
        thresholds: minimum score for each phrase, 0..1.
    """
    edges = np.array(spans)  # a delimiter follows each span, so the sums between two spans are left out
    scores = np.add.reduceat(probabilities, edges.ravel(), axis=1)[:, ::2] / (edges[:, 1] - edges[:, 0]).astype(np.float32)
    height, width = size
    return best_detections(scores, corners_of(pred_boxes, (width, height)), size, phrases, thresholds)
