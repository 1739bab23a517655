# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The services of object_map_node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from std_msgs.msg import Header

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.geometry.transform_buffer import TransformBuffer, TransformError
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.object_map.object_map import ObjectMap
from lang2segtrack_ros.object_map.objects import MapError, ObjectState
from lang2segtrack_ros.object_map.queries import Query, find, latest_first
from lang2segtrack_ros.object_map.words import LabelSimilarity
from lang2segtrack_ros.ros.support.interfaces import Service
from lang2segtrack_ros.ros.support.map_interfaces import FIND_OBJECT, FORGET_OBJECT, LIST_OBJECTS, RENAME_OBJECT
from lang2segtrack_ros.ros.support.map_messages import object_message, time_message

DEFAULT_RESULTS, DEFAULT_LIMIT, MAX_LIMIT = 10, 1000, 10_000


class MapOwner(Protocol):
    """What the services need of their node.

    Attributes:
        objects: the map.
        transforms: history of the transforms.
        fixed_frame: frame of the map.
        map_name: name of the map.
        newest_ns: time of the newest image, nanoseconds.
    """

    objects: ObjectMap
    transforms: TransformBuffer
    fixed_frame: str
    map_name: str
    newest_ns: int

    def thumbnail(self, number: int) -> bytes:
        """Return the JPEG file of an object. Empty without one."""
        ...

    def save(self) -> None:
        """Save the changes of the map now. Raises StoreError."""
        ...


class MapServices:
    """Servers of `find_object`, `list_objects`, `forget_object` and `rename_object`.

    Args:
        node: node that owns the servers.
        owner: owner of the map.
        similarity: similarity of words.
    """

    def __init__(self, node: Node, owner: MapOwner, similarity: LabelSimilarity) -> None:
        self._node = node
        self._owner = owner
        self._similarity = similarity
        self._group = MutuallyExclusiveCallbackGroup()
        for service, handle in (
            (FIND_OBJECT, self._find),
            (LIST_OBJECTS, self._list),
            (FORGET_OBJECT, self._forget),
            (RENAME_OBJECT, self._rename),
        ):
            self._serve(service, handle)

    def _serve(self, service: Service, handle: Callable[[Any, Any], str]) -> None:
        def answer(request: Any, response: Any) -> Any:
            try:
                response.message = handle(request, response)
                response.success = True
            except (MapError, TransformError) as error:
                response.message, response.success = str(error), False
            return response

        self._node.create_service(service.kind, service.name, answer, qos_profile=service.qos, callback_group=self._group)

    def _motion(self, frame: str) -> RigidTransform | None:
        """Return the transform from the fixed frame to a frame; None for the fixed frame."""
        name = frame.lstrip("/")
        return None if name in ("", self._owner.fixed_frame) else self._owner.transforms.latest(self._owner.fixed_frame, name)

    def _header(self, frame: str) -> Header:
        return Header(stamp=time_message(self._owner.newest_ns), frame_id=frame.lstrip("/") or self._owner.fixed_frame)

    def _find(self, request: Any, response: Any) -> str:
        motion = self._motion(request.target_frame)
        near = None
        if request.near.header.frame_id:
            point = request.near.point
            near = np.array([point.x, point.y, point.z])
            to_near = self._motion(request.near.header.frame_id)
            if to_near is not None:
                back = to_near.inverse()
                near = back.rotation @ near + back.translation
        query = Query(
            request.label,
            near,
            float(request.max_distance),
            stamp_ns(request.seen_since),
            _states(request.states),
            int(request.max_results) or DEFAULT_RESULTS,
        )
        matches = find(self._owner.objects, query, self._similarity)
        thumbnail = self._owner.thumbnail if request.thumbnails else None
        response.header = self._header(request.target_frame)
        response.objects = [object_message(match.item, thumbnail, motion) for match in matches]
        response.scores = [match.score for match in matches]
        return "" if matches else f"none of {len(self._owner.objects.table)} objects fits"

    def _list(self, request: Any, response: Any) -> str:
        motion = self._motion(request.target_frame)
        numbers = latest_first(self._owner.objects, _states(request.states))
        limit = min(int(request.limit) or DEFAULT_LIMIT, MAX_LIMIT)
        chosen = numbers[request.offset : request.offset + limit]
        thumbnail = self._owner.thumbnail if request.thumbnails else None
        response.header, response.map_name, response.total = self._header(request.target_frame), self._owner.map_name, len(numbers)
        response.objects = [object_message(self._owner.objects.table[number], thumbnail, motion) for number in chosen]
        return ""

    def _forget(self, request: Any, response: Any) -> str:
        if request.all and len(request.ids):
            raise MapError("the request has ids and all: give one of them")
        if not request.all and not len(request.ids):
            raise MapError("the request has no ids: give ids of the map, or set all")
        objects = self._owner.objects
        numbers = [item.id for item in objects.table] if request.all else [int(number) for number in request.ids]
        count = objects.forget(numbers)
        self._owner.save()
        return f"{count} object{'' if count == 1 else 's'} forgotten"

    def _rename(self, request: Any, response: Any) -> str:
        item = self._owner.objects.rename(int(request.id), request.name)
        self._owner.save()
        return f"object {item.id} ({item.label}) is named {item.name}" if item.name else f"object {item.id} ({item.label}) has no name now"


def _states(values: Any) -> list[ObjectState]:
    """Return the states of a request.

    Raises:
        MapError: a value is no state.
    """
    known = {int(state): state for state in ObjectState}
    unknown = [value for value in values if int(value) not in known]
    if unknown:
        raise MapError(f"states has {unknown[0]}: give constants of MapObject, {', '.join(f'{s.name}={int(s)}' for s in ObjectState)}")
    return [known[int(value)] for value in values]
