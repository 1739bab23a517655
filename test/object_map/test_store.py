# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The file of a map: what comes back, what is refused, and kills of a real process."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lang2segtrack_ros.object_map.object_map import ObjectMap
from lang2segtrack_ros.object_map.objects import MapObject, ObjectState, TrackReference
from lang2segtrack_ros.object_map.store import SCHEMA_VERSION, MapStore, StoreError
from test.object_map.killing import kill_once


def thing(number: int = 3, state: ObjectState = ObjectState.MISSING) -> MapObject:
    """Return an object with a value in each field."""
    covariance = np.array([[2.0, 0.1, 0.0], [0.1, 3.0, 0.2], [0.0, 0.2, 4.0]]) * 1e-4
    appearance = np.full(264, 264**-0.5, np.float32)
    tracks = {TrackReference("front", 7): 2_000, TrackReference("", 1): 3_000}
    labels = Counter({"rote Tasse ☕": 4, "mug": 1})
    position = np.array([1.5, -2.25, 0.125])
    times = (1_000, 3_000, state, 2_500, "dock", 2_000)
    return MapObject(number, "rote Tasse ☕", position, covariance, (0.1, 0.2, 0.3), *times, 5, 0.75, appearance, tracks, labels)


def saved(store: MapStore, *items: MapObject) -> ObjectMap:
    """Save objects to a file, each with a thumbnail. Return their map."""
    objects = ObjectMap(objects=items)
    changes = objects.take_changes()
    changes.updated |= {item.id for item in items}
    changes.thumbnails.update({item.id: b"jpeg" for item in items})
    store.save(objects, changes)
    return objects


def test_an_object_comes_back_with_each_field(tmp_path: Path) -> None:
    """A restart must lose nothing: ids, words of any script, covariance, appearance, tracks."""
    store = MapStore(tmp_path / "map.db")
    saved(store, thing())
    store.close()
    store = MapStore(tmp_path / "map.db")
    objects, next_id, merged = store.load()
    (found,), expected = objects, thing()
    assert (next_id, merged) == (4, {})
    for name in ("id", "label", "size", "first_seen_ns", "last_seen_ns", "state", "state_since_ns", "name", "moved_at_ns", "sightings"):
        assert getattr(found, name) == getattr(expected, name), name
    for name in ("position", "covariance", "appearance"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    assert (found.score, found.tracks, found.labels) == (expected.score, expected.tracks, expected.labels)
    assert store.thumbnail(3) == b"jpeg"
    assert store.thumbnail(4) == b""


def test_ids_are_not_reused_after_the_last_object_is_forgotten(tmp_path: Path) -> None:
    """A user may still hold the id of a forgotten object."""
    store = MapStore(tmp_path / "map.db")
    objects = saved(store, thing(8))
    objects.forget([8])
    store.save(objects, objects.take_changes())
    store.close()
    objects_left, next_id, _ = MapStore(tmp_path / "map.db").load()
    assert (objects_left, next_id) == ([], 9)


def test_a_visible_object_is_remembered_after_a_restart(tmp_path: Path) -> None:
    """Nobody looked since."""
    store = MapStore(tmp_path / "map.db")
    saved(store, thing(1, ObjectState.VISIBLE))
    (item,) = ObjectMap(objects=store.load()[0]).table
    assert item.state is ObjectState.REMEMBERED


def test_maps_in_one_file_are_apart(tmp_path: Path) -> None:
    """The ids of one map are free in another one."""
    kitchen, office = MapStore(tmp_path / "map.db", "kitchen"), MapStore(tmp_path / "map.db", "office", "odom")
    saved(kitchen, thing(1))
    saved(office, thing(1), thing(2))
    assert [len(store.load()[0]) for store in (kitchen, office)] == [1, 2]
    assert office.map_names() == ["kitchen", "office"]
    reader = MapStore(tmp_path / "map.db", "office", "", read_only=True)
    assert (len(reader.load()[0]), reader.fixed_frame) == (2, "odom")


def test_a_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Each refusal names the file and the fix. None of the files is changed."""
    newer, foreign, text = tmp_path / "newer.db", tmp_path / "foreign.db", tmp_path / "text.db"
    MapStore(newer).close()
    base = sqlite3.connect(newer)
    base.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    base.close()
    with pytest.raises(StoreError, match=f"newer.db has schema {SCHEMA_VERSION + 1}, and .* reads up to {SCHEMA_VERSION}: update"):
        MapStore(newer)
    base = sqlite3.connect(foreign)
    base.execute("CREATE TABLE songs (name TEXT)")
    base.close()
    with pytest.raises(StoreError, match=r"foreign.db is a database of another program"):
        MapStore(foreign)
    text.write_text("no database " * 100)
    with pytest.raises(StoreError, match=r"cannot read .*text.db .*move this one away"):
        MapStore(text)
    with pytest.raises(StoreError, match=r"cannot open .*: give a file in a folder"):
        MapStore(text / "map.db")
    with pytest.raises(StoreError, match="there is no file"):
        MapStore(tmp_path / "none.db", read_only=True)
    assert text.read_text().startswith("no database")


def test_another_frame_and_a_second_writer_are_refused(tmp_path: Path) -> None:
    """Positions of two frames in one map would be wrong, and two writers would use one id twice."""
    store = MapStore(tmp_path / "map.db", "home", "map")
    with pytest.raises(StoreError, match="another process writes the map home"):
        MapStore(tmp_path / "map.db", "home", "map")
    store.close()
    with pytest.raises(StoreError, match="has positions in frame map, not odom: set fixed_frame to map"):
        MapStore(tmp_path / "map.db", "home", "odom")
    with pytest.raises(StoreError, match="has no map office: its maps are home"):
        MapStore(tmp_path / "map.db", "office", "", read_only=True)


def test_a_failed_save_changes_nothing(tmp_path: Path) -> None:
    """One transaction: the objects before the fault are not written either."""
    store = MapStore(tmp_path / "map.db")
    objects = saved(store, thing(1))
    broken = thing(2)
    broken.last_seen_ns = 2**70  # SQLite has 64 bits
    objects.table._objects[2] = broken  # the columns would refuse it
    objects.table[1].name = "changed"
    changes = objects.take_changes()
    changes.updated |= {1, 2}
    with pytest.raises(StoreError, match="cannot save the map default"):
        store.save(objects, changes)
    assert [item.name for item in store.load()[0]] == ["dock"]


def test_a_killed_process_leaves_a_whole_file(tmp_path: Path) -> None:
    """Kills of a real process in its work: each reported change is there, and no change is there by half."""
    for seconds in (0.0, 0.05, 0.21):
        reported, ids = kill_once(tmp_path / "map.db", seconds)
        assert ids[-1] >= reported
