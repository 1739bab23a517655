# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack image`: find objects by name, instruction or exemplar on image files, and write a COCO data set and overlay images."""

from __future__ import annotations

import argparse
import glob
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lang2segtrack_ros.cli.engine_options import (
    DEFAULT_DETECTOR,
    NETWORK_NAMES,
    add_license_option,
    add_matcher_option,
    has_own_detector,
    may_match,
)
from lang2segtrack_ros.cli.interruption import INTERRUPTED, stop_on_signals
from lang2segtrack_ros.cli.prompt_options import add_instruction_options, parse_exemplar, parse_instructions
from lang2segtrack_ros.cli.vlm_options import IDENTITY, load_vlm_resolver, parse_vlm_options

if TYPE_CHECKING:  # modules that the parser does not need are imported on use
    import numpy as np
    from numpy.typing import NDArray

    from lang2segtrack_ros.cli.output_folder import OutputFolder
    from lang2segtrack_ros.instructions.vlm.options import VlmOptions
    from lang2segtrack_ros.io.coco import CocoWriter
    from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
    from lang2segtrack_ros.session.image_segmentation import SegmentedObject
    from lang2segtrack_ros.types.instruction import InstructionPrompt
    from lang2segtrack_ros.types.prompts import ExemplarPrompt

_MAX_OBJECTS = 1000  # of an instruction; more are a model that repeats itself
_MAX_STEM_BYTES = 200  # of an overlay's name; file systems allow 255 bytes


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    parser = commands.add_parser("image", help="find and segment objects by name, instruction or exemplar on image files")
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="image files, folders of image files, or patterns such as 'shots/**/*.jpg'"
    )
    parser.add_argument("--text", help="names of the objects: 'red mug. cardboard box.'")
    add_instruction_options(parser)
    parser.add_argument(
        "--exemplar",
        action="append",
        default=[],
        metavar="PICTURE:X1,Y1,X2,Y2=LABEL",
        help="find all objects that look like the one in a box on a picture",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/image"),
        help="folder for the COCO files and the overlays (default: %(default)s); it must not exist, see --overwrite",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output folder")
    parser.add_argument("--segmenter", default="sam2.1-tiny", help=f"segmenter: {NETWORK_NAMES} (default: %(default)s)")
    parser.add_argument("--detector", default=DEFAULT_DETECTOR, help=f"detector: {NETWORK_NAMES} (default: %(default)s)")
    add_matcher_option(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default: %(default)s)")
    parser.add_argument(
        "--image-size", type=int, help="side of the segmenter's square input in pixels (default: the size of the checkpoint)"
    )
    parser.add_argument("--threshold", type=float, help="minimum score of a detection, 0 to 1 (default: the threshold of the network)")
    parser.add_argument("--batch", type=int, default=4, help="number of images in one batch of the detector (default: %(default)s)")
    add_license_option(parser)
    parser.add_argument("--no-overlay", action="store_true", help="write no overlay images")
    parser.set_defaults(run=run)


def find_images(arguments: list[str]) -> tuple[list[Path], list[str], list[str]]:
    """Return the image files of the command line.

    Args:
        arguments: files, folders or patterns.

    Returns:
        The files in order without repetitions, a message for each argument that matches no file, and a warning for each folder with files
        of image formats that are not supported.
    """
    from lang2segtrack_ros.io.picture import SUFFIXES, image_files

    found: dict[Path, None] = {}
    problems, warnings = [], []
    for argument in arguments:
        path = Path(argument).expanduser()
        if path.is_dir():
            files, warning = image_files(path)
            warnings += [warning] if warning else []
            problems += [] if files else [f"{argument}: no images in this folder (known suffixes: {', '.join(SUFFIXES)})"]
        elif path.exists():
            files = [path]
        else:
            files = [Path(item) for item in sorted(glob.glob(str(path), recursive=True)) if Path(item).is_file()]
            problems += [] if files else [f"{argument}: no such file or folder, and as a pattern it matches nothing"]
        found.update(dict.fromkeys(files))
    return list(found), problems, warnings


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Args:
        options: parsed options.

    Returns:
        0 if all images are done, also by an earlier run. 1 if an image could not be read or written, a network could not be loaded, or the
        detector gave a faulty result. 2 if an argument is not valid. 130 after an interruption.
    """
    from lang2segtrack_ros.detection.detector import DetectorError
    from lang2segtrack_ros.instructions.vlm.model import VlmError
    from lang2segtrack_ros.models.catalogue import WeightsError
    from lang2segtrack_ros.recordings.runs import OfflineError
    from lang2segtrack_ros.types.prompts import PromptError

    try:
        phrases, exemplars, instructions = _prompts(options)
        if options.batch < 1:
            raise PromptError(f"--batch is {options.batch}; it must be at least 1")
        paths, problems, warnings = find_images(options.paths)
        if problems:
            raise PromptError("\n".join(problems))
        for warning in warnings:
            _print_error(warning, 0)
        return _segment(options, phrases, exemplars, instructions, paths)
    except PromptError as error:
        return _print_error(str(error), 2)
    except (DetectorError, OfflineError, VlmError, WeightsError, OSError) as error:
        return _print_error(str(error), 1)
    except KeyboardInterrupt:
        return _print_error("interrupted; the same command goes on", INTERRUPTED)


def _prompts(options: argparse.Namespace) -> tuple[tuple[str, ...], list[ExemplarPrompt], list[InstructionPrompt]]:
    """Return the phrases, the exemplars and the instructions of the command line. Raises PromptError."""
    from lang2segtrack_ros.types.prompts import PromptError, TextPrompt

    exemplars = [parse_exemplar(value, "once", options.threshold) for value in options.exemplar]
    if any(exemplar.image is None for exemplar in exemplars):
        raise PromptError("an --exemplar has no picture: write it before the box, such as mug.png:10,20,60,70=mug")
    instructions = parse_instructions(options)
    if options.text is None and not exemplars and not instructions:
        raise PromptError("there is no prompt: give --text, --instruct or --exemplar")
    if instructions and (options.text is not None or exemplars):
        raise PromptError("--instruct chooses among the objects of an image: give it without --text and --exemplar")
    phrases = TextPrompt(options.text, "once", options.threshold).phrases if options.text is not None else ()
    return phrases, exemplars, instructions


def _segment(
    options: argparse.Namespace,
    phrases: tuple[str, ...],
    exemplars: list[ExemplarPrompt],
    instructions: list[InstructionPrompt],
    paths: list[Path],
) -> int:
    from lang2segtrack_ros.cli.output_folder import OutputFolder
    from lang2segtrack_ros.io.coco import CocoWriter
    from lang2segtrack_ros.recordings.resumable import full_repr
    from lang2segtrack_ros.recordings.runs import CHECKPOINT, digest, working_folder

    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    engine = ("segmenter", "detector", "device", "image_size", "batch", "exemplar_by")
    names = (*engine, "no_overlay", "threshold", "instruct", "everything", *IDENTITY)
    key = digest(stats, phrases, [full_repr(exemplar) for exemplar in exemplars], [getattr(options, name) for name in names])
    output = OutputFolder(options.out, options.overwrite, paths, key)
    if output.already_done:
        print(f"already done: {output.path}")
        return 0
    with working_folder(output.work, output.path):
        labels = tuple(dict.fromkeys((*phrases, *(exemplar.label for exemplar in exemplars), *_names(options, instructions))))
        writer = CocoWriter(output.work / CHECKPOINT, labels, key)
        if not (writer.count and output.restore_partial()):
            writer.restart()
            output.clear_partial()
        with stop_on_signals() as stop:
            segment = _instructed(options, instructions, writer) if instructions else _segmenting(options, phrases, exemplars, writer)
            code = _segment_all(options, segment, paths, output, writer, stop)
        unfinished = f"interrupted after {writer.count} of {len(paths)} images" if writer.count < len(paths) else ""
        writer.write(output.partial)
        objects, failed = writer.objects, writer.failed
        output.finish(unfinished)
    if unfinished:
        _print_error(f"{unfinished}; the same command goes on from there", 0)
    print(f"{output.path}: {objects} objects on {writer.count - failed} images")
    return code or (INTERRUPTED if unfinished else 1 if failed else 0)


def _segmenting(
    options: argparse.Namespace, phrases: tuple[str, ...], exemplars: list[ExemplarPrompt], writer: CocoWriter
) -> Callable[[Sequence[NDArray[np.uint8]]], list[list[SegmentedObject]]]:
    """Load the networks, and return the function that segments images."""
    from lang2segtrack_ros.detection.detector import vocabulary_notes
    from lang2segtrack_ros.models.loading import load_detector, load_segmenter
    from lang2segtrack_ros.session import image_segmentation
    from lang2segtrack_ros.session.matching import finder_of

    licenses = options.accept_license
    segmenter = load_segmenter(options.segmenter, options.device, options.image_size, accept_license=licenses)
    needs_detector = phrases or may_match(options)
    detector = load_detector(options.detector, options.device, accept_license=licenses) if needs_detector else None
    finder = finder_of(options.exemplar_by, detector, segmenter) if exemplars else None
    writer.description = f"segmenter {segmenter.name}, detector {detector.name if detector else 'none'}"
    for note in vocabulary_notes(detector, phrases) if detector and phrases else []:
        _print_error(note, 0)
    return lambda images: image_segmentation.segment_images(
        segmenter, detector, images, phrases, options.threshold, exemplars=exemplars, finder=finder
    )


def _names(options: argparse.Namespace, instructions: Sequence[InstructionPrompt]) -> list[str]:
    """Return the labels that the objects of instructions may have. Raise PromptError if "everything" has no names."""
    from lang2segtrack_ros.instructions.chain import phrases_of
    from lang2segtrack_ros.instructions.grammar import read_instruction

    if parse_vlm_options(options) is not None:
        return []  # the model names the objects
    return [name for prompt in instructions for name in phrases_of(options.detector, prompt, read_instruction(prompt.text))]


def _instructed(
    options: argparse.Namespace, instructions: Sequence[InstructionPrompt], writer: CocoWriter
) -> Callable[[Sequence[NDArray[np.uint8]]], list[list[SegmentedObject]]]:
    """Load the networks, and return the function that segments the objects of instructions and prints the answers."""
    from lang2segtrack_ros.detection.detector import Detection
    from lang2segtrack_ros.instructions.chain import answer_instruction, read
    from lang2segtrack_ros.instructions.plan import InstructionError
    from lang2segtrack_ros.models.loading import load_detector, load_segmenter
    from lang2segtrack_ros.session.image_segmentation import segment_detections

    segmenter = load_segmenter(options.segmenter, options.device, options.image_size, accept_license=options.accept_license)
    vlm = parse_vlm_options(options)
    if vlm is not None:
        return _resolved(options, vlm, instructions, segmenter, writer)
    detector = load_detector(options.detector, options.device, accept_license=options.accept_license)
    writer.description = f"segmenter {segmenter.name}, detector {detector.name}"
    for prompt in instructions:
        read(detector, prompt)

    def segment(image: NDArray[np.uint8]) -> list[SegmentedObject]:
        chosen: dict[tuple[float, ...], Detection] = {}
        for prompt in instructions:
            try:
                answer = answer_instruction(detector, image, prompt)
            except InstructionError as error:
                print(f'"{prompt.text}": {error}')
                continue
            print("\n".join([f'"{prompt.text}":', *(f"  {line}" for line in answer.lines())]))
            chosen |= {item.item.box: Detection(item.label, item.item.score, item.item.box) for item in answer.choices}
        return segment_detections(segmenter, image, list(chosen.values())) if chosen else []

    return lambda images: [segment(image) for image in images]


def _resolved(
    options: argparse.Namespace,
    vlm: VlmOptions,
    instructions: Sequence[InstructionPrompt],
    segmenter: Sam2Segmenter,
    writer: CocoWriter,
) -> Callable[[Sequence[NDArray[np.uint8]]], list[list[SegmentedObject]]]:
    """Return the function that segments the objects of instructions by a vision-language model, and prints the answers."""
    from lang2segtrack_ros.detection.detector import Detection
    from lang2segtrack_ros.detection.instruction_resolver import InstructionRequest
    from lang2segtrack_ros.models.loading import load_detector
    from lang2segtrack_ros.session.image_segmentation import segment_detections
    from lang2segtrack_ros.types.prompts import PromptError

    detector = load_detector(options.detector, options.device, accept_license=options.accept_license) if has_own_detector(options) else None
    resolver = load_vlm_resolver(vlm, options.device, detector)
    writer.description = f"segmenter {segmenter.name}, instructions {resolver.name}"

    def segment(image: NDArray[np.uint8]) -> list[SegmentedObject]:
        chosen: dict[tuple[float, ...], Detection] = {}
        for prompt in instructions:
            try:
                result = resolver.resolve(InstructionRequest(0, image, prompt, max_objects=_MAX_OBJECTS))
            except PromptError as error:
                print(f'"{prompt.text}": {error}')
                continue
            print("\n".join([f'"{prompt.text}":', *(f"  {line}" for line in result.lines())]))
            chosen |= {item.box: item for item in result.detections}
        return segment_detections(segmenter, image, list(chosen.values())) if chosen else []

    return lambda images: [segment(image) for image in images]


def _segment_all(
    options: argparse.Namespace,
    segment: Callable[[Sequence[NDArray[np.uint8]]], list[list[SegmentedObject]]],
    paths: list[Path],
    output: OutputFolder,
    writer: CocoWriter,
    stop: Callable[[], bool],
) -> int:
    """Segment the images that an earlier run has not done. Return 1 if the device runs out of memory, else 0."""
    from lang2segtrack_ros.io.rendering import draw_overlay
    from lang2segtrack_ros.io.writers import write_png
    from lang2segtrack_ros.session.degradation import is_out_of_memory

    if writer.count:
        print(f"resumed after {writer.count} images of an earlier run")
    for start in range(writer.count, len(paths), options.batch):
        if stop():
            break
        batch = paths[start : start + options.batch]
        pictures, reasons = _read_pictures(batch)
        try:
            found = dict(zip(pictures, segment(list(pictures.values()))))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            hint = "try --batch 1, a smaller --image-size, or --device cpu; the results so far are written"
            return _print_error(f"out of memory ({error}): {hint}", 1)
        for number, (path, objects) in enumerate(found.items(), writer.count - writer.failed + 1):
            if not options.no_overlay:
                tracks = [item.as_track(index) for index, item in enumerate(objects, start=1)]
                write_png(output.partial / "overlays" / f"{number:05d}_{_short(path.stem)}.png", draw_overlay(pictures[path], tracks))
        writer.add([(path, reasons.get(path) or (pictures[path].shape[:2], found[path])) for path in batch])
        for number, path in enumerate(batch, start + 1):
            print(f"[{number}/{len(paths)}] {path}: {reasons.get(path) or _summary(found[path])}", flush=True)
    return 0


def _read_pictures(paths: list[Path]) -> tuple[dict[Path, NDArray[np.uint8]], dict[Path, str]]:
    """Return the pictures that can be read, and the reason for each other one."""
    from lang2segtrack_ros.io.picture import PictureError, read_picture

    pictures, reasons = {}, {}
    for path in paths:
        try:
            pictures[path] = read_picture(path)
        except PictureError as error:
            reasons[path] = str(error)
            _print_error(f"{path}: {error}", 1)
    return pictures, reasons


def _summary(objects: Sequence[SegmentedObject]) -> str:
    counts = Counter(item.label for item in objects)
    return ", ".join(f"{count} {label}" for label, count in counts.items()) or "no objects"


def _short(name: str) -> str:
    """Return a name of at most `_MAX_STEM_BYTES` bytes. File systems limit names."""
    return name.encode(errors="surrogateescape")[:_MAX_STEM_BYTES].decode(errors="ignore")


def _print_error(message: str, code: int) -> int:
    for line in message.splitlines():
        print(f"lang2segtrack image: {line}", file=sys.stderr)
    return code
