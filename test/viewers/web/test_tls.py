# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates and keys of the web page: wrong files are refused with one sentence each."""

from __future__ import annotations

from pathlib import Path

import pytest

from lang2segtrack_ros.viewers.web.tls import TlsError, tls_context
from test.certificate import make_certificate


def test_no_certificate_means_plain_http() -> None:
    assert tls_context("", "") is None


def test_certificate_and_key_may_share_a_file(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    assert tls_context(certificate, key) is not None
    both = tmp_path / "both.pem"
    both.write_text(Path(certificate).read_text() + Path(key).read_text())
    assert tls_context(str(both), "") is not None


def test_wrong_files_are_named(tmp_path: Path) -> None:
    """An encrypted key must not ask for its password, because a node has no terminal."""
    certificate, key = make_certificate(tmp_path / "one")
    _, other_key = make_certificate(tmp_path / "other")
    _, encrypted = make_certificate(tmp_path / "encrypted", "-passout", "pass:secret")
    for files, words in (
        ((f"{tmp_path}/missing", key), r"cannot read the certificate .*missing \(No such file or directory\)"),
        ((certificate, f"{tmp_path}/missing"), "cannot read the key"),
        ((certificate, str(tmp_path)), r"cannot read the key .* \(Is a directory\)"),
        (("", key), "is set without a certificate"),
        ((certificate, other_key), f"the key {other_key} does not belong to the certificate {certificate}"),
        ((certificate, ""), "no certificate and key in PEM format"),
        ((__file__, key), "no certificate and key in PEM format"),
        ((certificate, encrypted), "is encrypted: remove its password"),
    ):
        with pytest.raises(TlsError, match=words):
            tls_context(*files)
