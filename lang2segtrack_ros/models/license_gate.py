# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The license gate: a network with a restricted license loads only if the user accepts the license."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache

from lang2segtrack_ros.models import families
from lang2segtrack_ros.models.catalogue import CHECKPOINTS, Restriction, WeightsError
from lang2segtrack_ros.types.checks import describe

log = logging.getLogger(__name__)


class LicenseError(WeightsError):
    """A network whose license the user has not accepted. The message says what the license forbids and how to accept it."""


def accepted_licenses(accept_license: str | Sequence[str]) -> frozenset[str]:
    """Return the words of accepted licenses.

    Args:
        accept_license: words, or one text of words with commas between them. An empty text accepts no license.

    Raises:
        WeightsError: it is neither a text nor a list of texts.
    """
    words = accept_license.split(",") if isinstance(accept_license, str) else accept_license
    if not isinstance(words, (list, tuple, set, frozenset)) or not all(isinstance(word, str) for word in words):
        raise WeightsError(f'accept_license is {describe(accept_license)}: give a text, such as "sam3"')
    return frozenset(word.strip() for word in words) - {""}


def restriction_of(model_type: object) -> Restriction | None:
    """Return the license to accept for weights with this "model_type" in their config.json, or None for an open license.

    A folder of restricted weights has no short name, so that the family decides.
    """
    names = {family.name for family in families.FAMILIES if model_type in family.model_types}
    return next((item.restriction for item in CHECKPOINTS if item.family in names and item.restriction), None)


def check_accepted(name: str, restriction: Restriction | None, accept_license: str | Sequence[str]) -> None:
    """Check that the license of a network is accepted, and log once what it forbids.

    Args:
        name: name of the network.
        restriction: license to accept. None for an open license.
        accept_license: see `accepted_licenses`.

    Raises:
        LicenseError: the license is not accepted.
        WeightsError: see `accepted_licenses`.
    """
    accepted = accepted_licenses(accept_license)
    if restriction is None:
        return
    if restriction.accept not in accepted:
        word = restriction.accept
        raise LicenseError(
            f'"{name}" has a restricted license: {restriction.terms} ({restriction.page}). '
            f'To accept it, add --accept-license {word}, the node parameter accept_license:={word}, or accept_license="{word}" in Python'
        )
    _log_terms(name, restriction)


@cache
def _log_terms(name: str, restriction: Restriction) -> None:
    log.warning('"%s" is used under a restricted license: %s (%s)', name, restriction.terms, restriction.page)
