# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack review`: a page in the browser on which a person corrects a tracked recording."""

from __future__ import annotations

import argparse
import functools
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lang2segtrack_ros.cli.engine_options import add_license_option
from lang2segtrack_ros.cli.interruption import stop_on_signals
from lang2segtrack_ros.cli.progress import ProgressLine
from lang2segtrack_ros.cli.report import SUFFIX
from lang2segtrack_ros.recordings.quality import REVIEW_PORT

if TYPE_CHECKING:
    from lang2segtrack_ros.recordings.review.images import RecordingImages
    from lang2segtrack_ros.recordings.review.places import Place
    from lang2segtrack_ros.recordings.review.review import Review
    from lang2segtrack_ros.session.session import Session
    from lang2segtrack_ros.viewers.review.requests import ReviewRequests
    from lang2segtrack_ros.viewers.web.access import Access

EXAMPLES = """
examples:
  lang2segtrack review out/cups                           review the output of `lang2segtrack track` in the browser
  lang2segtrack review out/cups --image 140               show image 140 first
  lang2segtrack review out/cups --apply out/cups_edited   write the edited trace, and leave out/cups as it is
"""
TOKEN_VARIABLE = "LANG2SEGTRACK_WEB_TOKEN"
PORTS = range(REVIEW_PORT, REVIEW_PORT + 20)
MAX_CONNECTIONS = 64
POLL_S = 0.2
DEFAULTS = {"segmenter": "sam2.1-tiny", "image_size": None, "policy": "samurai"}
"""Settings of the tracker for recordings without settings, as of `lang2segtrack track`."""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    parser = commands.add_parser(
        "review",
        help="correct a tracked recording in the browser, or write the corrected trace",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES,
    )
    parser.add_argument("tracked", type=Path, metavar="TRACKED", help="output folder of `lang2segtrack track`, or a bag with tracks")
    parser.add_argument("--topic", default="", help="topic of the tracks in a bag (default: the only or the most complete one)")
    parser.add_argument(
        "--video",
        type=Path,
        metavar="FILE",
        help="the recording: a video, a folder of images, or a bag (default: the source that `lang2segtrack track` noted)",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help=f"output of `lang2segtrack report`, to list its findings (default: TRACKED{SUFFIX}, if any)",
    )
    parser.add_argument("--image", type=int, metavar="N", help="number of the image to show first, as in reports and tracks.jsonl")
    parser.add_argument("--apply", type=Path, metavar="FOLDER", help="write the edited trace to a new folder, and end; opens no page")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output folder of --apply")
    parser.add_argument("--address", default="127.0.0.1", help=f"IP address of the page; others than this one need {TOKEN_VARIABLE}")
    parser.add_argument("--port", type=int, help=f"TCP port of the page (default: the first free one from {PORTS[0]} to {PORTS[-1]})")
    parser.add_argument("--allowed-host", action="append", default=[], metavar="NAME", help="a further name of this machine in browsers")
    parser.add_argument("--segmenter", "--model", help="segmenter that tracks corrected objects (default: that of the trace)")
    parser.add_argument("--image-size", type=int, metavar="N", help="side of its square input in pixels (default: that of the trace)")
    parser.add_argument("--policy", metavar="POLICY", help="its memory policy (default: that of the trace)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)")
    add_license_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Args:
        options: parsed options.

    Returns:
        0 after the end of the page by Ctrl-C, or if the edited trace is written. 1 after an error.
    """
    from lang2segtrack_ros.recordings.review.images import IMAGE_ERRORS
    from lang2segtrack_ros.recordings.runs import OfflineError

    try:
        folder = _trace_folder(options)
        return _apply(options, folder) if options.apply is not None else _serve(options, folder)
    except (OfflineError, ValueError, OSError, *IMAGE_ERRORS) as error:
        print(f"lang2segtrack review: {error}", file=sys.stderr)
        return 1


def _trace_folder(options: argparse.Namespace) -> Path:
    """Return the folder with the trace and its edits: beside a bag, or the output folder itself. Raises TraceError, BagError or OSError."""
    from lang2segtrack_ros.recordings.exporting import is_bag
    from lang2segtrack_ros.recordings.review.bag_trace import write_bag_trace

    tracked: Path = options.tracked
    options.is_bag = is_bag(tracked)
    if not options.is_bag:
        return tracked
    folder, sentences = write_bag_trace(tracked, options.topic)
    for sentence in sentences:
        print(f"warning: {sentence}", file=sys.stderr)
    return folder


def _open_images(options: argparse.Namespace, settings: dict[str, Any]) -> RecordingImages | None:
    """Open the recording. Return None, with a warning, if it is not at hand. Raises SourceError or BagError if --video is wrong."""
    from lang2segtrack_ros.recordings.review.images import RecordingImages

    noted = str(options.tracked) if options.is_bag else settings.get("source")
    path = options.video or (Path(noted) if isinstance(noted, str) else None)
    if path is None or (options.video is None and not path.exists()):
        reason = f"{path} does not exist" if path is not None else "the trace does not name its recording"
        print(f"warning: {reason}, so the masks are shown on black images: give the recording with --video", file=sys.stderr)
        return None
    with ProgressLine() as line:
        return RecordingImages(path, line)


def _apply(options: argparse.Namespace, folder: Path) -> int:
    from lang2segtrack_ros.cli.output_folder import OutputFolder, read_settings
    from lang2segtrack_ros.io.trace_files import TraceFiles
    from lang2segtrack_ros.recordings.review.review import Review
    from lang2segtrack_ros.recordings.review.writing import write_edited
    from lang2segtrack_ros.recordings.runs import digest

    review = Review(folder, read_only=True)
    settings = read_settings(folder)
    key = digest("review", review.stored.digest, repr(review.edited.edits), str(options.video))
    output = OutputFolder(options.apply, options.overwrite, [options.tracked, folder], key, settings)
    if output.already_done:
        print(f"already done: {output.path}")
        return 0
    images = _open_images(options, settings)
    output.clear_partial()
    files = TraceFiles(output.partial, review.stored.fps, keep_unconfirmed=True)
    with ProgressLine() as line:
        write_edited(review.edited, images, files, line)
    output.finish()
    count = len(review.edited.edits)
    torn = ["a torn line at the end of the journal does not count"] if review.journal.torn else []
    edits = f"{count} edit{'' if count == 1 else 's'} applied"
    print("\n".join([*files.sentences(False), *torn, edits, f"written: {output.path}"]))
    return 0


def _serve(options: argparse.Namespace, folder: Path) -> int:
    from lang2segtrack_ros.cli.output_folder import read_settings
    from lang2segtrack_ros.recordings.review.correction_job import CorrectionJobs
    from lang2segtrack_ros.recordings.review.places import position_of
    from lang2segtrack_ros.recordings.review.review import Review
    from lang2segtrack_ros.viewers.review.requests import ReviewRequests
    from lang2segtrack_ros.viewers.review.service import ReviewService
    from lang2segtrack_ros.viewers.web.access import Access

    access = Access(options.address, os.environ.get(TOKEN_VARIABLE, ""), frozenset(name.lower() for name in options.allowed_host))
    review = Review(folder)
    try:
        settings = read_settings(folder)
        places = _places(options, review)
        start = position_of(options.image, review.stored) if options.image is not None else 0
        images = _open_images(options, settings)
        jobs = None if images is None else CorrectionJobs(review, images, _session_maker(options, settings))
        _run_page(options, access, ReviewRequests(access, ReviewService(review, images, jobs, places, start)), review)
        if jobs is not None:
            jobs.cancel()
            jobs.wait()
    finally:
        review.close()
    return 0


def _places(options: argparse.Namespace, review: Review) -> list[Place]:
    """Return the findings of the report. A report that was found and not given only warns if it cannot be used. Raises PlaceError."""
    from lang2segtrack_ros.cli.report import default_folder
    from lang2segtrack_ros.recordings.review.places import PlaceError, read_places

    if options.report is not None:
        return read_places(options.report, review.stored)
    folder = default_folder(options.tracked)
    if not folder.is_dir():
        return []
    try:
        return read_places(folder, review.stored)
    except PlaceError as error:
        print(f"warning: the report is not shown: {error}", file=sys.stderr)
        return []


def _run_page(options: argparse.Namespace, access: Access, requests: ReviewRequests, review: Review) -> None:
    """Serve the page until Ctrl-C."""
    from lang2segtrack_ros.viewers.web.server import HttpServer

    ports = [options.port] if options.port is not None else list(PORTS)
    server = HttpServer(ports, access, requests, MAX_CONNECTIONS)
    ended = threading.Event()
    with stop_on_signals(ended.set) as stop:
        server.start()
        hint = f"#token=... with the token in {TOKEN_VARIABLE}" if access.token else ""
        print(f"review: {server.url}{hint}\nedits are kept in {review.journal.path}; Ctrl-C ends", flush=True)
        while not ended.wait(POLL_S) and not stop():
            pass
    server.close()


def _session_maker(options: argparse.Namespace, settings: dict[str, Any]) -> Callable[[], Session]:
    """Return a function that makes a session for one object. Its first call loads the segmenter."""
    given = {name: getattr(options, name) for name in DEFAULTS if getattr(options, name) is not None}
    noted = {name: settings[name] for name in DEFAULTS if name in settings}
    chosen: dict[str, Any] = {**DEFAULTS, **noted, **given}

    @functools.cache
    def segmenter() -> Any:
        from lang2segtrack_ros.models.loading import load_segmenter

        return load_segmenter(chosen["segmenter"], options.device, chosen["image_size"], accept_license=options.accept_license)

    def make() -> Session:
        from lang2segtrack_ros.session.session import Session
        from lang2segtrack_ros.tracking.policies.registry import make_policy

        return Session(segmenter(), None, make_policy(chosen["policy"]))

    return make
