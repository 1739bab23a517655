# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The interface of vision-language models: an image and a text in, a text out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class VlmError(RuntimeError):
    """A vision-language model that gives no answer. The message says what to do."""


class VlmClosedError(VlmError):
    """A request that `close` ended, or that came after it."""


class VisionLanguageModel(Protocol):
    """A model that answers a text about an image.

    Attributes:
        name: name of the model for messages.
        answer_format: format of its coordinates: "auto", "pixels", "thousandths" or "fractions"; see `VlmOptions`.
        grounds_phrases: True for a model that finds the objects of a phrase and takes no other text, such as Florence-2.
    """

    name: str
    answer_format: str
    grounds_phrases: bool

    def generate(self, image: NDArray[np.uint8], prompt_text: str) -> str:
        """Return the answer to a text about an image.

        Args:
            image: uint8 [H, W, 3], RGB.
            prompt_text: the text, or the phrase if `grounds_phrases`.

        Raises:
            VlmError: there is no answer. The message says what to do.
        """
        ...

    def close(self) -> None:
        """End a running request within a second, and refuse further ones. Any thread may call it."""
        ...

    def metrics(self) -> dict[str, object]:
        """Return counters by name. Any thread may call it."""
        ...


def shorten(text: str, length: int = 200) -> str:
    """Return a text on one line, without its end if it is longer than `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 4]} ..."
