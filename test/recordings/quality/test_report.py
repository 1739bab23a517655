# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Each rule on a trace with one known defect, and all rules on clean ones."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lang2segtrack_ros.io.exports.trace import TraceError
from lang2segtrack_ros.recordings.quality.findings import Finding, Kind, Severity
from lang2segtrack_ros.recordings.quality.motion import FIT
from lang2segtrack_ros.recordings.quality.report import analyze
from lang2segtrack_ros.recordings.quality.samples import ImageSample, TrackSample, read_samples
from lang2segtrack_ros.types.results import Source, TrackStatus
from test.recordings.quality.making import (
    COUNT,
    HEIGHT,
    WIDTH,
    Script,
    Shape,
    crossing,
    hidden_between,
    kinds,
    lines,
    of_kind,
    report_of,
    steady,
)


@pytest.mark.parametrize(
    "scripts",
    [
        {1: steady()},
        {1: steady(30), 2: steady(90, 150, -1.5)},
        crossing(),
        {1: steady(speed=0)},
        {1: lambda number: Shape(60 + 40 * (1 if number // 15 % 2 else -1) * (number % 15 / 15 - 0.5), 60)},  # turns back and forth
        {1: lambda number: Shape(40 + number, 60, 16 + number / 2)},  # comes closer
        {1: lambda number: Shape(4 * number - 20, 60) if number < 50 else None},  # enters and leaves the image
    ],
    ids=["moving", "apart", "crossing", "still", "turning", "growing", "leaving"],
)
def test_clean_traces_have_no_finding(tmp_path: Path, scripts: dict[int, Script]) -> None:
    """A report full of false alarms is not read."""
    report = report_of(tmp_path, scripts)
    assert [item for item in report.findings if item.kind not in (Kind.GAP, Kind.EARLY_END)] == []
    assert report.images == COUNT
    assert (report.width, report.height) == (WIDTH, HEIGHT)


def test_area_jump(tmp_path: Path) -> None:
    """One image shows the mask at twice its side: one finding that covers the way there and back."""
    report = report_of(tmp_path, {1: lambda number: Shape(60 + number, 60, 40 if number == 20 else 20)})
    (finding,) = of_kind(report, Kind.AREA_JUMP)
    assert (finding.image, finding.last_image, finding.track, finding.images) == (20, 21, 1, 2)
    assert finding.severity is Severity.MEDIUM
    assert "a factor of 4.0" in finding.reason


def test_area_jumps_at_the_border_are_left_out(tmp_path: Path) -> None:
    """An object that enters shows more of itself on each image."""
    assert of_kind(report_of(tmp_path, {1: lambda number: Shape(8 * number - 6, 60)}, range(4)), Kind.AREA_JUMP) == []


def test_position_jump(tmp_path: Path) -> None:
    """The mask leaps away and stays there."""
    report = report_of(tmp_path, {1: lambda number: Shape(40 + number, 30 if number < 25 else 90)})
    (finding,) = of_kind(report, Kind.POSITION_JUMP)
    assert (finding.image, finding.track) == (25, 1)
    assert kinds(report) == {"position_jump"}


def test_gaps_and_their_severity(tmp_path: Path) -> None:
    """A short gap is of low severity, a gap of over a second of medium severity."""
    report = report_of(tmp_path, {1: hidden_between(steady(), 10, 12), 2: hidden_between(steady(20), 20, 40)})
    long, short = of_kind(report, Kind.GAP)
    assert (short.image, short.last_image, short.track, short.images, short.severity) == (10, 12, 1, 3, Severity.LOW)
    assert (long.image, long.last_image, long.track, long.images, long.severity) == (20, 40, 2, 21, Severity.MEDIUM)


def test_early_end(tmp_path: Path) -> None:
    """A track that ends inside the image is reported, unlike one that leaves it, or that ends with the recording."""
    scripts: dict[int, Script] = {
        1: hidden_between(steady(), 30, COUNT),
        2: lambda number: Shape(100 - 4 * number, 20) if number < 26 else None,
        3: hidden_between(steady(100), COUNT - 2, COUNT),
    }
    report = report_of(tmp_path, scripts)
    assert [(item.track, item.image, item.affected) for item in of_kind(report, Kind.EARLY_END)] == [(1, 30, 30)]


def test_low_score_and_confidence(tmp_path: Path) -> None:
    """The confidence of a merged trace counts instead of the score."""
    scripts: dict[int, Script] = {
        1: lambda number: Shape(40 + number, 30, score=0.3 if 10 <= number < 20 else 0.9),
        2: lambda number: Shape(40 + number, 90, confidence=0.2 if number == 5 else 0.9),
        3: lambda number: Shape(40 + number, 60, score=0.3, confidence=0.9),
    }
    found = of_kind(report_of(tmp_path, scripts), Kind.LOW_SCORE)
    assert [(item.track, item.image, item.last_image, item.severity) for item in found] == [
        (1, 10, 19, Severity.MEDIUM),
        (2, 5, 5, Severity.LOW),
    ]


def test_disagreement_of_both_passes(tmp_path: Path) -> None:
    """A partial disagreement is one finding; masks at different places are a suspected id switch, too."""
    scripts: dict[int, Script] = {
        1: lambda number: Shape(40 + number, 30, agreement=0.3 if 10 <= number <= 14 else 0.95),
        2: lambda number: Shape(40 + number, 90, agreement=0.0 if number == 40 else 0.95),
    }
    report = report_of(tmp_path, scripts)
    found = of_kind(report, Kind.DISAGREEMENT)
    assert sorted((item.track, item.image, item.last_image) for item in found) == [(1, 10, 14), (2, 40, 40)]
    (switch,) = of_kind(report, Kind.ID_SWITCH)
    assert (switch.track, switch.image, switch.other) == (2, 40, None)
    assert "Passes:" in switch.reason


def test_traces_without_a_backward_pass_have_no_disagreement(tmp_path: Path) -> None:
    """Older traces have no such fields, and a bag has none."""
    report = report_of(tmp_path, {1: steady()})
    assert of_kind(report, Kind.DISAGREEMENT) == []
    assert report.curves[1].filled == 0


def test_filled_images_are_counted(tmp_path: Path) -> None:
    scripts: dict[int, Script] = {1: lambda number: Shape(40 + number, 60, source=Source.BACKWARD if number < 7 else Source.FORWARD)}
    assert report_of(tmp_path, scripts).curves[1].filled == 7


@pytest.mark.parametrize("image", [25, 28, 30, 32, 35])
def test_exchanged_ids_of_a_crossing(tmp_path: Path, image: int) -> None:
    """The ids change anywhere in a crossing, also where both objects are at the same place."""
    (finding,) = of_kind(report_of(tmp_path, crossing(image)), Kind.ID_SWITCH)
    assert {finding.track, finding.other} == {1, 2}
    assert finding.image - 5 <= image <= finding.last_image + 5
    assert "Crossing:" in finding.reason or image == 25  # before the contact, the jump shows it
    assert finding.affected == COUNT - finding.image


def test_jump_to_the_place_of_another_track(tmp_path: Path) -> None:
    """Two rules see the jump, and they report one id switch."""
    scripts: dict[int, Script] = {
        1: lambda number: Shape(40 + number, 30 if number < 25 else 90),
        2: lambda number: Shape(40 + number, 90) if number < 25 else None,
    }
    (finding,) = of_kind(report_of(tmp_path, scripts), Kind.ID_SWITCH)
    assert (finding.image, finding.track, finding.other) == (25, 1, 2)
    assert "Jump: track 1 moves 60 pixels to the place of track 2." in finding.reason


def test_new_track_at_the_place_of_a_lost_one(tmp_path: Path) -> None:
    """The object has a new id, as after a failed re-identification. A track of another label is another object."""

    def scripts(label: str) -> dict[int, Script]:
        return {1: hidden_between(steady(), 20, COUNT), 2: hidden_between(steady(label=label), 0, 23)}

    (finding,) = of_kind(report_of(tmp_path, scripts("cup")), Kind.ID_SWITCH)
    assert (finding.image, finding.track, finding.other) == (24, 2, 1)
    assert "Replacement: track 2 begins" in finding.reason
    assert of_kind(report_of(tmp_path, scripts("bowl")), Kind.ID_SWITCH) == []


def test_tracks_that_share_a_mask(tmp_path: Path) -> None:
    """Track 2 goes over to the object of track 1: a shared mask, and a suspected id switch."""
    scripts: dict[int, Script] = {
        1: lambda number: Shape(100, 60),
        2: lambda number: Shape(100 - max(30 - number, 0), 60),
    }
    report = report_of(tmp_path, scripts)
    (shared,) = of_kind(report, Kind.DUPLICATE)
    assert (shared.track, shared.other, shared.last_image) == (1, 2, COUNT - 1)
    assert shared.severity is Severity.MEDIUM
    assert any("Shared mask:" in item.reason for item in of_kind(report, Kind.ID_SWITCH))


def test_duplicate_from_its_first_image_is_no_switch(tmp_path: Path) -> None:
    """A second track of one object had no object of its own that it could have left."""
    report = report_of(tmp_path, {1: steady(), 2: hidden_between(steady(), 0, 30)})
    assert [item.kind for item in report.findings] == [Kind.DUPLICATE]


def test_unconfirmed_tracks_are_left_out_and_counted(tmp_path: Path) -> None:
    report = report_of(tmp_path, {1: steady(), 2: steady(20, state=TrackStatus.TENTATIVE)})
    assert (set(report.curves), report.unconfirmed) == ({1}, 1)
    kept = analyze(read_samples(tmp_path / "tracks.jsonl", keep_unconfirmed=True), "clip")
    assert (set(kept.curves), kept.unconfirmed) == ({1, 2}, 0)


def test_missing_images_are_counted(tmp_path: Path) -> None:
    """A trace may leave out images, and a missing image is no jump."""
    report = report_of(tmp_path, {1: steady()}, [*range(10), *range(20, 30)])
    assert (report.images, report.missing_images, report.first_image, report.last_image) == (20, 10, 0, 29)
    assert report.findings == []


@pytest.mark.parametrize("count", [0, 1])
def test_recordings_without_motion(tmp_path: Path, count: int) -> None:
    """An empty recording and one of a single image have a report."""
    report = report_of(tmp_path, {1: steady()}, range(count))
    assert (report.images, report.findings, len(report.curves)) == (count, [], count)


def test_worst_findings_come_first(tmp_path: Path) -> None:
    """Ten minutes of a person go to the switch, then to the long gap, then to small jumps."""
    scripts = {**crossing(30), 3: hidden_between(steady(110), 10, 40), 4: lambda number: Shape(180, 20, 20 if number % 25 else 29)}
    findings = report_of(tmp_path, scripts).findings
    assert findings[0].kind is Kind.ID_SWITCH
    assert [item.severity for item in findings] == sorted((item.severity for item in findings), reverse=True)
    assert [item.kind for item in findings if item.track == 3] == [Kind.GAP]
    assert {item.kind for item in findings if item.track == 4} == {Kind.AREA_JUMP}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"box"', '"bax"', 1), "line 1 of .* is not a record of a trace .it has no 'box'."),
        (lambda text: text[:-40], "line 60 of .* is not a record"),
        (lambda text: text.replace('"counts":"', '"counts":"\\u00e9', 1), "line 1 of .*the mask of object 1 has the counts"),
        (lambda text: text.replace('"source":"forward"', '"source":"sideways"', 1), "line 1 of .* is not a record"),
    ],
)
def test_damaged_traces_are_refused(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    """The error names the line."""
    report_of(tmp_path, {1: steady()})
    path = tmp_path / "tracks.jsonl"
    path.write_text(change(path.read_text()))
    with pytest.raises(TraceError, match=message):
        analyze(read_samples(path), "clip")


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    """Five thousand images with hundreds of findings: what is alive after 1,000 images is the same after 5,000."""
    scripts: dict[int, Script] = {
        1: steady(),
        2: lambda number: Shape(100, 20, 20 if number % 15 else 40),
        3: hidden_between(steady(100), 5, 9),
    }
    path = tmp_path / "tracks.jsonl"
    with path.open("wb") as file:
        file.writelines(lines(scripts, 5000))
    alive: dict[int, Counter[type]] = {}

    def count(done: int) -> None:
        if done in (1000, 5000):
            gc.collect()
            alive[done] = Counter(type(item) for item in gc.get_objects())

    report = analyze(read_samples(path), "clip", limit=50, progress=count)
    assert alive[5000][ImageSample] <= 3  # this one, and the first ones of runs of low scores
    assert alive[5000][TrackSample] == alive[1000][TrackSample] <= 3 * (FIT + 2) + 3
    assert alive[5000][Finding] <= 2 * 50 + 20
    assert all(len(curve.bins) <= 240 for curve in report.curves.values())
    assert (report.images, report.curves[1].seen, len(report.findings)) == (5000, 5000, 50)
    assert report.dropped > 150
