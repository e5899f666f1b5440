"""JobMarket: post in its three forms, deposit, cancel, refund."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from protocol.spec.job import JobStatus, pack_steps
from protocol.spec.limits import DEVNET
from protocol.spec.trees import keccak256
from tests.contracts.market import LOCATORS, PRICE, Market, terms_tuple

pytestmark = pytest.mark.chain


def word(text: str) -> bytes:
    """A term's name as the contract's error carries it."""
    return text.encode().ljust(32, b"\0")


def test_post__ordinary_terms__escrows_and_emits_everything(world: Market) -> None:
    terms = world.terms()
    before = world.token.balanceOf(world.client)
    receipt = world.post(terms)
    assert receipt.return_value == "0x" + world.key(terms).hex()
    assert world.token.balanceOf(world.client) == before - PRICE
    assert world.token.balanceOf(world.market) == PRICE
    assert world.market.balance() == world.bounty(terms)
    event = receipt.events["Posted"]
    assert event["jobHash"] == "0x" + world.key(terms).hex()
    assert event["client"] == world.client
    assert event["locators"] == "0x" + LOCATORS.hex()
    assert event["terms"][1][3] == PRICE
    assert event["terms"][0][7] == -5
    status, attempt, provider, clock, window, holds = world.market.jobOf(world.key(terms))
    assert (status, attempt, int(provider, 16), window, holds) == (JobStatus.OPEN, 0, 0, 0, 0)
    assert clock == receipt.timestamp + terms.deal.open_seconds


def test_post__same_terms_again__reverts(world: Market) -> None:
    terms = world.posted()
    with world.reverts("AlreadyPosted", world.key(terms)):
        world.post(terms)


def test_post__same_terms_after_the_end__reverts(world: Market) -> None:
    terms = world.posted()
    world.market.cancel(*world.args(terms), {"from": world.client})
    with world.reverts("AlreadyPosted", world.key(terms)):
        world.post(terms)


def test_post__by_another_than_the_client__reverts(world: Market) -> None:
    terms = world.terms()
    with world.reverts("NotClient", world.stranger, world.client):
        world.post(terms, **{"from": world.stranger})


def test_post__another_referee__reverts(world: Market) -> None:
    terms = world.terms(task={"referee": bytes(19) + b"\7"})
    with world.reverts("WrongReferee"):
        world.post(terms)


@pytest.mark.parametrize("extra", [-1, 1])
def test_post__another_value_than_the_bounty__reverts(world: Market, extra: int) -> None:
    terms = world.terms()
    bounty = world.bounty(terms)
    with world.reverts("WrongBounty", bounty + extra, bounty):
        world.post(terms, value=bounty + extra)


def test_post__locators_that_hash_to_something_else__reverts(world: Market) -> None:
    terms = world.terms(task={"locators_hash": keccak256(b"else")})
    with world.reverts("WrongLocators", keccak256(LOCATORS), keccak256(b"else")):
        world.post(terms)


def test_post__locators_over_the_limit__reverts(world: Market) -> None:
    terms = world.terms(task={"locators_hash": keccak256(bytes(4097))})
    with world.reverts("LocatorsTooLong", 4097, 4096):
        world.market.post(
            terms_tuple(terms), bytes(4097), {"from": world.client, "value": world.bounty(terms)}
        )


RANGES: list[tuple[str, str, int, int]] = [
    ("openSeconds", "open_seconds", DEVNET.min_open_seconds, DEVNET.max_open_seconds),
    ("runSeconds", "run_seconds", DEVNET.min_run_seconds, DEVNET.max_run_seconds),
    ("windowSeconds", "window_seconds", DEVNET.min_window_seconds, DEVNET.max_window_seconds),
    ("moveSeconds", "move_seconds", DEVNET.min_move_seconds, DEVNET.max_move_seconds),
    ("workMs", "work_ms", DEVNET.min_work_ms, DEVNET.max_work_ms),
    ("stakeBps", "stake_bps", DEVNET.min_stake_bps, DEVNET.max_stake_bps),
    ("gasPrice", "gas_price", DEVNET.min_gas_price, DEVNET.max_gas_price),
    ("attempts", "attempts", 1, DEVNET.max_attempts),
    ("priceFloor", "price_floor", 1, 2**96 - 1),
    ("priceCeiling", "price_ceiling", PRICE, PRICE),
    ("rampSeconds", "ramp_seconds", 0, 0),
]


@pytest.mark.parametrize(("term", "field", "least", "most"), RANGES)
@pytest.mark.parametrize("side", ["below", "above"])
def test_post__a_term_out_of_range__reverts_and_names_it(
    world: Market, term: str, field: str, least: int, most: int, side: str
) -> None:
    got = least - 1 if side == "below" else most + 1
    if got < 0:  # There is no smaller value; the largest of the type is as wrong.
        got = 2**32 - 1
    changes: dict[str, Any] = {field: got}
    terms = world.terms(**changes)
    with world.reverts("TermOutOfRange", word(term), got, least, most):
        world.post(terms)


@pytest.mark.parametrize(("term", "field", "least", "most"), RANGES[:8])
def test_post__a_term_at_either_end_of_its_range__is_taken(
    world: Market, term: str, field: str, least: int, most: int
) -> None:
    for value in (least, most):
        changes: dict[str, Any] = {field: value, "nonce": value}
        terms = world.terms(**changes)
        world.post(terms)
        assert world.status(terms) is JobStatus.OPEN


@pytest.mark.parametrize(("term", "field", "got"), [("firstStep", "first_step", 1)])
def test_post__a_reserved_field_in_use__reverts(
    world: Market, term: str, field: str, got: int
) -> None:
    with world.reverts("TermOutOfRange", word(term), got, 0, 0):
        world.post(world.terms(task={field: got}))


@pytest.mark.parametrize("count", [0, 2])
def test_post__other_than_one_task__reverts(world: Market, count: int) -> None:
    with world.reverts("TermOutOfRange", word("taskCount"), count, 1, 1):
        world.post(world.terms(task={"task_count": count}))


def test_post__a_lock_over_the_limit__reverts(world: Market) -> None:
    price = DEVNET.max_lock // 2 + 1
    terms = world.terms(price_floor=price, price_ceiling=price, stake_bps=20_000)
    lock = 2 * price
    with world.reverts("TermOutOfRange", word("lock"), lock, DEVNET.min_lock, DEVNET.max_lock):
        world.post(terms)


def test_post__without_allowance__reverts_with_the_tokens_error(world: Market) -> None:
    world.token.approve(world.market, PRICE - 1, {"from": world.client})
    with world.reverts("ERC20InsufficientAllowance", world.market, PRICE - 1, PRICE):
        world.post(world.terms())


def test_post__without_funds__reverts_with_the_tokens_error(world: Market) -> None:
    balance = world.token.balanceOf(world.client)
    world.token.transfer(world.rival, balance - 5, {"from": world.client})
    with world.reverts("ERC20InsufficientBalance", world.client, 5, PRICE):
        world.post(world.terms())


def test_post__eight_phases__steps_are_kept_whole(world: Market) -> None:
    steps = pack_steps([2**32 - 1, 0, 1, 2, 3, 4, 5, 2**32 - 1])
    terms = world.terms(task={"steps": steps})
    assert world.post(terms).events["Posted"]["terms"][0][5] == steps


@pytest.mark.parametrize("position", [2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
def test_post__a_word_with_bits_beyond_its_type__reverts(world: Market, position: int) -> None:
    """The hash copies words whole: none may carry what its type does not show."""
    terms = world.terms()
    data = bytearray.fromhex(world.market.post.encode_input(terms_tuple(terms), LOCATORS)[2:])
    deal = 4 + 32 * 9
    index = deal + 32 * (position if position != 2 else 1)
    data[index] = 0x80
    with pytest.raises(world.brownie.exceptions.VirtualMachineError):
        world.client.transfer(world.market, world.bounty(terms), data="0x" + data.hex())


@pytest.mark.parametrize("position", [6, 7, 8])
def test_post__a_task_word_with_bits_beyond_its_type__reverts(world: Market, position: int) -> None:
    terms = world.terms()
    data = bytearray.fromhex(world.market.post.encode_input(terms_tuple(terms), LOCATORS)[2:])
    data[4 + 32 * position] ^= 0x80
    with pytest.raises(world.brownie.exceptions.VirtualMachineError):
        world.client.transfer(world.market, world.bounty(terms), data="0x" + data.hex())


# --- permit --------------------------------------------------------------------------------------


def sign_permit(
    world: Market, signer: Any, spender: Any, amount: int, deadline: int
) -> tuple[int, int, bytes, bytes]:
    """``(deadline, v, r, s)`` of an EIP-2612 permit by a fresh key."""
    message = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
            ],
        },
        "primaryType": "Permit",
        "domain": {
            "name": "Assay Dev Token",
            "version": "1",
            "chainId": world.chain_id,
            "verifyingContract": world.token.address,
        },
        "message": {
            "owner": signer.address,
            "spender": spender.address,
            "value": amount,
            "nonce": world.token.nonces(signer.address),
            "deadline": deadline,
        },
    }
    signed = Account.sign_message(encode_typed_data(full_message=message), signer.private_key)
    return deadline, signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


def holder(world: Market) -> Any:
    """A new account with tokens and native money and no allowance given."""
    account = world.brownie.accounts.add(keccak256(b"holder").hex())
    world.client.transfer(account, 10**18)
    world.token.mint(account, 10 * PRICE, {"from": world.deployer})
    return account


def permitted(world: Market, account: Any, terms: Any, permit: tuple[Any, ...]) -> Any:
    """``postWithPermit`` by the account."""
    options = {"from": account, "value": world.bounty(terms)}
    return world.market.postWithPermit(terms_tuple(terms), LOCATORS, *permit, options)


def test_post_with_permit__no_allowance__posts(world: Market) -> None:
    account = holder(world)
    terms = world.terms(client=bytes.fromhex(account.address[2:]))
    permit = sign_permit(world, account, world.market, PRICE, 2**40)
    permitted(world, account, terms, permit)
    assert world.status(terms) is JobStatus.OPEN
    assert world.token.balanceOf(world.market) == PRICE


def test_post_with_permit__permit_sent_ahead_by_another__posts(world: Market) -> None:
    account = holder(world)
    terms = world.terms(client=bytes.fromhex(account.address[2:]))
    permit = sign_permit(world, account, world.market, PRICE, 2**40)
    world.token.permit(account, world.market, PRICE, *permit, {"from": world.stranger})
    permitted(world, account, terms, permit)
    assert world.status(terms) is JobStatus.OPEN


def test_post_with_permit__bad_signature_and_no_allowance__reverts(world: Market) -> None:
    account = holder(world)
    terms = world.terms(client=bytes.fromhex(account.address[2:]))
    permit = sign_permit(world, account, world.registry, PRICE, 2**40)
    with world.reverts("ERC20InsufficientAllowance"):
        permitted(world, account, terms, permit)


# --- from credit ---------------------------------------------------------------------------------


def test_deposit__tokens_and_native__become_credit(world: Market) -> None:
    receipt = world.market.deposit(7, {"from": world.client, "value": 9})
    assert world.owed(world.client) == (7, 9)
    event = receipt.events["Deposited"]
    assert (event["account"], event["token"], event["native"]) == (world.client, 7, 9)
    world.market.deposit(0, {"from": world.client, "value": 1})
    world.market.deposit(1, {"from": world.client})
    assert world.owed(world.client) == (8, 10)


def test_deposit__nothing__reverts(world: Market) -> None:
    with world.reverts("NothingToDeposit"):
        world.market.deposit(0, {"from": world.client})


def test_post_from_credit__enough__takes_price_and_bounty(world: Market) -> None:
    terms = world.terms()
    bounty = world.bounty(terms)
    world.market.deposit(PRICE + 1, {"from": world.client, "value": bounty + 2})
    receipt = world.market.postFromCredit(terms_tuple(terms), LOCATORS, {"from": world.client})
    assert world.owed(world.client) == (1, 2)
    assert world.status(terms) is JobStatus.OPEN
    assert receipt.events["Posted"]["jobHash"] == "0x" + world.key(terms).hex()


def test_post_from_credit__one_unit_short__reverts(world: Market) -> None:
    terms = world.terms()
    bounty = world.bounty(terms)
    world.market.deposit(PRICE - 1, {"from": world.client, "value": bounty})
    with world.reverts("CreditTooLow", world.client, PRICE - 1, PRICE):
        world.market.postFromCredit(terms_tuple(terms), LOCATORS, {"from": world.client})
    world.market.deposit(1, {"from": world.client})
    world.market.withdrawNative(world.client, 1, {"from": world.client})
    with world.reverts("CreditTooLow", world.client, bounty - 1, bounty):
        world.market.postFromCredit(terms_tuple(terms), LOCATORS, {"from": world.client})


def test_post_from_credit__by_another_than_the_client__reverts(world: Market) -> None:
    with world.reverts("NotClient", world.rival, world.client):
        world.market.postFromCredit(terms_tuple(world.terms()), LOCATORS, {"from": world.rival})


# --- cancel and refund ---------------------------------------------------------------------------


def test_cancel__open__credits_price_and_bounty(world: Market) -> None:
    terms = world.posted()
    receipt = world.market.cancel(*world.args(terms), {"from": world.client})
    assert receipt.events["Cancelled"]["jobHash"] == "0x" + world.key(terms).hex()
    assert world.status(terms) is JobStatus.CANCELLED
    assert world.owed(world.client) == (PRICE, world.bounty(terms))


def test_cancel__by_another_than_the_client__reverts(world: Market) -> None:
    terms = world.posted()
    with world.reverts("NotClient", world.keeper, world.client):
        world.market.cancel(*world.args(terms), {"from": world.keeper})


def test_cancel__accepted__reverts(world: Market) -> None:
    terms = world.accepted()
    with world.reverts("WrongStatus", world.key(terms), 2, 1):
        world.market.cancel(*world.args(terms), {"from": world.client})


def test_cancel__twice__reverts(world: Market) -> None:
    terms = world.posted()
    world.market.cancel(*world.args(terms), {"from": world.client})
    with world.reverts("WrongStatus", world.key(terms), 6, 1):
        world.market.cancel(*world.args(terms), {"from": world.client})


def test_cancel__terms_altered_in_one_field__reverts_as_unknown(world: Market) -> None:
    terms = world.posted()
    other = replace(terms, deal=replace(terms.deal, price_ceiling=2 * PRICE, price_floor=2 * PRICE))
    with world.reverts("WrongStatus", world.key(other), 0, 1):
        world.market.cancel(*world.args(other), {"from": world.client})


def test_refund__at_the_clock__reverts(world: Market) -> None:
    terms = world.posted()
    clock = world.clock(terms)
    world.at(clock)
    with world.reverts("TooEarly", clock, clock):
        world.market.refund(*world.args(terms), {"from": world.keeper})


def test_refund__after_the_clock__price_to_client_bounty_to_caller(world: Market) -> None:
    terms = world.posted()
    world.after(terms)
    receipt = world.market.refund(*world.args(terms), {"from": world.keeper})
    event = receipt.events["Refunded"]
    assert (event["client"], event["price"]) == (world.client, PRICE)
    assert world.status(terms) is JobStatus.REFUNDED
    assert world.owed(world.client) == (PRICE, 0)
    assert world.owed(world.keeper) == (0, world.bounty(terms))


def test_refund__accepted__reverts(world: Market) -> None:
    terms = world.accepted()
    world.after(terms)
    with world.reverts("WrongStatus", world.key(terms), 2, 1):
        world.market.refund(*world.args(terms), {"from": world.keeper})


def test_refund__twice__reverts(world: Market) -> None:
    terms = world.posted()
    world.after(terms)
    world.market.refund(*world.args(terms), {"from": world.keeper})
    with world.reverts("WrongStatus", world.key(terms), 5, 1):
        world.market.refund(*world.args(terms), {"from": world.keeper})
