"""Verbs on the chain, on a market of their own: what works, step by step."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from assay import exits
from client import padding
from client.compiled import Compiled
from protocol.spec import interpreter
from protocol.spec.job import JobStatus, task_hash
from protocol.spec.types import Array
from protocol.spec.workload import Rate
from protocol.storage.errors import ContentMissing
from protocol.storage.jobs import fetch_job, publish_result
from protocol.storage.locators import JobLocators
from provider.agent import Agent, AgentConfig
from provider.decide import Habits
from tests.assay.conftest import Assay, Env, EnvOf, Market

pytestmark = pytest.mark.chain

CLIENT, PROVIDER, KEEPER, OTHER, LIAR = 1, 3, 2, 5, 6
TOKEN = 10**18
FAST = Rate(1e9, 1e9)


@contextmanager
def agent_of(market: Market, directory: Path, account: int = PROVIDER) -> Iterator[Agent]:
    habits = Habits(settle_after=10_000)
    with market.agent(account, AgentConfig(directory, habits=habits)) as (agent, _):
        if not agent.chain.provider(agent.me, agent.chain.snapshot()).registered:
            market.register(account, 500)
        agent.assessor.rate = FAST
        yield agent


def work(agent: Agent, job: str) -> None:
    """Cycle until the job has a result."""
    for _ in range(16):
        agent.cycle()
        at = agent.chain.snapshot()
        if agent.chain.job_state(bytes.fromhex(job[2:]), at).status is JobStatus.COMMITTED:
            return
    pytest.fail("the agent has not committed a result")


def submit(assay: Assay, env: Env, model: Path, given: Path, *more: str) -> str:
    done = assay("submit", model, "--input", given, "--price", "1.5", *more, "--json", env=env)
    assert done.code == 0, done.err
    return str(done.json["job"])


# --- wallet ---------------------------------------------------------------------------------------


def test_wallet__mint_approve_send__change_what_it_shows(assay: Assay, env_of: EnvOf) -> None:
    env = env_of(OTHER)
    before = assay("wallet", "--json", env=env).json
    assert assay("wallet", "mint", "12.5", env=env).code == 0
    assert assay("wallet", "approve", "3", env=env).code == 0
    to = assay("wallet", "--json", env=env_of(KEEPER)).json["address"]
    sent = assay("wallet", "send", to, "2.5", "--json", env=env)
    assert sent.json["gas"] > 21_000
    after = assay("wallet", "--json", env=env).json
    assert after["token"] == before["token"] + 10 * TOKEN
    assert after["allowance"]["market"] == 3 * TOKEN
    assert after["native"] < before["native"]
    assert "3 ADT" in assay("wallet", env=env).out
    other = assay("wallet", "--of", to, "--json", env=env).json
    assert other["address"] == to
    assert other["token"] >= 5 * TOKEN // 2


def test_wallet__withdraw_without_credit__does_nothing(assay: Assay, env_of: EnvOf) -> None:
    done = assay("wallet", "withdraw", "--json", env=env_of(OTHER))
    assert (done.code, done.json) == (0, {"sent": []})


# --- provider -------------------------------------------------------------------------------------


def test_provider__register_stake_unbond_claim__moves_the_money(
    assay: Assay, env_of: EnvOf, market: Market
) -> None:
    env = env_of(7)
    assert assay("wallet", "mint", "100", env=env).code == 0
    given = ("--stake", "40", "--deposit", "0.5", "--capabilities", "0x3", "--endpoint", "here")
    done = assay("provider", "register", *given, "--json", env=env)
    assert done.code == 0, done.err
    assert [step["result"] for step in done.json["sent"]] == ["mined", "mined"]
    assert (done.json["stake"], done.json["deposit"]) == (40 * TOKEN, TOKEN // 2)
    assert int(done.json["capabilities"], 16) == 3
    assert assay("provider", "stake", "10", env=env).code == 0
    assert assay("provider", "unbond", "30", "--deposit", "0.25", env=env).code == 0
    shown = assay("provider", "status", env=env)
    assert "20 ADT" in shown.out
    assert "ready in" in shown.out
    assay("provider", "claim", env=env).fails(exits.NOT_YET, "StillUnbonding")
    market.later(61)
    assert assay("provider", "claim", env=env).code == 0
    assert assay("wallet", "--json", env=env).json["token"] == 80 * TOKEN
    assert assay("provider", "status", "--json", env=env).json["stake"] == 20 * TOKEN
    listed = {p["address"]: p for p in assay("providers", "--json", env=env).json}
    assert listed[done.json["address"]]["endpoint"] == "here"
    assert done.json["address"] in assay("providers", env=env).out


# --- a job ----------------------------------------------------------------------------------------


def test_a_job__from_submit_to_money__is_followed_by_every_verb(
    assay: Assay, env_of: EnvOf, market: Market, somewhere: Path,
    small_model: tuple[Compiled, Array], model_file: Path, input_file: Path,
) -> None:  # fmt: skip
    env = env_of(CLIENT)
    tokens = assay("wallet", "--json", env=env).json["token"]
    job = submit(assay, env, model_file, input_file, "--window", "10", "--attempts", "2")
    short = job[:12]
    found = assay("status", short, "--json", env=env).json
    assert (found["job"], found["status"]) == (job, "open")
    assert found["price"] == 3 * TOKEN // 2
    assert found["deal"]["windowSeconds"] == 10
    assert (found["attempt"], found["attemptsAllowed"], found["attempts"]) == (1, 2, [])
    assert found["task"]["programRoot"] == "0x" + small_model[0].root.hex()
    assert assay("wallet", "--json", env=env).json["token"] == tokens - 3 * TOKEN // 2
    assay("fetch", job, env=env).fails(exits.NOT_YET, "open")
    assay("verify", job, env=env).fails(exits.NOT_YET, "open")

    with agent_of(market, somewhere / "agent") as agent:
        work(agent, job)
    shown = assay("status", short, env=env)
    assert "committed" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 100
    assert "1 of 2" in shown.out
    found = assay("status", short, "--json", env=env).json
    assert (found["attempt"], [a["number"] for a in found["attempts"]]) == (1, [1])
    assay("fetch", job, "--final", env=env).fails(exits.NOT_YET, "challenged")
    done = assay("fetch", short, "-o", "result", "--json", env=env)
    assert (done.code, done.json["final"]) == (0, False)
    model, x = small_model
    wanted = interpreter.run(model.program, model.constants, [x])[0]
    assert np.load("result/0.npy").tobytes() == wanted.tobytes()
    for backend in ("interpreter", "torch"):
        verified = assay("verify", job, "--backend", backend, "--json", env=env)
        assert verified.code == 0, verified.err
        assert (verified.json["equal"], verified.json["elements"]) == (True, wanted.size)
    assert "every bit equal" in assay("verify", job, env=env).out

    clocks = assay("keeper", "--clocks", "--json", env=env_of(KEEPER)).json
    mine = [(row["call"], row["attempt"]) for row in clocks if row["job"] == job]
    assert mine == [("finalize", 1)]
    market.later(11)
    assert "now" in assay("keeper", "--clocks", env=env_of(KEEPER)).out
    assert assay("keeper", "--once", "--dry-run", env=env_of(KEEPER)).code == 0
    assert assay("status", job, "--json", env=env).json["status"] == "committed"
    once = assay("keeper", "--once", "--all", "--json", env=env_of(KEEPER))
    assert (once.code, once.json["failed"]) == (0, 0)
    followed = assay("status", job, "--follow", "--json", env=env)
    assert followed.json["status"] == "finalized"
    assert assay("fetch", job, "--final", "--wait", "-o", "r.npz", env=env).code == 0
    assert assay("wallet", "--json", env=env_of(PROVIDER)).json["credit"]["market"]["token"] > 0
    assert assay("wallet", "withdraw", env=env_of(PROVIDER)).code == 0
    assert assay("wallet", "--json", env=env_of(PROVIDER)).json["token"] >= 3 * TOKEN // 2

    listed = assay("jobs", "--json", env=env).json
    assert job in [entry["job"] for entry in listed]
    assert job not in [entry["job"] for entry in assay("jobs", "--live", "--json", env=env).json]
    assert assay("jobs", "--mine", "--json", env=env_of(OTHER)).json == []
    table = assay("jobs", env=env).out
    assert short in table
    assert max(map(len, table.splitlines())) <= 100


def test_fetch__a_batch_that_is_not_full__leaves_the_padding_out_and_says_so(
    assay: Assay, env_of: EnvOf, market: Market, somewhere: Path, small_text_model: Compiled,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def unreachable(*args: object, **options: object) -> list[Array]:
        raise ContentMissing("nobody has it")

    env = env_of(CLIENT)
    small_text_model.save("text.assay")
    given = ("submit", "text.assay", "--text", "one sentence", "--price", "1.5")
    job = assay(*given, "--json", env=env).json["job"]
    with agent_of(market, somewhere / "agent") as agent:
        work(agent, job)
    shown = assay("fetch", job, "-o", "one.npy", env=env)
    assert "1 of 2 rows are of no sentence, left out" in shown.out
    assert "float32[1, 32]" in shown.out
    told = assay("fetch", job, "--json", env=env).json
    assert (told["paddingRows"], told["outputs"][0]["shape"]) == (1, [1, 32])
    whole = assay("fetch", job, "-o", "two.npy", "--padding", "--json", env=env).json
    assert (whole["paddingRows"], whole["outputs"][0]["shape"]) == (1, [2, 32])
    assert np.load("one.npy").tobytes() == np.load("two.npy")[:1].tobytes()
    assert assay("run", "text.assay", "--text", "one sentence", "-o", "here.npy").code == 0
    assert np.load("here.npy").tobytes() == np.load("one.npy").tobytes()
    assay("fetch", job, "-o", "no/such/x.npy", env=env).fails(exits.USAGE, "no folder")
    monkeypatch.setattr(padding, "fetch_tensors", unreachable)
    without = assay("fetch", job, "--json", env=env)
    assert "not left out" in without.err
    assert (without.json["paddingRows"], without.json["outputs"][0]["shape"]) == (None, [2, 32])


def test_submit__without_json__puts_the_hash_alone_on_stdout(
    assay: Assay, env_of: EnvOf, model_file: Path, input_file: Path
) -> None:
    env = env_of(CLIENT)
    done = assay("submit", model_file, "--input", input_file, "--price", "1", "--yes", env=env)
    assert done.code == 0, done.err
    job = done.out.strip()
    assert len(bytes.fromhex(job.removeprefix("0x"))) == 32
    assert "1 ADT, if the result stands" in done.err
    assert assay("cancel", job, env=env).code == 0


def test_cancel__an_open_job__gives_price_and_bounty_back(
    assay: Assay, env_of: EnvOf, model_file: Path, input_file: Path
) -> None:
    env = env_of(CLIENT)
    assay("wallet", "withdraw", env=env)  # what other tests left
    job = submit(assay, env, model_file, input_file)
    assay("cancel", job, env=env_of(OTHER)).fails(exits.REFUSED, "NotClient")
    before = assay("wallet", "--json", env=env).json
    assert assay("cancel", job[:14], "--json", env=env).json["status"] == "cancelled"
    after = assay("wallet", "--json", env=env).json
    gained = after["credit"]["market"]["token"] - before["credit"]["market"]["token"]
    assert gained == 3 * TOKEN // 2
    assay("cancel", job, env=env).fails(exits.REFUSED, "cancelled")
    assay("fetch", job, env=env).fails(exits.NO_RESULT, "cancelled")
    # The credit pays for the next one.
    again = submit(assay, env, model_file, input_file)
    credit = assay("wallet", "--json", env=env).json["credit"]["market"]["token"]
    assert credit == before["credit"]["market"]["token"]
    assert assay("cancel", again, env=env).code == 0
    done = assay("wallet", "withdraw", "--json", env=env)
    assert done.code == 0
    assert len(done.json["sent"]) == 2
    returned = after["credit"]["market"]["token"]
    assert assay("wallet", "--json", env=env).json["token"] == after["token"] + returned


def test_verify__a_wrong_result__is_one_line_and_exit_code_9(
    assay: Assay, env_of: EnvOf, market: Market, somewhere: Path, model_file: Path,
    input_file: Path,
) -> None:  # fmt: skip
    env = env_of(CLIENT)
    job = submit(assay, env, model_file, input_file)
    with agent_of(market, somewhere / "agent", LIAR) as liar:
        record = liar.history.sync(liar.chain.snapshot()).jobs[bytes.fromhex(job[2:])]
        task, calls = record.terms.task, liar.chain.contracts.market
        data = fetch_job(liar.store, liar.cache, task, JobLocators.decode(record.locators))
        outputs = interpreter.run(data.program, data.constants, data.inputs)
        outputs[0] = outputs[0].copy()
        outputs[0].reshape(-1).view(np.uint32)[7] ^= 1
        root, where = publish_result(liar.store, data.program, outputs, liar._peers())
        liar.sender.send(calls.accept(task_hash(task), record.terms.deal))
        liar.sender.send(calls.commit(record.job, root, where.encode()))
    assert assay("fetch", job, env=env).code == 0
    done = assay("verify", job, env=env)
    done.fails(exits.WRONG_RESULT, "1 of 15 elements", "(1, 2)")
    assay("verify", job, "--backend", "torch", "--json", env=env).fails(exits.WRONG_RESULT)


def test_wallet_deposit__brought_in_advance__pays_for_a_job(
    assay: Assay, env_of: EnvOf, model_file: Path, input_file: Path
) -> None:
    env = env_of(CLIENT)
    assert assay("wallet", "deposit", "2", "--native", "0.01", env=env).code == 0
    job = submit(assay, env, model_file, input_file, "--pay", "credit")
    assert assay("cancel", job, env=env).code == 0
    assert assay("wallet", "withdraw", env=env).code == 0
    assay("wallet", "deposit", "1000000", env=env).fails(exits.MONEY, "1,000,000 ADT")
    assay("wallet", "deposit", "0", env=env).fails(exits.REFUSED, "NothingToDeposit")


def test_submit_wait__a_job_that_is_done__tells_each_step_and_ends_well(
    assay: Assay, env_of: EnvOf, market: Market, somewhere: Path, model_file: Path,
    input_file: Path,
) -> None:  # fmt: skip
    over = threading.Event()

    def provide() -> None:
        habits = Habits(settle_after=0)
        config = AgentConfig(somewhere / "agent", habits=habits)
        with market.agent(PROVIDER, config) as (agent, _):
            agent.assessor.rate = FAST
            while not over.wait(0.1):
                agent.cycle()

    market.register(PROVIDER, 500)
    thread = threading.Thread(target=provide)
    thread.start()
    try:
        given = ("--input", input_file, "--price", "2", "--window", "2", "--wait")
        done = assay("submit", model_file, *given, env=env_of(CLIENT))
    finally:
        over.set()
        thread.join(60)
    assert done.code == 0, done.err
    assert len(done.out.split()) == 1
    told = [line.split(":")[0].split()[0] for line in done.err.splitlines()]
    steps = [word for word in told if word in ("open", "accepted", "committed", "finalized")]
    assert steps[0] in ("open", "accepted")
    assert steps[-1] == "finalized"
    for line in done.err.splitlines():
        if line.startswith(("committed", "finalized")):
            assert (" by 0x" in line) is line.startswith("committed")
