"""Worker threads that compute tiles: torch runs single-threaded inside each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from provider.engine.arena import Arena

T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[Arena, T], None]


@contextmanager
def single_threaded() -> Iterator[None]:
    """torch computes in the caller's thread alone: tiles are too small to share, and its waiting
    threads would spin."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Pool:
    """``threads`` workers, each with an arena of its own; one worker is the caller itself."""

    def __init__(self, threads: int, device: torch.device) -> None:
        self.threads = threads if device.type == "cpu" else 1
        self.device = device
        self._local = threading.local()
        self._arenas: list[Arena] = []
        self._workers: ThreadPoolExecutor | None = None

    def _hire(self) -> ThreadPoolExecutor:
        """Start the workers; torch's thread count is per thread, its default for new ones global:
        the workers set theirs to 1, and the caller then restores the default."""
        before = torch.get_num_threads()
        started = threading.Barrier(self.threads + 1)

        def start() -> None:
            torch.set_num_threads(1)
            started.wait()

        workers = ThreadPoolExecutor(self.threads, "engine")
        for _ in range(self.threads):
            workers.submit(start)
        started.wait()
        torch.set_num_threads(before)
        return workers

    def arena(self) -> Arena:
        """The calling thread's arena."""
        arena: Arena | None = getattr(self._local, "arena", None)
        if arena is None:
            arena = Arena(self.device)
            self._local.arena = arena
            self._arenas.append(arena)
        return arena

    def run(self, work: Work[T], items: Sequence[T]) -> None:
        """``work(arena, item)`` for every item, in any order; the first error is raised."""
        if self.threads == 1 or len(items) == 1:
            arena = self.arena()
            for item in items:
                work(arena, item)
            return
        if self._workers is None:
            self._workers = self._hire()
        todo = iter(items)
        lock = threading.Lock()

        def drain() -> None:
            arena = self.arena()
            while True:
                with lock:
                    item = next(todo, None)
                if item is None:
                    return
                work(arena, item)

        for future in [self._workers.submit(drain) for _ in range(self.threads)]:
            future.result()

    def everywhere(self, work: Callable[[Arena], R]) -> list[R]:
        """``work(arena)`` once in the caller's thread and once in each worker."""
        with single_threaded():
            results = [work(self.arena())]
        if self.threads > 1:
            met = threading.Barrier(self.threads)

            def once() -> R:
                met.wait()  # every worker takes exactly one
                return work(self.arena())

            if self._workers is None:
                self._workers = self._hire()
            futures = [self._workers.submit(once) for _ in range(self.threads)]
            results += [future.result() for future in futures]
        return results

    @property
    def nbytes(self) -> int:
        """Bytes of all scratch tensors."""
        return sum(a.nbytes for a in self._arenas)

    def clear(self) -> None:
        """Forget the scratch tensors; no work may be running."""
        for arena in self._arenas:
            arena.clear()
