# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The vision_msgs definitions for bags equal those of the vision_msgs package."""

from __future__ import annotations

from pathlib import Path

import pytest
from rosbags.typesys import get_types_from_msg

from lang2segtrack_ros.recordings import bag_types

MSG = Path(__file__).resolve().parents[2] / "underlay" / "vision_msgs" / "msg"


@pytest.mark.parametrize("name", bag_types._VISION_MSGS)
def test_definition_equals_vision_msgs(name: str) -> None:
    """ROS tools can read the bags only if the definitions are equal."""
    kind = f"vision_msgs/msg/{name}"
    published = get_types_from_msg((MSG / f"{name}.msg").read_text(encoding="utf-8"), kind)
    assert get_types_from_msg(bag_types._VISION_MSGS[name], kind) == published
