"""Who brought, got and lost what in a dispute, and what its transactions cost.  Pure.

Every line follows from an event and the game's schedule; in each currency they add up to nothing
once the dispute is over, and before to what the game still holds of bonds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto

from client.demanded import gains
from protocol.chain.book import AttemptLost, ProvenIllegal, Slashed, Voided
from protocol.chain.demands import Docket
from protocol.chain.disputes import (
    BlockRevealed,
    ChallengeRecord,
    Collected,
    Defeated,
    Dispute,
    Opened,
    Revealed,
    StepOpened,
)
from protocol.chain.event import Event
from protocol.chain.receipts import Sent
from protocol.spec.dispute import CLOSE_GAS, Outcome, forfeited
from protocol.spec.job import DEAD, Deal, Fault

ANSWERS = (Opened, StepOpened, Revealed, BlockRevealed)
"""Moves that the bond of a challenge pays for; a step that nobody waits for is free."""


class Party(Enum):
    """Who somebody is in a dispute."""

    CHALLENGER = auto()
    DEMANDER = auto()
    PROVIDER = auto()
    CLIENT = auto()
    STRANGER = auto()
    BURNED = auto()


@dataclass(frozen=True)
class Parties:
    """Who is who.  ``delegate`` may open for the provider."""

    provider: bytes
    client: bytes
    challengers: frozenset[bytes]
    demanders: frozenset[bytes] = frozenset()
    delegate: bytes = b""

    def of(self, who: bytes) -> Party:
        """The party of an account; a provider that challenges itself is the provider."""
        if who == DEAD:
            return Party.BURNED
        if who == self.provider or (self.delegate.strip(b"\0") and who == self.delegate):
            return Party.PROVIDER
        if who in self.challengers:
            return Party.CHALLENGER
        if who in self.demanders:
            return Party.DEMANDER
        return Party.CLIENT if who == self.client else Party.STRANGER


@dataclass(frozen=True)
class Line:
    """One gain or loss of an account, in smallest units."""

    who: bytes
    what: str
    token: int
    native: int


@dataclass(frozen=True)
class Costs:
    """Transactions of one party: how many, their gas, and what that was in wei."""

    party: Party
    transactions: int
    gas: int
    paid: int


def split_of(events: Iterable[Event], d: Dispute) -> Slashed | Voided | None:
    """How the market divided the money of the attempt under dispute.  It takes a lost one from the
    provider, and at once has the provider slashed; the court says what is illegal, and at once has
    the market void the job."""
    ended = b""
    for event in events:
        if isinstance(event, AttemptLost):
            mine = (event.job, event.attempt) == (d.job, d.attempt)
            ended = event.place.tx if mine else b""
        elif isinstance(event, ProvenIllegal):
            ended = event.place.tx if event.claim == d.claim else b""
        elif isinstance(event, Slashed | Voided) and event.place.tx == ended:
            return event
    return None


def money(
    d: Dispute,
    docket: Docket,
    deal: Deal,
    bounty: int,
    ended: bool,
    split: Slashed | Voided | None,
) -> list[Line]:
    """Every gain and loss.

    ``bounty`` is what the client added in wei for the call that ends the job.  ``ended``: the claim
    was rejected or its job voided, which gave ``split``.
    """
    lines = []
    for x in d.challenges:
        lines += _bond(d, x, deal)
        if ended and x.outcome is Outcome.LIVE:
            rest = x.native - sum(m.event.fee for m in x.moves if isinstance(m.event, ANSWERS))
            lines.append(Line(x.challenger, "bonds to collect", x.token, rest))
    lines += [Line(who, what, 0, wei) for who, what, wei in gains(docket, deal, d.provider, ended)]
    if isinstance(split, Slashed):
        lines.append(Line(d.provider, "stake lost", -split.token, -split.native))
        lines += [Line(p.to, "reward", p.token, p.native) for p in split.payouts[:-1]]
        # The client's line is behind the others.
        lines += [Line(p.to, "compensation", p.token, p.native) for p in split.payouts[-1:]]
        lines.append(Line(DEAD, "burned of the stake", split.burned, 0))
    elif split is not None:
        lines += _voided(split, d.provider, deal, bounty)
    return [line for line in _gathered(lines) if line.token or line.native]


def _voided(split: Voided, provider: bytes, deal: Deal, bounty: int) -> list[Line]:
    """The client of an illegal job pays, as far as its price and its bounty go; the provider's lock
    has the rest, as of contracts/libraries/Splits.sol."""
    token, native = sum(p.token for p in split.payouts), sum(p.native for p in split.payouts)
    lacking = max(token - deal.price_ceiling, 0), max(native - bounty, 0)
    price = split.to_provider
    return [
        Line(deal.client, "paid for an illegal job", lacking[0] - token - price,
             lacking[1] - native),
        Line(provider, "price of an illegal job", price, 0),
        Line(provider, "what the client lacked", -lacking[0], -lacking[1]),
        *(Line(p.to, "costs of an illegal job", p.token, p.native) for p in split.payouts),
    ]  # fmt: skip


def _gathered(lines: Iterable[Line]) -> list[Line]:
    """Lines for the same thing as one, where the first was."""
    out: dict[tuple[bytes, str], Line] = {}
    for line in lines:
        old = out.get((line.who, line.what), replace(line, token=0, native=0))
        token, native = old.token + line.token, old.native + line.native
        out[line.who, line.what] = replace(line, token=token, native=native)
    return list(out.values())


def _bond(d: Dispute, x: ChallengeRecord, deal: Deal) -> list[Line]:
    """What became of the bond of one challenge."""
    lines = [Line(x.challenger, f"bond {x.number}", -x.token, -x.native)]
    for event in (move.event for move in x.moves):
        if isinstance(event, ANSWERS):
            lines.append(Line(d.provider, "answers", 0, event.fee))
        elif isinstance(event, Defeated):
            burned, burned_native = forfeited(event.token), forfeited(event.native)
            bounty = CLOSE_GAS * deal.gas_price
            lines += [
                Line(d.provider, "rest of defeated bonds", event.token - burned,
                     event.native - burned_native - bounty),
                Line(event.caller, "closing", 0, bounty),
                Line(DEAD, "burned of bonds", burned, burned_native),
            ]  # fmt: skip
        elif isinstance(event, Collected):
            lines.append(Line(x.challenger, "bonds back", event.token, event.native))
    return lines


def costs(sent: Iterable[Sent], parties: Parties) -> list[Costs]:
    """What the transactions of each party cost; parties that sent none are left out."""
    out: dict[Party, Costs] = {}
    for one in sent:
        party = parties.of(one.sender)
        old = out.get(party, Costs(party, 0, 0, 0))
        out[party] = Costs(party, old.transactions + 1, old.gas + one.gas, old.paid + one.paid)
    return [out[party] for party in Party if party in out]


FAULTS = {
    Fault.LATE: "no result came in time",
    Fault.WRONG: "a number was proven wrong",
    Fault.SILENT: "the provider did not answer in time",
    Fault.WITHHELD: "the provider withheld data",
}
"""Why a claim fell."""
