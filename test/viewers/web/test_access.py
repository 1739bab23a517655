# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Access control of the web page: refused configurations and refused requests."""

from __future__ import annotations

import socket
from email.message import Message

import pytest

from lang2segtrack_ros.viewers.web.access import Access, AccessError, RefusedError

TOKEN = "a-token-that-is-hard-to-guess"


def headers(**fields: str) -> Message:
    """Return headers of a request. Underscores in the names stand for hyphens."""
    message = Message()
    for name, value in {"Host": "127.0.0.1:8080", **fields}.items():
        message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize("address", ["127.0.0.1", "127.5.0.1", "::1"])
def test_loopback_address_needs_no_token(address: str) -> None:
    assert Access(address).token == ""


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.2", "8.8.8.8"])
def test_reachable_address_needs_a_token(address: str) -> None:
    with pytest.raises(AccessError, match="a token is needed"):
        Access(address)
    assert Access(address, TOKEN).token == TOKEN


@pytest.mark.parametrize("address", ["", "localhost", "robot.local", "127.0.0.1:8080", "127.0.0.1/8"])
def test_host_name_is_refused_as_address(address: str) -> None:
    """A name may resolve to any address, and to another one later."""
    with pytest.raises(AccessError, match="must be an IP address"):
        Access(address, TOKEN)


@pytest.mark.parametrize("token", ["short", "with a space in it, long", "täglich-frische-brötchen", "tab\tin-the-middle-of-it"])
def test_short_or_unsendable_token_is_refused(token: str) -> None:
    with pytest.raises(AccessError, match="16 or more ASCII characters"):
        Access("127.0.0.1", token)


OWN_HOSTS = ["127.0.0.1:80", "localhost", "LOCALHOST:80", "[::1]:80", "192.168.1.7:80", "robot.lan:80", "robot.lan.", socket.gethostname()]
OTHER_HOSTS = ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::1", "evil.example@127.0.0.1.x"]


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_own_host_names_are_accepted(host: str) -> None:
    Access("127.0.0.1", hosts=frozenset({"robot.lan"})).check_site(headers(Host=host))


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_other_host_names_are_refused(host: str) -> None:
    """Another name points to this machine only after DNS rebinding."""
    with pytest.raises(RefusedError) as raised:
        Access("127.0.0.1", hosts=frozenset({"robot.lan"})).check_site(headers(Host=host))
    assert (raised.value.status, raised.value.reason) == (403, "unknown_host")


def test_two_host_headers_are_refused() -> None:
    """A proxy may have checked the other header."""
    message = headers()
    message["Host"] = "127.0.0.1"
    with pytest.raises(RefusedError):
        Access("127.0.0.1").check_site(message)


@pytest.mark.parametrize(
    "fields",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "127.0.0.1:8080"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_requests_of_other_sites_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(RefusedError) as raised:
        Access("127.0.0.1").check_site(headers(**fields))
    assert (raised.value.status, raised.value.reason) == (403, "other_origin")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Origin": "http://127.0.0.1:8080"},
        {"Origin": "https://127.0.0.1:8080"},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
    ],
)
def test_requests_of_the_page_and_of_programs_are_accepted(fields: dict[str, str]) -> None:
    Access("127.0.0.1").check_site(headers(**fields))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "no_token"),
        ({"Authorization": "Bearer"}, "no_token"),
        ({"Authorization": f"Bearer {TOKEN}x"}, "wrong_token"),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, "wrong_token"),
        ({"Authorization": f"Basic {TOKEN}"}, "wrong_token"),
        ({"Authorization": "Bearer \xff\xfe"}, "wrong_token"),
    ],
)
def test_missing_or_wrong_token_is_refused(fields: dict[str, str], reason: str) -> None:
    with pytest.raises(RefusedError) as raised:
        Access("0.0.0.0", TOKEN).check_token(headers(**fields))
    assert (raised.value.status, raised.value.reason) == (401, reason)


def test_correct_token_is_accepted() -> None:
    Access("0.0.0.0", TOKEN).check_token(headers(Authorization=f"bearer {TOKEN}"))
    Access("127.0.0.1").check_token(headers())


def test_link_of_another_site_opens_only_the_page() -> None:
    """Links in documentation or mail must work. A frame of another site and a request to the API must not."""
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    access = Access("127.0.0.1")
    access.check_site(headers(**link), page=True)
    for fields, page in ((link, False), ({**link, "Sec_Fetch_Dest": "iframe"}, True), ({**link, "Origin": "http://evil.example"}, True)):
        with pytest.raises(RefusedError, match="other web sites"):
            access.check_site(headers(**fields), page=page)
