# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Functions of tensors as CUDA graphs: a whole function becomes one launch, so the interpreter does not set the speed.

A `StaticFunction` runs a function on tensors at fixed addresses, and keeps its outputs at fixed addresses, too. On a CUDA device it
captures the function once, and replays the capture. On a CPU it runs the same function each time. Tests on a CPU therefore show every
fault of the static path but those of the capture: outputs that are read after the next run, and inputs that are not updated.

A captured function must not synchronize, must not depend on values in Python, and must allocate by shapes only. `check_static` proves all
three on any device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_running = threading.local()
WARM_UP_CALLS = 3
"""Calls before a capture, in which the libraries choose their kernels and allocate their workspaces."""
TOLERANCE = 0.02
"""Largest difference between the first replay and an eager call, relative to the largest value of the output."""


class GraphError(RuntimeError):
    """A function that cannot be captured; the message gives the reason."""


def is_static() -> bool:
    """Return True inside a static function, which must not look at the values of tensors."""
    return getattr(_running, "static", False)


@contextmanager
def static_mode() -> Iterator[None]:
    """Run functions as inside a static function; see `is_static`."""
    before = is_static()
    _running.static = True
    try:
        yield
    finally:
        _running.static = before


def leaves(value: Any) -> list[Tensor]:
    """Return the tensors of nested dataclasses and tuples, in order."""
    if isinstance(value, Tensor):
        return [value]
    if is_dataclass(value) and not isinstance(value, type):
        return [leaf for item in fields(value) for leaf in leaves(getattr(value, item.name))]
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in leaves(item)]
    return []


class StaticFunction:
    """A function of tensors at fixed addresses, with outputs at fixed addresses.

    Args:
        function: the function.
        args: its arguments: tensors, and dataclasses and tuples of tensors and constants. The caller writes new values into these tensors.
        pool: memory pool of CUDA graphs; None runs the function without a capture.

    Attributes:
        outputs: what the function returns. Each `run` overwrites the tensors.

    Raises:
        GraphError: the capture gives other values than the function.
        RuntimeError: the function cannot be captured.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], pool: Any = None) -> None:
        self._function, self._args = function, args
        self._graph: Any = None
        inputs = leaves(args)
        before = [tensor.clone() for tensor in inputs]
        with static_mode():
            if pool is None:
                self.outputs = function(*args)
            else:
                self._graph, self.outputs = _capture(function, args, pool)
        _restore(inputs, before)

    def run(self) -> Any:
        """Run the function on the present values of its arguments, and return `outputs`."""
        if self._graph is not None:
            self._graph.replay()
            return self.outputs
        with static_mode():
            for output, result in zip(leaves(self.outputs), leaves(self._function(*self._args))):
                output.copy_(result)
        return self.outputs


def _capture(function: Callable[..., Any], args: tuple[Any, ...], pool: Any) -> tuple[Any, Any]:
    """Capture a function as a CUDA graph, and compare its first replay with an eager call. Raises GraphError and RuntimeError."""
    cuda: Any = torch.cuda  # torch has no types for its streams
    inputs = leaves(args)
    before = [tensor.clone() for tensor in inputs]
    stream = cuda.Stream()
    stream.wait_stream(cuda.current_stream())
    with cuda.stream(stream):
        for _ in range(WARM_UP_CALLS):
            expected = [tensor.clone() for tensor in leaves(function(*args))]
            _restore(inputs, before)
    cuda.current_stream().wait_stream(stream)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        outputs = function(*args)
    graph.replay()
    _compare(leaves(outputs), expected)
    return graph, outputs


def _restore(inputs: list[Tensor], values: list[Tensor]) -> None:
    """Undo what a function wrote into its inputs."""
    for tensor, value in zip(inputs, values):
        tensor.copy_(value)


def _compare(outputs: list[Tensor], expected: list[Tensor]) -> None:
    """Raise GraphError if outputs differ from the expected ones by more than rounding."""
    for number, (output, reference) in enumerate(zip(outputs, expected)):
        left, right = output.double().nan_to_num(), reference.double().nan_to_num()
        difference = float((left - right).abs().max()) if left.numel() else 0.0
        scale = float(right.abs().max()) if right.numel() else 0.0
        if difference > TOLERANCE * max(scale, 1.0):
            raise GraphError(f"output {number} of the replay differs by {difference:.3g} from the function's, which is at most {scale:.3g}")


_FORBIDDEN = (
    "_local_scalar_dense",  # item(), bool(), int(): the host waits for the device
    "is_nonzero",
    "equal",
    "nonzero",  # also an index by a bool mask: the shape depends on values
    "masked_select",
    "_unique2",
    "lift_fresh",  # torch.tensor(...): a copy from the host
)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A recorder of operations and shapes that refuses operations which a CUDA graph cannot hold."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        by_mask = name.startswith("index") and any(leaf.dtype in (torch.bool, torch.uint8) for leaf in leaves(list(args[1:2])))
        if name in _FORBIDDEN or by_mask:
            raise GraphError(f"{name}{' by a mask' if by_mask else ''} depends on the values of tensors")
        result = func(*args, **(kwargs or {}))
        self.operations.append((str(func), *(tuple(leaf.shape) for leaf in leaves(result))))
        return result


def check_static(function: Callable[..., Any], *cases: tuple[Any, ...]) -> None:
    """Check that a function can be captured: no synchronization, and the same operations and shapes for arguments of one kind.

    Args:
        function: the function.
        *cases: two or more tuples of arguments of the same kind, with different values.

    Raises:
        GraphError: the function cannot be captured; the message names the operation.
    """
    recorded = []
    for args in cases:
        recorder = _Recorder()
        with static_mode(), recorder:
            function(*args)
        recorded.append(recorder.operations)
    for other in recorded[1:]:
        for number, (one, two) in enumerate(zip(recorded[0], other)):
            if one != two:
                raise GraphError(f"operation {number} depends on the values of tensors: {one} and {two}")
        if len(other) != len(recorded[0]):
            raise GraphError(f"the number of operations depends on the values of tensors: {len(recorded[0])} and {len(other)}")
