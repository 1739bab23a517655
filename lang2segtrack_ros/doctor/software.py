# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the Python packages, the GPU and the weights."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Literal

from lang2segtrack_ros.doctor.finding import Finding, Level, probe

REQUIREMENTS = {  # the dependencies of pyproject.toml, and the module of each
    "torch>=2.5": "torch",
    "transformers>=5.0,<6": "transformers",
    "huggingface_hub>=1.0": "huggingface_hub",
    "numpy>=1.26,<3": "numpy",
    "scipy>=1.11": "scipy",
    "opencv-python-headless>=4.9": "cv2",
    "pycocotools>=2.0.8": "pycocotools",
    "pyyaml>=6.0": "yaml",
    "pydantic>=2.5,<3": "pydantic",
    "rosbags>=0.11,<0.12": "rosbags",
    "aiohttp>=3.8,<4": "aiohttp",
    "lark-parser>=0.12": "lark",
    "jinja2>=3.0": "jinja2",
    "tqdm>=4.60": "tqdm",
}


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Finding:
    """Check the Python version."""
    name = ".".join(str(part) for part in version)
    if version < (3, 10):
        return Finding(Level.ERROR, "Python", f"this is {name}", "use Python 3.10 or newer")
    return Finding(Level.OK, "Python", f"{name} at {sys.executable}")


def satisfies(version: str, rules: str) -> bool:
    """Return whether a version satisfies rules such as ">=1.26,<3".

    The function avoids the package `packaging`, because a broken installation may lack it.

    Args:
        version: version such as "2.13.0+cpu".
        rules: bounds with >= or <, separated by commas.
    """

    def release(text: str) -> list[int]:
        parts = [int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3]]
        return parts + [0] * (3 - len(parts))

    for rule in rules.split(","):
        operator, bound = re.match(r"(>=|<)(.+)", rule).groups()  # type: ignore[union-attr]
        if (release(version) < release(bound)) == (operator == ">="):
            return False
    return True


def check_package(requirement: str, module: str, environment: Mapping[str, str] | None = None) -> Finding:
    """Check that a required package can be imported and has a suitable version.

    Args:
        requirement: name and version rules, such as "scipy>=1.11".
        module: module to import.
        environment: environment variables of the import. None passes those of this process.
    """
    name, rules = re.match(r"([\w-]+)(.+)", requirement).groups()  # type: ignore[union-attr]
    failure = probe(f"import {module}", environment)
    if failure:
        advice = f"pip install '{requirement}'"
        if "numpy" in failure.lower():
            advice = f"{module} was built for another NumPy: reinstall {module} or NumPy ({advice})"
        return Finding(Level.ERROR, name, f"cannot be imported: {failure}", advice)
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # a package of the Linux distribution, such as python3-opencv
        return Finding(Level.OK, name, f"module {module} can be imported")
    if not satisfies(version, rules):
        return Finding(Level.ERROR, name, f"{version} is installed, but {rules} is required", f"pip install '{requirement}'")
    return Finding(Level.OK, name, version)


def check_torchvision(environment: Mapping[str, str] | None = None) -> Finding:
    """Check that an installed torchvision fits torch.

    lang2segtrack does not need torchvision, but a torchvision for another torch breaks transformers.

    Args:
        environment: environment variables of the import. None passes those of this process.
    """
    if probe("import importlib.util, sys; sys.exit(importlib.util.find_spec('torchvision') is None)", environment):
        return Finding(Level.OK, "torchvision", "not installed and not needed")
    failure = probe("import torchvision", environment)
    if failure:
        return Finding(
            Level.ERROR,
            "torchvision",
            f"does not fit the installed torch: {failure}",
            "pip uninstall torchvision (lang2segtrack does not need it), or install the build for this torch",
        )
    return Finding(Level.OK, "torchvision", "fits torch")


def nvidia_gpus() -> list[str]:
    """Return the names of the GPUs that the NVIDIA driver reports."""
    if shutil.which("nvidia-smi") is None:
        return []
    done = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def check_gpu(gpus: list[str], torch_version: str, torch_cuda: str | None, usable: bool) -> Finding:
    """Check that torch can use the GPUs.

    Args:
        gpus: names of the GPUs that the driver reports.
        torch_version: torch.__version__.
        torch_cuda: CUDA version of the torch build, None for a CPU build.
        usable: result of torch.cuda.is_available().
    """
    if usable:
        return Finding(Level.OK, "GPU", f"{', '.join(gpus) or 'found by torch'}, torch {torch_version} with CUDA {torch_cuda}")
    if gpus and torch_cuda is None:
        advice = "install a CUDA build: pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu128"
        return Finding(Level.ERROR, "GPU", f"found {', '.join(gpus)}, but torch {torch_version} is a CPU build", advice)
    if gpus:
        text = f"found {', '.join(gpus)}, but torch {torch_version} (CUDA {torch_cuda}) cannot use it"
        return Finding(Level.ERROR, "GPU", text, "update the NVIDIA driver, or install a torch built for an older CUDA")
    return Finding(
        Level.WARNING,
        "GPU",
        "none: all networks run on the CPU",
        "SAM 2 needs an NVIDIA GPU for real-time tracking; nvidia-smi must list it",
    )


def check_local_gpu() -> Finding:
    """Run `check_gpu` on this machine."""
    try:
        import torch
    except Exception as error:  # a broken torch may raise anything; the check of its package reports details
        return Finding(Level.ERROR, "GPU", f"cannot be checked: {type(error).__name__}: {error}")
    return check_gpu(nvidia_gpus(), torch.__version__, torch.version.cuda, torch.cuda.is_available())


def check_weights(name: str, kind: Literal["segmenter", "detector"]) -> Finding:
    """Check that a checkpoint is complete on this machine, or that a plug-in can be imported.

    Args:
        name: short name, folder, hub id, or plug-in.
        kind: segmenter or detector.
    """
    subject = f"{kind} {name}"
    try:
        from lang2segtrack_ros.models import catalogue, families, plugins, store
    except Exception as error:  # a broken package may raise anything; the check of that package reports details
        return Finding(Level.ERROR, subject, f"cannot be checked: {type(error).__name__}: {error}")
    family, name = families.split_family(name, kind)
    folder = catalogue.local_folder(name, kind)
    if folder is None:
        checkpoint = catalogue.find(name)
        if family is None and checkpoint is None:
            try:
                if plugins.find_plugin(kind, name) is not None:
                    return Finding(Level.OK, subject, "a plug-in that can be imported")
            except plugins.PluginError as error:
                return Finding(Level.ERROR, subject, str(error), "docs/extend.md describes plug-ins")
        advice = f"lang2segtrack weights fetch {name}" if checkpoint else "lang2segtrack models shows the known names"
        return Finding(Level.WARNING, subject, f"not on this machine (searched in {catalogue.weights_home()})", advice)
    if not (folder / store.CHECKSUMS).is_file():
        return Finding(Level.OK, subject, f"{folder}, a folder without digests")
    problems = store.verify(folder)
    if problems:
        return Finding(Level.ERROR, subject, "; ".join(problems), f"lang2segtrack weights fetch {name}")
    return Finding(Level.OK, subject, str(folder))
