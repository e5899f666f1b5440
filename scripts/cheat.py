"""A provider that lies: one bit of one number is flipped, and what follows is computed from it.

For the demonstration and for tests.  It registers, takes jobs, commits and defends as any provider
does, with an engine that tampers with one result; so its trace fits its lie, and a dispute has to
find the place.  The bit is a high one: a low one may vanish in what follows, and then the committed
result is right.
"""

from __future__ import annotations

import argparse
import signal
import threading
from functools import partial
from pathlib import Path

from protocol.chain.chain import Chain
from protocol.chain.config import ChainConfig
from protocol.chain.transactions import Sender, require_wallet
from protocol.spec.types import Array, Kind, Program
from protocol.storage.config import StorageConfig
from protocol.storage.jobs import JobData
from protocol.storage.store import Store
from provider.agent import Agent, AgentConfig, Say
from provider.engine import Engine


class Cheat(Agent):
    """An agent that flips a high bit (of a float's exponent) of ``element`` of ``operation``."""

    def __init__(
        self, chain: Chain, sender: Sender, store: Store, config: AgentConfig, say: Say,
        operation: int, element: int,
    ) -> None:  # fmt: skip
        super().__init__(chain, sender, store, config, say)
        self.operation, self.element = operation, element

    def new_engine(self, data: JobData) -> Engine:
        engine = super().new_engine(data)
        engine.tamper = self._tamper
        return engine

    def _tamper(self, step: int, operation: int, result: Array) -> None:
        if operation == self.operation:
            flat = result.reshape(-1)
            flat[self.element : self.element + 1].view("u1")[-1] ^= 1


def middle_of_layer(program: Program, layer: int) -> tuple[int, int]:
    """(operation, element) for a lie in a transformer: the product that begins the network of a
    layer (the first is 1), the widest there is, and the middle of its second row."""
    body, templates = program.phases[0].instances, program.templates
    products = [n for n, i in enumerate(body) if templates[i.template].kind is Kind.DOT]
    width = max(templates[body[n].template].shape[-1] for n in products)
    wide = [n for n in products if templates[body[n].template].shape[-1] == width]
    return wide[layer - 1], width + width // 2


def main() -> int:
    """Lie until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="cheat", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dir", type=Path, required=True, help="finished results")
    parser.add_argument("--operation", type=int, required=True, help="number in the body")
    parser.add_argument("--element", type=int, required=True, help="row-major, of its result")
    given = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    config = AgentConfig(given.dir)
    with (
        Chain.connect(ChainConfig.from_env(), stop=stop) as chain,
        Store(StorageConfig.from_env()) as store,
    ):
        sender = Sender(chain, require_wallet(chain))
        place = (given.operation, given.element)
        Cheat(chain, sender, store, config, partial(print, flush=True), *place).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
