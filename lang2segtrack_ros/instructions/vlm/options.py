# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the vision-language model that answers instructions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from lang2segtrack_ros.types.options import OptionError, check_options, option

KEY_VARIABLE = "LANG2SEGTRACK_VLM_KEY"
"""Environment variable with the key of the server. There is no option for it, because parameters are visible to the whole graph."""
FORMATS = ("pixels", "thousandths", "fractions")
_KNOWN_FORMATS = ((r"qwen2[._-]?5[._-]?vl", "pixels"), (r"qwen[23][._-]?vl", "thousandths"))
"""Pattern of the name of a model -> format of its coordinates, as its authors state it (QwenLM/Qwen3-VL, issues 721, 866 and 1741)."""


@dataclass(frozen=True)
class VlmOptions:
    """Options of the vision-language model. No model is used if `vlm_url` and `vlm_model` are empty.

    Raises:
        OptionError: a value lies outside its range, or the URL is no plain HTTP address.
    """

    vlm_url: str = option(
        "",
        "Base URL of an OpenAI-compatible server that answers instructions, such as http://localhost:8000/v1. Images are sent there. "
        f"Leave empty for no server. A key comes from the environment variable {KEY_VARIABLE} only.",
    )
    vlm_model: str = option(
        "",
        "Vision-language model for instructions: its name on the server of vlm_url, or, without vlm_url, a folder or hub id for this "
        "machine. Leave empty for the grammar.",
    )
    vlm_answer_format: str = option(
        "auto",
        "Coordinates in the answers of the vision-language model. auto takes the format of models that it knows by name, and refuses "
        "answers that fit several formats.",
        choices=("auto", *FORMATS),
    )
    vlm_timeout_s: float = option(30.0, "Maximum time for an answer of the vision-language model, in seconds.", 0.5, 600.0)
    vlm_max_edge: int = option(
        1024, "Longer edge of the images for the vision-language model, in pixels. Larger images are scaled down.", 64, 4096
    )
    vlm_max_requests_per_min: int = option(20, "Maximum number of requests to the server of vlm_url in a minute, evenly spaced.", 1, 6000)

    def __post_init__(self) -> None:
        check_options(self)
        if not self.vlm_url:
            return
        problem = url_problem(self.vlm_url)
        if problem:
            raise OptionError(f"vlm_url {problem}: give an address such as http://localhost:8000/v1")
        if not self.vlm_model:
            raise OptionError("vlm_url is set, but vlm_model is empty: give the name of the model on the server")

    @property
    def is_in_use(self) -> bool:
        """Return True if a vision-language model is given."""
        return bool(self.vlm_model)

    @property
    def endpoint(self) -> str:
        """Return the URL for requests. A base URL may end with it already."""
        base = self.vlm_url.rstrip("/")
        return base if base.endswith("/chat/completions") else f"{base}/chat/completions"


def known_format(name: str, declared: str) -> str:
    """Return the declared format, or for "auto" the format of a model that is known by its name. Return "auto" for other models.

    Args:
        name: name, folder or model type.
        declared: value of `vlm_answer_format`.
    """
    if declared != "auto":
        return declared
    return next((known for pattern, known in _KNOWN_FORMATS if re.search(pattern, name.lower())), "auto")


def url_problem(url: str) -> str:
    """Return why a URL is refused, as the end of a sentence, or an empty text. The text never holds a password of the URL.

    Args:
        url: the URL.
    """
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:  # urlsplit names the port or the address
        return "is not a valid URL"
    if parts.username is not None or parts.password is not None:
        return f"holds a user name or password; set the key of the server as {KEY_VARIABLE} in the environment"
    if parts.scheme not in ("http", "https"):
        return f'starts with "{parts.scheme}", which is neither http nor https' if parts.scheme else "has neither http:// nor https://"
    if not parts.hostname or not port_is_valid or re.search(r"\s", url):
        return "names no host"
    return "has a query or fragment" if parts.query or parts.fragment else ""
