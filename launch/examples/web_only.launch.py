# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Serve the web page of a tracker that runs elsewhere, such as on the robot.

ros2 launch lang2segtrack web_only.launch.py namespace:=/left color_topic:=/left/camera/color/image_raw
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of track_node."),
        DeclareLaunchArgument(
            "color_topic", default_value="/camera/camera/color/image_raw", description="Color image, for prompts on its pixels."
        ),
        DeclareLaunchArgument("address", default_value="127.0.0.1", description="IP address of the page. Others than this need a token."),
    ]
    page = Node(
        package="lang2segtrack",
        executable="web_node",
        name="web_node",
        namespace=LaunchConfiguration("namespace"),
        parameters=[{"address": LaunchConfiguration("address")}],
        remappings=[("color/image_raw", LaunchConfiguration("color_topic"))],
        output="screen",
    )
    return LaunchDescription([*arguments, page])
