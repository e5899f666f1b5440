"""``assay demand`` on Anvil: pieces that are shown, withheld, demanded twice, or cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay import exits
from assay.commands.demand import PARTS
from client import jobs
from client.compiled import Compiled
from client.demands import Demander
from protocol.chain.history import History
from protocol.chain.rpc import Rpc
from protocol.spec import interpreter
from protocol.spec.answers import Part
from protocol.spec.demands import fee_of
from protocol.spec.job import task_hash
from protocol.spec.types import Array
from protocol.storage.errors import ContentMissing
from scripts import evm
from tests.assay.conftest import Assay, Env, EnvOf, Market, settings_of
from tests.assay.test_market import CLIENT as BUYER
from tests.assay.test_market import OTHER, agent_of, submit, work
from tests.chain.duel import Duel
from tests.chain.world import CLIENT, KEEPER, PROVIDER, STRANGER, World
from tests.game.world import case

pytestmark = pytest.mark.chain

POOR = 6


@pytest.fixture
def env(world: World, tmp_path: Path) -> Env:
    """Settings of an account, one that has no IPFS node."""
    nowhere = f"/ip4/127.0.0.1/tcp/{evm.free_port()}"
    return settings_of(world, tmp_path, ASSAY_DEV_ACCOUNT=str(KEEPER), ASSAY_IPFS_API=nowhere)


def honest(world: World) -> Duel:
    """A right result, committed."""
    of = case("counter")
    return Duel(world, of, of.truth)


def wei(world: World, role: int) -> int:
    return world.chain.balances(world.address(role), world.chain.snapshot()).native


def test_parts__names__are_the_contracts() -> None:
    assert set(PARTS) == {part.name.lower().replace("_", "-") for part in Part}


# --- a provider at work ---------------------------------------------------------------------------


def test_demand__an_honest_agent__shows_the_bytes_of_the_output(
    assay: Assay, env_of: EnvOf, market: Market, somewhere: Path, monkeypatch: pytest.MonkeyPatch,
    small_model: tuple[Compiled, Array], model_file: Path, input_file: Path,
) -> None:  # fmt: skip
    def unreachable(*args: object, **options: object) -> list[Array]:
        raise ContentMissing("nobody has it")

    env = env_of(BUYER)
    job = submit(assay, env, model_file, input_file, "--window", "10m")
    with agent_of(market, somewhere / "agent") as agent:
        work(agent, job)
        with monkeypatch.context() as lost:
            lost.setattr(jobs, "fetch_result", unreachable)
            hint = ("nobody has it; until", f"`assay demand {job[:12]}` makes")
            assay("fetch", job, env=env).fails(exits.UNAVAILABLE, *hint)
        given = ("demand", job, "--item", "1")
        assay(*given, env=env).fails(exits.REFUSED, "got item 1", "has 1 of output")
        opened = assay("demand", job[:12], env=env)
        assert opened.code == 0, opened.err
        assert "the fee is 0." in opened.err
        assert "open, due in" in opened.out
        wait = Rpc.pause

        def pause(rpc: Rpc, seconds: float) -> None:
            """While the command waits the agent works; what it waits for itself it waits for."""
            if rpc is agent.chain.rpc:
                wait(rpc, seconds)
            else:
                agent.cycle()

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(Rpc, "pause", pause)
            done = assay("demand", job, "-o", "piece", env=env)
    assert done.code == 0, done.err
    model, x = small_model
    wanted = interpreter.run(model.program, model.constants, [x])[0].tobytes()
    assert Path("piece").read_bytes() == wanted.ljust(512, b"\0")
    for words in ("run 0 of output 0", "answered: 512 bytes", "piece"):
        assert words in done.out, done.out
    assert "not paid again" in done.err
    before = assay("wallet", "--json", env=env_of(OTHER)).json["native"]
    told = assay("demand", job, "--wait", "--json", env=env_of(OTHER)).json
    assert assay("wallet", "--json", env=env_of(OTHER)).json["native"] == before
    assert (told["state"], told["number"], told["demand"]) == ("answered", 1, None)
    assert bytes.fromhex(told["answer"]["piece"][2:]) == wanted.ljust(512, b"\0")
    assert "answered: 512 bytes" in assay("dispute", job, env=env).out
    assert assay("wallet", "--json", env=env).json["credit"]["court"]["native"] > 0
    assert assay("status", job, "--json", env=env).json["holds"] == 0


# --- one that is silent ---------------------------------------------------------------------------


def test_demand__unanswered_to_the_end__says_that_anybody_may_end_the_claim(
    assay: Assay, env: Env, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    duel, waits = honest(world), []

    def pause(self: Rpc, seconds: float) -> None:
        waits.append(seconds)
        world.pass_time(20)

    job = duel.job.hex()
    assert assay("demand", job, env=env).code == 0
    with monkeypatch.context() as slow:
        slow.setattr(Rpc, "pause", pause)
        done = assay("demand", job, "--wait", "--json", env=env)
    assert done.code == exits.NO_RESULT
    assert len(waits) >= 3
    assert (done.json["overdue"], done.json["answer"]) == (True, None)
    assert "anybody may end the claim now (a keeper does)" in done.err
    assert "overdue: anybody may call time" in assay("dispute", job, env=env).out
    before = wei(world, KEEPER)
    done = assay("demand", job, env=env)
    assert (done.code, done.out) == (exits.NO_RESULT, "")
    assert "not answered in time" in done.err
    assert wei(world, KEEPER) == before
    court = world.chain.contracts.court
    world.send(CLIENT, court.timeout(duel.terms, duel.claim, 1))
    done = assay("demand", job, env=env)
    assert done.code == exits.NO_RESULT
    assert "withheld: the claim fell by it (`assay keeper --once`" in done.err
    owed = world.chain.balances(world.address(KEEPER), world.chain.snapshot()).court_credit.native
    assert assay("keeper", "--once", "--all", env=env).code == 0
    now = world.chain.balances(world.address(KEEPER), world.chain.snapshot()).court_credit.native
    assert now - owed == fee_of(duel.terms.deal)


def test_demand__interrupted_while_it_waits__goes_on_where_it_was(
    assay: Assay, env: Env, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    duel = honest(world)

    def pause(self: Rpc, seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(Demander, "follow", pause)
        done = assay("demand", duel.job.hex(), "--wait", env=env)
    assert (done.code, done.out) == (exits.INTERRUPTED, "")
    assert len(duel.docket().demands) == 1
    duel.answer(1)
    assert "answered: 512 bytes" in assay("demand", duel.job.hex(), "--wait", env=env).out


# --- what costs nothing ---------------------------------------------------------------------------


def test_demand__demanded_before__is_said_and_not_paid(
    assay: Assay, env: Env, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    duel = honest(world)
    job = duel.job.hex()
    duel.demand(Part.OUTPUT, role=STRANGER)
    before = wei(world, KEEPER)
    told = assay("demand", job, "--json", env=env).json
    assert (told["number"], told["state"], told["demand"]) == (1, "open", None)
    assert told["demander"].lower() == "0x" + world.address(STRANGER).hex()
    with monkeypatch.context() as raced:
        raced.setattr(Demander, "find", lambda self: None)
        done = assay("demand", job, "--json", env=env)
    assert done.code == 0, done.err
    assert done.json["demand"]["result"] == "already done"
    done = assay("demand", job, env={**env, "ASSAY_DEV_ACCOUNT": ""})
    assert "demanded before, by" in done.err
    assert (done.code, wei(world, KEEPER)) == (0, before)
    assert len(duel.docket().demands) == 1


def test_demand__a_place_that_is_not_there__is_answered_so(
    assay: Assay, env: Env, world: World, somewhere: Path
) -> None:
    duel = honest(world)
    given = ("demand", duel.job.hex(), "--part", "input", "--item", "99", "--index", "7")
    done = assay(*given, env=env)
    assert done.code == 0, done.err
    duel.answer(1)
    done = assay(*given, "-o", "piece", env=env)
    assert "there is no such thing" in done.out
    assert not Path("piece").exists()
    before = wei(world, KEEPER)
    for part in ("header", "template"):
        wrong = ("demand", duel.job.hex(), "--part", part, "--index", "1")
        assay(*wrong, env=env).fails(exits.REFUSED, "index 1", "nothing was paid")
    assert wei(world, KEEPER) == before


def test_demand__a_job_outside_its_window__is_one_line(
    assay: Assay, env: Env, world: World
) -> None:
    job, terms = world.post()
    assay("demand", job.hex(), env=env).fails(exits.NOT_YET, "is open", "committed a result")
    world.accept(terms)
    assay("demand", job.hex(), env=env).fails(exits.NOT_YET, "is accepted")
    world.commit(job)
    world.past(world.clock(job))
    assay("demand", job.hex(), env=env).fails(exits.REFUSED, "the window of", "ended at")
    market = world.chain.contracts.market
    world.send(PROVIDER, market.finalize(task_hash(terms.task), terms.deal, job))
    assay("demand", job.hex(), env=env).fails(exits.REFUSED, "was finalized")
    assay("demand", "0xabcdef", env=env).fails(exits.UNKNOWN, "no job of this market begins")


def test_demand__no_money_or_no_key__is_one_line(assay: Assay, env: Env, world: World) -> None:
    duel = honest(world)
    poor = {**env, "ASSAY_DEV_ACCOUNT": str(POOR)}
    who = assay("wallet", "--json", env=poor).json["address"]
    fee = fee_of(duel.terms.deal)
    world.rpc("anvil_setBalance", who, hex(fee))
    assay("demand", duel.job.hex(), env=poor).fails(exits.MONEY, "the fee of a demand is 0.")
    nobody = {**env, "ASSAY_DEV_ACCOUNT": ""}
    assay("demand", duel.job.hex(), env=nobody).fails(exits.USAGE, "key")
    assert duel.claim not in History(world.chain).sync(world.chain.snapshot()).dockets
