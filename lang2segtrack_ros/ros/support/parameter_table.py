# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Table of a node's parameters, from which declarations, checks and documentation are made."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Union, cast

from lang2segtrack_ros.types.options import OptionInfo, info_of

if TYPE_CHECKING:
    from rcl_interfaces.msg import SetParametersResult
    from rclpy.node import Node
    from rclpy.parameter import Parameter as RosParameter

Value = Union[bool, int, float, str]


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name: name of the parameter.
        default: default value. Its type is the parameter's type.
        description: effect, unit and special value, as `ros2 param describe` shows them.
        low: minimum of a number, inclusive.
        high: maximum of a number, inclusive.
        choices: allowed texts. Empty allows any text.
        dynamic: True if the parameter may change while the node is configured.
    """

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False

    @staticmethod
    def of_option(item: Field[Any]) -> Parameter:
        """Return the parameter of an option; see `types.options`."""
        info = info_of(item)
        return Parameter(item.name, cast(Value, item.default), info.text, info.low, info.high, info.choices, info.dynamic)

    def problem(self, value: Any) -> str:
        """Return a sentence on why a value is not allowed, or an empty text if it is allowed."""
        kind = type(self.default)
        is_integer_for_float = kind is float and type(value) is int
        if type(value) is not kind and not is_integer_for_float:
            return f"{self.name} must be a {kind.__name__}, not {value!r}"
        return OptionInfo(self.description, self.low, self.high, self.choices).problem(self.name, value)

    @property
    def allowed(self) -> str:
        """Allowed values for the documentation."""
        if self.choices:
            return ", ".join(f"`{choice}`" for choice in self.choices)
        return f"{self.low:g} to {self.high:g}" if self.low is not None and self.high is not None else ""


class ParameterTable:
    """All parameters of a node.

    Args:
        parameters: the parameters.
        renamed: old name -> new name. A value given under an old name is used, with a warning.
        removed: name of a removed parameter -> reason.
    """

    def __init__(
        self, parameters: Sequence[Parameter], renamed: Mapping[str, str] | None = None, removed: Mapping[str, str] | None = None
    ) -> None:
        self.parameters = tuple(parameters)
        self.renamed = dict(renamed or {})
        self.removed = dict(removed or {})
        self.by_name: Mapping[str, Parameter] = {parameter.name: parameter for parameter in parameters}

    def declare(self, node: Node, read_only: bool = False) -> None:
        """Declare all parameters on a node, with descriptions, ranges and the values given under old names.

        Args:
            node: the node.
            read_only: True to make every parameter read-only that is not dynamic.

        Raises:
            ValueError: an override of QoS has an unknown policy or a wrong value.
        """
        from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

        from lang2segtrack_ros.ros.support.qos_overrides import find_problem

        problem = find_problem(node)
        if problem:
            raise ValueError(problem)
        overrides = getattr(node, "_parameter_overrides", {})
        overrides.update({name: self.converted(given) for name, given in overrides.items()})
        renamed_values = {new: overrides[old].value for old, new in self.renamed.items() if old in overrides}
        for parameter in self.parameters:
            descriptor = ParameterDescriptor(description=parameter.description, additional_constraints=", ".join(parameter.choices))
            descriptor.read_only = read_only and not parameter.dynamic
            if parameter.low is not None and parameter.high is not None:
                if isinstance(parameter.default, float):
                    descriptor.floating_point_range = [FloatingPointRange(from_value=parameter.low, to_value=parameter.high)]
                else:
                    descriptor.integer_range = [IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high), step=1)]
            node.declare_parameter(parameter.name, renamed_values.get(parameter.name, parameter.default), descriptor)

    def check(self, values: Mapping[str, Any]) -> str:
        """Return the first problem among values by parameter name, or an empty text if all are allowed."""
        return next(filter(None, (self.by_name[name].problem(value) for name, value in values.items() if name in self.by_name)), "")

    def converted(self, given: RosParameter) -> RosParameter:
        """Return a parameter with its integer converted to a float, if it belongs to a float. Otherwise return the parameter itself."""
        parameter = self.by_name.get(self.renamed.get(given.name, given.name))
        if parameter is None or type(parameter.default) is not float or type(given.value) is not int:
            return given
        return type(given)(given.name, value=float(given.value))

    def explain_unknown(self, name: str) -> str:
        """Return a sentence on a name that is no parameter, with the name that was probably meant."""
        if name in self.renamed:
            return f"parameter `{name}` is now `{self.renamed[name]}`: write the new name"
        if name in self.removed:
            return f"parameter `{name}` no longer exists: {self.removed[name]}"
        similar = difflib.get_close_matches(name, [*self.by_name, "use_sim_time"], 1)
        return f"there is no parameter {name}: {f'did you mean {similar[0]}?' if similar else 'see docs/interfaces.md or ros2 param list'}"

    def warn_unknown_parameters(self, node: Node) -> None:
        """Log a warning for each given parameter that was renamed, was removed, or does not exist."""
        given = set(getattr(node, "_parameter_overrides", {}))
        for old in sorted(given & set(self.renamed)):
            new = self.renamed[old]
            used = f"both names were given, and the value of `{new}` is used" if new in given else "its value is used; write the new name"
            node.get_logger().warning(f"parameter `{old}` is now `{new}`: {used}")
        for name in sorted(given - {*self.by_name, *self.renamed, "use_sim_time"}):
            if not name.startswith(("qos_overrides", "start_")):
                node.get_logger().warning(self.explain_unknown(name))

    @property
    def rows(self) -> list[tuple[str, object, str]]:
        """Return name, default and description of all parameters."""
        return [(parameter.name, parameter.default, parameter.description) for parameter in self.parameters]

    def markdown(self) -> str:
        """Return the table as Markdown for the documentation."""
        rows = ["| parameter | default | allowed | at run time | description |", "|---|---|---|---|---|"]
        for parameter in self.parameters:
            default = f"`{parameter.default!r}`" if isinstance(parameter.default, str) else f"`{str(parameter.default).lower()}`"
            run_time = "yes" if parameter.dynamic else "no"
            rows.append(f"| `{parameter.name}` | {default} | {parameter.allowed} | {run_time} | {parameter.description} |")
        return "\n".join(rows)


class TableNode:
    """Base class, before the class of the node, that applies a table to the parameters that are set at run time.

    Attributes:
        table: the parameters of the node.
    """

    table: ClassVar[ParameterTable]

    def set_parameters_atomically(self, parameter_list: Sequence[RosParameter]) -> SetParametersResult:
        """Set parameters: an integer is allowed for a float, and a wrong name is refused with the name that was probably meant."""
        from rcl_interfaces.msg import SetParametersResult

        node = cast("Node", super())
        unknown = [item.name for item in parameter_list if not node.has_parameter(item.name)]
        if unknown:
            return SetParametersResult(successful=False, reason="; ".join(map(self.table.explain_unknown, unknown)))
        return node.set_parameters_atomically([self.table.converted(item) for item in parameter_list])
