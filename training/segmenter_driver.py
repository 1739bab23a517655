# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Differentiable forward pass of the SAM 2 video network, one frame at a time."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.sam2_video.modeling_sam2_video import apply_rotary_pos_emb_2d

from training.segmenter_network import IMAGE_SIZE, WIDTH

SIDE = IMAGE_SIZE // 16
"""Width and height of the feature map at stride 16."""
Memories = list[tuple[int, dict[str, Tensor]]]
"""Frame index or age of each memory, and its tensors."""


class Driver:
    """Forward pass of the network for B objects of N clips, with gradients.

    Attributes:
        model: the network.
        coarse: heads that predict a mask at stride 16, from the decoder's image tokens and from the memory-conditioned features.
        attention_logits: logits of each memory attention layer in the latest `condition`, see `_record_attention`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.coarse = nn.ModuleList(nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 1)) for _ in range(3)).to(model.device)
        self._image_tokens: list[Tensor] = []
        self._tokens: Tensor = torch.empty(0)
        decoder = model.mask_decoder
        decoder._dynamic_multimask_via_stability = lambda masks, ious: (masks, ious)  # keep all four masks
        for layer in decoder.transformer.layers:
            layer.register_forward_hook(lambda _module, _inputs, output: self._image_tokens.append(output[1][:, 0]))
        decoder.transformer.register_forward_hook(lambda _module, _inputs, output: setattr(self, "_tokens", output[0]))
        self.attention_logits: list[Tensor] = []
        for layer in model.memory_attention.layers:
            layer.cross_attn_image.register_forward_pre_hook(self._record_attention, with_kwargs=True)

    def _record_attention(self, attention: Any, _arguments: Any, inputs: dict[str, Any]) -> None:
        """Record the attention logits [B, HW, HW] between the image's tokens and those of the prompted frame."""
        count = SIDE * SIDE
        query = attention.q_proj(inputs["query"]).reshape(-1, 1, count, attention.head_dim)
        key = attention.k_proj(inputs["key"][:, :, :count]).reshape(-1, 1, count, attention.head_dim)
        query, key = apply_rotary_pos_emb_2d(query, key, *inputs["position_embeddings"])
        self.attention_logits.append((query @ key.transpose(2, 3))[:, 0] * attention.scaling)

    def decode(
        self, maps: Tensor, high: list[Tensor], points: Tensor | None, labels: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, list[Tensor]]:
        """Decode masks from features and prompts.

        Args:
            maps: features [B, C, f, f].
            high: features at strides 4 and 8.
            points: prompt points as the prompt encoder takes them; None for no points.
            labels: labels of the points; None for no points.
            mask: mask prompt as the prompt encoder takes it; None for no mask.

        Returns:
            Masks [B, 4, h, w], IoUs [B, 4], tokens [B, 4, C], object scores [B], and coarse logits [B, HW] of each layer.
        """
        count = len(maps)
        if points is None or labels is None:
            points = maps.new_zeros(count, 1, 1, 2)
            labels = torch.full((count, 1, 1), -1, dtype=torch.int32, device=maps.device)
        sparse, dense = self.model.prompt_encoder(points, labels, None, mask)
        self._image_tokens.clear()
        masks, ious, _, score = self.model.mask_decoder(
            image_embeddings=maps,
            image_positional_embeddings=self.model.get_image_wide_positional_embeddings().expand(count, -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            high_resolution_features=high,
        )
        coarse = [head(tokens)[..., 0].float() for head, tokens in zip(self.coarse, self._image_tokens)]
        return masks[:, 0].float(), ious[:, 0].float(), self._tokens[:, 0, 2:6], score[:, 0, 0].float(), coarse

    def condition(self, top: Tensor, position: Tensor, memories: Memories, age: int) -> Tensor:
        """Condition features on memories.

        Args:
            top: features [HW, B, C] at stride 16.
            position: positional encoding of the features, [HW, B, C].
            memories: age in frames and tensors of each memory; the first is that of the prompted frame.
            age: frames since the prompt.

        Returns:
            Features [B, C, f, f].
        """
        count = top.shape[1]
        self.attention_logits.clear()
        if not memories:
            unconditioned: Tensor = (top + self.model.no_memory_embedding).permute(1, 2, 0).reshape(count, -1, SIDE, SIDE)
            return unconditioned
        spatial = [(0, memories[0][1]), *memories[1:]][: self.model.num_maskmem]
        memory, codes = self.model._build_memory_attention_inputs(spatial, top.device)
        ages = [age, *(memory_age for memory_age, _ in memories[1:])]
        pointers, pointer_codes = self.model._process_object_pointers(
            ages, [content["object_pointer"] for _, content in memories], 16, count, WIDTH, top.device
        )
        output = self.model.memory_attention(
            current_vision_features=top,
            current_vision_position_embeddings=position,
            memory=torch.cat([*memory, pointers]),
            memory_posision_embeddings=torch.cat([*codes, pointer_codes]),
            num_object_pointer_tokens=len(pointers),
        )
        maps: Tensor = output.reshape(count, SIDE * SIDE, WIDTH).transpose(1, 2).reshape(count, -1, SIDE, SIDE).float()
        return maps

    def encode_memory(self, top: Tensor, logits: Tensor, score: Tensor, hard: bool, token: Tensor) -> dict[str, Tensor]:
        """Encode masks as memories.

        Args:
            top: features [HW, B, C] at stride 16.
            logits: mask logits [B, h, w].
            score: object scores [B].
            hard: True binarizes the masks, as for a prompted frame.
            token: mask tokens [B, C].

        Returns:
            Memory features, their positional encoding, and object pointers.
        """
        large = F.interpolate(logits[:, None], size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False)
        features, codes = self.model._encode_new_memory(top, large, score[:, None, None], is_mask_from_pts=hard)
        visible = (score > 0).float()[:, None]
        pointer = self.model.object_pointer_proj(token).float()
        return {
            "maskmem_features": features.float(),
            "maskmem_pos_enc": codes,
            "object_pointer": visible * pointer + (1 - visible) * self.model.no_object_pointer,
        }
