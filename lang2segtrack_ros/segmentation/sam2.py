# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The SAM 2 video network as five batched functions: encode, attend, decode, point and encode_memory.

The functions call the modules of transformers' `Sam2VideoModel` (SAM 2, arXiv:2408.00714). They keep no state between calls and never
loop over objects. This module implements the forward pass of the memory attention itself, on the loaded weights. The pass of
transformers supports no mask over memory slots.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.segmentation.preprocessing import resize_and_normalize

NO_OBJECT_LOGIT = -1024.0
"""Mask logit of an object that is not visible, as in SAM 2."""
BATCH_TOKENS = 16 * 64 * 64
"""Number of image tokens of all objects in one batch: 16 objects at 1024 pixels. More objects fill no GPU better, but take memory."""
MAX_SHAPES = 64
"""Maximum number of shapes for which each function is compiled: 1, 2, 4, ... objects, and each kind of prompt."""


@dataclass(frozen=True)
class ImageFeatures:
    """One encoded image, as float tensors on the segmenter's device. C is the hidden size, f the side of the stride-16 map.

    Attributes:
        high: [1, C/8, 4f, 4f] and [1, C/4, 2f, 2f], the high-resolution features of the decoder.
        top: [f*f, C], the features that the memory attention and the decoder read.
        position: [f*f, C], the position encoding of `top`.
        depth: float32 [4f, 4f] in meters, NaN for unknown depth. None without a depth image, or with a policy that uses no depth.
        is_shared: True if the next image overwrites the tensors.
    """

    high: tuple[Tensor, Tensor]
    top: Tensor
    position: Tensor
    depth: Tensor | None = None
    is_shared: bool = False

    def retained(self) -> ImageFeatures:
        """Return features that the next image does not overwrite."""
        if not self.is_shared:
            return self
        low, mid = self.high
        depth = self.depth.clone() if self.depth is not None else None
        return replace(self, high=(low.clone(), mid.clone()), top=self.top.clone(), depth=depth, is_shared=False)


@dataclass(frozen=True)
class Decoded:
    """The outputs of the mask decoder for N objects with M candidates each.

    Attributes:
        masks: [N, M, h, w] mask logits.
        ious: [N, M] predicted IoU of each candidate.
        tokens: [N, M, C] output token of each candidate.
        object_score: [N] logits. An object with a logit above 0 is visible.
    """

    masks: Tensor
    ious: Tensor
    tokens: Tensor
    object_score: Tensor

    def first(self, count: int) -> Decoded:
        """Return the first `count` objects. The other rows of a batch are padding."""
        return Decoded(self.masks[:count], self.ious[:count], self.tokens[:count], self.object_score[:count])

    @staticmethod
    def join(parts: Sequence[Decoded]) -> Decoded:
        """Return the objects of several batches, in order."""
        return Decoded(*(concatenate([getattr(part, item.name) for part in parts]) for item in fields(Decoded)))


@dataclass(frozen=True)
class Memories:
    """The memories of N objects as inputs of the memory attention: S spatial memories and P pointer tokens for each object.

    Attributes:
        memory: [N, S, HW, 64], spatial memories.
        rows: [N, S, 64], temporal encodings of the spatial memories.
        valid: bool [N, S], True for spatial memories that exist.
        pointers: [N, P, 64], pointer tokens.
        pointer_position: [N, P, 64], temporal encodings of the pointer tokens.
        pointer_valid: bool [N, P], True for pointer tokens that exist. Each object needs at least one memory or pointer.
    """

    memory: Tensor
    rows: Tensor
    valid: Tensor
    pointers: Tensor
    pointer_position: Tensor
    pointer_valid: Tensor


class Sam2Segmenter:
    """The modules of SAM 2 as batched, stateless functions.

    Args:
        model: a loaded `transformers.Sam2VideoModel`.
        name: name of the model in messages.
        dtype: type of the computation. bfloat16 runs the modules under autocast. float64 needs a model in float64, and shows that a
            difference is rounding.
        memory_dtype: type of the stored memories. SAM 2 uses bfloat16, which amplifies differences of 1e-7 to 1e-3.

    Attributes:
        batch_limit: maximum number of objects in one batch. 0 leaves it to the image size, see `batch_size`.
        acceleration: "off", "graphs", "compile" or "max"; see `models.loading.load_segmenter`.
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
        self.acceleration = "off"
        self._merged: tuple[tuple[Tensor, Tensor], ...] | None = None
        neck = model.vision_encoder.neck
        if set(neck.fpn_top_down_levels) & {0, 1}:
            raise ValueError(
                f"the feature pyramid has top-down connections at levels {neck.fpn_top_down_levels}, but only levels 2 and 3 are "
                "supported: use a checkpoint of SAM 2 or SAM 2.1"
            )
        with torch.no_grad():
            self.image_position: Tensor = model.get_image_wide_positional_embeddings()
            self.memory_position = self._position_encoding(model.memory_encoder.position_encoding, self.memory_dim)  # [HW, 64]
            self.feature_position = self._position_encoding(neck.position_encoding, self.hidden_dim)  # [HW, C]
            self.temporal_rows: Tensor = model.memory_temporal_positional_encoding[:, 0, 0].to(self.compute_dtype)  # [7, 64]
            attention = model.memory_attention
            cos, sin = attention.rotary_emb(
                torch.zeros(1, device=self.device), attention.position_ids
            )  # [1, HW, C], each value repeated twice
            self._cos, self._sin = cos[0, :, ::2].to(self.compute_dtype), sin[0, :, ::2].to(self.compute_dtype)
            self._rotations = torch.complex(self._cos, self._sin)

    def compile(self, backend: str = "inductor", mode: str | None = None) -> None:
        """Compile the four functions of a tracked frame with torch.compile. Batch shapes become static (see `batch_rows`).

        Args:
            backend: backend of torch.compile.
            mode: mode of torch.compile; None for the default of the backend.
        """
        self.static_shapes = True
        options: dict[str, Any] = {"backend": backend, "dynamic": False, "fullgraph": True, "mode": mode}
        if "recompile_limit" in inspect.signature(torch.compile).parameters:
            options["recompile_limit"] = MAX_SHAPES
        else:  # this version of PyTorch has a single limit for all functions
            torch._dynamo.config.cache_size_limit = max(MAX_SHAPES, torch._dynamo.config.cache_size_limit)
        for name in ("encode", "attend", "decode", "encode_memory"):
            setattr(self, name, torch.compile(getattr(self, name), **options))

    def batch_rows(self, count: int) -> Tensor:
        """Return the index of the object in each row of a batch, int64. With static shapes, the last object repeats as padding.

        Static shapes have the sizes 1, 2, 4, 8, ..., which limits the number of compilations.
        """
        size = 1 << (count - 1).bit_length() if self.static_shapes and count else count
        return torch.arange(size, device=self.device).clamp(max=max(count - 1, 0))

    @property
    def batch_size(self) -> int:
        """Return the largest number of objects in one batch."""
        return self.batch_limit or max(1, BATCH_TOKENS // self.feature_size**2)

    def batches(self, count: int) -> list[tuple[slice, Tensor]]:
        """Return the batches of `count` objects: the range of objects of each batch, and the index of the object in each of its rows."""
        size = self.batch_size
        ends = [(start, min(start + size, count)) for start in range(0, count, size)]
        return [(slice(start, end), start + self.batch_rows(end - start)) for start, end in ends]

    def with_batch_limit(self, limit: int) -> Sam2Segmenter:
        """Return the same network with at most `limit` objects in one batch, which is slower and needs less memory. See `batch_limit`."""
        other = copy(self)
        other.batch_limit = limit
        return other

    def _position_encoding(self, encoding: Callable[..., Tensor], channels: int) -> Tensor:
        """Return a sine position encoding of the stride-16 map as tokens [HW, channels]."""
        shape = torch.Size((1, channels, self.feature_size, self.feature_size))
        return encoding(shape, self.device, self.compute_dtype).flatten(2)[0].T.contiguous()

    def _autocast_context(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast)

    def preprocess(self, color: NDArray[np.uint8] | Tensor) -> Tensor:
        """Convert an RGB uint8 [H, W, 3] image to the network's float32 [1, 3, S, S]: resize without the aspect ratio, and normalize."""
        return resize_and_normalize(color, (self.image_size, self.image_size), self.device, self.compute_dtype)

    def encode(self, pixels: Tensor) -> ImageFeatures:
        """Encode one normalized image [1, 3, S, S].

        The backbone is that of the network. The feature pyramid skips outputs that have no reader: the position encodings of all
        levels, and the 256 channels at strides 4 and 8. Two consecutive 1 x 1 convolutions reduce those channels to 32 and 64. One
        merged convolution replaces both.
        """
        neck, merged = self.model.vision_encoder.neck, self._merged or self._merge()
        with self._autocast_context():
            levels = self.model.vision_encoder.backbone(pixels, return_dict=True).intermediate_hidden_states  # channels last
            low, mid = (F.linear(level, *weights).permute(0, 3, 1, 2) for level, weights in zip(levels, merged))
            top, above = (neck.convs[3 - index](levels[index].permute(0, 3, 1, 2)) for index in (2, 3))
            if 2 in neck.fpn_top_down_levels:
                top = top + F.interpolate(above, scale_factor=2.0, mode="nearest")
        tokens = top[0].flatten(1).T.contiguous().to(self.compute_dtype)
        return ImageFeatures((low.to(self.compute_dtype), mid.to(self.compute_dtype)), tokens, self.feature_position)

    def _merge(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return the merged convolutions of `encode` at strides 4 and 8, each as weight and bias."""
        neck, decoder = self.model.vision_encoder.neck, self.model.mask_decoder
        return _merge_convolutions(neck.convs[3], decoder.conv_s0), _merge_convolutions(neck.convs[2], decoder.conv_s1)

    def cache_merged_layers(self, source: Sam2Segmenter | None = None) -> None:
        """Cache the merged convolutions of `encode`. Afterwards the weights may change their format, but not their values.

        Args:
            source: a segmenter with the same weights that has cached them already; None merges them anew.
        """
        with torch.no_grad():
            self._merged = (source._merged if source is not None else None) or self._merge()

    def _as_map(self, tokens: Tensor) -> Tensor:
        return tokens.transpose(1, 2).reshape(tokens.shape[0], self.hidden_dim, self.feature_size, self.feature_size)

    def unconditioned(self, features: ImageFeatures, count: int) -> Tensor:
        """Return the decoder maps of `count` objects without memories: [count, C, f, f]."""
        return self._as_map((features.top + self.model.no_memory_embedding[0])[None]).expand(count, -1, -1, -1)

    def raw_maps(self, features: ImageFeatures, count: int) -> Tensor:
        """Return the unmodified image features for `count` objects: [count, C, f, f]. SAM 2 decodes mask prompts on them."""
        return self._as_map(features.top[None]).expand(count, -1, -1, -1)

    def _rotate(self, x: Tensor) -> Tensor:
        """Apply the axial rotary position encoding (RoFormer, arXiv:2104.09864) to [..., HW, D] in full precision."""
        pairs = x.to(self.compute_dtype).reshape(*x.shape[:-1], -1, 2)
        if torch.compiler.is_compiling():  # inductor fuses real arithmetic, but cannot compile complex arithmetic
            x, y = pairs.unbind(-1)
            return torch.stack((x * self._cos - y * self._sin, y * self._cos + x * self._sin), dim=-1).flatten(-2)
        return torch.view_as_real(torch.view_as_complex(pairs) * self._rotations).flatten(-2)

    def _heads(self, x: Tensor, heads: int) -> Tensor:
        return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)  # [N, heads, tokens, D]

    def attend(self, features: ImageFeatures, read: Memories) -> Tensor:
        """Return the image features conditioned on the memories of each object: [N, C, f, f] for the decoder."""
        count, slots = read.memory.shape[:2]
        tokens = self.feature_size * self.feature_size
        spatial_valid = read.valid.repeat_interleave(tokens, dim=1)
        mask = torch.cat((spatial_valid, read.pointer_valid), dim=1)[:, None, None, :]
        with self._autocast_context():
            position = self.memory_position + read.rows[:, :, None]
            spatial = (read.memory + position).flatten(1, 2)
            timed = read.pointers + read.pointer_position
            values = torch.cat((read.memory.flatten(1, 2), read.pointers), dim=1)
            attention = self.model.memory_attention
            x = (features.top + 0.1 * features.position)[None]  # shared by all objects until the first cross attention
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
        """Return the temporal encoding [N, P, 64] of pointers that are `ages` [N, P] frames old.

        SAM 2.1 projects a sine encoding of age / 15. SAM 2 has no such encoding, and the result is 0.
        """
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
        """Decode the candidate masks of N objects.

        Args:
            maps: [N, C, f, f] from `attend`, `unconditioned` or `raw_maps`.
            features: the encoded image.
            points: [N, P, 2] in pixels of the network's square image, or None without points.
            labels: int32 [N, P]: 1 foreground, 0 background, 2 and 3 the corners of a box, -1 padding.
            mask_logits: [N, 1, h, w], mask prompt, or None without a mask prompt.
            multimask: True for the three candidates of ambiguous prompts and tracked frames, False for a single mask.
        """
        encoder = self.model.prompt_encoder
        if points is None or labels is None:  # the encodings of a point with label -1 and of the padding after it
            sparse = encoder.not_a_point_embed.weight.expand(maps.shape[0], 1, 2, -1)
            _, dense = encoder(None, None, None, mask_logits)
        else:
            sparse, dense = encoder(points[:, None], labels[:, None], None, mask_logits)
        with self._autocast_context():
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
        """Return the object pointers [N, C] of the chosen mask tokens [N, C]. `visible` is bool [N]."""
        with self._autocast_context():
            pointers = self.model.object_pointer_proj(tokens).to(self.compute_dtype)
        return torch.where(visible[:, None], pointers, self.model.no_object_pointer.to(self.compute_dtype))

    def mask_prompt_logits(self, masks: Tensor) -> Tensor:
        """Return the decoder's mask prompt [N, 1, h, w] of masks float [N, 1, S, S]."""
        logits: Tensor = self.model.mask_downsample(masks)
        return logits

    def encode_memory(self, features: ImageFeatures, masks: Tensor, object_score: Tensor, binary: Tensor) -> Tensor:
        """Return the memories [N, HW, 64] of masks on an image, in `memory_dtype`.

        Args:
            features: the encoded image.
            masks: [N, h, w] mask logits.
            object_score: [N] logits. A score of 0 or below marks the memory as occluded.
            binary: bool [N], True for masks from a prompt, which are binarized first.
        """
        size = (self.image_size, self.image_size)
        upsampled = F.interpolate(masks[:, None], size=size, mode="bilinear", align_corners=False)
        soft = torch.where(binary[:, None, None, None], (upsampled > 0).to(self.compute_dtype), upsampled.sigmoid())
        config = self.model.config
        inputs = soft * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        encoder = self.model.memory_encoder
        with self._autocast_context():  # all objects share the projected image features
            fused = encoder.memory_fuser(encoder.feature_projection(self.raw_maps(features, 1)) + encoder.mask_downsampler(inputs))
            memory = encoder.projection(fused).to(self.compute_dtype)
        occlusion = self.model.occlusion_spatial_embedding_parameter
        if occlusion is not None:
            memory = memory + (object_score <= 0).to(self.compute_dtype)[:, None, None, None] * occlusion[..., None, None]
        stored: Tensor = memory.flatten(2).transpose(1, 2).to(self.memory_dtype)
        return stored


def concatenate(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate the tensors of several batches. A single tensor is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _merge_convolutions(first: torch.nn.Conv2d, second: torch.nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Return the weight [C', C] and the bias [C'] of two consecutive 1 x 1 convolutions as one."""
    weight, bias = second.weight.flatten(1), second.bias
    assert first.bias is not None
    assert bias is not None
    return weight @ first.weight.flatten(1), weight @ first.bias + bias
