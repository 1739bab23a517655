# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Training loop of both networks: optimizer, learning rate, averaged weights, log, and a state on disk to resume from."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

SAVE_EVERY = 50
LOG_EVERY = 20


class Loop:
    """Training loop.

    Args:
        folder: folder for `state.pt`, from which an interrupted training resumes, and `log.jsonl`.
        model: network to train and ship.
        helpers: parameters that only the training needs.
        steps: number of steps.
        rate: highest learning rate. It rises over 60 steps and falls with a cosine.
    """

    def __init__(self, folder: Path, model: nn.Module, helpers: nn.Module, steps: int, rate: float) -> None:
        self.folder, self.model, self.helpers, self.steps, self.rate = folder, model, helpers, steps, rate
        folder.mkdir(parents=True, exist_ok=True)
        self.step = 0
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        groups = [
            {"params": [p for _, p in named if p.ndim > 1], "weight_decay": 0.02},
            {"params": [p for _, p in named if p.ndim <= 1], "weight_decay": 0.0},
            {"params": list(helpers.parameters()), "weight_decay": 0.02},
        ]
        self.optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, betas=(0.9, 0.98))
        self.average = {name: p.detach().clone() for name, p in named}
        self._named = named
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._state = folder / "state.pt"
        if self._state.is_file():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self._state, map_location="cpu", weights_only=True)
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.helpers.load_state_dict(state["helpers"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = {name: value.to(self.average[name].device) for name, value in state["average"].items()}
        log = self.folder / "log.jsonl"
        rows = [row for row in log.read_text().splitlines() if json.loads(row)["step"] <= self.step] if log.is_file() else []
        log.write_text("".join(row + "\n" for row in rows))
        print(f"resuming from step {self.step} of {self.steps} in {self.folder}", flush=True)

    def _save(self) -> None:
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "helpers": self.helpers.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
        }
        partial = self._state.with_suffix(".part")
        torch.save(state, partial)
        os.replace(partial, self._state)

    def run(self, loss_of: Callable[[int], tuple[Tensor, dict[str, float]]]) -> None:
        """Run the remaining steps.

        Args:
            loss_of: returns the loss of a step and numbers to log.
        """
        started, first_step = time.monotonic(), self.step
        while self.step < self.steps:
            rate = self.rate * min(1.0, (self.step + 1) / 60) * (0.5 * (1 + math.cos(math.pi * self.step / self.steps)) * 0.98 + 0.02)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            loss, numbers = loss_of(self.step)
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            if torch.isfinite(norm):
                self.optimizer.step()
            self.step += 1
            self._update_average()
            self._add_to_means({"loss": float(loss.detach()), "norm": float(norm), **numbers})
            if self.step % LOG_EVERY == 0:
                self._log(rate, (time.monotonic() - started) / (self.step - first_step))
            if self.step % SAVE_EVERY == 0 or self.step == self.steps:
                self._save()

    @torch.no_grad()
    def _update_average(self) -> None:
        """Update the running average of the weights. It covers about the last 5 % of the steps, at least 10."""
        decay = 1 - 1 / max(10.0, min(self.step, 0.05 * self.steps))
        torch._foreach_lerp_(list(self.average.values()), [p.detach() for _, p in self._named], 1 - decay)

    def _add_to_means(self, numbers: dict[str, float]) -> None:
        for name, value in numbers.items():
            if math.isfinite(value):
                self._sums[name] = self._sums.get(name, 0.0) + value
                self._counts[name] = self._counts.get(name, 0) + 1

    def _log(self, rate: float, seconds: float) -> None:
        means = {name: round(total / self._counts[name], 4) for name, total in self._sums.items()}
        row = {"step": self.step, "rate": round(rate, 6), "seconds": round(seconds, 3), **means}
        self._sums, self._counts = {}, {}
        left = (self.steps - self.step) * seconds / 60
        print(f"step {self.step}/{self.steps}, {left:.0f} min left: {json.dumps(row)}", flush=True)
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")

    @torch.no_grad()
    def averaged(self) -> nn.Module:
        """Return the model with the averaged weights. The model cannot be trained further."""
        for name, parameter in self._named:
            parameter.copy_(self.average[name])
        return self.model
