# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The forward pass of the memory attention of SAM 2 (arXiv:2408.00714), on the loaded modules of transformers.

The pass of transformers supports no mask over memory slots. `FusedLayer` computes the same in fewer and smaller steps on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lang2segtrack_ros.segmentation.chunked_attention import attend_chunks, find_kernel, queries_that_fill


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


@dataclass(frozen=True)
class MemoryTokens:
    """Keys and values of the cross attention before their projections, of N objects with S memories of T tokens each.

    Attributes:
        spatial: [N, S, T, 64], spatial memories with position.
        timed: [N, P, 64], pointer tokens with position.
        memory: [N, S, T, 64], spatial memories.
        pointers: [N, P, 64], pointer tokens.
        valid: bool [N, S], True for spatial memories that exist.
        pointer_valid: bool [N, P], True for pointer tokens that exist.
        values: [N, S T + P, 64], all tokens without position. None for attention in chunks.
        mask: bool [N, 1, 1, S T + P], True for tokens that exist. None for attention in chunks.
    """

    spatial: Tensor
    timed: Tensor
    memory: Tensor
    pointers: Tensor
    valid: Tensor
    pointer_valid: Tensor
    values: Tensor | None = None
    mask: Tensor | None = None

    @staticmethod
    def of(read: Memories, position: Tensor, dtype: torch.dtype, is_chunked: bool) -> MemoryTokens:
        """Return the tokens of memories.

        Args:
            read: the memories.
            position: [T, 64], position encoding of the tokens of a memory.
            dtype: type of the tokens.
            is_chunked: True for attention in chunks, which needs no mask.
        """
        spatial, timed = read.memory + (position + read.rows[:, :, None]), read.pointers + read.pointer_position
        spatial, timed, memory, pointers = (item.to(dtype) for item in (spatial, timed, read.memory, read.pointers))
        if is_chunked:
            return MemoryTokens(spatial, timed, memory, pointers, read.valid, read.pointer_valid)
        mask = torch.cat((read.valid.repeat_interleave(memory.shape[2], dim=1), read.pointer_valid), dim=1)[:, None, None]
        values = torch.cat((memory.flatten(1, 2), pointers), dim=1)
        return MemoryTokens(spatial, timed, memory, pointers, read.valid, read.pointer_valid, values, mask)


class PlainLayer:
    """The attentions of a layer, with a mask over memories, and rotary position encodings in full precision.

    Args:
        layer: a `Sam2VideoMemoryAttentionLayer`.
        rotations: complex [HW, D/2], rotary position encoding of the image tokens.
        key_rotations: complex [T, D/2], rotary position encoding of the tokens of a memory.
    """

    def __init__(self, layer: Any, rotations: Tensor, key_rotations: Tensor) -> None:
        self._self, self._cross = layer.self_attn, layer.cross_attn_image
        self._rotations, self._key_rotations = rotations, key_rotations

    def attend_self(self, x: Tensor) -> Tensor:
        """Return the self-attention of normalized image tokens [N, HW, C], before the output projection."""
        own = self._self
        heads = own.num_attention_heads
        query = rotate(_heads(own.q_proj(x), heads), self._rotations)
        key = rotate(_heads(own.k_proj(x), heads), self._rotations)
        return _flat(F.scaled_dot_product_attention(query, key, _heads(own.v_proj(x), heads)))

    def attend_memory(self, x: Tensor, tokens: MemoryTokens) -> Tensor:
        """Return the attention of normalized image tokens [N or 1, HW, C] to memories, [N, HW, C], before the output projection."""
        cross = self._cross
        heads = cross.num_attention_heads
        count, slots, length = tokens.spatial.shape[:3]
        query = rotate(_heads(cross.q_proj(x), heads), self._rotations).expand(count, -1, -1, -1)
        spatial = _heads(cross.k_proj(tokens.spatial.flatten(1, 2)), heads).reshape(count, heads, slots, length, -1)
        key = torch.cat((rotate(spatial, self._key_rotations).flatten(2, 3), _heads(cross.k_proj(tokens.timed), heads)), dim=2)
        return _flat(F.scaled_dot_product_attention(query, key, _heads(cross.v_proj(tokens.values), heads), attn_mask=tokens.mask))


class FusedLayer:
    """The attentions of a layer with merged projections, rotary position encodings in real arithmetic, and chunks of keys.

    The output channels of the projections of queries and keys are permuted: first those of even index in a head, then the odd ones, then
    the even ones again. The pairs that the encoding rotates are therefore halves, and both orders of the halves are slices. Products of
    queries and keys do not change.

    Args:
        layer: a `Sam2VideoMemoryAttentionLayer` whose weights do not change any more.
        rotations: complex [HW, D/2], rotary position encoding of the image tokens.
        key_rotations: complex [T, D/2], rotary position encoding of the tokens of a memory.

    Attributes:
        heads: number of heads.
    """

    def __init__(self, layer: Any, rotations: Tensor, key_rotations: Tensor) -> None:
        own, cross = layer.self_attn, layer.cross_attn_image
        self.heads: int = cross.num_attention_heads
        self._dim: int = cross.head_dim
        self._rotations, self._key_rotations = halves(rotations), halves(key_rotations)
        self._value = cross.v_proj
        query, key, value = self._permuted(own.q_proj), self._permuted(own.k_proj), (own.v_proj.weight, own.v_proj.bias)
        self._own = tuple(torch.cat(items) for items in zip(query, key, value))
        self._query, self._key = self._permuted(cross.q_proj), self._permuted(cross.k_proj)
        weight = self._query[0]
        self._kernel = find_kernel(weight.device, weight.dtype, len(rotations), len(key_rotations), self._dim)

    def _permuted(self, projection: torch.nn.Linear) -> tuple[Tensor, Tensor]:
        """Return weight and bias with 3 D / 2 permuted channels for each head."""
        even, odd = torch.arange(0, self._dim, 2), torch.arange(1, self._dim, 2)
        order = (torch.arange(self.heads)[:, None] * self._dim + torch.cat((even, odd, even))).flatten().to(projection.weight.device)
        return projection.weight[order], projection.bias[order]

    def _split(self, projected: Tensor) -> Tensor:
        """Split the permuted channels into heads: [..., heads, 3 D / 2]."""
        return projected.view(*projected.shape[:-1], -1, 3 * self._dim // 2)

    def attend_self(self, x: Tensor) -> Tensor:
        """Return the self-attention of normalized image tokens [N, HW, C], before the output projection."""
        projected = F.linear(x, *self._own)
        width = self.heads * self._dim
        both = rotate_halves(self._split(projected[..., : 3 * width]), self._rotations)
        query, key = both[:, :, : self.heads].transpose(1, 2), both[:, :, self.heads :].transpose(1, 2)
        return _flat(F.scaled_dot_product_attention(query, key, _heads(projected[..., 3 * width :], self.heads)))

    def attend_memory(self, x: Tensor, tokens: MemoryTokens) -> Tensor:
        """Return the attention of normalized image tokens [N or 1, HW, C] to memories, [N, HW, C], before the output projection."""
        count = len(tokens.memory)
        query = rotate_halves(self._split(F.linear(x, *self._query)), self._rotations).transpose(1, 2).expand(count, -1, -1, -1)
        spatial = self._split(F.linear(tokens.spatial, *self._key))
        timed = self._split(F.linear(tokens.timed, *self._key))[..., : self._dim]
        if tokens.mask is not None:
            key, value = self._join_keys(spatial, timed).transpose(1, 2), _heads(self._value(tokens.values), self.heads)
            return _flat(F.scaled_dot_product_attention(query, key, value, attn_mask=tokens.mask))
        keys = rotate_halves(spatial, self._key_rotations).permute(0, 3, 1, 2, 4)
        values = self._value(tokens.memory).view(keys.permute(0, 2, 3, 1, 4).shape).permute(0, 3, 1, 2, 4)
        last = (timed.transpose(1, 2), _heads(self._value(tokens.pointers), self.heads), tokens.pointer_valid)
        return _flat(attend_chunks(self._kernel, query, keys, values, tokens.valid, last))

    def _join_keys(self, spatial: Tensor, timed: Tensor) -> Tensor:
        """Return the keys of all tokens [N, S T + P, heads, D]. The rotation writes its result in its place."""
        if torch.compiler.is_compiling():  # torch.compile plans the memory itself, and supports no views as outputs
            return torch.cat((rotate_halves(spatial, self._key_rotations).flatten(1, 2), timed), dim=1)
        count, slots, length = spatial.shape[:3]
        keys = spatial.new_empty(count, slots * length + timed.shape[1], self.heads, self._dim)
        rotate_halves(spatial, self._key_rotations, keys[:, : slots * length].view(count, slots, length, self.heads, -1))
        keys[:, slots * length :] = timed
        return keys


class MemoryAttention:
    """The memory attention of a network at one image size.

    Args:
        module: a `Sam2VideoMemoryAttention`.
        rotations: complex [HW, D/2], rotary position encoding of the image tokens.
        key_rotations: complex [T, D/2], rotary position encoding of the tokens of a memory.
        position: [T, 64], position encoding of the tokens of a memory.

    Attributes:
        rotations: see above.
        is_chunked: True for keys in chunks, False for a mask. None chooses by the number of objects. Layers that are not fused use a mask.
    """

    def __init__(self, module: Any, rotations: Tensor, key_rotations: Tensor, position: Tensor) -> None:
        self.is_chunked: bool | None = None
        self._filling_queries = 0
        self._module, self._position = module, position
        self.rotations, self._key_rotations = rotations, key_rotations
        self._layers: Sequence[PlainLayer | FusedLayer] = [PlainLayer(layer, rotations, key_rotations) for layer in module.layers]

    def fuse(self) -> None:
        """Change to fused layers, which a GPU runs faster. The weights must not change afterwards."""
        self._filling_queries = queries_that_fill(self._position.device)
        with torch.no_grad():
            self._layers = [FusedLayer(layer, self.rotations, self._key_rotations) for layer in self._module.layers]

    def _chooses_chunks(self, count: int) -> bool:
        """Return True if attention in chunks is faster for this number of objects: a mask would leave the device idle."""
        first = self._layers[0]
        if isinstance(first, PlainLayer):
            return False
        if self.is_chunked is None:
            return count * first.heads * len(self.rotations) < self._filling_queries
        return self.is_chunked

    def __call__(self, x: Tensor, read: Memories) -> Tensor:
        """Return image tokens conditioned on the memories of each object, [N, HW, C].

        Args:
            x: [1, HW, C], image tokens with position. All objects share them until the first cross attention.
            read: the memories.
        """
        tokens = MemoryTokens.of(read, self._position, x.dtype, self._chooses_chunks(len(read.valid)))
        for module, layer in zip(self._module.layers, self._layers):
            x = x + module.self_attn.o_proj(layer.attend_self(module.layer_norm1(x)))
            x = x + module.cross_attn_image.o_proj(layer.attend_memory(module.layer_norm2(x), tokens))
            x = x + _feed_forward(module, module.layer_norm3(x))
        normed: Tensor = self._module.layer_norm(x)
        return normed


def _feed_forward(layer: Any, x: Tensor) -> Tensor:
    """Return the output of the feed-forward part of a layer, which has other names in EdgeTAM."""
    output: Tensor = layer.mlp(x) if hasattr(layer, "mlp") else layer.linear2(layer.activation(layer.linear1(x)))
    return output


def rotate(x: Tensor, rotations: Tensor) -> Tensor:
    """Apply the axial rotary position encoding (RoFormer, arXiv:2104.09864) to [..., T, D] in full precision.

    Args:
        x: queries or keys. Consecutive channels are pairs.
        rotations: complex [T, D/2].
    """
    pairs = x.to(rotations.real.dtype).reshape(*x.shape[:-1], -1, 2)
    if torch.compiler.is_compiling():  # inductor fuses real arithmetic, but cannot compile complex arithmetic
        (a, b), (cos, sin) = pairs.unbind(-1), torch.view_as_real(rotations).unbind(-1)
        return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2).to(x.dtype)
    return torch.view_as_real(torch.view_as_complex(pairs) * rotations).flatten(-2).to(x.dtype)


def halves(rotations: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors of both orders of the halves in `rotate_halves`, each [T, 1, D].

    Args:
        rotations: complex [T, D/2].
    """
    cos, sin = rotations.real, rotations.imag
    return torch.cat((cos, cos), dim=1)[:, None], torch.cat((-sin, sin), dim=1)[:, None]


def rotate_halves(x: Tensor, factors: tuple[Tensor, Tensor], out: Tensor | None = None) -> Tensor:
    """Apply the rotary position encoding in the order of channels of `FusedLayer`.

    Args:
        x: [..., T, heads, 3 D / 2].
        factors: from `halves`. The products are computed in their type.
        out: tensor for the result; None for a new one.

    Returns:
        [..., T, heads, D] in the type of `x`: first all rotated even channels, then the odd ones.
    """
    dim = 2 * x.shape[-1] // 3
    straight, swapped = x[..., :dim], x[..., dim // 2 :]
    if torch.compiler.is_compiling():
        return torch.addcmul(straight * factors[0], swapped, factors[1]).to(x.dtype)
    out = torch.mul(straight, factors[0], out=x.new_empty(straight.shape) if out is None else out)
    return out.addcmul_(swapped, factors[1])


def _heads(x: Tensor, heads: int) -> Tensor:
    """Split [N, tokens, C] into heads: [N, heads, tokens, C / heads]."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def _flat(x: Tensor) -> Tensor:
    """Join heads [N, heads, tokens, D] to [N, tokens, C]."""
    return x.transpose(1, 2).flatten(2)
