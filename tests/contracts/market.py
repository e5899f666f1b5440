"""A market on a chain of its own: the accounts, the calls and the terms that tests use.

Everything goes through Brownie's contract objects; terms are those of ``protocol.spec.job``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from protocol.spec import job
from protocol.spec.job import Deal, Fault, JobTerms, Task
from protocol.spec.limits import DEVNET, GWEI, Limits
from protocol.spec.trees import keccak256

LOCATORS: Final = b'{"program":"bafy"}'
PRICE: Final = 100 * 10**18
RESULT: Final = keccak256(b"result")
ZERO32: Final = bytes(32)


def address(account: Any) -> bytes:
    """The 20 bytes of an account's or a contract's address."""
    return bytes.fromhex(str(getattr(account, "address", account))[2:])


def task_tuple(task: Task) -> tuple[Any, ...]:
    """A task as the contract's struct."""
    return (
        "0x" + task.referee.hex(),
        task.program_root,
        task.constants_root,
        task.inputs_root,
        task.locators_hash,
        task.steps,
        task.first_step,
        task.seed,
        task.task_count,
    )


def deal_tuple(deal: Deal) -> tuple[Any, ...]:
    """A deal as the contract's struct."""
    return (
        "0x" + deal.client.hex(),
        deal.nonce,
        deal.capability,
        deal.price_floor,
        deal.price_ceiling,
        deal.ramp_seconds,
        deal.stake_bps,
        deal.attempts,
        deal.work_ms,
        deal.gas_price,
        deal.open_seconds,
        deal.run_seconds,
        deal.window_seconds,
        deal.move_seconds,
    )


def terms_tuple(terms: JobTerms) -> tuple[Any, ...]:
    """All terms as the contract's struct."""
    return (task_tuple(terms.task), deal_tuple(terms.deal))


@dataclass(frozen=True)
class Market:
    """The contracts of one deployment, and who plays which role."""

    brownie: Any
    project: Any
    token: Any
    registry: Any
    market: Any
    game: Any
    deployer: Any
    client: Any
    provider: Any
    rival: Any
    keeper: Any
    stranger: Any
    chain_id: int
    limits: Limits = DEVNET
    court: Any = None

    # --- terms -------------------------------------------------------------------------------

    def terms(self, *, task: dict[str, Any] | None = None, **deal: Any) -> JobTerms:
        """Ordinary terms, with the given fields replaced."""
        ordinary = Deal(
            client=address(self.client),
            nonce=1,
            capability=ZERO32,
            price_floor=PRICE,
            price_ceiling=PRICE,
            ramp_seconds=0,
            stake_bps=20_000,
            attempts=2,
            work_ms=10_500,
            gas_price=GWEI,
            open_seconds=100,
            run_seconds=200,
            window_seconds=300,
            move_seconds=60,
        )
        what = Task(
            referee=address(self.game),
            program_root=keccak256(b"program"),
            constants_root=keccak256(b"constants"),
            inputs_root=keccak256(b"inputs"),
            locators_hash=keccak256(LOCATORS),
            steps=job.pack_steps([1]),
            seed=-5,
        )
        return JobTerms(replace(what, **(task or {})), replace(ordinary, **deal))

    def key(self, terms: JobTerms) -> bytes:
        """The job's hash, by the specification."""
        return job.job_hash(self.chain_id, address(self.market), terms)

    def args(self, terms: JobTerms) -> tuple[bytes, tuple[Any, ...]]:
        """``(taskHash, deal)`` as most calls take them."""
        return job.task_hash(terms.task), deal_tuple(terms.deal)

    def bounty(self, terms: JobTerms) -> int:
        """Wei that posting brings."""
        return job.bounty_of(terms.deal, self.limits.schedule)

    def lock(self, terms: JobTerms) -> tuple[int, int]:
        """Tokens and wei that accepting locks."""
        return job.lock_of(terms.deal, self.limits.schedule)

    def claim(
        self, terms: JobTerms, provider: Any, attempt: int = 0, root: bytes = RESULT
    ) -> bytes:
        """The claim's identifier, by the specification."""
        return job.claim_id(
            self.chain_id, address(self.market), self.key(terms), attempt, address(provider), root
        )

    # --- the calls of an ordinary job ----------------------------------------------------------

    def post(self, terms: JobTerms, **options: Any) -> Any:
        """The client posts."""
        tx = {"from": self.client, "value": self.bounty(terms), **options}
        return self.market.post(terms_tuple(terms), LOCATORS, tx)

    def accept(self, terms: JobTerms, provider: Any = None) -> Any:
        """A provider accepts."""
        return self.market.accept(*self.args(terms), {"from": provider or self.provider})

    def commit(self, terms: JobTerms, provider: Any = None, root: bytes = RESULT) -> Any:
        """A provider commits."""
        return self.market.commit(self.key(terms), root, b"", {"from": provider or self.provider})

    def posted(self, **deal: Any) -> JobTerms:
        """An open job."""
        terms = self.terms(**deal)
        self.post(terms)
        return terms

    def accepted(self, **deal: Any) -> JobTerms:
        """A job that the provider has taken."""
        terms = self.posted(**deal)
        self.accept(terms)
        return terms

    def committed(self, **deal: Any) -> JobTerms:
        """A job with a result in its window."""
        terms = self.accepted(**deal)
        self.commit(terms)
        return terms

    def reject(
        self,
        terms: JobTerms,
        provider: Any = None,
        attempt: int = 0,
        fault: Fault = Fault.WRONG,
        payouts: Sequence[tuple[Any, int, int]] = (),
    ) -> Any:
        """The game rejects the current claim."""
        claim = self.claim(terms, provider or self.provider, attempt)
        return self.game.reject(
            *self.args(terms), claim, int(fault), list(payouts), {"from": self.stranger}
        )

    # --- reverts -------------------------------------------------------------------------------

    @contextmanager
    def reverts(self, error: str, *arguments: object) -> Iterator[None]:
        """The block's call reverts with this custom error and, if any are given, these values."""
        with pytest.raises(self.brownie.exceptions.VirtualMachineError) as caught:
            yield
        name, _, values = str(caught.value.revert_msg).partition(":")
        assert name == error, f"got {caught.value.revert_msg}, wanted {error}"
        if arguments:
            wanted = ", ".join(str(getattr(a, "address", a)) for a in arguments)
            assert values.strip().lower() == wanted.lower(), f"got {values}, wanted {wanted}"

    # --- reading and time ----------------------------------------------------------------------

    def status(self, terms: JobTerms) -> job.JobStatus:
        """Where the job is."""
        return job.JobStatus(self.market.jobOf(self.key(terms))[0])

    def clock(self, terms: JobTerms) -> int:
        """The deadline that the job waits for."""
        return int(self.market.jobOf(self.key(terms))[3])

    def owed(self, account: Any, contract: Any = None) -> tuple[int, int]:
        """Tokens and wei that the market, or another contract, owes an account."""
        token, native = (contract or self.market).credit(account)
        return int(token), int(native)

    def free(self, provider: Any) -> tuple[int, int]:
        """Free tokens and wei of a provider."""
        entry = self.registry.providerOf(provider)
        return int(entry[1]), int(entry[2])

    def at(self, time: int) -> None:
        """The next transaction's block has this time."""
        self.brownie.web3.provider.make_request("evm_setNextBlockTimestamp", [time])

    def after(self, terms: JobTerms) -> None:
        """The next transaction's block is the first after the job's clock."""
        self.at(self.clock(terms) + 1)
