# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Names and shapes of the tensors in original files.

`original_tensor_shapes.json` holds them. They come from the reference modules, built from their own code and configurations. A range in a
name, such as layers.0-5.norm1, stands for one tensor per number.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

FACTS: dict[str, dict[str, list[int]]] = json.loads((Path(__file__).parent / "original_tensor_shapes.json").read_text(encoding="utf-8"))


def original_shapes(network: str) -> dict[str, list[int]]:
    """Return the shape of each tensor of a network."""
    return {name: shape for folded, shape in FACTS[network].items() for name in _expand(folded)}


def _expand(name: str) -> list[str]:
    match = re.search(r"\.0-(\d+)\.", name)
    if match is None:
        return [name]
    return [
        expanded for number in range(int(match[1]) + 1) for expanded in _expand(f"{name[: match.start()]}.{number}.{name[match.end() :]}")
    ]
