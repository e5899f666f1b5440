"""A client's jobs on a real chain and real IPFS nodes, with providers that are right and wrong."""

from __future__ import annotations

import secrets
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.compare import first_difference
from client.job_errors import (
    InsufficientAllowance,
    InsufficientTokens,
    NoResult,
    NotFinished,
    NotOpen,
    ResultDiffers,
    UnknownJob,
)
from client.jobs import Client, Payment, Submitted
from client.terms import Wishes
from client.views import JobView
from protocol.chain.errors import InsufficientFunds, NodeUnavailable, WalletError
from protocol.chain.reverts import NotClient, UnknownRefusal
from protocol.chain.transactions import Sender
from protocol.chain.wallet import Wallet
from protocol.spec import examples
from protocol.spec.errors import LimitExceeded, TensorMismatch
from protocol.spec.interpreter import run
from protocol.spec.job import JobStatus, bounty_of, task_hash
from protocol.storage.config import StorageConfig
from protocol.storage.errors import ContentMissing, IpfsUnavailable, MalformedLocators, StorageError
from protocol.storage.jobs import publish_result
from protocol.storage.locators import ResultLocators
from protocol.storage.store import Store
from tests.chain.world import CLIENT, KEEPER, PROVIDER, RIVAL, STRANGER, TOKEN, World
from tests.client_jobs.conftest import Desk, Nodes, Office, desk_of, office_of

pytestmark = pytest.mark.chain
EXAMPLE = examples.mlp()
WISHES = Wishes(price=20 * TOKEN, attempts=2)


def submit(client: Client, example: examples.Example = EXAMPLE, **wishes: Any) -> Submitted:
    made = replace(WISHES, seed=example.seed, steps=example.steps, **wishes)
    return client.submit(example.program, example.constants, example.inputs, made)


def close(world: World, posted: Submitted) -> None:
    """The keeper finalizes, after the window."""
    world.past(world.clock(posted.job))
    market = world.chain.contracts.market
    task, deal = task_hash(posted.terms.task), posted.terms.deal
    world.send(KEEPER, market.finalize(task, deal))


def whole_life(world: World, office: Office, desk: Desk, example: examples.Example) -> None:
    client = office.client
    posted = submit(client, example)
    assert client.status(posted.job).status is JobStatus.OPEN
    desk.take(posted.terms)
    with pytest.raises(NotFinished, match="is accepted: wait"):
        client.fetch(posted.job)
    root = desk.deliver(posted.job, posted.terms, posted.locators)
    early = client.fetch(posted.job)
    assert not early.final
    with pytest.raises(NotFinished, match=r"until \d+-\d+-\d+ \d+:\d+:\d+ UTC"):
        client.fetch(posted.job, final_only=True)
    close(world, posted)
    result = client.fetch(posted.job, final_only=True)
    assert result.final
    wanted = run(example.program, example.constants, example.inputs, seed=example.seed,
                 steps=example.steps)  # fmt: skip
    assert first_difference(result.outputs, wanted) is None
    seen: list[tuple[int, int]] = []
    verified = client.verify(posted.job, progress=lambda done, total: seen.append((done, total)))
    assert verified.final
    assert verified.elements == sum(int(t.size) for t in wanted)
    assert seen[-1] == (verified.operations, verified.operations)
    view = client.status(posted.job)
    assert (view.status, view.record.result_root) == (JobStatus.FINALIZED, root)
    assert view.record.provider == world.address(PROVIDER)


@pytest.mark.parametrize("example", examples.all_examples(), ids=lambda e: e.name)
def test_submit_to_verify__each_example__is_the_interpreters_result(
    fresh_world: World, office: Office, desk: Desk, example: examples.Example
) -> None:
    whole_life(fresh_world, office, desk, example)


def test_submit_to_verify__ganache__is_the_same(
    ganache_world: World, nodes: Nodes, tmp_path: Path
) -> None:
    with office_of(ganache_world, nodes, tmp_path) as office:
        with desk_of(ganache_world, nodes, tmp_path) as desk:
            whole_life(ganache_world, office, desk, EXAMPLE)


# --- posting -------------------------------------------------------------------------------------


def test_submit__allowance_there__takes_price_and_bounty(
    fresh_world: World, office: Office
) -> None:
    world, client = fresh_world, office.client
    before = client.balances()
    posted = submit(client)
    after = client.balances()
    assert before.token - after.token == WISHES.price
    assert before.native - after.native == posted.quote.bounty + posted.outcome.paid
    assert client.status(posted.job).record.terms == posted.terms
    assert world.hash(posted.terms) == posted.job


def stranger(world: World, office: Office, tokens: int = 100 * TOKEN) -> Client:
    """A wallet with tokens and no allowance."""
    sender = world.senders[STRANGER]
    if tokens:
        sender.send(world.chain.contracts.token.mint(sender.address, tokens))
    return office.other(sender)


@pytest.mark.parametrize("way", ["auto", "permit", "approve"])
def test_submit__no_allowance__is_paid_all_the_same(
    fresh_world: World, office: Office, way: Payment
) -> None:
    client = stranger(fresh_world, office)
    posted = client.submit(EXAMPLE.program, EXAMPLE.constants, EXAMPLE.inputs, WISHES,
                           payment=way)  # fmt: skip
    assert client.status(posted.job).status is JobStatus.OPEN
    assert client.balances().token == 80 * TOKEN
    assert client.balances().market_allowance == 0


def test_submit__token_without_permits__is_approved_instead(
    fresh_world: World, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = stranger(fresh_world, office)

    def refuse(*arguments: object) -> None:
        raise UnknownRefusal("reading eip712Domain", {"data": b""})

    monkeypatch.setattr(client.chain, "permit", refuse)
    posted = submit(client)
    assert client.status(posted.job).status is JobStatus.OPEN


def test_submit__credit_there__needs_no_token(fresh_world: World, office: Office) -> None:
    client = stranger(fresh_world, office)
    quote = client.quote(EXAMPLE.program, WISHES)
    client.deposit(100 * TOKEN, 2 * quote.bounty)
    assert client.balances().market_credit.token == 100 * TOKEN
    submit(client)
    has = client.balances()
    assert (has.token, has.market_credit.token) == (0, 80 * TOKEN)


def test_submit__allowance_wanted_and_missing__says_so(
    fresh_world: World, office: Office
) -> None:
    client = stranger(fresh_world, office)
    with pytest.raises(InsufficientAllowance, match="pay by permit, or approve"):
        client.submit(EXAMPLE.program, EXAMPLE.constants, EXAMPLE.inputs, WISHES,
                      payment="allowance")  # fmt: skip


def test_submit__too_few_tokens__says_how_many_are_missing(
    fresh_world: World, office: Office
) -> None:
    client = stranger(fresh_world, office, 5 * TOKEN)
    pins = len(office.store.pins())
    with pytest.raises(InsufficientTokens, match="get 15 ADT more"):
        submit(client)
    assert len(office.store.pins()) == pins


def test_submit__credit_wanted_and_missing__says_so(fresh_world: World, office: Office) -> None:
    client = stranger(fresh_world, office)
    with pytest.raises(InsufficientFunds, match="deposit first"):
        client.submit(EXAMPLE.program, EXAMPLE.constants, EXAMPLE.inputs, WISHES,
                      payment="credit")  # fmt: skip


def test_submit__no_native_money__says_so(fresh_world: World, office: Office) -> None:
    world = fresh_world
    poor = Sender(world.chain, Wallet.from_hex("22" * 32))
    token = world.chain.contracts.token
    world.send(KEEPER, token.mint(poor.address, 100 * TOKEN))
    with pytest.raises(InsufficientFunds, match="has 0 ETH"):
        submit(office.other(poor))


def test_submit__no_key__says_how_to_give_one(fresh_world: World, office: Office) -> None:
    reader = Client(fresh_world.chain, office.store, office.cache)
    with pytest.raises(WalletError, match="got no key"):
        submit(reader)
    assert reader.jobs() == []


def test_submit__zero_price__names_the_term_and_publishes_nothing(
    fresh_world: World, office: Office
) -> None:
    pins = len(office.store.pins())
    with pytest.raises(LimitExceeded, match="priceFloor = 0"):
        submit(office.client, price=0)
    assert len(office.store.pins()) == pins
    assert office.client.jobs() == []


def test_submit__wrong_input__is_refused_before_anything_is_paid(
    fresh_world: World, office: Office
) -> None:
    before = office.client.balances()
    wrong = [np.zeros((1, 1), np.int8) for _ in EXAMPLE.inputs]
    with pytest.raises(TensorMismatch, match="the program wants"):
        office.client.submit(EXAMPLE.program, EXAMPLE.constants, wrong, WISHES)
    assert office.client.balances() == before


def test_submit__ipfs_down__posts_nothing(
    fresh_world: World, office: Office, tmp_path: Path
) -> None:
    config = StorageConfig(api="/ip4/127.0.0.1/tcp/9", cache_dir=tmp_path, connect_s=0.5,
                           attempts=2, backoff_s=0.01)  # fmt: skip
    before = office.client.balances()
    with Store(config) as store:
        client = Client(fresh_world.chain, store, office.cache, fresh_world.senders[CLIENT])
        with pytest.raises(IpfsUnavailable):
            submit(client)
    assert office.client.balances() == before


def test_submit__node_down__is_unavailable(fresh_world: World, office: Office) -> None:
    chain = type(fresh_world.chain)(
        fresh_world.config(CLIENT, rpc_url="http://127.0.0.1:9", rpc_attempts=1),
        fresh_world.deployment,
    )
    with chain, pytest.raises(NodeUnavailable):
        submit(Client(chain, office.store, office.cache))


def test_submit__twice__makes_two_jobs(fresh_world: World, office: Office) -> None:
    first, second = submit(office.client), submit(office.client)
    assert first.job != second.job
    assert [view.job for view in office.client.jobs()] == [first.job, second.job]


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["status", "fetch", "verify", "cancel"])
def test_unknown_job__each_verb__says_so(office: Office, verb: str) -> None:
    with pytest.raises(UnknownJob, match="never posted"):
        getattr(office.client, verb)(b"\x0a" * 32)


def test_resolve__prefix__finds_the_one_job(fresh_world: World, office: Office) -> None:
    client = office.client
    posted = submit(client)
    for text in (posted.job.hex(), "0x" + posted.job.hex()[:9], posted.job.hex()[:9].upper()):
        assert client.resolve(text) == posted.job
    for text in ("", "0x", "zz", "0x" + "0" * 64):
        with pytest.raises(UnknownJob):
            client.resolve(text)


def test_jobs__by_role__are_those_of_that_role(fresh_world: World, office: Office) -> None:
    world, client = fresh_world, office.client
    mine = submit(client)
    other = submit(stranger(world, office))
    world.accept(other.terms, RIVAL)
    assert [v.job for v in client.jobs(client=world.address(CLIENT))] == [mine.job]
    assert [v.job for v in client.jobs(provider=world.address(RIVAL))] == [other.job]
    assert len(client.jobs()) == 2


def test_providers__registered__have_stake_and_record(
    fresh_world: World, office: Office
) -> None:
    found = office.client.providers()
    assert [p.record.endpoint for p in found] == [b"role 2", b"role 3"]
    assert all(p.state.registered and p.state.stake == 1_000 * TOKEN for p in found)


def test_status__late_provider__says_what_is_due(fresh_world: World, office: Office) -> None:
    world, client = fresh_world, office.client
    posted = submit(client)
    assert client.status(posted.job).next == "waits for a provider"
    world.accept(posted.terms)
    world.past(world.clock(posted.job))
    view = client.status(posted.job)
    assert "slash" in view.next
    assert view.seconds_left is not None
    assert view.seconds_left < 0


def test_follow__whole_life__gives_each_change_once(
    fresh_world: World, office: Office, desk: Desk
) -> None:
    posted = submit(office.client)
    seen: list[JobStatus] = []
    moves = [
        lambda: desk.take(posted.terms),
        lambda: desk.deliver(posted.job, posted.terms, posted.locators),
        lambda: close(fresh_world, posted),
    ]
    for view in office.client.follow(posted.job):
        seen.append(view.status)
        if moves:
            moves.pop(0)()  # type: ignore[no-untyped-call]
    assert seen == [JobStatus.OPEN, JobStatus.ACCEPTED, JobStatus.COMMITTED, JobStatus.FINALIZED]


def test_follow__until__stops_there(fresh_world: World, office: Office) -> None:
    posted = submit(office.client)
    threading.Timer(0.2, lambda: fresh_world.accept(posted.terms)).start()
    wanted, waits = frozenset({JobStatus.ACCEPTED}), list[JobView]()
    seen = [v.status for v in office.client.follow(posted.job, wanted, waits.append)]
    assert seen == [JobStatus.OPEN, JobStatus.ACCEPTED]
    assert {v.status for v in waits} == {JobStatus.OPEN}


# --- results -------------------------------------------------------------------------------------


def test_verify__wrong_bit__names_the_first_element(
    fresh_world: World, office: Office, desk: Desk
) -> None:
    posted = submit(office.client)
    desk.take(posted.terms)
    outputs = [t.copy() for t in desk.compute(posted.terms, posted.locators)]
    flat = outputs[-1].reshape(-1).view(np.uint8)
    flat[-1] ^= 1
    desk.deliver(posted.job, posted.terms, posted.locators, outputs)
    assert office.client.fetch(posted.job).outputs
    with pytest.raises(ResultDiffers) as caught:
        office.client.verify(posted.job)
    assert caught.value.output == len(outputs) - 1
    assert caught.value.index == outputs[-1].size - 1
    assert caught.value.got != caught.value.wanted


def test_fetch__data_is_not_what_was_committed__is_an_error(
    fresh_world: World, office: Office, desk: Desk
) -> None:
    posted = submit(office.client)
    desk.take(posted.terms)
    outputs = desk.compute(posted.terms, posted.locators)
    _, where = publish_result(desk.store, EXAMPLE.program, outputs, desk.peers)
    fresh_world.commit(posted.job, PROVIDER, b"\x0b" * 32, where.encode())
    with pytest.raises(StorageError, match="committed is 0x0b0b"):
        office.client.fetch(posted.job)


def test_fetch__data_is_nowhere__is_missing(
    fresh_world: World, office: Office, desk: Desk
) -> None:
    posted = submit(office.client)
    desk.take(posted.terms)
    outputs = desk.compute(posted.terms, posted.locators)
    # No node has ever seen these.
    noise = np.frombuffer(secrets.token_bytes(outputs[0].nbytes), outputs[0].dtype)
    outputs[0] = noise.reshape(outputs[0].shape)
    root, where = publish_result(desk.store, EXAMPLE.program, outputs)
    gone = where.outputs
    desk.store.unpin(gone)
    desk.store.collect_garbage()
    fresh_world.commit(posted.job, PROVIDER, root, ResultLocators(gone, desk.peers).encode())
    with pytest.raises(ContentMissing):
        office.client.fetch(posted.job)


def test_fetch__rubbish_for_locators__is_malformed(
    fresh_world: World, office: Office
) -> None:
    posted = submit(office.client)
    fresh_world.accept(posted.terms)
    fresh_world.commit(posted.job, locators=b"rubbish")
    with pytest.raises(MalformedLocators):
        office.client.fetch(posted.job)


def test_fetch__refunded__has_no_result(fresh_world: World, office: Office) -> None:
    world, client = fresh_world, office.client
    posted = submit(client)
    world.past(world.clock(posted.job))
    market = world.chain.contracts.market
    world.send(KEEPER, market.refund(task_hash(posted.terms.task), posted.terms.deal))
    with pytest.raises(NoResult, match="was refunded"):
        client.fetch(posted.job)


def test_fetch__late_then_right__is_the_second_providers(
    fresh_world: World, office: Office, desk: Desk
) -> None:
    world = fresh_world
    posted = submit(office.client)
    desk.take(posted.terms)
    world.past(world.clock(posted.job))
    market = world.chain.contracts.market
    world.send(KEEPER, market.slash_late(task_hash(posted.terms.task), posted.terms.deal))
    with pytest.raises(NotFinished, match="is open"):
        office.client.fetch(posted.job)
    desk.take(posted.terms, RIVAL)
    desk.deliver(posted.job, posted.terms, posted.locators, role=RIVAL)
    assert office.client.verify(posted.job).outputs
    assert office.client.status(posted.job).record.provider == world.address(RIVAL)


# --- money ---------------------------------------------------------------------------------------


def test_cancel__open__gives_the_money_back_as_credit(
    fresh_world: World, office: Office
) -> None:
    client = office.client
    posted = submit(client)
    client.cancel(posted.job)
    credit = client.balances().market_credit
    schedule = fresh_world.deployment.limits.schedule
    assert (credit.token, credit.native) == (WISHES.price, bounty_of(posted.terms.deal, schedule))
    with pytest.raises(NotOpen, match="is cancelled"):
        client.cancel(posted.job)
    before = client.balances()
    assert len(client.withdraw()) == 2
    after = client.balances()
    assert after.token - before.token == WISHES.price
    assert after.market_credit == type(after.market_credit)(0, 0)
    assert client.withdraw() == []


def test_cancel__somebody_elses__is_refused(fresh_world: World, office: Office) -> None:
    posted = submit(office.client)
    with pytest.raises(NotClient):
        stranger(fresh_world, office).cancel(posted.job)


def test_cancel__taken__is_refused(fresh_world: World, office: Office) -> None:
    posted = submit(office.client)
    fresh_world.accept(posted.terms)
    with pytest.raises(NotOpen, match="is accepted"):
        office.client.cancel(posted.job)


def test_deposit__more_than_there_is__says_so(fresh_world: World, office: Office) -> None:
    with pytest.raises(InsufficientTokens, match="get more"):
        office.client.deposit(10**30, 0)
