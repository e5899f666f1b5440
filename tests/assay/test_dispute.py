"""``assay dispute`` on Anvil: whole disputes, drawn and told to programs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from assay import exits
from assay.commands.dispute import _known
from client.compiled import Compiled
from client.descent import Known
from client.disputes import DisputeView, Reader
from client.jobs import Client
from client.spoils import Party
from protocol.chain.chain import Chain
from protocol.chain.disputes import ClaimFell
from protocol.chain.rpc import Rpc
from protocol.chain.transactions import Sender, require_wallet
from protocol.spec.answers import Part
from protocol.spec.dispute import CLOSE_GAS, Wait
from protocol.spec.illegality import prove_illegality
from protocol.spec.job import Fault, bounty_of, task_hash
from protocol.spec.limits import DEVNET
from protocol.spec.proofs import ElementProof
from protocol.spec.strategy import Move, Prove
from protocol.spec.trace import Tree
from protocol.storage.jobs import publish_job
from protocol.storage.process import NodeProcess
from protocol.storage.store import Store
from tests.actors import liars
from tests.actors.case import Case
from tests.assay.conftest import Assay, Env, settings_of
from tests.chain.duel import Duel
from tests.chain.world import CLIENT, KEEPER, PROVIDER, STRANGER, World
from tests.game.world import case

pytestmark = pytest.mark.chain


@dataclass(frozen=True)
class TooManySteps(Case):
    """A job that asks for more steps than its program allows."""

    @property
    def steps(self) -> tuple[int, ...]:
        """One more for each phase."""
        return tuple(phase.max_steps + 1 for phase in self.example.program.phases)


LAYERS = tuple(f'File "models/net.py", line {n}, in forward: x{n} = f(x)' for n in (7, 8, 9))
ELEMENT = 14


@pytest.fixture
def env(world: World, tmp_path: Path) -> Env:
    """Settings of somebody who only looks, and has no IPFS node."""
    return settings_of(world, tmp_path)


@pytest.fixture
def model(small_model: tuple[Compiled, Any], tmp_path: Path) -> Path:
    """The disputed program with lines of its source."""
    return replace(small_model[0], sources=LAYERS).save(tmp_path / "net.assay")


def liar(world: World) -> Duel:
    """A provider with one flipped bit in element 14 of a product."""
    of = case("mlp")
    return Duel(world, of, liars.one_bit_in(0, 2, 4 * ELEMENT + 2)(of))


def to_the_end(duel: Duel, number: int) -> None:
    while duel.read().fall is None:
        duel.turn(number)


def read(duel: Duel) -> DisputeView:
    (view,) = Reader(Client(duel.world.chain), duel.job).read().disputes
    return view


def owed(view: DisputeView) -> dict[bytes, tuple[int, int]]:
    """What each account gained or lost."""
    out: dict[bytes, tuple[int, int]] = {}
    for line in view.money:
        token, native = out.get(line.who, (0, 0))
        out[line.who] = token + line.token, native + line.native
    return out


def test_dispute__element_proven_wrong__is_drawn_with_both_numbers_and_the_source(
    assay: Assay, env: Env, world: World, model: Path
) -> None:
    duel = liar(world)
    number, other = duel.challenge(KEEPER), duel.challenge(STRANGER)
    to_the_end(duel, number)
    game = world.chain.contracts.game
    made = [world.send(KEEPER, game.collect(duel.claim, number))]
    job = "0x" + duel.job.hex()[:12]
    shown = assay("dispute", job, "--model", model, env=env)
    assert (shown.code, shown.err) == (0, "")
    assert max(map(len, shown.out.splitlines())) <= 100
    told = assay("dispute", job, "--model", model, "--json", env=env).json["disputes"][0]
    assert told["attempt"] == 1
    wrong = told["challenges"][number - 1]["finding"]
    width = 4
    values = [
        trace.data(Tree.OPERATIONS, 1, 2)[ELEMENT * width : (ELEMENT + 1) * width]
        for trace in (duel.claimed, duel.of.truth)
    ]
    assert [wrong["claimedBytes"], wrong["trueBytes"]] == ["0x" + v.hex() for v in values]
    assert (wrong["element"], wrong["place"], wrong["dtype"]) == (ELEMENT, [2, 4], "f32")
    for words in (
        "step 1", "operation 2: DOT over 70 -> f32 [3, 5]", "models/net.py:9 in forward\n",
        "x9 = f(x)",
        "block 0", "element 14 [2, 4] is wrong", f"claimed {wrong['claimed']}",
        f"true    {wrong['true']}", "a number was proven wrong", "open: waits for a provider",
    ):  # fmt: skip
        assert words in shown.out, (words, shown.out)
    assert told["fall"]["fault"] == "wrong"
    assert [x["outcome"] for x in told["challenges"]] == ["collected", "live"]
    assert told["challenges"][other - 1]["finding"] is None
    moves = told["challenges"][number - 1]["moves"]
    assert moves[-1]["transaction"] == "0x" + made[0].tx.hex()
    assert moves[-1]["gas"] == made[0].gas
    spent = {m["transaction"]: m["gas"] for x in told["challenges"] for m in x["moves"]}
    assert told["gasInAll"] == sum(spent.values()) == sum(g["gas"] for g in told["gas"])
    assert told["transactions"] == len(spent) < len(moves)
    drawn = shown.out.replace("\n", " ").split(" ")
    assert [drawn.count(f"{gas:,}") for gas in spent.values()] == [1] * len(spent)


def credited(world: World, who: bytes) -> tuple[int, int]:
    """All that the contracts owe an account, free stake and deposit of a provider included."""
    at = world.chain.snapshot()
    credits = world.chain.balances(who, at).credits.values()
    free = world.chain.provider(who, at)
    token = free.stake + sum(c.token for c in credits)
    return token, free.deposit + sum(c.native for c in credits)


def test_money__claim_that_fell__is_what_the_contracts_credited(world: World) -> None:
    roles = {role: world.address(role) for role in (KEEPER, STRANGER, PROVIDER, CLIENT)}
    before = {who: credited(world, who) for who in roles.values()}
    duel = liar(world)
    numbers = [duel.challenge(KEEPER), duel.challenge(STRANGER)]
    to_the_end(duel, numbers[0])
    told = {line.what for line in read(duel).money if line.who == roles[STRANGER]}
    assert told == {f"bond {numbers[1]}", "bonds to collect", "reward"}
    for number in numbers:
        world.send(CLIENT, world.chain.contracts.game.collect(duel.claim, number))
    view = read(duel)
    assert sum(line.token for line in view.money) == sum(line.native for line in view.money) == 0
    for role, who in roles.items():
        token, native = owed(view)[who]
        for x in view.dispute.of(who):  # a bond comes from the wallet
            token, native = token + x.token, native + x.native
        now = credited(world, who)
        gained = (now[0] - before[who][0], now[1] - before[who][1])
        assert gained == (token, native), role


def test_money__job_that_was_voided__is_what_the_contracts_credited(world: World) -> None:
    roles = {role: world.address(role) for role in (KEEPER, STRANGER, PROVIDER, CLIENT)}
    before = {who: credited(world, who) for who in roles.values()}
    of = case("mlp")
    duel = Duel(world, TooManySteps(of.example, of.truth), of.truth)
    numbers = [duel.challenge(KEEPER), duel.challenge(STRANGER)]
    illegal = prove_illegality(of.example.program, duel.terms.task)
    assert illegal is not None
    court, game = world.chain.contracts.court, world.chain.contracts.game
    world.send(STRANGER, court.prove_illegal(duel.terms, *illegal))
    for number in numbers:
        world.send(CLIENT, game.collect(duel.claim, number))
    view = read(duel)
    assert view.outcome == "the job was voided"
    assert sum(line.token for line in view.money) == sum(line.native for line in view.money) == 0
    client = [line for line in view.money if line.who == roles[CLIENT]]
    price, bounty = duel.terms.deal.price_ceiling, bounty_of(duel.terms.deal, DEVNET.schedule)
    assert [(x.what, x.token, x.native) for x in client] == [
        ("paid for an illegal job", -price, -bounty)
    ]
    lacked = [line.native for line in view.money if line.what == "what the client lacked"]
    assert len(lacked) == 1
    assert lacked[0] < 0
    for role, who in roles.items():
        token, native = owed(view)[who]
        for x in view.dispute.of(who):  # a bond comes from the wallet
            token, native = token + x.token, native + x.native
        if role == CLIENT:  # and so do price and bounty
            token, native = token + price, native + bounty
        now = credited(world, who)
        gained = (now[0] - before[who][0], now[1] - before[who][1])
        assert gained == (token, native), role


def test_dispute__live__says_whose_turn_it_is_and_until_when(
    assay: Assay, env: Env, world: World
) -> None:
    duel = liar(world)
    number = duel.challenge()
    waits = []
    for _ in range(4):
        turn = read(duel).challenges[0].turn
        assert turn is not None
        assert turn.wait is duel.challenge_of(number).wait
        deadline = duel.deadline(number)
        assert turn.deadline == deadline
        waits.append(turn.wait)
        world.pass_time(40 if turn.wait is Wait.OPENING else 70)
        duel.turn(number)
        view = read(duel)
        moves = [m for m in view.challenges[0].moves if m.left is not None]
        first = next(m for m in moves if m.sent.block == moves[-1].sent.block)
        if duel.read().fall is None:
            assert first.left == deadline - first.move.event.place.time
    assert waits == [Wait.OPENING, Wait.CHALLENGER, Wait.REVEAL, Wait.CHALLENGER]
    assert not read(duel).live
    told = assay("dispute", duel.job.hex(), "--json", env=env)
    assert told.json["disputes"][0]["challenges"][0]["turn"] is None


def test_dispute__provider_is_silent__says_where(assay: Assay, env: Env, world: World) -> None:
    of = case("alphabet")
    duel = Duel(world, of, liars.one_bit_in(777, 0)(of))
    number = duel.challenge()
    while duel.challenge_of(number).wait is not Wait.STEP:
        duel.turn(number)
    duel.silence(number)
    drawn = assay("dispute", duel.job.hex(), env=env)
    assert "the provider opens step 778, due" in drawn.out
    assert "anybody may call time" in drawn.out
    call = world.chain.contracts.game.timeout_provider(duel.claim, number, duel.terms)
    world.send(STRANGER, call)
    drawn = assay("dispute", duel.job.hex(), env=env)
    assert "steps 0..1,000 > 768..799 > step 778" in drawn.out
    assert "here the provider did not answer in time" in drawn.out
    assert "called time on the provider" in drawn.out
    assert "--model" in drawn.err
    told = assay("dispute", duel.job.hex(), "--json", env=env).json["disputes"][0]
    assert told["fall"]["fault"] == Fault.SILENT.name.lower()
    assert told["challenges"][0]["moves"][-1]["role"] == "stranger"
    assert [g["party"] for g in told["gas"]] == ["challenger", "provider", "stranger"]


def test_dispute__challengers_of_the_truth__are_defeated_and_their_bonds_divided(
    assay: Assay, env: Env, world: World
) -> None:
    of = case("counter")
    duel = Duel(world, of, of.truth)
    numbers = [duel.challenge(role) for role in (KEEPER, STRANGER, KEEPER, KEEPER, KEEPER)]
    duel.turn(numbers[0])
    duel.silence(numbers[0])
    world.send(STRANGER, world.chain.contracts.game.timeout_challengers(duel.claim, numbers))
    view = read(duel)
    assert sum(line.token for line in view.money) == sum(line.native for line in view.money) == 0
    closing = next(line for line in view.money if line.what == "closing")
    assert closing.who == world.address(STRANGER)
    assert closing.native == len(numbers) * CLOSE_GAS * duel.terms.deal.gas_price
    assert [c.party for c in view.costs] == [Party.CHALLENGER, Party.PROVIDER]
    drawn = assay("dispute", duel.job.hex(), env=env).out
    assert "challenges that never moved" in drawn
    assert drawn.count("defeated: the challenger ran out of time") == len(numbers)
    world.past(world.clock(duel.job))
    market = world.chain.contracts.market
    world.send(PROVIDER, market.finalize(task_hash(duel.terms.task), duel.terms.deal, duel.job))
    assert "the result stands" in assay("dispute", duel.job.hex(), env=env).out


def test_dispute__without_the_program__draws_all_that_needs_none(
    assay: Assay, env: Env, world: World, model_file: Path
) -> None:
    duel = liar(world)
    to_the_end(duel, duel.challenge())
    shown = assay("dispute", duel.job.hex(), env=env)
    assert shown.code == 0
    assert "--model" in shown.err
    for words in ("operation 2\n", "element 14 is wrong", "no values: the program is not here"):
        assert words in shown.out
    known = Known(duel.of.example.program)
    (view,) = Reader(Client(world.chain), duel.job, known).read().disputes
    found = view.challenges[0].finding
    assert found is not None
    assert found.claimed != found.true
    other = Compiled.load(model_file)
    program = case("counter").example
    wrong = replace(other, program=program.program, constants=list(program.constants))
    path = wrong.save(Path(env["ASSAY_DEPLOYMENT"]).with_name("other.assay"))
    assay("dispute", duel.job.hex(), "--model", path, env=env).fails(exits.USAGE, "submitted")


@pytest.mark.parametrize("behind", [False, True])
def test_dispute__refused_proof_beside_the_true_one__the_true_one_is_shown(
    assay: Assay, env: Env, world: World, model: Path, behind: bool
) -> None:
    """A call that may leave moves out brings a proof of a right number too."""
    duel = liar(world)
    number = duel.challenge()
    moves: list[Move] = []
    while not moves or not isinstance(moves[-1], Prove):
        if moves:
            duel.turn(number)
        _, moves = duel.moves(number)
    true = moves[-1]
    assert isinstance(true, Prove)
    assert isinstance(true.proof, ElementProof)
    prover = duel.attack(duel.read().known).prover
    fake = replace(true, proof=prover.element(1, 2, ELEMENT - 1, true.proof.data))
    both = [true, fake] if behind else [fake, true]
    game = world.chain.contracts.game
    calls = [game.move(duel.claim, number, duel.terms, m).data for m in [*moves[:-1], *both]]
    call = game.play(duel.claim, duel.terms, [(number, move) for move in moves])
    deployment = Path(env["ASSAY_DEPLOYMENT"])
    config = world.config(KEEPER, deployment=deployment, gas_margin_percent=300)
    with Chain.connect(config) as chain:
        sent = game.abi.encode("play", calls, False)
        Sender(chain, require_wallet(chain)).send(replace(call, sent=sent))
    fell = duel.read().fall
    assert isinstance(fell, ClaimFell)
    assert fell.fault is Fault.WRONG
    job = duel.job.hex()
    shown = assay("dispute", job, "--model", model, "--json", env=env).json["disputes"][0]
    wrong = shown["challenges"][0]["finding"]
    assert (wrong["element"], wrong["missing"]) == (ELEMENT, None)
    assert wrong["claimedBytes"] != wrong["trueBytes"]
    told = assay("dispute", job, env=env).out
    assert "an element of block 0 is wrong" in told
    assert "no values: 2 proofs were sent" in told


def test_known__without_a_model__is_the_program_from_ipfs(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e = case("mlp").example
    record, _ = Client(world.chain).record(liar(world).job)
    with NodeProcess(tmp_path / "ipfs") as node:
        monkeypatch.setenv("ASSAY_IPFS_API", node.api)
        monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
        with Store() as store:
            roots = publish_job(store, e.program, e.constants, e.inputs)
        known, why = _known(None, replace(record, locators=roots.locators.encode()))
    assert known == Known(e.program)
    assert why == ""


def test_dispute__follow__draws_each_change_to_the_end(
    assay: Assay, env: Env, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    duel = liar(world)
    number = duel.challenge()
    plain = Rpc.pause
    waiting: list[float] = []

    def pause(self: Rpc, seconds: float) -> None:
        """The game goes on while the command waits."""
        if self is world.chain.rpc:
            plain(self, seconds)
            return
        waiting.append(seconds)
        duel.turn(number)

    monkeypatch.setattr(Rpc, "pause", pause)
    shown = assay("dispute", duel.job.hex(), "--follow", env=env)
    assert shown.code == 0
    assert len(waiting) == 4
    assert shown.out.count("-" * 100 + "\n") == 4
    first, *_, last = shown.out.split("-" * 100)
    assert "the provider opens the steps, due" in first
    assert "a number was proven wrong" in last


def test_dispute__demands_alone__are_shown_with_their_money(
    assay: Assay, env: Env, world: World
) -> None:
    of = case("counter")
    before = {role: credited(world, world.address(role)) for role in (STRANGER, PROVIDER, KEEPER)}
    duel = Duel(world, of, of.truth)
    duel.demand(Part.HEADER, role=STRANGER)
    duel.answer(1)
    duel.demand(Part.OUTPUT, 0, 0, role=STRANGER)
    drawn = assay("dispute", duel.job.hex(), env=env).out
    for words in ("nobody challenged", "the program's header", "answered: ", "run 0 of output 0",
                  "open, due in", "demander"):  # fmt: skip
        assert words in drawn, drawn
    assert read(duel).live
    court = world.chain.contracts.court
    duel.demand(Part.OUTPUT, 1, 7, role=KEEPER)
    assert max(map(len, drawn.splitlines())) <= 100
    world.past(duel.docket().demand(2).deadline)
    world.send(CLIENT, court.timeout(duel.terms, duel.claim, 2))
    view = read(duel)
    assert not view.live
    assert view.outcome == "the claim was rejected: the provider withheld data"
    assert [d.outcome for d in view.demands][1:] == [
        "withheld: the claim fell by it", "the claim ended; fee to collect",
    ]  # fmt: skip
    world.send(CLIENT, court.collect(duel.claim, [2, 3]))
    view = read(duel)
    assert sum(line.token for line in view.money) == sum(line.native for line in view.money) == 0
    for role, (token, native) in before.items():
        who = world.address(role)
        now, told = credited(world, who), owed(view)[who]
        brought = sum(-x.native for x in view.money if (x.who, x.what) == (who, "fees of demands"))
        assert (now[0] - token, now[1] - native) == (told[0], told[1] + brought), role
    told = assay("dispute", duel.job.hex(), "--json", env=env).json["disputes"][0]
    assert [d["state"] for d in told["demands"]] == ["answered", "collected", "collected"]


def test_dispute__nothing_disputed__is_one_sentence(
    assay: Assay, env: Env, world: World
) -> None:
    job, terms = world.post()
    done = assay("dispute", job.hex(), env=env)
    assert (done.code, done.err) == (0, "")
    assert done.out.count("\n") == 1
    assert "no result was disputed" in done.out
    assert assay("dispute", job.hex(), "--json", env=env).json["disputes"] == []
    assay("dispute", job.hex(), "--attempt", "1", env=env).fails(exits.USAGE, "attempt 1", "0 so")
    world.accept(terms)
    assert assay("dispute", job.hex(), "--attempt", "1", env=env).code == 0


def test_dispute__no_such_job__is_refused_as_by_other_verbs(assay: Assay, env: Env) -> None:
    assay("dispute", "0xabcdef", env=env).fails(exits.UNKNOWN, "no job of this market begins")
