# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A matcher of exemplars that needs no detector: the features of the segmenter, with the color and the shape of masks.

1. The features under the mask of the exemplar are compared with those at each place of an image, as in PerSAM (arXiv:2305.03048).
2. The mask decoder predicts a mask at each of the best places, first from the point, then from the box of that mask.
3. The score of a mask is its similarity to the exemplar: in features, color, brightness and shape. Size and rotation are free.

The context features depend on all objects of an image, so they count less than color and shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.identity.appearance import Appearance, appearance_of, appearance_similarity
from lang2segtrack_ros.identity.feature_appearance import geometry_of
from lang2segtrack_ros.segmentation.feature_pooling import pool, pool_masks
from lang2segtrack_ros.segmentation.postprocess import image_masks
from lang2segtrack_ros.segmentation.sam2 import Decoded, ImageFeatures, Sam2Segmenter
from lang2segtrack_ros.segmentation.small_regions import remove_small_regions
from lang2segtrack_ros.types.prompts import PromptError
from lang2segtrack_ros.types.rle import Box, mask_box

PLACES = 16
"""Maximum number of places on an image that are compared with one exemplar, and so of its objects."""
_MIN_REGION_RATIO = 0.05  # smaller regions of a mask are removed, as in a session
_BRIGHTNESS = 90.0  # mean of the color channels to which objects are scaled before their colors are compared
_MAX_SHARED = 0.5  # ratio of the smaller of two masks above which both show one object
_MAX_DISTANCE = 1.0  # distance of features above which all masks are equally bad
_POINT, _CORNERS = (1,), (2, 3)  # labels of the decoder's point prompts
_NO_BOX: Box = (0.0, 0.0, 1.0, 1.0)  # of an empty mask
_UNKNOWN_SHAPE = 0.03  # difference in shape that counts for a mask that the edge of the image cuts
# The differences that alone halve the similarity, fitted on toy scenes with seeds 0 to 39: surface, context, shape, brightness, colors.
_SCALES = np.array((2.5, 3.0, 0.085, 1.5, 0.52))


@dataclass(frozen=True, eq=False)
class Descriptor:
    """The appearance of one mask, as exemplars are compared by it.

    Attributes:
        surface: float32 [S], mean feature at stride 4.
        context: float32 [C], unit vector of the mean feature at stride 16, relative to the image.
        shape: float32 [7], moments of the mask that do not depend on size and rotation. NaN where the edge of the image cuts it.
        brightness: mean of the color channels, 0..255.
        colors: color histogram at equal brightness.
    """

    surface: NDArray[np.float32]
    context: NDArray[np.float32]
    shape: NDArray[np.float32]
    brightness: float
    colors: Appearance

    def distances(self, other: Descriptor) -> NDArray[np.float64]:
        """Return the differences to another descriptor in surface, context, shape, brightness and colors."""
        surface = float(np.linalg.norm(self.surface - other.surface) / np.linalg.norm(other.surface))
        context = float(np.linalg.norm(self.context - other.context))
        square = float(((self.shape - other.shape) ** 2).mean())
        shape = _UNKNOWN_SHAPE if math.isnan(square) else math.sqrt(square)
        brightness = abs(math.log(self.brightness / other.brightness))
        colors = math.sqrt(max(1 - appearance_similarity(self.colors, other.colors), 0.0))
        return np.array((surface, context, shape, brightness, colors))

    def similarity(self, other: Descriptor) -> float:
        """Return the similarity to another descriptor, 0..1: a Gaussian kernel, so that one large difference is enough for 0."""
        return float(np.exp(-math.log(2) * ((self.distances(other) / _SCALES) ** 2).sum()))


class FeatureMatcher:
    """A matcher of exemplars on the features of a segmenter.

    Args:
        segmenter: the segmenter. The session may use it at the same time.
    """

    default_exemplar_threshold = 0.5

    def __init__(self, segmenter: Sam2Segmenter) -> None:
        self.segmenter = segmenter
        self.name = f"features of {segmenter.name}"

    @property
    def device(self) -> torch.device:
        """Return the device of the segmenter."""
        return self.segmenter.device

    @torch.inference_mode()
    def encode_exemplar(self, color: NDArray[np.uint8], box: Box) -> Descriptor:
        """Return the descriptor of the object in a box. See `ExemplarMatcher.encode_exemplar`."""
        height, width = color.shape[:2]
        features = self.segmenter.encode(self.segmenter.preprocess(color))
        logits = self._decode(features, self._in_network([box], height, width), _CORNERS, multimask=False).masks[:, 0]
        descriptors = self._describe(features, color, self._masks(logits, height, width))
        if not descriptors:
            x1, y1, x2, y2 = box
            raise PromptError(f"the box ({x1:g}, {y1:g}, {x2:g}, {y2:g}) of the exemplar shows no object: draw it around one object")
        return descriptors[0][0]

    @torch.inference_mode()
    def detect_exemplar(
        self, color: NDArray[np.uint8], exemplars: Sequence[Descriptor], labels: Sequence[str], thresholds: Sequence[float]
    ) -> list[Detection]:
        """Return the objects that look like the exemplars. See `ExemplarMatcher.detect_exemplar`."""
        features = self.segmenter.encode(self.segmenter.preprocess(color))
        found: list[Detection] = []
        for exemplar, label, threshold in zip(exemplars, labels, thresholds):
            descriptors = self._describe(features, color, self._proposals(features, exemplar, color.shape[0], color.shape[1]))
            scored = sorted(((descriptor.similarity(exemplar), mask) for descriptor, mask in descriptors), key=lambda item: -item[0])
            kept = _without_duplicates([(score, mask) for score, mask in scored if score >= threshold])
            found += [Detection(label, score, mask_box(mask) or _NO_BOX) for score, mask in kept]
        return sorted(found, key=lambda item: -item.score)

    def _proposals(self, features: ImageFeatures, exemplar: Descriptor, height: int, width: int) -> list[NDArray[np.bool_]]:
        """Return the masks [H, W] at the places whose features resemble the exemplar most. Several may show one object."""
        surface = torch.from_numpy(exemplar.surface).to(features.top)
        decoded = self._decode(features, self._places(features, exemplar), _POINT, multimask=True)
        pooled = pool(features, decoded.masks.flatten(0, 1))[:, : len(surface)].reshape(*decoded.ious.shape, -1)
        distance = ((pooled - surface).norm(dim=2) / surface.norm()).nan_to_num(float("inf"))
        best = (decoded.ious - distance.clamp(max=_MAX_DISTANCE)).argmax(1)
        masks = self._masks(decoded.masks[torch.arange(len(best)), best], height, width)
        if not masks:
            return []
        boxes = [mask_box(mask) or _NO_BOX for mask in masks]
        refined = self._decode(features, self._in_network(boxes, height, width), _CORNERS, multimask=False)
        return self._masks(refined.masks[:, 0], height, width)

    def _places(self, features: ImageFeatures, exemplar: Descriptor) -> Tensor:
        """Return the points [N, 1, 2] in pixels of the network's image at which the features resemble the exemplar most."""
        high, side = features.high[0], self.segmenter.feature_size
        surface = torch.from_numpy(exemplar.surface).to(high)[None, :, None, None]
        distance = (high - surface).norm(dim=1, keepdim=True) / surface.norm()
        context = torch.from_numpy(exemplar.context).to(features.top)
        cosine = F.cosine_similarity(features.top - features.top.mean(0), context[None]).reshape(1, 1, side, side)
        likeness = F.interpolate(cosine, scale_factor=4, mode="bilinear") / 2 - F.avg_pool2d(distance, 3, 1, 1, count_include_pad=False)
        is_peak = likeness == F.max_pool2d(likeness, 3, 1, 1)
        values, cells = torch.where(is_peak, likeness, -float("inf")).flatten().topk(PLACES)
        cells = cells[values.isfinite()]
        rows, columns = cells // (4 * side), cells % (4 * side)
        return (torch.stack((columns, rows), dim=1)[:, None].to(features.top) + 0.5) * 4

    def _in_network(self, boxes: Sequence[Box], height: int, width: int) -> Tensor:
        """Return the corners of boxes [N, 2, 2] in pixels of the network's square image."""
        size = self.segmenter.image_size
        corners = torch.tensor(boxes, dtype=self.segmenter.compute_dtype).reshape(-1, 2, 2)
        return (corners * torch.tensor((size / width, size / height))).to(self.segmenter.device)

    def _decode(self, features: ImageFeatures, points: Tensor, labels: tuple[int, ...], multimask: bool) -> Decoded:
        """Decode the masks of N prompts, each of points [P, 2] with the same labels [P]."""
        segmenter, parts = self.segmenter, []
        for batch, rows in segmenter.batches(len(points)):
            kinds = torch.tensor(labels, dtype=torch.int32, device=points.device).expand(len(rows), -1)
            maps = segmenter.unconditioned(features, len(rows))
            decoded = segmenter.decode(maps, features, points[rows.to(points.device)], kinds, multimask=multimask)
            parts.append(decoded.first(batch.stop - batch.start))
        return Decoded.join(parts)

    @staticmethod
    def _masks(logits: Tensor, height: int, width: int) -> list[NDArray[np.bool_]]:
        """Return mask logits [N, h, w] as masks [H, W] of the image, without small regions and without empty masks."""
        masks = image_masks(logits, height, width).cpu().numpy()
        return [mask for mask in masks if remove_small_regions(mask, _MIN_REGION_RATIO) is not None]

    @staticmethod
    def _describe(
        features: ImageFeatures, color: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]]
    ) -> list[tuple[Descriptor, NDArray[np.bool_]]]:
        """Return the descriptors of masks with the masks. Masks that are too small for a descriptor are left out."""
        if not masks:
            return []
        channels = features.high[0].shape[1]
        descriptors = []
        for mask, row in zip(masks, pool_masks(features, masks)):
            geometry, window = geometry_of(mask), _window(mask)
            if geometry is None or not np.isfinite(row).all():
                continue
            pixels, inside = color[window], mask[window]
            brightness = max(float(pixels[inside].mean()), 1.0)
            scaled = (pixels * np.float32(_BRIGHTNESS / brightness)).clip(0, 255).astype(np.uint8)
            colors = appearance_of(scaled, np.ascontiguousarray(inside))
            if colors is not None:
                descriptors.append((Descriptor(row[:channels], row[channels:], geometry[1:], brightness, colors), mask))
        return descriptors


def _window(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return rows and columns of the box around a mask."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return slice(y, y + height), slice(x, x + width)


def _without_duplicates(scored: Sequence[tuple[float, NDArray[np.bool_]]]) -> list[tuple[float, NDArray[np.bool_]]]:
    """Keep the best of the masks that show one object, from masks in order of falling score."""
    kept: list[tuple[float, NDArray[np.bool_]]] = []
    for score, mask in scored:
        area = np.count_nonzero(mask)
        shared = (np.count_nonzero(mask & other) / min(area, np.count_nonzero(other)) for _, other in kept)
        if all(ratio <= _MAX_SHARED for ratio in shared):
            kept.append((score, mask))
    return kept
