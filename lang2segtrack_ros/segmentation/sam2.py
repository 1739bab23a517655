# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The SAM 2 video network as five batched functions: encode, attend, decode, point and encode_memory.

The functions call the modules of transformers' `Sam2VideoModel` (SAM 2, arXiv:2408.00714). They keep no state between calls and never
loop over objects. The passes of the image encoder, the memory attention and the memory encoder are our own, on the loaded weights.
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

from lang2segtrack_ros.segmentation.image_encoder import encode_levels, merge_convolutions, position_embedding
from lang2segtrack_ros.segmentation.memory_attention import Memories, MemoryAttention
from lang2segtrack_ros.segmentation.memory_encoder import MemoryEncoder
from lang2segtrack_ros.segmentation.precision import cast_parameters
from lang2segtrack_ros.segmentation.preprocessing import IMAGENET, resize_and_normalize

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


class Sam2Segmenter:
    """The modules of SAM 2 as batched, stateless functions.

    Args:
        model: a loaded `transformers.Sam2VideoModel`.
        name: name of the model in messages.
        dtype: type of the computation. bfloat16 casts the weights of the model, see `precision.cast_parameters`. float64 needs a model in
            float64, and shows that a difference is rounding.
        memory_dtype: type of the stored memories. SAM 2 uses bfloat16, which amplifies differences of 1e-7 to 1e-3.

    Attributes:
        image_size: side S of the square input image in pixels.
        feature_size: side f of the map that the memory attention and the decoder read.
        mask_size: side of the mask logits, 4 f.
        memory_tokens: number T of tokens of a spatial memory. SAM 2 stores the whole map, f*f tokens.
        memory_is_map: True if the tokens of a spatial memory are the cells of the map, which change with the image size.
        statistics: mean and standard deviation of the colors of input images.
        batch_limit: maximum number of objects in one batch. 0 leaves it to the image size, see `batch_size`.
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
        self.compute_dtype = torch.float64 if dtype == torch.float64 else torch.float32
        self.static_shapes = False
        self.batch_limit = 0
        self.acceleration = "off"
        self._frozen: _Frozen | None = None
        self._check()
        with torch.no_grad():
            self.image_position: Tensor = model.get_image_wide_positional_embeddings().to(dtype)
            encoding = model.vision_encoder.neck.position_encoding
            self.feature_position = self._position_encoding(encoding, self.hidden_dim, self.feature_size).to(dtype)  # [HW, C]
            self.memory_position = self._memory_position()  # [T, 64]
            self.memory_tokens = len(self.memory_position)
            self.temporal_rows: Tensor = model.memory_temporal_positional_encoding[:, 0, 0].to(self.compute_dtype)  # [7, 64]
            rotations = self._rotations(model.memory_attention.position_ids)
            self.memory_attention = MemoryAttention(
                model.memory_attention, rotations, self._memory_rotations(rotations), self.memory_position
            )
            self.memory_encoder = MemoryEncoder(model, self.image_size)
            if dtype == torch.bfloat16:
                self._freeze()

    def _freeze(self) -> None:
        """Cast the weights to bfloat16, and store what depends on weights only. The weights must not change afterwards.

        A GPU runs the fused forms of the memory attention and of the memory encoder. They are slower on a CPU.
        """
        merged = tuple((weight.to(self.dtype), bias.to(self.dtype)) for weight, bias in self._merge())
        self._frozen = _Frozen(merged, self._image_position())
        cast_parameters(self.parts())
        if self.device.type == "cuda":
            self.memory_attention.fuse()
            self.memory_encoder.fuse()

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

    def parts(self) -> tuple[torch.nn.Module, ...]:
        """Return the modules that run in bfloat16, if the network does. The prompt encoder and all other embeddings stay in float32."""
        model, backbone = self.model, self.model.vision_encoder.backbone
        encoder = (backbone.patch_embed, backbone.blocks, model.vision_encoder.neck)
        return (*encoder, model.mask_decoder, model.memory_attention, model.memory_encoder, model.object_pointer_proj)

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

    def _image_position(self) -> Tensor | None:
        """Return the position embedding of the backbone in the type of the computation; None if the backbone adds it itself."""
        backbone = self.model.vision_encoder.backbone
        side = self.image_size // backbone.patch_embed.projection.stride[0]
        return position_embedding(backbone, side).to(self.dtype).contiguous()

    def _memory_position(self) -> Tensor:
        """Return the position encoding [T, 64] of the tokens of a spatial memory."""
        return self._position_encoding(self.model.memory_encoder.position_encoding, self.memory_dim, self.feature_size)

    def _rotations(self, positions: Tensor) -> Tensor:
        """Return the rotary position encoding of tokens at `positions` [T, 2] as complex numbers [T, D/2]."""
        cos, sin = self.model.memory_attention.rotary_emb(torch.zeros(1, device=self.device), positions)  # [1, T, D], each value twice
        return torch.complex(*(item[0, :, ::2].to(self.compute_dtype) for item in (cos, sin)))

    def _memory_rotations(self, rotations: Tensor) -> Tensor:
        """Return the rotary position encoding of the tokens of a spatial memory, [T, D/2], from that of the image tokens."""
        return rotations

    def preprocess(self, color: NDArray[np.uint8] | Tensor) -> Tensor:
        """Convert an RGB uint8 [H, W, 3] image to the network's float32 [1, 3, S, S]: resize without the aspect ratio, and normalize."""
        return resize_and_normalize(color, (self.image_size, self.image_size), self.device, self.compute_dtype, self.statistics)

    def encode(self, pixels: Tensor) -> ImageFeatures:
        """Encode one normalized image [1, 3, S, S].

        The backbone is that of the network. The feature pyramid skips outputs that have no reader: the position encodings of all
        levels, and the 256 channels at strides 4 and 8. Two consecutive 1 x 1 convolutions reduce those channels to 32 and 64. One
        merged convolution replaces both.
        """
        neck, merged = self.model.vision_encoder.neck, self._merged()
        levels = self._levels(pixels.to(self.dtype))
        low, mid = (F.linear(level, *weights).permute(0, 3, 1, 2) for level, weights in zip(levels, merged))
        top, above = (neck.convs[3 - index](levels[index].permute(0, 3, 1, 2)) for index in (2, 3))
        if 2 in neck.fpn_top_down_levels:
            top = top + F.interpolate(above, scale_factor=2.0, mode="nearest")
        return ImageFeatures((low, mid), top[0].flatten(1).T.contiguous(), self.feature_position)

    def _levels(self, pixels: Tensor) -> Sequence[Tensor]:
        """Return the maps of the backbone at strides 4, 8, 16 and 32, each [1, H, W, channels]."""
        return encode_levels(self.model.vision_encoder.backbone, pixels, self._frozen.position if self._frozen is not None else None)

    def _merged(self) -> tuple[tuple[Tensor, Tensor], ...]:
        return self._frozen.merged if self._frozen is not None else self._merge()

    def _merge(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return the merged convolutions of `encode` at strides 4 and 8, each as weight and bias."""
        neck, decoder = self.model.vision_encoder.neck, self.model.mask_decoder
        return merge_convolutions(neck.convs[3], decoder.conv_s0), merge_convolutions(neck.convs[2], decoder.conv_s1)

    def share_merged_layers(self, source: Sam2Segmenter) -> None:
        """Use the merged convolutions of a segmenter with the same weights, which merged them before the weights were cast."""
        if self._frozen is not None and source._frozen is not None:
            self._frozen = replace(self._frozen, merged=source._frozen.merged)

    def _as_map(self, tokens: Tensor) -> Tensor:
        return tokens.transpose(1, 2).reshape(tokens.shape[0], self.hidden_dim, self.feature_size, self.feature_size)

    def unconditioned(self, features: ImageFeatures, count: int) -> Tensor:
        """Return the decoder maps of `count` objects without memories: [count, C, f, f]."""
        tokens = features.top + self.model.no_memory_embedding[0].to(features.top.dtype)
        return self._as_map(tokens[None]).expand(count, -1, -1, -1)

    def raw_maps(self, features: ImageFeatures, count: int) -> Tensor:
        """Return the unmodified image features for `count` objects: [count, C, f, f]. SAM 2 decodes mask prompts on them."""
        return self._as_map(features.top[None]).expand(count, -1, -1, -1)

    def attend(self, features: ImageFeatures, read: Memories) -> Tensor:
        """Return the image features conditioned on the memories of each object: [N, C, f, f] for the decoder."""
        return self._as_map(self.memory_attention((features.top + 0.1 * features.position)[None], read))

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
        masks, ious, tokens, object_score = self.model.mask_decoder(
            image_embeddings=maps,
            image_positional_embeddings=self.image_position,
            sparse_prompt_embeddings=sparse.to(self.dtype),
            dense_prompt_embeddings=dense.to(self.dtype),
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
        pointers = self.model.object_pointer_proj(tokens.to(self.dtype)).to(self.compute_dtype)
        return torch.where(visible[:, None], pointers, self.model.no_object_pointer.to(self.compute_dtype))

    def mask_prompt_logits(self, masks: Tensor) -> Tensor:
        """Return the decoder's mask prompt [N, 1, h, w] of masks float [N, 1, S, S]."""
        logits: Tensor = self.model.mask_downsample(masks)
        return logits

    def encode_memory(self, features: ImageFeatures, masks: Tensor, object_score: Tensor, binary: Tensor) -> Tensor:
        """Return the memories [N, T, 64] of masks on an image, in `memory_dtype`.

        Args:
            features: the encoded image.
            masks: [N, h, w] mask logits.
            object_score: [N] logits. A score of 0 or below marks the memory as occluded.
            binary: bool [N], True for masks from a prompt, which are binarized first.
        """
        memory = self.memory_encoder(self.raw_maps(features, 1), masks, object_score, binary)
        return self._compress(memory).to(self.memory_dtype)

    def _compress(self, memory: Tensor) -> Tensor:
        """Return the tokens [N, T, 64] to store of spatial memories [N, HW, 64]."""
        return memory


@dataclass(frozen=True)
class _Frozen:
    """What a network in bfloat16 computes once from its weights.

    Attributes:
        merged: weight and bias of the merged convolutions of `Sam2Segmenter.encode`.
        position: [1, H, W, channels], position embedding of the image encoder. None if the backbone adds it itself.
    """

    merged: tuple[tuple[Tensor, Tensor], ...]
    position: Tensor | None


def concatenate(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate the tensors of several batches. A single tensor is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
