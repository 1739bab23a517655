# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The files of a checkpoint that prepare its input: the tokenizer and the settings of the image processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json")


def load_tokenizer(folder: Path, vocabulary_size: int) -> Any:
    """Load the tokenizer of a checkpoint.

    Args:
        folder: folder of the checkpoint.
        vocabulary_size: number of token ids that the network knows.

    Raises:
        ValueError: the files of the tokenizer are missing, damaged, or those of another network.
    """
    from transformers import AutoTokenizer

    advice = "copy tokenizer.json and tokenizer_config.json of the checkpoint to this folder"
    if not any((folder / file).is_file() for file in _VOCABULARIES):  # transformers would create an empty tokenizer
        raise ValueError(f"{folder} has no tokenizer: {advice}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers, tokenizers and json each raise their own errors for a broken file
        raise ValueError(f"the tokenizer in {folder} cannot be loaded ({type(error).__name__}: {error}): {advice}") from error
    if len(tokenizer) > vocabulary_size:
        raise ValueError(f"the tokenizer in {folder} has {len(tokenizer)} tokens, but the network knows {vocabulary_size}: {advice}")
    return tokenizer


def read_image_settings(folder: Path) -> dict[str, Any]:
    """Read the settings of the image processor of a checkpoint. A folder without them gives an empty dict.

    Args:
        folder: folder of the checkpoint.

    Raises:
        ValueError: the file is damaged.
    """
    for file in ("preprocessor_config.json", "processor_config.json"):
        path = folder / file
        if not path.is_file():
            continue
        try:
            settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            image: dict[str, Any] = settings.get("image_processor", settings)
        except (OSError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
        return image
    return {}
