# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The folder of a local vision-language model, and its processor."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from lang2segtrack_ros.models import catalogue
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.store import fetch

_FURTHER_FILES = ("model-*.safetensors", "model.safetensors.index.json", "chat_template*", "generation_config.json")
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_ADVICE = "give a folder or a hub id such as Qwen/Qwen3-VL-4B-Instruct, or set vlm_url to use a server"


def find_model_folder(name: str) -> Path:
    """Return the folder of a model, and download it if it is not on this machine.

    Args:
        name: folder or hub id.

    Raises:
        WeightsError: there is no such folder, or the download failed.
    """
    path = Path(name).expanduser()
    if (path / "config.json").is_file():
        return path
    if path.exists() or not _HUB_ID.fullmatch(name):
        found = "has no config.json" if path.is_dir() else "is no folder with a model"
        raise WeightsError(f'vlm_model is "{name}", which {found}: {_ADVICE}')
    folder = catalogue.download_folder(name)
    return folder if _is_complete(folder) else fetch(name, _FURTHER_FILES)


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json of a folder.

    Args:
        folder: the folder.

    Raises:
        WeightsError: the file cannot be read, or transformers loads no such model for images and text.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    path = folder / "config.json"
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
        kind = config.get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"{path} cannot be read ({error}): copy the files of the model again") from error
    if kind not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise WeightsError(f'{folder} holds a "{kind}" model, which takes no image and text in this version of transformers: {_ADVICE}')
    values: dict[str, Any] = config
    return values


def load_processor(folder: Path) -> Any:
    """Return the processor of a model, with its tokenizer and image processor.

    Args:
        folder: folder of the model.

    Raises:
        WeightsError: a file is missing or damaged, or an optional package is not installed.
    """
    try:
        return _load_processor(folder)
    except Exception as error:  # transformers, tokenizers and json each raise their own errors
        missing = [name for name in ("PIL", "torchvision") if importlib.util.find_spec(name) is None]
        packages = ", ".join({"PIL": "pillow"}.get(name, name) for name in missing)
        hint = f"install {packages}, which many processors need; or " if missing else ""
        reason = (str(error).splitlines() or [""])[0][:300]
        raise WeightsError(
            f"the processor in {folder} cannot be loaded ({type(error).__name__}: {reason}): {hint}copy the files of tokenizer, processor "
            "and chat template of the model to this folder, or set vlm_url to use a server"
        ) from error


def _load_processor(folder: Path) -> Any:
    from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    if importlib.util.find_spec("torchvision") is not None:
        return AutoProcessor.from_pretrained(folder, local_files_only=True)
    import transformers

    name = PROCESSOR_MAPPING_NAMES.get(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"], "")
    cls = getattr(transformers, name or "", None)
    if cls is None or "video_processor" not in cls.get_attributes():
        return AutoProcessor.from_pretrained(folder, local_files_only=True)
    # Processors of videos need torchvision, and no video is processed here.
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    images = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    template = tokenizer.chat_template or _chat_template(folder)
    return _image_only(cls)(image_processor=images, tokenizer=tokenizer, video_processor=None, chat_template=template)


def _image_only(cls: Any) -> Any:
    """Return a class of processors that needs no processor of videos."""

    class ImageOnly(cls):  # type: ignore[misc]
        """The processor without videos."""

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            """Check a part of the processor. The processor of videos may be None."""
            if argument_name == "video_processor" and argument is None:
                return type(None)
            return super().check_argument_for_proper_class(argument_name, argument)

    return ImageOnly


def _chat_template(folder: Path) -> str | None:
    """Return the chat template that older checkpoints keep in a file of their own."""
    path = folder / "chat_template.json"
    return str(json.loads(path.read_text(encoding="utf-8"))["chat_template"]) if path.is_file() else None


def _is_complete(folder: Path) -> bool:
    """Return True if a folder has a configuration and all its weights. An interrupted download lacks some."""
    index = folder / "model.safetensors.index.json"
    try:
        files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()) if index.is_file() else {"model.safetensors"}
    except (ValueError, KeyError, AttributeError):
        return False
    return all((folder / file).is_file() for file in ("config.json", *files))
