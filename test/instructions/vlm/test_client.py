# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The HTTP client against a real server: every failure has a sentence, and limits hold."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from aiohttp import web

from bench.chat_server import ChatServer, completion, respond
from lang2segtrack_ros.instructions.vlm.client import HttpModel
from lang2segtrack_ros.instructions.vlm.model import VlmClosedError, VlmError
from lang2segtrack_ros.instructions.vlm.options import KEY_VARIABLE, VlmOptions
from lang2segtrack_ros.types.options import OptionError

Serve = Callable[..., ChatServer]
IMAGE = np.zeros((48, 64, 3), np.uint8)
IMAGE[:, 32:] = (200, 30, 10)
KEY = "sk-secret-123"


def failure(server: ChatServer, **values: object) -> str:
    """Return the message of a request that fails, with the port of the server replaced."""
    model = HttpModel(server.options(**values))
    with pytest.raises(VlmError) as raised:
        model.generate(IMAGE, "hello")
    assert model.metrics()["vlm_requests_failed"] == 1
    model.close()
    return str(raised.value).replace(server.url, "URL")


def events(*data: str, end: str = "\n\n") -> str:
    """Return server-sent events."""
    return "".join(f"data: {item}{end}" for item in data)


def chunk(text: str, finish_reason: str | None = None) -> str:
    """Return one event of a stream."""
    return json.dumps({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}]})


def test_request_follows_the_protocol(serve: Serve) -> None:
    """The server gets model, text and image, and no randomness is asked for."""
    server = serve("the answer")
    model = HttpModel(server.options())
    assert model.generate(IMAGE, "where é?") == "the answer"
    (seen,) = server.seen
    assert (seen.body["model"], seen.body["temperature"], seen.body["stream"]) == ("toy-vlm", 0, False)
    assert seen.text == "where é?"
    assert np.abs(seen.image.astype(int) - IMAGE).mean() < 5, "RGB, not BGR"
    assert "Authorization" not in seen.headers
    counters = model.metrics()
    assert (counters["vlm_requests"], counters["vlm_requests_failed"], counters["vlm_requests_held_back"]) == (1, 0, 0)
    assert isinstance(counters["vlm_bytes_sent"], int)
    assert counters["vlm_bytes_sent"] > 500
    model.close()


def test_key_is_in_the_header_and_in_no_message(serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Even a server that repeats the key does not bring it into a log."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(KEY_VARIABLE, f"{KEY}\n")
    server = serve(respond(401, json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}})))
    message = failure(server)
    assert server.seen[0].headers["Authorization"] == f"Bearer {KEY}"
    assert message == (
        'the server URL refuses the request (HTTP 401) and says "Incorrect API key provided: ***": '
        f"set its key as {KEY_VARIABLE} in the environment"
    )
    assert KEY not in caplog.text
    monkeypatch.setenv(KEY_VARIABLE, "two\nlines")
    with pytest.raises(OptionError, match=f"{KEY_VARIABLE} holds characters that no HTTP header can have"):
        HttpModel(server.options())


def test_log_says_once_where_images_go(serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """This machine is an information. Another one is a warning, which is shown by default, and so is a key without TLS."""
    caplog.set_level(logging.INFO)
    server = serve("yes")
    model = HttpModel(server.options())
    for _ in range(3):
        model.generate(IMAGE, "hello")
    model.close()
    (record,) = [item for item in caplog.records if "images for instructions" in item.message]
    assert (record.levelno, record.message) == (logging.INFO, f"images for instructions are sent to {server.url} (model toy-vlm)")
    caplog.clear()
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    remote = HttpModel(VlmOptions(vlm_url="http://vlm.invalid/v1", vlm_model="m"))  # a name that never resolves (RFC 6761)
    with pytest.raises(VlmError, match="cannot be reached"):
        remote.generate(IMAGE, "hello")
    remote.close()
    warnings = [item.message for item in caplog.records if item.levelno == logging.WARNING]
    assert warnings == [
        "images for instructions are sent to http://vlm.invalid/v1 (model m)",
        f"the key in {KEY_VARIABLE} is sent without encryption: use https",
    ]


@pytest.mark.parametrize(
    ("status", "text", "message"),
    [
        (
            400,
            '{"error": {"message": "toy-vlm takes no images"}}',
            'says "toy-vlm takes no images": check vlm_model, and that the model takes images',
        ),
        (404, '{"detail": "Not Found"}', 'says "Not Found": check vlm_model, and that vlm_url ends as the server expects, mostly with /v1'),
        (413, "", "(HTTP 413): reduce vlm_max_edge"),
        (500, "Internal Server Error", 'says "Internal Server Error": see the log of the server'),
        (500, '{"error": "out of memory"}', 'says "out of memory": see the log of the server'),
        (502, "[" * 5000, "see the log of the server"),
    ],
)
def test_refusals(serve: Serve, status: int, text: str, message: str) -> None:
    """The sentence has the words of the server, and what to do."""
    said = failure(serve(respond(status, text)))
    assert said.startswith(f"the server URL refuses the request (HTTP {status})")
    assert said.endswith(message)
    assert len(said) < 500


def test_redirect_is_refused(serve: Serve) -> None:
    """It would send the image to a server that nobody has chosen."""
    other = serve("stolen")
    message = failure(serve(respond(307, "", Location=f"{other.url}/chat/completions")))
    assert message.endswith("(HTTP 307): set vlm_url to its final address, because images do not follow a redirect")
    assert not other.seen


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (
            "<html>Login</html>",
            "text/html",
            'sent text/html instead of JSON, so it is no OpenAI-compatible server. It begins: "<html>Login',
        ),
        ("[1, 2]", "application/json", 'sent JSON that is no chat completion. It begins: "[1, 2]"'),
        ('{"choices": [', "application/json", 'sent JSON that is no chat completion. It begins: "{"choices": ["'),
        ('{"choices": []}', "application/json", "sent a response without an answer"),
        ('{"error": {"message": "overloaded"}}', "application/json", "reports an error: overloaded"),
        ('{"choices": [{"message": {"content": 7}}]}', "application/json", "sent JSON that is no chat completion"),
        ("[" * 100_000, "application/json", "sent JSON that is no chat completion"),
        (json.dumps(completion("[{", "length")), "application/json", 'stopped the answer at its limit of tokens. It begins: "[{"'),
        (events(chunk("half")), "text/event-stream", "ended its stream before the answer was complete"),
        (events("{bad"), "text/event-stream", "sent JSON that is no chat completion"),
        (events('{"error": {"message": "engine died"}}'), "text/event-stream", "reports an error: engine died"),
        ("", "text/event-stream", "ended its stream before the answer was complete"),
    ],
)
def test_responses_that_are_no_answer(serve: Serve, body: str, content_type: str, message: str) -> None:
    """Whatever arrives, the user reads what it was."""
    said = failure(serve(respond(200, body, content_type)))
    assert said.startswith(f"the server URL {message}"), said
    assert said.endswith(": check vlm_url and vlm_model")


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (events(chunk("[1"), chunk(", 2]", "stop"), '{"choices": []}', "[DONE]"), "text/event-stream", "[1, 2]"),
        (events(": keep-alive", chunk("a"), "[DONE]", chunk("ignored")), "text/event-stream", None),
        (f": comment\r\n\r\n{events(chunk('a'), '[DONE]', end=chr(13) + chr(10) * 1)}", "text/event-stream", "a"),
        (
            '{"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}}]}',
            "application/json",
            "ab",
        ),
        ('{"choices": [{"message": {"content": null}}]}', "application/json", ""),
    ],
)
def test_streams_and_parts(serve: Serve, body: str, content_type: str, expected: str | None) -> None:
    """Some servers stream although nobody asked for it, and some send the text in parts."""
    model = HttpModel(serve(respond(200, body, content_type)).options())
    if expected is None:
        with pytest.raises(VlmError, match="no chat completion"):
            model.generate(IMAGE, "hello")
    else:
        assert model.generate(IMAGE, "hello") == expected
    model.close()


def test_hanging_server(serve: Serve) -> None:
    """The limit holds without any byte of the response."""

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    message = failure(serve(hang), vlm_timeout_s=0.5)
    assert message == "the server URL did not answer within 0.5 s: raise vlm_timeout_s, reduce vlm_max_edge, or serve a smaller model"


def test_slow_drip(serve: Serve) -> None:
    """A byte now and then does not extend the limit."""

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for _ in range(600):
            await response.write(b" ")
            await asyncio.sleep(0.1)
        return response

    assert "did not answer within 0.5 s" in failure(serve(drip), vlm_timeout_s=0.5)


def test_huge_response(serve: Serve) -> None:
    """The client stops reading at its limit."""
    sent = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for _ in range(2000):
            await response.write(b" " * 100_000)
            sent += 100_000
        return response

    assert failure(serve(flood)) == "the server URL sent more than 1 MB: check vlm_url"
    assert sent < 50_000_000, "the connection was closed early"


def test_broken_connection(serve: Serve) -> None:
    """The server closes in the middle of the response."""

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    message = failure(serve(cut))
    assert message.startswith("the connection to the server URL failed (ClientPayloadError: ")
    assert message.endswith("): check the server and vlm_url")


def test_connection_refused() -> None:
    """The server is not running."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    model = HttpModel(VlmOptions(vlm_url=url, vlm_model="m"))
    with pytest.raises(VlmError) as raised:
        model.generate(IMAGE, "hello")
    assert str(raised.value) == f"the server {url} cannot be reached (Connection refused): start it, or correct vlm_url"
    model.close()


def test_retry_after_holds_requests_back(serve: Serve) -> None:
    """A server that is busy for longer than the time limit gets no further image; the sentence stays that of the failure."""
    server = serve(respond(429, '{"error": {"message": "slow down"}}', Retry_After="90"), "never")
    model = HttpModel(server.options(vlm_timeout_s=5.0))
    with pytest.raises(VlmError, match='says "slow down": reduce vlm_max_requests_per_min'):
        model.generate(IMAGE, "hello")
    for _ in range(2):
        with pytest.raises(VlmError) as raised:
            model.generate(IMAGE, "hello")
    assert str(raised.value).endswith('(HTTP 429) and says "slow down": reduce vlm_max_requests_per_min'), "the same sentence is no news"
    assert len(server.seen) == 1
    counters = model.metrics()
    assert (counters["vlm_requests"], counters["vlm_requests_failed"], counters["vlm_requests_held_back"]) == (1, 1, 2)
    model.close()


@pytest.mark.parametrize("headers", [{"Retry_After": "1"}, {}], ids=["asked for", "own pause"])
def test_short_pause_is_waited_for(serve: Serve, headers: dict[str, str]) -> None:
    """The next request comes after the pause, and a success ends it."""
    server = serve(respond(503, "", **headers), "ready")
    model = HttpModel(server.options())
    with pytest.raises(VlmError, match="HTTP 503"):
        model.generate(IMAGE, "hello")
    assert model.generate(IMAGE, "hello") == "ready"
    assert server.seen[1].time - server.seen[0].time >= 0.9
    model.close()


def test_rate_is_kept(serve: Serve) -> None:
    """No image is sent before its turn: 300 requests in a minute are one in 0.2 s."""
    server = serve("yes")
    model = HttpModel(server.options(vlm_max_requests_per_min=300))
    for _ in range(5):
        model.generate(IMAGE, "hello")
    assert min(two.time - one.time for one, two in pairwise(server.seen)) > 0.15
    model.close()


def test_model_without_close_leaves_no_thread(serve: Serve) -> None:
    """A program that drops a model, say after an error, must not collect threads."""
    before = set(threading.enumerate())
    model = HttpModel(serve("yes").options())
    assert model.generate(IMAGE, "hello") == "yes"
    (thread,) = (thread for thread in set(threading.enumerate()) - before if thread.name == "lang2segtrack-vlm")
    del model
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_close_ends_a_request(serve: Serve) -> None:
    """A node that shuts down does not wait for the server, and sends nothing more."""
    released = threading.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        try:
            await asyncio.sleep(60)
        finally:
            released.set()  # the client has closed the connection
        return web.Response()

    server = serve(hang)
    model = HttpModel(server.options(vlm_timeout_s=60.0))
    errors: list[Exception] = []

    def ask() -> None:
        try:
            model.generate(IMAGE, "hello")
        except VlmError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert server.arrived.wait(10)
    began = time.monotonic()
    model.close()
    thread.join(10)
    assert time.monotonic() - began < 5, "the server would answer after 60 s"
    assert isinstance(errors[0], VlmClosedError)
    assert str(errors[0]) == f"the request to the server {server.url} was ended, because the model is closed"
    with pytest.raises(VlmClosedError):
        model.generate(IMAGE, "hello")
    assert len(server.seen) == 1
    assert model.metrics()["vlm_requests_failed"] == 0, "closing is no failure of the server"
    model.close()
