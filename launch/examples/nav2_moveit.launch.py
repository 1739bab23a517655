# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Track beside Nav2 and MoveIt: the tracked objects become costs of the local costmap and objects of the planning scene.

    ros2 launch lang2segtrack nav2_moveit.launch.py text:='box. chair.' nav2_params:=nav2.yaml moveit_package:=my_robot_moveit_config

Copy the entries of `config/examples/nav2_objects.yaml` or `nav2_semantic.yaml` into the parameters of Nav2. MoveIt gets a box for each
object if moveit_msgs is installed. With the entries of `config/examples/moveit_sensors.yaml` in its sensors file it gets points instead.
docs/robots.md has the details.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import SetRemap
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument("text", description="Text prompt, such as 'box. chair.'"),
        DeclareLaunchArgument("camera", default_value="true", description="camera of track.launch.py."),
        DeclareLaunchArgument("target_frame", default_value="base_link", description="Frame of poses and boxes, with z up."),
        DeclareLaunchArgument("nav2_params", default_value="", description="Parameter file of Nav2. Empty leaves Nav2 out."),
        DeclareLaunchArgument("moveit_package", default_value="", description="Package of the MoveIt configuration. Empty leaves it out."),
    ]
    track = {name: LaunchConfiguration(name) for name in ("text", "camera", "target_frame")}
    # The classes of the costmap are those of the text prompt, known before the first object.
    track |= {"semantic_classes": LaunchConfiguration("text"), "box_orientation": "gravity"}
    return LaunchDescription(
        [
            *arguments,
            # The name of the nodes and topics is /perception/..., so that none meets those of Nav2 and MoveIt. One topic is MoveIt's.
            GroupAction(
                [
                    SetRemap("collision_objects", "/collision_object"),
                    include("lang2segtrack", "track.launch.py", {**track, "namespace": "perception"}),
                ]
            ),
            include("nav2_bringup", "navigation_launch.py", {"params_file": LaunchConfiguration("nav2_params")}, "nav2_params"),
            include(LaunchConfiguration("moveit_package"), "move_group.launch.py", {}, "moveit_package"),
        ]
    )


def include(package, file: str, given: dict, needs: str = "") -> GroupAction:
    source = PythonLaunchDescriptionSource(PathJoinSubstitution([FindPackageShare(package), "launch", file]))
    condition = IfCondition(PythonExpression(["'", LaunchConfiguration(needs), "' != ''"])) if needs else None
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=given.items())], condition=condition)
