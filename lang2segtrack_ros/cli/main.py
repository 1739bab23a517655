# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Parser and entry point of the `lang2segtrack` command."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from lang2segtrack_ros import __version__
from lang2segtrack_ros.cli import (
    bag,
    bench,
    demo_real,
    doctor,
    export,
    image,
    import_labels,
    lerobot,
    models,
    objects,
    report,
    review,
    toy_bag,
    track,
)
from lang2segtrack_ros.cli.engine_options import add_license_option
from lang2segtrack_ros.cli.streams import safe_output
from lang2segtrack_ros.runtime.cpu_threads import configure_cpu_threads


def _demo(options: argparse.Namespace) -> int:
    if options.real:
        return demo_real.run(options)
    if options.video or options.text:
        print("lang2segtrack demo: --video and --text are options of --real; the toy demo has its own camera: add --real", file=sys.stderr)
        return 2
    try:
        import rclpy  # noqa: F401

        import lang2segtrack.msg  # noqa: F401
    except ImportError as error:
        print(
            f"the demo needs ROS 2 and the built interfaces ({error}): run `make demo`, or source the setup file of your workspace",
            file=sys.stderr,
        )
        return 2
    from lang2segtrack_ros.toyworld import demo

    return demo.run(options.out or Path("out/demo"), options.seconds, options.fps)


def _weights(options: argparse.Namespace) -> int:
    from lang2segtrack_ros.models import catalogue
    from lang2segtrack_ros.models.catalogue import WeightsError

    try:
        return _weights_action(options)
    except WeightsError as error:
        print(f"lang2segtrack weights: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted; the downloaded part stays in {catalogue.weights_home()}, and the next fetch resumes", file=sys.stderr)
        return 130


def _weights_action(options: argparse.Namespace) -> int:
    from lang2segtrack_ros.models import catalogue, store
    from lang2segtrack_ros.models.license_gate import check_accepted

    if options.action == "list":
        print(f"weights are kept in {catalogue.weights_home()} (set {catalogue.HOME_VARIABLE} to change the folder)\n")
        print(f"{'name':<24} {'kind':<10} {'MB':>5}  {'license':<11} {'local':<5} hub id")
        print(f"{'toy':<24} {'both':<10} {8:>5}  {'Apache-2.0':<11} {'yes':<5} built in: colored shapes only")
        for item in catalogue.CHECKPOINTS:
            local = "yes" if catalogue.local_folder(item.name, item.kind) else "no"
            print(f"{item.name:<24} {item.kind:<10} {item.megabytes:>5}  {item.license:<11} {local:<5} {item.hub_id}")
        return 0
    if options.action == "fetch":
        for name in options.names:
            checkpoint = catalogue.find(name)
            check_accepted(name, checkpoint.restriction if checkpoint else None, options.accept_license)
            print(f"{name}: {store.fetch(name)}")
        return 0
    if options.action == "convert":
        from lang2segtrack_ros.models.conversion import convert

        print(f"written: {convert(options.source, options.target, options.tokenizer, print)}")
        return 0
    return _verify(options.names, options.accept_license)


def _verify(names: list[str], accept_license: str) -> int:
    """Verify the files of checkpoints and load them. Return 1 if one of them has a problem, else 0."""
    from lang2segtrack_ros.models import catalogue, store
    from lang2segtrack_ros.models.loading import load_detector, load_segmenter

    failures = 0
    for name in names:
        kinds: tuple[catalogue.Kind, ...] = ("segmenter", "detector") if name == "toy" else (store.kind_of(name),)
        for kind in kinds:
            folder = catalogue.local_folder(name, kind)
            problems = store.verify(folder) if folder else [f"{name} is not on this machine: lang2segtrack weights fetch {name}"]
            if folder is not None and not problems:
                (load_segmenter if kind == "segmenter" else load_detector)(name, device="cpu", accept_license=accept_license)
            failures += bool(problems)
            print("\n".join(problems) or f"{name} {kind}: files are unchanged, and all tensors load ({folder})")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lang2segtrack", description="Detect, segment and track objects by name on color and depth streams."
    )
    parser.add_argument("--version", action="version", version=f"lang2segtrack {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="run the toy camera, the node and a client on a separate ROS graph, or real weights (--real)")
    demo.add_argument("--out", type=Path, help=f"folder for the results (default: out/demo, or {demo_real.OUT} with --real)")
    demo.add_argument("--seconds", type=float, default=20.0, help="duration of the toy demo in seconds (default: %(default)s)")
    demo.add_argument("--fps", type=float, default=15.0, help="image rate of the toy camera (default: %(default)s)")
    demo_real.add_options(demo)
    demo.set_defaults(run=_demo)

    weights = commands.add_parser("weights", help="list, fetch, verify and convert checkpoints")
    actions = weights.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the known checkpoints and which ones are local")
    for action, text in (("fetch", "download checkpoints from the hub"), ("verify", "compare files with their digests and load them")):
        parser_of_action = actions.add_parser(action, help=text)
        parser_of_action.add_argument("names", nargs="+", metavar="NAME")
        add_license_option(parser_of_action)
    convert = actions.add_parser(
        "convert",
        help="convert an original file of SAM 2.1, EdgeTAM or Grounding DINO into a folder for --segmenter or --detector",
    )
    convert.add_argument("source", type=Path, metavar="FILE", help="sam2.1_hiera_*.pt, edgetam.pt or groundingdino_swin*.pth")
    convert.add_argument("target", type=Path, metavar="FOLDER", help="folder to write")
    convert.add_argument(
        "--tokenizer", type=Path, metavar="FOLDER", help="tokenizer of bert-base-uncased, for Grounding DINO (default: from the hub)"
    )
    weights.set_defaults(run=_weights)
    models.add_parser(commands)
    objects.add_parser(commands)
    bench.add_parser(commands)
    toy_bag.add_parser(commands)
    image.add_parser(commands)
    doctor.add_parser(commands)
    track.add_parser(commands)
    bag.add_parser(commands)
    export.add_parser(commands)
    import_labels.add_parser(commands)
    lerobot.add_parser(commands)
    report.add_parser(commands)
    review.add_parser(commands)
    return parser


def _join_negative(args: list[str]) -> list[str]:
    """Write `--box -5,10,50,60` as `--box=-5,10,50,60`. Otherwise argparse takes the coordinates for an option."""
    joined: list[str] = []
    for word in args:
        if joined and joined[-1] in ("--box", "--point") and re.match(r"-[\d.]", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        args: command line without the program name. None takes the one of this process.
    """
    configure_cpu_threads()
    with safe_output():
        options = _parser().parse_args(_join_negative(sys.argv[1:] if args is None else args))
        try:
            code: int = options.run(options)
        except KeyboardInterrupt:  # during loading or fetching; commands with partial results handle it themselves
            print("interrupted", file=sys.stderr)
            return 130
        return code


if __name__ == "__main__":
    sys.exit(main())
