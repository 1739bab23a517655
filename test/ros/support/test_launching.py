# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Launch files: arguments that reach a node's parameters, several includes, and the exit code. Only a ROS installation has launch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("launch_ros", reason="launch and launch_ros have no wheels; a ROS installation has them")

from launch import LaunchContext, LaunchDescription, LaunchService
from launch.actions import DeclareLaunchArgument, ExecuteProcess, GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node, PushRosNamespace

from lang2segtrack_ros.ros.support import launching
from lang2segtrack_ros.ros.support.parameters import PARAMETERS

LAUNCH = Path(__file__).parents[3] / "launch"
TRACK = LAUNCH / "track.launch.py"


def read(given: dict[str, str]) -> dict[str, Any]:
    """Return the content of the parameter file for some launch arguments."""
    context = LaunchContext()
    context.launch_configurations.update({"namespace": "", **given})
    path = Path(launching.GivenValues("track_node", LaunchConfiguration("namespace"), PARAMETERS).perform(context))
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    path.unlink()
    return content


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"lost_after_s": "3", "use_depth": "false", "max_objects": "8"}, {"lost_after_s": 3.0, "use_depth": False, "max_objects": 8}),
        ({"text": "12", "device": "cuda:1"}, {"text": "12", "device": "cuda:1"}),  # a text that YAML reads as a number
        ({"detector": "none"}, {"detector": ""}),
        ({"use_sim_time": "true"}, {"use_sim_time": True}),
        ({"image_qos": "auto"}, {"image_qos": "auto"}),
    ],
)
def test_given_arguments_become_typed_parameters(given: dict[str, str], expected: dict[str, Any]) -> None:
    """An argument that is not given must leave the value of the parameter file."""
    assert read(given) == {"/track_node": {"ros__parameters": expected}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_objects": "many"}, "max_objects:=many is not allowed: max_objects must be a int, not 'many'"),
        ({"max_objects": "100000"}, "max_objects"),
        ({"use_depth": "2"}, "use_depth must be a bool"),
        ({"image_qos": "none"}, "image_qos"),
        ({"lost_after_s": "["}, "lost_after_s"),
    ],
)
def test_wrong_argument_is_refused(given: dict[str, str], words: str) -> None:
    """launch prints the message and ends with code 1, before any process starts."""
    with pytest.raises(RuntimeError, match=words.replace("[", r"\[")):
        read(given)


@pytest.mark.parametrize(
    ("pushed", "namespace", "expected"), [(None, "", ""), ("/left", "", "/left"), ("/left", "arm", "/left/arm"), ("/left", "/arm", "/arm")]
)
def test_namespace_of_the_file_is_that_of_the_node(pushed: str | None, namespace: str, expected: str) -> None:
    """Values in a file apply only to the node whose whole name is written there."""
    given = {"namespace": namespace, **({"ros_namespace": pushed} if pushed else {})}
    assert list(read(given)) == [f"{expected}/track_node"]
    context = LaunchContext()
    context.launch_configurations.update(given)
    logger = launching.LoggerName("track_node", LaunchConfiguration("namespace")).perform(context)
    assert logger == f"{expected}/track_node".strip("/").replace("/", ".")


FILE = """
/**:
  ros__parameters: {max_objects: 4, text: mug}
/**/track_node:
  ros__parameters: {text: cup}
left:
  track_node:
    ros__parameters: {lost_after_s: 4.0}
/right/track_node:
  ros__parameters: {lost_after_s: 5.0}
/*/track_node:
  ros__parameters: {detect_every: 7}
/**/web_node:
  ros__parameters: {port: 99}
"""


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("/track_node", {"max_objects": 4, "text": "cup"}),
        ("/left/track_node", {"max_objects": 4, "text": "cup", "lost_after_s": 4.0, "detect_every": 7}),
        ("/a/right/track_node", {"max_objects": 4, "text": "cup"}),
    ],
)
def test_file_for_a_container_has_the_wildcards_of_ros(tmp_path: Path, node: str, expected: dict[str, Any]) -> None:
    """launch_ros reads only the names `/**` and the node's own from a file for a container. The package's file has others."""
    (tmp_path / "file.yaml").write_text(FILE)
    assert launching.values_in_file(tmp_path / "file.yaml", node) == expected


@pytest.mark.parametrize("text", ["just text", "/**: {ros__parameters: 3}", "a: [1, 2]", "{", "/**: 3"])
def test_other_file_is_no_parameter_file(tmp_path: Path, text: str) -> None:
    """The message must name the file."""
    (tmp_path / "file.yaml").write_text(text)
    for path in (tmp_path / "file.yaml", tmp_path / "absent.yaml"):
        with pytest.raises(RuntimeError, match="is not a parameter file"):
            launching.values_in_file(path, "/track_node")


def run(*actions: Any) -> tuple[int, LaunchService]:
    """Run a launch description to its end, without starting a node. Return its exit code and the service."""
    service = LaunchService(noninteractive=True)
    service.include_launch_description(LaunchDescription(list(actions)))
    return service.run(), service


def included(**given: str) -> IncludeLaunchDescription:
    return IncludeLaunchDescription(PythonLaunchDescriptionSource(str(TRACK)), launch_arguments=given.items())


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[tuple[str, str]], dict[str, str]]]:
    """Record namespace, remappings and environment of each node that a launch file starts, in place of starting it."""
    nodes: list[tuple[str, list[tuple[str, str]], dict[str, str]]] = []

    def execute(node: Node, context: LaunchContext) -> None:
        node._perform_substitutions(context)
        nodes.append((node.node_name, list(node.expanded_remapping_rules or []), dict(context.environment)))

    monkeypatch.setattr(Node, "execute", execute)
    monkeypatch.setattr(LifecycleNode, "execute", execute)
    return nodes


def test_every_parameter_is_an_argument(started: list[Any]) -> None:
    """A user who finds a parameter in the documentation can set it on the command line."""
    description = PythonLaunchDescriptionSource(str(TRACK)).get_launch_description(LaunchContext())
    names = {argument.name for argument in description.get_launch_arguments()}
    assert {parameter.name for parameter in PARAMETERS} <= names
    assert "web_token" not in names, "other users of the machine see command lines"


def test_environment_and_arguments_stay_in_the_include(started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The transports are for the processes of the file, not for others of the launch."""
    for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS"):
        monkeypatch.delenv(name, raising=False)
    after: list[dict[str, str]] = []
    lines: list[str] = []
    logger = logging.getLogger("launch.user")  # launch replaces the handlers
    logger.addFilter(record := lambda item: lines.append(item.getMessage()) is None)
    code, _ = run(included(), OpaqueFunction(function=lambda context: after.append(dict(context.environment))))
    ((name, remappings, environment),) = started
    assert (code, name) == (0, "/track_node")
    assert ("color/image_raw", "/camera/camera/color/image_raw") in remappings
    logger.removeFilter(record)
    profiles = [key for key in environment if key.endswith("_DEFAULT_PROFILES_FILE")]
    assert len(profiles) == 1
    assert profiles[0] not in after[0]
    assert [text for text in lines if text.startswith(f"{profiles[0]}=")], "the log must show what the file sets"


def test_depth_camera_info_lies_beside_the_given_depth_topic(started: list[Any]) -> None:
    """ROS drivers publish camera_info beside its image."""
    run(included(depth_topic="/my/depth/image", color_topic="/my/color/image"))
    remappings = started[0][1]
    assert ("depth/camera_info", "/my/depth/camera_info") in remappings
    assert ("color/image_raw/compressed", "/my/color/image/compressed") in remappings


def test_two_includes_in_groups_are_independent(started: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    """Two cameras: the second must not take the text or the page of the first."""
    left = GroupAction([PushRosNamespace("left"), included(web="true", text="mug", camera_name="front")])
    right = GroupAction([PushRosNamespace("right"), included()])
    with caplog.at_level(logging.WARNING):
        assert run(left, right)[0] == 0
    assert [name for name, *_ in started] == ["/left/track_node", "/left/web_node", "/right/track_node"]
    assert ("color/image_raw", "/left/front/front/color/image_raw") in started[0][1]
    assert ("color/image_raw", "/right/camera/camera/color/image_raw") in started[2][1]
    assert "included before" not in caplog.text


def test_two_includes_without_groups_are_reported(started: list[Any]) -> None:
    """launch shares the arguments of one scope, which is easy to miss: the second page and text come from the first include."""
    warnings: list[str] = []
    logger = logging.getLogger("launch.user")  # launch replaces the handlers
    logger.addFilter(record := lambda item: warnings.append(item.getMessage()) is None)
    run(included(web="true", text="mug"), included(namespace="other"))
    logger.removeFilter(record)
    assert [name for name, *_ in started] == ["/track_node", "/web_node", "/other/track_node", "/other/web_node"]
    assert any("web:=true" in text and "text:=mug" in text and "GroupAction" in text for text in warnings)


@pytest.mark.parametrize(
    ("required", "respawn", "code"),
    [("true", "false", 1), ("false", "false", 0), ("true", "true", 0)],
    ids=["required", "other", "respawned"],
)
def test_required_node_ends_the_launch_with_a_code(required: str, respawn: str, code: int) -> None:
    """A script or service manager that starts the launch must see that the tracker is gone."""
    arguments = [DeclareLaunchArgument("required", default_value=required), DeclareLaunchArgument("respawn", default_value=respawn)]
    rule = launching.RequiredProcess()
    actions = [*arguments, rule.read, ExecuteProcess(cmd=["false"], on_exit=rule.on_exit)]
    assert run(*actions)[0] == code


def test_required_node_of_an_include_in_a_group_ends_the_launch() -> None:
    """The arguments of a group are gone when the process ends. The rule did not see them."""
    rule = launching.RequiredProcess()
    arguments = [DeclareLaunchArgument("required", default_value="true")]
    assert run(GroupAction([*arguments, rule.read, ExecuteProcess(cmd=["false"], on_exit=rule.on_exit)]))[0] == 1


@pytest.mark.parametrize("file", sorted(LAUNCH.glob("examples/*.launch.py")), ids=lambda file: file.name)
def test_examples_describe_themselves(file: Path) -> None:
    """`ros2 launch FILE -s` reads like a manual: each argument has a sentence."""
    description = PythonLaunchDescriptionSource(str(file)).get_launch_description(LaunchContext())
    arguments = description.get_launch_arguments()
    assert arguments
    assert all(argument.description and argument.description != "no description given" for argument in arguments)
