"""Refusals by the court and its referees: as those in ``protocol.chain.reverts``."""

from __future__ import annotations

from protocol.chain.refusal import Reverted
from protocol.spec.answers import Part


class WrongFee(Reverted):
    """Send exactly the fee of a demand in native money."""


class NoSuchPlace(Reverted):
    """A header has no item, a descriptor of a table no index: both must be 0 there."""

    KINDS = {"part": Part}


class DemandedBefore(Reverted):
    """The same was demanded before: its answer is in an event, or due."""


class NotDemanded(Reverted):
    """Nobody demanded this of the claim: only what was asked for is answered."""

    KINDS = {"part": Part}


class NotOpen(Reverted):
    """The demand was answered, or gave its fee back: read it again."""


class WrongRun(Reverted):
    """A run of a tensor has the bytes that its place gives it: send exactly those."""


class DecodingStopped(Reverted):
    """Reading the descriptor took more gas than the call had: send it with more."""
