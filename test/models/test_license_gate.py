# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Weights with a restricted license load only after the user accepts the license, by each way to name them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from lang2segtrack_ros.cli.main import _parser, main
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.models import catalogue, families
from lang2segtrack_ros.models.cache import shared_segmenter
from lang2segtrack_ros.models.catalogue import CHECKPOINTS, TOY_FOLDER, WeightsError
from lang2segtrack_ros.models.families import Family
from lang2segtrack_ros.models.license_gate import LicenseError, accepted_licenses
from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.ros.support.parameters import TABLE
from lang2segtrack_ros.toyworld.scene import SceneFrame


@pytest.fixture(autouse=True)
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A downloaded sam3-tracker. The toy network and its loader stand in for a network of 3 GB."""
    monkeypatch.setenv(catalogue.HOME_VARIABLE, str(tmp_path))
    folder = catalogue.download_folder("sam3-tracker")
    shutil.copytree(TOY_FOLDER / "segmenter", folder)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"model_type": "sam2_video"', '"model_type": "sam3_test"', 1))
    row = Family("sam3-tracker", "segmenter", ("sam3_test",), "lang2segtrack_ros.models.loaders.sam2:load", frozenset({"masks"}))
    others = tuple(family for family in families.FAMILIES if family.name != "sam3-tracker")
    monkeypatch.setattr(families, "FAMILIES", (*others, row))
    return folder


@pytest.mark.parametrize("form", ["sam3-tracker", "facebook/sam3", "{folder}", "sam3-tracker:{folder}", "sam3-tracker:facebook/sam3"])
def test_restricted_weights_are_refused_until_accepted(downloaded: Path, form: str) -> None:
    """The message says in one sentence what the license forbids, and how to accept it everywhere."""
    name = form.format(folder=downloaded)
    with pytest.raises(LicenseError) as caught:
        load_segmenter(name, "cpu")
    for words in (
        "forbids military",
        "huggingface.co/facebook/sam3",
        "--accept-license sam3",
        "accept_license:=sam3",
        'accept_license="sam3"',
    ):
        assert words in str(caught.value)
    assert load_segmenter(name, "cpu", accept_license="sam3").image_size == 192


def test_accepting_in_one_session_accepts_nothing_in_another(downloaded: Path) -> None:
    """Nodes of one process share networks, but each has its own parameters."""
    kept = shared_segmenter(str(downloaded), "cpu", accept_license=["sam3"])
    with pytest.raises(LicenseError):
        shared_segmenter(str(downloaded), "cpu", accept_license=["other"])
    assert shared_segmenter(str(downloaded), "cpu", accept_license="sam3") is kept


def test_the_license_is_logged_once(downloaded: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A user who starts a prepared launch file must see what the license forbids. Finding and loading the folder must not repeat it."""
    load_segmenter(f"sam3-tracker:{downloaded}", "cpu", accept_license="sam3")
    assert caplog.text.count("forbids military") == 1


@pytest.mark.parametrize(("given", "words"), [("", set()), ("sam3", {"sam3"}), ("a, b,", {"a", "b"}), (("sam3",), {"sam3"})])
def test_licenses_are_accepted_by_text_or_list(given: str | Sequence[str], words: set[str]) -> None:
    assert accepted_licenses(given) == words


@pytest.mark.parametrize("given", [True, 3, [3], None])
def test_another_value_is_refused(given: object) -> None:
    """`accept_license=True` must not accept every license."""
    with pytest.raises(WeightsError, match=r'accept_license is .*: give a text, such as "sam3"'):
        accepted_licenses(given)  # type: ignore[arg-type]


def test_no_default_is_restricted() -> None:
    """The defaults of the node and of every command have open licenses."""
    restricted = {item.name for item in CHECKPOINTS if item.gated}
    assert restricted == {"sam3", "sam3-tracker"}
    defaults = {TABLE.by_name[name].default for name in ("segmenter", "detector")}
    for line in (
        ["track", "a.mp4", "--out", "b"],
        ["bag", "a", "--out", "b"],
        ["image", "a.png", "--text", "a"],
        ["bench", "suites"],
        ["bench", "davis", "a"],
    ):
        options = vars(_parser().parse_args(line))
        assert options["accept_license"] == ""
        defaults |= {options[name] for name in ("segmenter", "detector", "model") if name in options}
    assert defaults.isdisjoint(restricted)
    assert TABLE.by_name["accept_license"].default == ""


def test_the_command_passes_the_acceptance_on(tmp_path: Path, capsys: pytest.CaptureFixture[str], frames: list[SceneFrame]) -> None:
    """The whole way from the option to the network, without and with the option."""
    write_png(tmp_path / "a.png", frames[0].color)
    line = [
        "image",
        str(tmp_path / "a.png"),
        "--text",
        "red circle.",
        "--segmenter",
        "sam3-tracker",
        "--detector",
        "toy",
        "--device",
        "cpu",
    ]
    line += ["--image-size", "64", "--no-overlay", "--out", str(tmp_path / "out")]
    assert main(line) == 1
    assert "--accept-license sam3" in capsys.readouterr().err
    assert main([*line, "--accept-license", "sam3"]) == 0
    assert main(["weights", "fetch", "sam3"]) == 1
    assert "forbids military" in capsys.readouterr().err
