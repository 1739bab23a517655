# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Start track_node, and on request a RealSense camera, RViz, the web page and the prompt window.

`ros2 launch lang2segtrack track.launch.py -s` lists the arguments.
"""

import os

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from lang2segtrack_ros.ros.support.transports import chosen, large_images
from launch import LaunchContext, LaunchDescription

FILE_WINS = "empty uses the value of the parameter file, or else the node's default"
ARGUMENTS = (
    ("camera", "false", "start realsense2_camera with depth aligned to color", ["true", "false"]),
    ("camera_name", "camera", "name and namespace of the camera: its topics are /<name>/<name>/color/image_raw, ...", None),
    ("segmenter", "", f"toy, a short name such as sam2.1-tiny, a folder, a hub id or a plug-in; {FILE_WINS}", None),
    ("detector", "", f"detector, named like the segmenter, or none to refuse text prompts; {FILE_WINS}", None),
    ("accept_license", "", f"restricted licenses that you accept, such as sam3; {FILE_WINS}", None),
    ("device", "", f"auto, cpu, cuda or cuda:1; {FILE_WINS}", None),
    ("image_size", "", f"side of SAM 2's square input in pixels: 512 is faster than the usual 1024; {FILE_WINS}", None),
    ("text", "", f"text prompt that is active from the start: 'red mug. cardboard box.'; {FILE_WINS}", None),
    ("namespace", "", "namespace of the node and of all its topics and services", None),
    ("color_topic", "", "color image; empty uses the camera's", None),
    ("depth_topic", "", "depth image, preferably aligned to color; empty uses the camera's", None),
    ("camera_info_topic", "", "camera_info of the color camera; empty uses the camera's", None),
    (
        "depth_camera_info_topic",
        "",
        "camera_info of the depth camera, for depth that is not aligned; empty uses camera_info beside the depth topic",
        None,
    ),
    ("params_file", "", "parameter file of the node and its viewers; empty uses the package's config/track.yaml", None),
    ("rviz", "false", "start RViz with overlay, masks and 3-D objects", ["true", "false"]),
    ("web", "false", "serve the web page: live overlay and prompts, also for phones", ["true", "false"]),
    ("web_address", "", f"IP address of the page; 0.0.0.0 (all) needs LANG2SEGTRACK_WEB_TOKEN; {FILE_WINS}", None),
    ("web_port", "", f"TCP port of the page; {FILE_WINS}", None),
    ("web_certificate", "", f"PEM file of the page's certificate for TLS; {FILE_WINS}", None),
    ("web_key", "", f"PEM file of the certificate's private key; {FILE_WINS}", None),
    ("window", "false", "open the prompt window: overlay and prompts", ["true", "false"]),
    (
        "transport",
        "large_images",
        "Fast DDS transports of this launch: large_images delivers large images without delay, default changes nothing",
        ["large_images", "default"],
    ),
    ("log_level", "info", "log level of the node", ["debug", "info", "warn", "error"]),
)


def _share(package: str, needed_by: str) -> str:
    try:
        return get_package_share_directory(package)
    except PackageNotFoundError as error:
        raise RuntimeError(f"{needed_by} needs the package {package}, which is not installed: install it, or remove {needed_by}") from error


def _nodes(context: LaunchContext) -> list:
    value = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    share = _share("lang2segtrack", "track.launch.py")
    pushed = context.launch_configurations.get("ros_namespace", "").strip("/")  # namespace of a group that includes this file
    group = f"/{pushed}" if pushed else ""
    camera = f"{group}/{value['camera_name']}/{value['camera_name']}"
    topics = {
        "color/image_raw": value["color_topic"] or f"{camera}/color/image_raw",
        "depth/image_raw": value["depth_topic"] or f"{camera}/aligned_depth_to_color/image_raw",
        "color/camera_info": value["camera_info_topic"] or f"{camera}/color/camera_info",
    }
    beside_depth = f"{topics['depth/image_raw'].rpartition('/')[0]}/camera_info"
    topics["depth/camera_info"] = value["depth_camera_info_topic"] or beside_depth
    topics["color/image_raw/compressed"] = f"{topics['color/image_raw']}/compressed"
    topics["depth/image_raw/compressedDepth"] = f"{topics['depth/image_raw']}/compressedDepth"
    file = _parameter_file(value["params_file"], share)
    actions = []
    if value["camera"] == "true":
        _share("realsense2_camera", "camera:=true")
        actions.append(
            Node(
                package="realsense2_camera",
                executable="realsense2_camera_node",
                name=value["camera_name"],
                namespace=value["camera_name"],
                # camera_name is also the prefix of the frame names
                parameters=[
                    {"camera_name": value["camera_name"], "align_depth.enable": True},
                    {"enable_color": True, "enable_depth": True, "enable_sync": True},
                ],
                output="screen",
            )
        )
    actions.append(
        Node(
            package="lang2segtrack",
            executable="track_node",
            name="track_node",
            namespace=value["namespace"],
            parameters=[file, _node_values(value)],
            remappings=list(topics.items()),
            arguments=["--ros-args", "--log-level", f"{_logger(pushed, value['namespace'])}:={value['log_level']}"],
            output="screen",
            emulate_tty=True,
        )
    )
    viewer = {"package": "lang2segtrack", "namespace": value["namespace"], "remappings": list(topics.items()), "output": "screen"}
    if value["web"] == "true":
        actions.append(Node(executable="web_node", name="web_node", parameters=[file, _page_values(value)], **viewer))
    if value["window"] == "true":
        actions.append(Node(executable="prompt_window", name="prompt_window", parameters=[file], **viewer))
    if value["rviz"] == "true":
        _share("rviz2", "rviz:=true")
        rviz_arguments = ["-d", os.path.join(share, "config", "track.rviz"), "-f", f"{value['camera_name']}_color_optical_frame"]
        actions.append(Node(executable="rviz2", arguments=rviz_arguments, **{**viewer, "package": "rviz2"}))
    return actions


def _parameter_file(requested: str, share: str) -> str:
    path = requested or os.path.join(share, "config", "track.yaml")
    if not os.path.isfile(path):
        raise RuntimeError(f"params_file:={path} does not exist")
    return path


def _node_values(value: dict) -> dict:
    # Only values from the command line: they override the parameter file.
    chosen = {name: value[name] for name in ("segmenter", "detector", "accept_license", "device", "text") if value[name]}
    if value["detector"] == "none":
        chosen["detector"] = ""
    if value["image_size"]:
        chosen["image_size"] = _number(value, "image_size")
    return chosen


def _page_values(value: dict) -> dict:
    # Values from the command line for the page.
    chosen = {name: value[f"web_{name}"] for name in ("address", "certificate", "key") if value[f"web_{name}"]}
    if value["web_port"]:
        chosen["port"] = _number(value, "web_port")
    return chosen


def _logger(pushed: str, namespace: str) -> str:
    # Name of the node's logger in rclcpp and rclpy. A namespace that starts with a slash ignores the group's namespace.
    whole = namespace if namespace.startswith("/") else f"{pushed}/{namespace}"
    return ".".join([*filter(None, whole.split("/")), "track_node"])


def _number(value: dict, name: str) -> int:
    if not value[name].isdigit():
        raise RuntimeError(f"{name}:={value[name]} is not an integer")
    return int(value[name])


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text, **({"choices": choices} if choices else {}))
        for name, default, text, choices in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_transport), OpaqueFunction(function=_nodes)])


def _transport(context: LaunchContext) -> list:
    if LaunchConfiguration("transport").perform(context) == "default" or chosen(os.environ):
        return []
    return [SetEnvironmentVariable(name, value) for name, value in large_images(os.environ).items()]
