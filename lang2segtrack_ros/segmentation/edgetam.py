# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The EdgeTAM network (arXiv:2501.07256): SAM 2 with a convolutional backbone, and with memories that a perceiver compresses.

A spatial memory holds T latents instead of the f*f tokens of the map. The first latents look at the whole map, and have no position.
Each of the others looks at one window of the map, and has the position of this window. T does not depend on the image size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter


class EdgeTamSegmenter(Sam2Segmenter):
    """The modules of EdgeTAM as batched, stateless functions.

    Args:
        model: a loaded `transformers.EdgeTamVideoModel`.
        name: see `Sam2Segmenter`, as the other arguments.
    """

    memory_is_map = False

    def _check(self) -> None:
        super()._check()
        config = self.model.config
        windows, (rows, columns) = config.perceiver_resampler_num_latents_2d, config.memory_attention_rope_k_sizes
        if not windows or rows != columns or rows * columns != windows:
            raise ValueError(
                f"the perceiver has {windows} latents of windows, but rotary positions for {rows} x {columns}: use a checkpoint of EdgeTAM"
            )

    @property
    def _windows(self) -> int:
        """The number of windows of the perceiver in a row of the map."""
        return int(self.model.config.memory_attention_rope_k_sizes[0])

    def _levels(self, pixels: Tensor) -> Sequence[Tensor]:
        return [level.permute(0, 2, 3, 1) for level in self.model.vision_encoder.backbone(pixels).last_hidden_state]

    def _memory_position(self) -> Tensor:
        perceiver = self.model.spatial_perceiver
        self._map_position = super()._memory_position().to(self.dtype)  # [HW, 64], which only the first latents see
        of_windows = self._position_encoding(perceiver.positional_encoding, self.memory_dim, self._windows)
        return torch.cat((of_windows.new_zeros(perceiver.num_latents_1d, self.memory_dim), of_windows))

    def _memory_rotations(self, rotations: Tensor) -> Tensor:
        of_windows = self._rotations(self.model.memory_attention.position_ids_k)
        return torch.cat((of_windows.new_ones(self.model.spatial_perceiver.num_latents_1d, of_windows.shape[1]), of_windows))

    def _image_position(self) -> None:
        return None

    def _compress(self, memory: Tensor) -> Tensor:
        """Return the latents [N, T, 64] of spatial memories [N, HW, 64].

        The forward pass of transformers supports one object only.
        """
        perceiver, count, latents = self.model.spatial_perceiver, len(memory), []
        if perceiver.num_latents_1d:
            of_map, position = (item.expand(count, -1, -1) for item in (perceiver.latents_1d, self._map_position))
            for layer in perceiver.layers:
                of_map = layer(of_map, memory, position)
            latents.append(of_map)
        windows, side = self._windows, self.feature_size // self._windows
        cells = memory.reshape(count, windows, side, windows, side, -1).transpose(2, 3).reshape(count * windows**2, side * side, -1)
        of_windows = perceiver.latents_2d.repeat(count, 1)[:, None]
        for layer in perceiver.layers:
            of_windows = layer(of_windows, cells)
        latents.append(of_windows.reshape(count, windows**2, -1))
        stored: Tensor = perceiver.layer_norm(torch.cat(latents, dim=1))
        return stored

    def parts(self) -> tuple[torch.nn.Module, ...]:
        """See `Sam2Segmenter.parts`."""
        model = self.model
        decoder = (model.mask_decoder, model.memory_attention, model.memory_encoder, model.object_pointer_proj)
        return (model.vision_encoder, model.spatial_perceiver, *decoder)

    @staticmethod
    def size_step(config: Any) -> int:
        """Return the step of possible image sizes in pixels: the map holds whole windows of the perceiver."""
        return math.lcm(32, 16 * math.isqrt(config.perceiver_resampler_num_latents_2d))

    @staticmethod
    def set_image_size(config: Any, image_size: int) -> None:
        """See `Sam2Segmenter.set_image_size`."""
        side = image_size // 16
        config.image_size = config.prompt_encoder_config.image_size = image_size
        config.vision_config.backbone_feature_sizes = [[side * 4, side * 4], [side * 2, side * 2], [side, side]]
        config.memory_attention_rope_feat_sizes = [side, side]
