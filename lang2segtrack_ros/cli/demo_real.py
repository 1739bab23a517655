# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack demo --real`: a first run on real weights and a clip of the user, which checks itself."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from lang2segtrack_ros.cli.engine_options import add_engine_options, whole_number

OUT = Path("out/demo-real")
"""Default folder of the files."""
FILES = ("report.json", "overlay.webm", "contact_sheet.png")
_MISSING = (
    "--real needs a clip and the names of objects that are visible on most of its images, because no clip of a camera ships with the "
    'package: lang2segtrack demo --real --video street.mp4 --text "red car. bus."'
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the run on real weights.

    Args:
        parser: parser of the command `demo`.
    """
    parser.add_argument(
        "--real",
        action="store_true",
        help="run real weights on --video without ROS, and check the result. Exit code: 0 if all checks pass, 1 if one fails, 2 if "
        "nothing could be checked",
    )
    parser.add_argument("--video", metavar="VIDEO|FOLDER", help="clip for --real: a video file or a folder of images (required)")
    parser.add_argument("--text", metavar="T", help='names of the objects for --real: "red mug. cardboard box." (required)')
    parser.add_argument(
        "--frames", type=whole_number(2), default=60, metavar="N", help="number of images for --real (default: %(default)s)"
    )
    add_engine_options(parser)


def run(options: argparse.Namespace) -> int:
    """Run text to tracks on a clip and check the result.

    Args:
        options: parsed options.

    Returns:
        0 if all checks pass. 1 if a check fails, or the run ends with an error of the program. 2 if the input is wrong, weights cannot be
        fetched, or a file cannot be written.
    """
    from lang2segtrack_ros.io.sources import SourceError
    from lang2segtrack_ros.models.catalogue import WeightsError
    from lang2segtrack_ros.types.prompts import PromptError

    out = options.out or OUT
    report: dict[str, Any] = {"passed": False}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (out / name).unlink(missing_ok=True)
        failed = _check(options, out, report)
    except (OSError, PromptError, SourceError, WeightsError) as error:
        print(f"lang2segtrack demo: {error}", file=sys.stderr)
        return 2
    except Exception as error:  # a fault of a network or of the program: the report is for the bug report
        traceback.print_exc()
        report["error"] = traceback.format_exc()
        failed = f"the run ended with {type(error).__name__}: {error}"
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    written = [str(out / name) for name in FILES if (out / name).exists()]
    print("\n".join(written))
    if failed:
        print(f"{failed}. Attach these files to a bug report: {', '.join(written)}", file=sys.stderr)
    return 1 if failed else 0


def _check(options: argparse.Namespace, out: Path, report: dict[str, Any]) -> str:
    """Run and check.

    Args:
        options: parsed options.
        out: folder of the files.
        report: receives the content of report.json.

    Returns:
        The failed checks as the begin of a sentence; empty if all passed.

    Raises:
        PromptError: an option is missing, or the text is not valid.
        SourceError, WeightsError, OSError: see `evaluation.self_check_run.observe` and `models.loading`.
    """
    from lang2segtrack_ros.cli.progress import ProgressLine
    from lang2segtrack_ros.io.sources import SourceError, open_source
    from lang2segtrack_ros.types.prompts import PromptError, TextPrompt

    if not options.video or not options.text:
        raise PromptError(_MISSING)
    prompt, source = TextPrompt(options.text), open_source(options.video)
    if not source.stored:
        raise SourceError(f"{source.name} does not store its images, which the backward pass needs: give a video file")
    source.limit = options.frames

    from lang2segtrack_ros.evaluation.self_check import run_checks
    from lang2segtrack_ros.evaluation.self_check_report import check_table, describe_result, describe_setup
    from lang2segtrack_ros.evaluation.self_check_run import observe
    from lang2segtrack_ros.models.loading import find_folders, load_detector, load_segmenter

    began = time.monotonic()
    find_folders(options.segmenter, options.detector, options.accept_license)
    accepted = {"acceleration": options.acceleration, "accept_license": options.accept_license}
    detector = load_detector(options.detector, options.device, **accepted)
    segmenter = load_segmenter(options.segmenter, options.device, options.image_size, **accepted)
    report.update(describe_setup(segmenter, detector, source), policy=options.policy, text=options.text)
    loaded = time.monotonic()
    with ProgressLine() as line:
        seen = observe(segmenter, detector, options.policy, source, prompt, out, line)
    checks = run_checks(seen)
    report.update(describe_result(seen, checks), seconds={"load": round(loaded - began, 1), "run": round(time.monotonic() - loaded, 1)})
    print(f"{check_table(checks)}\n")
    failed = [check.name for check in checks if not check.passed]
    return f"{len(failed)} of {len(checks)} checks FAILED ({'; '.join(failed)})" if failed else ""
