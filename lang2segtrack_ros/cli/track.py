# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack track`: a video file, a folder of images or a camera."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lang2segtrack_ros.offline import Scheduled
    from lang2segtrack_ros.prompts import Prompt
    from lang2segtrack_ros.session import Session

EXAMPLES = """examples:
  lang2segtrack track street.mp4 --text "red car. bus." --out out/street
  lang2segtrack track cups.mp4 --box 420,310,560,520=cup --at 60 --backward --out out/cups
  lang2segtrack track images/ --prompts prompts.yaml --out out/images

a file of prompts:
  - {at: 0, text: "red car. bus."}
  - {at: 30, box: [420, 310, 560, 520], label: cup}
  - {at: 30, points: [[100, 200], [140, 210, 0]], label: hand}      # the 0: not on the hand
  - {at: 45, mask: mask.png, label: plate}                          # beside this file; white is the object
  - {at: 90, points: [[430, 330, 0]], track: 1}                     # corrects track 1
"""


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Options that choose the networks."""
    parser.add_argument("--model", default="toy", help="segmenter: a name of `weights list`, a folder or hub id (%(default)s)")
    parser.add_argument("--detector", default="toy", help="detector for text, likewise (%(default)s)")
    parser.add_argument("--image-size", type=int, metavar="N", help="side of the segmenter's square input; smaller is faster")
    parser.add_argument("--policy", default="samurai", choices=("samurai", "sam2", "distractor"), help="memory policy (%(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (%(default)s)")


def add_prompt_options(parser: argparse.ArgumentParser) -> None:
    """Options that say what to follow; `prompts_of` reads them."""
    parser.add_argument("--text", action="append", default=[], metavar="T", help='objects by name: "red mug. cardboard box."')
    parser.add_argument("--box", action="append", default=[], metavar="X1,Y1,X2,Y2[=LABEL]", help="an object by its box in pixels")
    parser.add_argument("--point", action="append", default=[], metavar="X,Y[=LABEL]", help="an object by a pixel on it")
    parser.add_argument("--mask", action="append", default=[], metavar="PNG[=LABEL]", help="an object by its mask, white on black")
    parser.add_argument("--at", type=int, default=0, metavar="FRAME", help="the image these prompts are for, from 0 (%(default)s)")
    parser.add_argument("--prompts", type=Path, metavar="YAML", help="more prompts, for any image; see below")


def make_session(options: argparse.Namespace, with_detector: bool, **more: Any) -> Session:
    """The session these options describe. Raises WeightsError."""
    from lang2segtrack_ros.session import Session
    from lang2segtrack_ros.weights import load_detector, load_segmenter

    segmenter = load_segmenter(options.model, options.device, options.image_size)
    detector = load_detector(options.detector, options.device) if with_detector else None
    return Session(segmenter, detector, options.policy, **more)


def add_parser(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "track",
        help="follow objects through a video, a folder of images or a camera",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES,
    )
    parser.add_argument("source", metavar="VIDEO|FOLDER|CAMERA", help="a file, a folder, or a camera's number")
    add_prompt_options(parser)
    parser.add_argument("--backward", action="store_true", help="also go backwards: whole traces, gaps filled")
    parser.add_argument("--fps", type=float, help="images a second of a folder (30)")
    parser.add_argument("--frames", type=int, metavar="N", help="end a camera after so many images; else Ctrl-C ends it")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="made anew; see --overwrite")
    parser.add_argument("--overwrite", action="store_true", help="replace the folder when it is there")
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
    from lang2segtrack_ros.offline import OfflineError
    from lang2segtrack_ros.prompts import PromptError
    from lang2segtrack_ros.sources import SourceError
    from lang2segtrack_ros.weights import WeightsError

    partial = options.out.with_name(options.out.name + ".partial")
    try:
        if options.out.exists() and not options.overwrite:
            raise OfflineError(f"{options.out} is there already: choose another folder, or --overwrite")
        shutil.rmtree(partial, ignore_errors=True)
        _track(options, partial)
        if options.out.exists():
            shutil.rmtree(options.out)
        partial.rename(options.out)
    except (OfflineError, PromptError, SourceError, WeightsError, OSError) as error:
        print(f"lang2segtrack track: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(f"written: {options.out}")
    return 0


def _track(options: argparse.Namespace, folder: Path) -> None:
    from lang2segtrack_ros.cli.progress import ProgressLine
    from lang2segtrack_ros.history import FrameHistory
    from lang2segtrack_ros.offline import OfflineError, track_source
    from lang2segtrack_ros.prompts import TextPrompt
    from lang2segtrack_ros.sources import CameraSource, open_source

    prompts = prompts_of(options)
    if not prompts:
        raise OfflineError("nothing to follow: give --text, --box, --point, --mask or --prompts")
    source = open_source(options.source, options.fps)
    history = None
    if isinstance(source, CameraSource):
        source.limit = options.frames
        signal.signal(signal.SIGINT, lambda *_: source.stop())
        if options.backward:
            history = FrameHistory(max_seconds=float("inf"), max_bytes=shutil.disk_usage(folder.parent).free // 2, folder=folder / ".work")
    session = make_session(options, any(isinstance(item.prompt, TextPrompt) for item in prompts), history=history)
    line = ProgressLine()
    files = track_source(session, source, prompts, folder, options.backward, line)
    line.end()
    for track_id, label in sorted(files.labels.items()):
        print(f"track {track_id} {label or '(no label)'}: visible on {files.visible[track_id]} images")


def prompts_of(options: argparse.Namespace) -> list[Scheduled]:
    """All prompts of the command line and the file. Raises PromptError for one that makes no sense, OSError for a missing file."""
    from lang2segtrack_ros.offline import Scheduled
    from lang2segtrack_ros.prompts import BoxPrompt, MaskPrompt, PointPrompt, PromptError, TextPrompt

    if options.at < 0:
        raise PromptError(f"--at is {options.at}; images are counted from 0")
    found: list[Prompt] = [TextPrompt(text) for text in options.text]
    for value in options.box:
        numbers, label = _numbers(value, 4, "--box")
        found.append(BoxPrompt((numbers[0], numbers[1], numbers[2], numbers[3]), label))
    for value in options.point:
        numbers, label = _numbers(value, 2, "--point")
        found.append(PointPrompt([(numbers[0], numbers[1])], label=label))
    for value in options.mask:
        name, _, label = value.partition("=")
        found.append(MaskPrompt(read_mask(Path(name)), label))
    listed = [Scheduled(options.at, prompt) for prompt in found]
    return listed + (read_prompts(options.prompts) if options.prompts else [])


def _numbers(value: str, count: int, option: str) -> tuple[list[float], str]:
    from lang2segtrack_ros.prompts import PromptError

    text, _, label = value.partition("=")
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise PromptError(
            f'{option} takes {count} numbers with commas between them, such as {"10,20,50,60"[: 3 * count - 1]}, not "{text}"'
        )
    return numbers, label


def read_mask(path: Path) -> Any:
    """A bool [H, W] mask from an image file: what is not black. Raises PromptError."""
    import cv2

    from lang2segtrack_ros.prompts import PromptError

    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise PromptError(f"the mask {path} cannot be read as an image")
    return image > 0


def read_prompts(path: Path) -> list[Scheduled]:
    """The prompts of a YAML file. Raises PromptError that names the entry, OSError when the file cannot be read."""
    import yaml

    from lang2segtrack_ros.offline import Scheduled
    from lang2segtrack_ros.prompts import PromptError

    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PromptError(f"{path} is no YAML: {error}") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise PromptError(f'{path} must hold a list of prompts, each such as "- {{at: 0, text: red mug}}"')
    prompts = []
    for number, entry in enumerate(entries, 1):
        try:
            at = entry.get("at", 0)
            if not isinstance(at, int) or at < 0:
                raise PromptError(f"at is {at}; it must be a whole number, from 0")
            prompts.append(Scheduled(at, _prompt(entry, path.parent)))
        except (PromptError, TypeError, ValueError) as error:
            raise PromptError(f"prompt {number} of {path}: {error}") from error
    return prompts


def _prompt(entry: dict[str, Any], folder: Path) -> Prompt:
    from lang2segtrack_ros.prompts import BoxPrompt, MaskPrompt, PointPrompt, PromptError, TextPrompt

    kinds = [kind for kind in ("text", "box", "points", "mask") if kind in entry]
    unknown = sorted(set(entry) - {"at", "text", "box", "points", "mask", "label", "track", "mode", "threshold"})
    if len(kinds) != 1 or unknown:
        wrong = f"it has {', '.join(unknown)}, which means nothing" if unknown else f"it has {' and '.join(kinds) or 'none'} of these"
        raise PromptError(f"an entry has one of text, box, points and mask, and may have at, label and track; {wrong}")
    label, track = str(entry.get("label", "")), entry.get("track")
    if kinds == ["text"]:
        return TextPrompt(str(entry["text"]), entry.get("mode", "continuous"), entry.get("threshold"))
    if kinds == ["box"]:
        return BoxPrompt(tuple(float(value) for value in entry["box"]), label, track)  # type: ignore[arg-type]  # it checks the length
    if kinds == ["mask"]:
        return MaskPrompt(read_mask(folder / str(entry["mask"])), label, track)
    points = [(float(point[0]), float(point[1])) for point in entry["points"]]
    return PointPrompt(points, [int(point[2]) if len(point) > 2 else 1 for point in entry["points"]], label, track)
