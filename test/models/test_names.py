# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Every form of a network's name, and the message of each name that does not fit."""

from __future__ import annotations

import pkgutil
import shutil
from pathlib import Path

import pytest

from lang2segtrack_ros.models import catalogue, families
from lang2segtrack_ros.models.catalogue import CHECKPOINTS, TOY_FOLDER, WeightsError
from lang2segtrack_ros.models.families import ABILITIES, FAMILIES, Family, split_family
from lang2segtrack_ros.models.loading import is_plugin, load_detector, load_segmenter
from lang2segtrack_ros.models.store import kind_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the toy networks as downloads, and an unreachable hub."""
    monkeypatch.setenv(catalogue.HOME_VARIABLE, str(tmp_path))
    for folder in ("sam2.1-tiny", "my-org--my-net"):
        shutil.copytree(TOY_FOLDER / "segmenter", tmp_path / folder)
    return tmp_path


@pytest.mark.parametrize(
    "form",
    ["toy", "sam2:toy", "{home}/sam2.1-tiny", "sam2:{home}/sam2.1-tiny", "sam2.1-tiny", "facebook/sam2.1-hiera-tiny", "my-org/my-net"],
)
def test_each_form_loads(home: Path, form: str) -> None:
    """The whole table of docs/models.md except plug-ins, which have their own tests."""
    name = form.format(home=home)
    assert not is_plugin(name, "segmenter")
    assert load_segmenter(name, "cpu").name == name


def test_names_of_families_are_split_off() -> None:
    """A colon also occurs in plug-ins and in folders."""
    family, rest = split_family("grounding-dino:org/repo", "detector")
    assert (family and family.name, rest) == ("grounding-dino", "org/repo")
    for name in ("grounding-dino", "my_module:Detector", "/folder:with/colon"):
        assert split_family(name, "detector") == (None, name)
    assert split_family("grounding-dino:org/repo", "segmenter")[0] is None


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("grounding-dino-tiny", '"grounding-dino-tiny" is a detector; lang2segtrack models lists the names of each segmenter'),
        ("future:{home}/sam2.1-tiny", 'no segmenter is called "future:'),
        ("other:{home}/sam2.1-tiny", 'asks for the family other, but .* holds a "sam2_video" model'),
        ("extra:{home}/extra", "needs the Python package lang2segtrack_missing: pip install lang2segtrack_missing"),
    ],
)
def test_names_that_do_not_fit(home: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str) -> None:
    """Each reason is found before a download. A family that needs an optional package names it."""
    other = Family("other", "segmenter", ("other",), "none:load", frozenset())
    extra = Family("extra", "segmenter", ("extra",), "none:load", frozenset(), extra="lang2segtrack_missing")
    monkeypatch.setattr(families, "FAMILIES", (*FAMILIES, other, extra))
    (home / "extra").mkdir()
    (home / "extra" / "config.json").write_text('{"model_type": "extra"}')
    with pytest.raises(WeightsError, match=sentence):
        load_segmenter(name.format(home=home), "cpu")


def test_table_of_families_is_consistent() -> None:
    """Each loader exists, each ability is known, and no model type of one kind has two loaders."""
    for family in FAMILIES:
        assert callable(pkgutil.resolve_name(family.loader))
        assert family.abilities <= set(ABILITIES)
        assert kind_of(str(TOY_FOLDER / family.kind)) == family.kind
    types = [(family.kind, model_type) for family in FAMILIES for model_type in family.model_types]
    assert len(types) == len(set(types))
    assert len({(item.name, item.kind) for item in CHECKPOINTS}) == len(CHECKPOINTS)
    assert {(family.kind, family.name) for family in FAMILIES} == {(item.kind, item.family) for item in CHECKPOINTS}


def test_checkpoints_of_one_repository_share_their_files(home: Path) -> None:
    """SAM 3 is one file of 3.4 GB for the detector and the segmenter."""
    assert catalogue.download_folder("sam3") == catalogue.download_folder("sam3-tracker") == home / "sam3-tracker"
    assert catalogue.find("facebook/sam3", "detector") is not catalogue.find("facebook/sam3", "segmenter")


def test_detector_toy_by_family() -> None:
    assert load_detector("grounding-dino:toy", "cpu").name == "grounding-dino:toy"
