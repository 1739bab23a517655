# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The chat-completions protocol of OpenAI-compatible servers: the request, and the text of a response.

Format: https://platform.openai.com/docs/api-reference/chat, which vLLM, Ollama, llama.cpp and SGLang serve.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAX_ANSWER_TOKENS = 4096
JPEG_QUALITY = 92


class ProtocolError(ValueError):
    """A response that is no chat completion. The message is the end of a sentence about the server."""


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Part(_Lenient):
    text: str | None = None


class _Message(_Lenient):
    content: str | list[_Part] | None = None


class _Choice(_Lenient):
    """A choice of a response, or of one event of a stream."""

    message: _Message = Field(default_factory=_Message)
    delta: _Message = Field(default_factory=_Message)
    finish_reason: str | None = None


class _Completion(_Lenient):
    choices: list[_Choice]


def request_body(model: str, image: NDArray[np.uint8], text: str) -> bytes:
    """Return the JSON body of a request with an image as JPEG.

    Args:
        model: name of the model on the server.
        image: uint8 [H, W, 3], RGB.
        text: the text beside the image.
    """
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    url = f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    body = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "max_tokens": MAX_ANSWER_TOKENS,
        "stream": False,
    }
    return json.dumps(body).encode("utf-8")


def response_text(content_type: str, body: bytes) -> str:
    """Return the text of the model in a response, which may be a stream of events.

    Args:
        content_type: media type of the response.
        body: the whole body.

    Raises:
        ProtocolError: the response is no chat completion, or the model did not finish its answer.
    """
    text = body.decode("utf-8", "replace")
    if content_type == "text/event-stream":
        return _stream_text(text)
    if content_type != "application/json":
        raise ProtocolError(f'sent {content_type} instead of JSON, so it is no OpenAI-compatible server. It begins: "{text[:80].strip()}"')
    choices = _choices(text)
    if not choices:
        raise ProtocolError("sent a response without an answer")
    return _finished(_joined(choices[0].message), choices[0].finish_reason)


def _choices(text: str) -> list[_Choice]:
    """Return the choices of a JSON text. Raise ProtocolError if it is none, or reports an error."""
    try:
        value: Any = json.loads(text)
        if isinstance(value, dict) and value.get("error"):
            raise ProtocolError(f"reports an error: {error_text(text)}")
        return _Completion.model_validate(value).choices
    except (ValidationError, RecursionError, json.JSONDecodeError):
        raise ProtocolError(f'sent JSON that is no chat completion. It begins: "{text[:80].strip()}"') from None


def _stream_text(text: str) -> str:
    """Return the joined text of server-sent events. The stream ends with "[DONE]" or a finish reason."""
    parts, reason = [], None
    for line in text.splitlines():
        data = line[5:].strip() if line.startswith("data:") else ""
        if data == "[DONE]":
            reason = reason or "stop"
            break
        for choice in _choices(data)[:1] if data else ():
            parts.append(_joined(choice.delta))
            reason = choice.finish_reason or reason
    if reason is None:
        raise ProtocolError("ended its stream before the answer was complete")
    return _finished("".join(parts), reason)


def _joined(message: _Message) -> str:
    content = message.content
    return "".join(part.text or "" for part in content) if isinstance(content, list) else content or ""


def _finished(text: str, reason: str | None) -> str:
    if reason == "length":
        raise ProtocolError(f'stopped the answer at its limit of tokens. It begins: "{text[:80].strip()}"')
    return text


def error_text(body: str) -> str:
    """Return the message of an error response, or its first characters.

    Args:
        body: the body.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    for key in ("error", "message", "detail"):
        value = value.get(key, value) if isinstance(value, dict) else value
    return " ".join((value if isinstance(value, str) else body).split())[:200]
