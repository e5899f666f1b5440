"""Which jobs a provider takes: pure functions over what it knows.

``judge_terms`` looks at the terms alone, before anything is fetched; ``judge_tables``,
``judge_program`` and ``judge_duties`` at the legal program, before a single tensor is.  All give
the reason for a refusal, or None.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.chain.amounts import exact_gwei, exactly, tokens
from protocol.spec.demands import DEMAND_SECONDS
from protocol.spec.job import Deal, GasSchedule, Task, lock_of
from protocol.spec.types import Program
from protocol.spec.workload import Work
from provider.progress import GLANCE_SECONDS

PASSES: Final = 5
"""Runs of each of its claims' programs that a provider may have to make while one challenger waits:
of the traces, and twice (for the operations of a step, and for the bytes of a tensor) of what is
under way and of what was asked for before."""

BLOCKS: Final = 4
"""Blocks that have to fit into any clock of a provider: one until it sees what it has to answer,
one that takes the answer, and as many again if that one is full or the answer is sent once more."""

MOST_SUPPLIES: Final = 6
"""Answers to demands that are made at once.  The chain makes one of a provider's demands due every
fifteen seconds, however many are made at once; so many are answered in a block or two."""

MOST_HELD: Final = 16
"""Results whose data is kept at hand for demands."""

GAS_PERCENT: Final = 125
"""At least so much of the present base fee is what a job pays for a unit of its answers' gas: they
cost the base fee of a later block, which is an eighth higher after each full one, and a tip."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the person behind the provider allows.

    Prices in the token's smallest unit, times in seconds, sizes in bytes.  ``margin`` multiplies
    estimated times before they are compared with a clock; ``reserve_seconds``, or ``BLOCKS`` blocks
    where these take longer, are left for the commit.  ``max_program``, ``max_instances``
    (operations of all phases) and ``max_tensors`` (states, and outputs) bound what a stranger's
    program costs to read; ``max_window_seconds`` how long stake stays locked; a dispute leaves
    ``min_move_seconds`` for each answer.
    """

    min_price: int = 1
    price_per_second: int = 0
    max_work_seconds: float = 3600.0
    max_memory: int = 8 << 30
    margin: float = 2.0
    reserve_seconds: float = 5.0
    max_program: int = 4 << 20
    max_instances: int = 10_000
    max_tensors: int = 4_096
    max_window_seconds: int = 7 * 86_400
    min_move_seconds: int = 10


@dataclass(frozen=True, slots=True)
class Standing:
    """The provider on chain: free money, unsettled work, and whether it lost this job before.

    And that chain: ``block_seconds`` that a block takes (0 where they are mined on demand), and
    ``base_fee`` in wei for a unit of gas (None where there is none).
    """

    address: bytes
    capabilities: int
    stake: int
    deposit: int
    backlog_ms: int
    max_backlog_ms: int
    lost_before: bool = False
    block_seconds: int = 0
    base_fee: int | None = None


def judge_terms(
    task: Task, deal: Deal, me: Standing, schedule: GasSchedule, rules: Rules
) -> str | None:
    """Reason to refuse, from the terms alone."""
    token, wei = lock_of(deal, schedule)
    wanted = int.from_bytes(deal.capability, "big")
    if me.lost_before:
        return "this provider lost an earlier attempt at the job"
    if wanted & ~me.capabilities:
        return f"the job wants capabilities {wanted:#x}, this provider has {me.capabilities:#x}"
    if deal.price_ceiling < rules.min_price:
        return (
            f"price {tokens(deal.price_ceiling)} is below the minimum {tokens(rules.min_price)}"
        )
    if me.stake < token:
        return f"the lock takes {tokens(token)} of stake, {tokens(me.stake)} is free: stake more"
    if me.deposit < wei:
        return (
            f"the lock takes {exactly(wei)} of deposit, {exactly(me.deposit)} is free: deposit more"
        )
    if me.backlog_ms + deal.work_ms > me.max_backlog_ms:
        total = me.backlog_ms + deal.work_ms
        return f"unsettled work would be {total} ms, at most {me.max_backlog_ms} is allowed"
    if deal.work_ms > rules.max_work_seconds * 1000:
        return f"the job declares {deal.work_ms} ms of work, at most {rules.max_work_seconds} s"
    if deal.window_seconds > rules.max_window_seconds:
        return (
            f"stake stays locked for {deal.window_seconds} s after the result, "
            f"at most {rules.max_window_seconds} s"
        )
    if deal.move_seconds < rules.min_move_seconds:
        return (
            f"a dispute leaves {deal.move_seconds} s for an answer, "
            f"at least {rules.min_move_seconds} s wanted"
        )
    if deal.move_seconds < BLOCKS * me.block_seconds:
        return (
            f"a dispute leaves {deal.move_seconds} s for an answer, "
            f"{BLOCKS} blocks of this chain take {BLOCKS * me.block_seconds} s"
        )
    least = -(-GAS_PERCENT * (me.base_fee or 0) // 100)
    if deal.gas_price < least:
        return (
            f"a dispute pays {exact_gwei(deal.gas_price)} for a unit of gas, at least "
            f"{exact_gwei(least)} wanted while the base fee is {exact_gwei(me.base_fee or 0)}"
        )
    if task.task_count != 1 or task.first_step != 0:
        return "batches and resumed jobs are not supported yet"
    return None


def judge_tables(program: Program, rules: Rules) -> str | None:
    """Reason to refuse, from the lengths of a program's tables."""
    tables = {
        "operations": (sum(len(p.instances) for p in program.phases), rules.max_instances),
        "states": (len(program.states), rules.max_tensors),
        "outputs": (len(program.outputs), rules.max_tensors),
    }
    for what, (got, most) in tables.items():
        if got > most:
            return f"the program has {got} {what}, at most {most} are taken"
    return None


def judge_program(
    deal: Deal, work: Work, run_seconds: float, trace_seconds: float, rules: Rules,
    memory_free: int, threads: int = 1, block_seconds: int = 0,
) -> str | None:  # fmt: skip
    """Reason to refuse, once the program is known. ``run_seconds`` is this machine's estimate for
    a run, ``trace_seconds`` for one whose trace is built; a block takes ``block_seconds``."""
    most = min(rules.max_memory, memory_free) if memory_free else rules.max_memory
    need_bytes = work.memory + threads * work.scratch
    if need_bytes > most:
        return f"the program needs {need_bytes} bytes, {most} are available"
    reserve = max(rules.reserve_seconds, BLOCKS * block_seconds)
    need = run_seconds * rules.margin + reserve
    if need > deal.run_seconds:
        return (
            f"a run takes {need:.1f} s with margin and {reserve:g} s for its commit, "
            f"the job allows {deal.run_seconds} s"
        )
    if trace_seconds * 1000 > deal.work_ms:
        return (
            f"a run takes {trace_seconds * 1000:.0f} ms with its trace, the job declares "
            f"{deal.work_ms} ms: its dispute clocks would be too short"
        )
    fair = int(run_seconds * rules.price_per_second)
    if deal.price_ceiling < fair:
        return (
            f"price {tokens(deal.price_ceiling)} is below {tokens(fair)} for {run_seconds:.2f} s "
            f"of work"
        )
    return None


@dataclass(frozen=True, slots=True)
class Duty:
    """What challengers of one result may ask for: ``seconds`` of this machine for its trace, while
    the ``clock`` of each of them runs so long, and the trace is to be opened within ``opening``.

    That trace takes ``disk`` bytes.  And what others may demand: data that takes ``data`` seconds
    to be hashed, ``move`` seconds after the demand's turn in the queue.  Nothing is answered in the
    middle of a piece of work; the longest of this job takes ``piece`` seconds.
    """

    seconds: float
    clock: int
    opening: int
    piece: float
    data: float
    move: int
    disk: int = 0


def judge_duties(
    new: Duty, others: Sequence[Duty], rules: Rules, block_seconds: int = 0,
    disk_free: int | None = None,
) -> str | None:  # fmt: skip
    """Reason to refuse: with all unsettled results of this provider challenged, and their data
    demanded, at once, answers could be late, or traces find no room in ``disk_free`` bytes (None:
    unknown).  A block takes ``block_seconds``."""
    duties = [new, *others]
    disk = sum(d.disk for d in duties)
    if disk_free is not None and disk > disk_free:
        return (
            f"traces of this and of {len(others)} unsettled results could take {disk} bytes of "
            f"disk, {disk_free} are free"
        )
    longest = rules.margin * max(d.seconds for d in duties)
    soonest = min(d.opening for d in duties)
    if longest > soonest:
        return (
            f"a computation of {longest:.0f} s with margin could be under way when a claim of this "
            f"provider has to be opened within {soonest} s"
        )
    need = rules.margin * PASSES * sum(d.seconds for d in duties)
    least = min(d.clock for d in duties)
    if need > least:
        return (
            f"answers to challengers of this and of {len(others)} unsettled results could take "
            f"{need:.0f} s, the shortest of their clocks is {least} s"
        )
    return _judge_demands(duties, rules, block_seconds)


def _judge_demands(duties: Sequence[Duty], rules: Rules, block_seconds: int) -> str | None:
    """The same for a demand for data of each result.

    The chain makes one due every ``DEMAND_SECONDS``.  In a turn this machine hashes the data of a
    few results, and their answers take a block before any other is sent; then other work has its
    turn: as long as that took (``progress.Glance``), and to the end of a piece.  Of more results
    than are held the data is hashed again and again.
    """
    piece = rules.margin * max(d.piece for d in duties)
    turns = list(_turns(sorted((rules.margin * d.data for d in duties), reverse=True)))
    left = min(d.move for d in duties) - BLOCKS * block_seconds
    waited, other = 0.0, GLANCE_SECONDS
    for results, seconds in turns:
        waited += other + piece + seconds
        if waited > left + DEMAND_SECONDS:
            return (
                f"answers to demands for data of this and of {len(duties) - 1} unsettled results "
                f"could take {waited:.0f} s where their clocks leave {left + DEMAND_SECONDS} s"
            )
        left += results * DEMAND_SECONDS
        waited += block_seconds
        other = max(GLANCE_SECONDS, seconds + block_seconds)
    results, seconds = turns[0]
    again = 2 * (seconds + block_seconds) + piece
    if len(duties) > MOST_HELD and again > results * DEMAND_SECONDS:
        return (
            f"of {len(duties)} unsettled results {MOST_HELD} are held for demands, and {results} "
            f"more could be demanded within {results * DEMAND_SECONDS} s, which takes {again:.0f} s"
        )
    return None


def _turns(data: Sequence[float]) -> Iterator[tuple[int, float]]:
    """How many results are had at hand in a turn, and how long that takes."""
    results, seconds = 0, 0.0
    for each in data:
        results, seconds = results + 1, seconds + each
        if results == MOST_SUPPLIES or seconds >= GLANCE_SECONDS:
            yield results, seconds
            results, seconds = 0, 0.0
    if results:
        yield results, seconds
