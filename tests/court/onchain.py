"""The court and its twin, stepped together and compared after every call; the money of all four."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest
from eth_abi import encode

from protocol.spec.answers import Answer, Answerer, Part
from protocol.spec.demands import Court, DemandState, fee_of
from protocol.spec.dispute import Outcome
from protocol.spec.errors import MoveRefused
from protocol.spec.job import DEAD, JobStatus, JobTerms, Payout
from protocol.spec.trace import Trace
from tests.actors.case import Case, raw
from tests.contracts.market import Market, address, terms_tuple
from tests.game.onchain import ChainTable, encoded

VERDICT: Final = {verdict: encode(["bool"], [verdict]) for verdict in (True, False)}
"""Proofs, to a referee that believes what it is told."""

LIVE: Final = (JobStatus.OPEN, JobStatus.ACCEPTED, JobStatus.COMMITTED)


def answerer_of(of: Case, claimed: Trace | None = None) -> Answerer:
    """Holds an example's program and tensors, and the outputs of a trace."""
    e, trace = of.example, claimed or of.truth

    def tensor(part: Part, item: int) -> bytes:
        if part is Part.OUTPUT:
            return trace.states[-1][e.program.outputs[item]]
        return raw((e.constants if part is Part.CONSTANT else e.inputs)[item])

    return Answerer(e.program, tensor)


class CourtTable(ChainTable):
    """A committed claim; calls of the court go to the twin first, then to the contract."""

    def __init__(
        self, world: Market, of: Case, claimed: Trace, *, nonce: int = 1,
        before: CourtTable | None = None, **deal: Any,
    ) -> None:  # fmt: skip
        super().__init__(world, of, claimed, nonce=nonce, **deal)
        self.of = of
        self.jobs: list[JobTerms] = [] if before is None else before.jobs
        self.jobs.append(self.terms)
        if before is not None:
            claim = self.claim
            self.game = before.game
            self.game.claims[self.claim_id] = claim
        self.court: Court = Court(self.game) if before is None else before.court

    # --- calls -----------------------------------------------------------------------------------

    def demand(self, part: Part, item: int = 0, index: int = 0, *, who: bytes) -> int:
        self.now = max(self.now, self._chain_time()) + 1
        self.game.base_fee = self.base_fee or 0
        number = self.court.demand(self.claim_id, part, item, index, who, self.now)
        receipt = self._send("demand", part, item, index, who=who)
        assert receipt.events["Demanded"]["number"] == number
        return number

    def answer(
        self, part: Part, item: int = 0, index: int = 0, *, who: bytes, proof: Answer | None = None
    ) -> int:
        """The truth, or ``proof``; the bytes that it shows."""
        self.now = max(self.now, self._chain_time()) + 1
        given = proof or answerer_of(self.of).answer(part, item, index)
        self.game.base_fee = self.base_fee or 0
        shown = self.court.answer(self.claim_id, part, item, index, given, self.now)
        receipt = self._send("answer", part, item, index, given, who=who)
        event = receipt.events["Answered"]
        assert event["bytes_"] == shown
        number = self.court.dockets[self.claim_id].places[part, item, index]
        price = min(self.court.demands[self.claim_id, number].price, self.price())
        assert event["paid"] == (250_000 + 50 * shown) * price
        assert bytes.fromhex(str(event["proof"])[2:]) == encoded(given)
        # What an answer costs is paid for.
        gas = int(receipt.gas_used)
        assert gas <= 250_000 + 50 * shown, (part.name, gas)
        self.gas.append((f"answer {part.name}", gas))
        return shown

    def timeout(self, number: int, *, who: bytes) -> Any:
        self.now = max(self.now, self._chain_time()) + 1
        self.court.timeout(self.claim_id, number, who, self.now)
        return self._send("timeout", number, who=who)

    def collect_fees(self, numbers: list[int], *, who: bytes) -> None:
        self.now = max(self.now, self._chain_time()) + 1
        self.court.collect(self.claim_id, numbers)
        self._send("collect", numbers, who=who)

    def prove_illegal(self, *, who: bytes) -> list[Payout]:
        """Of the committed claim."""
        self.now = max(self.now, self._chain_time()) + 1
        lines = self.court.prove_illegal(self.claim_id, True, who)
        receipt = self._send("proveIllegal", True, who=who)
        assert payouts_of(receipt) == [(p.to, p.token, p.native) for p in lines]
        return lines

    def late(self, number: int) -> None:
        """The demand's clock runs out."""
        self.wait_until(self.court.demands[self.claim_id, number].deadline)

    def refused_call(self, name: str, *arguments: Any, who: bytes) -> str:
        """Twin and contract refuse, for the same reason."""
        at = max(self.now, self._chain_time()) + 1
        extra = {"collect": (), "answer": (at,), "proveIllegal": (who,)}.get(name, (who, at))
        twin = getattr(self.court, {"proveIllegal": "prove_illegal"}.get(name, name))
        with pytest.raises(MoveRefused) as caught:
            twin(self.claim_id, *arguments, *extra)
        self.now = at
        with self.world.reverts(caught.value.name):
            self._call(name, *arguments, who=who)
        self.now = max(self.now, self._chain_time())
        return caught.value.name

    def _send(self, name: str, *arguments: Any, who: bytes) -> Any:
        receipt = self._call(name, *arguments, who=who)
        assert int(receipt.timestamp) == self.now
        self.compare_court(receipt)
        return receipt

    def _call(self, name: str, *arguments: Any, who: bytes) -> Any:
        options: dict[str, Any] = {"from": self.accounts[who]}
        self.next_block()
        court, terms = self.world.court, terms_tuple(self.terms)
        if name == "collect":
            return court.collect(self.claim_id, *arguments, options)
        if name == "proveIllegal":
            return court.proveIllegal(terms, 0, VERDICT[arguments[0]], options)
        rest = list(arguments)
        if name == "demand":
            options["value"] = fee_of(self.terms.deal)
        if name == "answer":
            rest[3] = encoded(rest[3])
        if name in ("demand", "answer"):
            rest[0] = int(rest[0])
        return getattr(court, name)(terms, self.claim_id, *rest, options)

    # --- comparing -------------------------------------------------------------------------------

    def compare_court(self, receipt: Any) -> None:
        """Dockets, demands, queues, credits, money; and the game, if it knows the claim."""
        court, docket = self.world.court, self.court.dockets[self.claim_id]
        got = court.docketOf(self.claim_id)
        head, tail = (docket.numbers[0], docket.numbers[-1]) if docket.numbers else (0, 0)
        assert tuple(got[2:]) == (head, tail, docket.count)
        if docket.count:
            assert (address(got[0]), got[1]) == (self.claim.provider, self.terms.deal.gas_price)
        for number in range(1, docket.count + 1):
            d = self.court.demands[self.claim_id, number]
            demander, deadline, state = court.demandOf(self.claim_id, number)[:3]
            assert (address(demander), deadline, state) == (d.demander, d.deadline, d.state)
        for (part, item, index), number in docket.places.items():
            assert court.numberOf(self.claim_id, int(part), item, index) == number
        queue = self.court.queues[self.claim.provider]
        assert tuple(court.queueOf(self.world.provider)) == (queue.end, queue.open)
        people = (*self.accounts, DEAD)
        owed = credits_of(self.world, [court], people)[court]
        assert owed == [(0, self.court.credits[who]) for who in people]
        assert self.world.game.claimOf(self.claim_id)[5] == self.claim.fallen
        if self.claim.count:
            self.compare(receipt)
        elif not self.claim.fallen:
            assert self.world.market.jobOf(self.world.key(self.terms))[5] == self.claim.holds
        elif "Slashed" in receipt.events:
            self.compare_slash(receipt)
        compare_money(self)

    def compare_slash(self, receipt: Any) -> None:
        """Who got what of the lock; a third of its tokens burned."""
        lines = [tuple(line) for line in receipt.events["Slashed"]["payouts"]][:-1]
        wanted = [("0x" + p.to.hex(), p.token, p.native) for p in self.claim.payouts]
        assert [(str(a).lower(), b, d) for a, b, d in lines] == wanted
        assert receipt.events["AttemptLost"]["fault"] == self.claim.fault
        token, _ = self.world.lock(self.terms)
        assert 3 * receipt.events["Slashed"]["burned"] >= token


def payouts_of(receipt: Any) -> list[tuple[bytes, int, int]]:
    """Lines of a void job."""
    lines = receipt.events["Voided"]["payouts"]
    return [(address(to), token, native) for to, token, native in lines]


def credits_of(
    world: Market, contracts: Sequence[Any], people: Sequence[bytes]
) -> dict[Any, list[tuple[int, int]]]:
    """What contracts owe to people, tokens and wei, read in one request."""
    calls = [
        ("eth_call", [{"to": c.address, "data": c.credit.encode_input("0x" + who.hex())}, "latest"])
        for c in contracts
        for who in people
    ]
    answers = world.brownie.web3.provider.make_batch_request(calls)
    words = [bytes.fromhex(answer["result"][2:]) for answer in answers]
    owed = [(int.from_bytes(w[:32], "big"), int.from_bytes(w[32:], "big")) for w in words]
    size = len(people)
    return {c: owed[k * size : (k + 1) * size] for k, c in enumerate(contracts)}


def compare_money(table: CourtTable) -> None:
    """Each contract holds what it tracks, in both currencies."""
    world, people = table.world, (*table.accounts, DEAD)
    contracts = (world.market, world.registry, world.game, world.court)
    owed = {
        contract: tuple(map(sum, zip(*lines, strict=True)))
        for contract, lines in credits_of(world, contracts, people).items()
    }
    live = [t for t in table.jobs if world.status(t) in LIVE]
    taken = [t for t in live if world.status(t) is not JobStatus.OPEN]
    free = [world.free(p) for p in (world.provider, world.rival)]
    bonds = [x for x in table.game.challenges.values() if x.outcome is Outcome.LIVE]
    fees = [d for d in table.court.demands.values() if d.state is DemandState.OPEN]
    held = {
        world.market: (
            sum(t.deal.price_ceiling for t in live), sum(world.bounty(t) for t in live)
        ),
        world.registry: (
            sum(f[0] for f in free) + sum(world.lock(t)[0] for t in taken),
            sum(f[1] for f in free) + sum(world.lock(t)[1] for t in taken),
        ),
        world.game: (sum(x.token for x in bonds), sum(x.native for x in bonds)),
        world.court: (0, len(fees) * fee_of(table.terms.deal)),
    }  # fmt: skip
    for contract, (token, native) in held.items():
        assert int(world.token.balanceOf(contract)) == token + owed[contract][0], contract
        assert int(contract.balance()) == native + owed[contract][1], contract
