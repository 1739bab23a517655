# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The image part of a detector as static functions, so that a CUDA graph replays each with one launch.

There is one function for each input size and each of a few numbers of tokens, to which captions are padded. Detections without a function
run as usual. Functions are made before the first frame, or on the detector's thread after a detection, so no frame waits for them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.runtime.graphs import GraphPool, StaticFunction, graph_pool, leaves

log = logging.getLogger(__name__)
TOKEN_COUNTS = (16, 32, 64, 128, 256)
"""Numbers of tokens to which captions are padded."""
USUAL_TOKEN_COUNTS = TOKEN_COUNTS[:2]
"""Numbers of tokens of one to four phrases."""
MAX_FUNCTIONS = 8
"""Maximum number of functions. A further one replaces the one that was not used for the longest time."""
IDLE_S = 60.0
"""Time in seconds without use after which a function may be replaced. It prevents that functions in use replace each other."""
MISSES = 3
"""Number of detections without a function after which it is made."""
_MAX_MISSED = 64
_Key = tuple[int, int, int]  # height and width of the input, number of tokens


class Text(Protocol):
    """The features of a caption: a dataclass of tensors that is hashed by identity."""

    def __hash__(self) -> int: ...

    def padded(self, count: int) -> Any:
        """Return new features of `count` tokens that give the same results."""
        ...


@dataclass(eq=False)
class _Prepared:
    """A static function and its arguments.

    Attributes:
        function: the function.
        pixels: its image, float32 [1, 3, h, w].
        text: its caption.
        source: the caption whose values `text` has. None before the first one.
        used_at: time of the latest use in seconds on the clock of `time.monotonic`.
    """

    function: StaticFunction
    pixels: Tensor
    text: Any
    source: Text | None
    used_at: float

    def run(self, pixels: Tensor, source: Text, padded: Any) -> Tensor:
        """Run the function, and return a copy of its result on the host.

        Args:
            pixels: the image.
            source: the caption.
            padded: its padded features.
        """
        self.pixels.copy_(pixels)
        if source is not self.source:
            for target, value in zip(leaves(self.text), leaves(padded)):
                target.copy_(value)
            self.source = source
        self.used_at = time.monotonic()
        result: Tensor = self.function.run()
        return result.to("cpu", copy=True)


class StaticDetection:
    """The image part of a detector, and its static functions. Any number of threads may use it.

    Args:
        detect: the image part, a function of pixels [N, 3, h, w], a caption of T tokens and `constants`. It returns logits
            [N, queries, T] and boxes [N, queries, 4].
        constants: returns the constants of `detect` for pixels of one size, as dataclasses and tuples of tensors.
        device: device of the network.

    Attributes:
        failure: the reason why all detections run as usual. Empty if there is none.
        detections: number of passes over an image by path: static, or usual.
        due: size and tokens of the function that several detections lacked, and a caption. None without one.
    """

    def __init__(
        self, detect: Callable[[Tensor, Any, Any], tuple[Tensor, Tensor]], constants: Callable[[Tensor], object], device: torch.device
    ) -> None:
        self.failure = ""
        self.detections = Counter(static=0, usual=0)
        self._detect, self._constants, self._device = detect, constants, device
        self._lock = threading.Lock()
        self._pool: GraphPool | None = None
        self._prepared: dict[_Key, _Prepared] = {}
        self._missed: Counter[_Key] = Counter()
        self.due: tuple[_Key, Text] | None = None
        self._padded = lru_cache(maxsize=64)(lambda text, count: text.padded(count))

    def run(self, pixels: Tensor, text: Text, tokens: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Detect a caption on images, and copy the result to the host at once. The thread waits for the device only there.

        Args:
            pixels: normalized images, float32 [N, 3, h, w].
            text: the caption.
            tokens: its number of tokens T.

        Returns:
            The probability of each token for each query, 0..1, float32 [N, queries, T], and the boxes, float32 [N, queries, 4].
        """
        height, width = pixels.shape[2:]
        key = (height, width, next((count for count in TOKEN_COUNTS if count >= tokens), 0))
        result = self._run_prepared(key, pixels, text) if len(pixels) == 1 else None
        self.detections["usual" if result is None else "static"] += 1
        if result is None:
            if len(pixels) == 1 and key[2] and not self.failure:
                self._count_miss(key, text)
            result = self._pack(pixels, text, None).cpu()
        packed = result.numpy()
        return packed[..., :tokens], packed[..., -4:]

    def _run_prepared(self, key: _Key, pixels: Tensor, text: Text) -> Tensor | None:
        """Run the function with this key. Return None if there is none, or if another thread uses or makes a function."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            prepared = self._prepared.get(key)
            return prepared.run(pixels, text, self._padded(text, key[2])) if prepared is not None else None
        finally:
            self._lock.release()

    def _pack(self, pixels: Tensor, text: Any, constants: Any) -> Tensor:
        """Return probabilities and boxes in one tensor, float32 [N, queries, T + 4]."""
        logits, boxes = self._detect(pixels, text, constants)
        return torch.cat((logits.float().sigmoid(), boxes.float()), dim=-1)

    def _count_miss(self, key: _Key, text: Text) -> None:
        """Remember what ran without a function. Single images of many sizes need none, so a function is due after `MISSES` times."""
        if len(self._missed) >= _MAX_MISSED:
            self._missed.clear()
        self._missed[key] += 1
        if self._missed[key] >= MISSES:
            self.due = key, text

    def prepare(self, sizes: Iterable[tuple[int, int]], text: Text, max_seconds: float, report: Callable[[str], None]) -> None:
        """Make the functions for captions of one to four phrases. A failure is logged, and all detections then run as usual.

        Args:
            sizes: heights and widths of the input in pixels.
            text: any caption of one phrase.
            max_seconds: time after which no further function is made. The detector's thread makes it when it is needed.
            report: called with a sentence for each function.
        """
        began = time.monotonic()
        for height, width in dict.fromkeys(sizes):
            for tokens in USUAL_TOKEN_COUNTS:
                case = f"the detector at {width} x {height} with {tokens} tokens"
                if self.failure:
                    return
                if time.monotonic() - began > max_seconds:
                    report(f"no time is left to prepare {case}: it runs as usual until its thread has prepared it")
                elif self._make((height, width, tokens), text):
                    report(f"prepared {case} after {time.monotonic() - began:.1f} s")

    def prepare_missed(self) -> None:
        """Make the function that is `due`. The caller's thread must be one that no frame waits for."""
        due, self.due = self.due, None
        if due is not None:
            self._missed.pop(due[0], None)
            if self._make(*due):
                log.info("prepared the detector at %d x %d with %d tokens", due[0][1], due[0][0], due[0][2])

    @torch.inference_mode()
    def _make(self, key: _Key, text: Text) -> bool:
        """Make a function. Return False if it exists, fails, or would replace one that is in use."""
        with self._lock:
            if self.failure or key in self._prepared or not self._has_room():
                return False
            try:
                self._pool = self._pool or graph_pool(self._device)
                height, width, tokens = key
                source = torch.Generator(self._device).manual_seed(0)
                pixels = torch.randn(1, 3, height, width, generator=source, device=self._device)  # a blank image has no best queries
                padded = text.padded(tokens)
                part = partial(self._pack, constants=self._constants(pixels))  # keeps the constants, whose addresses a graph uses
                function = StaticFunction(part, (pixels, padded), self._pool)
                if self._device.type == "cuda":
                    torch.cuda.synchronize(self._device)  # another thread with another stream may run the function
            except Exception as error:  # CUDA and its libraries raise many types
                self.stop(f"{type(error).__name__}: {error}".splitlines()[0])
                log.warning("detections run without CUDA graphs, which is slower: %s", self.failure)
                return False
            if not self.failure:  # else another thread has called `stop`
                self._prepared[key] = _Prepared(function, pixels, padded, None, time.monotonic())
            return not self.failure

    def _has_room(self) -> bool:
        """Make room for a function. Return False if all functions are in use."""
        if len(self._prepared) < MAX_FUNCTIONS:
            return True
        key, oldest = min(self._prepared.items(), key=lambda item: item[1].used_at)
        if time.monotonic() - oldest.used_at < IDLE_S:
            return False
        del self._prepared[key]
        return True

    def stop(self, reason: str) -> None:
        """Run all detections as usual from now on, and release the memory of the functions."""
        self.failure = reason
        self._prepared = {}
