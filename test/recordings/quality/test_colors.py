# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The comparison of colors before and after an event."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.io.exports.pictures import Picture, Pictures
from lang2segtrack_ros.io.exports.trace import TraceError
from lang2segtrack_ros.recordings.quality.colors import compare_colors, histogram, similarity
from lang2segtrack_ros.recordings.quality.findings import Finding, Kind, Severity
from lang2segtrack_ros.recordings.quality.report import analyze
from lang2segtrack_ros.recordings.quality.samples import read_samples
from test.recordings.quality.making import COUNT, HEIGHT, WIDTH, Script, crossing, hidden_between, result, steady, write

RED, BLUE, GRAY = (210, 40, 40), (40, 60, 200), (128, 128, 128)


def pictures(shown: dict[int, Script], colors: dict[int, tuple[int, int, int]], height: int = HEIGHT) -> Pictures:
    """Return images on which the shapes have these colors, before a gray wall."""

    def images() -> Iterator[Picture]:
        for number in range(COUNT):
            image: NDArray[np.uint8] = np.full((height, WIDTH, 3), GRAY, np.uint8)
            for track in result(number, shown).tracks:
                if height == HEIGHT:
                    image[track.mask] = colors[track.id]
            yield Picture(number, image)

    return Pictures("clip", images())


def found(folder: Path, trace: dict[int, Script], images: Pictures) -> list[Finding]:
    path = write(folder / "tracks.jsonl", trace)
    return list(compare_colors(path, analyze(read_samples(path), "clip").events, images))


def test_exchanged_ids_of_different_colors(tmp_path: Path) -> None:
    """The ids of a red and a blue object are exchanged in their crossing."""
    findings = found(tmp_path, crossing(30), pictures(crossing(), {1: RED, 2: BLUE}))
    (finding,) = [item for item in findings if item.other is not None]  # the jumps of both tracks show it, too
    assert (finding.kind, finding.severity) == (Kind.ID_SWITCH, Severity.HIGH)
    assert {finding.track, finding.other} == {1, 2}
    assert finding.image <= 30 <= finding.last_image
    assert "Colors: exchanged ids of tracks 1 and 2 fit with 1.00" in finding.reason


@pytest.mark.parametrize(("exchange", "colors"), [(None, {1: RED, 2: BLUE}), (30, {1: RED, 2: RED})], ids=["kept", "look-alikes"])
def test_colors_that_say_nothing(tmp_path: Path, exchange: int | None, colors: dict[int, tuple[int, int, int]]) -> None:
    """Kept ids are no finding, and look-alikes cannot be told apart by color."""
    assert found(tmp_path, crossing(exchange), pictures(crossing(), colors)) == []


def test_another_object_after_a_gap(tmp_path: Path) -> None:
    """The track returns on an object of another color."""
    scripts = {1: hidden_between(steady(), 25, 30)}
    shown = {1: lambda number: steady()(number) if number < 25 else None, 2: lambda number: steady()(number) if number > 30 else None}
    (finding,) = found(tmp_path, scripts, pictures(shown, {1: RED, 2: BLUE}))
    assert (finding.track, finding.image, finding.other) == (1, 25, None)
    assert found(tmp_path, scripts, pictures({1: steady()}, {1: RED})) == []


def test_images_of_another_recording_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="give the recording that was tracked"):
        found(tmp_path, crossing(30), pictures({}, {}, HEIGHT + 2))


def test_histograms() -> None:
    """A histogram sums to 1, small masks have none, and similarity is 1 for equal and 0 for different colors."""
    image: NDArray[np.uint8] = np.full((10, 10, 3), RED, np.uint8)
    whole = np.ones((10, 10), bool)
    one, other = histogram(image, whole), histogram(image[..., ::-1].copy(), whole)
    assert one is not None
    assert other is not None
    assert one.sum() == pytest.approx(1)
    assert similarity(one, one) == pytest.approx(1)
    assert similarity(one, other) == 0
    whole[2:] = False
    assert histogram(image, whole) is None
