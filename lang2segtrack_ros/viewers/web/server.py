# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP server of the page, with TLS if it has a certificate. Limits apply to the number and the duration of connections."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from lang2segtrack_ros.viewers.web.access import Access
from lang2segtrack_ros.viewers.web.guarded import WORK_S, GuardedRequests
from lang2segtrack_ros.viewers.web.requests import PageRequests, Robot

log = logging.getLogger(__name__)
IDLE_S = 15.0
"""Maximum time in which a connection must send its next request."""
POLL_S = 0.5
CLOSE_S = 1.0
TOO_MANY_CONNECTIONS = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def listen(address: str, ports: Sequence[int]) -> socket.socket:
    """Return a socket that listens on the first free port.

    Args:
        address: IP address.
        ports: TCP ports in the order of preference; 0 stands for any free one.

    Raises:
        OSError: the address or every port is not available.
    """
    for port in ports:
        server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            server.listen()  # two processes may bind one port at the same time, but only one can listen
        except OSError as error:
            server.close()
            if error.errno == errno.EADDRINUSE and port != ports[-1]:
                continue
            tried = f"port {port}" if len(ports) == 1 else f"ports {ports[0]} to {ports[-1]}"
            raise OSError(f"cannot listen on {address} {tried} ({error.strerror}): set another address or port") from error
        server.setblocking(False)
        return server
    raise ValueError("no port is given")


class HttpServer:
    """An HTTP server of a page. From `start` until `close`, it serves all connections on the event loop of its own thread.

    Args:
        ports: TCP ports; the server takes the first free one. 0 selects any free one. See `url`.
        access: access rules and IP address.
        requests: what handles the requests.
        max_connections: maximum number of open connections; the server refuses further ones.
        tls: TLS settings, or None for plain HTTP.

    Attributes:
        counters: number of events so far, by name.

    Raises:
        OSError: the address or every port is not available.
    """

    def __init__(
        self, ports: Sequence[int], access: Access, requests: GuardedRequests, max_connections: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self.access = access
        self._requests = requests
        self.counters = self._requests.counters
        self._max_connections = max_connections
        self._tls = tls
        self._pending: dict[Any, asyncio.Task[None]] = {}
        self._transports: dict[Any, asyncio.BaseTransport] = {}
        self._stop: Future[None] = Future()
        self._socket = listen(access.address, ports)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="lang2segtrack-web", daemon=True)

    @property
    def port(self) -> int:
        """TCP port of the page."""
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """URL of the page."""
        host = f"[{self.access.address}]" if ":" in self.access.address else self.access.address
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/"

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._transports)

    def start(self) -> None:
        """Start the server thread."""
        self._thread.start()

    def close(self) -> None:
        """End the server and all connections within a second, including active requests."""
        if not self._stop.done():
            self._stop.set_result(None)
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)
        self._socket.close()

    # Connections

    async def _serve(self) -> None:
        logger = logging.Logger(f"{__name__}.http")
        logger.parent = log
        logger.addFilter(self._is_error)
        self._http = web.Server(
            self._requests.handle, access_log=None, logger=logger, keepalive_timeout=IDLE_S, lingering_time=0.0, auto_decompress=False
        )
        jobs = [asyncio.create_task(self._accept()), asyncio.create_task(self._watch())]
        done, _ = await asyncio.wait([asyncio.wrap_future(self._stop), *jobs], return_when=asyncio.FIRST_COMPLETED)
        for transport in self._transports.values():
            transport.abort()  # type: ignore[attr-defined]
        for job in done:
            job.result()

    def _is_error(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record of aiohttp. A request that is not HTTP is counted instead, because any client can send one."""
        if not isinstance(record.exc_info and record.exc_info[1], HttpProcessingError):
            return True
        self.counters["requests_refused_not_http"] += 1
        return False

    async def _accept(self) -> None:
        """Accept connections, and refuse those beyond the limit."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self._socket)
            except OSError as error:  # no file descriptor is left, or the client has gone
                log.debug("a connection was not accepted: %s", error)
                await asyncio.sleep(POLL_S)
                continue
            if len(self._pending.keys() | self._http.connections) < self._max_connections:
                connection = self._http()
                self._pending[connection] = asyncio.create_task(self._connect(client, connection))
                continue
            self.counters["requests_refused_too_many_connections"] += 1
            with contextlib.suppress(OSError):
                client.send(TOO_MANY_CONNECTIONS)
            client.close()

    async def _connect(self, client: socket.socket, connection: asyncio.Protocol) -> None:
        """Connect a client, after the handshake of TLS."""
        limit = IDLE_S if self._tls else None
        try:
            self._transports[connection], _ = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, client, ssl=self._tls, ssl_handshake_timeout=limit
            )
        except OSError:  # the client has gone, or speaks no TLS
            self.counters["requests_refused_no_tls"] += 1
            client.close()
        finally:
            del self._pending[connection]

    async def _watch(self) -> None:
        """Abort connections past their deadline, and forget those that have ended."""
        while True:
            now = time.monotonic()
            connected = set(self._http.connections)
            self._transports = {key: transport for key, transport in self._transports.items() if key in connected}
            deadlines = self._requests.deadlines = {key: self._requests.deadlines.get(key, now + WORK_S) for key in self._transports}
            for key in [key for key, deadline in deadlines.items() if now > deadline]:
                self.counters["requests_cut_too_slow"] += 1
                deadlines[key] = math.inf
                self._transports[key].abort()  # type: ignore[attr-defined]
            await asyncio.sleep(POLL_S)


class PageServer(HttpServer):
    """The HTTP server of the page of the tracker.

    Args:
        ports: see `HttpServer`.
        access: access rules and IP address.
        robot: interface to the tracker.
        max_connections: see `HttpServer`.
        tls: see `HttpServer`.
    """

    def __init__(self, ports: Sequence[int], access: Access, robot: Robot, max_connections: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(ports, access, PageRequests(access, robot), max_connections, tls)
