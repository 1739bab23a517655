# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack bench`: measure the accuracy on the toy suites, of instructions, on DAVIS and on LaSOT."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from lang2segtrack_ros.cli.engine_options import NETWORK_NAMES, PLUGIN, add_license_option, parse_size, whole_number
from lang2segtrack_ros.cli.vlm_options import add_vlm_options, load_vlm_resolver, parse_vlm_options
from lang2segtrack_ros.tracking.policies.registry import POLICY_NAMES


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    bench = commands.add_parser("bench", help="measure the accuracy on the toy suites, or on folders in the layout of DAVIS or LaSOT")
    kinds = bench.add_subparsers(dest="kind", required=True, metavar="KIND")
    suites = kinds.add_parser("suites", help="all toy suites with all memory policies, on seeds that the training did not use")
    suites.add_argument("--suites", nargs="+", metavar="SUITE", help="suites to run (default: all)")
    suites.add_argument("--clips", type=int, default=8, help="number of clips per suite (default: %(default)s)")
    suites.add_argument("--stills", type=int, default=300, help="number of still images for the detector (default: %(default)s)")
    suites.add_argument("--first-seed", type=int, default=0, help="seed of the first clip (default: %(default)s)")
    suites.add_argument("--size", type=parse_size, metavar="WxH", help="image size (default: 320x240, every other clip in 16:9)")
    suites.add_argument(
        "--reference",
        dest="references",
        nargs="+",
        choices=["sam2"],
        default=[],
        help="trackers to run beside the policies: sam2 is the session of transformers on the same weights",
    )
    suites.add_argument(
        "--associations",
        nargs="+",
        choices=["standard", "sam3", "sam3-streaming"],
        default=["standard"],
        help="rules of association: see the parameter association (default: standard)",
    )
    suites.add_argument(
        "--detect-every", type=whole_number(1), metavar="N", default=5, help="images from one detection to the next (default: %(default)s)"
    )
    suites.add_argument("--no-boxes", action="store_true", help="skip the runs from boxes")
    suites.add_argument("--no-text", action="store_true", help="skip the runs with text prompts")
    suites.add_argument("--false-alarms", action="store_true", help="run text prompts with a lower threshold and with absent names, too")
    suites.add_argument("--pinned", type=Path, metavar="JSON", help="fail if a score is lower than in this report")
    davis = kinds.add_parser("davis", help="DAVIS 2017: prompts are the masks of the first frame, scores are J and F")
    davis.add_argument("root", type=Path, help="folder with JPEGImages and Annotations")
    davis.add_argument("--split", default="val", help="list in ImageSets/2017 (default: %(default)s)")
    davis.add_argument("--resolution", default="480p", help="subfolder with the resolution (default: %(default)s)")
    lasot = kinds.add_parser(
        "lasot", help="LaSOT: the prompt is the box of the first frame, scores are success, precision and normalized precision"
    )
    lasot.add_argument("root", type=Path, help="folder of sequences with img/ and groundtruth.txt")
    _add_instructions(kinds)
    for parser in (suites, davis, lasot):
        parser.add_argument("--model", default="toy", help=f"segmenter: {NETWORK_NAMES} (default: %(default)s)")
        parser.add_argument(
            "--policies",
            nargs="+",
            metavar="POLICY",
            default=list(POLICY_NAMES),
            help=f"memory policies: built-in names, or {PLUGIN} (default: the built-in ones)",
        )
        parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)")
        add_license_option(parser)
        parser.add_argument("--out", type=Path, default=Path("out/bench"), help="folder for the results (default: %(default)s)")
    suites.add_argument("--detector", default="toy", help=f"detector: {NETWORK_NAMES} (default: %(default)s)")
    bench.set_defaults(run=_run)


def _add_instructions(kinds: Any) -> None:
    """Add the subcommand `instructions`."""
    parser = kinds.add_parser("instructions", help="instructions on arrangements of toy shapes: chosen objects, and refused sentences")
    parser.add_argument("--cases", type=whole_number(1), metavar="N", default=5, help="number of cases per template (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first arrangement (default: %(default)s)")
    parser.add_argument(
        "--sentences", type=whole_number(0), metavar="N", default=500, help="number of random sentences to refuse (default: %(default)s)"
    )
    parser.add_argument("--detector", default="toy", help=f"detector: {NETWORK_NAMES} (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)")
    add_vlm_options(parser)
    add_license_option(parser)
    parser.add_argument("--out", type=Path, default=Path("out/bench"), help="folder for the results (default: %(default)s)")


def _run(options: argparse.Namespace) -> int:
    from lang2segtrack_ros.evaluation.real_clips import LayoutError
    from lang2segtrack_ros.instructions.vlm.model import VlmError
    from lang2segtrack_ros.models.catalogue import WeightsError
    from lang2segtrack_ros.types.prompts import PromptError

    try:
        kinds = {"suites": _suites, "instructions": _instructions}
        return kinds.get(options.kind, _real)(options)
    except (WeightsError, LayoutError, KeyError, PromptError, VlmError) as error:
        print(f"lang2segtrack bench: {error.args[0]}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"lang2segtrack bench: {error}; install the packages of requirements/accuracy.txt and accuracy-no-deps.txt", file=sys.stderr)
        return 2


def _suites(options: argparse.Namespace) -> int:
    from lang2segtrack_ros.evaluation import report
    from lang2segtrack_ros.evaluation.tables import picture, table
    from lang2segtrack_ros.models.loading import load_detector, load_segmenter
    from lang2segtrack_ros.toyworld.suites import SUITES

    selected = options.suites or list(SUITES)
    plan = report.Plan(
        suites=() if options.no_boxes else selected,
        policies=options.policies,
        text_suites=() if options.no_text else selected,
        associations=options.associations,
        detect_every=options.detect_every,
        clips=options.clips,
        stills=options.stills,
        first_seed=options.first_seed,
        size=options.size,
        references=options.references,
        false_alarms=options.false_alarms,
    )
    segmenter = load_segmenter(options.model, options.device, accept_license=options.accept_license)
    detector = load_detector(options.detector, options.device, accept_license=options.accept_license)
    result = report.measure(segmenter, detector, plan, lambda line: print(line, flush=True), lambda part: report.write(part, options.out))
    report.write(result, options.out)
    files = ["accuracy.json", "accuracy.md"]
    if result["prompted"]:
        picture(result["prompted"], options.out / "accuracy.png")
        files.append("accuracy.png")
    print(f"\n{table(result)}\nwritten to {options.out}: {', '.join(files)}")
    if options.pinned is None:
        return 0
    problems = report.regressions(result, json.loads(options.pinned.read_text()))
    print("\n".join(problems) or "no score is lower than in the pinned report")
    return 1 if problems else 0


def _instructions(options: argparse.Namespace) -> int:
    from lang2segtrack_ros.evaluation import instructions
    from lang2segtrack_ros.models.loading import load_detector

    vlm = parse_vlm_options(options)
    detector = load_detector(options.detector, options.device, accept_license=options.accept_license)
    resolver = load_vlm_resolver(vlm, options.device, detector) if vlm is not None else None
    result = instructions.measure(
        detector, options.cases, options.first_seed, options.sentences, lambda line: print(line, flush=True), resolver=resolver
    )
    instructions.write(result, options.out)
    instructions.draw_examples(detector, options.out / "instructions.png")
    print(f"\n{instructions.table(result)}\nwritten to {options.out}: instructions.json, instructions.md, instructions.png")
    return 0


def _real(options: argparse.Namespace) -> int:
    from lang2segtrack_ros.evaluation import real_clips
    from lang2segtrack_ros.models.loading import load_segmenter

    davis = options.kind == "davis"
    sequences = (
        real_clips.davis_sequences(options.root, options.split, options.resolution) if davis else real_clips.lasot_sequences(options.root)
    )
    segmenter = load_segmenter(options.model, options.device, accept_license=options.accept_license)
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for policy in options.policies:
        table: dict[str, dict[str, float]] = {}
        for sequence in sequences:
            if davis:
                for number, (j, f) in real_clips.run_davis(segmenter, sequence, policy).items():
                    table[f"{sequence.name}/{number}"] = {"J": j, "F": f, "J&F": (j + f) / 2}
            else:
                table[sequence.name] = real_clips.run_lasot(segmenter, sequence, policy)
            last = list(table.items())[-1]
            print(f"{policy}, {last[0]}: " + ", ".join(f"{name} {value:.4g}" for name, value in last[1].items()), flush=True)
        names = next(iter(table.values()))
        table["mean"] = {name: math.fsum(row[name] for row in table.values()) / len(table) for name in names}
        print(f"{policy}, mean: " + ", ".join(f"{name} {value:.4f}" for name, value in table["mean"].items()))
        rows[policy] = table
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.kind}.json"
    path.write_text(json.dumps({"model": options.model, "sequences": len(sequences), "policies": rows}, indent=1))
    print(f"written: {path}")
    return 0
