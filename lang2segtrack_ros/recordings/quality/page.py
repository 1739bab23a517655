# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML page: no script, no file beside it, nothing from the network."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from lang2segtrack_ros.recordings.quality import REVIEW_PORT
from lang2segtrack_ros.recordings.quality.document import MINUTES, SECONDS_PER_FINDING, FindingEntry, ReportDocument, TrackEntry

MAX_FINDINGS = 500
"""Findings on the page; report.json holds more."""
MAX_TRACKS = 100
"""Curves on the page, those with the most findings; report.json holds all."""
WIDTH, HEIGHT = 720, 64
"""Size of a curve in units of its drawing."""
KIND_NAMES = {
    "id_switch": "suspected id switch",
    "duplicate": "shared mask",
    "position_jump": "jump",
    "area_jump": "change of area",
    "disagreement": "passes disagree",
    "low_score": "low score",
    "gap": "gap",
    "early_end": "early end",
}


@dataclass(frozen=True)
class Drawing:
    """The curve of one track in units of its drawing.

    Attributes:
        track: the track.
        lines: points "x,y x,y ..." of the mean score, one text for each part without a gap.
        low_lines: the same for the lowest score.
        marks: x, width, severity and title of each finding.
    """

    track: TrackEntry
    lines: list[str]
    low_lines: list[str]
    marks: list[tuple[float, float, str, str]]


def render(document: ReportDocument, tracked: str = "") -> str:
    """Return the page as HTML.

    Args:
        document: the report.
        tracked: the tracked recording as `lang2segtrack review` takes it; empty if it does not take it.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["seconds"] = lambda stamp_ns: f"{stamp_ns / 1e9:.3f}"
    template = environment.from_string(files(__package__).joinpath("report.html.jinja").read_text(encoding="utf-8"))
    chosen = sorted(document.tracks, key=lambda item: (-item.findings, item.id))[:MAX_TRACKS]
    return template.render(
        report=document,
        first=document.findings[: document.check_first],
        later=document.findings[document.check_first : MAX_FINDINGS],
        not_shown=max(len(document.findings) - MAX_FINDINGS, 0) + document.dropped,
        kinds=KIND_NAMES,
        drawings=[_drawing(item, document) for item in sorted(chosen, key=lambda item: item.id)],
        drawn={item.id for item in chosen},
        command=f"lang2segtrack review {shlex.quote(tracked)}" if tracked else "",
        review=f"http://127.0.0.1:{REVIEW_PORT}/#image=" if tracked else "",
        width=WIDTH,
        height=HEIGHT,
        minutes=MINUTES,
        seconds_per_finding=SECONDS_PER_FINDING,
    )


def _drawing(track: TrackEntry, document: ReportDocument) -> Drawing:
    span = max(document.last_image - document.first_image + 1, 1)
    scale = WIDTH / span
    widest = max((point.images for point in track.curve), default=1)
    lines: list[list[str]] = []
    low_lines: list[list[str]] = []
    end: int | None = None
    for point in track.curve:
        if end is None or point.image - end > widest:
            lines.append([])
            low_lines.append([])
        for values, score in ((lines[-1], point.score), (low_lines[-1], point.lowest_score)):
            y = round(HEIGHT * (1 - score), 1)
            start = (point.image - document.first_image) * scale
            values += [f"{start:.1f},{y}", f"{start + point.images * scale:.1f},{y}"]
        end = point.image + point.images
    marks = [_mark(item, document.first_image, scale) for item in document.findings if track.id in (item.track, item.other)]
    return Drawing(track, [" ".join(part) for part in lines], [" ".join(part) for part in low_lines], marks[::-1][-MAX_FINDINGS:])


def _mark(item: FindingEntry, first_image: int, scale: float) -> tuple[float, float, str, str]:
    start = (item.image - first_image) * scale
    width = max((item.last_image - item.image + 1) * scale, 3.0)
    return round(min(start, WIDTH - width), 1), round(width, 1), item.severity, f"image {item.image}: {KIND_NAMES[item.kind]}"
