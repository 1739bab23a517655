# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack image`: objects by name on picture files, written as a COCO data set and overlay pictures."""

from __future__ import annotations

import argparse
import glob
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what is not needed to read the command line is imported when it is used
    import numpy as np
    from numpy.typing import NDArray

    from lang2segtrack_ros.types.prompts import TextPrompt

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("image", help="find and segment objects by name on pictures")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="pictures, folders of pictures, or patterns such as 'shots/**/*.jpg'")
    parser.add_argument("--text", required=True, help="what to look for: 'red mug. cardboard box.'")
    parser.add_argument("--out", type=Path, default=Path("out/image"), help="folder for results.json and overlays (default: %(default)s)")
    parser.add_argument("--segmenter", default="sam2.1-tiny", help="SAM 2 weights: short name, folder or hub id (default: %(default)s)")
    parser.add_argument("--detector", default="grounding-dino-tiny", help="Grounding DINO weights, likewise (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default: %(default)s)")
    parser.add_argument("--image-size", type=int, help="side of the square image SAM 2 works on (default: the checkpoint's own)")
    parser.add_argument("--threshold", type=float, help="least score of a detection, 0 to 1 (default: the detector's own)")
    parser.add_argument("--batch", type=int, default=4, help="pictures the detector looks at together (default: %(default)s)")
    parser.add_argument("--no-overlay", action="store_true", help="write no pictures")
    parser.set_defaults(run=run)


def find_pictures(given: list[str]) -> tuple[list[Path], list[str]]:
    """The pictures that words on the command line stand for, in order and once each, and a sentence for each word that stands for none."""
    found: dict[Path, None] = {}
    problems = []
    for word in given:
        path = Path(word).expanduser()
        if path.is_dir():
            inside = sorted(item for item in path.iterdir() if item.suffix.lower() in SUFFIXES)
            problems += [] if inside else [f"{word}: no pictures in this folder (known: {', '.join(SUFFIXES)})"]
        elif path.exists():
            inside = [path]
        else:
            inside = [Path(item) for item in sorted(glob.glob(str(path), recursive=True)) if Path(item).is_file()]
            problems += [] if inside else [f"{word}: no such file or folder, and as a pattern it fits nothing"]
        found.update(dict.fromkeys(inside))
    return list(found), problems


def read_picture(path: Path) -> NDArray[np.uint8] | None:
    """RGB uint8 [H, W, 3], turned as its EXIF data says; None when it cannot be read."""
    import cv2
    import numpy as np

    try:
        data = np.fromfile(path, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):  # unreadable, or larger than OpenCV takes
        return None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False) if image is not None else None


def run(options: argparse.Namespace) -> int:
    """0: all pictures done; 1: some could not be read or written, or no weights; 2: nothing to do as asked; 130: interrupted."""
    from lang2segtrack_ros.models.catalogue import WeightsError
    from lang2segtrack_ros.types.prompts import PromptError, TextPrompt

    try:
        prompt = TextPrompt(options.text, "once", options.threshold)
        if options.batch < 1:
            raise PromptError(f"--batch is {options.batch}; it must be at least 1")
        pictures, problems = find_pictures(options.paths)
        if problems:
            raise PromptError("\n".join(problems))
        options.out.mkdir(parents=True, exist_ok=True)
        return _segment(options, prompt, pictures)
    except PromptError as error:
        return _tell(str(error), 2)
    except (WeightsError, OSError) as error:
        return _tell(str(error), 1)


def _segment(options: argparse.Namespace, prompt: TextPrompt, pictures: list[Path]) -> int:
    from lang2segtrack_ros.detection.detector import vocabulary_notes
    from lang2segtrack_ros.io.coco import CocoWriter
    from lang2segtrack_ros.io.rendering import draw_overlay
    from lang2segtrack_ros.io.writers import write_png
    from lang2segtrack_ros.models.loading import load_detector, load_segmenter
    from lang2segtrack_ros.session.degradation import is_out_of_memory
    from lang2segtrack_ros.session.image_segmentation import segment_images

    segmenter = load_segmenter(options.segmenter, options.device, options.image_size)
    detector = load_detector(options.detector, options.device)
    for note in vocabulary_notes(detector, prompt.phrases):
        _tell(note, 0)
    shown = {path.resolve() for path in pictures}
    for stale in (options.out / "overlays").glob("[0-9][0-9][0-9][0-9][0-9]*_*.png"):
        if stale.resolve() not in shown:
            stale.unlink()  # results.json is written anew, too
    writer = CocoWriter(options.out / "results.json", prompt.phrases, f"segmenter {segmenter.name}, detector {detector.name}")
    try:
        for start in range(0, len(pictures), options.batch):
            read = [(path, read_picture(path)) for path in pictures[start : start + options.batch]]
            good = [(path, image) for path, image in read if image is not None]
            for path in [path for path, image in read if image is None]:
                writer.fail(path, "it cannot be read as a picture")
                _tell(f"{path}: it cannot be read as a picture", 1)
            found = segment_images(segmenter, detector, [image for _, image in good], prompt.phrases, prompt.threshold)
            for (path, image), objects in zip(good, found):
                number = writer.add(path, image.shape[0], image.shape[1], objects)
                if not options.no_overlay:
                    tracks = [item.as_track(index) for index, item in enumerate(objects, start=1)]
                    write_png(options.out / "overlays" / f"{number:05d}_{path.stem}.png", draw_overlay(image, tracks))
                seen = Counter(item.label for item in objects)
                what = ", ".join(f"{count} {label}" for label, count in seen.items()) or "nothing"
                print(f"[{writer.count}/{len(pictures)}] {path}: {what}", flush=True)
    except KeyboardInterrupt:
        return _tell("interrupted; what is done is written", 130)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return _tell(f"out of memory ({error}): try --batch 1, a smaller --image-size, or --device cpu; what is done is written", 1)
    finally:
        writer.close()
    print(f"{writer.path}: {writer.objects} objects on {writer.count - writer.failed} pictures")
    return 1 if writer.failed else 0


def _tell(sentence: str, code: int) -> int:
    for line in sentence.splitlines():
        print(f"lang2segtrack image: {line}", file=sys.stderr)
    return code
