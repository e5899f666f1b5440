"""Two small locks: a gate that can be shut and emptied, and a readers' and writer's lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Counts calls in flight; while shut, new calls wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shut = False
        self._inside = 0

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Waits until the gate is open and is inside until the end of the block."""
        with self._changed:
            self._changed.wait_for(lambda: not self._shut)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def shut(self) -> None:
        """Holds back calls that have not entered yet."""
        with self._changed:
            self._shut = True

    def open(self) -> None:
        """Lets them in again."""
        with self._changed:
            self._shut = False
            self._changed.notify_all()

    def drained(self, timeout: float) -> int:
        """Waits at most ``timeout`` seconds until nobody is inside; how many still are."""
        with self._changed:
            self._changed.wait_for(lambda: self._inside == 0, timeout)
            return self._inside


class SharedLock:
    """Many readers or one writer; a waiting writer goes first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._writer = False
        self._waiting = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Held together with other readers."""
        with self._changed:
            self._changed.wait_for(lambda: not self._writer and not self._waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Held alone."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._writer and self._readers == 0)
            self._waiting -= 1
            self._writer = True
        try:
            yield
        finally:
            with self._changed:
                self._writer = False
                self._changed.notify_all()


class Deadline:
    """A moment on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that remain, never negative."""
        return max(0.0, self._end - time.monotonic())
