"""A client's side of a market: post jobs, follow them, fetch and verify results, take money out.

Nothing here prints.  Every error is a class below ``AssayError`` with one line that says what to
do.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from client.compare import first_difference
from client.job_errors import (
    InsufficientAllowance,
    InsufficientTokens,
    NoResult,
    NotFinished,
    NotOpen,
    UnknownJob,
)
from client.padding import Padding, fetch_padding
from client.terms import Quote, Wishes, quote, terms_for
from client.views import JobView, ProviderView, job_view, utc
from protocol.chain.abi import AbiError
from protocol.chain.amounts import exactly, tokens
from protocol.chain.book import Book, JobRecord
from protocol.chain.chain import Chain
from protocol.chain.contracts import Call
from protocol.chain.errors import InsufficientFunds, NodeRefused, Reorganised
from protocol.chain.flights import Outcome
from protocol.chain.history import History
from protocol.chain.reverts import AlreadyPosted, UnknownRefusal, WrongStatus
from protocol.chain.state import Balances, Snapshot
from protocol.chain.transactions import Sender, require_wallet
from protocol.spec.interpreter import run
from protocol.spec.job import JobStatus, JobTerms, job_hash, task_hash
from protocol.spec.limits import check_terms
from protocol.spec.types import Array, Program
from protocol.storage.cache import Cache
from protocol.storage.jobs import JobData, fetch_job, fetch_program, fetch_result, publish_job
from protocol.storage.locators import JobLocators, ResultLocators
from protocol.storage.store import Progress, Store

PERMIT_SECONDS = 3_600
"""How long a permit is good for, in the chain's time."""

Payment = Literal["auto", "credit", "allowance", "permit", "approve"]
"""How a price is paid: from credit with the market, an allowance that is there, a permit, or an
approval that is sent first.  ``auto`` takes the first of these that works.
"""

Compute = Callable[[JobData, int, Callable[[int, int], None] | None], list[Array]]
"""(job, seed, progress) -> outputs."""


@dataclass(frozen=True)
class Submitted:
    """A posted job: its hash, terms, where its data is, and the transaction."""

    job: bytes
    terms: JobTerms
    locators: JobLocators
    quote: Quote
    outcome: Outcome


@dataclass(frozen=True)
class Result:
    """The outputs of a job in the program's order.  ``final``: nobody can challenge it any more."""

    outputs: list[Array]
    final: bool


@dataclass(frozen=True)
class Verified:
    """A result that a second computation gave bit for bit.

    ``operations`` are those of all steps of the job, also where the program halted before.
    """

    outputs: list[Array]
    final: bool
    elements: int
    operations: int


def interpret(
    data: JobData, seed: int, progress: Callable[[int, int], None] | None = None
) -> list[Array]:
    """The plain interpreter: slow, and the definition.  ``progress(done, all)`` by operations."""
    total = sum(
        count * len(phase.instances)
        for count, phase in zip(data.steps, data.program.phases, strict=True)
    )
    done = 0

    def observe(phase: int, step: int, operation: int, tensor: Array) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    outputs = run(
        data.program, data.constants, data.inputs, seed=seed, steps=data.steps, observe=observe
    )
    if progress is not None and done < total:
        progress(total, total)  # it halted early
    return outputs


class Client:
    """Jobs of one market.  ``store`` and ``cache`` are wanted only where data moves.

    Reading needs no key; whoever only reads may pass a chain without one.
    """

    def __init__(
        self,
        chain: Chain,
        store: Store | None = None,
        cache: Cache | None = None,
        sender: Sender | None = None,
    ) -> None:
        self.chain = chain
        self._store = store
        self._cache = cache
        self._sender = sender
        self._history = History(chain)

    # --- what everything stands on ----------------------------------------------------------------

    @property
    def sender(self) -> Sender:
        """The path that sends.  Raises WalletError without a key."""
        if self._sender is None:
            self._sender = Sender(self.chain, require_wallet(self.chain))
        return self._sender

    def _data(self) -> tuple[Store, Cache]:
        if self._store is None:
            self._store = Store()
        if self._cache is None:
            config = self._store.config
            self._cache = Cache(config.cache_dir, config.cache_max_bytes)
        return self._store, self._cache

    def book(self) -> tuple[Book, Snapshot]:
        """Every job and provider at the newest block.  Raises NodeUnavailable."""
        for _ in range(self.chain.config.rpc_attempts):
            at = self.chain.snapshot()
            try:
                return self._history.sync(at), at
            except Reorganised:
                self.chain.rpc.pause(self.chain.config.poll_seconds)
        at = self.chain.snapshot()
        return self._history.sync(at), at

    def record(self, job: bytes) -> tuple[JobRecord, Snapshot]:
        """What the chain tells of one job.  Raises UnknownJob."""
        book, at = self.book()
        if job not in book.jobs:
            raise UnknownJob(
                f"got job 0x{job.hex()}, which was never posted to the market at "
                f"0x{self.chain.deployment.market.hex()}: check the hash and the deployment"
            )
        return book.jobs[job], at

    def resolve(self, text: str) -> bytes:
        """The job whose hash begins with ``text`` (hex, ``0x`` or not).  Raises UnknownJob."""
        digits = text.lower().removeprefix("0x")
        book, _ = self.book()
        found = [job for job in book.jobs if job.hex().startswith(digits)] if digits else []
        if len(found) == 1:
            return found[0]
        if not found:
            raise UnknownJob(
                f"no job of this market begins with {text!r}: `assay jobs` lists them; or is this "
                "another chain?"
            )
        raise UnknownJob(f"{len(found)} jobs begin with {text!r}: give more digits of the hash")

    # --- posting ----------------------------------------------------------------------------------

    def quote(self, program: Program, wishes: Wishes) -> Quote:
        """What a job would cost, and the terms it would have.  Raises LimitExceeded, WalletError.

        The same wishes give the same quote but for the nonce and the price of gas.
        """
        at = self.chain.snapshot()
        return quote(
            program,
            wishes,
            self.chain.limits(at),
            self.sender.address,
            secrets.randbits(64),
            self.sender.fees().expected,
        )

    def submit(
        self,
        program: Program,
        constants: Sequence[Array],
        inputs: Sequence[Array],
        wishes: Wishes,
        *,
        payment: Payment = "auto",
        peers: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> Submitted:
        """Puts the data into IPFS and posts the job; money is checked first, data next.

        ``peers`` are multiaddrs at which providers find the data (default: the store's own).
        Raises InsufficientFunds (InsufficientTokens), InsufficientAllowance, LimitExceeded,
        WalletError; IllegalProgram, TensorMismatch; IpfsUnavailable; and what ``Sender.send``
        raises.
        """
        store, _ = self._data()
        sender = self.sender
        price = self.quote(program, wishes)
        deal = price.deal
        at = self.chain.snapshot()
        way = self._payment(price, self.chain.balances(sender.address, at), payment)
        if peers is None:
            peers = store.node().addresses
        roots = publish_job(store, program, constants, inputs, peers=peers, progress=progress)
        terms = terms_for(
            program,
            wishes,
            deal,
            self.chain.deployment.game,
            (roots.program, roots.constants, roots.inputs),
            roots.locators.hash,
        )
        check_terms(terms, self.chain.limits(at), self.chain.deployment.game)
        job = job_hash(self.chain.chain_id, self.chain.deployment.market, terms)
        outcome = self._post(way, terms, roots.locators.encode(), price)
        return Submitted(job, terms, roots.locators, price, outcome)

    def _payment(self, price: Quote, has: Balances, payment: Payment) -> Payment:
        """How to pay.  Raises InsufficientTokens, InsufficientFunds, InsufficientAllowance."""
        who, market = f"0x{self.sender.address.hex()}", "the market"
        credit = has.market_credit
        if payment in ("auto", "credit"):
            if credit.token >= price.price and credit.native >= price.bounty:
                return "credit"
            if payment == "credit":
                raise InsufficientFunds(
                    f"{who} has a credit of {tokens(credit.token)} and {exactly(credit.native)} "
                    f"with {market}; the job takes {tokens(price.price)} and "
                    f"{exactly(price.bounty)}: deposit first"
                )
        if has.token < price.price:
            raise InsufficientTokens(
                f"{who} has {tokens(has.token)}, the price is {tokens(price.price)}: get "
                f"{tokens(price.price - has.token)} more, or offer less"
            )
        if has.native < price.bounty:
            raise InsufficientFunds(
                f"{who} has {exactly(has.native)}, the bounty is {exactly(price.bounty)} beside "
                f"gas: get more"
            )
        if payment in ("auto", "allowance") and has.market_allowance >= price.price:
            return "allowance"
        if payment == "allowance":
            raise InsufficientAllowance(
                f"{market} may take {tokens(has.market_allowance)} of {who}, the price is "
                f"{tokens(price.price)}: pay by permit, or approve first"
            )
        return "permit" if payment == "auto" else payment

    def _post(self, way: Payment, terms: JobTerms, locators: bytes, price: Quote) -> Outcome:
        contracts, sender = self.chain.contracts, self.sender
        market = contracts.market
        if way == "credit":
            call = market.post_from_credit(terms, locators)
        elif way == "permit":
            permitted = self._permitted(terms, locators, price)
            if permitted is None:
                return self._post("approve", terms, locators, price)
            call = permitted
        else:
            if way == "approve":
                sender.send(contracts.token.approve(market.address, price.price))
            call = market.post(terms, locators, price.bounty)
        return sender.send(call, already=lambda refusal: isinstance(refusal, AlreadyPosted))

    def _permitted(self, terms: JobTerms, locators: bytes, price: Quote) -> Call | None:
        """The call with a permit; None when the token knows none."""
        wallet, market = self.sender.wallet, self.chain.contracts.market
        if wallet is None:
            return None
        at = self.chain.snapshot()
        deadline = at.next_timestamp + PERMIT_SECONDS
        try:
            signature = self.chain.permit(wallet, market.address, price.price, deadline, at)
        except (UnknownRefusal, NodeRefused, AbiError):
            return None
        return market.post_with_permit(terms, locators, price.bounty, deadline, signature)

    def cancel(self, job: bytes) -> Outcome:
        """Takes an open job back.  Raises UnknownJob, NotOpen, reverts.NotClient."""
        record, _ = self.record(job)
        deal = record.terms.deal
        if record.status is not JobStatus.OPEN:
            raise NotOpen(
                f"job 0x{job.hex()} is {record.status.name.lower()}; only an open job can be "
                f"cancelled"
            )
        call = self.chain.contracts.market.cancel(task_hash(record.terms.task), deal, job)
        try:
            return self.sender.send(call)
        except WrongStatus as error:
            raise NotOpen(f"job 0x{job.hex()} was taken meanwhile: {error}") from error

    # --- reading ----------------------------------------------------------------------------------

    def status(self, job: bytes) -> JobView:
        """Everything known of a job.  Raises UnknownJob."""
        record, at = self.record(job)
        return job_view(record, at, self.chain.limits(at).schedule)

    def follow(
        self,
        job: bytes,
        until: frozenset[JobStatus] = JobRecord.FINAL,
        waiting: Callable[[JobView], None] | None = None,
    ) -> Iterator[JobView]:
        """The job now, and again after each change, until its status is one of ``until`` or final.

        ``waiting`` sees it at each look that finds no change.  Raises UnknownJob, Interrupted when
        a stop is asked for, NodeUnavailable.
        """
        seen: JobView | None = None
        while True:
            record, at = self.record(job)
            if seen is None or record != seen.record:
                seen = job_view(record, at, self.chain.limits(at).schedule)
                yield seen
            elif waiting is not None:
                waiting(replace(seen, time=at.next_timestamp))
            if record.status in until or not record.live:
                return
            self.chain.rpc.pause(self.chain.config.poll_seconds)

    def jobs(self, client: bytes | None = None, provider: bytes | None = None) -> list[JobView]:
        """All jobs, oldest first; those of one client, or that one provider ever accepted."""
        book, at = self.book()
        schedule = self.chain.limits(at).schedule
        return [
            job_view(record, at, schedule)
            for record in book.jobs.values()
            if (client is None or record.terms.deal.client == client)
            and (provider is None or any(a.provider == provider for a in record.attempts))
        ]

    def providers(self) -> list[ProviderView]:
        """All registered providers, oldest first, with their stake and record."""
        book, at = self.book()
        return [
            ProviderView(record, self.chain.provider(record.provider, at))
            for record in book.providers.values()
        ]

    # --- results ----------------------------------------------------------------------------------

    def _committed(self, job: bytes) -> tuple[JobRecord, bytes, ResultLocators]:
        record, _ = self.record(job)
        attempt = record.current
        if attempt is None or attempt.result_root is None:
            if record.live:
                raise NotFinished(
                    f"job 0x{job.hex()} is {record.status.name.lower()}: wait until a provider "
                    f"commits a result"
                )
            raise NoResult(f"job 0x{job.hex()} was {record.status.name.lower()}: it has no result")
        return record, attempt.result_root, ResultLocators.decode(attempt.locators)

    def fetch(
        self, job: bytes, *, final_only: bool = False, progress: Progress | None = None
    ) -> Result:
        """A job's outputs, each checked against the root that the chain holds.

        Raises UnknownJob, NotFinished (also while a challenge is still possible, if
        ``final_only``), NoResult; ContentMissing, ContentMismatch, IpfsUnavailable,
        MalformedLocators.
        """
        record, root, where = self._committed(job)
        final = record.status is JobStatus.FINALIZED
        if final_only and not final:
            raise NotFinished(
                f"job 0x{job.hex()} can be challenged until {utc(record.clock)}: wait, or take "
                "it as it is"
            )
        program = self.program(record)
        store, cache = self._data()
        outputs = fetch_result(store, cache, program, root, where, progress=progress)
        return Result(outputs, final)

    def padding(self, job: bytes, timeout: float | None = None) -> Padding:
        """The rows of a job's batch that are of no sentence: none where it reads no sentences.

        Raises as ``fetch``, for the job's inputs.
        """
        record, _ = self.record(job)
        program = self.program(record, timeout)
        store, cache = self._data()
        locators = JobLocators.decode(record.locators)
        return fetch_padding(store, cache, program, record.terms.task, locators, timeout)

    def program(self, record: JobRecord, timeout: float | None = None) -> Program:
        """A job's program, which need not be legal.  Raises as ``fetch``."""
        store, cache = self._data()
        locators = JobLocators.decode(record.locators)
        store.connect(locators.peers)
        return fetch_program(store, cache, locators, record.terms.task.program_root, timeout)

    def verify(
        self,
        job: bytes,
        *,
        compute: Compute = interpret,
        progress: Callable[[int, int], None] | None = None,
    ) -> Verified:
        """Computes a job again, by default with the plain interpreter, and compares every bit.

        Raises ResultDiffers, which names the first output and element that differ, and what
        ``fetch`` raises.
        """
        record, _, _ = self._committed(job)
        result = self.fetch(job)
        store, cache = self._data()
        task = record.terms.task
        data = fetch_job(store, cache, task, JobLocators.decode(record.locators))
        wanted = compute(data, task.seed, progress)
        difference = first_difference(result.outputs, wanted)
        if difference is not None:
            raise difference
        operations = sum(
            count * len(phase.instances)
            for count, phase in zip(data.steps, data.program.phases, strict=True)
        )
        elements = sum(int(tensor.size) for tensor in wanted)
        return Verified(result.outputs, result.final, elements, operations)

    # --- money ------------------------------------------------------------------------------------

    def balances(self, account: bytes | None = None) -> Balances:
        """What an account (default: the wallet's) has, everywhere."""
        return self.chain.balances(account or self.sender.address, self.chain.snapshot())

    def withdraw(self, to: bytes | None = None) -> list[Outcome]:
        """Takes all credits of the wallet out of the contracts, to ``to`` or the wallet.

        A dry run without a key.  Raises what ``Sender.send`` raises.
        """
        has, who = self.balances(), to or self.sender.address
        calls = []
        for name, contract in self.chain.contracts.money.items():
            token, native = has.credits[name].token, has.credits[name].native
            if token:
                calls.append(contract.withdraw(who, token))
            if native:
                calls.append(contract.withdraw_native(who, native))
        return [self.sender.send(call) for call in calls]

    def deposit(self, token: int, native: int) -> Outcome:
        """Brings money in for later posts.  Raises InsufficientTokens and as ``Sender.send``."""
        has = self.balances()
        if has.token < token:
            raise InsufficientTokens(
                f"the wallet has {tokens(has.token)}, wanted {tokens(token)}: get more"
            )
        contracts = self.chain.contracts
        if has.market_allowance < token:
            self.sender.send(contracts.token.approve(contracts.market.address, token))
        return self.sender.send(contracts.market.deposit(token, native))
