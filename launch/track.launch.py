# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Start track_node, and on request a camera, RViz, the web page and the prompt window.

`ros2 launch lang2segtrack track.launch.py -s` lists the arguments. They hold for the scope that includes the file, so put each of several
includes into a GroupAction, as `examples/two_cameras.launch.py` does.
"""

import os

from launch import Condition, LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, LogInfo, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import LifecycleNode, LoadComposableNodes, Node
from launch_ros.descriptions import ComposableNode
from launch_ros.substitutions import FindPackageShare

from lang2segtrack_ros.ros.support import launching
from lang2segtrack_ros.ros.support.map_parameters import PARAMETERS as MAP_TABLE
from lang2segtrack_ros.ros.support.parameters import PARAMETERS
from lang2segtrack_ros.ros.support.transports import large_images
from lang2segtrack_ros.ros.support.web_parameters import PARAMETERS as PAGE_TABLE

BOOLEAN = ["true", "false"]
NAMESPACE = LaunchConfiguration("namespace")
CAMERA = LaunchConfiguration("camera_name")
SHARE = FindPackageShare("lang2segtrack")
PAGE = tuple(item for item in PAGE_TABLE.parameters if item.name != "token")  # other users see command lines: use the environment variable
MAP_PREFIX = "object_map_"


def generate_launch_description() -> LaunchDescription:
    arguments = [
        *general_arguments(),
        *topic_arguments(),
        *launching.parameter_arguments(PARAMETERS),
        *launching.parameter_arguments(PAGE, "web_"),
        *launching.parameter_arguments(MAP_TABLE.parameters, MAP_PREFIX),
        *launching.parameter_arguments([launching.SIM_TIME]),
    ]
    compare, remember = launching.warn_about_leftovers(arguments)
    processes = GroupAction([*transports(), *cameras(), *trackers(), *viewers(), *maps()])  # a scope: the environment outside stays
    return LaunchDescription([*arguments, compare, processes, remember])


def general_arguments() -> list:
    def flag(name: str, default: str, text: str) -> DeclareLaunchArgument:
        return DeclareLaunchArgument(name, default_value=default, description=text, choices=BOOLEAN)

    return [
        DeclareLaunchArgument(
            "camera",
            default_value="false",
            choices=[*BOOLEAN, "toy", "toy_room"],
            description="Camera to start. true: realsense2_camera with depth aligned to color. toy: a scene of colored shapes, for trials. "
            "toy_room: a camera that moves through a room, with TF.",
        ),
        DeclareLaunchArgument("camera_name", default_value="camera", description="Name and namespace of the camera, see color_topic."),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the nodes and of all their topics and services."),
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution([SHARE, "config", "track.yaml"]),
            description="Parameter file of track_node and its viewers.",
        ),
        flag("rviz", "false", "Start RViz with overlay, masks and 3-D objects."),
        flag("web", "false", "Serve the web page: live overlay and prompts, also for phones."),
        flag("window", "false", "Open the prompt window: overlay and prompts."),
        flag("object_map", "false", "Remember where the objects are, in a fixed frame and a file. Needs depth and TF."),
        DeclareLaunchArgument(
            "container",
            default_value="",
            description="Component container to load track_node into, such as /ComponentManager. Empty starts a process of its own.",
        ),
        flag("respawn", "false", "Start track_node again two seconds after it has ended."),
        flag(
            "required",
            "false",
            "End the launch with exit code 1 when track_node ends. Without effect if it is respawned or in a container.",
        ),
        DeclareLaunchArgument(
            "transport",
            default_value="large_images",
            choices=["large_images", "default"],
            description="Fast DDS transports of the processes of this file. large_images delivers large images without delay.",
        ),
        DeclareLaunchArgument(
            "log_level", default_value="info", choices=["debug", "info", "warn", "error"], description="Log level of track_node."
        ),
    ]


def topic_arguments() -> list:
    group = LaunchConfiguration("ros_namespace", default="")  # of groups around the include
    camera = [group, "/", CAMERA, "/", CAMERA]
    beside_depth = PythonExpression(["'", LaunchConfiguration("depth_topic"), "'.rpartition('/')[0] + '/camera_info'"])
    arguments = (
        ("color_topic", [*camera, "/color/image_raw"], "Color image."),
        ("depth_topic", [*camera, "/aligned_depth_to_color/image_raw"], "Depth image, preferably aligned to color."),
        ("camera_info_topic", [*camera, "/color/camera_info"], "camera_info of the color camera."),
        ("depth_camera_info_topic", beside_depth, "camera_info of the depth camera, for depth that is not aligned."),
    )
    return [DeclareLaunchArgument(name, default_value=default, description=text) for name, default, text in arguments]


def remappings() -> list:
    color, depth = LaunchConfiguration("color_topic"), LaunchConfiguration("depth_topic")
    return [
        ("color/image_raw", color),
        ("color/image_raw/compressed", [color, "/compressed"]),
        ("color/camera_info", LaunchConfiguration("camera_info_topic")),
        ("depth/image_raw", depth),
        ("depth/image_raw/compressedDepth", [depth, "/compressedDepth"]),
        ("depth/camera_info", LaunchConfiguration("depth_camera_info_topic")),
    ]


def parameters(node: str, table: tuple, prefix: str = "") -> list:
    return [LaunchConfiguration("params_file"), launching.GivenValues(node, NAMESPACE, table, prefix)]


def transports() -> list:
    condition = Condition(predicate=launching.sets_transports)
    ((name, value),) = large_images(os.environ).items()
    return [
        # The log first: the condition no longer holds when the variable is set.
        LogInfo(msg=f"{name}={value} for the processes of track.launch.py; transport:=default does not set it", condition=condition),
        SetEnvironmentVariable(name, value, condition=condition),
    ]


def cameras() -> list:
    def is_camera(value: str) -> Condition:
        return Condition(predicate=lambda context: LaunchConfiguration("camera").perform(context) == value)

    return [
        Node(
            package="realsense2_camera",
            executable="realsense2_camera_node",
            name=CAMERA,
            namespace=CAMERA,
            # camera_name is also the prefix of the frame names
            parameters=[
                {"camera_name": CAMERA, "align_depth.enable": True, "enable_color": True, "enable_depth": True, "enable_sync": True}
            ],
            output="screen",
            condition=is_camera("true"),
        ),
        Node(package="lang2segtrack", executable="toy_camera", name=CAMERA, namespace=CAMERA, output="screen", condition=is_camera("toy")),
        Node(
            package="lang2segtrack",
            executable="toy_camera",
            name=CAMERA,
            namespace=CAMERA,
            parameters=[{"suite": "room", "fps": 10.0, "width": 320, "height": 240}],
            output="screen",
            condition=is_camera("toy_room"),
        ),
    ]


def trackers() -> list:
    def has_container(context) -> bool:
        return bool(LaunchConfiguration("container").perform(context))

    required = launching.RequiredProcess()
    common = {"name": "track_node", "namespace": NAMESPACE, "remappings": remappings()}
    whole = launching.GivenValues("track_node", NAMESPACE, PARAMETERS, file=LaunchConfiguration("params_file"))
    return [
        required.read,
        LifecycleNode(
            package="lang2segtrack",
            executable="track_node",
            **common,
            parameters=parameters("track_node", PARAMETERS),
            ros_arguments=["--log-level", [launching.LoggerName("track_node", NAMESPACE), ":=", LaunchConfiguration("log_level")]],
            output="screen",
            emulate_tty=True,
            respawn=LaunchConfiguration("respawn"),
            respawn_delay=2.0,
            on_exit=required.on_exit,
            condition=Condition(predicate=lambda context: not has_container(context)),
        ),
        LoadComposableNodes(
            target_container=LaunchConfiguration("container"),
            composable_node_descriptions=[
                ComposableNode(package="lang2segtrack", plugin="lang2segtrack::TrackNode", parameters=[whole], **common)
            ],
            condition=Condition(predicate=has_container),
        ),
    ]


def maps() -> list:
    return [
        Node(
            package="lang2segtrack",
            executable="object_map_node",
            name="object_map_node",
            namespace=NAMESPACE,
            remappings=remappings(),
            parameters=parameters("object_map_node", MAP_TABLE.parameters, MAP_PREFIX),
            condition=IfCondition(LaunchConfiguration("object_map")),
            output="screen",
        )
    ]


def viewers() -> list:
    viewer = {"namespace": NAMESPACE, "remappings": remappings(), "output": "screen"}
    return [
        Node(
            package="lang2segtrack",
            executable="web_node",
            name="web_node",
            parameters=parameters("web_node", PAGE, "web_"),
            condition=IfCondition(LaunchConfiguration("web")),
            **viewer,
        ),
        Node(
            package="lang2segtrack",
            executable="prompt_window",
            name="prompt_window",
            parameters=parameters("prompt_window", ()),
            condition=IfCondition(LaunchConfiguration("window")),
            **viewer,
        ),
        Node(
            package="rviz2",
            executable="rviz2",
            name="rviz2",
            parameters=parameters("rviz2", ()),
            arguments=["-d", PathJoinSubstitution([SHARE, "config", "track.rviz"]), "-f", [CAMERA, "_color_optical_frame"]],
            condition=IfCondition(LaunchConfiguration("rviz")),
            **viewer,
        ),
    ]
