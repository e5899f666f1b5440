"""How far a run is: said to people, and a chance to do something else in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from protocol.chain.errors import Interrupted

GLANCE_SECONDS: Final = 2.0
"""How often long work lets other things pass."""


class Glance:
    """Calls ``meanwhile`` every few seconds of a long work; ends it when a stop is asked for."""

    def __init__(
        self,
        stop: threading.Event,
        meanwhile: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stop, self._meanwhile, self._clock = stop, meanwhile, clock
        self._next = clock() + GLANCE_SECONDS

    def __call__(self, done: int, total: int | None) -> None:
        if self._stop.is_set():
            raise Interrupted("a stop was asked for in the middle of a run")
        began = self._clock()
        if began >= self._next:
            self._meanwhile()
            # As long as it took, the work has its turn: nothing makes it longer than twice.
            now = self._clock()
            self._next = now + max(GLANCE_SECONDS, now - began)


class Percent(Glance):
    """Says also how far a run is, at most once each tenth."""

    def __init__(
        self,
        say: Callable[[str], None],
        what: str,
        stop: threading.Event,
        meanwhile: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stop, meanwhile, clock)
        self._say, self._what = say, what
        self._tenth = 0

    def __call__(self, done: int, total: int | None) -> None:
        super().__call__(done, total)
        tenth = 10 * done // max(1, total or 1)
        if tenth > self._tenth:
            self._tenth = tenth
            self._say(f"{self._what} {10 * tenth} %")
