# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A vision-language model on an OpenAI-compatible server.

Everything is bounded: the rate of requests, the time of each, the size of the image and of the response. Redirects are refused, because
they would send the image to another server, and proxies of the environment are not used.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import weakref
from concurrent.futures import CancelledError, Future
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.instructions.vlm.chat import ProtocolError, error_text, request_body, response_text
from lang2segtrack_ros.instructions.vlm.model import VlmClosedError, VlmError
from lang2segtrack_ros.instructions.vlm.options import KEY_VARIABLE, VlmOptions, known_format
from lang2segtrack_ros.instructions.vlm.pacing import Pacing, parse_retry_after
from lang2segtrack_ros.types.options import OptionError

log = logging.getLogger(__name__)
MAX_RESPONSE_BYTES = 1_000_000
CLOSE_S = 1.0


class _RefusedError(VlmError):
    """A response with an HTTP status that is no success."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class HttpModel:
    """A model on a server; see `VisionLanguageModel`. Requests run on the event loop of a thread, which the first request starts.

    Args:
        options: options with a URL.

    Attributes:
        name, answer_format, grounds_phrases: see `VisionLanguageModel`.

    Raises:
        OptionError: the key holds characters that a header cannot have.
    """

    grounds_phrases = False

    def __init__(self, options: VlmOptions) -> None:
        self.name = f"{options.vlm_model} at {options.vlm_url}"
        self.answer_format = known_format(options.vlm_model, options.vlm_answer_format)
        self._options = options
        self._server = f"the server {options.vlm_url}"
        self._key = os.environ.get(KEY_VARIABLE, "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise OptionError(f"{KEY_VARIABLE} holds characters that no HTTP header can have: set it to the key alone")
        self._closed = threading.Event()
        self._pacing = Pacing(options.vlm_max_requests_per_min, options.vlm_timeout_s, self._closed)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: weakref.finalize[..., HttpModel] | None = None
        self._running: Future[str] | None = None
        self._requests = self._bytes_sent = self._bytes_received = 0
        self._seconds = 0.0

    def generate(self, image: NDArray[np.uint8], prompt_text: str) -> str:
        """Return the answer of the server; see `VisionLanguageModel.generate`.

        Args:
            image: uint8 [H, W, 3], RGB.
            prompt_text: the text.

        Raises:
            VlmError: the server cannot be reached, refuses the request, or sends no answer in time. The message says what to do.
        """
        body = request_body(self._options.vlm_model, image, prompt_text)
        self._pacing.take_turn()
        future = self._submit(body)
        try:
            text = future.result()
        except CancelledError:
            raise VlmClosedError(f"the request to {self._server} was ended, because the model is closed") from None
        except VlmError as error:
            self._pacing.failed(str(error), error.retry_after_s if isinstance(error, _RefusedError) else None)
            raise
        self._pacing.succeeded()
        return text

    def close(self) -> None:
        """End a running request within a second, and refuse further ones."""
        with self._lock:
            self._closed.set()
            running, stop, thread = self._running, self._stop, self._thread
        if running is not None:
            running.cancel()
        if stop is not None and thread is not None:
            stop()
            thread.join(CLOSE_S)

    def metrics(self) -> dict[str, object]:
        """Return the counters of the requests."""
        return {
            "vlm_requests": self._requests,
            "vlm_requests_failed": self._pacing.failures,
            "vlm_requests_held_back": self._pacing.held_back,
            "vlm_bytes_sent": self._bytes_sent,
            "vlm_bytes_received": self._bytes_received,
            "vlm_request_ms": round(1e3 * self._seconds, 1),
        }

    def _submit(self, body: bytes) -> Future[str]:
        """Start a request on the event loop. Raise VlmClosedError after `close`."""
        with self._lock:
            if self._closed.is_set():
                raise VlmClosedError("the vision-language model is closed")
            if self._loop is None:
                self._log_destination()
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._serve, args=(self._loop,), name="lang2segtrack-vlm", daemon=True)
                self._thread.start()
                self._stop = weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)  # a model without `close`, too
            self._requests += 1
            self._bytes_sent += len(body)
            self._running = asyncio.run_coroutine_threadsafe(self._answer(body), self._loop)
            return self._running

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop) -> None:
        """Run the event loop until `close`, then end the request that runs."""

        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        loop.run_forever()
        loop.run_until_complete(end())
        loop.close()

    def _log_destination(self) -> None:
        """Log once where images go. Another machine is a warning, which is shown by default."""
        host = urlsplit(self._options.vlm_url).hostname or ""
        is_here = host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)
        level = logging.INFO if is_here else logging.WARNING
        log.log(level, "images for instructions are sent to %s (model %s)", self._options.vlm_url, self._options.vlm_model)
        if self._key and not is_here and self._options.vlm_url.startswith("http:"):
            log.warning("the key in %s is sent without encryption: use https", KEY_VARIABLE)

    async def _answer(self, body: bytes) -> str:
        """Send a request and return the text of the model. Raise VlmError with a sentence for every failure."""
        began = time.monotonic()
        limit = self._options.vlm_timeout_s
        try:
            return await asyncio.wait_for(self._post(body), limit)  # the limit holds for the whole request, also for a slow response
        except asyncio.TimeoutError:
            raise VlmError(
                f"{self._server} did not answer within {limit:g} s: raise vlm_timeout_s, reduce vlm_max_edge, or serve a smaller model"
            ) from None
        except ProtocolError as error:
            raise VlmError(f"{self._server} {self._without_key(str(error))}: check vlm_url and vlm_model") from None
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno or 0
            reason = os.strerror(number) if number > 0 else error.os_error.strerror or str(error)  # below 0: the name is not known
            raise VlmError(f"{self._server} cannot be reached ({reason}): start it, or correct vlm_url") from None
        except (aiohttp.ClientError, OSError) as error:
            reason = f"{type(error).__name__}: {error}".rstrip(": ")
            raise VlmError(f"the connection to {self._server} failed ({reason}): check the server and vlm_url") from None
        finally:
            self._seconds = time.monotonic() - began

    async def _post(self, body: bytes) -> str:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        timeout = aiohttp.ClientTimeout(total=self._options.vlm_timeout_s)
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.post(self._options.endpoint, data=body, allow_redirects=False) as response,
        ):
            data = bytearray()
            async for chunk in response.content.iter_any():
                self._bytes_received += len(chunk)
                data += chunk
                if len(data) > MAX_RESPONSE_BYTES:
                    raise VlmError(f"{self._server} sent more than {MAX_RESPONSE_BYTES // 1_000_000} MB: check vlm_url")
            if response.status != 200:
                raise self._refused(response, data.decode("utf-8", "replace"))
            return response_text(response.content_type, bytes(data))

    def _refused(self, response: aiohttp.ClientResponse, body: str) -> _RefusedError:
        """Return the error of a status that is no success."""
        status, reason = response.status, self._without_key(error_text(body))
        retry_after = parse_retry_after(response.headers.get("Retry-After")) if status in (429, 503) else None
        advice = {
            400: "check vlm_model, and that the model takes images",
            401: f"set its key as {KEY_VARIABLE} in the environment",
            403: f"set its key as {KEY_VARIABLE} in the environment",
            404: "check vlm_model, and that vlm_url ends as the server expects, mostly with /v1",
            413: "reduce vlm_max_edge",
            429: "reduce vlm_max_requests_per_min",
        }.get(status, "see the log of the server")
        if 300 <= status < 400:
            advice = "set vlm_url to its final address, because images do not follow a redirect"
        text = f' and says "{reason}"' if reason else ""
        return _RefusedError(f"{self._server} refuses the request (HTTP {status}){text}: {advice}", retry_after)

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
