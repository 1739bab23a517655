# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`collision_objects` with the real message, as MoveIt's planning scene reads it: a box, ADD and REMOVE with stable ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from scipy.spatial.transform import Rotation
from std_srvs.srv import Trigger

from lang2segtrack.srv import RemoveTrack
from lang2segtrack_ros.ros.support.interfaces import COLLISION_OBJECTS
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.ros.nodes.node_tester import TOY
from test.ros.outputs.planner_tester import BASE, CAMERA_IN_BASE, PlannerTester
from test.ros.outputs.test_spatial_outputs import DISTANCE, truth

pytestmark = pytest.mark.skipif(COLLISION_OBJECTS.message_class is None, reason="moveit_msgs is not installed")


def test_boxes_come_change_and_go(tmp_path: Path, frames: list[SceneFrame]) -> None:
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        arguments = [*TOY, "-p", "detector:=''", "-p", "depth_wait_s:=1.0", "-p", f"target_frame:={BASE}", "-p", "box_orientation:=free"]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *arguments])
        tester = PlannerTester(int(environment["ROS_DOMAIN_ID"]))
        try:
            tester.call(Trigger, "reset", timeout=120.0)
            ids = tester.prompt_bodies(frames[0])
            scene: list[Any] = []
            # The QoS of MoveIt's planning scene monitor: reliable, depth 10.
            subscription = tester.node.create_subscription(
                COLLISION_OBJECTS.message_class, "collision_objects", scene.append, QoSProfile(depth=10)
            )
            tester.spin(1.5)
            tester.show_all(frames[0], "detections_3d")
            assert tester.spin(5.0, lambda: len(scene) >= 2)
            added = {message.id: message for message in scene}
            assert set(added) == {f"object_{number}" for number in ids.values()}
            for body, number in ids.items():
                message = added[f"object_{number}"]
                assert message.operation == message.ADD
                assert message.header.frame_id == BASE
                assert message.type.key == f"body {body}"
                (primitive,), (offset,) = message.primitives, message.primitive_poses
                assert primitive.type == primitive.BOX
                assert len(primitive.dimensions) == 3
                assert min(primitive.dimensions) > 0, "nothing collides with a box without volume"
                assert (offset.position.x, offset.orientation.w) == (0.0, 1.0)
                center, size = truth(frames[0], body)
                at = message.pose.position
                expected = CAMERA_IN_BASE.rotation @ center + CAMERA_IN_BASE.translation
                assert np.linalg.norm(np.array([at.x, at.y, at.z]) - expected) < 0.03 * DISTANCE[body]
                q = message.pose.orientation
                normal = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()[:, 2]
                assert abs(normal @ CAMERA_IN_BASE.rotation[:, 2]) > 0.99, "the shortest side of a flat body is along the view"
                assert max(primitive.dimensions) < 1.5 * max(size)
            for _ in range(3):
                tester.show_all(frames[0], "detections_3d")
            assert len(scene) == 2, "a box that stays is not sent again"
            tester.node.destroy_subscription(subscription)
            tester.spin(1.5)
            tester.show_all(frames[0], "detections_3d")
            late: list[Any] = []
            tester.node.create_subscription(COLLISION_OBJECTS.message_class, "collision_objects", late.append, QoSProfile(depth=10))
            tester.spin(1.5)
            tester.show_all(frames[0], "detections_3d")
            assert tester.spin(5.0, lambda: len(late) == 2), "a new subscriber gets every box"
            assert tester.call(RemoveTrack, "remove_track", track_id=ids[1]).success
            tester.step(frames[0])
            assert tester.spin(5.0, lambda: len(late) == 3)
            assert (late[-1].id, late[-1].operation) == (f"object_{ids[1]}", late[-1].REMOVE)
        finally:
            tester.close()
        processes.check()
        assert "Traceback" not in processes.log("track_node")
