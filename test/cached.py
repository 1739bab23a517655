# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A segmenter that computes nothing twice, for tests that process the same images many times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import fields, is_dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter

NETWORK = ("encode", "attend", "decode", "point", "encode_memory")
"""The five functions of the segmenter."""


class CachedSegmenter(Sam2Segmenter):
    """The segmenter with a cache of the results of some of its functions.

    The functions keep no state, so inputs that are equal bit for bit have equal results. An input that differs in one bit is computed.

    Args:
        segmenter: the segmenter to call.
        cached: names of the functions with a cache.
    """

    def __init__(self, segmenter: Sam2Segmenter, cached: tuple[str, ...] = ("encode",)) -> None:
        vars(self).update(vars(segmenter))
        self.results: dict[tuple[Any, ...], Any] = {}
        for name in cached:
            setattr(self, name, partial(self._cached, name, getattr(segmenter, name)))

    def _cached(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        key = (name, *parts(args), *kwargs, *parts(tuple(kwargs.values())))
        if key not in self.results:
            self.results[key] = function(*args, **kwargs)
        return deepcopy(self.results[key])


def parts(value: Any) -> Iterator[Any]:
    """Yield what identifies a nested value: the shape, type and digest of each tensor, and all other values."""
    if isinstance(value, Tensor):
        stored = value.detach().contiguous().reshape(-1).view(torch.uint8).cpu().numpy()
        yield from (value.shape, value.dtype, blake2b(stored).digest())
    elif is_dataclass(value):
        for item in fields(value):
            yield from parts(getattr(value, item.name))
    elif isinstance(value, tuple | list):
        yield len(value)
        for item in value:
            yield from parts(item)
    else:
        yield value
