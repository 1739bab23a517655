# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Who may use the web page: which set-ups are refused, and which requests."""

from __future__ import annotations

import socket
from email.message import Message

import pytest

from lang2segtrack_ros.viewers.web.access import Access, AccessError, RefusedError

TOKEN = "a-token-nobody-guesses"


def headers(**given: str) -> Message:
    """Headers of a request; underscores stand for hyphens."""
    message = Message()
    for name, value in {"Host": "127.0.0.1:8080", **given}.items():
        message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize("address", ["127.0.0.1", "127.5.0.1", "::1"])
def test_this_machine_alone_needs_no_token(address: str) -> None:
    assert Access(address).token == ""


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.2", "8.8.8.8"])
def test_an_address_for_others_needs_a_token(address: str) -> None:
    with pytest.raises(AccessError, match="a token is needed"):
        Access(address)
    assert Access(address, TOKEN).token == TOKEN


@pytest.mark.parametrize("address", ["", "localhost", "robot.local", "127.0.0.1:8080", "127.0.0.1/8"])
def test_an_address_is_an_ip_address(address: str) -> None:
    """A name may resolve to anything, also to another address tomorrow."""
    with pytest.raises(AccessError, match="must be an IP address"):
        Access(address, TOKEN)


@pytest.mark.parametrize("token", ["short", "with a space in it, long", "täglich-frische-brötchen", "tab\tin-the-middle-of-it"])
def test_tokens_that_can_be_guessed_or_not_be_sent(token: str) -> None:
    with pytest.raises(AccessError, match="16 or more ASCII characters"):
        Access("127.0.0.1", token)


OURS = ["127.0.0.1:80", "localhost", "LOCALHOST:80", "[::1]:80", "192.168.1.7:80", "robot.lan:80", "robot.lan.", socket.gethostname()]
NOT_OURS = ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::1", "evil.example@127.0.0.1.x"]


@pytest.mark.parametrize("host", OURS)
def test_names_of_this_machine(host: str) -> None:
    Access("127.0.0.1", hosts=frozenset({"robot.lan"})).check_site(headers(Host=host))


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::1", "evil.example@127.0.0.1.x"]
)
def test_other_names_point_here_only_by_rebinding(host: str) -> None:
    with pytest.raises(RefusedError) as raised:
        Access("127.0.0.1", hosts=frozenset({"robot.lan"})).check_site(headers(Host=host))
    assert (raised.value.status, raised.value.reason) == (403, "unknown_host")


def test_two_hosts_are_none() -> None:
    """Whoever stands between may have looked at the other one."""
    message = headers()
    message["Host"] = "127.0.0.1"
    with pytest.raises(RefusedError):
        Access("127.0.0.1").check_site(message)


@pytest.mark.parametrize(
    "given",
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
def test_requests_of_other_sites(given: dict[str, str]) -> None:
    with pytest.raises(RefusedError) as raised:
        Access("127.0.0.1").check_site(headers(**given))
    assert (raised.value.status, raised.value.reason) == (403, "other_origin")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Origin": "http://127.0.0.1:8080"},
        {"Origin": "https://127.0.0.1:8080"},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
    ],
)
def test_requests_of_the_page_and_of_programs(given: dict[str, str]) -> None:
    Access("127.0.0.1").check_site(headers(**given))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "no_token"),
        ({"Authorization": "Bearer"}, "no_token"),
        ({"Authorization": f"Bearer {TOKEN}x"}, "wrong_token"),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, "wrong_token"),
        ({"Authorization": f"Basic {TOKEN}"}, "wrong_token"),
        ({"Authorization": "Bearer \xff\xfe"}, "wrong_token"),
    ],
)
def test_wrong_tokens(given: dict[str, str], reason: str) -> None:
    with pytest.raises(RefusedError) as raised:
        Access("0.0.0.0", TOKEN).check_token(headers(**given))
    assert (raised.value.status, raised.value.reason) == (401, reason)


def test_the_right_token() -> None:
    Access("0.0.0.0", TOKEN).check_token(headers(Authorization=f"bearer {TOKEN}"))
    Access("127.0.0.1").check_token(headers())


def test_the_page_may_be_opened_by_a_link_and_nothing_else() -> None:
    """From documentation, mail, another page on this machine; not into a frame, and not what it asks the robot for."""
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    access = Access("127.0.0.1")
    access.check_site(headers(**link), page=True)
    for given, page in ((link, False), ({**link, "Sec_Fetch_Dest": "iframe"}, True), ({**link, "Origin": "http://evil.example"}, True)):
        with pytest.raises(RefusedError, match="other web sites"):
            access.check_site(headers(**given), page=page)
