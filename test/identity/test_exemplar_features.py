# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The features of the segmenter find the objects that look like an exemplar, on toy scenes."""

from __future__ import annotations

import numpy as np
import pytest

from bench.exemplar import Counts, make_pair, measure
from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.exemplar import ExemplarFinder
from lang2segtrack_ros.identity.exemplar_features import FeatureMatcher
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.prompts import ExemplarPrompt, PromptError
from test.conftest import body_box


@pytest.fixture(scope="module")
def matcher(segmenter: Sam2Segmenter) -> FeatureMatcher:
    return FeatureMatcher(segmenter)


@pytest.mark.parametrize(("name", "recall", "precision"), [("later", 0.7, 0.8), ("elsewhere", 0.5, 0.8), ("similar", 0.5, 0.65)])
def test_recall_and_precision_on_toy_scenes(matcher: FeatureMatcher, name: str, recall: float, precision: float) -> None:
    """The bounds lie below the figures of docs/accuracy.md, because twelve scenes vary more than sixty."""
    (counts,) = measure(matcher, name, range(100, 112), [matcher.default_exemplar_threshold])
    assert counts.recall >= recall, counts
    assert counts.precision >= precision, counts


def test_counts_see_misses_false_detections_and_second_ones() -> None:
    """The bounds above mean nothing if the count is wrong."""
    pair = make_pair("elsewhere", 100)
    boxes = [body.box for body in pair.second.bodies.values() if body.label == pair.label and body.box is not None]
    other = next(body.box for body in pair.second.bodies.values() if body.label != pair.label and body.box is not None)
    counts = Counts()
    counts.add(pair.second, pair.label, [Detection(pair.label, 0.9, box) for box in (boxes[0], boxes[0], other)])
    assert (counts.objects, counts.found, counts.false) == (len(boxes), 1, 2)


def test_a_box_without_an_object_is_refused(matcher: FeatureMatcher) -> None:
    """The look of an empty mask would match anything or nothing."""
    gray = np.full((120, 160, 3), 128, np.uint8)
    with pytest.raises(PromptError, match=r"the box \(2, 2, 5, 5\) of the exemplar shows no object"):
        matcher.encode_exemplar(gray, (2, 2, 5, 5))


def test_batches_and_several_exemplars_change_no_detection(matcher: FeatureMatcher, frames: list[SceneFrame]) -> None:
    """A smaller batch saves memory, and another exemplar must not change the objects of the first one."""
    prompts = [ExemplarPrompt(body_box(frames[0], body), str(body), frames[0].color) for body in (1, 2)]
    alone = ExemplarFinder(matcher).find(frames[9].color, prompts[:1], [0.5]).detections
    small = FeatureMatcher(matcher.segmenter.with_batch_limit(3))
    both = ExemplarFinder(small).find(frames[9].color, prompts, [0.5, 0.5]).detections
    (first,) = alone
    (again,) = [item for item in both if item.label == "1"]
    assert again.box == first.box
    assert again.score == pytest.approx(first.score, abs=1e-3)
    assert {item.label for item in both} == {"1", "2"}
