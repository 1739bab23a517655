# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`component_container`: a process that loads and unloads this package's nodes at run time.

It offers the services of rclcpp_components' containers (composition_interfaces). `ros2 component load` and launch_ros' ComposableNode
therefore work with these Python nodes. Every node has its own thread, as in `component_container_isolated`. Nodes with the same networks
share one set of weights (`models.cache`).
"""

from __future__ import annotations

import itertools
import logging
import os
import pkgutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from functools import partial
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

from lang2segtrack_ros.ros.support.command_line import check_command_line
from lang2segtrack_ros.ros.support.process import Wait, configure_process, end_in_time, spin

PACKAGE = "lang2segtrack"
PLUGINS = {
    "lang2segtrack::TrackNode": "lang2segtrack_ros.ros.nodes.track_node:TrackNode",
    "lang2segtrack::WebNode": "lang2segtrack_ros.ros.nodes.web_node:WebNode",
    "lang2segtrack::ToyCamera": "lang2segtrack_ros.toyworld.camera_node:ToyCamera",
}
"""Name of a plugin -> its class, which is imported on the first load."""
EXTRA_ARGUMENTS = ("use_intra_process_comms", "forward_global_arguments")


class LoadError(RuntimeError):
    """Reason why a node could not be loaded, as a sentence."""


class Component:
    """A loaded node with its own thread, so that a busy node does not delay the others.

    Args:
        node: the node. The component destroys it in `close`.

    Attributes:
        node: the node.
        name: fully qualified name of the node.
    """

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
            except Exception:  # a failing callback of one node must not end the others
                self.node.get_logger().error(f"a callback failed:\n{traceback.format_exc()}")
        self._executor.shutdown()

    def close(self, shut_down: bool = True) -> None:
        """End the thread, then destroy the node.

        Args:
            shut_down: True to shut a lifecycle node down first, which returns its memory. Not needed if the process ends anyway.
        """
        self._closing.set()
        self._executor.wake()
        self._thread.join()
        try:
            if shut_down and isinstance(self.node, LifecycleNode):
                self.node.trigger_shutdown()
        except Exception as error:  # already shut down through its own services
            self.node.get_logger().info(f"could not shut the node down: {_one_line(error)}")
        finally:
            self.node.destroy_node()


class ComponentManager(Node):
    """Node with the container's services: `~/_container/load_node`, `~/_container/unload_node`, `~/_container/list_nodes`.

    `load_node` responds after the node was created and a lifecycle node with `autostart` is active. A node that cannot start is destroyed.

    Attributes:
        components: loaded nodes by unique id. Ids start at 1 and are never reused.
        loading: True while a node is being loaded.
    """

    def __init__(self, node_name: str = "ComponentManager", **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self.components: dict[int, Component] = {}
        self.loading = False
        self._ids = itertools.count(1)
        changes = MutuallyExclusiveCallbackGroup()  # loading takes long; list_nodes responds meanwhile
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
            self.get_logger().info(f"loaded {component.name} ({request.plugin_name}) as id {response.unique_id}")
        except LoadError as error:
            self.get_logger().error(f"could not load {request.plugin_name}: {error}")
            response.error_message = str(error)
        except Exception as error:  # the other nodes continue, and the caller gets the error
            self.get_logger().error(f"could not load {request.plugin_name}:\n{traceback.format_exc()}")
            response.error_message = _one_line(error)
        finally:
            self.loading = False
        return response

    def _make(self, request: LoadNode.Request) -> Node:
        """Create and start the node of a request. Raises LoadError."""
        if request.package_name != PACKAGE:
            raise LoadError(f'Could not find package "{request.package_name}": this container loads only nodes of {PACKAGE}')
        if request.plugin_name not in PLUGINS:
            plugins = ", ".join(PLUGINS)
            raise LoadError(f'Failed to find class with the requested plugin name "{request.plugin_name}"; {PACKAGE} has: {plugins}')
        arguments = self._arguments(request)
        try:
            make: Callable[..., Node] = pkgutil.resolve_name(PLUGINS[request.plugin_name])
            node = make(context=self.context, **arguments)
        except Exception as error:  # a wrong name, remap rule or parameter, or a missing library; rclpy has many exception classes
            raise LoadError(f"Component constructor threw an exception: {_one_line(error)}") from error
        try:
            self._prepare(node, request)
        except BaseException:
            node.destroy_node()
            raise
        return node

    def _arguments(self, request: LoadNode.Request) -> dict[str, Any]:
        """Return the arguments of the node's constructor. Names and remap rules are passed like a command line. Raises LoadError."""
        rules = list(request.remap_rules)
        rules += [f"__node:={request.node_name}"] if request.node_name else []
        rules += [f"__ns:={request.node_namespace}"] if request.node_namespace else []
        try:
            parameters = [Parameter.from_parameter_msg(parameter) for parameter in request.parameters]
            extra = {item.name: item for item in map(Parameter.from_parameter_msg, request.extra_arguments)}
        except Exception as error:  # an invalid parameter type
            raise LoadError(f"a parameter cannot be read: {_one_line(error)}") from error
        for name, item in extra.items():
            if name not in EXTRA_ARGUMENTS:
                self.get_logger().warning(f"extra argument {name} is ignored; supported: {', '.join(EXTRA_ARGUMENTS)}")
            elif item.type_ != Parameter.Type.BOOL:
                raise LoadError(f"Extra component argument '{name}' must be a boolean")
        if "use_intra_process_comms" in extra and extra["use_intra_process_comms"].value:
            self.get_logger().warning(
                "use_intra_process_comms has no effect: rclpy sends messages between nodes of one process through the middleware"
            )
        return {
            "cli_args": ["--ros-args", *itertools.chain.from_iterable(("-r", rule) for rule in rules)],
            "use_global_arguments": bool("forward_global_arguments" in extra and extra["forward_global_arguments"].value),
            "parameter_overrides": parameters,
        }

    def _prepare(self, node: Node, request: LoadNode.Request) -> None:
        """Check the name of a new node, set its log level and start it. Raises LoadError."""
        full_name = node.get_fully_qualified_name()
        for number, component in self.components.items():
            if component.name == full_name:
                raise LoadError(f"{full_name} is already loaded with id {number}: choose another node name or namespace")
        if request.log_level:
            try:
                node.get_logger().set_level(LoggingSeverity(request.log_level))
            except ValueError as error:
                levels = ", ".join(f"{level.value} {level.name}" for level in LoggingSeverity if level.value)
                raise LoadError(f"log level {request.log_level} does not exist; choose from: {levels}") from error
        autostart: Callable[[Wait], bool] | None = getattr(node, "autostart", None)
        if autostart is not None and not self._start(node, autostart):
            raise LoadError(f"{full_name} could not start: {getattr(node, 'problem', '') or 'see its log'}")

    @staticmethod
    def _start(node: Node, autostart: Callable[[Wait], bool]) -> bool:
        """Start a node. Its services answer while its networks load."""
        executor = SingleThreadedExecutor(context=node.context)
        executor.add_node(node)
        try:
            return autostart(partial(spin, executor))
        finally:
            executor.remove_node(node)
            executor.shutdown()

    def _on_unload(self, request: UnloadNode.Request, response: UnloadNode.Response) -> UnloadNode.Response:
        component = self.components.pop(request.unique_id, None)
        if component is None:
            loaded = ", ".join(map(str, self.components)) or "none"
            response.error_message = f"No node found with unique_id: {request.unique_id}; loaded: {loaded}"
            return response
        try:
            component.close()
            response.success = True
            self.get_logger().info(f"unloaded {component.name}")
        except Exception as error:  # the other nodes continue, and the caller gets the error
            self.get_logger().error(f"{component.name} was unloaded with an error:\n{traceback.format_exc()}")
            response.error_message = _one_line(error)
        return response

    def _on_list(self, _: ListNodes.Request, response: ListNodes.Response) -> ListNodes.Response:
        loaded = dict(self.components)
        response.unique_ids = list(loaded)
        response.full_node_names = [component.name for component in loaded.values()]
        return response

    def destroy_node(self) -> None:
        """Close all components, then destroy the container."""
        while self.components:
            self.components.popitem()[1].close(shut_down=False)
        super().destroy_node()


def _one_line(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())


def main(args: Sequence[str] | None = None) -> int:
    """Run a container until the process is told to stop.

    Args:
        args: command line.

    Returns:
        exit code: 0, or 1 if the container could not start.
    """
    logging.basicConfig(level=logging.WARNING, format="[%(levelname)s] %(name)s: %(message)s", stream=sys.stderr)
    check_command_line("component_container", "Run a container that loads and unloads the package's nodes.", (), args)
    stopping = threading.Event()
    configure_process()
    try:
        # rclpy's own handlers would shut down the context while the executors of all threads use it, which can crash them.
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        manager = ComponentManager()
    except Exception as error:  # a wrong command line; rclpy has many exception classes
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
    if loading:  # loading a network cannot be interrupted, and there is no data to save
        os._exit(0)
    executor.shutdown()
    rclpy.try_shutdown()
    return 0
