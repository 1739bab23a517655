# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The SAM 2 video network as five batched functions: encode, attend, decode, point and encode_memory.

The functions call the modules of transformers' `Sam2VideoModel` (SAM 2, arXiv:2408.00714). They keep no state between calls and never
loop over objects. This module implements the forward pass of the memory attention itself, on the loaded weights. The pass of
transformers supports no mask over memory slots.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.segmentation.preprocessing import IMAGENET, resize_and_normalize

NO_OBJECT_LOGIT = -1024.0
"""Mask logit of an object that is not visible, as in SAM 2."""
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
        return replace(self, high=(low.clone(), mid.clone()), top=self.top.clone(), is_shared=False)


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
        memory: [N, S, T, 64], spatial memories of T tokens each.
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
        image_size: side S of the square input image in pixels.
        feature_size: side f of the map that the memory attention and the decoder read.
        mask_size: side of the mask logits, 4 f.
        memory_tokens: number T of tokens of a spatial memory. SAM 2 stores the whole map, f*f tokens.
        memory_is_map: True if the tokens of a spatial memory are the cells of the map, which change with the image size.
        statistics: mean and standard deviation of the colors of input images.
        batch_limit: maximum number of objects in one batch. 0 means no limit.
        acceleration: "off", "graphs", "compile" or "max"; see `models.loading.load_segmenter`.
    """

    memory_is_map = True
    statistics = IMAGENET

    def __init__(self, model: Any, name: str = "", dtype: torch.dtype = torch.float32, memory_dtype: torch.dtype = torch.bfloat16) -> None:
        self.model = model.eval()
        self.name = name
        self.device: torch.device = model.device
        self.dtype = dtype
        self.memory_dtype = memory_dtype
        config = model.config
        self.image_size: int = config.image_size
        self.feature_size: int = config.image_size // config.prompt_encoder_config.patch_size
        self.mask_size: int = 4 * self.feature_size
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
        self._check()
        with torch.no_grad():
            self.image_position: Tensor = model.get_image_wide_positional_embeddings()
            encoding = model.vision_encoder.neck.position_encoding
            self.feature_position = self._position_encoding(encoding, self.hidden_dim, self.feature_size)  # [HW, C]
            self.memory_position = self._memory_position()  # [T, 64]
            self.memory_tokens = len(self.memory_position)
            self.temporal_rows: Tensor = model.memory_temporal_positional_encoding[:, 0, 0].to(self.compute_dtype)  # [7, 64]
            self._rotations = self._angles(model.memory_attention.position_ids)
            self._key_rotations = self._memory_rotations()

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

    def batches(self, count: int) -> list[tuple[slice, Tensor]]:
        """Return the batches of `count` objects: the range of objects of each batch, and the index of the object in each of its rows."""
        size = self.batch_limit or max(count, 1)
        ends = [(start, min(start + size, count)) for start in range(0, count, size)]
        return [(slice(start, end), start + self.batch_rows(end - start)) for start, end in ends]

    def with_batch_limit(self, limit: int) -> Sam2Segmenter:
        """Return the same network with at most `limit` objects in one batch, which is slower and needs less memory. 0 means no limit."""
        other = copy(self)
        other.batch_limit = limit
        return other

    def _check(self) -> None:
        """Raise ValueError if the network has parts that this class does not compute."""
        levels = self.model.vision_encoder.neck.fpn_top_down_levels
        if set(levels) & {0, 1}:
            raise ValueError(
                f"the feature pyramid has top-down connections at levels {levels}, but only levels 2 and 3 are "
                "supported: use a checkpoint of SAM 2 or SAM 2.1"
            )

    def _position_encoding(self, encoding: Callable[..., Tensor], channels: int, side: int) -> Tensor:
        """Return a sine position encoding of a square map as tokens [side * side, channels]."""
        return encoding(torch.Size((1, channels, side, side)), self.device, self.compute_dtype).flatten(2)[0].T.contiguous()

    def _memory_position(self) -> Tensor:
        """Return the position encoding [T, 64] of the tokens of a spatial memory."""
        return self._position_encoding(self.model.memory_encoder.position_encoding, self.memory_dim, self.feature_size)

    def _memory_rotations(self) -> Tensor:
        """Return the rotary position encoding of the tokens of a spatial memory; see `_angles`."""
        return self._rotations

    def _angles(self, positions: Tensor) -> Tensor:
        """Return the rotary position encoding of tokens at `positions` [T, 2] as cosines and sines [T, D/2, 2]."""
        cos, sin = self.model.memory_attention.rotary_emb(torch.zeros(1, device=self.device), positions)  # [1, T, D], each value twice
        return torch.stack((cos[0, :, ::2], sin[0, :, ::2]), dim=-1).to(self.compute_dtype)

    def _autocast_context(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast)

    def preprocess(self, color: NDArray[np.uint8]) -> Tensor:
        """Convert an RGB uint8 [H, W, 3] image to the network's float32 [1, 3, S, S]: resize without the aspect ratio, and normalize."""
        return resize_and_normalize(color, (self.image_size, self.image_size), self.device, self.compute_dtype, self.statistics)

    def encode(self, pixels: Tensor) -> ImageFeatures:
        """Encode one normalized image [1, 3, S, S].

        The backbone is that of the network. The feature pyramid skips outputs that have no reader: the position encodings of all
        levels, and the 256 channels at strides 4 and 8. Two consecutive 1 x 1 convolutions reduce those channels to 32 and 64. One
        merged convolution replaces both.
        """
        neck, merged = self.model.vision_encoder.neck, self._merged or self._merge()
        with self._autocast_context():
            levels = self._levels(pixels)
            low, mid = (F.linear(level, *weights).permute(0, 3, 1, 2) for level, weights in zip(levels, merged))
            top, above = (neck.convs[3 - index](levels[index].permute(0, 3, 1, 2)) for index in (2, 3))
            if 2 in neck.fpn_top_down_levels:
                top = top + F.interpolate(above, scale_factor=2.0, mode="nearest")
        tokens = top[0].flatten(1).T.contiguous().to(self.compute_dtype)
        return ImageFeatures((low.to(self.compute_dtype), mid.to(self.compute_dtype)), tokens, self.feature_position)

    def _levels(self, pixels: Tensor) -> Sequence[Tensor]:
        """Return the feature maps of the backbone at strides 4, 8, 16 and 32, channels last."""
        levels: Sequence[Tensor] = self.model.vision_encoder.backbone(pixels, return_dict=True).intermediate_hidden_states
        return levels

    def _merge(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return the merged convolutions of `encode` at strides 4 and 8, each as weight and bias."""
        neck, decoder = self.model.vision_encoder.neck, self.model.mask_decoder
        return merge_convolutions(neck.convs[3], decoder.conv_s0), merge_convolutions(neck.convs[2], decoder.conv_s1)

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

    def _rotate(self, x: Tensor, rotations: Tensor) -> Tensor:
        """Apply a rotary position encoding [T, D/2, 2] (RoFormer, arXiv:2104.09864) to [..., T, D] in full precision."""
        pairs = x.to(self.compute_dtype).reshape(*x.shape[:-1], -1, 2)
        if torch.compiler.is_compiling():  # inductor fuses real arithmetic, but cannot compile complex arithmetic
            (x, y), (cos, sin) = pairs.unbind(-1), rotations.unbind(-1)
            return torch.stack((x * cos - y * sin, y * cos + x * sin), dim=-1).flatten(-2)
        return torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(rotations)).flatten(-2)

    def _feed_forward(self, layer: Any, x: Tensor) -> Tensor:
        """Return the output of the feed-forward part of a layer of the memory attention."""
        output: Tensor = layer.linear2(layer.activation(layer.linear1(x)))
        return output

    def _heads(self, x: Tensor, heads: int) -> Tensor:
        return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)  # [N, heads, tokens, D]

    def attend(self, features: ImageFeatures, read: Memories) -> Tensor:
        """Return the image features conditioned on the memories of each object: [N, C, f, f] for the decoder."""
        count, slots = read.memory.shape[:2]
        tokens = self.memory_tokens
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
                query = self._rotate(self._heads(own.q_proj(normed), heads), self._rotations)
                key = self._rotate(self._heads(own.k_proj(normed), heads), self._rotations)
                value = self._heads(own.v_proj(normed), heads)
                mixed = F.scaled_dot_product_attention(query.to(value.dtype), key.to(value.dtype), value)
                x = x + own.o_proj(mixed.transpose(1, 2).flatten(2))

                cross = layer.cross_attn_image
                heads = cross.num_attention_heads
                query = self._rotate(self._heads(cross.q_proj(layer.layer_norm2(x)), heads), self._rotations)
                value = self._heads(cross.v_proj(values), heads)
                key = self._heads(cross.k_proj(spatial), heads).reshape(count, heads, slots, tokens, -1)
                rotated = self._rotate(key, self._key_rotations).flatten(2, 3).to(value.dtype)
                key = torch.cat((rotated, self._heads(cross.k_proj(timed), heads)), dim=2)
                query = query.to(value.dtype).expand(count, -1, -1, -1)
                mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
                x = x + cross.o_proj(mixed.transpose(1, 2).flatten(2))

                x = x + self._feed_forward(layer, layer.layer_norm3(x))
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

    def parts(self) -> tuple[torch.nn.Module, ...]:
        """Return the modules whose linear and convolution layers run in bfloat16."""
        model = self.model
        return (model.vision_encoder, model.mask_decoder, model.memory_attention, model.memory_encoder, model.object_pointer_proj)

    @staticmethod
    def size_step(config: Any) -> int:
        """Return the step of possible image sizes in pixels: they hold whole patches and whole attention windows."""
        return math.lcm(32, 4 * int(config.vision_config.backbone_config.window_size_per_stage[0]))

    @staticmethod
    def set_image_size(config: Any, image_size: int) -> None:
        """Set the image size of a configuration, a multiple of `size_step`. No tensor of the network depends on the image size."""
        side = image_size // 16
        config.image_size = config.prompt_encoder_config.image_size = image_size
        config.vision_config.backbone_config.image_size = [image_size, image_size]
        config.vision_config.backbone_feature_sizes = [[side * 4, side * 4], [side * 2, side * 2], [side, side]]
        config.memory_attention_rope_feat_sizes = [side, side]

    def _upsample_masks(self, masks: Tensor) -> Tensor:
        """Return mask logits [N, h, w] at the size that the memory encoder reads, [N, 1, 16 f, 16 f]."""
        return F.interpolate(masks[:, None], size=(self.image_size, self.image_size), mode="bilinear", align_corners=False)

    def encode_memory(self, features: ImageFeatures, masks: Tensor, object_score: Tensor, binary: Tensor) -> Tensor:
        """Return the memories [N, T, 64] of masks on an image, in `memory_dtype`.

        Args:
            features: the encoded image.
            masks: [N, h, w] mask logits.
            object_score: [N] logits. A score of 0 or below marks the memory as occluded.
            binary: bool [N], True for masks from a prompt, which are binarized first.
        """
        upsampled = self._upsample_masks(masks)
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
        return self._memory_of(memory).to(self.memory_dtype)

    def _memory_of(self, maps: Tensor) -> Tensor:
        """Return the tokens [N, T, 64] of spatial memories [N, 64, f, f]."""
        return maps.flatten(2).transpose(1, 2)


def concatenate(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate the tensors of several batches. A single tensor is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def merge_convolutions(first: torch.nn.Conv2d, second: torch.nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Return a convolution and the 1 x 1 convolution after it as one: the weight [C', C * k * k] and the bias [C']."""
    weight, bias = second.weight.flatten(1), second.bias
    assert first.bias is not None
    assert bias is not None
    return weight @ first.weight.flatten(1), weight @ first.bias + bias
