# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Topics, services and actions of the nodes, each declared once.

The nodes create publishers, subscriptions, services and clients from these declarations. `tools/write_interface_docs.py` writes
docs/interfaces.md from the same declarations.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped, PoseStamped
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray, Detection3DArray, LabelInfo
from visualization_msgs.msg import MarkerArray

from lang2segtrack.action import RefineBackward as RefineBackwardAction
from lang2segtrack.action import TrackObject
from lang2segtrack.msg import InstructionEvent, ObjectClouds, TrackArray
from lang2segtrack.srv import (
    AddBoxPrompt,
    AddExemplarPrompt,
    AddInstruction,
    AddMaskPrompt,
    AddPointPrompt,
    AddTextPrompt,
    ListTracks,
    RefineBackward,
    RemoveTextPrompt,
    RemoveTrack,
    SegmentImage,
    SetTarget,
)
from lang2segtrack_ros.ros.support import qos_overrides
from lang2segtrack_ros.ros.support.conversions import RosMessages

RESULT_QOS = QoSProfile(depth=5)
LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STATIC_TF_QOS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TF_QOS = QoSProfile(depth=100)
DIAGNOSTICS_QOS = QoSProfile(depth=10)
CLICK_QOS = QoSProfile(depth=10)
EVENT_QOS = QoSProfile(depth=100)
SCENE_QOS = QoSProfile(depth=100)
"""A change of the planning scene is sent once and must not be lost: one message per object."""
REFINED_QOS = QoSProfile(depth=1000)
"""Refined results arrive faster than those of a stream, so the queue is deep."""
REQUEST_QOS = QoSProfile(depth=1000)
"""With the default depth of 10, the middleware drops the eleventh simultaneous request and its caller waits forever."""


def interface_name(kind: Any) -> str:
    """Return the ROS name of a message, service or action class, such as sensor_msgs/msg/Image."""
    package, group = kind.__module__.split(".")[:2]
    return f"{package}/{group}/{kind.__name__}"


@dataclass(frozen=True, eq=False)
class Topic:
    """A published or subscribed topic.

    Attributes:
        name: relative or absolute name.
        message: message class. The ROS name, such as foxglove_msgs/msg/ImageAnnotations, if the package is optional.
        description: content of the topic, for docs/interfaces.md.
        qos: None if the subscription matches the publisher's QoS, see `QosMatchingSubscription`.
    """

    name: str
    message: Any
    description: str
    qos: QoSProfile | None = None

    @property
    def message_class(self) -> Any:
        """Message class, or None if its optional package is not installed or incomplete."""
        if not isinstance(self.message, str):
            return self.message
        try:
            return RosMessages.message_class(self.message)
        except (ImportError, AttributeError):
            return None

    @property
    def type_name(self) -> str:
        """ROS name of the message type."""
        return self.message if isinstance(self.message, str) else interface_name(self.message)

    def advertise(self, node: Node) -> Any:
        """Create the publisher on a node. Parameters may override its QoS. Return None if the message's package is not installed."""
        message_class = self.message_class
        if message_class is None:
            return None
        return node.create_publisher(message_class, self.name, copy(self.qos), qos_overriding_options=qos_overrides.options())

    def subscribe(self, node: Node, callback: Any, group: CallbackGroup) -> Any:
        """Create a subscription with the declared QoS on a node. Parameters may override it."""
        qos, options = copy(self.qos), qos_overrides.options()
        return node.create_subscription(self.message, self.name, callback, qos, callback_group=group, qos_overriding_options=options)


@dataclass(frozen=True, eq=False)
class Service:
    """A service of `track_node`.

    Attributes:
        name: relative name.
        kind: service class.
        description: effect of the service, for docs/interfaces.md.
        qos: QoS of the server.
    """

    name: str
    kind: Any
    description: str
    qos: QoSProfile = field(default_factory=lambda: REQUEST_QOS)

    @property
    def type_name(self) -> str:
        """ROS name of the service type."""
        return interface_name(self.kind)


@dataclass(frozen=True, eq=False)
class Action:
    """An action of `track_node`.

    Attributes:
        name: relative name.
        kind: action class.
        description: effect of the action, for docs/interfaces.md.
    """

    name: str
    kind: Any
    description: str

    @property
    def type_name(self) -> str:
        """ROS name of the action type."""
        return interface_name(self.kind)


# Subscribed topics

COLOR_IMAGE = Topic("color/image_raw", Image, "Color image.")
COLOR_COMPRESSED = Topic(
    "color/image_raw/compressed", CompressedImage, "Color image with `image_transport: compressed`, instead of `color/image_raw`."
)
DEPTH_IMAGE = Topic(
    "depth/image_raw",
    Image,
    "Depth image of any size: 16UC1 in millimeters or 32FC1 in meters. Depth that is aligned to color works best. The node matches "
    "depth to color by stamp. Masks wait for depth only with policy `depth`.",
)
DEPTH_COMPRESSED = Topic(
    "depth/image_raw/compressedDepth",
    CompressedImage,
    "Depth image with `depth_transport: compressedDepth`, instead of `depth/image_raw`: PNG or RVL, of 16UC1 or 32FC1.",
)
COLOR_INFO = Topic("color/camera_info", CameraInfo, "Intrinsics of the color camera for `color/image_raw`. The node corrects distortion.")
DEPTH_INFO = Topic("depth/camera_info", CameraInfo, "Intrinsics of the depth camera. Needed only for depth that is not aligned to color.")
TF_STATIC = Topic(
    "/tf_static",
    TFMessage,
    "Transform between depth and color camera. Needed only for depth that is not aligned to color, for clicked points and for "
    "`target_frame`.",
    STATIC_TF_QOS,
)
TF_INPUT = Topic(
    "/tf",
    TFMessage,
    "Moving transforms. Subscribed only while a clicked point waits for its transform, or while an output in `target_frame` is needed.",
    TF_QOS,
)
CLICKED_POINT = Topic(
    "clicked_point",
    PointStamped,
    "3-D point from RViz's *Publish Point*. It becomes a point prompt at its pixel. Needs `color/camera_info`. A frame other than the "
    "camera's also needs `/tf` and `/tf_static`.",
    CLICK_QOS,
)
SUBSCRIBED = (COLOR_IMAGE, COLOR_COMPRESSED, DEPTH_IMAGE, DEPTH_COMPRESSED, COLOR_INFO, DEPTH_INFO, TF_STATIC, TF_INPUT, CLICKED_POINT)

# Published topics

DETECTIONS = Topic(
    "detections", Detection2DArray, "Visible objects: `id` is the track id, `class_id` the label, `score` the confidence.", RESULT_QOS
)
INSTANCE_MASKS = Topic(
    "instance_masks",
    Image,
    "mono16 image: each pixel holds the track id of the object there, 0 for background, 65535 for ids from 65535 on.",
    RESULT_QOS,
)
LABEL_INFO = Topic("label_info", LabelInfo, "Label of each id in `instance_masks`. Latched.", LATCHED_QOS)
TRACKS = Topic("tracks", TrackArray, "All objects, also hidden ones: state, scores, box and run-length encoded mask.", RESULT_QOS)
OVERLAY = Topic("overlay", Image, "rgb8 image with masks, boxes, ids and labels drawn on it.", RESULT_QOS)
ANNOTATIONS = Topic(
    "annotations",
    "foxglove_msgs/msg/ImageAnnotations",
    "Outlines, boxes and captions that Foxglove draws over the image with the same stamp. Published only if foxglove_msgs is installed.",
    RESULT_QOS,
)
DETECTIONS_3D = Topic(
    "detections_3d",
    Detection3DArray,
    "Visible objects with depth: `results[0].pose` is the center of the visible surface, `bbox` the box around it, oriented as "
    "`box_orientation` says.",
    RESULT_QOS,
)
MARKERS = Topic("markers", MarkerArray, "Box, id and label of each object with depth, for RViz.", RESULT_QOS)
OBJECTS_CLOUD = Topic("objects_cloud", PointCloud2, "Points of the objects: x, y, z, rgb, id. At most 12,000 per object.", RESULT_QOS)
OBJECT_FRAMES = Topic("/tf", TFMessage, "Frame at the center of each object. Published only with `publish_tf`.", TF_QOS)
SEMANTIC_MASK = Topic("semantic_mask", Image, "mono8 image: class id of the visible object at each pixel, 0 for background.", RESULT_QOS)
SEMANTIC_CONFIDENCE = Topic(
    "semantic_confidence", Image, "mono8 image: score of the object at each pixel, from 1 to 255; 0 for background.", RESULT_QOS
)
SEMANTIC_LABEL_INFO = Topic(
    "semantic_label_info", LabelInfo, "Name of each class id in `semantic_mask`. Latched. An id keeps its name.", LATCHED_QOS
)
SEMANTIC_CLOUD = Topic(
    "semantic_cloud",
    PointCloud2,
    "Organized cloud of the whole image, pixel-aligned with `semantic_mask`: x, y, z; NaN where there is no depth.",
    RESULT_QOS,
)
TARGET_POSE = Topic(
    "target_pose",
    PoseStamped,
    "Center of the visible surface of the track that `set_target` chose, in `target_frame`. Nothing while it is hidden or has no depth.",
    RESULT_QOS,
)
OBJECT_CLOUDS = Topic(
    "object_clouds",
    ObjectClouds,
    "One cloud for each visible object with depth, with id, label and oriented box, in `target_frame`.",
    RESULT_QOS,
)
COLLISION_OBJECTS = Topic(
    "collision_objects",
    "moveit_msgs/msg/CollisionObject",
    "Boxes for MoveIt, one message per object: ADD when a box appears or changes, REMOVE when its track ends. Published only if "
    "moveit_msgs is installed.",
    SCENE_QOS,
)
TRACKS_REFINED = Topic(
    "tracks_refined", TrackArray, "Whole traces from `refine_backward`, with the stamps of the original images.", REFINED_QOS
)
EVENTS = Topic(
    "events",
    InstructionEvent,
    "Changes by instructions: objects that fit, no longer fit, or are missing, and answers that fail.",
    EVENT_QOS,
)
DIAGNOSTICS = Topic(
    "/diagnostics",
    DiagnosticArray,
    "State of the node once a second: rates, durations, queues, memory, and counters of replaced, skipped and failed work. See "
    "[faults.md](faults.md#what-diagnostics-says).",
    DIAGNOSTICS_QOS,
)
PUBLISHED = (
    DETECTIONS,
    INSTANCE_MASKS,
    LABEL_INFO,
    TRACKS,
    OVERLAY,
    ANNOTATIONS,
    DETECTIONS_3D,
    MARKERS,
    OBJECTS_CLOUD,
    OBJECT_FRAMES,
    SEMANTIC_MASK,
    SEMANTIC_CONFIDENCE,
    SEMANTIC_LABEL_INFO,
    SEMANTIC_CLOUD,
    TARGET_POSE,
    OBJECT_CLOUDS,
    COLLISION_OBJECTS,
    TRACKS_REFINED,
    EVENTS,
    DIAGNOSTICS,
)

# Services and actions

ADD_TEXT_PROMPT = Service(
    "add_text_prompt", AddTextPrompt, "Find and track objects by name, or replace a text prompt. Replies after the first detection."
)
ADD_EXEMPLAR_PROMPT = Service(
    "add_exemplar_prompt",
    AddExemplarPrompt,
    "Find and track the objects that look like one example, in a box on the last image or on a given one. Replies after the first "
    "detection.",
)
ADD_INSTRUCTION = Service(
    "add_instruction",
    AddInstruction,
    "Choose objects by a sentence such as `the mug left of the laptop`, and track them. Replies after the answer. See "
    "[instructions.md](instructions.md).",
)
REMOVE_TEXT_PROMPT = Service(
    "remove_text_prompt",
    RemoveTextPrompt,
    "Stop detecting the objects of a text or exemplar prompt, or checking an instruction. Their tracks stay.",
)
ADD_BOX_PROMPT = Service("add_box_prompt", AddBoxPrompt, "Track the object in a box, or correct a track.")
ADD_POINT_PROMPT = Service(
    "add_point_prompt", AddPointPrompt, "Track the object under points, or correct a track with points on and off the object."
)
ADD_MASK_PROMPT = Service("add_mask_prompt", AddMaskPrompt, "Track the object that a mask covers, or correct a track.")
REMOVE_TRACK = Service("remove_track", RemoveTrack, "Remove one track.")
LIST_TRACKS = Service("list_tracks", ListTracks, "List the tracks, the continuous prompts and the continuous instructions.")
SEGMENT_IMAGE = Service(
    "segment_image", SegmentImage, "Find objects by name on one image: labels, scores, boxes and masks. Tracking continues meanwhile."
)
REFINE_BACKWARD = Service(
    "refine_backward",
    RefineBackward,
    "Track objects backward through the frame history and publish their whole traces. See also the action of this name.",
)
SET_TARGET = Service("set_target", SetTarget, "Choose the track whose pose `target_pose` publishes. 0 for none.")
RESET = Service("reset", Trigger, "Remove all tracks and prompts.")
SERVICES = (
    ADD_TEXT_PROMPT,
    ADD_EXEMPLAR_PROMPT,
    ADD_INSTRUCTION,
    REMOVE_TEXT_PROMPT,
    ADD_BOX_PROMPT,
    ADD_POINT_PROMPT,
    ADD_MASK_PROMPT,
    REMOVE_TRACK,
    LIST_TRACKS,
    SEGMENT_IMAGE,
    REFINE_BACKWARD,
    SET_TARGET,
    RESET,
)
REFINE_BACKWARD_ACTION = Action(
    "refine_backward", RefineBackwardAction, "Same as the service of this name. Reports progress and can be canceled."
)
TRACK_OBJECT = Action(
    "track_object",
    TrackObject,
    "Find an object by name. Succeeds when a track of it is confirmed, with id, label and pose, for behavior trees. See "
    "[robots.md](robots.md).",
)
ACTIONS = (REFINE_BACKWARD_ACTION, TRACK_OBJECT)
