# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Life-cycle transitions that say why they failed."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn


class ReportingNode(Protocol):
    """What `told` needs of the node."""

    problem: str

    def get_logger(self) -> Any:
        """The node's logger."""
        ...


Node = TypeVar("Node", bound=ReportingNode)
Transition = Callable[[Node, LifecycleState], TransitionCallbackReturn]


def log_transition_errors(transition: Transition[Node]) -> Transition[Node]:
    """A transition whose exceptions are logged and kept in `problem`; rclpy goes on to `on_error` without a word."""

    @functools.wraps(transition)
    def run(node: Node, state: LifecycleState) -> TransitionCallbackReturn:
        node.problem = ""
        try:
            return transition(node, state)
        except Exception as error:
            node.problem = f"{transition.__name__} failed: {type(error).__name__}: {error}"
            node.get_logger().error(f"{node.problem}\n{traceback.format_exc()}")
            raise

    return run
