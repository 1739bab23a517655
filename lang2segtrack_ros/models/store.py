# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Fetching checkpoints from the hub, and checking that files are what they were."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from lang2segtrack_ros.models import catalogue
from lang2segtrack_ros.models.catalogue import WeightsError

CHECKSUMS = "checksums.json"

_WANTED = (
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "vocab.txt",
)


def sha256(path: Path) -> str:
    """Digest of a file."""
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else hashlib.sha256(file.read()).hexdigest()
        )


def fetch(name: str) -> Path:
    """Downloads a checkpoint into `catalogue.weights_home`, with progress, and checks it against the hub's digests.

    Returns:
        The folder.

    Raises:
        WeightsError: the hub cannot be reached or a file is not what the hub says; the message names the folder to fill by hand.
    """
    from huggingface_hub import HfApi, snapshot_download

    checkpoint = catalogue.find(name)
    hub_id = checkpoint.hub_id if checkpoint else name
    folder = catalogue.weights_home() / (checkpoint.name if checkpoint else name.replace("/", "--"))
    try:
        info = HfApi().model_info(hub_id, files_metadata=True, timeout=15)
        snapshot_download(hub_id, local_dir=folder, allow_patterns=list(_WANTED))
    except Exception as error:  # the hub's client raises errors of many libraries; all mean the same here
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise WeightsError(
            f"{hub_id} cannot be fetched from the hub ({type(error).__name__}: {reason}). "
            f"Without the hub, put its files (config.json, model.safetensors, for a detector also the tokenizer) into {folder} yourself"
        ) from error
    digests = {item.rfilename: item.lfs.sha256 for item in info.siblings or [] if item.lfs is not None}
    wrong = [file for file, digest in digests.items() if (folder / file).is_file() and sha256(folder / file) != digest]
    if wrong:
        for file in wrong:
            (folder / file).unlink()
        raise WeightsError(f"{folder / wrong[0]} was not the file on the hub, and is deleted: fetch it again")
    write_checksums(folder)
    return folder


def write_checksums(folder: Path) -> None:
    """Notes the digests of a folder's files beside them."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS and path.suffix != ".md")
    (folder / CHECKSUMS).write_text(json.dumps({path.name: sha256(path) for path in files}, indent=2) + "\n", encoding="utf-8")


def verify(folder: Path) -> list[str]:
    """What is wrong with a folder's files, one sentence each; empty when nothing is."""
    if not (folder / CHECKSUMS).is_file():
        return [f"{folder} has no {CHECKSUMS}: it was not fetched by `lang2segtrack weights`, so there is nothing to compare with"]
    try:
        noted: dict[str, str] = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
    except ValueError as error:
        return [f"{folder / CHECKSUMS} cannot be read ({error}): delete it and fetch the weights again"]
    problems = []
    for file, digest in noted.items():
        if not (folder / file).is_file():
            problems.append(f"{folder / file} is missing")
        elif sha256(folder / file) != digest:
            problems.append(f"{folder / file} has changed since it was fetched")
    return problems


def kind_of(name: str) -> catalogue.Kind:
    """What the catalogue, or a folder's own words, say that it holds; a segmenter where neither does."""
    checkpoint = catalogue.find(name)
    if checkpoint is not None:
        return checkpoint.kind
    folder = catalogue.local_folder(name, "segmenter")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8")) if folder is not None else {}
    except (OSError, ValueError):
        config = {}
    return "detector" if config.get("model_type") == "grounding-dino" else "segmenter"
