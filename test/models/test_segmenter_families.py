# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""EdgeTAM and the tracker of SAM 3 from folders in the published layout, and from folders that lack something."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.families import LoadOptions
from lang2segtrack_ros.models.loaders import edgetam, sam3_tracker
from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.segmentation.edgetam import EdgeTamSegmenter
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt
from test.conftest import body_box
from test.segmentation.networks import save_as_published, tiny_edgetam, tiny_sam3_tracker

Load = Callable[..., Sam2Segmenter]
NO_TIMM = "timm is not installed" if importlib.util.find_spec("timm") is None else ""


@pytest.fixture(scope="module", params=["edgetam", "sam3-tracker", "sam3-tracker alone"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Load]:
    """Return a folder, and a function that loads it. The function calls the loader of the family, because timm may be missing."""
    folder = tmp_path_factory.mktemp("published")
    if request.param == "sam3-tracker":
        save_as_published(tiny_sam3_tracker(), folder)
    else:
        (tiny_edgetam() if request.param == "edgetam" else tiny_sam3_tracker()).save_pretrained(folder)
    loader = edgetam.load if request.param == "edgetam" else sam3_tracker.load

    def load(where: Path = folder, image_size: int | None = None) -> Sam2Segmenter:
        raw = json.loads((where / "config.json").read_text())
        return loader(where, raw, LoadOptions(request.param, torch.device("cpu"), torch.float32, image_size=image_size))

    return folder, load


def test_weights_arrive_and_a_session_runs(saved: tuple[Path, Load], frames: list[SceneFrame]) -> None:
    """The published file of SAM 3 has other names than the network, and holds a detector, too."""
    segmenter = saved[1]()
    made = (tiny_edgetam if isinstance(segmenter, EdgeTamSegmenter) else tiny_sam3_tracker)()
    loaded = segmenter.model.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in made.state_dict().items())
    session = Session(segmenter)
    handles = [session.prompt(BoxPrompt(body_box(frames[0], body), f"body {body}")) for body in (1, 2)]
    for index, frame in enumerate(frames[:40]):
        result = session.step(Frame(frame.color, index * 66_666_667))
    assert [track.id for track in result.tracks] == [handle.track_ids[0] for handle in handles]
    assert all(track.mask.shape == frames[0].color.shape[:2] for track in result.tracks)


def test_image_size(saved: tuple[Path, Load]) -> None:
    _, load = saved
    base = load()
    step = base.size_step(base.model.config)
    larger = load(image_size=3 * step)
    assert larger.image_size == 3 * step
    assert larger.mask_size == 4 * larger.feature_size
    with torch.inference_mode():
        features = larger.encode(torch.zeros(1, 3, 3 * step, 3 * step))
        memory = larger.encode_memory(
            features, torch.zeros(1, larger.mask_size, larger.mask_size), torch.ones(1), torch.zeros(1, dtype=torch.bool)
        )
    assert memory.shape == (1, larger.memory_tokens, 64)
    for size in (3 * step + 1, 0):
        with pytest.raises(WeightsError, match=f"image_size {size} does not fit this network: use a multiple of {step}"):
            load(image_size=size)


def test_missing_weights_are_named(saved: tuple[Path, Load], tmp_path: Path) -> None:
    folder, load = saved
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(WeightsError, match=r"the weights in .* cannot be loaded"):
        load(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    lost = next(name for name in tensors if name.endswith("no_memory_embedding"))
    save_file({name: value for name, value in tensors.items() if name != lost}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"1 tensors are missing or misshapen, the first is .*no_memory_embedding"):
        load(tmp_path)


def test_missing_timm_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # as if it was not installed
    (tmp_path / "config.json").write_text('{"model_type": "edgetam_video"}')
    with pytest.raises(WeightsError, match="needs the Python package timm: pip install timm"):
        load_segmenter(tmp_path, device="cpu")


def test_timm_without_torchvision_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "timm.py").write_text("import torchvision_that_is_missing")
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WeightsError, match=r"timm cannot be imported \(No module .*install timm with torchvision"):
        edgetam.load(tmp_path, {}, LoadOptions("edgetam", torch.device("cpu"), torch.float32))


def test_wrong_configuration_is_named(saved: tuple[Path, Load], tmp_path: Path) -> None:
    folder, load = saved
    raw = json.loads((folder / "config.json").read_text())
    raw.get("tracker_config", raw)["num_maskmem"] = "seven"
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(WeightsError, match=r"config.json does not describe the network of a .*Segmenter: .*num_maskmem"):
        load(tmp_path)


@pytest.mark.skipif(bool(NO_TIMM), reason=NO_TIMM)
def test_backbone_of_timm(tmp_path: Path, frames: list[SceneFrame]) -> None:
    """The published checkpoint has a RepViT of timm as its backbone."""
    tiny_edgetam("repvit_m0_9").save_pretrained(tmp_path)
    segmenter = load_segmenter(tmp_path, device="cpu")
    pixels = segmenter.preprocess(frames[0].color)
    with torch.inference_mode():
        expected = segmenter.model.get_image_features(pixels, return_dict=True).fpn_hidden_states
        features = segmenter.encode(pixels)
    for level, found in zip(expected, (*features.high, features.top)):
        tokens = found.flatten(2)[0].T if found.dim() == 4 else found
        torch.testing.assert_close(tokens, level[:, 0], atol=1e-4, rtol=1e-4)
