"""Follows the logs of a deployment through reorgs, gaps and limits of the node.

The cursor is a list of block hashes.  ``sync`` first finds the newest of them that is still part
of the chain and forgets what came after, then fetches what is missing in bounded ranges.  Every
log's block hash is compared with the chain's, so a reorg in the middle is noticed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from protocol.chain.abi import interface
from protocol.chain.book import Book, Event, HistoryBroken, Place
from protocol.chain.chain import Chain, hex_bytes, quantity
from protocol.chain.deployment import checksum
from protocol.chain.errors import NodeUnavailable, RangeTooLarge, Reorganised
from protocol.chain.logs import event_of
from protocol.chain.state import Snapshot

log: Final = logging.getLogger("assay.chain")

FOLLOWED: Final = ("JobMarket", "ProviderRegistry", "DisputeGame", "Court")
"""Contracts whose logs make the book."""


class History:
    """The book of one deployment, kept at the block last asked for.  Not for several threads."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.book = Book()
        self._marks: list[tuple[int, bytes]] = []
        self._range = chain.config.log_range
        self._first = chain.deployment.block

    def sync(self, at: Snapshot) -> Book:
        """The book at the end of block ``at``: the same object as long as nothing is undone.

        Raises Reorganised when ``at`` is no longer part of the chain (take a new snapshot),
        NodeUnavailable, WrongChain when the chain was started anew, or HistoryBroken when a node
        left logs out twice.
        """
        try:
            self._advance(at)
        except HistoryBroken:
            log.warning("logs contradict each other: reading all of them again")
            self._forget()
            try:
                self._advance(at)
            except HistoryBroken:
                self._forget()
                raise
        return self.book

    def _forget(self) -> None:
        self.book, self._marks = Book(), []

    def _advance(self, at: Snapshot) -> None:
        self._rewind(at)
        start = self._marks[-1][0] + 1 if self._marks else self._first
        fetched: list[Event] = []
        marks: list[tuple[int, bytes]] = []
        while start <= at.number:
            end = min(start + self._range - 1, at.number)
            try:
                events, seen = self._fetch(start, end)
            except RangeTooLarge:
                if end == start:
                    raise
                self._range = max((end - start + 1) // 2, 1)
                continue
            fetched += events
            marks += seen
            start = end + 1
        # What was fetched belongs to one chain only if its end and its beginning still do.
        self.chain.confirm(at)
        if self._marks and self.chain.block_hash(self._marks[-1][0]) != self._marks[-1][1]:
            raise Reorganised(f"block {self._marks[-1][0]} was replaced: read again")
        self.book.apply(fetched)
        self._marks += marks
        if not self._marks or self._marks[-1][0] < at.number:
            self._marks.append((at.number, at.hash))
        del self._marks[: -self.chain.config.reorg_depth]

    def _rewind(self, at: Snapshot) -> None:
        """Forgets marks, and what happened after them, that are not in the chain of ``at``."""
        kept = list(self._marks)
        while kept:
            number, mark = kept[-1]
            if number <= at.number:
                known = at.hash if number == at.number else self.chain.block_hash(number)
                if known == mark:
                    break
            kept.pop()
        if len(kept) == len(self._marks):
            return
        if not kept:
            # Deeper than any reorg that is remembered: is it the same chain at all?
            self.chain.check()
        back = kept[-1][0] if kept else self._first - 1
        log.warning("blocks after %d were replaced: rolling back", back)
        self.book = self.book.rolled_back(back)
        self._marks = kept

    def _fetch(self, start: int, end: int) -> tuple[list[Event], list[tuple[int, bytes]]]:
        contracts = self.chain.deployment.contracts
        raw = self.chain.rpc.call(
            "eth_getLogs",
            {
                "fromBlock": hex(start),
                "toBlock": hex(end),
                "address": [checksum(a) for a, name in contracts.items() if name in FOLLOWED],
            },
        )
        if not isinstance(raw, list):
            raise NodeUnavailable(f"got {str(raw)[:80]!r} for eth_getLogs; a list is wanted")
        logs = [item for item in raw if not item.get("removed")]
        times, marks = self._blocks(logs)
        events = []
        logs.sort(key=lambda i: (quantity(i["blockNumber"]), quantity(i["logIndex"])))
        for item in logs:
            number = quantity(item["blockNumber"])
            if not start <= number <= end:
                raise NodeUnavailable(f"got a log of block {number}, wanted {start} to {end}")
            place = Place(
                number,
                quantity(item["logIndex"]),
                hex_bytes(item["blockHash"], 32),
                hex_bytes(item["transactionHash"], 32),
                times[number],
            )
            event = self._event(item, place)
            if event is not None:
                events.append(event)
        return events, marks

    def _blocks(
        self, logs: Sequence[dict[str, Any]]
    ) -> tuple[dict[int, int], list[tuple[int, bytes]]]:
        """Times and hashes of the blocks of logs.  Raises Reorganised where they differ."""
        hashes = {quantity(i["blockNumber"]): hex_bytes(i["blockHash"], 32) for i in logs}
        numbers = sorted(hashes)
        headers = self.chain.rpc.many(
            [("eth_getBlockByNumber", (hex(number), False)) for number in numbers]
        )
        times = {}
        for number, header in zip(numbers, headers, strict=True):
            if not isinstance(header, dict) or hex_bytes(header["hash"], 32) != hashes[number]:
                raise Reorganised(f"block {number} was replaced while it was read: read again")
            times[number] = quantity(header["timestamp"])
        return times, [(number, hashes[number]) for number in numbers]

    def _event(self, item: dict[str, Any], place: Place) -> Event | None:
        name = self.chain.deployment.contracts.get(hex_bytes(item["address"], 20), "")
        if name not in FOLLOWED:
            raise NodeUnavailable(f"got a log of {item['address']}, which was not asked for")
        topics = [hex_bytes(topic, 32) for topic in item["topics"]]
        found = interface(name).decode_log(topics, hex_bytes(item["data"]))
        return None if found is None else event_of(found[0], found[1], place)
