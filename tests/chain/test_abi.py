"""Interfaces in git, and refusals by name."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import encode

from protocol.chain import reverts
from protocol.chain.abi import CONTRACTS, AbiError, Entry, errors, interface
from protocol.chain.contracts import Market, deal_values, terms_of, terms_values
from protocol.chain.game_reverts import Field
from protocol.spec.dispute import Wait
from protocol.spec.job import Deal, JobTerms, Task
from scripts import export_abi, tools

GENERIC = {"UnknownRefusal", "RefusedWithReason", "Panicked"}
SAMPLES: dict[str, Any] = {
    "uint256": 5, "uint8": 3, "address": "0x" + "ab" * 20, "bytes32": b"\7" * 32, "string": "text",
}  # fmt: skip
ENTRIES = sorted(errors().values(), key=lambda entry: entry.name)


def test_abi__sources_compiled_again__files_are_current() -> None:
    assert export_abi.stale() == []


def test_reverts__contracts__have_the_same_names() -> None:
    assert set(reverts.REVERTS) - GENERIC == {entry.name for entry in errors().values()}


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_of_bytes__each_error__is_its_class_with_values_and_advice(entry: Entry) -> None:
    values = [SAMPLES[kind] for kind in entry.inputs]
    error = reverts.of_bytes("doing it", entry.selector + encode(list(entry.inputs), values))
    assert type(error).__name__ == entry.name
    assert list(error.values) == list(entry.names)
    assert str(error).startswith(f"doing it was refused, {entry.name}(")
    assert str(error).endswith(type(error).__doc__ or "no advice")


def test_of_bytes__wrong_status__names_both() -> None:
    entry = next(e for e in ENTRIES if e.name == "WrongStatus")
    data = entry.selector + encode(list(entry.inputs), [b"\1" * 32, 4, 2])
    assert "got FINALIZED, wanted ACCEPTED" in str(reverts.of_bytes("commit", data))


def test_of_bytes__wrong_turn__names_the_turns() -> None:
    entry = next(e for e in ENTRIES if e.name == "WrongTurn")
    data = entry.selector + encode(list(entry.inputs), [Wait.CHALLENGER, Wait.REVEAL])
    assert "got CHALLENGER, wanted REVEAL" in str(reverts.of_bytes("reveal", data))


def test_field__solidity__has_the_same_names_in_order() -> None:
    text = (tools.ROOT / "contracts/libraries/ProgramDecoder.sol").read_text("utf-8")
    names = text.split("enum Field {")[1].split("}")[0].replace("\n", " ")
    assert [name.strip() for name in names.split(",")] == [field.name for field in Field]


def test_of_bytes__term__reads_as_text() -> None:
    entry = next(e for e in ENTRIES if e.name == "TermOutOfRange")
    data = entry.selector + encode(
        list(entry.inputs), [b"windowSeconds".ljust(32, b"\0"), 1, 2, 9]
    )
    assert "term windowSeconds, got 1, least 2, most 9" in str(reverts.of_bytes("post", data))


def test_of_bytes__error_string_and_panic__are_read() -> None:
    text = bytes.fromhex("08c379a0") + encode(["string"], ["no such luck"])
    assert isinstance(reverts.of_bytes("x", text), reverts.RefusedWithReason)
    assert "no such luck" in str(reverts.of_bytes("x", text))
    panic = bytes.fromhex("4e487b71") + encode(["uint256"], [0x11])
    assert "0x11" in str(reverts.of_bytes("x", panic))


@pytest.mark.parametrize(
    "data", [b"", b"\1", b"\1\2\3\4", bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71") + b"x"]
)
def test_of_bytes__anything_else__is_an_unknown_refusal(data: bytes) -> None:
    error = reverts.of_bytes("x", data, "node's words")
    assert isinstance(error, reverts.UnknownRefusal)
    assert "node's words" in str(error)


def test_of_bytes__known_selector_cut_short__is_an_unknown_refusal() -> None:
    entry = next(e for e in ENTRIES if e.name == "WrongStatus")
    assert isinstance(reverts.of_bytes("x", entry.selector + b"\0" * 31), reverts.UnknownRefusal)


def test_encode__transfer__has_the_selector_of_erc20() -> None:
    data = interface("DevToken").encode("transfer", b"\1" * 20, 7)
    assert data.hex() == "a9059cbb" + "00" * 12 + "01" * 20 + f"{7:064x}"


def test_decode__short_answer__says_to_check_the_deployment() -> None:
    with pytest.raises(AbiError, match="check that the deployment"):
        interface("JobMarket").decode("jobOf", b"\0" * 31)


def test_decode_log__unknown_event__is_none() -> None:
    for name in CONTRACTS:
        assert interface(name).decode_log([b"\1" * 32], b"") is None
        assert interface(name).decode_log([], b"") is None


def test_decode_log__too_few_topics__is_refused() -> None:
    market = interface("JobMarket")
    posted = next(entry for entry in market.events.values() if entry.name == "Posted")
    with pytest.raises(AbiError, match="indexed values"):
        market.decode_log([posted.topic], b"")


def test_decode_input__post__gives_the_terms_back() -> None:
    task = Task(b"\1" * 20, b"\2" * 32, b"\3" * 32, b"\4" * 32, b"\5" * 32, 1 << 224, -7, 9, 2)
    deal = Deal(b"\6" * 20, 2**64 - 1, b"\7" * 32, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
    terms = JobTerms(task, deal)
    market = Market(b"\x08" * 20)
    call = market.post(terms, b"where", 77)
    name, (values, locators) = market.abi.decode_input(call.data)
    assert (name, locators, call.value, call.to) == ("post", b"where", 77, b"\x08" * 20)
    assert terms_of(values) == terms
    assert terms_values(terms)[1] == deal_values(deal)
    with pytest.raises(AbiError, match="does not have"):
        market.abi.decode_input(b"\1\2\3\4")
