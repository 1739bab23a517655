# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Play a bag and track in it, with the time of the bag.

    ros2 launch lang2segtrack bag_replay.launch.py bag:=recording text:='red circle.' color_topic:=/camera/color/image_raw

The launch ends with the bag. To process every image however long that takes, use `lang2segtrack bag` instead.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, Shutdown, TimerAction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

TRACK = PathJoinSubstitution([FindPackageShare("lang2segtrack"), "launch", "track.launch.py"])


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument("bag", description="Folder of the bag."),
        DeclareLaunchArgument("rate", default_value="1.0", description="Speed of playback."),
        DeclareLaunchArgument("wait_s", default_value="20.0", description="Seconds before playback, in which the networks are loaded."),
    ]
    play = ExecuteProcess(
        cmd=["ros2", "bag", "play", LaunchConfiguration("bag"), "--clock", "--rate", LaunchConfiguration("rate")],
        on_exit=Shutdown(reason="the bag has ended"),
        output="screen",
    )
    # Arguments of track.launch.py on the command line reach it, because an include shares the scope of this file.
    track = IncludeLaunchDescription(PythonLaunchDescriptionSource(TRACK), launch_arguments={"use_sim_time": "true"}.items())
    return LaunchDescription([*arguments, track, TimerAction(period=LaunchConfiguration("wait_s"), actions=[play])])
