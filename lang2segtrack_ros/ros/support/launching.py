# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Parts of `track.launch.py` that launch itself does not have. They work from Humble on and load no torch.

* `parameter_arguments` declares a launch argument for each parameter of a node.
* `GivenValues` passes those arguments on that were given, and leaves the others to the parameter file.
* `warn_about_leftovers` finds values that an earlier include of the same file left behind.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from launch import LaunchContext, Substitution
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetLaunchConfiguration
from launch.substitutions import LaunchConfiguration
from launch.utilities import perform_substitutions
from launch_ros.utilities import make_namespace_absolute, prefix_namespace

from lang2segtrack_ros.ros.support.parameter_table import Parameter, Value
from lang2segtrack_ros.ros.support.transports import chosen

MARK = "lang2segtrack_included_arguments"
"""Launch configuration with the values of the last include, if its scope is still open."""
NO_TEXT = "none"
"""Value of an argument that stands for an empty text, because an empty argument means "not given"."""
SIM_TIME = Parameter("use_sim_time", False, "Use the time of /clock, for recorded bags and simulators.")
"""Parameter of every node, and argument without a prefix."""


def parameter_arguments(parameters: Iterable[Parameter], prefix: str = "") -> list[DeclareLaunchArgument]:
    """Declare a launch argument for each parameter. An argument that is not given leaves the parameter to the parameter file.

    Args:
        parameters: the parameters.
        prefix: text before each name.
    """
    arguments = []
    for parameter in parameters:
        allowed = f" One of: {', '.join(parameter.choices)}." if parameter.choices else ""
        default = f"'{parameter.default}'" if isinstance(parameter.default, str) else str(parameter.default).lower()
        text = f"{parameter.description}{allowed} Not given: as in the parameter file, otherwise {default}."
        arguments.append(DeclareLaunchArgument(f"{prefix}{parameter.name}", default_value="", description=text))
    return arguments


class NodeSubstitution(Substitution):
    """Text about one node.

    Args:
        node: name of the node.
        namespace: launch argument with the node's namespace.
    """

    def __init__(self, node: str, namespace: LaunchConfiguration) -> None:
        super().__init__()
        self._node = node
        self._namespace = namespace

    def describe(self) -> str:
        """Return a text for launch's listings."""
        return f"{type(self).__name__}({self._node})"

    def full_name(self, context: LaunchContext) -> str:
        """Return the whole name of the node, such as `/left/track_node`, inside the namespaces that groups around it pushed.

        Args:
            context: context of the launch.
        """
        inner = perform_substitutions(context, [self._namespace])
        whole = prefix_namespace(context.launch_configurations.get("ros_namespace"), inner or None)
        return f"{(make_namespace_absolute(whole) or '').rstrip('/')}/{self._node}"


class LoggerName(NodeSubstitution):
    """Name of a node's logger, such as `left.track_node`."""

    def perform(self, context: LaunchContext) -> str:
        """Return the name.

        Args:
            context: context of the launch.
        """
        return self.full_name(context).strip("/").replace("/", ".")


class GivenValues(NodeSubstitution):
    """Path of a temporary parameter file for one node, with the values of the launch arguments that were given.

    The file names the node in full, because such values override those of other files. As with launch_ros's own files, it stays in
    the folder for temporary files.

    Args:
        node: name of the node.
        namespace: launch argument with the node's namespace.
        parameters: parameters of the node that `parameter_arguments` declared.
        prefix: text before the name of each argument.
        file: parameter file whose values for the node are included. launch_ros passes a file to a container only in part: it
            finds no names with wildcards before a node's name.
    """

    def __init__(
        self,
        node: str,
        namespace: LaunchConfiguration,
        parameters: Sequence[Parameter],
        prefix: str = "",
        file: LaunchConfiguration | None = None,
    ) -> None:
        super().__init__(node, namespace)
        self._parameters = tuple(parameters)
        self._prefix = prefix
        self._file = file

    def perform(self, context: LaunchContext) -> str:
        """Write the file.

        Args:
            context: context of the launch.

        Returns:
            Path of the file.

        Raises:
            RuntimeError: A value has a wrong type or is out of its range.
        """
        names = {SIM_TIME.name: SIM_TIME, **{f"{self._prefix}{item.name}": item for item in self._parameters}}
        texts = {name: context.launch_configurations.get(name, "") for name in names}
        node = self.full_name(context)
        values = {} if self._file is None else values_in_file(Path(self._file.perform(context)), node)
        values.update({names[name].name: value_of(names[name], name, text) for name, text in texts.items() if text})
        with tempfile.NamedTemporaryFile("w", prefix="lang2segtrack_", suffix=".yaml", delete=False, encoding="utf-8") as file:
            yaml.safe_dump({node: {"ros__parameters": values}}, file)
        return file.name


def values_in_file(path: Path, node: str) -> dict[str, Any]:
    """Return the parameters of one node in a parameter file. Later entries override earlier ones.

    Args:
        path: the file.
        node: whole name of the node, such as `/left/track_node`.

    Raises:
        RuntimeError: The file cannot be read, or is not a parameter file.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        values: dict[str, Any] = {}
        for pattern, entry in _entries(content, ""):
            regex = re.escape(pattern).replace(r"/\*\*", "(/.*)?").replace(r"\*", "[^/]+")
            if re.fullmatch(regex, node):
                values.update(entry)
    except (OSError, yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise RuntimeError(f"params_file:={path} is not a parameter file: {error}") from error
    return values


def _entries(content: Mapping[str, Any], above: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, inner in content.items():
        if name == "ros__parameters":
            yield above, inner
        else:
            yield from _entries(inner, f"{above}/{name.strip('/')}")


def value_of(parameter: Parameter, name: str, text: str) -> Value:
    """Convert the text of a launch argument to the type of a parameter, and check it.

    Args:
        parameter: the parameter.
        name: name of the argument, for messages.
        text: value on the command line.

    Raises:
        RuntimeError: The value has a wrong type or is out of its range.
    """
    kind = type(parameter.default)
    if kind is str:
        value: Any = "" if text == NO_TEXT and not parameter.choices else text
    else:
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
    problem = parameter.problem(value)
    if problem:
        raise RuntimeError(f"{name}:={text} is not allowed: {problem}")
    return float(value) if kind is float else value


def sets_transports(context: LaunchContext) -> bool:
    """Return True if the launch file selects transports: the user did not, and did not refuse them by `transport:=default`.

    Args:
        context: context of the launch.
    """
    return context.launch_configurations.get("transport") == "large_images" and not chosen(context.environment)


class RequiredProcess:
    """Rule that ends the launch with a process.

    `read` is an action before the process, because the arguments are gone when it ends: the scope of the include is closed by then.
    """

    def __init__(self) -> None:
        self.read = OpaqueFunction(function=self._read)
        self._is_required = False

    def _read(self, context: LaunchContext) -> None:
        flags = context.launch_configurations
        self._is_required = flags.get("required") == "true" and flags.get("respawn") != "true"

    def on_exit(self, event: Any, context: LaunchContext) -> None:
        """Handle the end of the process.

        Args:
            event: event of the process's end.
            context: context of the launch.

        Raises:
            RuntimeError: `required` is true and `respawn` is not. launch then ends all processes and returns 1.
        """
        if self._is_required and not context.is_shutdown:
            raise RuntimeError(f"track_node ended with exit code {event.returncode}, and required:=true ends the launch with it")


def warn_about_leftovers(arguments: Sequence[DeclareLaunchArgument]) -> tuple[OpaqueFunction, OpaqueFunction]:
    """Return two actions that find arguments left behind by an earlier include. They belong after the arguments and at the end.

    Two includes in one scope share their arguments: the second one uses those of the first that it does not set itself.

    Args:
        arguments: arguments of the launch file.
    """
    return OpaqueFunction(function=partial(_compare, arguments)), OpaqueFunction(function=partial(_remember, arguments))


def _given(context: LaunchContext, arguments: Sequence[DeclareLaunchArgument]) -> dict[str, str]:
    given = {}
    for argument in arguments:
        default = perform_substitutions(context, argument.default_value or [])
        value = context.launch_configurations.get(argument.name, default)
        if value != default:
            given[argument.name] = value
    return given


def _compare(arguments: Sequence[DeclareLaunchArgument], context: LaunchContext) -> None:
    earlier: Mapping[str, str] = yaml.safe_load(context.launch_configurations.get(MARK, "{}"))
    same = [f"{name}:={value}" for name, value in _given(context, arguments).items() if earlier.get(name) == value]
    if same:
        logging.getLogger("launch.user").warning(
            "track.launch.py was included before in the same scope, with the same %s. An argument that the second include does not set "
            "keeps the value of the first. Put each include into a GroupAction, as in launch/examples/two_cameras.launch.py",
            ", ".join(same),
        )


def _remember(arguments: Sequence[DeclareLaunchArgument], context: LaunchContext) -> list[SetLaunchConfiguration]:
    return [SetLaunchConfiguration(MARK, yaml.safe_dump(_given(context, arguments)))]
