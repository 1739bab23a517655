# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`component_container`: a process into which our nodes are loaded at run time, and out of which they are unloaded.

It answers the services of rclcpp_components' containers (composition_interfaces), so `ros2 component load` and launch_ros'
ComposableNode work on Python nodes. Every node has a thread of its own, as in `component_container_isolated`; cameras that use the
same networks share one set of weights (`weights.sharing`).
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import rclpy
from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.logging import LoggingSeverity
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from lang2segtrack_ros.ros.support.process import configure_process, end_in_time

PACKAGE = "lang2segtrack"
PLUGINS = {
    "lang2segtrack::TrackNode": "lang2segtrack_ros.ros.nodes.track_node:TrackNode",
    "lang2segtrack::WebNode": "lang2segtrack_ros.ros.nodes.web_node:WebNode",
    "lang2segtrack::ToyCamera": "lang2segtrack_ros.toyworld.camera_node:ToyCamera",
}
"""What can be loaded, and the class that stands for it; imported when it is asked for."""
EXTRA_ARGUMENTS = ("use_intra_process_comms", "forward_global_arguments")


class LoadError(RuntimeError):
    """Why a node was not loaded, as a sentence."""


class Component:
    """A loaded node with a thread of its own: what keeps one node busy does not hold up another."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.name: str = node.get_fully_qualified_name()
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._spin, name=f"component {self.name}", daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._closing.is_set():
            try:
                self._executor.spin_once()
            except Exception:  # of one callback of one node: it must not end the others
                self.node.get_logger().error(f"a callback failed:\n{traceback.format_exc()}")
        self._executor.shutdown()

    def close(self, shut_down: bool = True) -> None:
        """Ends the thread, then the node; a lifecycle node is shut down first, which gives memory back, unless the process ends anyway."""
        self._closing.set()
        self._executor.wake()
        self._thread.join()
        try:
            if shut_down and isinstance(self.node, LifecycleNode):
                self.node.trigger_shutdown()
        except Exception as error:  # it was shut down already, by its own services
            self.node.get_logger().info(f"not shut down again: {_sentence(error)}")
        finally:
            self.node.destroy_node()


class ComponentManager(Node):
    """The container's services: `~/_container/load_node`, `~/_container/unload_node`, `~/_container/list_nodes`.

    `load_node` answers when the node is there, and a lifecycle node with `autostart` is active; a node that cannot start is not kept.

    Attributes:
        components: the loaded nodes by their unique ids, which begin at 1 and are never given twice.
        loading: whether a node is being loaded.
    """

    def __init__(self, node_name: str = "ComponentManager", **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self.components: dict[int, Component] = {}
        self.loading = False
        self._ids = itertools.count(1)
        changes = MutuallyExclusiveCallbackGroup()  # loading takes long; meanwhile the list is still answered
        self.create_service(LoadNode, "~/_container/load_node", self._on_load, callback_group=changes)
        self.create_service(UnloadNode, "~/_container/unload_node", self._on_unload, callback_group=changes)
        self.create_service(ListNodes, "~/_container/list_nodes", self._on_list, callback_group=MutuallyExclusiveCallbackGroup())

    def _on_load(self, request: LoadNode.Request, response: LoadNode.Response) -> LoadNode.Response:
        self.loading = True
        try:
            component = Component(self._make(request))
            response.unique_id = next(self._ids)
            self.components[response.unique_id] = component
            response.full_node_name = component.name
            response.success = True
            self.get_logger().info(f"loaded {component.name} ({request.plugin_name}) as number {response.unique_id}")
        except LoadError as error:
            self.get_logger().error(f"{request.plugin_name} was not loaded: {error}")
            response.error_message = str(error)
        except Exception as error:  # whatever it is, the other nodes go on, and the caller hears of it
            self.get_logger().error(f"{request.plugin_name} was not loaded:\n{traceback.format_exc()}")
            response.error_message = _sentence(error)
        finally:
            self.loading = False
        return response

    def _make(self, request: LoadNode.Request) -> Node:
        """The node of a request, ready to be spun. Raises LoadError."""
        if request.package_name != PACKAGE:
            raise LoadError(f'Could not find package "{request.package_name}" here: this container loads nodes of {PACKAGE}')
        if request.plugin_name not in PLUGINS:
            known = ", ".join(PLUGINS)
            raise LoadError(f'Failed to find class with the requested plugin name "{request.plugin_name}"; {PACKAGE} has: {known}')
        arguments = self._arguments(request)
        module, _, name = PLUGINS[request.plugin_name].partition(":")
        try:
            make: Callable[..., Node] = getattr(import_module(module), name)
            node = make(context=self.context, **arguments)
        except Exception as error:  # a bad name, remap rule or parameter, in rclpy's many exceptions, or a library that is missing
            raise LoadError(f"Component constructor threw an exception: {_sentence(error)}") from error
        try:
            self._prepare(node, request)
        except BaseException:
            node.destroy_node()
            raise
        return node

    def _arguments(self, request: LoadNode.Request) -> dict[str, Any]:
        """A request as arguments of a node's constructor; names and remap rules go the way of a command line's."""
        rules = list(request.remap_rules)
        rules += [f"__node:={request.node_name}"] if request.node_name else []
        rules += [f"__ns:={request.node_namespace}"] if request.node_namespace else []
        try:
            parameters = [Parameter.from_parameter_msg(parameter) for parameter in request.parameters]
            extra = {item.name: item for item in map(Parameter.from_parameter_msg, request.extra_arguments)}
        except Exception as error:  # a type that is none
            raise LoadError(f"a parameter cannot be read: {_sentence(error)}") from error
        for name, item in extra.items():
            if name not in EXTRA_ARGUMENTS:
                self.get_logger().warning(f"extra argument {name} means nothing here; known: {', '.join(EXTRA_ARGUMENTS)}")
            elif item.type_ != Parameter.Type.BOOL:
                raise LoadError(f"Extra component argument '{name}' must be a boolean")
        if "use_intra_process_comms" in extra and extra["use_intra_process_comms"].value:
            self.get_logger().warning("rclpy has no intra-process communication: messages between these nodes go through the middleware")
        return {
            "cli_args": ["--ros-args", *itertools.chain.from_iterable(("-r", rule) for rule in rules)],
            "use_global_arguments": bool("forward_global_arguments" in extra and extra["forward_global_arguments"].value),
            "parameter_overrides": parameters,
        }

    def _prepare(self, node: Node, request: LoadNode.Request) -> None:
        """Checks a new node against the others, sets its log level and starts it. Raises LoadError."""
        full_name = node.get_fully_qualified_name()
        for number, component in self.components.items():
            if component.name == full_name:
                raise LoadError(f"{full_name} is loaded already, as number {number}: give another node name or namespace")
        if request.log_level:
            try:
                node.get_logger().set_level(LoggingSeverity(request.log_level))
            except ValueError as error:
                levels = ", ".join(f"{level.value} {level.name}" for level in LoggingSeverity if level.value)
                raise LoadError(f"log level {request.log_level} is none; there are: {levels}") from error
        autostart: Callable[[], bool] | None = getattr(node, "autostart", None)
        if autostart is not None and not autostart():
            raise LoadError(f"{full_name} could not start: {getattr(node, 'problem', '') or 'see its log'}")

    def _on_unload(self, request: UnloadNode.Request, response: UnloadNode.Response) -> UnloadNode.Response:
        component = self.components.pop(request.unique_id, None)
        if component is None:
            known = ", ".join(map(str, self.components)) or "none"
            response.error_message = f"No node found with unique_id: {request.unique_id}; loaded: {known}"
            return response
        try:
            component.close()
            response.success = True
            self.get_logger().info(f"unloaded {component.name}")
        except Exception as error:  # likewise
            self.get_logger().error(f"{component.name} was not unloaded in order:\n{traceback.format_exc()}")
            response.error_message = _sentence(error)
        return response

    def _on_list(self, _: ListNodes.Request, response: ListNodes.Response) -> ListNodes.Response:
        loaded = dict(self.components)
        response.unique_ids = list(loaded)
        response.full_node_names = [component.name for component in loaded.values()]
        return response

    def destroy_node(self) -> None:
        """Ends all components, then the container."""
        while self.components:
            self.components.popitem()[1].close(shut_down=False)
        super().destroy_node()


def _sentence(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())


def main(args: Sequence[str] | None = None) -> int:
    """Runs a container until it is told to stop."""
    logging.basicConfig(level=logging.WARNING, format="[%(levelname)s] %(name)s: %(message)s", stream=sys.stderr)
    stopping = threading.Event()
    configure_process()
    try:
        # rclpy's own handlers would shut the context down under the executors of all threads, which they do not always survive.
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        manager = ComponentManager()
    except Exception as error:  # a wrong command line, in rclpy's many exceptions
        print(f"component_container could not start: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    end_in_time(stopping.is_set)
    executor = MultiThreadedExecutor(num_threads=2)
    executor.add_node(manager)
    while not stopping.is_set():
        executor.spin_once(timeout_sec=0.1)
    loading = manager.loading
    manager.destroy_node()
    if loading:  # nothing stops a network that is being loaded, and there is nothing to save
        os._exit(0)
    executor.shutdown()
    rclpy.try_shutdown()
    return 0
