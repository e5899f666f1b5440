"""How far a run is: said to people, and a chance to do something else in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from protocol.chain.errors import Interrupted

GLANCE_SECONDS: Final = 2.0
"""How often a run lets other things pass."""


class Percent:
    """Says how far a run is, at most once each tenth; ends it when a stop is asked for.

    ``meanwhile`` is called every few seconds, between two operations.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        what: str,
        stop: threading.Event,
        meanwhile: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say, self._what, self._stop = say, what, stop
        self._meanwhile, self._clock = meanwhile, clock
        self._tenth = 0
        self._glanced = clock()

    def __call__(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise Interrupted("a stop was asked for in the middle of a run")
        tenth = 10 * done // max(1, total)
        if tenth > self._tenth:
            self._tenth = tenth
            self._say(f"{self._what} {10 * tenth} %")
        if self._clock() >= self._glanced + GLANCE_SECONDS:
            self._meanwhile()
            self._glanced = self._clock()
