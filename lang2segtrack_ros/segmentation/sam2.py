# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The SAM 2 video network as five batched functions: encode, attend, decode, point, memorise.

It drives the modules of transformers' `Sam2VideoModel` (SAM 2, arXiv:2408.00714) but keeps nothing between calls and never loops
over objects. The forward pass of the memory attention is our own, on the loaded weights, because it needs a mask over memory slots.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.segmentation.preprocessing import normalised

NO_OBJECT_LOGIT = -1024.0
"""Mask logit of an object that is not there, as in SAM 2."""
MAX_SHAPES = 64
"""Shapes that each function is compiled for at most: 1, 2, 4, ... objects, and each kind of prompt."""


@dataclass(frozen=True)
class ImageFeatures:
    """One encoded image. C = hidden size, f = stride-16 side, all float tensors on the segmenter's device.

    Attributes:
        high: [1, C/8, 4f, 4f] and [1, C/4, 2f, 2f], the decoder's high-resolution features.
        top: [f*f, C], the features that memories and decoder work on.
        position: [f*f, C], their position code.
        depth: float32 [4f, 4f] metres, NaN unknown, for policies that look at it; None where there is none.
    """

    high: tuple[Tensor, Tensor]
    top: Tensor
    position: Tensor
    depth: Tensor | None = None


@dataclass(frozen=True)
class Decoded:
    """What the mask decoder says about N objects; M candidates each.

    Attributes:
        masks: [N, M, h, w] mask logits.
        ious: [N, M] predicted IoU of each candidate.
        tokens: [N, M, C] output token of each candidate.
        object_score: [N] logit, > 0 means the object is visible.
    """

    masks: Tensor
    ious: Tensor
    tokens: Tensor
    object_score: Tensor

    def first(self, count: int) -> Decoded:
        """The first `count` objects; the rest of a batch is padding."""
        return Decoded(self.masks[:count], self.ious[:count], self.tokens[:count], self.object_score[:count])

    @staticmethod
    def join(parts: Sequence[Decoded]) -> Decoded:
        """The objects of several batches, in order."""
        return Decoded(*(joined([getattr(part, item.name) for part in parts]) for item in fields(Decoded)))


@dataclass(frozen=True)
class Memories:
    """What N objects remember, ready to be read: S spatial memories, P pointer tokens.

    Attributes:
        memory: [N, S, HW, 64] spatial memories.
        rows: [N, S, 64] their temporal codes.
        valid: bool [N, S], which of them exist.
        pointers: [N, P, 64] pointer tokens.
        pointer_position: [N, P, 64] their time codes.
        pointer_valid: bool [N, P]; each object needs at least one memory or pointer.
    """

    memory: Tensor
    rows: Tensor
    valid: Tensor
    pointers: Tensor
    pointer_position: Tensor
    pointer_valid: Tensor


class Sam2Segmenter:
    """SAM 2's modules behind batched, stateless functions.

    Args:
        model: a loaded `transformers.Sam2VideoModel`.
        name: what the user called it, for messages.
        dtype: float32; bfloat16 runs the modules under autocast; float64 needs a model in float64 and shows that a difference is
            rounding.
        memory_dtype: how memories are kept; bfloat16 is SAM 2's way, and turns differences of 1e-7 into 1e-3.

    Attributes:
        batch_limit: most objects that are worked on at once, 0 for no limit.
    """

    def __init__(self, model: Any, name: str = "", dtype: torch.dtype = torch.float32, memory_dtype: torch.dtype = torch.bfloat16) -> None:
        self.model = model.eval()
        self.name = name
        self.device: torch.device = model.device
        self.dtype = dtype
        self.memory_dtype = memory_dtype
        config = model.config
        self.image_size: int = config.image_size
        self.feature_size: int = config.image_size // 16
        self.mask_size: int = config.image_size // 4
        self.hidden_dim: int = config.vision_config.fpn_hidden_size
        self.memory_dim: int = config.memory_encoder_output_channels
        self.num_memories: int = config.num_maskmem
        self.num_pointers: int = config.max_object_pointers_in_encoder
        self.pointer_tokens: int = self.hidden_dim // self.memory_dim
        self._autocast = dtype == torch.bfloat16
        self.compute_dtype = torch.float64 if dtype == torch.float64 else torch.float32
        self.static_shapes = False
        self.batch_limit = 0
        self._merged: tuple[tuple[Tensor, Tensor], ...] | None = None
        neck = model.vision_encoder.neck
        if set(neck.fpn_top_down_levels) & {0, 1}:
            raise ValueError(f"levels {neck.fpn_top_down_levels} of the feature pyramid get features from above; only 2 and 3 may")
        with torch.no_grad():
            self.image_position: Tensor = model.get_image_wide_positional_embeddings()
            self.memory_position = self._sine_code(model.memory_encoder.position_encoding, self.memory_dim)  # [HW, 64]
            self.feature_position = self._sine_code(neck.position_encoding, self.hidden_dim)  # [HW, C]
            self.temporal_rows: Tensor = model.memory_temporal_positional_encoding[:, 0, 0].to(self.compute_dtype)  # [7, 64]
            attention = model.memory_attention
            cos, sin = attention.rotary_emb(torch.zeros(1, device=self.device), attention.position_ids)  # [1, HW, C], each value twice
            self._cos, self._sin = cos[0, :, ::2].to(self.compute_dtype), sin[0, :, ::2].to(self.compute_dtype)
            self._turns = torch.complex(self._cos, self._sin)

    def compile(self, backend: str = "inductor") -> None:
        """Compiles the four functions of a tracked frame with torch.compile; shapes become static (see `batch_rows`)."""
        self.static_shapes = True
        options: dict[str, Any] = {"backend": backend, "dynamic": False, "fullgraph": True}
        if "recompile_limit" in inspect.signature(torch.compile).parameters:
            options["recompile_limit"] = MAX_SHAPES
        else:  # a torch that has but one limit for all
            torch._dynamo.config.cache_size_limit = max(MAX_SHAPES, torch._dynamo.config.cache_size_limit)
        for name in ("encode", "attend", "decode", "encode_memory"):
            setattr(self, name, torch.compile(getattr(self, name), **options))

    def batch_rows(self, count: int) -> Tensor:
        """Which object stands in each row of a batch, int64: every object once, and with static shapes the last one again as padding.

        Static shapes come in the sizes 1, 2, 4, 8, ..., so that a compiled function is made a few times only.
        """
        size = 1 << (count - 1).bit_length() if self.static_shapes and count else count
        return torch.arange(size, device=self.device).clamp(max=max(count - 1, 0))

    def batches(self, count: int) -> list[tuple[slice, Tensor]]:
        """How `count` objects are worked on: which of them in each batch, and which object stands in each of its rows."""
        size = self.batch_limit or max(count, 1)
        ends = [(start, min(start + size, count)) for start in range(0, count, size)]
        return [(slice(start, end), start + self.batch_rows(end - start)) for start, end in ends]

    def with_batch_limit(self, limit: int) -> Sam2Segmenter:
        """The same network, but at most `limit` objects at once: slower, in less memory. 0 is no limit."""
        other = copy(self)
        other.batch_limit = limit
        return other

    def _sine_code(self, code: Callable[..., Tensor], width: int) -> Tensor:
        """A position code of the stride-16 map as tokens: [HW, width]."""
        shape = torch.Size((1, width, self.feature_size, self.feature_size))
        return code(shape, self.device, self.compute_dtype).flatten(2)[0].T.contiguous()

    def _mixed(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast)

    def preprocess(self, color: NDArray[np.uint8]) -> Tensor:
        """RGB uint8 [H, W, 3] to the network's float32 [1, 3, S, S]: resized without keeping the aspect ratio, normalised."""
        return normalised(color, (self.image_size, self.image_size), self.device, self.compute_dtype)

    def encode(self, pixels: Tensor) -> ImageFeatures:
        """Encodes one normalised image [1, 3, S, S].

        The backbone is the network's; the feature pyramid behind it is done here without what nobody reads: position codes of all
        levels, and 256 channels at strides 4 and 8 where two 1 x 1 convolutions in a row make 32 and 64 of them, so that one will do.
        """
        neck, merged = self.model.vision_encoder.neck, self._merged or self._merge()
        with self._mixed():
            levels = self.model.vision_encoder.backbone(pixels, return_dict=True).intermediate_hidden_states  # channels last
            low, mid = (F.linear(level, *weights).permute(0, 3, 1, 2) for level, weights in zip(levels, merged))
            top, above = (neck.convs[3 - index](levels[index].permute(0, 3, 1, 2)) for index in (2, 3))
            if 2 in neck.fpn_top_down_levels:
                top = top + F.interpolate(above, scale_factor=2.0, mode="nearest")
        tokens = top[0].flatten(1).T.contiguous().to(self.compute_dtype)
        return ImageFeatures((low.to(self.compute_dtype), mid.to(self.compute_dtype)), tokens, self.feature_position)

    def _merge(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """What `encode` does at strides 4 and 8, as weight and bias of one layer each."""
        neck, decoder = self.model.vision_encoder.neck, self.model.mask_decoder
        return _in_a_row(neck.convs[3], decoder.conv_s0), _in_a_row(neck.convs[2], decoder.conv_s1)

    def keep_merged(self, like: Sam2Segmenter | None = None) -> None:
        """Keeps what `_merge` gives, of weights that will not change but for their format; `like`: one of the same weights that has it."""
        with torch.no_grad():
            self._merged = (like._merged if like is not None else None) or self._merge()

    def _as_map(self, tokens: Tensor) -> Tensor:
        return tokens.transpose(1, 2).reshape(tokens.shape[0], self.hidden_dim, self.feature_size, self.feature_size)

    def unconditioned(self, features: ImageFeatures, count: int) -> Tensor:
        """What the decoder sees of an object without memories: [count, C, f, f]."""
        return self._as_map((features.top + self.model.no_memory_embedding[0])[None]).expand(count, -1, -1, -1)

    def bare(self, features: ImageFeatures, count: int) -> Tensor:
        """The features themselves, as SAM 2 decodes the pointer of a mask prompt: [count, C, f, f]."""
        return self._as_map(features.top[None]).expand(count, -1, -1, -1)

    def _rotate(self, x: Tensor) -> Tensor:
        """Axial rotary position code (RoFormer, arXiv:2104.09864) on [..., HW, D], in full precision."""
        pairs = x.to(self.compute_dtype).reshape(*x.shape[:-1], -1, 2)
        if torch.compiler.is_compiling():  # inductor fuses real numbers, and has no code for complex ones
            x, y = pairs.unbind(-1)
            return torch.stack((x * self._cos - y * self._sin, y * self._cos + x * self._sin), dim=-1).flatten(-2)
        return torch.view_as_real(torch.view_as_complex(pairs) * self._turns).flatten(-2)

    def _heads(self, x: Tensor, heads: int) -> Tensor:
        return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)  # [N, heads, tokens, D]

    def attend(self, features: ImageFeatures, read: Memories) -> Tensor:
        """Features of the image in the light of each object's memories: [N, C, f, f] for the decoder."""
        count, slots = read.memory.shape[:2]
        tokens = self.feature_size * self.feature_size
        spatial_valid = read.valid.repeat_interleave(tokens, dim=1)
        mask = torch.cat((spatial_valid, read.pointer_valid), dim=1)[:, None, None, :]
        with self._mixed():
            position = self.memory_position + read.rows[:, :, None]
            spatial = (read.memory + position).flatten(1, 2)
            timed = read.pointers + read.pointer_position
            values = torch.cat((read.memory.flatten(1, 2), read.pointers), dim=1)
            attention = self.model.memory_attention
            x = (features.top + 0.1 * features.position)[None]  # all objects share it until the first cross attention
            for layer in attention.layers:
                own = layer.self_attn
                heads = own.num_attention_heads
                normed = layer.layer_norm1(x)
                query = self._rotate(self._heads(own.q_proj(normed), heads))
                key = self._rotate(self._heads(own.k_proj(normed), heads))
                value = self._heads(own.v_proj(normed), heads)
                mixed = F.scaled_dot_product_attention(query.to(value.dtype), key.to(value.dtype), value)
                x = x + own.o_proj(mixed.transpose(1, 2).flatten(2))

                cross = layer.cross_attn_image
                heads = cross.num_attention_heads
                query = self._rotate(self._heads(cross.q_proj(layer.layer_norm2(x)), heads))
                value = self._heads(cross.v_proj(values), heads)
                key = self._heads(cross.k_proj(spatial), heads).reshape(count, heads, slots, tokens, -1)
                rotated = self._rotate(key).flatten(2, 3).to(value.dtype)
                key = torch.cat((rotated, self._heads(cross.k_proj(timed), heads)), dim=2)
                query = query.to(value.dtype).expand(count, -1, -1, -1)
                mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
                x = x + cross.o_proj(mixed.transpose(1, 2).flatten(2))

                x = x + layer.linear2(layer.activation(layer.linear1(layer.layer_norm3(x))))
            return self._as_map(attention.layer_norm(x).to(self.compute_dtype))

    def pointer_position(self, ages: Tensor) -> Tensor:
        """Time code [N, P, 64] of pointers that are `ages` [N, P] frames old (SAM 2.1: sine code of age / 15, projected; SAM 2: none)."""
        if not self.model.config.enable_temporal_pos_encoding_for_object_pointers:
            return torch.zeros(*ages.shape, self.memory_dim, dtype=self.compute_dtype, device=self.device)
        half = self.hidden_dim // 2
        scale = 10000 ** (2 * (torch.arange(half, device=self.device) // 2) / half)
        angle = (ages.to(self.compute_dtype) / (self.num_pointers - 1))[..., None] / scale
        code: Tensor = self.model.temporal_positional_encoding_projection_layer(torch.cat((angle.sin(), angle.cos()), dim=-1))
        return code

    def decode(
        self,
        maps: Tensor,
        features: ImageFeatures,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        mask_logits: Tensor | None = None,
        multimask: bool = True,
    ) -> Decoded:
        """Candidate masks of N objects.

        Args:
            maps: [N, C, f, f] from `attend` or `unconditioned`.
            features: the image.
            points: [N, P, 2] in pixels of the network's square image; None for none.
            labels: int32 [N, P]: 1 on, 0 off the object, 2 and 3 the corners of a box, -1 padding.
            mask_logits: [N, 1, h, w] mask prompt; None for none.
            multimask: True for the three candidates of ambiguous prompts and tracked frames, False for one mask.
        """
        encoder = self.model.prompt_encoder
        if points is None or labels is None:  # what a point without a meaning and the padding behind it are encoded as
            sparse = encoder.not_a_point_embed.weight.expand(maps.shape[0], 1, 2, -1)
            _, dense = encoder(None, None, None, mask_logits)
        else:
            sparse, dense = encoder(points[:, None], labels[:, None], None, mask_logits)
        with self._mixed():
            masks, ious, tokens, object_score = self.model.mask_decoder(
                image_embeddings=maps,
                image_positional_embeddings=self.image_position,
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask,
                high_resolution_features=list(features.high),
            )
        return Decoded(
            masks[:, 0].to(self.compute_dtype),
            ious[:, 0].to(self.compute_dtype),
            tokens[:, 0].to(self.compute_dtype),
            object_score[:, 0, 0].to(self.compute_dtype),
        )

    def point(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Object pointers [N, C] from the chosen mask tokens [N, C]; `visible` is bool [N]."""
        with self._mixed():
            pointers = self.model.object_pointer_proj(tokens).to(self.compute_dtype)
        return torch.where(visible[:, None], pointers, self.model.no_object_pointer.to(self.compute_dtype))

    def mask_prompt_logits(self, masks: Tensor) -> Tensor:
        """Masks float [N, 1, S, S] as the decoder takes them for a pointer: [N, 1, h, w]."""
        logits: Tensor = self.model.mask_downsample(masks)
        return logits

    def encode_memory(self, features: ImageFeatures, masks: Tensor, object_score: Tensor, binary: Tensor) -> Tensor:
        """Memories [N, HW, 64] in `memory_dtype` of masks on an image.

        Args:
            features: the image.
            masks: [N, h, w] mask logits.
            object_score: [N]; at 0 or below the memory is marked as occluded.
            binary: bool [N], True where the mask came from a prompt: it is taken as hard.
        """
        size = (self.image_size, self.image_size)
        upsampled = F.interpolate(masks[:, None], size=size, mode="bilinear", align_corners=False)
        soft = torch.where(binary[:, None, None, None], (upsampled > 0).to(self.compute_dtype), upsampled.sigmoid())
        config = self.model.config
        inputs = soft * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        encoder = self.model.memory_encoder
        with self._mixed():  # the image's part is the same for all objects
            fused = encoder.memory_fuser(encoder.feature_projection(self.bare(features, 1)) + encoder.mask_downsampler(inputs))
            memory = encoder.projection(fused).to(self.compute_dtype)
        occlusion = self.model.occlusion_spatial_embedding_parameter
        if occlusion is not None:
            memory = memory + (object_score <= 0).to(self.compute_dtype)[:, None, None, None] * occlusion[..., None, None]
        stored: Tensor = memory.flatten(2).transpose(1, 2).to(self.memory_dtype)
        return stored


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Tensors of several batches as one; a single one is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _in_a_row(first: torch.nn.Conv2d, second: torch.nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weight [C', C] and bias [C'] of two 1 x 1 convolutions, one after the other."""
    weight, bias = second.weight.flatten(1), second.bias
    assert first.bias is not None
    assert bias is not None
    return weight @ first.weight.flatten(1), weight @ first.bias + bias
