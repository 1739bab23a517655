# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Definitions of our own messages, for bags that are made without ROS; a test compares them with `msg/`."""

DEFINITIONS: dict[str, str] = {
    "lang2segtrack/msg/RleMask": """\
uint32 height
uint32 width
string counts
""",
    "lang2segtrack/msg/Track": """\
uint8 TENTATIVE=0
uint8 TRACKED=1
uint8 OCCLUDED=2
uint8 LOST=3
uint8 REMOVED=4
uint32 id
string label
uint8 state
float32 score
float32 predicted_iou
float32 object_score
float32 motion_score
uint32 frames_since_seen
vision_msgs/BoundingBox2D bbox
RleMask mask
""",
    "lang2segtrack/msg/TrackArray": """\
std_msgs/Header header
Track[] tracks
""",
}
