# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Creation of the resolver that the options describe."""

from __future__ import annotations

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.instructions.vlm.client import HttpModel
from lang2segtrack_ros.instructions.vlm.model import VisionLanguageModel
from lang2segtrack_ros.instructions.vlm.options import VlmOptions
from lang2segtrack_ros.instructions.vlm.resolver import VlmResolver
from lang2segtrack_ros.types.options import OptionError


def make_vlm_resolver(options: VlmOptions, detector: Detector | None = None, device: str = "auto", dtype: str = "auto") -> VlmResolver:
    """Return the resolver of the options. A local model is loaded here, a server is not asked before the first instruction.

    Args:
        options: options with `vlm_model`, and with `vlm_url` for a server.
        detector: detector that gives the boxes of points. None refuses points that lie on no track.
        device: device of a local model: "auto", "cpu", "cuda", "cuda:1", ...
        dtype: number format of a local model: "auto", "float32" or "bfloat16".

    Raises:
        OptionError: no model is given.
        WeightsError: the local model cannot be found or loaded.
    """
    if not options.is_in_use:
        raise OptionError("no vision-language model is given: set vlm_model, and vlm_url for a model on a server")
    model: VisionLanguageModel
    if options.vlm_url:
        model = HttpModel(options)
    else:
        from lang2segtrack_ros.instructions.vlm.local import load_local_model  # transformers is slow to import

        model = load_local_model(options, device, dtype)
    return VlmResolver(model, options.vlm_max_edge, detector)
