# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A window that shows the image and takes prompts by click, box and text. A `Tracker` connects it to a node or to this process.

The window uses Tk, which comes with Python and has text fields. OpenCV's windows have no text fields, and its headless builds have no
windows.
"""

from __future__ import annotations

import time
import tkinter as tk
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.io.rendering import hex_color
from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt, PromptError, TextPrompt
from lang2segtrack_ros.types.results import TrackStatus
from lang2segtrack_ros.viewers.gestures import CanvasPoint, Fit, is_box, make_prompt

NO_DISPLAY = 3
"""Exit code if there is no display."""
TICK_MS = 30
"""Period of the window's update, in milliseconds."""
LIST_PERIOD_S = 0.7
"""Pause between two requests for the list of tracks."""
BACKGROUND, PANEL, TEXT, GRAY, RED = "#14171c", "#22262d", "#e8eaed", "#9aa0a6", "#f28b82"


@dataclass(frozen=True)
class Row:
    """A row of the list of tracks.

    Attributes:
        id: id of the track.
        label: name of the object.
        state: state of the track.
        score: confidence, 0 to 1.
        visible: True if the track has a mask on the newest image.
    """

    id: int
    label: str
    state: TrackStatus
    score: float
    visible: bool


class Tracker(Protocol):
    """The source of images and the target of prompts. A future raises RuntimeError with a message if the tracker cannot be reached.

    Attributes:
        newest: newest image, RGB uint8 [H, W, 3]. Each image is a new array. None before the first image.
        problem: a sentence about a problem with the images, empty if there is none.
    """

    newest: NDArray[np.uint8] | None

    @property
    def problem(self) -> str:
        """A sentence about a problem with the images, empty if there is none."""

    def prompt(self, prompt: TextPrompt | BoxPrompt | PointPrompt) -> Future[Any]:
        """Send a prompt. The response has success, message, track_ids and labels."""

    def remove(self, track_id: int) -> Future[Any]:
        """Remove a track. The response has success and message."""

    def tracks(self) -> Future[Sequence[Row]]:
        """Request the list of tracks."""


class PromptWindow:
    """The prompt window. It runs on Tk's thread and never blocks.

    Args:
        root: Tk's root window, which the prompt window then owns.
        tracker: source of images and target of prompts.
        stopped: returns True to close the window; called every `TICK_MS`.
    """

    def __init__(self, root: tk.Tk, tracker: Tracker, stopped: Callable[[], bool]) -> None:
        self._root = root
        self._tracker = tracker
        self._stopped = stopped
        self._drawn: NDArray[np.uint8] | None = None
        self._canvas_size = (0, 0)
        self._photo: tk.PhotoImage | None = None
        self._press: CanvasPoint | None = None
        self._requests: list[tuple[Future[Any], Callable[[Any], None]]] = []
        self._list_request: Future[Any] | None = None
        self._list_received_at = float("-inf")
        self._ids: list[int] = []
        self._problem = ""
        self._build()
        self._tick()

    def _build(self) -> None:
        root = self._root
        root.title("lang2segtrack")
        root.configure(background=BACKGROUND)
        root.minsize(520, 320)
        root.columnconfigure(0, weight=1)
        root.rowconfigure(0, weight=1)
        self.canvas = tk.Canvas(root, width=800, height=600, background="black", highlightthickness=0, cursor="crosshair")
        self.canvas.grid(row=0, column=0, sticky="nsew")
        panel = tk.Frame(root, background=BACKGROUND, padx=10, pady=8)
        panel.grid(row=0, column=1, sticky="ns")
        panel.rowconfigure(5, weight=1)
        self.text = self._entry(panel, 0, "Find by name, then Enter")
        self.label = self._entry(panel, 2, "Label for the next click or box")
        tk.Label(panel, text="Tracks", anchor="w", background=BACKGROUND, foreground=GRAY).grid(row=4, sticky="we", pady=(8, 2))
        self.tracks = tk.Listbox(
            panel, width=30, background=PANEL, foreground=TEXT, selectbackground="#3c4149", highlightthickness=0, activestyle="none"
        )
        self.tracks.configure(exportselection=False, borderwidth=0)
        self.tracks.grid(row=5, sticky="ns")
        self.remove = tk.Button(panel, text="Remove the selected track", command=self._remove)
        self.remove.grid(row=6, sticky="we", pady=(8, 0))
        self.status = tk.Label(root, anchor="w", background=BACKGROUND, foreground=GRAY, padx=8, pady=4)
        self.status.grid(row=1, column=0, columnspan=2, sticky="we")
        self.canvas.bind("<ButtonPress-1>", self._on_press)
        self.canvas.bind("<B1-Motion>", self._on_motion)
        self.canvas.bind("<ButtonRelease-1>", self._on_release)
        self.text.bind("<Return>", self._on_text)
        self.tracks.bind("<Delete>", lambda _: self._remove())
        root.bind("<Escape>", lambda _: self._clear_box())
        self._show_status("waiting for the first image")

    @staticmethod
    def _entry(panel: tk.Frame, row: int, text: str) -> tk.Entry:
        tk.Label(panel, text=text, anchor="w", background=BACKGROUND, foreground=GRAY).grid(row=row, sticky="we", pady=(4, 2))
        entry = tk.Entry(panel, width=30, background=PANEL, foreground=TEXT, insertbackground=TEXT, relief="flat")
        entry.grid(row=row + 1, sticky="we", ipady=4)
        return entry

    # Images

    def _tick(self) -> None:
        if self._stopped():
            self._root.destroy()
            return
        self._draw()
        for future, on_success in [item for item in self._requests if item[0].done()]:
            self._requests.remove((future, on_success))
            self._finish_request(future, on_success)
        self._update_list()
        self._root.after(TICK_MS, self._tick)

    def _fit(self) -> Fit | None:
        if self._drawn is None:
            return None
        return Fit((self._drawn.shape[1], self._drawn.shape[0]), (self.canvas.winfo_width(), self.canvas.winfo_height()))

    def _draw(self) -> None:
        newest, size = self._tracker.newest, (self.canvas.winfo_width(), self.canvas.winfo_height())
        if newest is None or min(size) < 2 or (newest is self._drawn and size == self._canvas_size):
            return
        self._drawn, self._canvas_size = newest, size
        fit = self._fit()
        assert fit is not None
        interpolation = cv2.INTER_AREA if fit.scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(newest, fit.size, interpolation=interpolation)
        data = b"P6 %d %d 255\n" % fit.size + image.tobytes()
        self._photo = tk.PhotoImage(data=data, format="PPM")  # Tk keeps no reference, so the window must
        self.canvas.delete("image")
        self.canvas.create_image(size[0] // 2, size[1] // 2, image=self._photo, tags="image")
        self.canvas.tag_lower("image")

    # Mouse and keyboard

    def _on_press(self, event: Any) -> None:
        self._press = (event.x, event.y) if self._drawn is not None else None
        self.canvas.focus_set()

    def _on_motion(self, event: Any) -> None:
        self.canvas.delete("box")
        if self._press is not None and is_box(self._press, (event.x, event.y)):
            self.canvas.create_rectangle(*self._press, event.x, event.y, outline="white", dash=(6, 4), width=2, tags="box")

    def _clear_box(self) -> None:
        self._press = None
        self.canvas.delete("box")

    def _on_release(self, event: Any) -> None:
        press, fit = self._press, self._fit()
        self._clear_box()
        if press is None or fit is None:
            return
        try:
            prompt = make_prompt(press, (event.x, event.y), fit, self.label.get().strip())
        except PromptError as error:
            self._show_status(str(error), error=True)
            return
        if prompt is None:
            return

        self.label.delete(0, tk.END)

        def on_success(response: Any) -> None:
            self._show_status(response.message or f"tracked as {', '.join(str(number) for number in response.track_ids)}")

        self._send(self._tracker.prompt(prompt), on_success)

    def _on_text(self, _: Any) -> None:
        try:
            prompt = TextPrompt(self.text.get())
        except PromptError as error:
            self._show_status(str(error), error=True)
            return

        def on_success(response: Any) -> None:
            found = ", ".join(f"{number} {label}" for number, label in zip(response.track_ids, response.labels))
            self._show_status(response.message or (f"found {found}" if found else "not found yet; the search continues"))

        self._send(self._tracker.prompt(prompt), on_success)

    def _remove(self) -> None:
        for index in self.tracks.curselection():  # type: ignore[no-untyped-call]
            self._send(self._tracker.remove(self._ids[index]), lambda _: self._show_status("the track was removed"))

    # Requests to the tracker

    def _send(self, future: Future[Any], on_success: Callable[[Any], None]) -> None:
        self._requests.append((future, on_success))

    def _finish_request(self, future: Future[Any], on_success: Callable[[Any], None]) -> None:
        try:
            response = future.result()
        except RuntimeError as error:
            self._show_status(str(error), error=True)
            return
        if response.success:
            on_success(response)
        else:
            self._show_status(response.message, error=True)

    def _update_list(self) -> None:
        if self._list_request is not None and self._list_request.done():
            try:
                self._show_tracks(self._list_request.result())
                problem = self._tracker.problem
            except RuntimeError as error:
                problem = str(error)
            if problem != self._problem:
                self._problem = problem
                self._show_status(problem or "live", error=bool(problem))
            self._list_request, self._list_received_at = None, time.monotonic()
        if self._list_request is None and time.monotonic() - self._list_received_at > LIST_PERIOD_S:
            self._list_request = self._tracker.tracks()

    def _show_tracks(self, tracks: Sequence[Row]) -> None:
        selected = {self._ids[index] for index in self.tracks.curselection()}  # type: ignore[no-untyped-call]
        self.tracks.delete(0, tk.END)
        self._ids = [track.id for track in tracks]
        for index, track in enumerate(tracks):
            score = f" {track.score:.0%}" if track.visible else ""
            self.tracks.insert(tk.END, f" {track.id} {track.label}  ({track.state.name.lower()}{score})")
            color = hex_color(track.id)
            self.tracks.itemconfigure(index, foreground=color, selectforeground=color)
            if track.id in selected:
                self.tracks.selection_set(index)

    def _show_status(self, text: str, error: bool = False) -> None:
        self.status.configure(text=text, foreground=RED if error else GRAY)
