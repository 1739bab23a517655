# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of vision-language models."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bench.chat_server import ChatServer, Reply
from lang2segtrack_ros.instructions.vlm.options import KEY_VARIABLE


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the developer's own server must not reach a test."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture
def serve() -> Iterator[Callable[..., ChatServer]]:
    """Return a function that starts a server with some replies. All of them end with the test."""
    servers: list[ChatServer] = []

    def start(*replies: Reply) -> ChatServer:
        servers.append(ChatServer(replies))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
