# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The network's mask logits of the latest frame, which results do not carry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from lang2segtrack_ros.tracking.stream_tracker import StreamTracker


class LogitsProbe(dict[int, np.ndarray]):
    """Mask logits [h, w] at stride 4 of the network's input by track id, from a tracker's latest frame."""

    def __init__(self, tracker: StreamTracker) -> None:
        super().__init__()
        tracker.on_logits = self._take

    def _take(self, ids: Sequence[int], logits: Tensor) -> None:
        self.clear()
        self.update(zip(ids, logits.cpu().numpy().copy()))

    def stacked(self) -> np.ndarray:
        """Those of all tracks by rising id, [N, h, w]."""
        return np.stack([self[track_id] for track_id in sorted(self)])
