# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack image`: find objects by name on image files, and write a COCO dataset and overlay images."""

from __future__ import annotations

import argparse
import glob
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from lang2segtrack_ros.cli.engine_options import NETWORK_NAMES

if TYPE_CHECKING:  # modules that the parser does not need are imported on use
    from lang2segtrack_ros.types.prompts import TextPrompt

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    parser = commands.add_parser("image", help="find and segment objects by name on image files")
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="image files, folders of image files, or patterns such as 'shots/**/*.jpg'"
    )
    parser.add_argument("--text", required=True, help="names of the objects: 'red mug. cardboard box.'")
    parser.add_argument("--out", type=Path, default=Path("out/image"), help="folder for results.json and overlays (default: %(default)s)")
    parser.add_argument("--segmenter", default="sam2.1-tiny", help=f"segmenter: {NETWORK_NAMES} (default: %(default)s)")
    parser.add_argument("--detector", default="grounding-dino-tiny", help=f"detector: {NETWORK_NAMES} (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default: %(default)s)")
    parser.add_argument(
        "--image-size", type=int, help="side of the segmenter's square input in pixels (default: the size of the checkpoint)"
    )
    parser.add_argument("--threshold", type=float, help="minimum score of a detection, 0 to 1 (default: the threshold of the detector)")
    parser.add_argument("--batch", type=int, default=4, help="number of images in one batch of the detector (default: %(default)s)")
    parser.add_argument("--no-overlay", action="store_true", help="write no overlay images")
    parser.set_defaults(run=run)


def find_images(arguments: list[str]) -> tuple[list[Path], list[str]]:
    """Return the image files of the command line.

    Args:
        arguments: files, folders or patterns.

    Returns:
        The files in order without repetitions, and a message for each argument that matches no file.
    """
    found: dict[Path, None] = {}
    problems = []
    for argument in arguments:
        path = Path(argument).expanduser()
        if path.is_dir():
            files = sorted(item for item in path.iterdir() if item.suffix.lower() in SUFFIXES)
            problems += [] if files else [f"{argument}: no images in this folder (known suffixes: {', '.join(SUFFIXES)})"]
        elif path.exists():
            files = [path]
        else:
            files = [Path(item) for item in sorted(glob.glob(str(path), recursive=True)) if Path(item).is_file()]
            problems += [] if files else [f"{argument}: no such file or folder, and as a pattern it matches nothing"]
        found.update(dict.fromkeys(files))
    return list(found), problems


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Args:
        options: parsed options.

    Returns:
        0 if all images are done. 1 if an image could not be read or written, a network could not be loaded, or the detector gave a faulty
        result. 2 if an argument is not valid. 130 after an interruption.
    """
    from lang2segtrack_ros.detection.detector import DetectorError
    from lang2segtrack_ros.models.catalogue import WeightsError
    from lang2segtrack_ros.types.prompts import PromptError, TextPrompt

    try:
        prompt = TextPrompt(options.text, "once", options.threshold)
        if options.batch < 1:
            raise PromptError(f"--batch is {options.batch}; it must be at least 1")
        paths, problems = find_images(options.paths)
        if problems:
            raise PromptError("\n".join(problems))
        options.out.mkdir(parents=True, exist_ok=True)
        return _segment(options, prompt, paths)
    except PromptError as error:
        return _print_error(str(error), 2)
    except (WeightsError, DetectorError, OSError) as error:
        return _print_error(str(error), 1)


def _segment(options: argparse.Namespace, prompt: TextPrompt, paths: list[Path]) -> int:
    from lang2segtrack_ros.detection.detector import vocabulary_notes
    from lang2segtrack_ros.io.coco import CocoWriter
    from lang2segtrack_ros.io.picture import PictureError, read_picture
    from lang2segtrack_ros.io.rendering import draw_overlay
    from lang2segtrack_ros.io.writers import write_png
    from lang2segtrack_ros.models.loading import load_detector, load_segmenter
    from lang2segtrack_ros.session.degradation import is_out_of_memory
    from lang2segtrack_ros.session.image_segmentation import segment_images

    segmenter = load_segmenter(options.segmenter, options.device, options.image_size)
    detector = load_detector(options.detector, options.device)
    for note in vocabulary_notes(detector, prompt.phrases):
        _print_error(note, 0)
    inputs = {path.resolve() for path in paths}
    for old_overlay in (options.out / "overlays").glob("[0-9][0-9][0-9][0-9][0-9]*_*.png"):
        if old_overlay.resolve() not in inputs:
            old_overlay.unlink()  # this run also replaces results.json
    writer = CocoWriter(options.out / "results.json", prompt.phrases, f"segmenter {segmenter.name}, detector {detector.name}")
    try:
        for start in range(0, len(paths), options.batch):
            readable = []
            for path in paths[start : start + options.batch]:
                try:
                    readable.append((path, read_picture(path)))
                except PictureError as error:
                    writer.fail(path, str(error))
                    _print_error(f"{path}: {error}", 1)
            found = segment_images(segmenter, detector, [image for _, image in readable], prompt.phrases, prompt.threshold)
            for (path, image), objects in zip(readable, found):
                number = writer.add(path, image.shape[0], image.shape[1], objects)
                if not options.no_overlay:
                    tracks = [item.as_track(index) for index, item in enumerate(objects, start=1)]
                    write_png(options.out / "overlays" / f"{number:05d}_{path.stem}.png", draw_overlay(image, tracks))
                counts = Counter(item.label for item in objects)
                summary = ", ".join(f"{count} {label}" for label, count in counts.items()) or "no objects"
                print(f"[{writer.count}/{len(paths)}] {path}: {summary}", flush=True)
    except KeyboardInterrupt:
        return _print_error("interrupted; the results so far are written", 130)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return _print_error(
            f"out of memory ({error}): try --batch 1, a smaller --image-size, or --device cpu; the results so far are written", 1
        )
    finally:
        writer.close()
    print(f"{writer.path}: {writer.objects} objects on {writer.count - writer.failed} images")
    return 1 if writer.failed else 0


def _print_error(message: str, code: int) -> int:
    for line in message.splitlines():
        print(f"lang2segtrack image: {line}", file=sys.stderr)
    return code
