"""A market on a local node for tests: roles with money, and moves of each role."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from protocol.chain.chain import Chain
from protocol.chain.config import ChainConfig
from protocol.chain.deployment import Deployment
from protocol.chain.flights import Outcome
from protocol.chain.transactions import Sender
from protocol.chain.wallet import KeyKind, KeySource, Wallet
from protocol.spec.job import (
    Deal,
    JobTerms,
    Task,
    bounty_of,
    job_hash,
    task_hash,
)
from protocol.spec.limits import GWEI
from protocol.spec.trees import keccak256
from scripts import brownie_project
from scripts.deploy import deploy, dispute_game
from scripts.evm import EvmNode

TOKEN = 10**18
CLIENT, PROVIDER, RIVAL, KEEPER, STRANGER = 1, 2, 3, 4, 5
"""Numbers of the development accounts that play the roles."""

LOCATORS = b"where the data is"


@dataclass
class World:
    """One deployment; ``chain`` has no key, ``senders`` are by role."""

    node: EvmNode
    deployment: Deployment
    chain: Chain
    senders: dict[int, Sender]
    text: str
    """The deployment file."""

    def config(self, role: int | None = None, **changes: Any) -> ChainConfig:
        """A configuration for one role (None: no key)."""
        key = None if role is None else KeySource(KeyKind.DEV, str(role))
        base = replace(self.chain.config, key=key)
        return replace(base, **changes)

    def address(self, role: int) -> bytes:
        return self.senders[role].address

    def rpc(self, method: str, *params: Any) -> Any:
        return self.chain.rpc.call(method, *params)

    def pass_time(self, seconds: int) -> None:
        """Chain time moves on, and a block is mined."""
        self.rpc("evm_increaseTime", hex(seconds))
        self.rpc("evm_mine")

    def past(self, clock: int) -> None:
        """Chain time moves past ``clock``."""
        self.pass_time(max(clock + 1 - self.chain.snapshot().timestamp, 1))

    def terms(self, **deal: Any) -> JobTerms:
        """Terms of a new job of the client."""
        program, constants, inputs = (secrets.token_bytes(32) for _ in range(3))
        game, where = self.deployment.game, keccak256(LOCATORS)
        task = Task(game, program, constants, inputs, where, steps=1)
        plain = Deal(
            client=self.address(CLIENT), nonce=secrets.randbits(64), capability=bytes(32),
            price_floor=50 * TOKEN, price_ceiling=50 * TOKEN, ramp_seconds=0, stake_bps=10_000,
            attempts=2, work_ms=1_000, gas_price=2 * GWEI, open_seconds=100, run_seconds=200,
            window_seconds=300, move_seconds=60,
        )  # fmt: skip
        return JobTerms(task, replace(plain, **deal))

    def hash(self, terms: JobTerms) -> bytes:
        return job_hash(self.deployment.chain_id, self.deployment.market, terms)

    def send(self, role: int, call: Any) -> Outcome:
        return self.senders[role].send(call)

    def post(self, **deal: Any) -> tuple[bytes, JobTerms]:
        """The client posts a job: its hash and terms."""
        terms = self.terms(**deal)
        bounty = bounty_of(terms.deal, self.deployment.limits.schedule)
        self.send(CLIENT, self.chain.contracts.market.post(terms, LOCATORS, bounty))
        return self.hash(terms), terms

    def accept(self, terms: JobTerms, role: int = PROVIDER) -> Outcome:
        market = self.chain.contracts.market
        return self.send(role, market.accept(task_hash(terms.task), terms.deal))

    def commit(
        self, job: bytes, role: int = PROVIDER, root: bytes = b"\7" * 32, locators: bytes = b"x"
    ) -> Outcome:
        return self.send(role, self.chain.contracts.market.commit(job, root, locators))

    def clock(self, job: bytes) -> int:
        return self.chain.job_state(job, self.chain.snapshot()).clock


def fund(world: World) -> None:
    """Tokens, allowances and stakes for the roles that want them."""
    contracts = world.chain.contracts
    most = 2**256 - 1
    for role in (CLIENT, PROVIDER, RIVAL):
        world.send(role, contracts.token.mint(world.address(role), 10_000 * TOKEN))
        world.send(role, contracts.token.approve(contracts.market.address, most))
    for role in (KEEPER, STRANGER) if world.chain.has_game else ():
        world.send(role, contracts.token.mint(world.address(role), 10_000 * TOKEN))
        world.send(role, contracts.token.approve(contracts.game.address, most))
    for role in (PROVIDER, RIVAL):
        world.send(role, contracts.token.approve(contracts.registry.address, most))
        world.send(role, contracts.registry.register(bytes(32), bytes(20), b"role %d" % role))
        world.send(role, contracts.registry.stake(1_000 * TOKEN, 10**18))


def deployed(node: EvmNode, *, game: bool) -> str:
    """The contracts, deployed by the deploy script: its file."""
    project = brownie_project.load_project()
    with brownie_project.connected(node) as brownie:
        sender = brownie.accounts[0]
        judge = dispute_game(project, sender) if game else None
        made = deploy(project, sender, deploy_game=judge)
    return made.to_json()


@contextmanager
def _connected(node: EvmNode, text: str, config: ChainConfig) -> Iterator[World]:
    deployment = Deployment.from_dict(json.loads(text))
    with Chain.connect(config, deployment) as chain:
        roles = (CLIENT, PROVIDER, RIVAL, KEEPER, STRANGER)
        senders = {role: Sender(chain, Wallet.dev(role)) for role in roles}
        yield World(node, deployment, chain, senders, text)


@contextmanager
def open_world(node: EvmNode, *, game: bool = False, **config: Any) -> Iterator[World]:
    """A funded world on a fresh node, with a dispute game or with the address for one."""
    settings: dict[str, Any] = {"poll_seconds": 0.02, "rpc_backoff": 0.02, **config}
    made = ChainConfig(rpc_url=node.url, **settings)
    with _connected(node, deployed(node, game=game), made) as world:
        fund(world)
        yield world


@contextmanager
def view_of(world: World) -> Iterator[World]:
    """The same world with connections and senders of its own."""
    with _connected(world.node, world.text, world.chain.config) as made:
        yield made
