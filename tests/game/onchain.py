"""The twin and the contract, stepped together and compared after every move."""

from __future__ import annotations

from typing import Any, Final

import pytest

from protocol.chain.contracts import encoded as encoded
from protocol.spec import trees
from protocol.spec.dispute import Claim, Outcome
from protocol.spec.errors import MoveRefused
from protocol.spec.game import Game
from protocol.spec.job import DEAD, JobTerms, answer_price
from protocol.spec.limits import DEVNET
from protocol.spec.trace import AnyTrace, Tree
from scripts import brownie_project
from scripts.deploy import deploy, dispute_game
from tests.actors.case import AnyCase
from tests.actors.table import Table
from tests.contracts.market import LOCATORS, Market, address, terms_tuple
from tests.contracts.world import DEPOSIT, STAKE

TOKENS: Final = 10**6 * 10**18


def deploy_game_world(brownie: Any, *, believer: bool = False) -> Market:
    """All contracts with the real game; ``keeper`` and ``stranger`` can challenge.

    With ``believer`` the referee of legality takes the proof for the verdict.
    """
    project = brownie_project.load_project()
    deployer, client, provider, rival, keeper, stranger = brownie.accounts[:6]
    legality = project.MockLegalityReferee.deploy({"from": deployer}) if believer else None
    game = dispute_game(project, deployer, legality=legality)
    deployment = deploy(project, deployer, deploy_game=game)
    token = project.DevToken.at(deployment.token)
    world = Market(
        brownie=brownie, project=project, token=token,
        registry=project.ProviderRegistry.at(deployment.registry),
        market=project.JobMarket.at(deployment.market),
        game=project.DisputeGame.at(deployment.game),
        deployer=deployer, client=client, provider=provider, rival=rival, keeper=keeper,
        stranger=stranger, chain_id=deployment.chain_id, limits=DEVNET,
        court=project.Court.at(deployment.court),
    )  # fmt: skip
    for account in (client, provider, rival, keeper, stranger):
        token.mint(account, TOKENS, {"from": deployer})
        for contract in (world.market, world.registry, world.game):
            token.approve(contract, 2**256 - 1, {"from": account})
    for account in (provider, rival):
        world.registry.register(bytes(32), stranger, b"here", {"from": account})
        world.registry.stake(STAKE, {"from": account, "value": DEPOSIT})
    return world


class ChainTable(Table):
    """Sends every move that the twin accepts to the contract, and compares.

    With a ``base_fee`` every block has it, in wei per gas.
    """

    def __init__(
        self, world: Market, of: AnyCase, claimed: AnyTrace, *, nonce: int = 1, **deal: Any
    ) -> None:
        self.world = world
        self.base_fee: int | None = None
        terms = world.terms(nonce=nonce, **deal)
        task = of.task(address(world.game), trees.keccak256(LOCATORS))
        self.terms = JobTerms(task, terms.deal)
        world.post(self.terms)
        world.accept(self.terms)
        root = claimed.root(Tree.OUTPUTS)
        receipt = world.commit(self.terms, root=root)
        claim_id = world.claim(self.terms, world.provider, root=root)
        game = Game(DEVNET.schedule)
        game.claims[claim_id] = Claim(
            terms=self.terms,
            program=of.example.program,
            provider=address(world.provider),
            result_root=root,
            window_until=world.clock(self.terms),
        )
        super().__init__(game, claim_id, int(receipt.timestamp))
        self.gas: list[tuple[str, int]] = []
        self.accounts = {address(a): a for a in world.brownie.accounts[:6]}
        self.anybody = address(world.stranger)

    def move(self, name: str, *arguments: Any, who: bytes | None = None) -> Any:
        """Both: the twin first, then the contract at the same time; then everything is equal."""
        # Other transactions made blocks, whose times a slow machine moves on.
        self.now = max(self.now, self._chain_time())
        self.game.base_fee = self.base_fee or 0
        result = super().move(name, *arguments, who=who)
        receipt = self.send(name, *arguments, who=who)
        self.gas.append((name, int(receipt.gas_used)))
        assert int(receipt.timestamp) == self.now
        self.compare(receipt)
        return result

    def collect(self, number: int) -> None:
        """Both: the bond comes back."""
        self.game.collect(self.claim_id, number)
        receipt = self.world.game.collect(self.claim_id, number, {"from": self.world.stranger})
        self.now = int(receipt.timestamp)
        self.compare(receipt)

    def refused_collect(self, number: int) -> str:
        """Both refuse to give the bond back."""
        with pytest.raises(MoveRefused) as caught:
            self.game.collect(self.claim_id, number)
        with self.world.reverts(caught.value.name):
            self.world.game.collect(self.claim_id, number, {"from": self.world.stranger})
        return caught.value.name

    def refused(self, name: str, *arguments: Any, who: bytes | None = None) -> str:
        """Both refuse, for the same reason; the name of the error."""
        now = self.now
        with pytest.raises(MoveRefused) as caught:
            super().move(name, *arguments, who=who)
        with self.world.reverts(caught.value.name):
            self.send(name, *arguments, who=who)
        # A transaction that reverted made a block too.
        self.now = max(now, self._chain_time())
        return caught.value.name

    def _chain_time(self) -> int:
        return int(self.world.brownie.chain[-1].timestamp)

    def send(self, name: str, *arguments: Any, who: bytes | None = None) -> Any:
        """The contract's move."""
        options = {"from": self.sender(who)}
        self.next_block()
        game = self.world.game
        if name == "challenge":
            terms = terms_tuple(self.terms)
            _, native = game.bondOf(self.claim_id, terms[1])
            return game.challenge(terms, self.claim_id, {**options, "value": native})
        call, rest = self.call_of(name, *arguments)
        return call(*rest, options)

    def next_block(self) -> None:
        """The next block has the table's time and base fee."""
        if self.now > self._chain_time():
            self.world.at(self.now)
        if self.base_fee is not None:
            rpc = self.world.brownie.web3.provider.make_request
            rpc("anvil_setNextBlockBaseFeePerGas", [hex(self.base_fee)])

    def price(self) -> int:
        """Wei that a unit of an answer's gas is paid at most, if it is asked for in this block."""
        return answer_price(self.terms.deal.gas_price, DEVNET.schedule, self.base_fee or 0)

    def sender(self, who: bytes | None) -> Any:
        """The account of a player; anybody's for nobody in particular."""
        return self.world.stranger if who is None else self.accounts[who]

    def call_of(self, name: str, *arguments: Any) -> tuple[Any, list[Any]]:
        """The contract's function for a move of a challenge, and its arguments."""
        number, rest = arguments[0], list(arguments[1:])
        terms = terms_tuple(self.terms)
        if name in ("enter", "prove"):
            rest = [terms, int(rest[0]), encoded(rest[1])]
        if name == "timeout_provider":
            rest = [terms]
        camel = {
            "open_step": "openStep",
            "reveal_block": "revealBlock",
            "timeout_provider": "timeoutProvider",
            "timeout_challengers": "timeoutChallengers",
        }
        call = getattr(self.world.game, camel.get(name, name))
        return call, [self.claim_id, number, *rest]

    # --- comparing -------------------------------------------------------------------------------

    def compare(self, receipt: Any) -> None:
        """The claim, its challenges, its holds, all credits and all money."""
        c, game = self.claim, self.world.game
        got = game.claimOf(self.claim_id)
        numbers = c.numbers
        head, tail = (numbers[0], numbers[-1]) if numbers else (0, 0)
        assert bytes(got[1]) == c.steps_root
        deal = c.terms.deal
        times = (c.open_by, c.opened_at, c.fallen, c.leaves, deal.move_seconds)
        assert tuple(got[3:8]) == times
        assert tuple(got[8:]) == (c.budget, deal.gas_price, head, tail, c.count)
        for number in range(1, c.count + 1):
            self.compare_challenge(number)
        for step, (root, at) in c.steps.items():
            opened = game.stepOf(self.claim_id, step)
            assert (bytes(opened[0]), opened[1]) == (root, at)
        for who in (*self.accounts, DEAD):
            owed = self.world.owed("0x" + who.hex(), game)
            assert owed == self.game.credits[who], who.hex()
        self.compare_money()
        if c.fallen and "Slashed" in receipt.events:
            lines = [tuple(line) for line in receipt.events["Slashed"]["payouts"]][:-1]
            wanted = [("0x" + p.to.hex(), p.token, p.native) for p in c.payouts]
            assert [(str(a).lower(), b, d) for a, b, d in lines] == wanted
            assert receipt.events["AttemptLost"]["fault"] == c.fault
        if not c.fallen:
            assert self.world.market.jobOf(self.world.key(self.terms))[5] == c.holds

    def compare_challenge(self, number: int) -> None:
        x = self.challenge_of(number)
        got = list(self.world.game.challengeOf(self.claim_id, number))
        wanted = [
            "0x" + x.challenger.hex(), x.outcome, x.wait, x.tree, x.level, x.known, x.since, x.node,
            x.index, x.count, x.step, x.item, x.last_bytes, x.price, x.challenger_budget,
            x.provider_budget, x.token, x.native,
        ]  # fmt: skip
        got[0], got[7] = str(got[0]).lower(), bytes(got[7])
        assert got[: len(wanted)] == wanted
        if x.outcome is Outcome.LIVE and not self.claim.fallen:
            deadline = self.world.game.deadlineOf(self.claim_id, number)
            assert deadline == self.game.deadline_of(self.claim_id, number)

    def compare_money(self) -> None:
        """Balance = bonds of live challenges + credits, in each currency."""
        live = [x for x in self.game.challenges.values() if x.outcome is Outcome.LIVE]
        token = sum(x.token for x in live) + sum(t for t, _ in self.game.credits.values())
        native = sum(x.native for x in live) + sum(n for _, n in self.game.credits.values())
        assert int(self.world.token.balanceOf(self.world.game)) == token
        assert int(self.world.game.balance()) == native
