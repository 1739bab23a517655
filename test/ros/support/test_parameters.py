# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Parameter table of track_node: descriptions, refused values, and old names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rcl_interfaces.srv import GetParameters, SetParameters

from lang2segtrack_ros.ros.support import parameters
from lang2segtrack_ros.ros.support.parameter_table import Parameter, ParameterTable
from lang2segtrack_ros.ros.support.parameters import PARAMETERS, REMOVED, RENAMED
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment

TABLE = ParameterTable(
    (Parameter("threshold", 0.5, "A threshold.", 0.0, 1.0), Parameter("count", 3, "A count.", 1, 9)),
    renamed={"likeness": "threshold"},
    removed={"magic": "it had no effect"},
)


class FakeNode:
    """Node with parameter overrides that records declarations and warnings."""

    def __init__(self, overrides: Mapping[str, Any]) -> None:
        self._parameter_overrides = {name: rclpy.parameter.Parameter(name, value=value) for name, value in overrides.items()}
        self.values: dict[str, Any] = {}
        self.descriptors: dict[str, ParameterDescriptor] = {}
        self.warnings: list[str] = []

    def declare_parameter(self, name: str, default: Any, descriptor: ParameterDescriptor) -> None:
        override = self._parameter_overrides.get(name)
        self.values[name] = default if override is None else override.value
        self.descriptors[name] = descriptor

    def get_logger(self) -> Any:
        return SimpleNamespace(warning=self.warnings.append)


def test_names_are_unique_and_defaults_are_allowed() -> None:
    assert len(parameters.TABLE.by_name) == len(PARAMETERS)
    assert parameters.TABLE.check({parameter.name: parameter.default for parameter in PARAMETERS}) == ""


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_every_parameter_has_description_and_range(parameter: parameters.Parameter) -> None:
    assert len(parameter.description) > 20
    assert parameter.description.endswith((".", "'"))
    if isinstance(parameter.default, (int, float)) and not isinstance(parameter.default, bool):
        assert parameter.low is not None, "a number needs a range"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"detect_every": 0}, "between 1 and 10000"),
        ({"detect_every": 2.5}, "must be a int"),
        ({"dtype": "magic"}, "one of: auto, float32, bfloat16"),
        ({"use_depth": "yes"}, "must be a bool"),
        ({"overlay_opacity": 1.5}, "between 0 and 1"),
        ({"lost_after_s": float("nan")}, "between"),
    ],
)
def test_invalid_value_is_refused_with_reason(values: dict[str, object], words: str) -> None:
    assert words in parameters.TABLE.check(values)


def test_integer_is_allowed_for_float_and_other_parameters_are_ignored() -> None:
    assert parameters.TABLE.check({"lost_after_s": 3, "use_sim_time": True}) == ""


def test_old_names_refer_to_existing_parameters() -> None:
    """An alias of a missing parameter would silently drop the user's value."""
    assert set(RENAMED.values()) <= set(parameters.TABLE.by_name)
    assert not set(parameters.TABLE.by_name) & {*RENAMED, *REMOVED}


def test_value_under_old_name_is_used_with_warning() -> None:
    node: Any = FakeNode({"likeness": 0.9})
    TABLE.declare(node)
    TABLE.warn_unknown_parameters(node)
    assert node.values == {"threshold": 0.9, "count": 3}
    assert node.warnings == ["parameter `likeness` is now `threshold`: its value is used; write the new name"]


def test_new_name_wins_over_old_name() -> None:
    """A parameter file may hold the old name while the command line gives the new one."""
    node: Any = FakeNode({"likeness": 0.9, "threshold": 0.7})
    TABLE.declare(node)
    TABLE.warn_unknown_parameters(node)
    assert node.values["threshold"] == 0.7
    assert node.warnings == ["parameter `likeness` is now `threshold`: both names were given, and the value of `threshold` is used"]


def test_removed_and_unknown_parameters_are_reported() -> None:
    node: Any = FakeNode({"magic": True, "treshold": 0.4, "use_sim_time": True, "qos_overrides./tf.publisher.depth": 5})
    TABLE.declare(node)
    TABLE.warn_unknown_parameters(node)
    assert node.values == {"threshold": 0.5, "count": 3}
    assert node.warnings == [
        "parameter `magic` no longer exists: it had no effect",
        "there is no parameter treshold: did you mean threshold?",
    ]


def test_each_wrong_name_has_its_own_warning() -> None:
    """One misspelled name must not hide another one. A name without a similar one refers to the documentation."""
    node: Any = FakeNode({"cuont": 4, "use_sim_tme": True, "zzz": 1})
    TABLE.warn_unknown_parameters(node)
    assert node.warnings == [
        "there is no parameter cuont: did you mean count?",
        "there is no parameter use_sim_tme: did you mean use_sim_time?",
        "there is no parameter zzz: see docs/interfaces.md or ros2 param list",
    ]


@pytest.mark.parametrize("name", ["threshold", "likeness"])
def test_integer_for_a_float_becomes_a_float(name: str) -> None:
    """Parameter files say `threshold: 1`, also under an old name. rclpy would refuse the type, or declare an integer."""
    node: Any = FakeNode({name: 1})
    TABLE.declare(node)
    assert repr(node.values["threshold"]) == "1.0"


def test_declared_parameters_have_range_and_description() -> None:
    node: Any = FakeNode({})
    TABLE.declare(node, read_only=True)
    assert node.descriptors["threshold"].description == "A threshold."
    assert node.descriptors["threshold"].floating_point_range[0].to_value == 1.0
    assert node.descriptors["count"].integer_range[0].from_value == 1
    assert node.descriptors["count"].read_only


@contextmanager
def caller(domain: int) -> Iterator[Callable[..., Any]]:
    """Yield a function that calls a parameter service of a running track_node."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("reader", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def call(kind: Any, name: str, **fields: Any) -> Any:
        client = node.create_client(kind, f"track_node/{name}")
        assert client.wait_for_service(60.0)
        future = client.call_async(kind.Request(**fields))
        executor.spin_until_future_complete(future, 30.0)
        return future.result()

    try:
        yield call
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def values_of_node(call: Callable[..., Any], names: list[str]) -> list[Any]:
    """Return parameter values of a running track_node."""
    values = call(GetParameters, "get_parameters", names=names).values
    return [rclpy.parameter.parameter_value_to_python(value) for value in values]


@pytest.mark.parametrize(
    ("arguments", "name", "value", "warning"),
    [
        (["tell_apart:=false"], "resolve_crossings", False, "parameter `tell_apart` is now `resolve_crossings`: its value is used"),
        (["confirm_looks:=5", "min_hits:=4"], "min_hits", 4, "parameter `confirm_looks` is now `min_hits`: both names were given"),
        (["same_appearance:=0.6"], "reid_threshold", 0.6, "parameter `same_appearance` is now `reid_threshold`"),
        (["arbitration:=true"], "resolve_crossings", True, "parameter `arbitration` no longer exists: it reduced the accuracy"),
    ],
)
def test_node_accepts_old_parameters_with_warning(tmp_path: Path, arguments: list[str], name: str, value: object, warning: str) -> None:
    """Launch files of an earlier version must keep working, and their users must see the new name."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        given = [argument for item in ("autostart:=false", *arguments) for argument in ("-p", item)]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *given])
        with caller(int(environment["ROS_DOMAIN_ID"])) as call:
            assert values_of_node(call, [name]) == [value]
        processes.wait_for("track_node", warning, 30.0)
        assert "there is no parameter" not in processes.log("track_node")


def test_parameter_file_and_later_changes_are_corrected(tmp_path: Path) -> None:
    """Users write `2` for 2.0, and misspell names. `ros2 param set` uses the service of this test."""
    file = tmp_path / "params.yaml"
    file.write_text("track_node:\n  ros__parameters: {autostart: false, lost_after_s: 3, max_object: 5}\n")
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        processes.start("track_node", [*executable("track_node"), "--ros-args", "--params-file", str(file)])
        with caller(int(environment["ROS_DOMAIN_ID"])) as call:
            assert repr(values_of_node(call, ["lost_after_s"])) == "[3.0]"
            processes.wait_for("track_node", "there is no parameter max_object: did you mean max_objects?", 30.0)

            def change(name: str, value: object) -> Any:
                parameter = rclpy.parameter.Parameter(name, value=value).to_parameter_msg()
                return call(SetParameters, "set_parameters", parameters=[parameter]).results[0]

            assert change("lost_after_s", 4).successful
            assert repr(values_of_node(call, ["lost_after_s"])) == "[4.0]"
            assert change("use_sim_time", False).successful, "a parameter of rclpy"
            for name, value, reason in (
                ("max_object", 5, "there is no parameter max_object: did you mean max_objects?"),
                ("min_part", 0.1, "parameter `min_part` is now `min_region_ratio`: write the new name"),
                ("lost_after_s", 4000, "lost_after_s"),
            ):
                result = change(name, value)
                assert not result.successful
                assert reason in result.reason
