"""The process of a watchtower: what it needs, a check of the world, and the loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from keepers.attacks import Policy, decide
from keepers.base import Runner
from keepers.config import KeeperConfig
from keepers.judge import Judge, JudgeConfig
from keepers.watchtower import Watchtower
from protocol.chain.amounts import native, tokens
from protocol.chain.chain import Chain
from protocol.chain.deployment import checksum
from protocol.chain.transactions import Sender
from protocol.spec.errors import AssayError
from protocol.spec.job import TRACE_FACTOR
from protocol.storage.config import StorageConfig
from protocol.storage.store import Store


class NoGame(AssayError):
    """The market has no dispute game."""


@contextmanager
def watchtower(
    config: KeeperConfig, judging: JudgeConfig, policy: Policy, storage: StorageConfig,
    stop: threading.Event,
) -> Iterator[Watchtower]:  # fmt: skip
    """A watchtower with the configured key, connected.

    Raises WrongChain, NodeUnavailable, NoGame, WalletError, IpfsUnavailable.
    """
    with Chain.connect(config.chain, stop=stop) as chain, Store(storage) as store:
        if not chain.has_game:
            raise NoGame(
                f"there is no dispute game at {checksum(chain.deployment.game)}: nothing can be "
                f"challenged on this market"
            )
        store.node()
        judge = Judge(store, judging)
        judge.stopped = stop.is_set
        wallet = None if config.dry_run else chain.wallet()
        yield Watchtower(chain, Sender(chain, wallet), judge, policy)


def check(tower: Watchtower) -> list[str]:
    """The world before work starts: lines that say what was found."""
    view, at = tower.view()
    due = decide(view, tower.policy)
    lines = [
        f"chain {tower.chain.chain_id} at block {at.number}, "
        f"market {checksum(tower.chain.deployment.market)}",
        f"{len(view.claims)} committed results, {len(view.verdicts)} judged before, "
        f"{len(view.seats)} challenges of mine, {len(due)} things to do",
    ]
    if tower.sender.wallet is None:
        return [*lines, "no key: a dry run, nothing would be sent"]
    has = tower.chain.balances(tower.sender.address, at)
    lines.append(
        f"account {checksum(tower.sender.address)} with {tokens(has.token)} and "
        f"{native(has.native)}"
    )
    if view.claims:
        most = max(r.terms.deal.price_ceiling for r in view.claims)
        if has.token < TRACE_FACTOR * most:
            lines.append(
                f"warning: a first challenge of the dearest takes {tokens(TRACE_FACTOR * most)}"
            )
    return lines


def serve(tower: Watchtower, poll_seconds: float, stop: threading.Event) -> None:
    """Runs until ``stop`` is set.  Raises what ends it otherwise."""
    Runner(tower, poll_seconds, stop).run()
