"""The timekeeper on a real chain: each clock, two at once, kills, reorgs, a node that goes away."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keepers.base import Runner
from keepers.config import KeeperConfig
from keepers.timekeeper import GAS, Kind, Policy, Timekeeper, check, serve
from protocol.chain.chain import Chain
from protocol.chain.errors import WrongChain
from protocol.chain.flights import Quote
from protocol.chain.transactions import Sender
from protocol.spec.job import JobStatus, late_split, lock_of
from scripts import config, evm, tools
from tests.chain.world import CLIENT, KEEPER, PROVIDER, RIVAL, STRANGER, TOKEN, World, open_world

pytestmark = pytest.mark.chain
SECONDS = 20.0


def keeper(world: World, role: int | None = KEEPER, **policy: Any) -> Timekeeper:
    sender = world.senders[role] if role is not None else Sender(world.chain, None)
    return Timekeeper(world.chain, sender, Policy(**{"collect_wei": 10**30, **policy}))


def status(world: World, job: bytes) -> JobStatus:
    return world.chain.job_state(job, world.chain.snapshot()).status


def until(condition: Callable[[], bool]) -> None:
    """Waits for another process or thread; fails after SECONDS."""
    end = time.monotonic() + SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        pause.wait(0.05)


def test_cycle__clock_runs__does_nothing(world: World) -> None:
    job, _ = world.post()
    report = keeper(world).cycle()
    assert (report.due, report.done, report.failed) == (0, 0, 0)
    assert report.deadline == world.clock(job)


def test_cycle__nobody_accepts__refunds_for_the_bounty(world: World) -> None:
    job, terms = world.post()
    before = world.chain.balances(world.address(KEEPER), world.chain.snapshot())
    credit = world.chain.balances(world.address(CLIENT), world.chain.snapshot()).market_credit
    world.past(world.clock(job))
    report = keeper(world).cycle()
    assert report.done == report.due
    assert report.failed == 0
    at = world.chain.snapshot()
    assert status(world, job) is JobStatus.REFUNDED
    got = world.chain.balances(world.address(CLIENT), at).market_credit.token - credit.token
    assert got >= terms.deal.price_ceiling
    after = world.chain.balances(world.address(KEEPER), at).market_credit.native
    assert after - before.market_credit.native >= 120_000 * terms.deal.gas_price


def test_cycle__late_twice__slashes_reopens_then_refunds(world: World) -> None:
    job, terms = world.post(attempts=2)
    lock, _ = lock_of(terms.deal, world.deployment.limits.schedule)
    for attempt, role in enumerate((PROVIDER, RIVAL)):
        before = world.chain.provider(world.address(role), world.chain.snapshot())
        world.accept(terms, role)
        world.past(world.clock(job))
        keeper(world).cycle()
        at = world.chain.snapshot()
        after = world.chain.provider(world.address(role), at)
        state = world.chain.job_state(job, at)
        split = late_split(lock, terms.deal.price_ceiling)
        assert before.stake - after.stake == split.burned + split.client
        assert after.late == before.late + 1
        assert world.chain.has_lost(job, world.address(role), at)
        assert state.status is (JobStatus.OPEN if attempt == 0 else JobStatus.REFUNDED)
        assert state.attempt == attempt + (attempt == 0)


def test_cycle__window_over__finalizes_and_pays(world: World) -> None:
    job, terms = world.post()
    world.accept(terms)
    world.commit(job)
    assert keeper(world).cycle().due == 0
    before = world.chain.balances(world.address(PROVIDER), world.chain.snapshot()).market_credit
    world.past(world.clock(job))
    report = keeper(world).cycle()
    assert (report.due, report.done) == (1, 1)
    after = world.chain.balances(world.address(PROVIDER), world.chain.snapshot()).market_credit
    assert after.token - before.token == terms.deal.price_ceiling
    assert status(world, job) is JobStatus.FINALIZED


def test_cycle__ganache__does_the_same(ganache_world: World) -> None:
    world = ganache_world
    idle, _ = world.post()
    late, terms = world.post(attempts=2)
    world.accept(terms)
    done, done_terms = world.post()
    world.accept(done_terms, RIVAL)
    world.commit(done, RIVAL)
    world.past(max(world.clock(job) for job in (idle, late, done)))
    report = keeper(world).cycle()
    assert (report.due, report.done) == (3, 3)
    wanted = [JobStatus.REFUNDED, JobStatus.OPEN, JobStatus.FINALIZED]
    assert [status(world, job) for job in (idle, late, done)] == wanted


def test_cycle__at_the_clock_itself__belongs_to_the_mover(fresh_world: World) -> None:
    world = fresh_world
    job, _ = world.post()
    clock = world.clock(job)
    world.rpc("evm_setNextBlockTimestamp", hex(clock))
    world.rpc("evm_mine")
    at = replace(world.chain.snapshot(), next_timestamp=clock)
    assert at.timestamp == clock
    assert keeper(world).cycle(at).due == 0


def test_cycle__gas_figures__are_upper_bounds(fresh_world: World) -> None:
    world = fresh_world
    used: dict[Kind, int] = {}
    sent = world.senders[KEEPER].send

    def measured(call: Any, **options: Any) -> Any:
        outcome = sent(call, **options)
        used[Kind(call.what.split()[0])] = outcome.gas
        return outcome

    world.senders[KEEPER].send = measured  # type: ignore[method-assign]
    idle, _ = world.post()
    late, terms = world.post(attempts=1)
    world.accept(terms)
    done, done_terms = world.post()
    world.accept(done_terms, RIVAL)
    world.commit(done, RIVAL)
    world.past(max(world.clock(job) for job in (idle, late, done)))
    report = keeper(world).cycle()
    assert (report.due, report.done) == (3, 3)
    assert set(used) == set(Kind)
    assert all(gas <= GAS[kind] for kind, gas in used.items()), used


def test_cycle__two_keepers__one_pays_and_both_are_content(fresh_world: World) -> None:
    world = fresh_world
    jobs = [world.post()[0] for _ in range(3)]
    world.past(max(world.clock(job) for job in jobs))
    keepers = [keeper(world, KEEPER), keeper(world, STRANGER)]
    at = world.chain.snapshot()
    reports: list[Any] = []
    threads = [threading.Thread(target=lambda k=k: reports.append(k.cycle(at))) for k in keepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert [(r.due, r.done, r.failed) for r in reports] == [(3, 3, 0), (3, 3, 0)]
    assert all(status(world, job) is JobStatus.REFUNDED for job in jobs)


def test_cycle__both_in_one_block__loser_counts_it_as_done(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    job, _ = world.post()
    world.past(world.clock(job))
    world.rpc("evm_setAutomine", False)
    moves = keeper(world).decide(keeper(world).view()[0])
    lines: dict[int, str] = {}
    # Both have simulated before either sends: each thinks that the call will succeed.
    for role in (KEEPER, STRANGER):
        sender = world.senders[role]
        real, fees = sender.simulate, sender.fees()

        def hopeful(call: Any, block: str = "pending", real: Any = real) -> bytes:
            return b"" if block == "pending" else bytes(real(call, block))

        monkeypatch.setattr(sender, "simulate", hopeful)
        monkeypatch.setattr(sender, "quote", lambda call, block, fees=fees: Quote(100_000, fees))
    keepers = {role: keeper(world, role) for role in (KEEPER, STRANGER)}
    threads = [
        threading.Thread(target=lambda r=r, k=k: lines.update({r: k.act(moves[0])}))
        for r, k in keepers.items()
    ]
    for thread in threads:
        thread.start()
    until(lambda: int(world.rpc("txpool_status")["pending"], 16) == 2)
    world.rpc("evm_mine")
    for thread in threads:
        thread.join(SECONDS)
    assert sorted("somebody else did" in line for line in lines.values()) == [False, True]
    assert status(world, job) is JobStatus.REFUNDED


def test_cycle__without_a_key__sends_nothing(
    fresh_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world = fresh_world
    job, _ = world.post()
    world.past(world.clock(job))
    height = world.chain.snapshot().number
    with caplog.at_level(logging.INFO, "assay.keeper"):
        report = keeper(world, None).cycle()
    assert (report.due, report.done) == (1, 1)
    assert "(attempt 1): due, and not sent without a key" in caplog.text
    assert re.search(r"bounty 0\.\d+ ETH", caplog.text)
    assert world.chain.snapshot().number == height
    assert status(world, job) is JobStatus.OPEN


def test_cycle__gas_dearer_than_the_bounty__leaves_it(fresh_world: World) -> None:
    world = fresh_world
    job, _ = world.post(gas_price=10**9)
    world.past(world.clock(job))
    world.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**11))
    world.rpc("evm_mine")
    thrifty = keeper(world)
    assert thrifty.cycle().due == 0
    (row,) = thrifty.clocks()
    assert (row.job, row.kind, row.pays) == (job, Kind.REFUND, False)
    assert row.left < 0
    interested = keeper(world, interests=frozenset({world.address(CLIENT)}))
    assert interested.cycle().done == 1
    assert status(world, job) is JobStatus.REFUNDED


def test_cycle__enough_credit__is_withdrawn(fresh_world: World) -> None:
    world = fresh_world
    job, _ = world.post()
    world.past(world.clock(job))
    collector = keeper(world, collect_wei=1)
    collector.cycle()
    before = world.chain.balances(world.address(KEEPER), world.chain.snapshot())
    assert before.market_credit.native > 0
    collector.cycle()
    after = world.chain.balances(world.address(KEEPER), world.chain.snapshot())
    assert after.market_credit.native == 0
    assert after.native > before.native


def test_cycle__after_a_reorg__does_it_again(fresh_world: World) -> None:
    world = fresh_world
    job, _ = world.post()
    world.past(world.clock(job))
    keeping = keeper(world)
    assert keeping.cycle().done == 1
    world.rpc("anvil_reorg", 1, [])
    assert status(world, job) is JobStatus.OPEN
    assert keeping.cycle().done == 1
    assert status(world, job) is JobStatus.REFUNDED


def test_cycle__job_undone_by_a_reorg__is_forgotten(fresh_world: World) -> None:
    world = fresh_world
    keeping = keeper(world)
    back = world.rpc("evm_snapshot")
    job, _ = world.post()
    assert keeping.cycle().deadline == world.clock(job)
    world.rpc("evm_revert", back)
    assert keeping.cycle().deadline is None


def test_serve__real_time__meets_every_clock(fresh_world: World, tmp_path: Path) -> None:
    world = fresh_world
    stop = threading.Event()
    file = tmp_path / "deployment.json"
    file.write_text(world.text)
    keeping = world.config(KEEPER, deployment=file)
    settings = KeeperConfig(keeping, poll_seconds=30.0, collect_wei=10**30)
    thread = threading.Thread(target=serve, args=(settings, stop))
    job, terms = world.post(open_seconds=100, run_seconds=2, window_seconds=2, attempts=2)
    world.accept(terms)
    thread.start()
    try:
        # Polling is far too slow here: the wake-up at the deadline does it.
        until(lambda: status(world, job) is JobStatus.OPEN)
        assert world.chain.job_state(job, world.chain.snapshot()).attempt == 1
    finally:
        stop.set()
        thread.join(SECONDS)
    assert not thread.is_alive()


def test_run__node_goes_away_and_comes_back__goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state.json"
    stop = threading.Event()
    with caplog.at_level(logging.INFO, "assay.keeper"):
        with evm.anvil("--state", str(state)) as node:
            port = int(node.url.rsplit(":", 1)[1])
            with open_world(node, rpc_attempts=1, rpc_timeout=2.0) as world:
                job, _ = world.post(open_seconds=100)
                deployment, settings = world.deployment, world.config(KEEPER)
                chain = Chain.connect(settings, deployment, stop)
        with chain:
            sender = Sender(chain, chain.wallet())
            runner = Runner(Timekeeper(chain, sender, Policy()), 0.05, stop)
            thread = threading.Thread(target=runner.run)
            thread.start()
            try:
                until(lambda: "trying again" in caplog.text)
                with evm.anvil("--state", str(state), port=port):
                    until(lambda: "answers again" in caplog.text)
                    chain.rpc.call("evm_increaseTime", hex(200))
                    chain.rpc.call("evm_mine")
                    until(lambda: chain.job_state(job, chain.snapshot()).status
                          is JobStatus.REFUNDED)  # fmt: skip
                    stop.set()
                    thread.join(SECONDS)
            finally:
                stop.set()
                thread.join(SECONDS)
    assert runner.fatal is None


def test_run__chain_started_anew__ends_with_the_error() -> None:
    stop = threading.Event()
    with evm.anvil() as node:
        port = int(node.url.rsplit(":", 1)[1])
        with open_world(node, rpc_attempts=1, rpc_timeout=2.0) as world:
            world.post()
            chain = Chain.connect(world.config(KEEPER), world.deployment, stop)
            watching = keeper(replace(world, chain=chain))
            watching.cycle()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            Runner(watching, 0.05, stop).run()
        except WrongChain as error:
            errors.append(error)

    with chain, evm.anvil(port=port):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(SECONDS)
    assert not thread.is_alive()
    assert "no contract at" in str(errors[0])


def test_check__healthy__says_what_it_found(world: World) -> None:
    lines = check(world.chain, KeeperConfig(world.config(KEEPER)))
    assert lines[0].startswith("chain 31337 at block")
    assert "live jobs" in lines[1]
    assert "no key" in lines[2]


# --- the process ---------------------------------------------------------------------------------


def start(world: World, tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    path = tmp_path / "deployment.json"
    if not path.exists():
        path.write_text(world.text)
    return subprocess.Popen(
        [sys.executable, "-m", "keepers.timekeeper", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tools.ROOT,
        env=config.child_environment(
            {
                "ASSAY_RPC_URL": world.node.url,
                "ASSAY_DEPLOYMENT": str(path),
                "ASSAY_DEV_ACCOUNT": str(KEEPER),
                "ASSAY_KEEPER_POLL_SECONDS": "0.1",
                "ASSAY_POLL_SECONDS": "0.05",
            }
        ),
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=SECONDS)
    return output


def test_main__killed_and_restarted__does_what_is_due(fresh_world: World, tmp_path: Path) -> None:
    world = fresh_world
    first, _ = world.post()
    process = start(world, tmp_path)
    try:
        world.past(world.clock(first))
        until(lambda: status(world, first) is JobStatus.REFUNDED)
    finally:
        process.kill()
        finish(process)
    second, _ = world.post()
    world.past(world.clock(second))
    assert status(world, second) is JobStatus.OPEN
    process = start(world, tmp_path)
    try:
        until(lambda: status(world, second) is JobStatus.REFUNDED)
        process.send_signal(signal.SIGTERM)
        output = finish(process)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "refund 0x" in output
    assert "stopped" in output


def test_main__killed_with_a_transaction_in_the_pool__next_life_settles_it(
    fresh_world: World, tmp_path: Path
) -> None:
    world = fresh_world
    job, _ = world.post()
    world.past(world.clock(job))
    world.rpc("evm_setAutomine", False)
    process = start(world, tmp_path)
    try:
        until(lambda: int(world.rpc("txpool_status")["pending"], 16) == 1)
    finally:
        process.kill()
        finish(process)
    process = start(world, tmp_path, "--once")
    pause = threading.Event()
    pause.wait(1.0)
    world.rpc("evm_mine")
    world.rpc("evm_setAutomine", True)
    finish(process)
    assert process.returncode == 0
    assert status(world, job) is JobStatus.REFUNDED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_main__signal__ends_cleanly(
    world: World, tmp_path: Path, number: signal.Signals
) -> None:
    process = start(world, tmp_path)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "account 0x" in line:
                break
        process.send_signal(number)
        rest = process.stdout.read()
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    assert "Traceback" not in rest
    assert "stopped" in rest


def test_main__check_and_clocks__print_and_end(world: World, tmp_path: Path) -> None:
    job, _ = world.post()
    process = start(world, tmp_path, "--check")
    output = finish(process)
    assert process.returncode == 0
    assert "live jobs" in output
    process = start(world, tmp_path, "--clocks")
    output = finish(process)
    assert process.returncode == 0
    assert job.hex()[:8] in output
    assert "refund" in output


def test_main__node_down__one_line_and_exit_1(world: World, tmp_path: Path) -> None:
    dead = replace(world, node=evm.EvmNode("none", "http://127.0.0.1:9", world.node.process))
    process = start(dead, tmp_path, "--check")
    output = finish(process)
    assert process.returncode == 1
    assert output.startswith("error: no usable answer from the node")
    assert output.count("\n") == 1


def test_balances__roles__have_tokens(world: World) -> None:
    at = world.chain.snapshot()
    assert world.chain.balances(world.address(RIVAL), at).token > 100 * TOKEN
