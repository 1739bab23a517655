# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The window of `lang2segtrack track --window`."""

from __future__ import annotations

import signal
import threading
import tkinter as tk
from collections.abc import Callable
from typing import TypeVar

from lang2segtrack_ros.recordings.runs import OfflineError
from lang2segtrack_ros.viewers.player import Player
from lang2segtrack_ros.viewers.window import BACKGROUND, PANEL, TEXT, PromptWindow

Result = TypeVar("Result")


def open_screen() -> tk.Tk:
    """Return the root window.

    Raises:
        OfflineError: there is no display.
    """
    try:
        return tk.Tk()
    except tk.TclError as error:
        raise OfflineError(f"--window needs a display, and there is none ({error}): omit --window and give a prompt") from error


def run_with_window(name: str, player: Player, work: Callable[[], Result]) -> Result:
    """Track on another thread while the window is open. Closing the window ends the tracking.

    Args:
        name: name of the source, for the title.
        player: connects the window to the tracking.
        work: tracks; called on the other thread.

    Returns:
        The result of `work`.

    Raises:
        OfflineError: there is no display.
    """
    root = open_screen()
    outcome: list[Result | BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # the caller's thread raises it again
            outcome.append(error)

    stop = threading.Event()
    previous_handlers = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    thread = threading.Thread(target=run, name="lang2segtrack-player")
    PromptWindow(root, player, lambda: stop.is_set() or bool(outcome))
    root.title(f"lang2segtrack: {name}")
    play = tk.Button(root, command=player.toggle, background=PANEL, foreground=TEXT, activebackground=BACKGROUND, width=12)
    play.grid(row=1, column=1, sticky="e", padx=10, pady=4)

    def update_label() -> None:
        play.configure(text="Pause" if player.playing else "Play")
        root.after(100, update_label)

    update_label()
    root.bind("<F5>", lambda _: player.toggle())
    thread.start()
    try:
        root.mainloop()
    finally:
        player.end()
        thread.join()
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
    result = outcome[0]
    if isinstance(result, BaseException):
        raise result
    return result
