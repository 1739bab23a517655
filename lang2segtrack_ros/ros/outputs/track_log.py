# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Lines in the log for tracks that appear and end."""

from __future__ import annotations

from typing import Any

from lang2segtrack_ros.types.results import FrameResult, TrackStatus


class TrackLog:
    """Log of the tracks of one stream.

    Args:
        logger: logger of the node.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._labels: dict[int, str] = {}

    def update(self, result: FrameResult) -> None:
        """Log the tracks that appear on an image for the first time, and those that are gone.

        Args:
            result: result of the image.
        """
        labels = {track.id: track.label for track in result.announced if track.state is not TrackStatus.REMOVED}
        for number in sorted(labels.keys() - self._labels.keys()):
            self._logger.info(f"track {number} begins: {labels[number]}")
        for number in sorted(self._labels.keys() - labels.keys()):
            self._logger.info(f"track {number} ends: {self._labels[number]}")
        self._labels = labels
