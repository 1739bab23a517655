# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""All modules that the commands need. The server of `killing` imports this module before it makes the processes.

transformers imports the modules of a network on its first use, so the networks are loaded once. Each command loads its own.
"""

from lang2segtrack_ros.cli import bag, image, track  # noqa: F401
from lang2segtrack_ros.models.loading import load_detector, load_segmenter
from lang2segtrack_ros.recordings import offline  # noqa: F401
from lang2segtrack_ros.recordings.bags import job  # noqa: F401
from lang2segtrack_ros.session import image_segmentation  # noqa: F401

load_segmenter("toy", "cpu", 64)
load_detector("toy", "cpu")
