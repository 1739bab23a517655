# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Declaration of options: each option states its default, its range and its text once.

An options class is a frozen dataclass whose fields come from `option`. The node, the documentation and the checks read the fields.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any, Generic, TypeVar

Value = TypeVar("Value", bool, int, float, str)


class OptionError(ValueError):
    """A value that an option does not allow. The message names the option and its range."""


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
        OptionError: a value lies outside its range, or is not one of its choices.
    """
    for item in fields(options):
        problem = info_of(item).problem(item.name, getattr(options, item.name))
        if problem:
            raise OptionError(problem)
