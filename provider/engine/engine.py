"""Runs programs with torch, bit for bit as ``protocol.spec.interpreter`` does.

    outputs = run(program, inputs, constants=constants)

``Engine`` prepares a program once (kernels per template, planes of constant weights, memory plan)
and runs it many times.
"""

from __future__ import annotations

import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch

from protocol.spec.interpreter import Observer, check_steps, check_tensors
from protocol.spec.operations import Scalars
from protocol.spec.types import (
    Array,
    DType,
    InitKind,
    Instance,
    NextKind,
    Phase,
    Program,
    Ref,
    Source,
)
from provider.engine.dot import Prepared
from provider.engine.errors import EngineError, KernelWarning
from provider.engine.kernels import Kernels
from provider.engine.lowering import TORCH, literals_of
from provider.engine.operation import Operation
from provider.engine.plan import BodyPlan, plan_body
from provider.engine.pool import Pool, single_threaded
from provider.engine.selftest import kernels_for
from provider.engine.tensors import as_tensor, canonical_copy

Tensor = torch.Tensor
Progress = Callable[[int, int], None]
"""progress(operations done, operations in all)."""

Tamper = Callable[[int, int, Array], None]
"""tamper(step, operation, result) may change a result, in place."""

BACKENDS = ("auto", "torch")


@dataclass(slots=True)
class Memory:
    """Bytes: planned before the run, and the largest sum of live tensors seen in it.

    ``planned`` and ``peak`` count constants (with their int8 planes), inputs, states and results;
    ``scratch`` the workers' tiles.
    """

    planned: int = 0
    peak: int = 0
    scratch: int = 0


@dataclass(slots=True)
class Profile:
    """Seconds and calls of each template, filled while ``Engine.profile`` is set."""

    seconds: dict[int, float] = field(default_factory=dict)
    calls: dict[int, int] = field(default_factory=dict)

    def add(self, template: int, seconds: float) -> None:
        self.seconds[template] = self.seconds.get(template, 0.0) + seconds
        self.calls[template] = self.calls.get(template, 0) + 1


@dataclass(slots=True)
class _State:
    """A state's current tensor (flat), its canonical twin for reads, and whether a slice write
    may change it in place."""

    raw: Tensor
    clean: Tensor
    owned: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run begins: the states after ``step`` steps, in order of declaration."""

    step: int
    states: Sequence[Array]


class Engine:
    """A program prepared for a device.  Not for use by two threads at once.

    Raises TensorMismatch if the constants do not match their declarations (dtype, shape, bound)
    and EngineError for an unknown backend or device.
    """

    def __init__(
        self,
        program: Program,
        constants: Sequence[Array],
        backend: str = "auto",
        device: str | torch.device | None = None,
        *,
        threads: int | None = None,
    ) -> None:
        check_tensors("constant", program.constants, constants)
        self.program = program
        self.device = choose_device(backend, device)
        self.pool, self.kernels = workers(self.device, choose_threads(threads))
        if self.kernels.disabled:
            which = "; ".join(f"{name}: {why}" for name, why in self.kernels.disabled.items())
            warnings.warn(
                f"engine kernels that failed their self-test on {self.device} ({which}): "
                "exact fallbacks are used, same bits, slower",
                KernelWarning,
                stacklevel=2,
            )
        self.memory = Memory()
        self.profile: Profile | None = None
        self.tamper: Tamper | None = None
        """Makes a liar of the engine, for tests and demonstrations of disputes: what follows is
        computed from what it leaves."""
        self._given = list(constants)
        self._raw: list[Tensor] = []
        self._constants: list[Tensor] = []
        self._operations: dict[int, Operation] = {}
        self._planes: dict[tuple[int, int], Prepared | None] = {}
        self._plans: list[BodyPlan] = [plan_body(program, k) for k in range(len(program.phases))]
        self._buffer = torch.empty(0, dtype=torch.uint8)
        self._inputs: list[Tensor] = []
        self._live = 0

    # -- public ----------------------------------------------------------------------------------

    def run(
        self,
        inputs: Sequence[Array],
        *,
        seed: int = 0,
        steps: Sequence[int] | None = None,
        observe: Observer | None = None,
        progress: Progress | None = None,
    ) -> list[Array]:
        """The program's outputs, in order, as new arrays.

        ``inputs`` match the declarations (TensorMismatch otherwise); ``steps`` gives the steps of
        each phase (default: the maxima; LimitExceeded beyond them); ``seed`` is an i64.
        """
        last = deque(self._walk(inputs, seed, steps, None, observe, progress), maxlen=1)
        return self._finish(last[0])

    def states(
        self,
        inputs: Sequence[Array],
        *,
        seed: int = 0,
        steps: Sequence[int] | None = None,
        start: Start | None = None,
        observe: Observer | None = None,
        progress: Progress | None = None,
    ) -> Iterator[list[Array]]:
        """All states, as new arrays: at the start, then after each step that runs.

        ``start`` begins behind the steps that led to it (default: before the first).  A halted
        program yields no more.
        """
        for states in self._walk(inputs, seed, steps, start, observe, progress):
            yield [
                s.raw.cpu().numpy().reshape(decl.tensor.shape).copy()
                for s, decl in zip(states, self.program.states, strict=True)
            ]

    def _walk(
        self,
        inputs: Sequence[Array],
        seed: int,
        steps: Sequence[int] | None,
        start: Start | None,
        observe: Observer | None,
        progress: Progress | None,
    ) -> Iterator[list[_State]]:
        program = self.program
        check_tensors("input", program.inputs, inputs)
        self._load()
        wanted = check_steps(program, steps)
        raw = [as_tensor(x, self.device).reshape(-1) for x in inputs]
        self._inputs = [canonical_copy(x) for x in raw]
        states = self._initial(raw) if start is None else self._resumed(start)
        self._start_memory(states)
        yield states
        ticker = _Ticker(progress, program, wanted)
        step, first = 0, 0 if start is None else start.step
        for number, (phase, count) in enumerate(zip(program.phases, wanted, strict=True)):
            for k in range(count):
                if step >= first:
                    if program.halt is not None and int(states[program.halt].raw[0]) != 0:
                        return
                    see = self._observer(observe, number, step)
                    with single_threaded():
                        scalars = Scalars(step, k, seed)
                        states = self._step(number, phase, states, scalars, see, ticker)
                    yield states
                step += 1

    def _resumed(self, start: Start) -> list[_State]:
        raw = [as_tensor(x, self.device).reshape(-1).clone() for x in start.states]
        return [_State(x, canonical_copy(x), owned=True) for x in raw]

    def _load(self) -> None:
        """Bring the constants to the device."""
        if not self._raw:
            self._raw = [as_tensor(c, self.device).reshape(-1) for c in self._given]
            self._constants = [canonical_copy(c) for c in self._raw]

    def release(self) -> None:
        """Give buffers and copies of constants back; the engine can be used again."""
        self._raw, self._constants = [], []
        self._buffer = torch.empty(0, dtype=torch.uint8)
        self._inputs = []
        self._planes.clear()
        self.pool.clear()

    # -- a run -----------------------------------------------------------------------------------

    def _initial(self, raw_inputs: Sequence[Tensor]) -> list[_State]:
        states = []
        for decl in self.program.states:
            kind, value = decl.init.kind, decl.init.value
            if kind is InitKind.FILL:
                tensor = literals_of([value], decl.tensor.dtype, self.device)
                tensor = tensor.repeat(decl.tensor.count)
                states.append(_State(tensor, tensor, owned=True))
            elif kind is InitKind.CONST:
                states.append(_State(self._raw[value], self._constants[value]))
            else:
                states.append(_State(raw_inputs[value], self._inputs[value]))
        return states

    def _start_memory(self, states: Sequence[_State]) -> None:
        fixed = sum(x.nbytes for x in (*self._constants, *self._inputs))
        fixed += sum(s.raw.nbytes for s in states)
        fixed += sum(p.nbytes for p in self._planes.values() if p is not None)
        self._live = fixed
        plans = self._plans
        self.memory = Memory(fixed + max((p.size + p.own for p in plans), default=0), fixed)
        need = max((p.size for p in plans), default=0)
        if self._buffer.numel() < need:
            self._buffer = torch.empty(need, dtype=torch.uint8, device=self.device)

    def _count(self, nbytes: int) -> None:
        self._live += nbytes
        self.memory.peak = max(self.memory.peak, self._live)

    def _observer(
        self, observe: Observer | None, phase: int, step: int
    ) -> Callable[[int, Tensor, int], None] | None:
        if observe is None:
            return None
        program = self.program

        def see(op: int, tensor: Tensor, template: int) -> None:
            shape = program.templates[template].shape
            observe(phase, step, op, tensor.cpu().numpy().reshape(shape).copy())

        return see

    def _operation(self, template: int) -> Operation:
        if template not in self._operations:
            t = self.program.templates[template]
            made = Operation(t, self.kernels, self.device, self.pool.threads)
            self._operations[template] = made
        return self._operations[template]

    def _prepared(
        self, operation: Operation, instance: Instance, operands: Sequence[Tensor]
    ) -> Prepared | None:
        """Limbs of a DOT's constant second operand, made once."""
        if operation.dot is None:
            return None
        ref = instance.operands[operation.t.views[1].slot]
        moving = any(g.live is not None for g in operation.t.views[1].guards)
        if ref.source is not Source.CONST or moving:
            return None
        key = (instance.template, ref.index)
        if key not in self._planes:
            self._planes[key] = prepared = operation.prepare(operands, self.pool)
            self._count(prepared.nbytes if prepared is not None else 0)
        return self._planes[key]

    def _result(self, plan: BodyPlan, n: int, dtype: DType, count: int) -> Tensor:
        """Memory for the result of operation n."""
        offset = plan.offsets[n]
        self._count(plan.nbytes[n])
        if offset is None:
            return torch.empty(count, dtype=TORCH[dtype], device=self.device)
        return self._buffer[offset : offset + plan.nbytes[n]].view(TORCH[dtype])

    def _step(
        self,
        number: int,
        phase: Phase,
        states: list[_State],
        scalars: Scalars,
        see: Callable[[int, Tensor, int], None] | None,
        ticker: _Ticker,
    ) -> list[_State]:
        plan = self._plans[number]
        results: list[Tensor] = []

        def fetch(ref: Ref) -> Tensor:
            match ref.source:
                case Source.CONST:
                    return self._constants[ref.index]
                case Source.INPUT:
                    return self._inputs[ref.index]
                case Source.STATE:
                    return states[ref.index].clean
                case _:
                    return results[ref.index]

        ending: dict[int, list[int]] = {}
        for n, at in enumerate(plan.last_use):
            ending.setdefault(at, []).append(n)
        for n, instance in enumerate(phase.instances):
            operation = self._operation(instance.template)
            out = self._result(plan, n, operation.t.dtype, operation.t.count)
            operands = [fetch(ref) for ref in instance.operands]
            began = time.perf_counter()
            prepared = self._prepared(operation, instance, operands)
            operation.run(operands, scalars, out, self.pool, prepared)
            if self.profile is not None:
                self._synchronize()
                self.profile.add(instance.template, time.perf_counter() - began)
            if self.tamper is not None:
                result = out.cpu().numpy().reshape(operation.t.shape).copy()
                self.tamper(scalars.step, n, result)
                out.copy_(torch.from_numpy(result).reshape(-1))
            results.append(out)
            if see is not None:
                see(n, out, instance.template)
            for gone in ending.get(n, ()):
                if plan.offsets[gone] is not None:
                    self._count(-plan.nbytes[gone])
            ticker.tick()
        after = self._advance(phase, states, results)
        for gone in ending.get(len(phase.instances), ()):
            if plan.offsets[gone] is not None:
                self._count(-plan.nbytes[gone])
        return after

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _advance(
        self, phase: Phase, states: list[_State], results: Sequence[Tensor]
    ) -> list[_State]:
        """The states after the step; reads see the old ones."""
        uses: dict[int, int] = {}
        for item in phase.nexts:
            if item.kind is NextKind.VALUE:
                uses[item.value] = uses.get(item.value, 0) + 1
        after: list[_State] = []
        for k, item in enumerate(phase.nexts):
            old = states[k]
            if item.kind is NextKind.KEEP:
                after.append(old)
            elif item.kind is NextKind.VALUE:
                value = results[item.value]
                self._count(-old.raw.nbytes)
                after.append(_State(value, value, owned=uses[item.value] == 1))
            else:
                at = int(results[item.index][0])
                shape = self.program.states[k].tensor.shape
                after.append(_write(old, shape, item.axis, at, results[item.value]))
        return after

    def _finish(self, states: Sequence[_State]) -> list[Array]:
        outputs = []
        for n in self.program.outputs:
            shape = self.program.states[n].tensor.shape
            outputs.append(states[n].raw.cpu().numpy().reshape(shape).copy())
        self._inputs = []
        self.memory.scratch = self.pool.nbytes
        return outputs


def _write(old: _State, shape: tuple[int, ...], axis: int, at: int, value: Tensor) -> _State:
    """The state with ``value`` written at index ``at`` of ``axis``, in place where it may be."""
    if not 0 <= at < shape[axis]:
        return old
    state = old if old.owned else _State(old.raw.clone(), old.raw, owned=True)
    if state is not old:
        same = old.clean.data_ptr() == old.raw.data_ptr()
        state.clean = state.raw if same else old.clean.clone()
    for tensor in (state.raw, state.clean):
        target = tensor.view(shape).select(axis, at)
        target.copy_(value.view(target.shape))
        if state.clean is state.raw:
            break
    return state


class _Ticker:
    """Counts finished operations for a progress callback."""

    def __init__(
        self, progress: Progress | None, program: Program, steps: Sequence[int]
    ) -> None:
        self._progress = progress
        bodies = [len(p.instances) for p in program.phases]
        self._total = sum(n * k for n, k in zip(bodies, steps, strict=True))
        self._done = 0

    def tick(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


@cache
def workers(device: torch.device, threads: int) -> tuple[Pool, Kernels]:
    """The workers of this process for a device, and the kernels that passed their self-test."""
    pool = Pool(threads, device)
    return pool, kernels_for(device, pool)


def choose_device(backend: str, device: str | torch.device | None) -> torch.device:
    """The torch device of a backend; EngineError if there is no such one."""
    if backend not in BACKENDS:
        raise EngineError(f"unknown backend {backend!r}: use one of {', '.join(BACKENDS)}")
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise EngineError(f"unknown device {device!r}: use cpu, cuda or cuda:N") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise EngineError(f"device {chosen} wanted, but torch sees no CUDA device: use cpu")
    return chosen


def choose_threads(threads: int | None) -> int:
    """Worker threads: as asked, or one per core that this process may use."""
    if threads is None:
        return len(os.sched_getaffinity(0))
    if threads < 1:
        raise EngineError(f"got {threads} threads, want at least 1")
    return threads


def run(
    program: Program,
    inputs: Sequence[Array],
    backend: str = "auto",
    *,
    constants: Sequence[Array],
    seed: int = 0,
    steps: Sequence[int] | None = None,
    threads: int | None = None,
    device: str | torch.device | None = None,
    observe: Observer | None = None,
    progress: Progress | None = None,
) -> list[Array]:
    """Prepare ``program`` and run it once: its outputs in order (see ``Engine``)."""
    engine = Engine(program, constants, backend, device, threads=threads)
    try:
        return engine.run(inputs, seed=seed, steps=steps, observe=observe, progress=progress)
    finally:
        engine.release()
