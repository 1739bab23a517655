# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Who may use the page.

The page moves what a robot looks at, so three strangers are kept out: whoever has no token (when others than this machine can
connect), a web site that sends requests from the user's browser (cross-site request forgery), and a web site whose name suddenly points
at this machine (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from urllib.parse import urlsplit

LEAST_TOKEN = 16
HOW_TO_MAKE_A_TOKEN = 'such as the output of: python3 -c "import secrets; print(secrets.token_urlsafe(24))"'


class AccessError(ValueError):
    """A set-up that would let strangers in; the message says what to change."""


class RefusedError(Exception):
    """A request that is not answered as it wishes.

    Attributes:
        status: of the response.
        reason: a word for it, to be counted.
    """

    def __init__(self, status: HTTPStatus, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Access:
    """The rules of one server.

    Attributes:
        address: the IP address it listens on.
        token: what a request must bring; empty lets everybody in who can connect.
        hosts: names, beside this machine's own, under which browsers may know it.

    Raises:
        AccessError: an address that is no IP address; one that others can reach without a token; a token that can be guessed.
    """

    address: str
    token: str = ""
    hosts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        try:
            local = ipaddress.ip_address(self.address).is_loopback
        except ValueError as error:
            raise AccessError(
                f'address is "{self.address}"; it must be an IP address: 127.0.0.1 for this machine alone, 0.0.0.0 for everybody'
            ) from error
        if not local and not self.token:
            raise AccessError(
                f"other machines can reach {self.address}, so a token is needed: set token to a long random text, {HOW_TO_MAKE_A_TOKEN}"
            )
        if self.token and (len(self.token) < LEAST_TOKEN or not self.token.isascii() or not self.token.isprintable() or " " in self.token):
            raise AccessError(f"the token must be {LEAST_TOKEN} or more ASCII characters without spaces, {HOW_TO_MAKE_A_TOKEN}")

    def check_site(self, headers: Message[str, str], page: bool = False) -> None:
        """Checks that a request was made by this page, or by no page. Raises RefusedError.

        Args:
            headers: of the request.
            page: it is for one of the page's own files, which hold nothing secret: these may be opened by a link on another page.
        """
        hosts = headers.get_all("Host", [])
        host = hosts[0] if len(hosts) == 1 else ""
        if not self._is_ours(host):
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "unknown_host",
                "this page is not known under that name: use the robot's IP address, or add the name to the parameter allowed_hosts",
            )
        origin = headers.get("Origin", f"http://{host}").lower()
        ours = origin in (f"http://{host.lower()}", f"https://{host.lower()}")  # https where a proxy stands before it
        opened = page and (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")) == ("navigate", "document")
        if not ours or (not opened and headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")):
            raise RefusedError(HTTPStatus.FORBIDDEN, "other_origin", "requests from other web sites are not answered")

    def check_token(self, headers: Message[str, str]) -> None:
        """Checks the token. Raises RefusedError."""
        if not self.token:
            return
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(errors="replace"), self.token.encode())
        if scheme.lower() != "bearer" or not right:
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                "wrong_token" if given else "no_token",
                "a token is needed: open the page as http://.../#token=TOKEN",
            )

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names this machine. An IP address always does: a name is what rebinding needs."""
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
