# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""track_node finds the plug-ins of an installed package by name, and its parameter `accept_license` opens restricted ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from lang2segtrack_ros.ros.nodes.track_node import TrackNode
from test.models import stranger


def test_node_runs_the_plugins_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same names as on the command line. The refusal reaches the user of the node, and a new parameter value mends it."""
    monkeypatch.syspath_prepend(stranger.install(tmp_path))
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
    values = {
        "segmenter": "stranger-segmenter",
        "detector": "stranger-detector",
        "policy": "stranger-policy",
        "device": "cpu",
        "configure_wait_s": 60.0,
    }
    node = TrackNode(context=context, parameter_overrides=[Parameter(name, value=value) for name, value in values.items()])
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert "the Stranger License forbids Mondays" in node.problem
        assert "accept_license:=stranger" in node.problem
        assert node.set_parameters([Parameter("accept_license", value="sam3, stranger")])[0].successful
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert node.engine is not None
        names = node.engine.call(
            lambda session: (session.tracker.segmenter.name, session.detector.name, type(session.tracker.policy).__name__)
        )
        assert names.result(timeout=20) == ("the stranger's segmenter", "the stranger's detector", "Policy")
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)
