# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""An object_map_node on a real ROS graph, with a perfect tracker and camera in a room, for several tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TransformStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose

from lang2segtrack.msg import MapObjectArray, RleMask, Track, TrackArray
from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.object_map.objects import Sighting
from lang2segtrack_ros.ros.nodes.object_map_node import ObjectMapNode
from lang2segtrack_ros.ros.support.conversions import RosMessages
from lang2segtrack_ros.ros.support.interfaces import LATCHED_QOS
from lang2segtrack_ros.ros.support.process import spin_until
from lang2segtrack_ros.toyworld.camera_messages import COLOR, DEPTH, INFO, CameraMessages
from lang2segtrack_ros.toyworld.room_scene import RoomFrame, RoomScene
from lang2segtrack_ros.toyworld.room_truth import true_sightings
from lang2segtrack_ros.types.rle import Rle

START_NS = 1_000_000_000_000


class MapTester:
    """Camera, tracker, TF and client in one.

    Args:
        executor: executor of the graph.
        scene: the room.
        namespace: namespace of the tracker and its camera.
        name: name of the node.

    Attributes:
        objects: messages of the topic `objects`.
        diagnostics: newest values by key.
    """

    def __init__(self, executor: SingleThreadedExecutor, scene: RoomScene, namespace: str = "", name: str = "tester") -> None:
        self.executor = executor
        self.scene = scene
        self.node = rclpy.create_node(name, context=executor.context, namespace=namespace)
        executor.add_node(self.node)
        self.objects: list[MapObjectArray] = []
        self.diagnostics: dict[str, str] = {}
        self.node.create_subscription(MapObjectArray, "/objects", self.objects.append, LATCHED_QOS)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, QoSProfile(depth=10))
        self._messages = CameraMessages(RosMessages(), scene, "16UC1")
        self._publishers = {
            topic: self.node.create_publisher(kind, topic, QoSProfile(depth=10))
            for topic, kind in (
                ("color/image_raw", Image),
                ("depth/image_raw", Image),
                ("color/camera_info", CameraInfo),
                ("detections_3d", Detection3DArray),
                ("tracks", TrackArray),
                ("/tf", TFMessage),
            )
        }

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name.endswith("object map"):
                self.diagnostics = {item.key: item.value for item in status.values} | {"message": status.message}

    def spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        return spin_until(self.executor, seconds, until)

    def connect(self) -> None:
        """Wait until the node has all subscriptions. DDS may lose messages before that."""
        topics = ("color/image_raw", "depth/image_raw", "detections_3d", "tracks", "/tf")
        assert self.spin(20.0, lambda: all(self._publishers[name].get_subscription_count() for name in topics))
        self.spin(0.7)

    def show(self, seconds: float, tf: str = "both", first_track: int = 0, correction: RigidTransform | None = None) -> None:
        """Publish what camera and tracker see at a time of the scene, then wait until the node has had time to use it.

        Args:
            seconds: time of the scene.
            tf: "both" publishes the transforms of map and odom; "none" none.
            first_track: offset of the track ids.
            correction: transform from odom to map. None is the identity.
        """
        frame = self.scene.render_from(self.scene.room.camera_pose(seconds), seconds)
        stamp = START_NS + round(seconds * 1e9)
        if tf == "both":
            self.send_tf(frame.pose, stamp, correction)
        header = self._messages.frame(COLOR, frame, stamp).header
        for topic, kind in (("color/image_raw", COLOR), ("depth/image_raw", DEPTH), ("color/camera_info", INFO)):
            self._publishers[topic].publish(self._messages.frame(kind, frame, stamp))
        sightings = true_sightings(self.scene, frame, "", first_track)
        self._publishers["tracks"].publish(TrackArray(header=header, tracks=[self._track(item, frame, first_track) for item in sightings]))
        detections = [self._detection(item, header) for item in sightings]
        self._publishers["detections_3d"].publish(Detection3DArray(header=header, detections=detections))
        self.spin(0.12)

    def send_tf(self, pose: RigidTransform, stamp: int, correction: RigidTransform | None = None) -> None:
        """Publish the pose of the camera in odom, and the correction of odom in map."""
        message: TFMessage = self._messages.transforms(pose, stamp)
        if correction is not None:
            (edge,) = self._messages.transforms(correction, stamp).transforms[1:]
            message.transforms[0].transform = edge.transform
        self._publishers["/tf"].publish(message)

    def send_edge(self, parent: str, child: str, pose: RigidTransform, stamp: int) -> None:
        """Publish one transform."""
        (edge,) = self._messages.transforms(pose, stamp).transforms[1:]
        edge.header.frame_id, edge.child_frame_id = parent, child
        self._publishers["/tf"].publish(TFMessage(transforms=[edge]))

    def _track(self, item: Sighting, frame: RoomFrame, first_track: int) -> Track:
        number = item.track.track_id - first_track
        rle, (x1, y1, x2, y2) = Rle.encode(frame.instances == number), frame.bodies[number].box or (0, 0, 0, 0)
        track = Track(id=item.track.track_id, label=item.label, state=Track.TRACKED, score=item.score)
        track.mask = RleMask(height=rle.height, width=rle.width, counts=rle.counts)
        track.bbox.center.position.x, track.bbox.center.position.y = (x1 + x2) / 2, (y1 + y2) / 2
        track.bbox.size_x, track.bbox.size_y = float(x2 - x1), float(y2 - y1)
        return track

    @staticmethod
    def _detection(item: Sighting, header: Any) -> Detection3D:
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id, result.hypothesis.score = item.label, item.score
        place = result.pose.pose.position
        place.x, place.y, place.z = (float(value) for value in item.position)
        detection = Detection3D(header=header, results=[result], id=str(item.track.track_id))
        detection.bbox.size.x, detection.bbox.size.y, detection.bbox.size.z = item.size
        return detection

    def call(self, kind: Any, service: str, /, **fields: Any) -> Any:
        client = self.node.create_client(kind, service)
        assert self.spin(20.0, client.service_is_ready), f"{service} is not offered"
        self.spin(0.4)  # DDS discovers the response path a little later
        future = client.call_async(kind.Request(**fields))
        assert self.spin(20.0, future.done), f"{service} did not answer"
        self.node.destroy_client(client)
        return future.result()


@contextmanager
def map_graph(parameters: Mapping[str, Any], scenes: Mapping[str, RoomScene]) -> Iterator[tuple[ObjectMapNode, list[MapTester]]]:
    """Run an object_map_node and one tester for each namespace in one executor.

    Args:
        parameters: parameters of the node.
        scenes: the room of each namespace.
    """
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
    executor = SingleThreadedExecutor(context=context)
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    testers: list[MapTester] = []
    node = None
    try:
        node = ObjectMapNode(context=context, parameter_overrides=overrides)
        executor.add_node(node)
        testers += [MapTester(executor, scene, name, f"tester_{name}") for name, scene in scenes.items()]
        for tester in testers:
            tester.connect()
        yield node, testers
    finally:
        if node is not None:
            node.destroy_node()
        for tester in testers:
            tester.node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown(context=context)


def moved(x: float, y: float) -> RigidTransform:
    """Return a transform that shifts by x and y meters."""
    return RigidTransform.from_quaternion((0.0, 0.0, 0.0, 1.0), (x, y, 0.0))


def transform_of(message: TransformStamped) -> RigidTransform:
    """Return the transform of a message."""
    q, t = message.transform.rotation, message.transform.translation
    return RigidTransform.from_quaternion((q.x, q.y, q.z, q.w), (t.x, t.y, t.z))
