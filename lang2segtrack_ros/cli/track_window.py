# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The window of `lang2segtrack track --window`."""

from __future__ import annotations

import signal
import threading
import tkinter as tk
from collections.abc import Callable
from typing import TypeVar

from lang2segtrack_ros.recordings.offline import OfflineError
from lang2segtrack_ros.viewers.player import Player
from lang2segtrack_ros.viewers.window import BACKGROUND, PANEL, TEXT, PromptWindow

Result = TypeVar("Result")


def with_window(name: str, player: Player, work: Callable[[], Result]) -> Result:
    """Runs tracking on a thread of its own while its window is open; what it returns or raises. Closing the window ends the tracking.

    Raises:
        OfflineError: there is no screen.
    """
    try:
        root = tk.Tk()
    except tk.TclError as error:
        raise OfflineError(f"--window needs a display, and there is none ({error}): leave it out, and say what to follow") from error
    outcome: list[Result | BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # raised again on the caller's thread
            outcome.append(error)

    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    thread = threading.Thread(target=run, name="lang2segtrack-player")
    PromptWindow(root, player, lambda: stop.is_set() or bool(outcome))
    root.title(f"lang2segtrack: {name}")
    play = tk.Button(root, command=player.toggle, background=PANEL, foreground=TEXT, activebackground=BACKGROUND, width=12)
    play.grid(row=1, column=1, sticky="e", padx=10, pady=4)

    def label() -> None:
        play.configure(text="Pause" if player.playing else "Play")
        root.after(100, label)

    label()
    root.bind("<F5>", lambda _: player.toggle())
    thread.start()
    try:
        root.mainloop()
    finally:
        player.end()
        thread.join()
        for number, handler in before.items():
            signal.signal(number, handler)
    result = outcome[0]
    if isinstance(result, BaseException):
        raise result
    return result
