# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A window with the picture, to prompt with clicks, boxes and words; behind it a running node, or a tracker in this process.

Tk comes with Python and has text fields; OpenCV's windows have none, and are missing from its headless builds.
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
from lang2segtrack_ros.viewers.gestures import Fit, Place, is_box, prompt_of

NO_DISPLAY = 3
"""Exit code where there is no screen."""
TICK_MS = 30
LIST_S = 0.7
BACKGROUND, PANEL, TEXT, GREY, RED = "#14171c", "#22262d", "#e8eaed", "#9aa0a6", "#f28b82"


@dataclass(frozen=True)
class Row:
    """A line of the list of tracks."""

    id: int
    label: str
    state: TrackStatus
    score: float
    visible: bool


class Tracker(Protocol):
    """What the window looks at and talks to. Futures raise a RuntimeError with a sentence when it cannot be asked.

    Attributes:
        newest: the picture, RGB uint8 [H, W, 3]; another object for another picture; None before the first.
        problem: what is wrong with the pictures, as a sentence; empty when nothing is.
    """

    newest: NDArray[np.uint8] | None

    @property
    def problem(self) -> str:
        """See above."""

    def prompt(self, prompt: TextPrompt | BoxPrompt | PointPrompt) -> Future[Any]:
        """Asks for objects; the answer has success, message, track_ids and labels."""

    def remove(self, track_id: int) -> Future[Any]:
        """Forgets an object; the answer has success and message."""

    def tracks(self) -> Future[Sequence[Row]]:
        """What is tracked."""


class PromptWindow:
    """The window. All of it runs on Tk's thread, and nothing of it waits.

    Args:
        root: Tk's root window, of which it takes possession.
        tracker: where pictures come from and prompts go to.
        stopped: asked all the time whether to end.
    """

    def __init__(self, root: tk.Tk, tracker: Tracker, stopped: Callable[[], bool]) -> None:
        self._root = root
        self._tracker = tracker
        self._stopped = stopped
        self._drawn: NDArray[np.uint8] | None = None
        self._drawn_size = (0, 0)
        self._photo: tk.PhotoImage | None = None
        self._press: Place | None = None
        self._waiting: list[tuple[Future[Any], Callable[[Any], None]]] = []
        self._listing: Future[Any] | None = None
        self._listed_at = float("-inf")
        self._ids: list[int] = []
        self._problem = ""
        self._lay_out()
        self._tick()

    def _lay_out(self) -> None:
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
        self.words = self._entry(panel, 0, "Find by name, then Enter")
        self.label = self._entry(panel, 2, "Name for the next click or box")
        tk.Label(panel, text="Tracks", anchor="w", background=BACKGROUND, foreground=GREY).grid(row=4, sticky="we", pady=(8, 2))
        self.tracks = tk.Listbox(
            panel, width=30, background=PANEL, foreground=TEXT, selectbackground="#3c4149", highlightthickness=0, activestyle="none"
        )
        self.tracks.configure(exportselection=False, borderwidth=0)
        self.tracks.grid(row=5, sticky="ns")
        self.remove = tk.Button(panel, text="Remove the selected track", command=self._remove)
        self.remove.grid(row=6, sticky="we", pady=(8, 0))
        self.status = tk.Label(root, anchor="w", background=BACKGROUND, foreground=GREY, padx=8, pady=4)
        self.status.grid(row=1, column=0, columnspan=2, sticky="we")
        self.canvas.bind("<ButtonPress-1>", self._on_press)
        self.canvas.bind("<B1-Motion>", self._on_motion)
        self.canvas.bind("<ButtonRelease-1>", self._on_release)
        self.words.bind("<Return>", self._on_words)
        self.tracks.bind("<Delete>", lambda _: self._remove())
        root.bind("<Escape>", lambda _: self._forget_box())
        self._tell("waiting for the first picture")

    @staticmethod
    def _entry(panel: tk.Frame, row: int, text: str) -> tk.Entry:
        tk.Label(panel, text=text, anchor="w", background=BACKGROUND, foreground=GREY).grid(row=row, sticky="we", pady=(4, 2))
        entry = tk.Entry(panel, width=30, background=PANEL, foreground=TEXT, insertbackground=TEXT, relief="flat")
        entry.grid(row=row + 1, sticky="we", ipady=4)
        return entry

    # Pictures

    def _tick(self) -> None:
        if self._stopped():
            self._root.destroy()
            return
        self._draw()
        for future, then in [item for item in self._waiting if item[0].done()]:
            self._waiting.remove((future, then))
            self._settle(future, then)
        self._list()
        self._root.after(TICK_MS, self._tick)

    def _fit(self) -> Fit | None:
        if self._drawn is None:
            return None
        return Fit((self._drawn.shape[1], self._drawn.shape[0]), (self.canvas.winfo_width(), self.canvas.winfo_height()))

    def _draw(self) -> None:
        newest, size = self._tracker.newest, (self.canvas.winfo_width(), self.canvas.winfo_height())
        if newest is None or min(size) < 2 or (newest is self._drawn and size == self._drawn_size):
            return
        self._drawn, self._drawn_size = newest, size
        fit = self._fit()
        assert fit is not None
        way = cv2.INTER_AREA if fit.scale < 1 else cv2.INTER_LINEAR
        picture = cv2.resize(newest, fit.size, interpolation=way)
        data = b"P6 %d %d 255\n" % fit.size + picture.tobytes()
        self._photo = tk.PhotoImage(data=data, format="PPM")  # kept, or Tk would forget it
        self.canvas.delete("picture")
        self.canvas.create_image(size[0] // 2, size[1] // 2, image=self._photo, tags="picture")
        self.canvas.tag_lower("picture")

    # The mouse and the keys

    def _on_press(self, event: Any) -> None:
        self._press = (event.x, event.y) if self._drawn is not None else None
        self.canvas.focus_set()

    def _on_motion(self, event: Any) -> None:
        self.canvas.delete("box")
        if self._press is not None and is_box(self._press, (event.x, event.y)):
            self.canvas.create_rectangle(*self._press, event.x, event.y, outline="white", dash=(6, 4), width=2, tags="box")

    def _forget_box(self) -> None:
        self._press = None
        self.canvas.delete("box")

    def _on_release(self, event: Any) -> None:
        press, fit = self._press, self._fit()
        self._forget_box()
        if press is None or fit is None:
            return
        try:
            prompt = prompt_of(press, (event.x, event.y), fit, self.label.get().strip())
        except PromptError as error:
            self._tell(str(error), bad=True)
            return

        self.label.delete(0, tk.END)

        def done(response: Any) -> None:
            self._tell(response.message or f"tracking it as {', '.join(str(number) for number in response.track_ids)}")

        self._ask(self._tracker.prompt(prompt), done)

    def _on_words(self, _: Any) -> None:
        try:
            prompt = TextPrompt(self.words.get())
        except PromptError as error:
            self._tell(str(error), bad=True)
            return

        def done(response: Any) -> None:
            found = ", ".join(f"{number} {label}" for number, label in zip(response.track_ids, response.labels))
            self._tell(response.message or (f"found {found}" if found else "looking for it"))

        self._ask(self._tracker.prompt(prompt), done)

    def _remove(self) -> None:
        for index in self.tracks.curselection():  # type: ignore[no-untyped-call]
            self._ask(self._tracker.remove(self._ids[index]), lambda _: self._tell("the track is removed"))

    # The tracker

    def _ask(self, future: Future[Any], then: Callable[[Any], None]) -> None:
        self._waiting.append((future, then))

    def _settle(self, future: Future[Any], then: Callable[[Any], None]) -> None:
        try:
            response = future.result()
        except RuntimeError as error:
            self._tell(str(error), bad=True)
            return
        if response.success:
            then(response)
        else:
            self._tell(response.message, bad=True)

    def _list(self) -> None:
        if self._listing is not None and self._listing.done():
            try:
                self._show_tracks(self._listing.result())
                problem = self._tracker.problem
            except RuntimeError as error:
                problem = str(error)
            if problem != self._problem:
                self._problem = problem
                self._tell(problem or "live", bad=bool(problem))
            self._listing, self._listed_at = None, time.monotonic()
        if self._listing is None and time.monotonic() - self._listed_at > LIST_S:
            self._listing = self._tracker.tracks()

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

    def _tell(self, sentence: str, bad: bool = False) -> None:
        self.status.configure(text=sentence, foreground=RED if bad else GREY)
