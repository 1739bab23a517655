# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Access to the mask logits of the latest frame, which results do not contain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from lang2segtrack_ros.tracking.tracker import Tracker


class LogitsProbe(dict[int, np.ndarray]):
    """Mask logits [h, w] of the latest frame by track id, at stride 4 of the network input."""

    def __init__(self, tracker: Tracker) -> None:
        super().__init__()
        tracker.on_logits = self._take

    def _take(self, ids: Sequence[int], logits: Tensor) -> None:
        self.clear()
        self.update(zip(ids, logits.cpu().numpy().copy()))

    def stacked(self) -> np.ndarray:
        """Return the logits of all tracks in order of their ids, [N, h, w]."""
        return np.stack([self[track_id] for track_id in sorted(self)])
