# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Random sources for `track`, `bag` and `image`: each is read completely, or the command says what is missing.

`python -m test.recordings.fuzzing --sources 3000` is the long run (`make fuzz`). test_fuzzing.py is the short one. The commands run in this
process, and share the toy networks.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from lang2segtrack_ros.cli.main import main as command_line
from lang2segtrack_ros.models import loading
from lang2segtrack_ros.models.cache import shared_detector, shared_segmenter
from test.recordings.bag_sources import bags
from test.recordings.bags.making import contents
from test.recordings.sources import TEXT, Source, Written, box, encode, folders, picture, prompts, videos

PART = 20
"""Sources of one seed."""
TOY = ("--segmenter", "toy", "--device", "cpu", "--image-size", "64")
CODES = (0, 1, 2, 130)
KINDS = {
    "video": (videos, ("track",)),
    "folder": (folders, ("track", "image")),
    "bag": (bags(), ("bag",)),
    "prompts": (prompts, ("track",)),
}
"""Source and commands of each kind."""
COMMANDS = ("track", "image", "bag")


@dataclass(frozen=True)
class Case:
    """A command on a source.

    Attributes:
        kind: a name in KINDS.
        source: the source.
        command: the command; often one that does not fit the source.
        backward: True runs the backward pass.
        taken: content under the output's name before the command: "" for none, a user's "file" or "folder", an "empty" folder, an
            "earlier" output. "work" stands for a user's folder under the name of the working folder.
        overwrite: True gives --overwrite, which `bag` does not have.
        stale: content of a checkpoint that another program left; empty for none.
    """

    kind: str
    source: Source
    command: str
    backward: bool
    taken: str
    overwrite: bool
    stale: bytes


@st.composite
def cases(draw: Any, kind: str) -> Case:
    """Draw a case of one kind."""
    strategy, commands = KINDS[kind]
    command = draw(st.sampled_from(commands * 15 + COMMANDS))
    return Case(
        kind,
        draw(strategy),
        command,
        draw(st.sampled_from([False, False, True])),
        draw(st.sampled_from([*[""] * 12, "file", "folder", "empty", "earlier", "work"])),
        command != "bag" and draw(st.booleans()),
        draw(st.one_of(*[st.just(b"")] * 4, st.binary(min_size=1, max_size=20))),
    )


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of a command."""

    code: Any
    out: str
    err: str


def call(arguments: list[str]) -> Outcome:
    """Run a command in this process. An exception that leaves it is the exit code."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        try:
            code: Any = command_line(arguments)
        except SystemExit as error:
            code = error.code
        except Exception as error:  # the fault that the test looks for
            code = f"{type(error).__name__}: {error}"
    texts = []
    for stream in streams:
        stream.flush()
        texts.append(stream.buffer.getvalue().decode("utf-8"))  # type: ignore[attr-defined]
    return Outcome(code, *texts)


def snapshot(path: Path) -> dict[str, bytes | None]:
    """Return the content of a file, or of all files and folders below a folder."""
    items = [path, *path.rglob("*")] if path.exists() else []
    return {str(item): item.read_bytes() if item.is_file() else None for item in items}


def written_images(command: str, out: Path) -> int:
    """Return the number of images in an output, including those that it lists as failed."""
    if command == "track":
        return len((out / "tracks.jsonl").read_bytes().splitlines())
    if command == "image":
        content = json.loads((out / "instances.json").read_text())
        return len(content["images"]) + len(content["failed"])
    topics = Counter(topic for topic, _, _ in contents(out))
    return topics["/new/tracks"] or topics["/tracks"]


def missing_images(outcome: Outcome) -> int:
    """Return the number of images that the sentences of a command name as missing."""
    text = outcome.out + outcome.err
    counted = r"(\d+) (?:more images were left out|pictures are left out|of the \d+ images of|images were not tracked)"
    named = len(re.findall(r"^warning: [^\0]*? is left out: ", outcome.out, re.MULTILINE))
    return named + sum(map(int, re.findall(counted, text)))


class Fuzzer:
    """Runner of cases in a folder.

    Attributes:
        outcomes: number of cases by kind, command and outcome.
        complaints: a text for each violated rule, with the case and how to run it again.
    """

    def __init__(self, folder: Path, keep: Path | None = None) -> None:
        self.outcomes: Counter[str] = Counter()
        self.complaints: list[str] = []
        self._folder = folder
        self._keep = keep
        self._earlier = folder / "earlier"
        images = folder / "first"
        images.mkdir()
        for number in range(2):
            (images / f"{number}.png").write_bytes(encode(".png", picture(64, 48, number)[..., ::-1]))
        outcome = call(["track", str(images), "--box", box(64, 48), *TOY, "--out", str(self._earlier)])
        assert outcome.code == 0, outcome

    def run(self, kind: str, count: int, number: int) -> None:
        """Run at least `count` cases of a kind that are drawn with the seed `number`."""

        @seed(number)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        @given(cases(kind))
        def play(case: Case) -> None:
            root = Path(tempfile.mkdtemp(dir=self._folder))
            problems = list(self._play(case, root))
            if problems:
                again = f"python -m test.recordings.fuzzing --kind {kind} --seed {number} --sources {count}"
                self.complaints.append("\n  ".join([*problems, repr(case), again]))
                if self._keep is not None:
                    shutil.copytree(root, self._keep / root.name, symlinks=True)
            shutil.rmtree(root)

        play()

    def _play(self, case: Case, root: Path) -> Iterator[str]:
        """Run a case in a folder, and yield the rules that it violates."""
        (root / "in").mkdir()
        source = case.source.write(root / "in")
        out, work = root / "out", root / "out.work"
        self._occupy(case, root, out)
        before = snapshot(root)
        arguments = self._arguments(case, source)
        outcome = call([*arguments, "--out", str(out), *(["--overwrite"] if case.overwrite else [])])
        fits = case.command in KINDS[case.kind][1]
        yield from _said(case.command, outcome)
        is_whole = outcome.code == 0 or (case.command == "image" and outcome.code == 1 and (out / "instances.json").exists())
        self.outcomes[f"{case.kind}: {case.command} {'finished' if is_whole else 'refused'}"] += 1
        replaced = is_whole and case.overwrite
        changed = [
            name
            for name, data in before.items()
            if not _stays(Path(name), data)
            and (case.taken == "work" or not Path(name).is_relative_to(work))
            and not (replaced and Path(name).is_relative_to(out))
        ]
        if changed:
            yield f"changed or removed: {changed}"
        if case.taken in ("file", "folder", "work") and is_whole:
            yield "a file of the user counts as an output"
        if not is_whole and case.taken in ("", "work") and out.exists():
            yield f"exit code {outcome.code}, and an output"
        if work.exists() and case.taken != "work" and not (work / "checkpoint").exists():
            yield f"a working folder without a checkpoint: {sorted(item.name for item in work.iterdir())}"
        if is_whole:
            if work.exists():
                yield "a working folder beside a whole output"
            if fits:
                yield from _complete(case.command, source, out, outcome)
            yield from _repeated(arguments, out)

    def _occupy(self, case: Case, root: Path, out: Path) -> None:
        """Write the files of the user and of earlier runs."""
        shutil.copytree(self._earlier, root / "earlier")
        (root / "notes.txt").write_text("mine")
        if case.taken == "file":
            out.write_text("mine")
        elif case.taken == "earlier":
            shutil.copytree(self._earlier, out)
        elif case.taken in ("folder", "empty"):
            out.mkdir()
            if case.taken == "folder":
                (out / "tracks.jsonl").write_text("mine")
        if case.stale or case.taken == "work":
            name, content = ("notes.txt", b"mine") if case.taken == "work" else ("checkpoint", case.stale)
            (root / "out.work").mkdir()
            (root / "out.work" / name).write_bytes(content)

    def _arguments(self, case: Case, source: Written) -> list[str]:
        if case.command == "image":
            return ["image", f"{source.path}", "--text", TEXT, *TOY, "--detector", "toy"]
        options = [*source.arguments] if case.command in KINDS[case.kind][1] else ["--box", "9,9,20,20"]
        passes = {"track": ["--backward"] if case.backward else [], "bag": [] if case.backward else ["--no-backward"]}[case.command]
        return [case.command, str(source.path), *options, *passes, *TOY, "--detector", "toy"]


def _stays(path: Path, data: bytes | None) -> bool:
    return path.is_dir() if data is None else path.is_file() and path.read_bytes() == data


def _said(command: str, outcome: Outcome) -> Iterator[str]:
    """Yield what is wrong with the exit code and the sentences of a command."""
    if outcome.code not in CODES:
        yield f"exit code {outcome.code}"
        return
    if "Traceback" in outcome.err + outcome.out:
        yield f"a traceback: {outcome.err}"
    sentences = re.findall(rf"^lang2segtrack(?: {command})?: .+", outcome.err, re.MULTILINE)
    if outcome.code and (not sentences or (command != "image" and len(sentences) != 1)):
        yield f"exit code {outcome.code} with the sentences {sentences}, stderr: {outcome.err}"


def _complete(command: str, source: Written, out: Path, outcome: Outcome) -> Iterator[str]:
    """Yield which images are neither in the output nor in a sentence."""
    written, missing = written_images(command, out), missing_images(outcome)
    numbers = f"{source.images} images, {source.readable} readable, {written} in the output, {missing} named as missing"
    if source.is_exact and written + missing != source.images:
        yield f"{numbers}: {outcome.out} {outcome.err}"
    found = written + missing if command == "bag" else written  # a damaged header of a video may name any number
    if found < source.readable or (written < source.images and "warning" not in outcome.out + outcome.err and not missing):
        yield f"lost: {numbers}: {outcome.out} {outcome.err}"
    if command == "track":
        masks, rows = len(list((out / "masks").rglob("*.png"))), len((out / "tracks_mot.txt").read_text().splitlines())
        if masks != rows:
            yield f"{masks} masks, but {rows} rows in tracks_mot.txt"
    elif command == "bag" and source.is_exact:
        copied = set(contents(out))
        lost = [item[:2] for item in source.messages if item not in copied]
        if lost:
            yield f"messages of the input are not in the output: {lost}"


def _repeated(arguments: list[str], out: Path) -> Iterator[str]:
    """Yield what a second run of the same command changes."""
    before = snapshot(out)
    outcome = call([*arguments, "--out", str(out)])
    if outcome.code != 0 or "already done" not in outcome.out:
        yield f"the second run: {outcome}"
    if snapshot(out) != before:
        yield "the second run changed the output"
    if out.with_name("out.work").exists():
        yield "the second run left a working folder"


@contextlib.contextmanager
def fuzzer(folder: Path, keep: Path | None = None) -> Iterator[Fuzzer]:
    """Yield a fuzzer whose commands share the toy networks, because loading them takes longer than most commands.

    Args:
        folder: an empty folder.
        keep: folder for the files of each case with a complaint; None removes them.
    """
    networks = shared_segmenter("toy", "cpu", 64), shared_detector("toy", "cpu")
    with (
        mock.patch.object(loading, "load_segmenter", shared_segmenter),
        mock.patch.object(loading, "load_detector", shared_detector),
    ):
        yield Fuzzer(folder, keep)
    del networks


def main() -> int:
    """Run the long fuzzing test and write out/bench/fuzz_sources.json. Return 1 if a rule was violated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=3000)
    parser.add_argument("--kind", choices=sorted(KINDS), action="append", help="only this kind (default: all in turn)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/bench/fuzz_sources.json"))
    parser.add_argument("--keep", type=Path, help="folder for the files of each source with a complaint")
    options = parser.parse_args()
    began = time.monotonic()
    kinds = options.kind or list(KINDS)
    with tempfile.TemporaryDirectory() as folder, fuzzer(Path(folder), options.keep) as fuzzing:
        for part in range(-(-options.sources // PART)):
            fuzzing.run(kinds[part % len(kinds)], min(PART, options.sources), options.seed + part)
            if (part + 1) % 10 == 0:
                count = sum(fuzzing.outcomes.values())
                print(f"{count} sources, {len(fuzzing.complaints)} complaints, {time.monotonic() - began:.0f} s", flush=True)
    report = {"outcomes": dict(sorted(fuzzing.outcomes.items())), "complaints": fuzzing.complaints}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    print(*fuzzing.complaints, *(f"{count:5} {name}" for name, count in sorted(fuzzing.outcomes.items())), sep="\n")
    print(f"{sum(fuzzing.outcomes.values())} sources in {time.monotonic() - began:.0f} s, {len(fuzzing.complaints)} complaints")
    return 1 if fuzzing.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
