# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Number of English nouns: plural or singular, and the singular that a detector knows."""

from __future__ import annotations

_IRREGULAR = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
    "mice": "mouse",
    "geese": "goose",
    "knives": "knife",
    "wives": "wife",
    "lives": "life",
    "leaves": "leaf",
    "loaves": "loaf",
    "shelves": "shelf",
    "wolves": "wolf",
    "scarves": "scarf",
    "halves": "half",
    "calves": "calf",
    "buses": "bus",
    "gases": "gas",
    "lenses": "lens",
    "viruses": "virus",
    "canvases": "canvas",
    "movies": "movie",
    "cookies": "cookie",
    "ties": "tie",
    "pies": "pie",
    "shoes": "shoe",
    "toes": "toe",
    "canoes": "canoe",
    "axes": "ax",
}
_SINGULAR_IN_S = frozenset(["gas", "lens", "canvas", "atlas", "bias", "sas", "series", "species", "chassis", "news"])
_PAIRS = frozenset(
    [
        "glasses",
        "scissors",
        "pants",
        "trousers",
        "jeans",
        "shorts",
        "headphones",
        "binoculars",
        "tongs",
        "pliers",
        "goggles",
        "tweezers",
        "sunglasses",
        "sheep",
        "fish",
        "aircraft",
        "deer",
    ]
)
"""Nouns with one form for singular and plural, or for one thing in two parts. The words before them tell the number."""


def has_one_form(noun: str) -> bool:
    """Return True if singular and plural of a noun are the same."""
    return noun in _PAIRS


def is_plural(noun: str) -> bool:
    """Return True if a noun is written in the plural. Nouns with one form count as singular."""
    return singular(noun) != noun


def singular(noun: str) -> str:
    """Return the singular of a noun in lower case. A noun in the singular stays unchanged."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun in _PAIRS or noun in _SINGULAR_IN_S or len(noun) < 3 or not noun.endswith("s") or noun.endswith(("ss", "us", "is")):
        return noun
    if noun.endswith("ies") and len(noun) > 4:
        return f"{noun[:-3]}y"
    if noun.endswith(("sses", "shes", "ches", "xes", "zes", "oes")):
        return noun[:-2]
    return noun[:-1]
