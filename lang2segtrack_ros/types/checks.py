# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the types of values that callers give.

A wrong type raises the same error class as a wrong value, such as `PromptError`, so that callers handle one class. NumPy scalars are
numbers. A bool is no number, because it is nearly always a mistake there.
"""

from __future__ import annotations

import math
import reprlib
from numbers import Integral, Real
from types import FunctionType
from typing import Any


class ArgumentError(ValueError):
    """An argument of a wrong type. The message says which value was given and which one is needed."""


def as_number(value: object) -> float | None:
    """Return a real number as a float, which may be infinite. Return None for NaN and for any other value."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer with more than 308 digits
        return None
    return None if math.isnan(number) else number


def as_finite(value: object) -> float | None:
    """Return a finite real number as a float. Return None for any other value."""
    number = as_number(value)
    return None if number is None or math.isinf(number) else number


def as_integer(value: object) -> int | None:
    """Return an integer as an int. Return None for any other value, also for a float without a fraction."""
    return None if isinstance(value, bool) or not isinstance(value, Integral) else int(value)


def as_list(value: object) -> list[Any] | None:
    """Return the items of a list, a tuple, an array or a tensor. Return None for any other value, also for a text."""
    items = value.tolist() if hasattr(value, "tolist") else value
    return list(items) if isinstance(items, (list, tuple)) else None


def describe(value: object) -> str:
    """Return a value in a few words for a message: its text, and its type unless that is plain to see."""
    if value is None or type(value) in (int, float, list, tuple):
        return reprlib.repr(value)
    if isinstance(value, (type, FunctionType)):
        return f"the {'class' if isinstance(value, type) else 'function'} {value.__name__}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} {list(value.shape)} ({type(value).__name__})"
    text = reprlib.repr(value)
    return f"a {type(value).__name__}" if text.startswith("<") else f"{text} ({type(value).__name__})"
