# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Track in two cameras, each with nodes, topics and a web page of its own, in the namespaces /left and /right.

    ros2 launch lang2segtrack two_cameras.launch.py camera:=toy segmenter:=toy detector:=toy left_text:='red circle.'

Each include stands in a GroupAction. Without it, the second one would keep the arguments of the first.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import PushRosNamespace
from launch_ros.substitutions import FindPackageShare

TRACK = PathJoinSubstitution([FindPackageShare("lang2segtrack"), "launch", "track.launch.py"])
SIDES = ("left", "right")
SHARED = {"camera": "true", "segmenter": "", "detector": "", "web": "false"}


def generate_launch_description() -> LaunchDescription:
    arguments = [
        *(DeclareLaunchArgument(name, default_value=value, description=f"{name} of track.launch.py.") for name, value in SHARED.items()),
        *(DeclareLaunchArgument(f"{side}_text", default_value="", description=f"Text prompt of the {side} camera.") for side in SIDES),
    ]
    return LaunchDescription([*arguments, *map(tracker, SIDES)])


def tracker(side: str) -> GroupAction:
    shared = {name: LaunchConfiguration(name) for name in SHARED}
    # Frame names hold the camera's name, so it differs between the cameras.
    given = {**shared, "camera_name": f"{side}_camera", "text": LaunchConfiguration(f"{side}_text"), "tf_prefix": f"{side}_object_"}
    include = IncludeLaunchDescription(PythonLaunchDescriptionSource(TRACK), launch_arguments=given.items())
    return GroupAction([PushRosNamespace(side), include])
