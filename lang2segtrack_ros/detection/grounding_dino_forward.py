# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The forward pass of Grounding DINO and MM-Grounding-DINO on the modules of transformers, split into a text part and an image part.

The text part depends on the caption alone, so a detector computes it once. The image part never waits for the device and never looks at
values, while transformers' own pass does both in each layer. It also skips what nobody reads: attention weights, the heads of all layers
but the last, and padding masks of images, because no image is padded. Captions may be padded, see `TextFeatures.padded`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 10000
"""Base of the wave lengths of sine encodings, as in Grounding DINO."""
BOX_SIDE = 0.05  # side of a proposed box on the finest level, relative to the image; each level doubles it
_EPS = 1e-5


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """The text features of a caption with T tokens.

    Attributes:
        features: [1, T, C].
        position: [1, T, C], sine encoding of the position of each token inside its phrase.
        attends: bool [1, T, T], True for tokens of the same phrase.
        padding: bool [1, T], True for tokens that nothing reads. None without such tokens.
    """

    features: Tensor
    position: Tensor
    attends: Tensor
    padding: Tensor | None = None

    def padded(self, count: int) -> TextFeatures:
        """Return new features of `count` tokens, which give the same results.

        Each further token is a copy of the first one, and stays one in all layers. It thus leaves the largest score over all tokens
        unchanged, which selects the queries and to which the fusion layers relate all scores.
        """
        tokens = self.features.shape[1]

        def extended(values: Tensor) -> Tensor:
            return torch.cat((values, values[:, :1].expand(-1, count - tokens, -1)), dim=1)

        further = (0, count - tokens)
        attends = F.pad(self.attends, further * 2) | torch.eye(count, dtype=torch.bool, device=self.attends.device)
        padding = F.pad(torch.zeros_like(self.attends[:, 0]), further, value=True)
        return TextFeatures(extended(self.features), extended(self.position), attends, padding)


@dataclass(frozen=True)
class _Grid:
    """Constants of one input size, with L levels and S tokens in all.

    Attributes:
        shapes: height and width of each level.
        position: [1, S, C], position encoding of each token, with that of its level.
        reference: [1, S, L, 2], center of each token, relative to the image.
        proposals: [1, S, 4], logits of a box around each token. Infinite for tokens at the border.
        inside: bool [1, S, 1], False for tokens at the border.
        sizes: [L, 2], width and height of each level.
    """

    shapes: tuple[tuple[int, int], ...]
    position: Tensor
    reference: Tensor
    proposals: Tensor
    inside: Tensor
    sizes: Tensor


def phrase_blocks(ids: Sequence[int], delimiters: set[int]) -> tuple[list[int], list[int]]:
    """Return for each token the number of its phrase, -1 for none, and its position inside the phrase.

    A phrase ends with its delimiter. The first and the last token of a caption belong to no phrase.
    """
    blocks, positions, start = [-1], [0], 1
    for index, token in enumerate(ids[1:-1], 1):
        blocks.append(start)
        positions.append(index - start)
        if token in delimiters:
            start = index + 1
    return [*blocks, -1], [*positions, 0]


def sine_encoding(values: Tensor, channels: int) -> Tensor:
    """Return the sine encoding [..., K * channels] of K coordinates [..., K]. The first two, x and y, change places, as in DETR."""
    index = torch.arange(channels, dtype=torch.float32, device=values.device)
    scale = TEMPERATURE ** (2 * torch.div(index, 2, rounding_mode="floor") / channels)
    angles = values[..., None] * (2 * math.pi) / scale
    waves = torch.stack((angles[..., 0::2].sin(), angles[..., 1::2].cos()), dim=-1).flatten(-2)
    parts = list(waves.unbind(-2))
    if len(parts) > 1:
        parts[:2] = parts[1], parts[0]
    return torch.cat(parts, dim=-1).to(values.dtype)


class GroundingDinoForward:
    """The two parts of the forward pass.

    Args:
        model: a `transformers.GroundingDinoForObjectDetection` or `MMGroundingDinoForObjectDetection`.
        delimiters: token ids that end a phrase.

    Raises:
        ValueError: the network has another structure than the published ones.
    """

    def __init__(self, model: Any, delimiters: set[int]) -> None:
        config = model.config
        if not config.two_stage or config.num_feature_levels < 2:
            raise ValueError("this Grounding DINO selects no queries among image tokens (two_stage is false), which is not supported")
        if not config.embedding_init_target:
            raise ValueError("this Grounding DINO has no learned queries (embedding_init_target is false), which is not supported")
        self._head, self._model, self._config = model, model.model, config
        self._bias: Tensor | None = getattr(model.class_embed[-1], "bias", None)  # only the head of MM-Grounding-DINO is scaled and biased
        self._delimiters = delimiters
        self._grid = lru_cache(maxsize=8)(self._make_grid)

    def encode_text(self, ids: Sequence[int]) -> TextFeatures:
        """Encode a caption of token ids."""
        model = self._model
        blocks, positions = phrase_blocks(ids, self._delimiters)
        tokens = torch.tensor([ids], device=self._head.device)
        block, position = (torch.tensor([values], device=tokens.device) for values in (blocks, positions))
        same = (block[:, :, None] == block[:, None]) & (block >= 0)[:, None]
        attends = same | torch.eye(len(ids), dtype=torch.bool, device=tokens.device)
        states = model.text_backbone(tokens, attends[:, None], torch.zeros_like(tokens), position, return_dict=True)
        features = model.text_projection(states.last_hidden_state)
        return TextFeatures(features, sine_encoding(position[..., None].to(features.dtype), self._config.d_model), attends)

    def constants(self, pixels: Tensor) -> object:
        """Return the constants of `detect` for images [N, 3, h, w] of this size. A captured call needs them at their addresses."""
        return self._grid_of(self._levels(pixels))

    def detect(self, pixels: Tensor, text: TextFeatures, constants: Any = None) -> tuple[Tensor, Tensor]:
        """Return logits [N, queries, T] and boxes [N, queries, 4] of N normalized images [N, 3, h, w].

        Boxes are center x, center y, width and height, relative to the image.

        Args:
            pixels: the images.
            text: features of the caption.
            constants: from `constants`. None looks them up.
        """
        maps = self._levels(pixels)
        grid = self._grid_of(maps) if constants is None else constants
        image = torch.cat([item.flatten(2).transpose(1, 2) for item in maps], dim=1)
        words, place, attends = (item.expand(len(pixels), *item.shape[1:]) for item in (text.features, text.position, text.attends))
        padding = None if text.padding is None else text.padding.expand(len(pixels), -1)
        for layer in self._model.encoder.layers:
            (image, _), (words, _) = layer.fusion_layer(image, words, attention_mask_text=padding)
            words, _ = layer.text_enhancer_layer(words, attends, place)
            image = self._enhance(layer.deformable_layer, image, grid)
        hidden, reference = self._select(image, words, grid)
        return self._decode(image, (words, padding), hidden, reference, grid)

    def _levels(self, pixels: Tensor) -> list[Tensor]:
        """Return the projected feature maps [N, C, h, w], finest first."""
        model = self._model
        features = model.backbone.conv_encoder.model(pixels, return_dict=True).feature_maps
        maps = [projection(feature) for projection, feature in zip(model.input_proj_vision, features)]
        source = features[-1]
        for projection in model.input_proj_vision[len(features) :]:
            source = projection(source)
            maps.append(source)
        return maps

    def _grid_of(self, maps: list[Tensor]) -> _Grid:
        return self._grid(tuple((item.shape[2], item.shape[3]) for item in maps), maps[0].dtype)

    def _make_grid(self, shapes: tuple[tuple[int, int], ...], dtype: torch.dtype) -> _Grid:
        model, device = self._model, self._head.device
        positions, centers, boxes = [], [], []
        for level, (height, width) in enumerate(shapes):
            everywhere = torch.ones(1, height, width, dtype=torch.bool, device=device)
            encoding = model.backbone.position_embedding(everywhere, everywhere).to(dtype)
            positions.append(encoding.flatten(2).transpose(1, 2) + model.level_embed[level])
            rows, columns = (torch.arange(count, dtype=torch.float32, device=device) for count in (height, width))
            y, x = torch.meshgrid((rows + 0.5) / height, (columns + 0.5) / width, indexing="ij")
            center = torch.stack((x, y), dim=-1).reshape(1, -1, 2)
            centers.append(center)
            boxes.append(torch.cat((center, torch.full_like(center, BOX_SIDE * 2.0**level)), dim=-1))
        box = torch.cat(boxes, dim=1)
        inside = ((box > 0.01) & (box < 0.99)).all(-1, keepdim=True)
        logits = torch.log(box / (1 - box)).masked_fill(~inside, float("inf"))
        reference = torch.cat(centers, dim=1)[:, :, None].expand(-1, -1, len(shapes), -1)
        sizes = torch.tensor([(width, height) for height, width in shapes], device=device)
        return _Grid(shapes, torch.cat(positions, dim=1), reference, logits, inside, sizes)

    def _enhance(self, layer: Any, image: Tensor, grid: _Grid) -> Tensor:
        """Run the image part of an encoder layer."""
        mixed = self._sample(layer.self_attn, image + grid.position, image, grid.reference, grid)
        image = layer.self_attn_layer_norm(image + mixed)
        output: Tensor = layer.final_layer_norm(image + layer.fc2(layer.activation_fn(layer.fc1(image))))
        return output

    @staticmethod
    def _sample(attention: Any, query: Tensor, source: Tensor, reference: Tensor, grid: _Grid) -> Tensor:
        """Return the deformable attention (arXiv:2010.04159) of queries [N, Q, C] to the tokens [N, S, C] of all levels.

        Args:
            attention: module with the weights.
            query: queries with their position encodings.
            source: tokens of the image.
            reference: [N, Q, L, 2] points or [N, Q, L, 4] boxes, around which samples are taken.
            grid: constants of the input size.
        """
        count, queries, _ = query.shape
        heads, levels, points = attention.n_heads, attention.n_levels, attention.n_points
        value = attention.value_proj(source).view(count, source.shape[1], heads, -1)
        offsets = attention.sampling_offsets(query).view(count, queries, heads, levels, points, 2)
        weights = attention.attention_weights(query).view(count, queries, heads, levels * points).softmax(-1)
        center = reference[:, :, None, :, None, :2]
        if reference.shape[-1] == 2:
            places = center + offsets / grid.sizes[None, None, None, :, None]
        else:
            places = center + offsets / points * reference[:, :, None, :, None, 2:] * 0.5
        weights = weights.view(count, queries, heads, levels, points)
        mixed = attention.attn(value, None, list(grid.shapes), None, places, weights, attention.im2col_step)
        output: Tensor = attention.output_proj(mixed)
        return output

    def _select(self, image: Tensor, words: Tensor, grid: _Grid) -> tuple[Tensor, Tensor]:
        """Return the queries [N, Q, C] and their first boxes [N, Q, 4], those of the image tokens that match a word best."""
        model, config = self._model, self._config
        candidates = model.enc_output_norm(model.enc_output(image.masked_fill(~grid.inside, 0.0)))
        best = (candidates @ words.transpose(1, 2)).amax(-1).topk(config.num_queries, dim=1).indices[..., None]
        boxes = model.encoder_output_bbox_embed(candidates) + grid.proposals
        reference = boxes.gather(1, best.expand(-1, -1, 4)).sigmoid()
        return model.query_position_embeddings.weight[None].expand(len(image), -1, -1), reference

    def _decode(
        self, image: Tensor, text: tuple[Tensor, Tensor | None], hidden: Tensor, reference: Tensor, grid: _Grid
    ) -> tuple[Tensor, Tensor]:
        """Refine the queries and their boxes layer by layer, and return the logits and boxes of the last layer.

        Args:
            image: tokens of the image.
            text: tokens of the caption, and which of them are padding.
            hidden: the queries.
            reference: their first boxes.
            grid: constants of the input size.
        """
        decoder, (words, padding) = self._model.decoder, text
        read = None if padding is None else ~padding[:, None, None]
        before = reference
        for number, layer in enumerate(decoder.layers):
            before = reference
            position = decoder.reference_points_head(sine_encoding(reference, self._config.d_model // 2))
            hidden = layer.self_attn_layer_norm(hidden + _attend(layer.self_attn, hidden + position, hidden + position, hidden))
            mixed = _attend(layer.encoder_attn_text, hidden + position, words, words, read)
            hidden = layer.encoder_attn_text_layer_norm(hidden + mixed)
            boxes = reference[:, :, None].expand(-1, -1, len(grid.shapes), -1)
            hidden = layer.encoder_attn_layer_norm(hidden + self._sample(layer.encoder_attn, hidden + position, image, boxes, grid))
            hidden = layer.final_layer_norm(hidden + layer.fc2(layer.activation_fn(layer.fc1(hidden))))
            reference = (decoder.bbox_embed[number](hidden) + torch.special.logit(reference, eps=_EPS)).sigmoid()
        hidden = decoder.layer_norm(hidden)
        logits = hidden @ words.transpose(1, 2)
        if self._bias is not None:
            logits = logits / math.sqrt(hidden.shape[-1]) + self._bias
        return logits, (self._head.bbox_embed[-1](hidden) + torch.special.logit(before, eps=_EPS)).sigmoid()


def _attend(attention: Any, query: Tensor, key: Tensor, value: Tensor, read: Tensor | None = None) -> Tensor:
    """Return the attention of queries [N, Q, C] to keys and values [N, K, C], or to those of them that are `read`, bool [N, 1, 1, K]."""
    heads = attention.num_attention_heads

    def split(x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], heads, -1).transpose(1, 2)

    parts = split(attention.query(query)), split(attention.key(key)), split(attention.value(value))
    mixed = F.scaled_dot_product_attention(*parts, attn_mask=read).transpose(1, 2).flatten(2)
    output: Tensor = attention.out_proj(mixed)
    return output
