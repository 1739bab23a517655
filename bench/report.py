# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Suspected id switches of `lang2segtrack report` against true ones, on the toy suites `crossing` and `crowd`.

Natural switches: clips are really tracked, and the truth of the scene shows the switches (see `report_clips.tracked`). Injected switches:
the truth itself is the trace, and the ids of two objects that cross are exchanged from a random image around their crossing on. The same
traces without an exchange show the false alarms on clean tracks.

A true switch counts as found if a suspected one names one of its tracks and lies within N images of it. A suspected one counts as right
under the same condition. Recall is found / true, precision is right / suspected. A true switch counts as shown if any finding names one of
its tracks there, such as a jump. Prints tables, and writes one JSON file. Tracked clips are kept in a folder, so that the rules can be
measured again in seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from bench.numbers_file import numbers_file, write
from bench.report_clips import Switch, read_switches, tracked, true_trace, write_clip
from lang2segtrack_ros.history.records import frame_record
from lang2segtrack_ros.io.exports.pictures import Picture, Pictures
from lang2segtrack_ros.models.loading import load_detector, load_segmenter
from lang2segtrack_ros.recordings.quality.colors import compare_colors
from lang2segtrack_ros.recordings.quality.findings import Finding, Kind
from lang2segtrack_ros.recordings.quality.report import analyze, rank
from lang2segtrack_ros.recordings.quality.samples import read_samples
from lang2segtrack_ros.toyworld.suites import Clip, make_clip
from lang2segtrack_ros.types.results import FrameResult, Track

SUITES = ("crossing", "crowd")
WAYS = ("text", "backward", "box")
_CLOSE = 1.0  # distance of two centers in sizes, at which a crossing is one
_AROUND = 5  # images before and after the closest one, from which the image of the exchange is drawn
_MARGIN = 10  # images at both ends of a clip without an exchange


@dataclass
class Counts:
    """Suspected and true switches of several clips.

    Attributes:
        clips, images: number of clips and of their images.
        true, found: number of true switches, and of those that a suspected one names.
        shown: number of true switches that a finding of any kind names.
        suspected, right: number of suspected switches, and of those that a true one confirms.
    """

    clips: int = 0
    images: int = 0
    true: int = 0
    found: int = 0
    shown: int = 0
    suspected: int = 0
    right: int = 0

    def add(self, findings: Sequence[Finding], switches: Sequence[Switch], images: int, within: int) -> None:
        """Add a clip."""
        suspected = [item for item in findings if item.kind is Kind.ID_SWITCH]
        self.clips += 1
        self.images += images
        self.true += len(switches)
        self.found += sum(any(is_near(item, switch, within) for item in suspected) for switch in switches)
        self.shown += sum(any(is_near(item, switch, within) for item in findings) for switch in switches)
        self.suspected += len(suspected)
        self.right += sum(any(is_near(item, switch, within) for switch in switches) for item in suspected)

    def row(self) -> dict[str, float]:
        """Return the counts with recall and precision; NaN without any."""
        recall = self.found / self.true if self.true else float("nan")
        precision = self.right / self.suspected if self.suspected else float("nan")
        return {**self.__dict__, "recall": recall, "precision": precision}


def is_near(item: Finding, switch: Switch, within: int) -> bool:
    """Return True if a suspected switch names a track of a true one within so many images."""
    is_close = item.image - within <= switch.image <= item.last_image + within
    return is_close and bool({item.track, item.other} & {switch.before, switch.after})


def findings_of(folder: Path, clip: Clip | None) -> tuple[list[Finding], int]:
    """Return the findings of a tracked clip, and its number of images.

    Args:
        folder: the folder of the tracked clip.
        clip: the clip, to compare colors, too; None to see the trace only.
    """
    trace = folder / "tracks.jsonl"
    report = analyze(read_samples(trace), folder.name)
    if clip is None:
        return report.findings, report.images
    pictures = Pictures(folder.name, (Picture(index, clip.scene.render(index).color) for index in range(clip.length)))
    return rank([*report.findings, *compare_colors(trace, report.events, pictures)], report), report.images


def crossing_of(results: Sequence[FrameResult], rng: np.random.Generator) -> tuple[int, int, int] | None:
    """Draw two objects that cross, and an image around their crossing; None if no two objects do.

    Args:
        results: the true trace.
        rng: random generator.
    """
    choices = []
    for one, other in combinations(sorted(track.id for track in results[0].tracks), 2):
        distances = [_distance(result.by_id[one], result.by_id[other]) for result in results]
        closest = int(np.argmin(distances))
        if distances[closest] <= _CLOSE and _MARGIN <= closest < len(results) - _MARGIN:
            choices.append((one, other, closest))
    if not choices:
        return None
    one, other, closest = choices[int(rng.integers(len(choices)))]
    return one, other, closest + int(rng.integers(-_AROUND, _AROUND + 1))


def _distance(one: Track, other: Track) -> float:
    if one.box is None or other.box is None:
        return float("inf")
    a, b = np.array(one.box), np.array(other.box)
    size = np.sqrt([max((box[2] - box[0]) * (box[3] - box[1]), 1.0) for box in (a, b)]).mean()
    return float(np.hypot(*((a[:2] + a[2:]) / 2 - (b[:2] + b[2:]) / 2)) / size)


def exchange(results: Iterable[FrameResult], one: int, other: int, image: int) -> list[FrameResult]:
    """Return a trace in which the masks of two tracks are exchanged from an image on; ids keep their labels."""
    swapped = []
    for result in results:
        tracks = result.tracks
        if result.index >= image:
            first, second = result.by_id[one], result.by_id[other]
            new = {one: replace(second, id=one, label=first.label), other: replace(first, id=other, label=second.label)}
            tracks = tuple(new.get(track.id, track) for track in tracks)
        swapped.append(replace(result, tracks=tracks))
    return swapped


def track_clips(folder: Path, seeds: Iterable[int], size: tuple[int, int]) -> None:
    """Track all clips that the folder does not hold yet."""
    segmenter, detector = load_segmenter("toy", "cpu"), load_detector("toy", "cpu")
    for seed in seeds:
        for suite in SUITES:
            if (folder / suite / f"{seed}-{WAYS[-1]}" / "switches.json").is_file():
                continue
            for way, records, switches in tracked(make_clip(suite, seed, *size), segmenter, detector):
                write_clip(folder / suite / f"{seed}-{way}", records, switches)
            print(f"tracked: {suite} {seed}", file=sys.stderr, flush=True)


def inject_clips(folder: Path, seeds: Iterable[int], size: tuple[int, int]) -> None:
    """Write the true traces of all clips with a crossing, with and without an exchange."""
    for seed in seeds:
        for suite in SUITES:
            if (folder / suite / f"{seed}-clean" / "switches.json").is_file():
                continue
            results = true_trace(make_clip(suite, seed, *size))
            write_clip(folder / suite / f"{seed}-clean", map(frame_record, results), [])
            drawn = crossing_of(results, np.random.default_rng([seed, SUITES.index(suite)]))
            if drawn is not None:
                one, other, image = drawn
                switches = [Switch(image, one, other), Switch(image, other, one)]
                write_clip(folder / suite / f"{seed}-injected", map(frame_record, exchange(results, *drawn)), switches)


def measure(folder: Path, seeds: Iterable[int], within: int, size: tuple[int, int] | None) -> dict[str, dict[str, float]]:
    """Return the counts of each suite and kind of trace, over the clips in the folder.

    Args:
        folder: folder of the tracked clips.
        seeds: the seeds.
        within: images between a suspected and a true switch.
        size: width and height of the clips, to compare colors, too; None to see the traces only.
    """
    counts = {(suite, way): Counts() for suite in SUITES for way in (*WAYS, "injected", "clean")}
    for seed in seeds:
        for (suite, way), item in counts.items():
            clip = folder / suite / f"{seed}-{way}"
            if (clip / "switches.json").is_file():
                findings, images = findings_of(clip, None if size is None else make_clip(suite, seed, *size))
                item.add(findings, read_switches(clip), images, within)
    return {f"{suite}, {way}": item.row() for (suite, way), item in counts.items()}


def table(rows: dict[str, dict[str, float]]) -> str:
    """Return the counts as a table in Markdown."""
    names = ("clips", "images", "true", "found", "shown", "suspected", "right")
    lines = [f"| suite, trace | {' | '.join(names)} | recall | precision |", "|---" * (len(names) + 3) + "|"]
    for title, row in rows.items():
        shares = (f"{row[name]:.2f}" if row[name] == row[name] else "-" for name in ("recall", "precision"))
        lines.append(f"| {title} | {' | '.join(str(row[name]) for name in names)} | {' | '.join(shares)} |")
    return "\n".join(lines)


def main() -> int:
    """Track the clips, measure the rules, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=16, help="number of clips of each suite (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first clip; 200 and more chose the constants (default: 0)")
    parser.add_argument("--injected", type=int, default=40, help="number of true traces of each suite (default: %(default)s)")
    parser.add_argument("--within", type=int, default=10, help="images between a suspected and a true switch (default: %(default)s)")
    parser.add_argument("--colors", action="store_true", help="measure again with the colors of the images")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("W", "H"), help="image size (default: 320 240)")
    parser.add_argument("--folder", type=Path, default=Path("out/bench/report_clips"), help="tracked clips (default: %(default)s)")
    parser.add_argument("--out", type=numbers_file, default="out/bench/report.json", help="JSON file to write (default: %(default)s)")
    options = parser.parse_args()
    natural = range(options.first_seed, options.first_seed + options.clips)
    injected = range(options.first_seed, options.first_seed + options.injected)
    track_clips(options.folder, natural, tuple(options.size))
    inject_clips(options.folder, injected, tuple(options.size))
    seeds = range(options.first_seed, options.first_seed + max(options.clips, options.injected))
    result: dict[str, Any] = {"within": options.within, "first_seed": options.first_seed}
    for name, size in (("trace", None), *((("colors", tuple(options.size)),) if options.colors else ())):
        result[name] = measure(options.folder, seeds, options.within, size)
        print(f"\n{name}:\n{table(result[name])}")
    write(options.out, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
