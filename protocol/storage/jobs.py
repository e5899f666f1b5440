"""All data of a job, published and fetched as one.

What comes back from ``fetch_job`` is checked: roots against the job's terms, the program against
``legal``, the tensors against the program's declarations.  Whoever accepts, verifies or challenges
a job starts here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from protocol.spec import legality
from protocol.spec.constants import MAX_PROGRAM_BYTES
from protocol.spec.encoding import decode, encode, program_root
from protocol.spec.errors import DecodeError, TensorMismatch
from protocol.spec.illegality import split
from protocol.spec.interpreter import check_steps, check_tensors
from protocol.spec.job import Task, unpack_steps
from protocol.spec.types import Array, Program, TensorDecl
from protocol.storage.bundle import (
    fetch_blob,
    fetch_tensors,
    hold_tensors,
    publish_tensors,
    time_left,
)
from protocol.storage.cache import Cache
from protocol.storage.cid import Cid
from protocol.storage.errors import (
    ContentMismatch,
    ContentMissing,
    ContentTooLarge,
    ContentTooSlow,
    MalformedLocators,
)
from protocol.storage.locators import JobLocators, ResultLocators
from protocol.storage.store import Progress, Store

MAX_JOB_BYTES: Final = 16 << 30
"""Most bytes of constants, and of inputs, that are fetched unless a caller says otherwise."""

HOLD_S: Final = 6 * 3600.0
"""Seconds that the data of a live job stays in the cache after a process was last seen."""

RENEW_S: Final = 60.0
"""Seconds between two renewals."""


@dataclass(frozen=True, slots=True)
class JobData:
    """A job's program and tensors, checked; tensors may be mapped read-only from the cache."""

    program: Program
    constants: list[Array]
    inputs: list[Array]
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JobRoots:
    """What a job commits to, and where it lies."""

    program: bytes
    constants: bytes
    inputs: bytes
    locators: JobLocators


def output_decls(program: Program) -> tuple[TensorDecl, ...]:
    """Dtype and shape of each output, in order."""
    return tuple(program.states[n].tensor for n in program.outputs)


def publish_job(
    store: Store,
    program: Program,
    constants: Sequence[Array],
    inputs: Sequence[Array],
    *,
    peers: Sequence[str] = (),
    progress: Progress | None = None,
) -> JobRoots:
    """Add program, constants and inputs to the store, pinned.

    Raises IllegalProgram, TensorMismatch, or ContentTooLarge for a program that nobody would fetch,
    before anything is published.
    """
    legality.check(program)
    check_tensors("constant", program.constants, constants)
    check_tensors("input", program.inputs, inputs)
    file = encode(program)
    if len(file) > MAX_PROGRAM_BYTES:
        raise ContentTooLarge(
            f"the program has {len(file)} bytes, at most {MAX_PROGRAM_BYTES} are fetched: "
            "split it into several jobs"
        )
    code = store.put_bytes(file)
    weights = publish_tensors(store, constants, progress)
    data = publish_tensors(store, inputs)
    locators = JobLocators(code, weights.cid, data.cid, tuple(peers))
    return JobRoots(program_root(program), weights.root, data.root, locators)


def fetch_program(
    store: Store,
    cache: Cache,
    locators: JobLocators,
    root: bytes,
    timeout: float | None = None,
    max_bytes: int = MAX_PROGRAM_BYTES,
) -> Program:
    """The program with this root.

    ContentMismatch if the bytes are not it, ContentTooLarge if they are more than ``max_bytes``.
    """
    read: list[Program] = []

    def verify(data: bytes) -> None:
        if len(data) > max_bytes:
            raise ContentTooLarge(f"the program has {len(data)} bytes, at most {max_bytes} taken")
        try:
            read[:] = [decode(data)]
            found = program_root(read[0])
        except DecodeError as error:
            raise ContentMismatch(f"{locators.program} is no program: {error}") from error
        if found != root:
            raise ContentMismatch(
                f"{locators.program} is a program of root 0x{found.hex()}, "
                f"committed is 0x{root.hex()}"
            )

    cid = locators.program
    fetch_blob(store, cache, "program", cid, root, verify, max_bytes, timeout=timeout)
    return read[0]


Judge = Callable[[Program, tuple[int, ...]], None]
"""Sees a legal program and the steps of a job before its tensors are fetched; raises to refuse."""


def fetch_job(
    store: Store,
    cache: Cache,
    task: Task,
    locators: JobLocators,
    *,
    max_bytes: int = MAX_JOB_BYTES,
    max_program: int = MAX_PROGRAM_BYTES,
    judge: Judge | None = None,
    progress: Progress | None = None,
    timeout: float | None = None,
) -> JobData:
    """Everything a run of the job needs, checked against its terms.

    ``max_bytes`` bounds constants and inputs, each; ``max_program`` the program file.  ``judge``
    sees the program before anything else is fetched.  ``timeout`` (seconds) bounds all of it.
    Raises ContentMissing, ContentMismatch, ContentTooLarge, ContentTooSlow, IpfsUnavailable for
    the data; IllegalProgram, LimitExceeded for the program; TensorMismatch for a constant beyond
    its declared bound; and what ``judge`` raises.
    """
    left = time_left(timeout)
    store.expect(locators.peers)
    program = fetch_program(
        store, cache, locators, task.program_root, left(), min(max_program, MAX_PROGRAM_BYTES)
    )
    legality.check(program)
    steps = check_steps(program, unpack_steps(task.steps, len(program.phases)))
    if judge is not None:
        judge(program, steps)
    constants = fetch_tensors(
        store,
        cache,
        locators.constants,
        task.constants_root,
        declared=program.constants,
        max_bytes=max_bytes,
        progress=progress,
        timeout=left(),
    )
    inputs = fetch_tensors(
        store,
        cache,
        locators.inputs,
        task.inputs_root,
        declared=program.inputs,
        max_bytes=max_bytes,
        progress=progress,
        timeout=left(),
    )
    check_tensors("constant", program.constants, constants)
    return JobData(program, constants, inputs, steps)


@dataclass(frozen=True, slots=True)
class JobParts:
    """What a job names, unjudged: the bytes of its program's file, and its tensors of whatever
    dtypes and shapes; None where they cannot be had."""

    program: bytes
    constants: list[Array] | None
    inputs: list[Array] | None


def fetch_parts(
    store: Store,
    cache: Cache,
    task: Task,
    locators: JobLocators,
    *,
    max_bytes: int = MAX_JOB_BYTES,
    max_program: int = MAX_PROGRAM_BYTES,
    progress: Progress | None = None,
    timeout: float | None = None,
) -> JobParts:
    """What a job names, bound to its roots and no more: for whoever may prove it illegal.

    Raises as ``fetch_job`` for the program, whose file must split into descriptors of its root.
    """
    left = time_left(timeout)
    store.expect(locators.peers)

    def verify(data: bytes) -> None:
        try:
            found = split(data).root
        except DecodeError as error:
            raise ContentMismatch(f"{locators.program} is no program: {error}") from error
        if found != task.program_root:
            raise ContentMismatch(f"{locators.program} is a program of root 0x{found.hex()}")

    program = fetch_blob(
        store, cache, "program", locators.program, task.program_root, verify,
        min(max_program, MAX_PROGRAM_BYTES), timeout=left(),
    )  # fmt: skip

    def tensors(cid: Cid, root: bytes) -> list[Array] | None:
        try:
            return fetch_tensors(
                store, cache, cid, root, max_bytes=max_bytes, progress=progress, timeout=left()
            )
        except (ContentMissing, ContentMismatch, ContentTooLarge, ContentTooSlow):
            return None

    return JobParts(
        program,
        tensors(locators.constants, task.constants_root),
        tensors(locators.inputs, task.inputs_root),
    )


def hold_job(cache: Cache, task: Task, locators: JobLocators, until: float) -> None:
    """What the cache has of a job stays there until ``until`` (seconds since 1970)."""
    cache.hold("program", task.program_root, until)
    hold_tensors(cache, locators.constants, task.constants_root, until)
    hold_tensors(cache, locators.inputs, task.inputs_root, until)


class Holder:
    """Keeps in the cache what live jobs need, for HOLD_S seconds beyond the last call: so long a
    process may be away, and what it needed is still there.  ``clock`` gives seconds since 1970."""

    def __init__(self, cache: Cache, clock: Callable[[], float] = time.time) -> None:
        self._cache = cache
        self._clock = clock
        self._renewed: dict[bytes, float] = {}

    def keep(self, jobs: Mapping[bytes, tuple[Task, bytes]]) -> None:
        """Tasks and locators of all live jobs, by any key that tells them apart."""
        now = self._clock()
        self._renewed = {key: when for key, when in self._renewed.items() if key in jobs}
        for key, (task, locators) in jobs.items():
            if now < self._renewed.get(key, -RENEW_S) + RENEW_S:
                continue
            self._renewed[key] = now
            with suppress(MalformedLocators):
                hold_job(self._cache, task, JobLocators.decode(locators), now + HOLD_S)


def publish_result(
    store: Store, program: Program, outputs: Sequence[Array], peers: Sequence[str] = ()
) -> tuple[bytes, ResultLocators]:
    """Add the outputs to the store, pinned: the result root, and where they are."""
    decls = output_decls(program)
    if len(decls) != len(outputs):
        raise TensorMismatch(f"got {len(outputs)} outputs, the program has {len(decls)}")
    check_tensors("output", decls, outputs)
    published = publish_tensors(store, outputs)
    return published.root, ResultLocators(published.cid, tuple(peers))


def fetch_result(
    store: Store,
    cache: Cache,
    program: Program,
    root: bytes,
    locators: ResultLocators,
    *,
    progress: Progress | None = None,
    timeout: float | None = None,
) -> list[Array]:
    """The outputs that ``root`` commits to, checked against it and the program."""
    decls = output_decls(program)
    store.connect(locators.peers)
    total = sum(d.nbytes for d in decls)
    return fetch_tensors(
        store,
        cache,
        locators.outputs,
        root,
        declared=decls,
        max_bytes=total,
        progress=progress,
        timeout=timeout,
    )
