# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Similarity of a query and a label: the same words, shared words, or a text encoder."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

TextEncoder = Callable[[Sequence[str]], NDArray[np.float32]]
"""Maps N texts to float32 [N, K] features of unit length."""
MIN_COSINE = 0.7
"""Texts with a lower cosine are no match."""
_ARTICLES = frozenset(["a", "an", "the", "my", "some"])
_CACHED = 4096


@lru_cache(maxsize=_CACHED)
def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a text in lower case, without articles and punctuation."""
    return tuple(word for word in re.findall(r"\w+", text.lower()) if word not in _ARTICLES)


class LabelSimilarity:
    """Similarity of texts, 0..1.

    Args:
        encoder: text encoder. Without it, only texts with the same words are similar, and those that name less of the same.
    """

    def __init__(self, encoder: TextEncoder | None = None) -> None:
        self._encoder = encoder
        self._features: dict[str, NDArray[np.float32]] = {}

    def scores(self, query: str, labels: Sequence[str]) -> NDArray[np.float64]:
        """Return the similarity of a query to each label.

        1 for the same words. With all words of the query in the label ("mug" in "red mug"), the fraction of the label's words, at least
        0.5. Otherwise the cosine of the text encoder, scaled so that its threshold is 0 and equality 1, and times 0.9.

        Args:
            query: label or phrase.
            labels: texts.

        Returns:
            float64 [N].
        """
        wanted = words_of(query)
        scores = np.array([_word_score(wanted, words_of(label)) for label in labels], dtype=np.float64)
        open_indices = np.flatnonzero(scores == 0)
        if self._encoder is not None and len(open_indices) and wanted:
            features = self._encode([query, *(labels[index] for index in open_indices.tolist())])
            cosines = features[1:] @ features[0]
            scores[open_indices] = 0.9 * np.clip((cosines - MIN_COSINE) / (1 - MIN_COSINE), 0.0, 1.0)
        return scores

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        assert self._encoder is not None
        unknown = [text for text in dict.fromkeys(texts) if text not in self._features]
        if unknown:
            if len(self._features) + len(unknown) > _CACHED:
                self._features.clear()
                unknown = list(dict.fromkeys(texts))
            self._features.update(zip(unknown, self._encoder(unknown)))
        return np.stack([self._features[text] for text in texts])


def _word_score(wanted: tuple[str, ...], label: tuple[str, ...]) -> float:
    if not wanted or not label:
        return 0.0
    if wanted == label:
        return 1.0
    if set(wanted) <= set(label):
        return max(0.5, len(set(wanted)) / len(set(label)))
    return 0.0
