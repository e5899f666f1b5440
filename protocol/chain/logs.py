"""Decoded logs of the contracts as events of the book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protocol.chain.book import (
    Accepted,
    AttemptLost,
    Cancelled,
    Committed,
    Event,
    Finalized,
    HoldsChanged,
    Place,
    Posted,
    ProvenIllegal,
    Refunded,
    Registered,
    Slashed,
    Voided,
)
from protocol.chain.contracts import raw_address, terms_of
from protocol.chain.demands import Answered, Demanded, FeeCollected, Withheld
from protocol.chain.disputes import (
    BlockRevealed,
    Challenged,
    ClaimEnded,
    ClaimFell,
    Collected,
    Defeated,
    Entered,
    Opened,
    Pointed,
    Revealed,
    StepOpened,
)
from protocol.spec.answers import Part
from protocol.spec.job import Fault, Payout
from protocol.spec.trace import Tree


def _payouts(values: Sequence[Sequence[Any]]) -> tuple[Payout, ...]:
    return tuple(Payout(raw_address(to), token, native) for to, token, native in values)


def event_of(name: str, v: Mapping[str, Any], place: Place) -> Event | None:
    """A decoded log as an event of the book; None for those that it does not need."""
    match name:
        case "Posted":
            return Posted(place, v["jobHash"], raw_address(v["client"]), terms_of(v["terms"]),
                          v["locators"])  # fmt: skip
        case "Accepted":
            return Accepted(place, v["jobHash"], raw_address(v["provider"]), v["attempt"],
                            v["runUntil"])  # fmt: skip
        case "Committed":
            return Committed(place, v["jobHash"], v["claimId"], raw_address(v["provider"]),
                             v["resultRoot"], v["windowUntil"], v["locators"])  # fmt: skip
        case "Finalized":
            return Finalized(place, v["jobHash"], raw_address(v["provider"]),
                             raw_address(v["caller"]), v["price"])  # fmt: skip
        case "Refunded":
            return Refunded(place, v["jobHash"], raw_address(v["client"]), v["price"])
        case "Cancelled":
            return Cancelled(place, v["jobHash"])
        case "AttemptLost":
            return AttemptLost(place, v["jobHash"], raw_address(v["provider"]), v["attempt"],
                               Fault(v["fault"]), v["openUntil"])  # fmt: skip
        case "Voided":
            return Voided(place, v["jobHash"], raw_address(v["provider"]), v["toProvider"],
                          _payouts(v["payouts"]))  # fmt: skip
        case "HoldsChanged":
            return HoldsChanged(place, v["jobHash"], v["claimId"], v["holds"])
        case "Registered":
            return Registered(place, raw_address(v["provider"]), v["capabilities"],
                              raw_address(v["delegate"]), v["endpoint"])  # fmt: skip
        case "Slashed":
            return Slashed(place, raw_address(v["provider"]), Fault(v["fault"]), v["token"],
                           v["native"], v["burned"], _payouts(v["payouts"]))  # fmt: skip
        case "ProvenIllegal":
            return ProvenIllegal(place, v["jobHash"], v["claimId"], raw_address(v["caller"]),
                                 v["kind"])  # fmt: skip
    return _claim_event(name, v, place)


def _claim_event(name: str, v: Mapping[str, Any], place: Place) -> Event | None:
    if name == "ClaimEnded":
        return ClaimEnded(place, v["claimId"])
    if "claimId" not in v or "number" not in v:
        return None
    at = (place, v["claimId"], v["number"])
    match name:
        case "Challenged":
            who = raw_address(v["challenger"])
            return Challenged(*at, who, v["token"], v["native"], v["openBy"])
        case "Opened":
            return Opened(*at, v["root"], tuple(v["nodes"]), v["fee"])
        case "StepOpened":
            return StepOpened(*at, v["step"], v["root"], tuple(v["nodes"]), v["fee"])
        case "Revealed":
            return Revealed(*at, v["node"], tuple(v["nodes"]), v["fee"])
        case "BlockRevealed":
            return BlockRevealed(*at, v["node"], v["data"], v["fee"])
        case "Pointed":
            return Pointed(*at, v["level"], v["index"], v["node"])
        case "Entered":
            return Entered(*at, Tree(v["tree"]), v["node"], v["count"])
        case "Defeated":
            return Defeated(*at, raw_address(v["caller"]), v["token"], v["native"])
        case "ClaimFell":
            return ClaimFell(*at, raw_address(v["caller"]), Fault(v["fault"]))
        case "Collected":
            who = raw_address(v["challenger"])
            return Collected(*at, who, v["token"], v["native"])
    return _demand_event(name, v, at)


def _demand_event(name: str, v: Mapping[str, Any], at: tuple[Place, bytes, int]) -> Event | None:
    match name:
        case "Demanded":
            who, part = raw_address(v["demander"]), Part(v["part"])
            return Demanded(*at, who, part, v["item"], v["index"], v["deadline"])
        case "Answered":
            return Answered(*at, raw_address(v["caller"]), v["bytes_"], v["paid"], v["proof"])
        case "Withheld":
            return Withheld(*at, raw_address(v["caller"]), v["rewarded"])
        case "FeeCollected":
            return FeeCollected(*at, raw_address(v["demander"]), v["fee"])
    return None
