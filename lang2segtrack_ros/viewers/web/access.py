# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Access control of the web page.

The page changes the targets of a robot, so the server refuses three kinds of requests:

* requests without the token, if other machines can connect,
* requests of other web sites from the user's browser (cross-site request forgery),
* requests of web sites whose DNS name points to this machine (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from urllib.parse import urlsplit

MIN_TOKEN_LENGTH = 16
TOKEN_HINT = 'such as the output of: python3 -c "import secrets; print(secrets.token_urlsafe(24))"'


class AccessError(ValueError):
    """A configuration that would give everybody access. The message says what to change."""


class RefusedError(Exception):
    """A refused request.

    Args:
        status: HTTP status of the response.
        reason: short name of the reason, for the counters.
        message: sentence for the user.

    Attributes:
        status: HTTP status of the response.
        reason: short name of the reason, for the counters.
    """

    def __init__(self, status: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Access:
    """The access rules of one server.

    Attributes:
        address: IP address that the server listens on.
        token: token that each request must send. If empty, every client that can connect has access.
        hosts: further host names of this machine that browsers may use.

    Raises:
        AccessError: `address` is not an IP address, other machines can reach it without a token, or the token is too easy to guess.
    """

    address: str
    token: str = ""
    hosts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        try:
            local = ipaddress.ip_address(self.address).is_loopback
        except ValueError as error:
            raise AccessError(
                f'address is "{self.address}"; it must be an IP address: 127.0.0.1 for this machine only, 0.0.0.0 for all machines'
            ) from error
        if not local and not self.token:
            raise AccessError(
                f"other machines can reach {self.address}, so a token is needed: set token to a long random text, {TOKEN_HINT}"
            )
        if self.token and (
            len(self.token) < MIN_TOKEN_LENGTH or not self.token.isascii() or not self.token.isprintable() or " " in self.token
        ):
            raise AccessError(f"the token must be {MIN_TOKEN_LENGTH} or more ASCII characters without spaces, {TOKEN_HINT}")

    def check_site(self, headers: Message[str, str], page: bool = False) -> None:
        """Check that a request comes from this page or from a program, and not from another web site.

        Args:
            headers: headers of the request.
            page: True if the request is for a file of the page. These files hold no secrets, so links on other pages may open them.

        Raises:
            RefusedError: the request comes from another web site, or uses an unknown host name.
        """
        hosts = headers.get_all("Host", [])
        host = hosts[0] if len(hosts) == 1 else ""
        if not self._is_own_host(host):
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "unknown_host",
                "this host name is unknown: use the robot's IP address, or add the name to the parameter allowed_hosts",
            )
        origin = headers.get("Origin", f"http://{host}").lower()
        same_origin = origin in (f"http://{host.lower()}", f"https://{host.lower()}")  # https if a proxy forwards the requests
        opened_by_link = page and (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")) == ("navigate", "document")
        if not same_origin or (not opened_by_link and headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")):
            raise RefusedError(HTTPStatus.FORBIDDEN, "other_origin", "requests from other web sites are refused")

    def check_token(self, headers: Message[str, str]) -> None:
        """Check the token in the Authorization header in constant time.

        Args:
            headers: headers of the request.

        Raises:
            RefusedError: the token is missing or wrong.
        """
        if not self.token:
            return
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        matches = hmac.compare_digest(token.strip().encode(errors="replace"), self.token.encode())
        if scheme.lower() != "bearer" or not matches:
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                "wrong_token" if token else "no_token",
                "a token is needed: open the page as http://.../#token=TOKEN",
            )

    def _is_own_host(self, host: str) -> bool:
        """Return whether a Host header names this machine. An IP address is always valid, because DNS rebinding needs a name."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            own = socket.gethostname().lower()
            return name in {"localhost", own, f"{own.partition('.')[0]}.local"} | self.hosts
        return True
