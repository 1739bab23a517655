# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Parts of the segmenter in their plain and in their fast form: time, peak memory and largest difference of each pair.

The plain form computes on the modules of transformers as they are, in bfloat16 under autocast. The fast form is the one that a GPU runs.
On a GPU, both run as CUDA graphs, so that the time is that of the device. On a CPU, both run in float32, which shows that they are equal.
Such a table shows no gain. Prints a table and writes out/bench/network.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import Tensor

from bench.numbers_file import numbers_file, write
from bench.tracking import median_ms, random_segmenter
from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.runtime.graphs import StaticFunction, graph_pool, leaves
from lang2segtrack_ros.segmentation.image_encoder import encode_levels
from lang2segtrack_ros.segmentation.memory_attention import Memories, halves, rotate, rotate_halves
from lang2segtrack_ros.segmentation.memory_encoder import channel_norm
from lang2segtrack_ros.segmentation.precision import cast_layers
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter

SLOTS = 7
REPEATS = 10


@dataclass
class Pair:
    """The measurement of one part in both forms.

    Attributes:
        part: name of the part.
        objects: number of objects.
        plain_ms: median time of the plain form in milliseconds.
        fast_ms: median time of the fast form.
        plain_mb: peak memory of the plain form above its inputs, in MB. 0 on a CPU.
        fast_mb: peak memory of the fast form.
        difference: largest difference of their results, relative to the largest value.
    """

    part: str
    objects: int
    plain_ms: float
    fast_ms: float
    plain_mb: float
    fast_mb: float
    difference: float

    def line(self) -> str:
        """Return the row of the table."""
        times = f"{self.plain_ms:>10.3f}{self.fast_ms:>10.3f}{self.plain_ms / self.fast_ms:>8.2f}"
        return f"{self.part:<36}{self.objects:>8}{times}{self.plain_mb:>10.1f}{self.fast_mb:>10.1f}{self.difference:>12.1e}"


HEAD = f"{'part':<36}{'objects':>8}{'plain ms':>10}{'fast ms':>10}{'ratio':>8}{'plain MB':>10}{'fast MB':>10}{'difference':>12}"


class NetworkBench:
    """Both forms of one network.

    Args:
        network: "toy", or a published size and an input size such as "tiny/1024", with random weights.
        device: device of the network.
        dtype: type of the computation. The plain form in bfloat16 runs under autocast.
    """

    def __init__(self, network: str, device: str, dtype: torch.dtype) -> None:
        self.device, self.dtype = torch.device(device), dtype
        size, _, pixels = network.partition("/")

        def load() -> Sam2Segmenter:
            return (
                load_segmenter("toy", device, dtype="float32")
                if size == "toy"
                else random_segmenter(size, int(pixels), device, torch.float32)
            )

        self.plain = load()
        self.fast = Sam2Segmenter(load().model, network, self.dtype)
        if self.dtype == torch.bfloat16:
            cast_layers(self.plain.model)
        if self.device.type != "cuda":
            self.fast.memory_attention.fuse()
            self.fast.memory_encoder.fuse()
        frozen = self.fast._frozen
        self._position = None if frozen is None else frozen.position
        self._generator = torch.Generator(self.device).manual_seed(0)

    def _random(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(*shape, generator=self._generator, device=self.device).to(dtype)

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def measure(self, part: str, objects: int, plain: Callable[[], object], fast: Callable[[], object]) -> Pair:
        """Measure both forms of a part.

        Args:
            part: name of the part.
            objects: number of objects.
            plain: the plain form; it runs under autocast on a GPU.
            fast: the fast form.
        """

        def under_autocast() -> object:
            with self._autocast():
                return plain()

        (expected, plain_ms, plain_mb), (found, fast_ms, fast_mb) = (self._run(function) for function in (under_autocast, fast))
        differences = [float((b.float() - a.float()).abs().max() / a.float().abs().max()) for a, b in zip(expected, found)]
        return Pair(part, objects, plain_ms, fast_ms, plain_mb, fast_mb, max(differences))

    def _run(self, function: Callable[[], object]) -> tuple[list[Tensor], float, float]:
        """Return the results of a function, its median time in ms and its peak memory in MB."""
        cuda = self.device.type == "cuda"
        results, peak = [tensor.clone() for tensor in leaves(function())], 0.0
        if cuda:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            function()
            peak = (torch.cuda.max_memory_allocated() - before) / 1e6
        run = StaticFunction(function, (), graph_pool(self.device)).run if cuda else function
        return results, median_ms(lambda _: run(), self.device, REPEATS if cuda else 3, fill=0), peak

    def memories(self, count: int) -> Memories:
        """Return random memories of `count` objects, of which one slot in seven does not exist."""
        segmenter, tokens = self.plain, self.plain.feature_size**2
        pointers = 16 * segmenter.pointer_tokens
        valid = torch.ones(count, SLOTS, dtype=torch.bool, device=self.device)
        valid[:, -1] = False
        return Memories(
            self._random(count, SLOTS, tokens, segmenter.memory_dim, dtype=self.dtype),
            segmenter.temporal_rows[:SLOTS].expand(count, -1, -1),
            valid,
            self._random(count, pointers, segmenter.memory_dim),
            self._random(count, pointers, segmenter.memory_dim),
            torch.ones(count, pointers, dtype=torch.bool, device=self.device),
        )

    def pairs(self, counts: list[int]) -> Iterator[Pair]:
        """Measure all parts for each number of objects."""
        plain, fast, side = self.plain, self.fast, self.plain.image_size
        pixels = self._random(1, 3, side, side)
        backbone = plain.model.vision_encoder.backbone
        yield self.measure(
            "backbone of transformers, encode",
            1,
            lambda: tuple(backbone(pixels).intermediate_hidden_states[2:]),
            lambda: self._levels(pixels),
        )
        with self._autocast():
            features = plain.encode(pixels)
        narrow = ImageFeatures(
            (features.high[0].to(self.dtype), features.high[1].to(self.dtype)), features.top.to(self.dtype), fast.feature_position
        )
        for count in counts:
            yield from self._attention(count, features, narrow)
            yield self._decoder(count, features, narrow)
            yield from self._encoder(count, features, narrow)

    def _decoder(self, count: int, features: ImageFeatures, narrow: ImageFeatures) -> Pair:
        """Measure the mask decoder."""
        wide = self._random(count, self.plain.hidden_dim, self.plain.feature_size, self.plain.feature_size)
        maps = wide.to(self.dtype)
        return self.measure(
            "mask decoder", count, lambda: self.plain.decode(wide, features).masks, lambda: self.fast.decode(maps, narrow).masks
        )

    def _levels(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(encode_levels(self.fast.model.vision_encoder.backbone, pixels.to(self.dtype), self._position)[2:])

    def _attention(self, count: int, features: ImageFeatures, narrow: ImageFeatures) -> Iterator[Pair]:
        """Measure the memory attention and its parts."""
        memories, attention = self.memories(count), self.fast.memory_attention
        rotations = attention.rotations
        keys = self._random(count, SLOTS, *rotations.shape, 2, dtype=self.dtype)
        ordered = torch.cat((keys[..., 0], keys[..., 1], keys[..., 0]), dim=-1)[..., None, :]
        factors = halves(rotations)
        yield self.measure(
            "rotary encoding of keys",
            count,
            lambda: rotate(keys.flatten(-2), rotations).view(keys.shape).transpose(-1, -2).flatten(-2),
            lambda: rotate_halves(ordered, factors)[..., 0, :],
        )

        def with_chunks(is_chunked: bool | None) -> Tensor:
            attention.is_chunked = is_chunked
            try:
                return self.fast.attend(narrow, memories)
            finally:
                attention.is_chunked = None

        yield self.measure("memory attention: mask, chunks", count, lambda: with_chunks(False), lambda: with_chunks(True))
        yield self.measure("memory attention", count, lambda: self.plain.attend(features, memories), lambda: with_chunks(None))

    def _encoder(self, count: int, features: ImageFeatures, narrow: ImageFeatures) -> Iterator[Pair]:
        """Measure the memory encoder and its parts."""
        plain, fast = self.plain, self.fast
        for number, layer in enumerate(fast.model.memory_encoder.mask_downsampler.layers[:2]):
            side = plain.image_size >> (number + 1)
            x = self._random(count, layer.conv.out_channels, side, side, dtype=self.dtype).to(memory_format=torch.channels_last)
            norm = layer.layer_norm
            yield self.measure(f"norm of {x.shape[1]} channels", count, partial(norm, x), partial(channel_norm, norm, x))
        masks, score = self._random(count, plain.mask_size, plain.mask_size) * 5, self._random(count)
        binary = torch.zeros(count, dtype=torch.bool, device=self.device)
        planar = deepcopy(fast.memory_encoder)
        planar._model.memory_encoder.to(memory_format=torch.contiguous_format)
        maps = fast.raw_maps(narrow, 1)
        yield self.measure(
            "memory encoder: channels first, last",
            count,
            lambda: planar(maps, masks, score, binary),
            lambda: fast.memory_encoder(maps, masks, score, binary),
        )
        yield self.measure(
            "memory encoder",
            count,
            lambda: plain.encode_memory(features, masks, score, binary),
            lambda: fast.encode_memory(narrow, masks, score, binary),
        )


@torch.inference_mode()
def compare(network: str, device: str, dtype: torch.dtype, counts: list[int]) -> list[Pair]:
    """Measure all parts of a network, and print them as they come.

    Args:
        network: see `NetworkBench`.
        device: device of the network.
        dtype: type of the computation.
        counts: numbers of objects.
    """
    pairs = []
    print(HEAD, flush=True)
    for pair in NetworkBench(network, device, dtype).pairs(counts):
        print(pair.line(), flush=True)
        pairs.append(pair)
    return pairs


def main() -> None:
    """Run the comparison on the device at hand."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="tiny/1024" if cuda else "toy", help="toy, or size and input size (default: %(default)s)")
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 4, 16] if cuda else [1, 4], help="numbers of objects")
    parser.add_argument("--out", type=numbers_file, default="out/bench/network.json", help="JSON file to write (default: %(default)s)")
    parser.add_argument(
        "--dtype", default="bfloat16" if cuda else "float32", choices=["bfloat16", "float32"], help="(default: %(default)s)"
    )
    options = parser.parse_args()
    machine = torch.cuda.get_device_name() if cuda else "CPU"
    print(f"{machine}, torch {torch.__version__}, {options.network}, {options.dtype}")
    pairs = compare(options.network, "cuda" if cuda else "cpu", getattr(torch, options.dtype), options.objects)
    write(options.out, {"machine": machine, "network": options.network, "dtype": options.dtype, "pairs": [asdict(pair) for pair in pairs]})


if __name__ == "__main__":
    main()
