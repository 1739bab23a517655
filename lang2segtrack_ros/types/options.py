# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Declaration of options: each option states its default, its range and its text once.

An options class is a frozen dataclass whose fields come from `option`. The node, the documentation and the checks read the fields.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any, Generic, TypeVar

from lang2segtrack_ros.types.checks import as_integer, as_number, describe

Value = TypeVar("Value", bool, int, float, str)


class OptionError(ValueError):
    """A value or type that an option does not allow. The message names the option, and its range or type."""


@dataclass(frozen=True)
class OptionInfo(Generic[Value]):
    """The declaration of an option.

    Attributes:
        text: effect, unit and special values, in sentences for the user.
        low, high: smallest and largest value of a number. None means no limit.
        choices: the values of a text. Empty allows every value.
        dynamic: True if the option may change while a session runs.
    """

    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False

    def problem(self, name: str, value: Any) -> str:
        """Return a sentence on why a value is not allowed, or an empty text if it is allowed.

        Args:
            name: name of the option.
            value: a value of the type of the option.
        """
        if self.low is not None and self.high is not None and not self.low <= value <= self.high:
            return f"{name} is {value}: it must be between {self.low:g} and {self.high:g}"
        if self.choices and value not in self.choices:
            return f'{name} is "{value}": it must be one of: {", ".join(self.choices)}'
        return ""


def option(
    default: Value,
    text: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    dynamic: bool = False,
) -> Any:
    """Declare a field of an options class. See `OptionInfo` for the arguments.

    Args:
        default: value of the option if nothing is given.
        text: see `OptionInfo`.
        low: see `OptionInfo`.
        high: see `OptionInfo`.
        choices: see `OptionInfo`.
        dynamic: see `OptionInfo`.
    """
    return field(default=default, metadata={"option": OptionInfo(text, low, high, choices, dynamic)})


def info_of(item: Field[Any]) -> OptionInfo[Any]:
    """Return the declaration of a field of an options class."""
    info: OptionInfo[Any] = item.metadata["option"]
    return info


def check_options(options: Any) -> None:
    """Check all values of an instance of an options class.

    Args:
        options: the instance.

    Raises:
        OptionError: a value has a wrong type, lies outside its range, or is not one of its choices.
    """
    for item in fields(options):
        value = getattr(options, item.name)
        if not _has_type_of(value, item.default):
            needed = {bool: "True or False", int: "an integer", float: "a number", str: "a text"}[type(item.default)]
            raise OptionError(f"{item.name} is {describe(value)}: it must be {needed}")
        problem = info_of(item).problem(item.name, getattr(options, item.name))
        if problem:
            raise OptionError(problem)


def _has_type_of(value: object, default: object) -> bool:
    """Return True if a value can stand for a default. An integer stands for a float, and a NumPy scalar for a number."""
    if isinstance(default, (bool, str)):
        return isinstance(value, type(default))
    return (as_integer(value) if isinstance(default, int) else as_number(value)) is not None
