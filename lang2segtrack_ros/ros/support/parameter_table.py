# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""How a node's parameters are declared: one table from which it, its checks and its documentation are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from rclpy.node import Node

Value = Union[bool, int, float, str]


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name, default, description: as `ros2 param describe` shows them; the default's type is the parameter's.
        low, high: inclusive range of a number.
        choices: allowed texts, empty for any.
        dynamic: whether it may change while the node works.
    """

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False

    def problem(self, value: Any) -> str:
        """What is wrong with a value, empty when nothing is."""
        kind = type(self.default)
        number = kind is float and type(value) is int
        if type(value) is not kind and not number:
            return f"{self.name} must be a {kind.__name__}, not {value!r}"
        if self.low is not None and self.high is not None and not self.low <= value <= self.high:
            return f"{self.name} is {value}; it must lie between {self.low:g} and {self.high:g}"
        if self.choices and value not in self.choices:
            return f'{self.name} is "{value}"; it must be one of: {", ".join(self.choices)}'
        return ""

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.choices:
            return ", ".join(f"`{choice}`" for choice in self.choices)
        return f"{self.low:g} to {self.high:g}" if self.low is not None and self.high is not None else ""


class ParameterTable:
    """All parameters of a node.

    Args:
        parameters: the parameters.
        renamed: old names and the parameters that they are aliases of. A value under an old name is used, with a warning.
        removed: names of parameters that are gone, with the reason.
    """

    def __init__(
        self, parameters: Sequence[Parameter], renamed: Mapping[str, str] | None = None, removed: Mapping[str, str] | None = None
    ) -> None:
        self.parameters = tuple(parameters)
        self.renamed = dict(renamed or {})
        self.removed = dict(removed or {})
        self.by_name: Mapping[str, Parameter] = {parameter.name: parameter for parameter in parameters}

    def declare(self, node: Node, read_only: bool = False) -> None:
        """Declares all of them with their descriptions and ranges; `read_only` fixes at start those that are not dynamic."""
        from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

        given = getattr(node, "_parameter_overrides", {})
        aliases = {new: given[old].value for old, new in self.renamed.items() if old in given}
        for parameter in self.parameters:
            descriptor = ParameterDescriptor(description=parameter.description, additional_constraints=", ".join(parameter.choices))
            descriptor.read_only = read_only and not parameter.dynamic
            if parameter.low is not None and parameter.high is not None:
                if isinstance(parameter.default, float):
                    descriptor.floating_point_range = [FloatingPointRange(from_value=parameter.low, to_value=parameter.high)]
                else:
                    descriptor.integer_range = [IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high), step=1)]
            node.declare_parameter(parameter.name, aliases.get(parameter.name, parameter.default), descriptor)

    def check(self, values: Mapping[str, Any]) -> str:
        """The first problem among parameter values, empty when there is none."""
        return next(filter(None, (self.by_name[name].problem(value) for name, value in values.items() if name in self.by_name)), "")

    def warn_unknown_parameters(self, node: Node) -> None:
        """Log a warning for each given parameter that has another name now, is gone, or does not exist."""
        given = set(getattr(node, "_parameter_overrides", {}))
        for old in sorted(given & set(self.renamed)):
            used = "both were given, and the new one is used" if self.renamed[old] in given else "its value is used; write the new name"
            node.get_logger().warning(f"parameter `{old}` is now `{self.renamed[old]}`: {used}")
        for old in sorted(given & set(self.removed)):
            node.get_logger().warning(f"parameter `{old}` no longer exists: {self.removed[old]}")
        ours = {*self.by_name, *self.renamed, *self.removed, "use_sim_time"}
        strange = sorted(name for name in given - ours if not name.startswith(("qos_overrides", "start_")))
        if strange:
            node.get_logger().warning(f"there is no parameter {', '.join(strange)}; see docs/interfaces.md or ros2 param list")

    def markdown(self) -> str:
        """The table for the documentation."""
        rows = ["| parameter | default | allowed | at run time | what it does |", "|---|---|---|---|---|"]
        for parameter in self.parameters:
            default = f"`{parameter.default!r}`" if isinstance(parameter.default, str) else f"`{str(parameter.default).lower()}`"
            when = "yes" if parameter.dynamic else "no"
            rows.append(f"| `{parameter.name}` | {default} | {parameter.allowed} | {when} | {parameter.description} |")
        return "\n".join(rows)
