# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Names to networks, and every way that can fail, with the sentence it fails with."""

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

from lang2segtrack_ros.models import catalogue, store
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.loading import at_size, load_detector, load_segmenter, resolve_device, resolve_dtype
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, PointPrompt
from test.conftest import body_box
from test.logits import LogitsProbe

IMPORTS = "from lang2segtrack_ros.models.catalogue import WeightsError\nfrom lang2segtrack_ros.models.loading import load_segmenter"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(catalogue.TOY_FOLDER / "segmenter", tmp_path / "net"))


def test_a_folder_loads_like_a_name(folder: Path, segmenter: Sam2Segmenter) -> None:
    other = load_segmenter(str(folder), device="cpu")
    same = zip(segmenter.model.state_dict().values(), other.model.state_dict().values())
    assert all(torch.equal(a, b) for a, b in same)


def test_another_image_size(frames: list[SceneFrame]) -> None:
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
def test_image_sizes_the_network_cannot_take(size: int) -> None:
    with pytest.raises(WeightsError, match=f"image_size {size} does not suit"):
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


def test_weights_in_bfloat16_give_what_casting_them_on_every_frame_gives(frames: list[SceneFrame]) -> None:
    """To the bit: encoding, attention, masks, memories and pointers; also at another size, and with prompts of all kinds."""
    plain = load_segmenter("toy", device="cpu")
    cast = load_segmenter("toy", device="cpu", dtype="bfloat16")
    held = {name: value.dtype for name, value in cast.model.named_parameters() if value.dtype == torch.bfloat16}
    assert sum(cast.model.get_parameter(name).numel() for name in held) > 0.8 * sum(value.numel() for value in cast.model.parameters())
    for size in (128, 192):
        results = []
        for network in (plain, cast):
            sized = network if size == 192 else at_size(network, size)
            sized._autocast = True  # for the plain one: float32 weights, cast on every frame
            tracker = StreamTracker(sized)
            tracker.add(BoxPrompt(body_box(frames[0], 1)))
            tracker.add(MaskPrompt(frames[0].instances == 2))
            x1, y1, x2, y2 = body_box(frames[0], 3)
            tracker.add(PointPrompt([((x1 + x2) / 2, (y1 + y2) / 2)], [1]))
            logits, rows = LogitsProbe(tracker), []
            for frame in frames[:4]:
                tracker.step(frame.color)
                rows.append(logits.stacked())
            results.append((rows, tracker.bank.pointers.clone()))
        (expected, pointers), (found, others) = results
        assert all((one == other).all() for one, other in zip(expected, found))
        assert (pointers == others).all()


def test_a_detector_in_bfloat16_gives_what_casting_its_weights_on_every_image_gives(frames: list[SceneFrame]) -> None:
    plain = load_detector("toy", device="cpu")
    plain._autocast = True
    cast = load_detector("toy", device="cpu", dtype="bfloat16")
    phrases = ("red circle", "blue star", "green cross")
    found = [network.detect(frames[0].color, phrases, (0.3,) * 3) for network in (plain, cast)]
    assert found[0] == found[1]
    assert {item.label for item in found[0]} >= {"red circle", "blue star"}


def test_unknown_name() -> None:
    with pytest.raises(WeightsError, match=r'no segmenter is called "sam9".*sam2.1-tiny'):
        load_segmenter("sam9")
    with pytest.raises(WeightsError, match="grounding-dino-tiny"):
        load_detector("./nowhere")


@pytest.mark.parametrize(("device", "fault"), [("tpu9", "is no device"), ("cuda", "sees no GPU")])
def test_device(device: str, fault: str) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(WeightsError, match=fault):
        load_segmenter("toy", device=device)


@pytest.mark.parametrize(("device", "resolved"), [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cuda:2", None)])
def test_devices_of_a_machine_with_two_gpus(monkeypatch: pytest.MonkeyPatch, device: str, resolved: str | None) -> None:
    """A device has one name, or nodes that say "cuda" and "cuda:0" would load the weights twice; one that is not there is told."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    if resolved is None:
        with pytest.raises(WeightsError, match='device is "cuda:2" but there are 2 GPUs here'):
            resolve_device(device)
    else:
        assert resolve_device(device) == torch.device(resolved)


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((12, 0), torch.bfloat16)])
def test_bfloat16_only_where_it_is_computed_in(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: torch.dtype) -> None:
    """PyTorch says that a T4 can, and means that it emulates it."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_dtype("auto", torch.device("cuda:0")) is expected
    assert resolve_dtype("auto", torch.device("cpu")) is torch.float32


def test_unknown_dtype() -> None:
    with pytest.raises(WeightsError, match="float32 or bfloat16"):
        load_segmenter("toy", device="cpu", dtype="float8")


def test_a_detector_is_no_segmenter() -> None:
    with pytest.raises(WeightsError, match=r'holds a "grounding-dino" model; as segmenter'):
        load_segmenter(str(catalogue.TOY_FOLDER / "detector"), device="cpu")


def test_broken_files(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:1000])
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_segmenter(str(folder), device="cpu")
    (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"config.json cannot be read"):
        load_segmenter(str(folder), device="cpu")


def test_a_missing_tensor_is_an_error_not_a_random_number(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["memory_attention.layer_norm.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"1 tensors missing.*memory_attention.layer_norm.weight"):
        load_segmenter(str(folder), device="cpu")


def test_without_the_hub_the_message_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(catalogue.HOME_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: refused at once, with or without a network
    code = f"{IMPORTS}\ntry:\n    load_segmenter('sam2.1-tiny')\nexcept WeightsError as e:\n    print(e)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120).stdout
    assert "facebook/sam2.1-hiera-tiny cannot be fetched" in said
    assert str(tmp_path / "sam2.1-tiny") in said


def test_files_put_by_hand_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(catalogue.HOME_VARIABLE, str(tmp_path))
    shutil.copytree(catalogue.TOY_FOLDER / "segmenter", tmp_path / "sam2.1-tiny", ignore=shutil.ignore_patterns(store.CHECKSUMS))
    assert load_segmenter("sam2.1-tiny", device="cpu").image_size == 192
    assert load_segmenter("facebook/sam2.1-hiera-tiny", device="cpu").image_size == 192


def test_a_torchvision_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """transformers would say "Could not import module 'Sam2VideoModel'"."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    code = f"{IMPORTS}\ntry:\n    load_segmenter('toy')\nexcept WeightsError as e:\n    print(e)"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    assert "torchvision does not fit torch" in said
    assert "uninstall torchvision" in said


def test_verify_finds_changed_and_missing_files(folder: Path) -> None:
    assert store.verify(folder) == []
    (folder / "config.json").write_text("{}")
    (folder / "processor_config.json").unlink()
    problems = store.verify(folder)
    assert any("config.json has changed" in problem for problem in problems)
    assert any("processor_config.json is missing" in problem for problem in problems)
    (folder / store.CHECKSUMS).unlink()
    assert "nothing to compare with" in store.verify(folder)[0]


def test_the_built_in_checkpoints_are_small_and_whole() -> None:
    size = sum(path.stat().st_size for path in catalogue.TOY_FOLDER.rglob("*") if path.is_file())
    assert size < 12_000_000
    for kind in ("segmenter", "detector"):
        assert store.verify(catalogue.TOY_FOLDER / kind) == []
        assert json.loads((catalogue.TOY_FOLDER / kind / "config.json").read_text())["model_type"] in ("sam2_video", "grounding-dino")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A hub that has the toy segmenter under a published name; what it does to a download is up to the test."""
    served: dict[str, Any] = {"damage": lambda folder: None}
    source = catalogue.TOY_FOLDER / "segmenter"
    digest = store.sha256(source / "model.safetensors")
    files = [
        SimpleNamespace(rfilename="model.safetensors", lfs=SimpleNamespace(sha256=digest)),
        SimpleNamespace(rfilename="config.json", lfs=None),
    ]

    def download(hub_id: str, local_dir: Path, allow_patterns: list[str]) -> None:
        local_dir.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "config.json", local_dir)
        served["damage"](local_dir)
        if not (local_dir / "model.safetensors").exists():
            shutil.copy(source / "model.safetensors", local_dir)

    monkeypatch.setenv(catalogue.HOME_VARIABLE, str(tmp_path / "weights"))
    import transformers.utils.hub  # noqa: F401  (which imports what is replaced here)

    monkeypatch.setattr("huggingface_hub.HfApi", lambda: SimpleNamespace(model_info=lambda *_, **__: SimpleNamespace(siblings=files)))
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return served


def test_a_download_that_was_broken_off_is_gone_on_with(hub: dict[str, Any]) -> None:
    """A folder that holds but the configuration would be refused on every start from then on."""

    def broken_off(folder: Path) -> None:
        raise KeyboardInterrupt

    hub["damage"] = broken_off
    with pytest.raises(KeyboardInterrupt):
        load_segmenter("sam2.1-tiny", device="cpu")
    assert catalogue.local_folder("sam2.1-tiny", "segmenter") is None
    hub["damage"] = lambda folder: None
    assert load_segmenter("sam2.1-tiny", device="cpu").image_size == 192
    assert store.verify(catalogue.weights_home() / "sam2.1-tiny") == []


def test_a_folder_is_filled_by_hand_after_a_download_that_failed(hub: dict[str, Any]) -> None:
    """As the error says: behind a proxy that answers for the hub and lets no large file through."""

    def blocked(folder: Path) -> None:
        raise OSError("blocked")

    hub["damage"] = blocked
    with pytest.raises(WeightsError, match="put its files"):
        load_segmenter("sam2.1-tiny", device="cpu")
    shutil.copy(catalogue.TOY_FOLDER / "segmenter" / "model.safetensors", catalogue.weights_home() / "sam2.1-tiny")
    assert load_segmenter("sam2.1-tiny", device="cpu").image_size == 192


def test_a_file_that_is_not_the_hubs_is_not_used_the_next_time_either(hub: dict[str, Any]) -> None:
    hub["damage"] = lambda folder: shutil.copy(catalogue.TOY_FOLDER / "detector" / "model.safetensors", folder)
    for _ in range(2):
        with pytest.raises(WeightsError, match="was not the file on the hub, and is deleted"):
            load_segmenter("sam2.1-tiny", device="cpu")
    hub["damage"] = lambda folder: None
    assert load_segmenter("sam2.1-tiny", device="cpu").image_size == 192


def test_the_kind_of_a_folder_is_its_own_word() -> None:
    assert [store.kind_of(str(catalogue.TOY_FOLDER / kind)) for kind in ("segmenter", "detector")] == ["segmenter", "detector"]
