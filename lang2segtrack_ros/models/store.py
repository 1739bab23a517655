# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Download of checkpoints from the hub, and verification of their files."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from lang2segtrack_ros.models import catalogue, families
from lang2segtrack_ros.models.catalogue import WeightsError

CHECKSUMS = "checksums.json"

_PATTERNS = (
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
)


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file in hexadecimal."""
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else hashlib.sha256(file.read()).hexdigest()
        )


def fetch(name: str, also: Sequence[str] = ()) -> Path:
    """Download a checkpoint into `catalogue.weights_home`, show progress, and verify the digests that the hub lists.

    Args:
        name: short name of the catalog, or a hub id.
        also: patterns of further files to download, such as "model-*.safetensors" for weights in several files.

    Returns:
        The folder.

    Raises:
        WeightsError: the hub cannot be reached, the disk is too small, or a file differs from the hub's digest. The message says what to
            do.
    """
    from huggingface_hub import HfApi, snapshot_download

    checkpoint = catalogue.find(name)
    hub_id, folder = checkpoint.hub_id if checkpoint else name, catalogue.download_folder(name)
    patterns = [*_PATTERNS, *also]
    try:
        info = HfApi().model_info(hub_id, files_metadata=True, timeout=15)
        _check_space(folder, info.siblings or [], patterns)
        snapshot_download(hub_id, local_dir=folder, allow_patterns=patterns)
    except WeightsError:
        raise
    except Exception as error:  # the client of the hub raises errors of many libraries, and all of them mean a failed download
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise WeightsError(
            f"{hub_id} cannot be fetched from the hub ({type(error).__name__}: {reason}). {_advice(hub_id, error)}"
            f"Without access to the hub, put its files (config.json, model.safetensors, and the tokenizer of a detector) into {folder}"
        ) from error
    digests = {item.rfilename: item.lfs.sha256 for item in info.siblings or [] if item.lfs is not None}
    wrong = [file for file, digest in digests.items() if (folder / file).is_file() and sha256(folder / file) != digest]
    if wrong:
        for file in wrong:
            (folder / file).unlink()
        raise WeightsError(f"{folder / wrong[0]} differed from the file on the hub and was deleted: fetch it again")
    write_checksums(folder)
    return folder


def _advice(hub_id: str, error: BaseException | None) -> str:
    """Return a sentence on how to get access, with a space at its end, or an empty text if the hub did not refuse the access."""
    from huggingface_hub.constants import ENDPOINT

    status, cause = None, error
    while cause is not None and status not in (401, 403):
        status, cause = getattr(getattr(cause, "response", None), "status_code", None), cause.__cause__
    if status not in (401, 403):
        return ""
    return (
        f"The hub refuses access (HTTP {status}): accept the license on {ENDPOINT}/{hub_id} with your account, "
        "then log in with the command `hf auth login`, or set HF_TOKEN. Check the name, too: the hub also hides names that do not exist. "
    )


def _check_space(folder: Path, files: list[Any], patterns: Sequence[str]) -> None:
    """Check that the files of a repository fit on the disk, beside what an interrupted download left in the folder.

    Args:
        folder: the folder to fill.
        files: the files as the hub lists them, with their sizes.
        patterns: patterns of the files to download.

    Raises:
        WeightsError: the disk is too small.
    """
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    present = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    wanted = sum(item.size or 0 for item in files if any(fnmatch(item.rfilename, pattern) for pattern in patterns))
    free = shutil.disk_usage(existing).free
    if wanted - present > free:
        raise WeightsError(
            f"{folder} needs {(wanted - present) / 1e6:.0f} MB, but its disk has {free / 1e6:.0f} MB free: "
            f"free space, or set {catalogue.HOME_VARIABLE} to a folder on another disk"
        )


def write_checksums(folder: Path) -> None:
    """Write the digests of a folder's files into checksums.json in that folder."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS and path.suffix != ".md")
    (folder / CHECKSUMS).write_text(json.dumps({path.name: sha256(path) for path in files}, indent=2) + "\n", encoding="utf-8")


def verify(folder: Path) -> list[str]:
    """Compare the files of a folder with its digests. Return one sentence for each problem."""
    if not (folder / CHECKSUMS).is_file():
        return [f"{folder} has no {CHECKSUMS}: `lang2segtrack weights` did not fetch it, so there is nothing to compare with"]
    try:
        expected: dict[str, str] = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
    except ValueError as error:
        return [f"{folder / CHECKSUMS} cannot be read ({error}): delete it and fetch the weights again"]
    problems = []
    for file, digest in expected.items():
        if not (folder / file).is_file():
            problems.append(f"{folder / file} is missing")
        elif sha256(folder / file) != digest:
            problems.append(f"{folder / file} has changed since it was fetched")
    return problems


def kind_of(name: str) -> catalogue.Kind:
    """Return the kind of a checkpoint from the catalog or from its config.json. The default is "segmenter"."""
    checkpoint = catalogue.find(name)
    if checkpoint is not None:
        return checkpoint.kind
    folder = catalogue.local_folder(name, "segmenter")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8")) if folder is not None else {}
    except (OSError, ValueError):
        config = {}
    return next((family.kind for family in families.FAMILIES if config.get("model_type") in family.model_types), "segmenter")
