# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle transitions that log their exceptions, and answer when they are impossible."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn


class ReportingNode(Protocol):
    """The attributes of a node that `log_transition_errors` uses.

    Attributes:
        problem: sentence on why the last transition failed. Empty after a success.
        context: rclpy context of the node.
    """

    problem: str
    context: Any

    def get_logger(self) -> Any:
        """Return the node's logger."""
        ...


class CheckedTransitions:
    """Base class, before LifecycleNode, that refuses an impossible transition.

    rclpy refuses it from Kilted on. Before, it raises in the callback of the service `change_state`, whose caller then waits forever.
    """

    def _LifecycleNodeMixin__change_state(self, transition_id: int) -> TransitionCallbackReturn:  # noqa: N802
        node = cast(Any, self)
        possible = {transition[0] for transition in node._state_machine.available_transitions}
        if transition_id not in possible:
            node.get_logger().error(f"transition {transition_id} is impossible in state {node._state_machine.current_state[1]}")
            return TransitionCallbackReturn.ERROR
        return cast(Any, super())._LifecycleNodeMixin__change_state(transition_id)


Node = TypeVar("Node", bound=ReportingNode)
Transition = Callable[[Node, LifecycleState], TransitionCallbackReturn]


def log_transition_errors(transition: Transition[Node]) -> Transition[Node]:
    """Wrap a transition so that its exceptions are logged and kept in `problem`. rclpy alone silently calls `on_error`."""

    @functools.wraps(transition)
    def run(node: Node, state: LifecycleState) -> TransitionCallbackReturn:
        node.problem = ""
        try:
            return transition(node, state)
        except Exception as error:
            node.problem = f"{transition.__name__} failed: {type(error).__name__}: {error}"
            if node.context.ok():  # else a signal ended the process in the middle of the transition
                node.get_logger().error(f"{node.problem}\n{traceback.format_exc()}")
            raise

    return run
