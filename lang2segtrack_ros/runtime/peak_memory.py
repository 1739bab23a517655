# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Peak memory of tensors that an operation needs, counted operation by operation. It works on every device, "meta" included."""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lang2segtrack_ros.runtime.graphs import leaves


class PeakMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A meter of the memory that operations allocate inside a with block. Workspaces of libraries are not counted.

    Attributes:
        peak: largest number of bytes that were allocated at the same time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._live = 0
        self._tensors: dict[int, int] = {}  # number of living tensors by storage

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {_storage(tensor) for tensor in leaves([*args, *(kwargs or {}).values()])}
        result = func(*args, **(kwargs or {}))
        for tensor in leaves(result):
            key = _storage(tensor)
            if key in self._tensors:
                self._tensors[key] += 1
            elif key in before:  # a view of a tensor from outside
                continue
            else:
                self._tensors[key] = 1
                self._live += tensor.untyped_storage().nbytes()
                self.peak = max(self.peak, self._live)
            weakref.finalize(tensor, self._release, key, tensor.untyped_storage().nbytes())
        return result

    def _release(self, key: int, size: int) -> None:
        self._tensors[key] -= 1
        if not self._tensors[key]:
            del self._tensors[key]
            self._live -= size


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
