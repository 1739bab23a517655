# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`kill -9` at moments of `track`, `bag` and `image`: what is finished is whole, and the same command goes on.

`python -m test.cli.killing --moments 20` is the long run (`make fuzz`). test_killed.py is the short one. Each command is a process of its
own. Half of the moments are times from the start of the process to its end. The others are calls of the file system, up to the last ones,
which put the output in place and remove the working folder.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import cv2

from test.recordings.bag_sources import Bag
from test.recordings.bags.making import contents
from test.recordings.sources import TEXT, Damage, box, encode, picture

SIZE = (64, 48)
DEADLINE_S = 120.0
TOY = ("--segmenter", "toy", "--detector", "toy", "--device", "cpu", "--image-size", "64")
RUN = ("--box", box(*SIZE), *TOY, "--checkpoint-every", "0.2")
COMMANDS = {
    "track": ("track", "images", *RUN),
    "track backward": ("track", "images", "--backward", *RUN),
    "bag": ("bag", "bag", *RUN),
    "image": ("image", "images", "--text", TEXT, "--batch", "2", *TOY),
}
LAST_CALLS = (4, 5, 6, 7, 1, 2, 3)
"""Positions from the end of the calls that put an output in place and remove the working folder, the first one soon after the move."""
CALLS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir")


class Counter:
    """An audit hook that counts calls of the file system below a folder, and kills its process before one of them.

    Checkpoints are left out, because their number depends on the speed of the computer.
    """

    def __init__(self, root: str, kill_at: int | None) -> None:
        self.calls = 0
        self._root = root
        self._kill_at = kill_at

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CALLS or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        path = os.fsdecode(arguments[0])
        is_removal = event in ("os.remove", "os.rmdir") and not path.startswith("/")  # shutil.rmtree gives names without their folder
        if "checkpoint" in path or not (path.startswith(self._root) or is_removal):
            return
        if self.calls == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.calls += 1


def _child(arguments: list[str], root: str, log: str, kill_at: int | None) -> None:
    """Run a command in this process, with its output in a file, whose last line is the number of calls."""
    from lang2segtrack_ros.cli.main import main

    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    counter = Counter(root, kill_at)
    sys.addaudithook(counter)
    code = main(arguments)
    print(counter.calls, flush=True)
    os._exit(code)


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its exit code, output and duration in seconds."""

    code: int | None
    log: str
    seconds: float


class Killer:
    """Sources and outputs of all commands in a folder.

    Attributes:
        killed: number of processes that ended by a kill; others were faster.

    The processes are forks of a server that has imported the modules, which takes much longer than the short runs.
    """

    def __init__(self, folder: Path, images: int) -> None:
        self.killed = 0
        self._folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["test.cli.preloaded"])
        with mock.patch.dict(os.environ, OMP_NUM_THREADS="1"):  # more threads of the server would not exist in its forks
            first = self._context.Process(target=int)  # starts the server, so that durations are those of the commands alone
            first.start()
            first.join()
        (folder / "images").mkdir()
        for number in range(images):
            (folder / "images" / f"{number}.png").write_bytes(encode(".png", picture(*SIZE, number)[..., ::-1]))
        (folder / "source").mkdir()
        bag = Bag("MCAP", "NONE", SIZE, ("rgb8",) * images, (0,), ("text",), 1, True, False, Damage(), True)
        bag.write(folder / "source").path.rename(folder / "bag")

    def _run(self, name: str, out: Path, after_s: float | None = None, at_call: int | None = None) -> Ended:
        """Run a command. Kill it after a time, or before a call; None for neither."""
        command, source, *options = COMMANDS[name]
        arguments = [command, str(self._folder / source), *options, "--out", str(out)]
        log = out.parent / "log.txt"
        process = self._context.Process(target=_child, args=(arguments, str(out.parent), str(log), at_call))
        began = time.monotonic()
        process.start()
        process.join(DEADLINE_S if after_s is None else after_s)
        process.kill()
        process.join()
        return Ended(process.exitcode, log.read_text() if log.exists() else "", time.monotonic() - began)

    def complaints(self, name: str, moments: int) -> Iterator[str]:
        """Kill a command at moments, give it again, and yield what is wrong."""
        root = self._folder / "runs" / name
        root.mkdir(parents=True)
        whole = self._run(name, root / "whole")
        assert whole.code == 0, whole
        expected, calls = result(root / "whole"), int(whole.log.split()[-1])
        for number in range(moments):
            place = root / str(number)
            place.mkdir()
            after_s = None if number % 2 else whole.seconds * (number + 0.5) / moments
            at_call = _call(number // 2, moments // 2, calls) if number % 2 else None
            ended = self._run(name, place / "out", after_s, at_call)
            self.killed += ended.code == -signal.SIGKILL
            left = sorted(item.name for item in place.iterdir() if item.name != "log.txt")
            moment = f"{name}, killed {f'after {after_s:.2f} of {whole.seconds:.2f} s' if after_s else f'before call {at_call} of {calls}'}"
            if at_call is not None and ended.code != -signal.SIGKILL:
                yield f"{moment}: exit code {ended.code}, {ended.log}"
            if "out" in left and result(place / "out") != expected:
                yield f"{moment}: the output is not whole"
            if set(left) - {"out", "out.work"}:
                yield f"{moment}: {left}"
            again = self._run(name, place / "out")
            if again.code != 0:
                yield f"{moment}: the next run ends with {again.code}: {again.log}"
            elif result(place / "out") != expected:
                yield f"{moment}: the output of the next run differs"
            left = sorted(item.name for item in place.iterdir() if item.name != "log.txt")
            if left != ["out"]:
                yield f"{moment}: after the next run there are {left}"


def _call(number: int, count: int, calls: int) -> int:
    """Return the call for a moment: first each of the last calls, then calls spread over the run."""
    more = number - len(LAST_CALLS)
    return calls - LAST_CALLS[number] if more < 0 else calls * (more + 1) // (count - len(LAST_CALLS) + 1)


def result(out: Path) -> Any:
    """Return the content of an output, without the parts that depend on the clock: of videos only the number of images."""
    if (out / "metadata.yaml").exists():
        return list(contents(out))
    files = {str(item.relative_to(out)): item for item in out.rglob("*") if item.is_file() and not item.name.startswith(".")}
    return {name: _images(path) if path.suffix == ".webm" else path.read_bytes() for name, path in files.items()}


def _images(video: Path) -> int:
    capture = cv2.VideoCapture(str(video))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return count


def main() -> int:
    """Kill each command at many moments. Return 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--images", type=int, default=40)
    options = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        killer = Killer(Path(folder), options.images)
        for name in COMMANDS:
            began, complaints = time.monotonic(), list(killer.complaints(name, options.moments))
            print(
                *complaints, f"{name}: {options.moments} moments, {len(complaints)} complaints, {time.monotonic() - began:.0f} s", sep="\n"
            )
            failures += len(complaints)
        print(f"{killer.killed} of {len(COMMANDS) * options.moments} processes were killed before their end")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
