"""Locators: canonical bytes that fit calldata."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.spec.trees import keccak256
from protocol.storage.cid import Cid
from protocol.storage.errors import MalformedLocators
from protocol.storage.locators import MAX_BYTES, JobLocators, ResultLocators

PEER = "/ip4/127.0.0.1/tcp/4001/p2p/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
NAME = "/dns4/node.example/tcp/4001/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
CIDS = [Cid.of_block(bytes([k])) for k in range(3)]
OLD = Cid.parse("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn")


def job(peers: tuple[str, ...]) -> JobLocators:
    return JobLocators(CIDS[0], CIDS[1], CIDS[2], peers)


def test_job__with_peers__comes_back() -> None:
    locators = JobLocators(OLD, CIDS[1], CIDS[2], (PEER, NAME))
    data = locators.encode()
    assert JobLocators.decode(data) == locators
    assert locators.hash == keccak256(data)
    assert len(data) < 250


def test_result__without_peers__has_known_bytes() -> None:
    result = ResultLocators(CIDS[0])
    assert result.encode() == b"\x01\x02\x24" + CIDS[0].to_bytes() + b"\x00"
    assert ResultLocators.decode(result.encode()) == result


def test_encode__sixteen_peers__fit() -> None:
    assert len(job((PEER,) * 16).encode()) <= MAX_BYTES
    with pytest.raises(MalformedLocators, match="17 peers"):
        job((PEER,) * 17).encode()


@pytest.mark.parametrize(
    "peer",
    [
        "",
        "localhost:4001",
        "/ip4/127.0.0.1/tcp/4001",
        "/ip4/127.0.0.1/tcp/4001/ipfs/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
        "/ip4/300.0.0.1/tcp/4001/p2p/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
        "/ip4/127.0.0.1/tcp/4001/p2p/Qm",
    ],
)
def test_encode__bad_peer__is_refused(peer: str) -> None:
    with pytest.raises(MalformedLocators, match="peer"):
        job((peer,)).encode()


def test_decode__every_truncation_and_extension__is_refused() -> None:
    data = job((PEER,)).encode()
    for length in range(len(data)):
        with pytest.raises(MalformedLocators):
            JobLocators.decode(data[:length])
    with pytest.raises(MalformedLocators, match="1 bytes follow"):
        JobLocators.decode(data + b"\0")
    with pytest.raises(MalformedLocators, match="at most 2048"):
        JobLocators.decode(bytes(2049))
    with pytest.raises(MalformedLocators, match="kind 1; wanted 1, 2"):
        ResultLocators.decode(data)


@given(st.binary(max_size=120))
def test_decode__any_bytes__is_canonical_or_a_clear_error(tail: bytes) -> None:
    data = ResultLocators(CIDS[0]).encode()[:-1] + tail
    try:
        result = ResultLocators.decode(data)
    except MalformedLocators:
        return
    assert result.encode() == data


@given(st.data())
def test_decode__one_byte_altered__is_canonical_or_a_clear_error(data: st.DataObject) -> None:
    encoded = bytearray(job((PEER, NAME)).encode())
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        locators = JobLocators.decode(bytes(encoded))
    except MalformedLocators:
        return
    assert locators.encode() == bytes(encoded)
