"""Jobs: terms, identities, states and splits, as the market contract has them.

The pure twin of ``contracts/JobMarket.sol`` and of the types it uses.  Tokens are in the token's
smallest unit, native money in wei, durations in seconds unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from protocol.spec.errors import LimitExceeded
from protocol.spec.trees import keccak256, word

# --- constants: the same names and values as contracts/types/Constants.sol -----------------------

BPS: Final = 10_000
"""Whole, in basis points."""

LATE_BPS: Final = 4_000
"""Part of the lock that lateness costs; a wrong or silent provider loses all of it."""

BURN_PARTS: Final = 3
"""One part in this many of every slash is burned, rounded up."""

REWARD_PARTS: Final = 3
"""Challengers together get at most one part in this many of a slashed lock, rounded down."""

VOID_FEE_BPS: Final = 1_000
"""Part of the price that a provider gets when a job is voided before it committed."""

PRICE_FACTOR: Final = 2
"""An answer's gas is paid at most this many base fees, of the block that asks for it and of its
own."""

TRACE_FACTOR: Final = 5
"""Building a trace may take this many times the work of the job."""

MAX_PAYOUTS: Final = 16
"""Most lines in one split."""

MAX_LOCATORS: Final = 4_096
"""Most bytes of locators that a post or a commit emits."""

MAX_ENDPOINT: Final = 1_024
"""Most bytes of a provider's endpoint."""

DEAD: Final = bytes.fromhex("000000000000000000000000000000000000dead")
"""Burned money is credited to this address."""

MAX_PHASES: Final = 8
"""Phases whose steps fit the terms: eight counts of 32 bits."""

NAME: Final = "Assay"
VERSION: Final = "1"
"""Name and version of the market's EIP-712 domain."""

TASK_TYPE: Final = (
    b"Task(address referee,bytes32 programRoot,bytes32 constantsRoot,bytes32 inputsRoot,"
    b"bytes32 locatorsHash,uint256 steps,uint64 firstStep,int64 seed,uint32 taskCount)"
)
DEAL_TYPE: Final = (
    b"Deal(address client,uint64 nonce,bytes32 capability,uint128 priceFloor,"
    b"uint128 priceCeiling,uint32 rampSeconds,uint32 stakeBps,uint8 attempts,uint64 workMs,"
    b"uint64 gasPrice,uint32 openSeconds,uint32 runSeconds,uint24 windowSeconds,"
    b"uint32 moveSeconds)"
)
TERMS_TYPE: Final = b"JobTerms(Task task,Deal deal)" + DEAL_TYPE + TASK_TYPE
CLAIM_TYPE: Final = (
    b"AssayClaim(uint256 chainId,address market,bytes32 jobHash,uint256 attempt,"
    b"address provider,uint256 start,uint256 count,bytes32 resultRoot)"
)
DOMAIN_TYPE: Final = (
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)

# --- containers ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """What is computed.  Roots and hashes are 32 bytes, addresses 20; ``steps`` is packed."""

    referee: bytes
    program_root: bytes
    constants_root: bytes
    inputs_root: bytes
    locators_hash: bytes
    steps: int
    seed: int = 0
    first_step: int = 0
    task_count: int = 1


@dataclass(frozen=True)
class Deal:
    """Who pays what, and by when: the fields of ``Deal`` in contracts/types/JobTerms.sol."""

    client: bytes
    nonce: int
    capability: bytes
    price_floor: int
    price_ceiling: int
    ramp_seconds: int
    stake_bps: int
    attempts: int
    work_ms: int
    gas_price: int
    open_seconds: int
    run_seconds: int
    window_seconds: int
    move_seconds: int


@dataclass(frozen=True)
class JobTerms:
    """All terms of a job."""

    task: Task
    deal: Deal


@dataclass(frozen=True)
class Payout:
    """One line of a split: credits to ``to`` (20 bytes), in both currencies."""

    to: bytes
    token: int
    native: int


class JobStatus(IntEnum):
    """Where a job is."""

    NONE = 0
    OPEN = 1
    ACCEPTED = 2
    COMMITTED = 3
    FINALIZED = 4
    REFUNDED = 5
    CANCELLED = 6
    VOIDED = 7


class Fault(IntEnum):
    """Why a provider lost an attempt."""

    LATE = 0
    WRONG = 1
    SILENT = 2
    WITHHELD = 3


_S = JobStatus
TRANSITIONS: Final[Mapping[JobStatus, Mapping[str, frozenset[JobStatus]]]] = {
    _S.NONE: {"post": frozenset({_S.OPEN})},
    _S.OPEN: {
        "accept": frozenset({_S.ACCEPTED}),
        "cancel": frozenset({_S.CANCELLED}),
        "refund": frozenset({_S.REFUNDED}),
        "voidJob": frozenset({_S.VOIDED}),
    },
    _S.ACCEPTED: {
        "commit": frozenset({_S.COMMITTED}),
        "slashLate": frozenset({_S.OPEN, _S.REFUNDED}),
        "voidJob": frozenset({_S.VOIDED}),
    },
    _S.COMMITTED: {
        "finalize": frozenset({_S.FINALIZED}),
        "reject": frozenset({_S.OPEN, _S.REFUNDED}),
        "voidJob": frozenset({_S.VOIDED}),
    },
    _S.FINALIZED: {},
    _S.REFUNDED: {},
    _S.CANCELLED: {},
    _S.VOIDED: {},
}
"""The only moves of a job: status -> the market's function -> where it may lead."""

# --- helpers -------------------------------------------------------------------------------------


def _uint(value: int, bits: int, name: str) -> bytes:
    if not 0 <= value < 1 << bits:
        raise LimitExceeded(f"got {name} = {value}; an integer in [0, 2^{bits}) is wanted")
    return word(value)


def _bytes(value: bytes, size: int, name: str) -> bytes:
    if len(value) != size:
        raise LimitExceeded(f"got {len(value)} bytes for {name}; {size} are wanted")
    return value.rjust(32, b"\0")


def _int64(value: int, name: str) -> bytes:
    if not -(1 << 63) <= value < 1 << 63:
        raise LimitExceeded(f"got {name} = {value}; an integer in [-2^63, 2^63) is wanted")
    return word(value % (1 << 256))


def pack_steps(steps: Sequence[int]) -> int:
    """Steps of each phase as one word: 32 bits each, phase 0 in the lowest.

    Raises LimitExceeded for more than MAX_PHASES phases or a count of 2^32 or more.
    """
    if len(steps) > MAX_PHASES:
        raise LimitExceeded(
            f"got {len(steps)} phases; a job carries at most {MAX_PHASES}: join phases"
        )
    packed = 0
    for phase, count in enumerate(steps):
        _uint(count, 32, f"the steps of phase {phase}")
        packed |= count << (32 * phase)
    return packed


def unpack_steps(packed: int, phases: int) -> tuple[int, ...]:
    """The steps of the first ``phases`` phases.

    Raises LimitExceeded when a phase that the program does not have has steps.
    """
    if phases > MAX_PHASES or packed >> (32 * phases):
        raise LimitExceeded(
            f"got steps {packed:#x} for a program of {phases} phases; phases beyond them, or "
            f"beyond {MAX_PHASES}, must have none"
        )
    return tuple((packed >> (32 * phase)) & 0xFFFFFFFF for phase in range(phases))


# --- identities ----------------------------------------------------------------------------------


def task_hash(task: Task) -> bytes:
    """EIP-712 struct hash of a task: 32 bytes.  Raises LimitExceeded for a field out of range."""
    return keccak256(
        keccak256(TASK_TYPE)
        + _bytes(task.referee, 20, "referee")
        + _bytes(task.program_root, 32, "programRoot")
        + _bytes(task.constants_root, 32, "constantsRoot")
        + _bytes(task.inputs_root, 32, "inputsRoot")
        + _bytes(task.locators_hash, 32, "locatorsHash")
        + _uint(task.steps, 256, "steps")
        + _uint(task.first_step, 64, "firstStep")
        + _int64(task.seed, "seed")
        + _uint(task.task_count, 32, "taskCount")
    )


def deal_hash(deal: Deal) -> bytes:
    """EIP-712 struct hash of a deal: 32 bytes.  Raises LimitExceeded for a field out of range."""
    return keccak256(
        keccak256(DEAL_TYPE)
        + _bytes(deal.client, 20, "client")
        + _uint(deal.nonce, 64, "nonce")
        + _bytes(deal.capability, 32, "capability")
        + _uint(deal.price_floor, 128, "priceFloor")
        + _uint(deal.price_ceiling, 128, "priceCeiling")
        + _uint(deal.ramp_seconds, 32, "rampSeconds")
        + _uint(deal.stake_bps, 32, "stakeBps")
        + _uint(deal.attempts, 8, "attempts")
        + _uint(deal.work_ms, 64, "workMs")
        + _uint(deal.gas_price, 64, "gasPrice")
        + _uint(deal.open_seconds, 32, "openSeconds")
        + _uint(deal.run_seconds, 32, "runSeconds")
        + _uint(deal.window_seconds, 24, "windowSeconds")
        + _uint(deal.move_seconds, 32, "moveSeconds")
    )


def domain_separator(chain_id: int, market: bytes) -> bytes:
    """EIP-712 domain separator of the market at ``market`` (20 bytes) on chain ``chain_id``."""
    return keccak256(
        keccak256(DOMAIN_TYPE)
        + keccak256(NAME.encode())
        + keccak256(VERSION.encode())
        + _uint(chain_id, 256, "chainId")
        + _bytes(market, 20, "market")
    )


def job_hash_of(chain_id: int, market: bytes, task: bytes, deal: Deal) -> bytes:
    """``jobHash`` from the task's hash and the deal: the EIP-712 digest of all terms."""
    terms = keccak256(keccak256(TERMS_TYPE) + _bytes(task, 32, "taskHash") + deal_hash(deal))
    return keccak256(b"\x19\x01" + domain_separator(chain_id, market) + terms)


def job_hash(chain_id: int, market: bytes, terms: JobTerms) -> bytes:
    """``jobHash``: the EIP-712 digest of all terms in the market's domain, 32 bytes."""
    return job_hash_of(chain_id, market, task_hash(terms.task), terms.deal)


def claim_id(
    chain_id: int,
    market: bytes,
    job: bytes,
    attempt: int,
    provider: bytes,
    result_root: bytes,
    start: int = 0,
    count: int = 1,
) -> bytes:
    """``claimId``: one provider's answer to one attempt, 32 bytes."""
    return keccak256(
        keccak256(CLAIM_TYPE)
        + _uint(chain_id, 256, "chainId")
        + _bytes(market, 20, "market")
        + _bytes(job, 32, "jobHash")
        + _uint(attempt, 256, "attempt")
        + _bytes(provider, 20, "provider")
        + _uint(start, 256, "start")
        + _uint(count, 256, "count")
        + _bytes(result_root, 32, "resultRoot")
    )


# --- money ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GasSchedule:
    """The part of a deployment's limits that prices locks and bounties."""

    min_lock: int
    min_gas_price: int
    dispute_gas: int
    close_gas: int
    late_gas: int


def lock_of(deal: Deal, schedule: GasSchedule) -> tuple[int, int]:
    """What accepting locks: tokens, and wei (twice the worst dispute, and the late bounty)."""
    token = max(schedule.min_lock, deal.price_ceiling * deal.stake_bps // BPS)
    return token, (2 * schedule.dispute_gas + schedule.late_gas) * deal.gas_price


def bounty_of(deal: Deal, schedule: GasSchedule) -> int:
    """What posting adds in wei for the call that ends the job."""
    return schedule.close_gas * deal.gas_price


def answer_price(most: int, schedule: GasSchedule, base_fee: int) -> int:
    """Wei that a unit of an answer's gas is paid, by a block of this base fee: by the one that asks
    at ``most`` the terms' gas price, by the one that answers at most what the first gave."""
    return min(most, max(schedule.min_gas_price, PRICE_FACTOR * base_fee))


def trace_seconds(work_ms: int) -> int:
    """Seconds that building a trace may take: ``ceil(TRACE_FACTOR * work / 1 s)``."""
    return -(-TRACE_FACTOR * work_ms // 1000)


@dataclass(frozen=True)
class SlashSplit:
    """Where the tokens of a lock go: to the dead address, the client, others, and back."""

    burned: int
    client: int
    others: int
    returned: int


def late_split(lock: int, price: int) -> SlashSplit:
    """A late provider's lock of ``lock`` tokens: LATE_BPS of it is taken; a third burns, and so
    does what would give the client more than the price."""
    taken = lock * LATE_BPS // BPS
    client = min(taken - -(-taken // BURN_PARTS), price)
    return SlashSplit(taken - client, client, 0, lock - taken)


def reject_split(lock: int, rewards: int) -> SlashSplit:
    """A rejected provider's lock of ``lock`` tokens, ``rewards`` of it to challengers.

    Raises LimitExceeded when the rewards pass one part in REWARD_PARTS.
    """
    if not 0 <= rewards <= lock // REWARD_PARTS:
        raise LimitExceeded(
            f"got rewards of {rewards}; a lock of {lock} allows {lock // REWARD_PARTS} at most"
        )
    burned = -(-lock // BURN_PARTS)
    return SlashSplit(burned, lock - burned - rewards, rewards, 0)


def void_fee(price: int, committed: bool) -> int:
    """What the provider of a voided job gets, as far as the escrow goes."""
    return price if committed else price * VOID_FEE_BPS // BPS
