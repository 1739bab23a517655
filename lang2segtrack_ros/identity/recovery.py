# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Search for an object whose track has moved to another one, by its color near its predicted position.

The mask of an object can move to the other object of a crossing. Its memories then show that object, so the tracker does not find it again.
Its color model and its trajectory from before remain valid. The search is a back-projection of the color model (Swain and
Ballard, IJCV 1991) around the predicted position, without the pixels of other objects.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.color_model import rgb_to_lab
from lang2segtrack_ros.identity.object_model import ObjectModel
from lang2segtrack_ros.types.results import Track
from lang2segtrack_ros.types.rle import Box

_CELLS_ACROSS = 10.0  # number of cells across the object
_REACH = 1.5  # distance searched around the predicted center, in sizes of the object, in addition to its standard deviation
_MIN_DENSITY = 0.02  # density from which a cell has the color of the object, relative to the maximum of a kernel
_MIN_AREA, _MAX_AREA = 0.4, 1.6  # area of the found region relative to the object
_RETRY_FRAMES = 5  # frames from one search to the next
_HIDDEN_FRAMES = 3  # frames without a mask before the first search
_MAX_FRAMES = 60  # frames without a mask after the last search


def is_search_due(track: Track) -> bool:
    """Return True if a hidden track is due for a search on this frame. The network must see some object where the track is."""
    hidden = track.frames_since_seen
    return track.box is None and track.object_score > 0 and hidden <= _MAX_FRAMES and hidden % _RETRY_FRAMES == _HIDDEN_FRAMES


def search_by_color(
    model: ObjectModel, others: Iterable[tuple[Track, ObjectModel | None]], color: NDArray[np.uint8], frame: int, exposure: float
) -> Box | None:
    """Search for an object near its predicted position.

    Args:
        model: color, size and trajectory of the object.
        others: the visible tracks of other objects with their models. A pixel under such a mask belongs to the object with the likelier
            color.
        color: the image, RGB uint8 [H, W, 3].
        frame: frame number of the image.
        exposure: exposure of the image, see `scene_cut.SceneState`.

    Returns:
        The box of a region with the color and about the area of the object, or None.
    """
    if not model.color_model.samples:
        return None
    height, width = color.shape[:2]
    (center_x, center_y), deviation = model.predict(frame)
    size = math.sqrt(model.area)
    reach = _REACH * size + min(deviation, 2 * size)
    x, y = max(int(center_x - reach), 0), max(int(center_y - reach), 0)
    end_x, end_y = min(int(center_x + reach), width), min(int(center_y + reach), height)
    if end_x - x < 8 or end_y - y < 8:
        return None
    side = max(size / _CELLS_ACROSS, 1.0)
    cells = max(round((end_x - x) / side), 1), max(round((end_y - y) / side), 1)
    rgb = cv2.resize(np.ascontiguousarray(color[y:end_y, x:end_x]), cells, interpolation=cv2.INTER_AREA).astype(np.float32)
    lab = rgb_to_lab(rgb)
    density = model.color_model.density(lab.reshape(-1, 3), exposure).reshape(lab.shape[:2])
    similar = density >= _MIN_DENSITY
    for track, other in others:
        mask = track.mask[y:end_y, x:end_x]
        if not mask.any():
            continue
        covered = cv2.resize(mask.astype(np.float32), cells, interpolation=cv2.INTER_AREA) >= 0.5
        if other is not None and other.color_model.samples:
            covered &= other.color_model.density(lab.reshape(-1, 3), exposure).reshape(lab.shape[:2]) > density
        similar &= ~covered
    opened = cv2.morphologyEx(similar.view(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)).astype(np.uint8, copy=False)
    _, _, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    expected = model.area / side**2
    fitting = [row for row in stats[1:] if _MIN_AREA * expected <= row[cv2.CC_STAT_AREA] <= _MAX_AREA * expected]
    if not fitting:
        return None
    left, top, columns, rows, _ = max(fitting, key=lambda row: row[cv2.CC_STAT_AREA])
    scale_x, scale_y = (end_x - x) / cells[0], (end_y - y) / cells[1]
    return (
        float(x + left * scale_x),
        float(y + top * scale_y),
        float(x + (left + columns) * scale_x),
        float(y + (top + rows) * scale_y),
    )
