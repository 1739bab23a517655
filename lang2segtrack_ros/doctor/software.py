# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Python packages, the GPU, the weights."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Literal

from lang2segtrack_ros.doctor.finding import Finding, Level, probe

REQUIREMENTS = {  # those of pyproject.toml, and the module each brings
    "torch>=2.5": "torch",
    "transformers>=5.0,<6": "transformers",
    "numpy>=1.26,<3": "numpy",
    "scipy>=1.11": "scipy",
    "opencv-python-headless>=4.9": "cv2",
    "pycocotools>=2.0.8": "pycocotools",
    "pyyaml>=6.0": "yaml",
    "rosbags>=0.11,<0.12": "rosbags",
}


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Finding:
    """Python itself."""
    name = ".".join(str(part) for part in version)
    if version < (3, 10):
        return Finding(Level.ERROR, "Python", f"this is {name}", "use Python 3.10 or newer")
    return Finding(Level.OK, "Python", f"{name} at {sys.executable}")


def fits(version: str, rules: str) -> bool:
    """Whether a version obeys rules such as ">=1.26,<3". Without the package packaging, which may be what is missing."""

    def numbers(text: str) -> list[int]:
        found = [int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3]]
        return found + [0] * (3 - len(found))

    for rule in rules.split(","):
        operator, bound = re.match(r"(>=|<)(.+)", rule).groups()  # type: ignore[union-attr]
        if (numbers(version) < numbers(bound)) == (operator == ">="):
            return False
    return True


def check_package(requirement: str, module: str, environment: Mapping[str, str] | None = None) -> Finding:
    """A package that is needed: its version, and whether it can be imported."""
    name, rules = re.match(r"([\w-]+)(.+)", requirement).groups()  # type: ignore[union-attr]
    failure = probe(f"import {module}", environment)
    if failure:
        advice = f"pip install '{requirement}'"
        if "numpy" in failure.lower():
            advice = f"{module} was built for another NumPy: reinstall it, or NumPy ({advice})"
        return Finding(Level.ERROR, name, f"cannot be imported: {failure}", advice)
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # a distribution's own package, such as python3-opencv
        return Finding(Level.OK, name, f"module {module} can be imported")
    if not fits(version, rules):
        return Finding(Level.ERROR, name, f"{version} is installed, {rules} is needed", f"pip install '{requirement}'")
    return Finding(Level.OK, name, version)


def check_torchvision(environment: Mapping[str, str] | None = None) -> Finding:
    """Not needed, but one that was made for another torch breaks transformers."""
    if probe("import importlib.util, sys; sys.exit(importlib.util.find_spec('torchvision') is None)", environment):
        return Finding(Level.OK, "torchvision", "not installed, and not needed")
    failure = probe("import torchvision", environment)
    if failure:
        return Finding(
            Level.ERROR,
            "torchvision",
            f"does not fit the installed torch: {failure}",
            "pip uninstall torchvision (it is not needed), or install the build made for this torch",
        )
    return Finding(Level.OK, "torchvision", "fits torch")


def nvidia_gpus() -> list[str]:
    """What the driver says is in this machine."""
    if shutil.which("nvidia-smi") is None:
        return []
    done = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def check_gpu(gpus: list[str], torch_version: str, torch_cuda: str | None, usable: bool) -> Finding:
    """Whether torch can use the GPUs.

    Args:
        gpus: names of those the driver sees.
        torch_version: torch.__version__.
        torch_cuda: the CUDA version torch was built with, None for a CPU build.
        usable: torch.cuda.is_available().
    """
    if usable:
        return Finding(Level.OK, "GPU", f"{', '.join(gpus) or 'seen by torch'}, torch {torch_version} with CUDA {torch_cuda}")
    if gpus and torch_cuda is None:
        advice = "install a CUDA build: pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu128"
        return Finding(Level.ERROR, "GPU", f"{', '.join(gpus)} is here, but torch {torch_version} is a CPU build", advice)
    if gpus:
        text = f"{', '.join(gpus)} is here, but torch {torch_version} (CUDA {torch_cuda}) cannot use it"
        return Finding(Level.ERROR, "GPU", text, "update the NVIDIA driver, or install a torch built for an older CUDA")
    return Finding(
        Level.WARNING, "GPU", "none: everything runs on the CPU", "SAM 2 needs an NVIDIA GPU to be live; nvidia-smi must list it"
    )


def look_at_gpu() -> Finding:
    """`check_gpu` of this machine."""
    try:
        import torch
    except Exception as error:  # whatever a broken torch throws; its own check tells more
        return Finding(Level.ERROR, "GPU", f"cannot be looked at: {type(error).__name__}: {error}")
    return check_gpu(nvidia_gpus(), torch.__version__, torch.version.cuda, torch.cuda.is_available())


def check_weights(name: str, kind: Literal["segmenter", "detector"]) -> Finding:
    """Whether a checkpoint is on this machine and whole."""
    subject = f"{kind} {name}"
    try:
        from lang2segtrack_ros.models import catalogue, store
    except Exception as error:  # whatever a broken package throws; its own check tells more
        return Finding(Level.ERROR, subject, f"cannot be looked at: {type(error).__name__}: {error}")
    folder = catalogue.local_folder(name, kind)
    if folder is None:
        known = catalogue.find(name)
        advice = f"lang2segtrack weights fetch {name}" if known else "lang2segtrack weights list shows the names that are known"
        return Finding(Level.WARNING, subject, f"not on this machine (looked in {catalogue.weights_home()})", advice)
    if not (folder / store.CHECKSUMS).is_file():
        return Finding(Level.OK, subject, f"{folder}, a folder of your own without digests")
    problems = store.verify(folder)
    if problems:
        return Finding(Level.ERROR, subject, "; ".join(problems), f"lang2segtrack weights fetch {name}")
    return Finding(Level.OK, subject, str(folder))
