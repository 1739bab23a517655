# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Options of vision-language models: refused URLs, and formats of known models."""

from __future__ import annotations

import pytest

from lang2segtrack_ros.instructions.vlm.factory import make_vlm_resolver
from lang2segtrack_ros.instructions.vlm.options import KEY_VARIABLE, VlmOptions, known_format
from lang2segtrack_ros.types.options import OptionError


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:8000/v1", 'starts with "localhost", which is neither http nor https'),
        ("10.0.0.1/v1", "has neither http:// nor https://"),
        ("file:///etc/passwd", 'starts with "file"'),
        ("ftp://server/v1", 'starts with "ftp"'),
        ("http://", "names no host"),
        ("http://a b/v1", "names no host"),
        ("http://host:99999/v1", "is not a valid URL"),
        ("http://[::1/v1", "is not a valid URL"),
        ("http://host/v1?key=abc", "has a query or fragment"),
    ],
)
def test_wrong_url_is_refused(url: str, message: str) -> None:
    """A typing error is found before an image is sent anywhere."""
    with pytest.raises(OptionError) as raised:
        VlmOptions(vlm_url=url, vlm_model="m")
    assert str(raised.value).startswith("vlm_url ")
    assert message in str(raised.value)
    assert str(raised.value).endswith(": give an address such as http://localhost:8000/v1")


@pytest.mark.parametrize("url", ["http://user:secret@host/v1", "https://secret@host/v1"])
def test_url_with_credentials_is_refused(url: str) -> None:
    """Parameters are visible to the whole graph. The message must not repeat the secret."""
    with pytest.raises(OptionError, match=f"user name or password; set the key of the server as {KEY_VARIABLE}") as raised:
        VlmOptions(vlm_url=url, vlm_model="m")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vlm_url": "http://h/v1"}, "vlm_model is empty"),
        ({"vlm_answer_format": "inches"}, "must be one of: auto, pixels, thousandths, fractions"),
        ({"vlm_timeout_s": 0.0}, "vlm_timeout_s is 0"),
        ({"vlm_max_edge": 10}, "vlm_max_edge is 10"),
        ({"vlm_max_requests_per_min": 0}, "vlm_max_requests_per_min is 0"),
    ],
)
def test_wrong_value_is_refused(values: dict[str, object], message: str) -> None:
    """As every option."""
    with pytest.raises(OptionError, match=message):
        VlmOptions(**values)  # type: ignore[arg-type]


def test_no_model_is_no_resolver() -> None:
    """The defaults use no model, so that no image leaves the machine unasked."""
    assert not VlmOptions().is_in_use
    with pytest.raises(OptionError, match="no vision-language model is given: set vlm_model"):
        make_vlm_resolver(VlmOptions())


@pytest.mark.parametrize("end", ["", "/", "/chat/completions"])
def test_endpoint(end: str) -> None:
    """Users copy the base URL or the whole one."""
    assert VlmOptions(vlm_url=f"http://h:1/v1{end}", vlm_model="m").endpoint == "http://h:1/v1/chat/completions"


@pytest.mark.parametrize(
    ("name", "declared", "expected"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "auto", "pixels"),
        ("qwen2.5vl:7b", "auto", "pixels"),
        ("qwen2_5_vl", "auto", "pixels"),
        ("Qwen/Qwen2-VL-7B", "auto", "thousandths"),
        ("qwen3-vl:8b", "auto", "thousandths"),
        ("/models/Qwen3-VL-4B", "fractions", "fractions"),
        ("gemma-3", "auto", "auto"),
    ],
)
def test_known_models(name: str, declared: str, expected: str) -> None:
    """The versions of Qwen differ, and a declared format wins."""
    assert known_format(name, declared) == expected
