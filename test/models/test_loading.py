# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Loading of networks by name, and the error message of every failure."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lang2segtrack_ros.models import catalogue, loading, store
from lang2segtrack_ros.models.catalogue import ACCELERATIONS, WeightsError
from lang2segtrack_ros.models.device import detector_acceleration, resolve_acceleration, resolve_device, resolve_dtype
from lang2segtrack_ros.models.loading import find_folders, load_detector, load_segmenter
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.prompts import BoxPrompt
from test.conftest import body_box
from test.logits import LogitsProbe

IMPORTS = "from lang2segtrack_ros.models.catalogue import WeightsError\nfrom lang2segtrack_ros.models.loading import load_segmenter"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(catalogue.TOY_FOLDER / "segmenter", tmp_path / "net"))


def test_folder_loads_like_a_short_name(folder: Path, segmenter: Sam2Segmenter) -> None:
    other = load_segmenter(str(folder), device="cpu")
    pairs = zip(segmenter.model.state_dict().values(), other.model.state_dict().values())
    assert all(torch.equal(a, b) for a, b in pairs)


def test_segmenter_tracks_at_another_image_size(frames: list[SceneFrame]) -> None:
    segmenter = load_segmenter("toy", device="cpu", image_size=256)
    assert segmenter.image_size == 256
    tracker = StreamTracker(segmenter)
    logits = LogitsProbe(tracker)
    tracker.add(BoxPrompt(body_box(frames[0], 1)))
    for frame in frames[:4]:
        (track,) = tracker.step(frame.color)
    assert logits[track.id].shape == (64, 64)
    assert np.count_nonzero(track.mask & (frames[3].instances == 1)) / np.count_nonzero(frames[3].instances == 1) > 0.5


@pytest.mark.parametrize("size", [100, 16, 33])
def test_impossible_image_size_is_refused(size: int) -> None:
    with pytest.raises(WeightsError, match=f"image_size {size} does not fit"):
        load_segmenter("toy", device="cpu", image_size=size)


def test_bfloat16_tracks_the_same_object(frames: list[SceneFrame], segmenter: Sam2Segmenter) -> None:
    masks = []
    for network in (segmenter, load_segmenter("toy", device="cpu", dtype="bfloat16")):
        tracker = StreamTracker(network)
        tracker.add(BoxPrompt(body_box(frames[0], 1)))
        for frame in frames[:6]:
            (track,) = tracker.step(frame.color)
        masks.append(track.mask)
    assert np.count_nonzero(masks[0] & masks[1]) / np.count_nonzero(masks[0] | masks[1]) > 0.85


def test_bfloat16_detector_equals_casting_on_every_image(frames: list[SceneFrame]) -> None:
    float32 = load_detector("toy", device="cpu")
    float32._autocast = True
    bfloat16 = load_detector("toy", device="cpu", dtype="bfloat16")
    phrases = ("red circle", "blue star", "green cross")
    detections = [network.detect(frames[0].color, phrases, (0.3,) * 3) for network in (float32, bfloat16)]
    assert detections[0] == detections[1]
    assert {item.label for item in detections[0]} >= {"red circle", "blue star"}


def test_unknown_name_lists_the_known_names() -> None:
    with pytest.raises(WeightsError, match=r'no segmenter is called "sam9".*sam2.1-tiny'):
        load_segmenter("sam9")
    with pytest.raises(WeightsError, match="grounding-dino-tiny"):
        load_detector("./missing")


@pytest.mark.parametrize(("device", "fault"), [("tpu9", "is not a device"), ("cuda", "finds no GPU")])
def test_unavailable_device_is_refused(device: str, fault: str) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(WeightsError, match=fault):
        load_segmenter("toy", device=device)


@pytest.mark.parametrize(("device", "resolved"), [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cuda:2", None)])
def test_devices_on_a_machine_with_two_gpus(monkeypatch: pytest.MonkeyPatch, device: str, resolved: str | None) -> None:
    """Nodes with "cuda" and "cuda:0" must share the weights, so both names resolve to one device. A missing device is an error."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    if resolved is None:
        with pytest.raises(WeightsError, match='device is "cuda:2" but this machine has 2 GPUs'):
            resolve_device(device)
    else:
        assert resolve_device(device) == torch.device(resolved)


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((12, 0), torch.bfloat16)])
def test_auto_dtype_is_bfloat16_only_with_hardware_support(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: torch.dtype
) -> None:
    """PyTorch reports bfloat16 support on a T4, although the GPU only emulates bfloat16."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_dtype("auto", torch.device("cuda:0")) is expected
    assert resolve_dtype("auto", torch.device("cpu")) is torch.float32


def test_unknown_dtype_is_refused() -> None:
    with pytest.raises(WeightsError, match="float32 or bfloat16"):
        load_segmenter("toy", device="cpu", dtype="float8")


def test_detector_folder_is_refused_as_segmenter() -> None:
    with pytest.raises(WeightsError, match=r'holds a "grounding-dino" model; a segmenter must be'):
        load_segmenter(str(catalogue.TOY_FOLDER / "detector"), device="cpu")


def test_broken_files_are_refused(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:1000])
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_segmenter(str(folder), device="cpu")
    (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"config.json cannot be read"):
        load_segmenter(str(folder), device="cpu")


def test_missing_tensor_is_an_error(folder: Path) -> None:
    """transformers alone would only warn and fill the tensor with random numbers."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["memory_attention.layer_norm.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"1 tensors are missing.*memory_attention.layer_norm.weight"):
        load_segmenter(str(folder), device="cpu")


def test_unreachable_hub_error_names_all_missing_networks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user who copies the files by hand needs both folders at once, and a newcomer the networks that need no download."""
    monkeypatch.setenv(catalogue.HOME_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port refuses connections at once, with or without a network
    names = "'sam2.1-tiny', 'llmdet-tiny'"
    code = f"{IMPORTS}, find_folders\ntry:\n    find_folders({names})\nexcept WeightsError as e:\n    print(e)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120).stdout
    for hub_id, folder in (("facebook/sam2.1-hiera-tiny", "sam2.1-tiny"), ("iSEE-Laboratory/llmdet_tiny", "llmdet-tiny")):
        assert f"{hub_id} cannot be fetched" in output
        assert str(tmp_path / folder) in output
    assert 'use "toy" for both names' in output


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ("nope", 'no detector is called "nope"'),
        ("sam2.1-tiny", "is a segmenter"),
        ("sam3", "has a restricted license"),
    ],
)
def test_wrong_name_is_reported_before_any_download(detector: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user must not wait for the download of the segmenter to learn that the name of the detector is wrong."""
    monkeypatch.setenv(catalogue.HOME_VARIABLE, str(tmp_path))
    monkeypatch.setattr(loading, "fetch", lambda name: pytest.fail(f"{name} is downloaded"))
    with pytest.raises(WeightsError, match=message):
        find_folders("sam2.1-tiny", detector)


def test_manually_copied_files_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(catalogue.HOME_VARIABLE, str(tmp_path))
    shutil.copytree(catalogue.TOY_FOLDER / "segmenter", tmp_path / "sam2.1-tiny", ignore=shutil.ignore_patterns(store.CHECKSUMS))
    assert load_segmenter("sam2.1-tiny", device="cpu").image_size == 192
    assert load_segmenter("facebook/sam2.1-hiera-tiny", device="cpu").image_size == 192


def test_incompatible_torchvision_is_named(tmp_path: Path) -> None:
    """Without this check, transformers reports "Could not import module 'Sam2VideoModel'" and does not name torchvision."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    code = f"{IMPORTS}\ntry:\n    load_segmenter('toy')\nexcept WeightsError as e:\n    print(e)"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    assert "torchvision does not fit torch" in output
    assert "uninstall torchvision" in output


def test_verify_reports_changed_and_missing_files(folder: Path) -> None:
    assert store.verify(folder) == []
    (folder / "config.json").write_text("{}")
    (folder / "processor_config.json").unlink()
    problems = store.verify(folder)
    assert any("config.json has changed" in problem for problem in problems)
    assert any("processor_config.json is missing" in problem for problem in problems)
    (folder / store.CHECKSUMS).unlink()
    assert "nothing to compare with" in store.verify(folder)[0]


def test_built_in_checkpoints_are_small_and_pass_verification() -> None:
    size = sum(path.stat().st_size for path in catalogue.TOY_FOLDER.rglob("*") if path.is_file())
    assert size < 12_000_000
    for kind in ("segmenter", "detector"):
        assert store.verify(catalogue.TOY_FOLDER / kind) == []
        assert json.loads((catalogue.TOY_FOLDER / kind / "config.json").read_text())["model_type"] in ("sam2_video", "grounding-dino")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A fake hub that serves the toy segmenter under a published name. A test may damage a download through `damage`."""
    behavior: dict[str, Any] = {"damage": lambda folder: None}
    source = catalogue.TOY_FOLDER / "segmenter"
    digest = store.sha256(source / "model.safetensors")
    files = [
        SimpleNamespace(rfilename="model.safetensors", lfs=SimpleNamespace(sha256=digest), size=5_000_000),
        SimpleNamespace(rfilename="config.json", lfs=None, size=None),
        SimpleNamespace(rfilename="pytorch_model.bin", lfs=None, size=9_000_000_000),  # not downloaded
    ]

    def download(hub_id: str, local_dir: Path, allow_patterns: list[str]) -> None:
        local_dir.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "config.json", local_dir)
        behavior["damage"](local_dir)
        if not (local_dir / "model.safetensors").exists():
            shutil.copy(source / "model.safetensors", local_dir)

    monkeypatch.setenv(catalogue.HOME_VARIABLE, str(tmp_path / "weights"))
    import transformers.utils.hub  # noqa: F401  (it imports the names that the fixture replaces)

    monkeypatch.setattr("huggingface_hub.HfApi", lambda: SimpleNamespace(model_info=lambda *_, **__: SimpleNamespace(siblings=files)))
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return behavior


def test_interrupted_download_is_resumed(hub: dict[str, Any]) -> None:
    """An incomplete folder must not count as a checkpoint. Otherwise every later start would fail."""

    def interrupt(folder: Path) -> None:
        raise KeyboardInterrupt

    hub["damage"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        load_segmenter("sam2.1-tiny", device="cpu")
    assert catalogue.local_folder("sam2.1-tiny", "segmenter") is None
    hub["damage"] = lambda folder: None
    assert load_segmenter("sam2.1-tiny", device="cpu").image_size == 192
    assert store.verify(catalogue.weights_home() / "sam2.1-tiny") == []


def test_small_disk_is_named_before_the_download(hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the download fails after hours, with the message of a library."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=4_000_000))
    with pytest.raises(WeightsError, match=f"needs 5 MB, but its disk has 4 MB free: .*{catalogue.HOME_VARIABLE}"):
        load_segmenter("sam2.1-tiny", device="cpu")
    leftover = catalogue.weights_home() / "sam2.1-tiny" / ".cache" / "part.incomplete"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(bytes(1_000_000))
    assert load_segmenter("sam2.1-tiny", device="cpu").image_size == 192, "the download resumes, so it needs only the rest"


def test_folder_can_be_filled_manually_after_a_failed_download(hub: dict[str, Any]) -> None:
    """The error message asks for this, for example behind a proxy that blocks large files."""

    def blocked(folder: Path) -> None:
        raise OSError("blocked")

    hub["damage"] = blocked
    with pytest.raises(WeightsError, match="put its files"):
        load_segmenter("sam2.1-tiny", device="cpu")
    shutil.copy(catalogue.TOY_FOLDER / "segmenter" / "model.safetensors", catalogue.weights_home() / "sam2.1-tiny")
    assert load_segmenter("sam2.1-tiny", device="cpu").image_size == 192


def test_file_with_a_wrong_digest_is_deleted(hub: dict[str, Any]) -> None:
    """Otherwise the next start would use the wrong file."""
    hub["damage"] = lambda folder: shutil.copy(catalogue.TOY_FOLDER / "detector" / "model.safetensors", folder)
    for _ in range(2):
        with pytest.raises(WeightsError, match="differed from the file on the hub and was deleted"):
            load_segmenter("sam2.1-tiny", device="cpu")
    hub["damage"] = lambda folder: None
    assert load_segmenter("sam2.1-tiny", device="cpu").image_size == 192


def test_kind_of_a_folder_comes_from_its_config() -> None:
    assert [store.kind_of(str(catalogue.TOY_FOLDER / kind)) for kind in ("segmenter", "detector")] == ["segmenter", "detector"]


def test_acceleration_is_resolved_for_the_device() -> None:
    """A CPU has no CUDA graphs. A user who asks for them must learn it, and one who does not must get what works."""
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    assert resolve_acceleration("auto", cpu) == "off"
    assert resolve_acceleration("auto", gpu) == "graphs"
    assert resolve_acceleration("max", gpu) == "max"
    assert [detector_acceleration(name, gpu) for name in ACCELERATIONS] == ["graphs", "off", "graphs", "graphs", "graphs"]
    assert [detector_acceleration(name, cpu) for name in ("auto", "off", "compile")] == ["off"] * 3
    with pytest.raises(WeightsError, match='acceleration "graphs" needs an NVIDIA GPU, but the device is cpu'):
        load_segmenter("toy", "cpu", acceleration="graphs")
    with pytest.raises(WeightsError, match='acceleration "graphs" needs an NVIDIA GPU'):
        load_detector("toy", "cpu", acceleration="graphs")
    with pytest.raises(WeightsError, match='acceleration is "fast"; it must be one of: auto, off, graphs, compile, max'):
        load_segmenter("toy", "cpu", acceleration="fast")
