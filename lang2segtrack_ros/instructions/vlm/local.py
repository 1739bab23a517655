# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Vision-language models on this machine, loaded with transformers.

`ChatModel` is for models with a chat template, such as Qwen3-VL, Qwen3.5 and Molmo2. `Florence2Model` is for Florence-2, which takes a task
and a phrase.
"""

from __future__ import annotations

import json
import threading
import time
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lang2segtrack_ros.instructions.vlm.adapters.florence2 import TASKS
from lang2segtrack_ros.instructions.vlm.local_files import find_model_folder, load_processor, read_config
from lang2segtrack_ros.instructions.vlm.model import VlmClosedError, VlmError
from lang2segtrack_ros.instructions.vlm.options import VlmOptions, known_format
from lang2segtrack_ros.models.catalogue import WeightsError
from lang2segtrack_ros.models.device import resolve_device, resolve_dtype
from lang2segtrack_ros.models.strict_loading import load_strictly
from lang2segtrack_ros.runtime.streams import own_stream

MAX_NEW_TOKENS = 1024
_FLORENCE_BEAMS = 3  # as in the examples of its authors


class LocalModel(ABC):
    """A model on this machine; see `VisionLanguageModel`. One thread at a time may call `generate`.

    Args:
        name: name of the model for messages.
        model: the network, on its device.
        processor: its processor.
        answer_format: see `VisionLanguageModel`.
        timeout_s: maximum time for an answer in seconds. The time of the first token is not limited.

    Attributes:
        name, answer_format, grounds_phrases: see `VisionLanguageModel`.
        device: device of the network.
    """

    grounds_phrases = False

    def __init__(self, name: str, model: Any, processor: Any, answer_format: str = "auto", timeout_s: float = 30.0) -> None:
        self.name = name
        self.answer_format = answer_format
        self.device: torch.device = model.device
        self._model = model
        self._processor = processor
        self._timeout = timeout_s
        self._closed = threading.Event()
        self._requests = self._failures = 0
        self._seconds = 0.0

    def generate(self, image: NDArray[np.uint8], prompt_text: str) -> str:
        """Return the answer of the model; see `VisionLanguageModel.generate`.

        Args:
            image: uint8 [H, W, 3], RGB.
            prompt_text: the text, or the phrase if `grounds_phrases`.

        Raises:
            VlmError: the time is over, memory is short, or the model fails on this image. The message says what to do.
        """
        self._check_open()
        self._requests += 1
        began = time.monotonic()
        try:
            with own_stream(self.device), torch.inference_mode():
                text = self._generate(image, prompt_text)
        except Exception as error:  # a failure of the network must leave the stream of images running
            self._failures += 1
            raise self._sentence(error, image) from error
        finally:
            self._seconds = time.monotonic() - began
        self._check_open()
        if self._seconds > self._timeout:
            self._failures += 1
            raise VlmError(
                f"{self.name} needed more than {self._timeout:g} s: raise vlm_timeout_s, reduce vlm_max_edge, or use a smaller model"
            )
        return text

    def close(self) -> None:
        """End a running answer at its next token, and refuse further requests."""
        self._closed.set()

    def metrics(self) -> dict[str, object]:
        """Return the counters of the requests."""
        return {
            "vlm_requests": self._requests,
            "vlm_requests_failed": self._failures,
            "vlm_request_ms": round(1e3 * self._seconds, 1),
        }

    @abstractmethod
    def _generate(self, image: NDArray[np.uint8], text: str) -> str:
        """Return the answer of the network."""

    def _tokens(self, inputs: Any, limit: int, **settings: Any) -> Any:
        """Return the tokens that the network generates for the output of its processor, at most `limit` new ones: int64 [1, N]."""
        deadline = time.monotonic() + self._timeout

        def is_over(input_ids: Any, scores: Any, **_: Any) -> Any:
            over = self._closed.is_set() or time.monotonic() > deadline
            return torch.full((len(input_ids),), over, dtype=torch.bool, device=input_ids.device)

        return self._model.generate(
            **inputs.to(self.device, self._model.dtype),
            max_new_tokens=limit,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            stopping_criteria=[is_over],
            **settings,
        )

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise VlmClosedError(f"{self.name} is closed")

    def _sentence(self, error: Exception, image: NDArray[np.uint8]) -> VlmError:
        height, width = image.shape[:2]
        if isinstance(error, torch.OutOfMemoryError):
            return VlmError(f"{self.name} ran out of memory on an image of {width} x {height} pixels: reduce vlm_max_edge, or use a server")
        reason = f"{type(error).__name__}: {error}"[:300]
        return VlmError(f"{self.name} failed on an image of {width} x {height} pixels ({reason}): use another model or image size")


class ChatModel(LocalModel):
    """A model with a chat template."""

    def _generate(self, image: NDArray[np.uint8], text: str) -> str:
        content = [{"type": "image", "image": image}, {"type": "text", "text": text}]
        inputs = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        tokens = self._tokens(inputs, MAX_NEW_TOKENS)
        answer: str = self._processor.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return answer


class Florence2Model(LocalModel):
    """Florence-2. Its answer is the dictionary of its processor as JSON.

    The task is open-vocabulary detection, because it searches for the phrase as a whole. Phrase grounding would also give the objects that
    the phrase names only to describe others.
    """

    grounds_phrases = True

    def _generate(self, image: NDArray[np.uint8], text: str) -> str:
        inputs = self._processor(text=f"{TASKS[0]}{text}", images=image, return_tensors="pt")
        positions = self._model.config.text_config.max_position_embeddings
        tokens = self._tokens(inputs, min(MAX_NEW_TOKENS, positions - 2), num_beams=_FLORENCE_BEAMS)
        said = self._processor.batch_decode(tokens, skip_special_tokens=False)[0]
        height, width = image.shape[:2]
        return json.dumps(self._processor.post_process_generation(said, task=TASKS[0], image_size=(width, height)))


def load_local_model(options: VlmOptions, device: str = "auto", dtype: str = "auto") -> LocalModel:
    """Load the model of the options with transformers.

    Args:
        options: options with `vlm_model`.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        dtype: "auto", "float32" or "bfloat16".

    Raises:
        WeightsError: the model is not found, is of another kind, does not fit the memory, or its files are damaged. The message says what
            to do.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText

    target = resolve_device(device)
    folder = find_model_folder(options.vlm_model)
    kind = read_config(folder)["model_type"]
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the classes of configurations raise errors of several libraries
        raise WeightsError(f"{folder}/config.json does not fit a {kind} model ({error}): copy the files of the model again") from error
    processor = load_processor(folder)
    model = load_strictly(AutoModelForImageTextToText, folder, config, resolve_dtype(dtype, target))
    try:
        model = model.to(target)
    except torch.OutOfMemoryError as error:
        raise WeightsError(
            f"{options.vlm_model} does not fit the memory of {target}: use a smaller model, or a server (vlm_url)"
        ) from error
    if target.type == "cuda":  # any CUDA stream may use the weights, so all of them must be on the device
        torch.cuda.synchronize(target)
    if kind == "florence2":
        return Florence2Model(options.vlm_model, model, processor, "pixels", options.vlm_timeout_s)
    answer_format = known_format(kind, known_format(options.vlm_model, options.vlm_answer_format))
    return ChatModel(options.vlm_model, model, processor, answer_format, options.vlm_timeout_s)
