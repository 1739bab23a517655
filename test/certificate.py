# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests of TLS, made by the program openssl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path, *options: str) -> tuple[str, str]:
    """Make a self-signed certificate of 127.0.0.1. Return its path and that of its key, which has no password unless `options` say so."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: install it to run the tests of TLS")
    folder.mkdir(exist_ok=True)
    certificate, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2", "-subj", "/CN=robot"]
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key]
    subprocess.run([*request, *files, *(options or ("-nodes",))], check=True, capture_output=True)
    return certificate, key
