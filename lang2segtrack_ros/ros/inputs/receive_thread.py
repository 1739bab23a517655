# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Thread that takes the messages of some subscriptions, instead of the executor of their node.

An executor of rclpy builds a wait set of all entities of the node two or three times for each message. With the services of track_node,
this took three times as long as the image itself. The thread waits for its own subscriptions only, as `rclpy.wait_for_message` does.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.context import Context
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.subscription import Subscription

from lang2segtrack_ros.runtime.supervised import SupervisedThread


class ReceiveThread(CallbackGroup):
    """Callback group whose subscriptions are served by a thread.

    An exception of a callback is logged and counted, and the thread continues.

    Args:
        context: context of the node.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._changed = GuardCondition(None, None, context=context)
        self._closed = False
        self._thread = SupervisedThread("lang2segtrack-receiver", self._run)

    @property
    def restarts(self) -> int:
        """Number of restarts of the thread's loop."""
        return self._thread.restarts

    @property
    def last_error(self) -> str:
        """Last error of a callback. Empty without one."""
        return self._thread.last_error

    def add_entity(self, entity: Any) -> None:
        """Serve a further entity."""
        super().add_entity(entity)
        self._changed.trigger()

    def can_execute(self, entity: Any) -> bool:
        """Return False: no executor serves an entity. Not even events of QoS, because each message would wake their executor, too."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Return False, as `can_execute`."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Do nothing: entities do not exclude each other."""

    def close(self) -> None:
        """End the thread. Destroy the subscriptions before."""
        self._closed = True
        self._changed.trigger()
        self._thread.join()
        self._changed.destroy()

    def _run(self) -> None:
        while not self._closed and self._context.ok():
            try:
                ready = self._wait()
            except Exception:
                if self._context.ok():
                    raise
                return  # the context was shut down meanwhile
            for subscription in ready:
                taken = self._take(subscription)
                if taken is not None:
                    subscription.callback(taken[0])

    def _wait(self) -> list[Subscription]:
        """Return the subscriptions that have a message. Return early if the subscriptions changed."""
        waiting = []
        with ExitStack() as handles:
            for handle in (self._context.handle, self._changed.handle):
                handles.enter_context(handle)
            for reference in tuple(self.entities):
                subscription = reference()
                if subscription is None:
                    self.entities.discard(reference)
                elif isinstance(subscription, Subscription):
                    try:
                        handles.enter_context(subscription.handle)
                    except _rclpy.InvalidHandle:  # it was destroyed meanwhile
                        continue
                    waiting.append(subscription)
            wait_set = _rclpy.WaitSet(len(waiting), 1, 0, 0, 0, 0, self._context.handle)
            wait_set.clear_entities()
            wait_set.add_guard_condition(self._changed.handle)
            for subscription in waiting:
                wait_set.add_subscription(subscription.handle)
            wait_set.wait(-1)
            ready = wait_set.get_ready_entities("subscription")
            return [subscription for subscription in waiting if subscription.handle.pointer in ready]

    @staticmethod
    def _take(subscription: Subscription) -> Any:
        """Return a message and its information. None if there is no message."""
        try:
            with subscription.handle:
                return subscription.handle.take_message(subscription.msg_type, subscription.raw)
        except _rclpy.InvalidHandle:  # it was destroyed meanwhile
            return None
