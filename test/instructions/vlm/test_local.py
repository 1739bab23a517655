# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Local models through their real processors and `generate`: small networks that say anything, and ones that know one answer."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from lang2segtrack_ros.instructions.scene import box_iou
from lang2segtrack_ros.instructions.vlm import local, prompts
from lang2segtrack_ros.instructions.vlm.factory import make_vlm_resolver
from lang2segtrack_ros.instructions.vlm.local import LocalModel, load_local_model
from lang2segtrack_ros.instructions.vlm.model import VlmClosedError, VlmError
from lang2segtrack_ros.instructions.vlm.options import VlmOptions
from lang2segtrack_ros.instructions.vlm.resolver import VlmResolver
from lang2segtrack_ros.models.catalogue import HOME_VARIABLE, WeightsError
from lang2segtrack_ros.toyworld.arrangements import make_arrangement
from lang2segtrack_ros.types.prompts import PromptError
from test.instructions.vlm.networks import random_image, save_florence2, save_qwen3_vl, teach
from test.instructions.vlm.toy_answers import request_for, track_of

WORLD = make_arrangement("scattered", 3)
CROSS, OTHER = WORLD.items[:2]
TEXT = "the orange cross"


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random Qwen3-VL."""
    return save_qwen3_vl(tmp_path_factory.mktemp("qwen"))


@pytest.fixture(scope="session")
def florence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random Florence-2."""
    return save_florence2(tmp_path_factory.mktemp("florence"))


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that never ends its answer must not cost minutes."""
    monkeypatch.setattr(local, "MAX_NEW_TOKENS", 80)


def load(folder: Path, **values: object) -> LocalModel:
    """Load a model on the CPU, where random weights say the same everywhere."""
    return load_local_model(VlmOptions(vlm_model=str(folder), **values), "cpu", "float32")  # type: ignore[arg-type]


@pytest.mark.parametrize("network", ["qwen", "florence"])
def test_random_network_is_refused_or_read(request: pytest.FixtureRequest, network: str) -> None:
    """Whatever a network says, the user reads a sentence, and other image sizes work as well."""
    options = VlmOptions(vlm_model=str(request.getfixturevalue(network)), vlm_answer_format="pixels", vlm_max_edge=100)
    resolver = make_vlm_resolver(options, device="cpu")
    tracks = [track_of(WORLD, CROSS.number, 4)]
    for number, prompt in enumerate([request_for(WORLD, TEXT), request_for(WORLD, TEXT, tracks, [4]), request_for(WORLD, "é" * 50)]):
        try:
            result = resolver.resolve(prompt)
        except PromptError as error:
            message = str(error)
            assert " gave an answer that cannot be used: " in message
            assert ' It said: "' in message
        else:
            assert result.detections or result.missing
        assert resolver.metrics()["vlm_instructions"] == number + 1
    assert resolver.metrics()["vlm_requests_failed"] == 0
    resolver.close()


def test_qwen3_vl_finds_the_object(qwen: Path) -> None:
    """A network that knows one answer gives the box of the toy object, through chat template, image tokens and decoding."""
    model = load(qwen, vlm_answer_format="pixels")
    processor, text = model._processor, prompts.first_text(TEXT, "pixels", (320, 240))
    content = [{"type": "image", "image": WORLD.shot.color}, {"type": "text", "text": text}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    answer = json.dumps([{"bbox_2d": list(CROSS.box), "label": "cross"}])
    target = processor.tokenizer(f"{answer}<|im_end|>", return_tensors="pt", add_special_tokens=False)["input_ids"]
    assert teach(model._model, inputs, target, 400, 3e-3) < 0.05
    result = VlmResolver(model).resolve(request_for(WORLD, TEXT))
    assert [(item.label, item.box) for item in result.detections] == [("cross", CROSS.box)]
    assert result.plan[1] == f"answer: {answer}"


def test_florence2_finds_the_object(florence: Path) -> None:
    """The phrase goes into the task, and the location tokens become pixels. A check again judges the tracks by their boxes."""
    model = load(florence)
    inputs = model._processor(text=f"<OPEN_VOCABULARY_DETECTION>{TEXT}", images=WORLD.shot.color, return_tensors="pt")
    bins = [int(edge / size * 1000) for edge, size in zip(CROSS.box, (320, 240, 320, 240))]
    said = "cross" + "".join(f"<loc_{value}>" for value in bins) + "</s>"
    target = model._processor.tokenizer(said, return_tensors="pt", add_special_tokens=False)["input_ids"]
    assert teach(model._model, inputs, target, 400, 1e-2) < 0.05
    resolver = VlmResolver(model)
    (found,) = resolver.resolve(request_for(WORLD, f"{TEXT}.")).detections
    assert found.label == "cross"
    assert box_iou(found.box, CROSS.box) > 0.9
    tracks = [track_of(WORLD, CROSS.number, 4), track_of(WORLD, OTHER.number, 9)]
    result = resolver.resolve(request_for(WORLD, TEXT, tracks, [9]))
    assert [item.box for item in result.detections] == [tracks[0].box]
    assert set(result.judged) == {tracks[0].box, tracks[1].box}


def test_known_format_by_the_type_of_the_model(qwen: Path, florence: Path) -> None:
    """A folder may have any name. Florence-2 gives pixels, whatever is declared."""
    assert load(qwen).answer_format == "thousandths"
    assert load(qwen, vlm_answer_format="fractions").answer_format == "fractions"
    assert load(florence, vlm_answer_format="fractions").answer_format == "pixels"


def test_time_limit_and_close(qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both end the answer at the next token."""
    monkeypatch.setattr(local, "MAX_NEW_TOKENS", 1_000_000)
    model = load(qwen, vlm_timeout_s=0.5)
    with pytest.raises(VlmError) as raised:
        model.generate(random_image(1), "hello")
    assert str(raised.value) == f"{qwen} needed more than 0.5 s: raise vlm_timeout_s, reduce vlm_max_edge, or use a smaller model"
    model = load(qwen, vlm_timeout_s=600.0)
    errors: list[Exception] = []

    def ask() -> None:
        try:
            model.generate(random_image(1), "hello")
        except VlmError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    threading.Event().wait(0.5)
    model.close()
    thread.join(60)
    assert isinstance(errors[0], VlmClosedError)
    with pytest.raises(VlmClosedError):
        model.generate(random_image(1), "hello")


def test_failure_of_the_network_is_a_sentence(qwen: Path) -> None:
    """The image processor of Qwen refuses long stripes."""
    with pytest.raises(VlmError, match=r"failed on an image of 9000 x 8 pixels \(ValueError: .*: use another model or image size"):
        load(qwen).generate(random_image(1, 8, 9000), "hello")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/nowhere/at all", 'vlm_model is "/nowhere/at all", which is no folder with a model: give a folder or a hub id such as'),
        ("qwen", 'vlm_model is "qwen", which is no folder with a model'),
    ],
)
def test_unknown_name(name: str, message: str) -> None:
    """The sentence names what was given, and both other ways."""
    with pytest.raises(WeightsError) as raised:
        make_vlm_resolver(VlmOptions(vlm_model=name))
    assert str(raised.value).startswith(message)
    assert str(raised.value).endswith("or set vlm_url to use a server")


def test_damaged_folders(qwen: Path, tmp_path: Path) -> None:
    """Each missing or wrong file is named with what to do."""
    folder = tmp_path / "model"

    def message(**changes: str | None) -> str:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(qwen, folder)
        for name, text in changes.items():
            path = next(path for path in folder.iterdir() if path.name.replace(".", "_") == name)
            path.unlink() if text is None else path.write_text(text)
        with pytest.raises(WeightsError) as raised:
            load(folder)
        return str(raised.value).replace(str(folder), "FOLDER")

    assert message(config_json=None) == (
        'vlm_model is "FOLDER", which has no config.json: '
        "give a folder or a hub id such as Qwen/Qwen3-VL-4B-Instruct, or set vlm_url to use a server"
    )
    assert "FOLDER/config.json cannot be read" in message(config_json="{")
    assert 'FOLDER holds a "bert" model, which takes no image and text' in message(config_json='{"model_type": "bert"}')
    assert "FOLDER/config.json does not fit a qwen3_vl model" in message(config_json='{"model_type": "qwen3_vl", "text_config": 3}')
    assert "the processor in FOLDER cannot be loaded" in message(preprocessor_config_json=None)
    assert "the processor in FOLDER cannot be loaded" in message(tokenizer_json="{")
    assert "the weights in FOLDER cannot be loaded" in message(model_safetensors="x")
    config = json.loads((qwen / "config.json").read_text())
    config["text_config"]["hidden_size"] = 32
    assert "the weights in FOLDER do not fit the network" in message(config_json=json.dumps(config))


def test_hub_id_uses_a_complete_download(qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large models have several files of weights, and an interrupted download lacks some."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    folder = tmp_path / "toy--vlm"
    shutil.copytree(qwen, folder)
    assert load(Path("toy/vlm")).name == "toy/vlm"
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    index = {
        "metadata": {},
        "weight_map": dict.fromkeys(_tensors(folder / "model-00001-of-00001.safetensors"), "model-00001-of-00001.safetensors"),
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert load(Path("toy/vlm")).name == "toy/vlm"
    (folder / "model-00001-of-00001.safetensors").unlink()
    with pytest.raises(WeightsError, match="toy/vlm cannot be fetched from the hub"):
        load(Path("toy/vlm"))


def _tensors(path: Path) -> list[str]:
    """Return the names of the tensors of a file."""
    data = path.read_bytes()
    length = int(np.frombuffer(data[:8], np.uint64)[0])
    return [name for name in json.loads(data[8 : 8 + length]) if name != "__metadata__"]
