# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Plug-ins by import path and by entry point, and the error message of every failure."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lang2segtrack_ros.detection.abilities import has_ability, missing_parts
from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.models.cache import shared_detector, shared_segmenter
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.loading import is_plugin, load_detector, load_segmenter
from lang2segtrack_ros.models.plugins import PluginError, find_plugin, plugin_names
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.tracking.policies.registry import make_policy
from lang2segtrack_ros.tracking.policies.samurai import SamuraiPolicy
from lang2segtrack_ros.types.prompts import PromptError, TextPrompt

MODULE = "lang2segtrack_test_plugin"
SOURCE = """
from lang2segtrack_ros.models.catalogue import Restriction
from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.models.plugins import PluginSpec
from lang2segtrack_ros.tracking.policies.samurai import SamuraiPolicy

number = 7


class EmptyDetector:
    name = "empty"
    default_threshold = 0.5

    def __init__(self, device):
        self.device_name = device

    def check(self, phrases):
        return []

    def detect(self, color, phrases, thresholds):
        return []


class TextThreshold(EmptyDetector):
    default_threshold = "0.5"


class Container:
    Detector = EmptyDetector


class CustomPolicy(SamuraiPolicy):
    pass


class NameOnly:
    name = "name only"

    def __init__(self, **arguments):
        pass


def make_segmenter(device):
    segmenter = load_segmenter("toy", device)
    segmenter.name = "custom"
    return segmenter


def fail(**arguments):
    raise OSError("the license server does not answer")


class ExemplarOnly:
    name = "exemplar only"
    default_threshold = 0.5

    def __init__(self, device):
        self.encode_exemplar = self.detect_exemplar = lambda *arguments: []


def stating(spec, factory=EmptyDetector):
    def make(device):
        return factory(device)

    make.spec = spec
    return make


batch = stating(PluginSpec(frozenset({"batch"})))
flying = stating(PluginSpec(frozenset({"flying"})))
no_spec = stating({"abilities": "text"})
text_only = stating(PluginSpec(frozenset({"text"}), "MIT"))


class RestrictedPolicy(SamuraiPolicy):
    spec = PluginSpec(restriction=Restriction("a", "b", "c"))
"""
ENTRY_POINTS = f"""
[lang2segtrack.detectors]
empty = {MODULE}:EmptyDetector
toy = {MODULE}:fail
grounding-dino-tiny = {MODULE}:fail

[lang2segtrack.segmenters]
custom = {MODULE}:make_segmenter
toy = {MODULE}:fail

[lang2segtrack.policies]
custom-policy = {MODULE}:CustomPolicy
samurai = {MODULE}:fail
uninstalled = lang2segtrack_test_missing:Policy
"""


@pytest.fixture(autouse=True)
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module that Python can import, and an installed distribution that declares entry points into it."""
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    (tmp_path / "lang2segtrack_test_broken.py").write_text("raise RuntimeError('no CUDA 9')")
    info = tmp_path / "lang2segtrack_test_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lang2segtrack-test-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop(MODULE, None)


@pytest.mark.parametrize("name", [f"{MODULE}:EmptyDetector", f"{MODULE}:Container.Detector", "empty"])
def test_detector_loads_by_import_path_and_by_entry_point(name: str) -> None:
    """The factory gets the resolved device as a text."""
    detector = load_detector(name, "cpu")
    assert detector.name == "empty"
    assert vars(detector) == {"device_name": "cpu"}


@pytest.mark.parametrize("name", [f"{MODULE}:make_segmenter", "custom"])
def test_segmenter_factory_may_be_a_function(name: str) -> None:
    segmenter = load_segmenter(name, "cpu")
    assert segmenter.name == "custom"
    assert segmenter.device.type == "cpu"


@pytest.mark.parametrize("name", [f"{MODULE}:CustomPolicy", "custom-policy"])
def test_policy_loads_by_import_path_and_by_entry_point(name: str) -> None:
    policy = make_policy(name)
    assert type(policy).__name__ == "CustomPolicy"
    assert isinstance(policy, SamuraiPolicy)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("lang2segtrack_test_missing:Detector", r"No module named 'lang2segtrack_test_missing'\): install its package, or add its folder"),
        ("lang2segtrack_test_broken:Detector", "RuntimeError: no CUDA 9"),
        (f"{MODULE}:Missing", "AttributeError: .*has no attribute 'Missing'"),
        (f"{MODULE}:Container.Missing", "AttributeError: .*has no attribute 'Missing'"),
        (f"{MODULE}:number", "is not callable: name a class, or a function that returns a detector"),
        (f"{MODULE}:fail", "cannot be created: OSError: the license server does not answer"),
        (f"{MODULE}:TextThreshold", r"cannot be used: .* default_threshold '0.5' \(str\): give a number from 0 to 1"),
        (f"{MODULE}:batch", "states the ability batch, but lacks detect_batch"),
        (f"{MODULE}:flying", "states the unknown ability flying; abilities are text, exemplar, masks, batch"),
        (f"{MODULE}:no_spec", r"has the spec .*: it must be a PluginSpec"),
        (f"{MODULE}:NameOnly", r"lacks default_threshold, check, detect: docs/extend.md lists what a detector needs"),
    ],
)
def test_unusable_detector_is_refused(name: str, sentence: str) -> None:
    """Plug-in code may raise anything. The message names the plug-in, and callers need to handle WeightsError only."""
    with pytest.raises(PluginError, match=sentence) as caught:
        load_detector(name, "cpu")
    assert f'the detector plug-in "{name}"' in str(caught.value)
    assert isinstance(caught.value, WeightsError)


def test_segmenter_of_another_class_is_refused() -> None:
    with pytest.raises(PluginError, match="returned a NameOnly: it must return a Sam2Segmenter"):
        load_segmenter(f"{MODULE}:NameOnly", "cpu")


def test_policy_without_required_attributes_is_refused() -> None:
    with pytest.raises(PluginError, match=r"the policy plug-in .* lacks visible_above, "):
        make_policy(f"{MODULE}:NameOnly")


def test_restricted_policy_is_refused() -> None:
    """No option could accept its license, so that it would pass silently."""
    with pytest.raises(PluginError, match="states a license to accept, which only detectors and segmenters can have"):
        make_policy(f"{MODULE}:RestrictedPolicy")


def test_text_needs_a_detector_with_that_ability(segmenter: Sam2Segmenter) -> None:
    """A detector that finds objects by an exemplar only loads, and a text prompt says what is missing."""
    detector = load_detector(f"{MODULE}:ExemplarOnly", "cpu")
    assert has_ability(detector, "exemplar")
    assert not has_ability(load_detector(f"{MODULE}:text_only", "cpu"), "exemplar")
    with (
        closing(Session(segmenter, detector)) as session,
        pytest.raises(PromptError, match='detector "exemplar only" finds no objects by text'),
    ):
        session.prompt(TextPrompt("red circle."))


def test_entry_point_into_a_missing_package_is_refused() -> None:
    with pytest.raises(PluginError, match=r'the policy plug-in "uninstalled" cannot be imported'):
        make_policy("uninstalled")


def test_unknown_names_list_the_known_names_and_the_installed_plugins() -> None:
    """A user with a typing error sees the correct name in the message."""
    with pytest.raises(WeightsError, match=r"Known names: toy, grounding-dino-tiny, .*, sam3, empty\. .*module:attribute"):
        load_detector("emty", "cpu")
    with pytest.raises(WeightsError, match=r"Known names: toy, sam2.1-tiny.*custom"):
        load_segmenter("costum", "cpu")
    with pytest.raises(PluginError, match=r"samurai, .*custom-policy.*module:Class"):
        make_policy("samurei")


def test_plugin_names_are_those_of_their_kind() -> None:
    assert set(plugin_names("segmenter")) >= {"custom"}
    assert "empty" not in plugin_names("segmenter")
    assert find_plugin("segmenter", "empty") is None


def test_built_in_names_take_precedence_over_entry_points() -> None:
    """An installed package must not replace a built-in network or policy."""
    assert isinstance(load_detector("toy", "cpu"), GroundingDinoDetector)
    assert isinstance(load_segmenter("toy", "cpu"), Sam2Segmenter)
    assert type(make_policy("samurai")) is SamuraiPolicy
    assert not is_plugin("grounding-dino-tiny", "detector")


def test_plugins_are_not_shared() -> None:
    """A plug-in may keep state between calls, so each session gets its own instance."""
    assert shared_detector("empty", "cpu") is not shared_detector("empty", "cpu")
    assert shared_segmenter("custom", "cpu") is not shared_segmenter("custom", "cpu")


def test_settings_that_a_plugin_ignores_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A user who sets an image size must learn that it has no effect."""
    load_segmenter("custom", "cpu", image_size=128)
    assert "ignores image_size=128" in caplog.text


def test_required_attributes_are_those_of_the_built_in_detector(detector: Detector) -> None:
    """A rename in a built-in class must reach the list of required attributes."""
    assert missing_parts(detector) == []
