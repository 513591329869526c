"""Whom long work tells what it does now. `console.Progress` shows it; a test may keep it."""

from collections.abc import Callable

Telling = Callable[[str], None]
"""Told, in a few words, what is being done now (the shape of `console.Progress.report`)."""

Counting = Callable[[str, int | None, int | None], None]
"""Told what is being done now and, where that is known, how far it is (the shape of `console.Progress.step`)."""
