# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The tracker of SAM 3 (arXiv:2511.16719): the memory and the decoder of SAM 2 on the image encoder of SAM 3.

The encoder is a vision transformer with patches of 14 pixels. The map of an image of 1008 pixels therefore has 72 x 72 cells, and the mask
logits have 288 x 288 cells. They do not divide the image, so masks are resized between the two.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lang2segtrack_ros.segmentation.image_encoder import merge_convolutions
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter


class Sam3TrackerSegmenter(Sam2Segmenter):
    """The modules of the SAM 3 tracker as batched, stateless functions.

    Args:
        model: a loaded `transformers.Sam3TrackerVideoModel`.
        name: see `Sam2Segmenter`, as the other arguments.
    """

    statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def _check(self) -> None:
        scales = list(self.model.config.vision_config.scale_factors[:3])
        if scales != [4.0, 2.0, 1.0]:
            raise ValueError(f"the feature pyramid has the scales {scales} instead of 4, 2 and 1: use a checkpoint of SAM 3")

    def encode(self, pixels: Tensor) -> ImageFeatures:
        """Encode one normalized image [1, 3, S, S].

        The feature pyramid skips the smallest map, which has no reader. One merged convolution replaces the last two at the larger scales.
        """
        encoder = self.model.vision_encoder
        tokens = encoder.backbone(pixels.to(self.dtype)).last_hidden_state
        image = tokens.transpose(1, 2).reshape(1, -1, self.feature_size, self.feature_size)
        high = []
        for layer, (weight, bias) in zip(encoder.neck.fpn_layers, self._merged()):
            scaled = image
            for upsample in layer.scale_layers:
                scaled = upsample(scaled)
            kernel = weight.view(len(weight), -1, *layer.proj2.kernel_size)
            high.append(F.conv2d(layer.proj1(scaled), kernel, bias, padding=layer.proj2.padding))
        top = encoder.neck.fpn_layers[2](image)
        return ImageFeatures((high[0], high[1]), top[0].flatten(1).T.contiguous(), self.feature_position)

    def _merge(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return the merged convolutions of `encode` at scales 4 and 2, each as weight and bias."""
        layers, decoder = self.model.vision_encoder.neck.fpn_layers, self.model.mask_decoder
        return merge_convolutions(layers[0].proj2, decoder.conv_s0), merge_convolutions(layers[1].proj2, decoder.conv_s1)

    def mask_prompt_logits(self, masks: Tensor) -> Tensor:
        """Return the decoder's mask prompt [N, 1, h, w] of masks float [N, 1, S, S]."""
        logits, size = super().mask_prompt_logits(masks), (self.mask_size, self.mask_size)
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)

    def _image_position(self) -> None:
        return None

    def parts(self) -> tuple[torch.nn.Module, ...]:
        """See `Sam2Segmenter.parts`."""
        model = self.model
        return (model.vision_encoder, model.mask_decoder, model.memory_attention, model.memory_encoder, model.object_pointer_proj)

    @staticmethod
    def size_step(config: Any) -> int:
        """Return the step of possible image sizes in pixels: they hold whole patches and whole attention windows."""
        backbone = config.vision_config.backbone_config
        return int(backbone.patch_size * backbone.window_size)

    @staticmethod
    def set_image_size(config: Any, image_size: int) -> None:
        """See `Sam2Segmenter.set_image_size`."""
        config.image_size = image_size  # a property that sets all sizes
