# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""TLS settings of the web page, from the files of a certificate and its key."""

from __future__ import annotations

import ssl


class TlsError(ValueError):
    """A certificate or a key that the server cannot use. The message says why."""


def tls_context(certificate: str, key: str) -> ssl.SSLContext | None:
    """Return the settings of a TLS server, or None if no certificate is given.

    Args:
        certificate: path of a PEM file with the certificate, and with its chain if it has one. Empty for plain HTTP.
        key: path of a PEM file with the private key. Empty if the key is in the file of the certificate.

    Raises:
        TlsError: a file is missing, is no PEM file or needs a password, or the key does not belong to the certificate.
    """
    if not certificate:
        if key:
            raise TlsError(f"the key {key} is set without a certificate: set certificate too, or neither for plain HTTP")
        return None
    for name, path in (("certificate", certificate), ("key", key or certificate)):
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise TlsError(f"cannot read the {name} {path} ({error.strerror}): set {name} to a PEM file") from error

    def refuse_password() -> str:
        raise TlsError(f"the key {key or certificate} is encrypted: remove its password, with: openssl pkey -in KEY -out NEW_KEY")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key or None, refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"the key {key} does not belong to the certificate {certificate}: set the key it was made with") from error
        raise TlsError(f"{certificate} and {key or certificate} are no certificate and key in PEM format: {error.reason}") from error
    return context
