"""Content identifiers: known ones, round trips, and everything else refused."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.storage.cid import DAG_PB, RAW, Cid
from protocol.storage.errors import MalformedCid

DIGESTS = st.binary(min_size=32, max_size=32)


def test_parse__known_cids__have_known_digests() -> None:
    raw = Cid.parse("bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq")
    assert raw.digest == hashlib.sha256(b"hello").digest()
    assert (raw.version, raw.codec) == (1, RAW)
    old = Cid.parse("/ipfs/QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn")
    assert (old.version, old.codec) == (0, DAG_PB)


@given(DIGESTS, st.sampled_from([(0, DAG_PB), (1, DAG_PB), (1, RAW)]))
def test_text_and_bytes__any_cid__come_back(digest: bytes, kind: tuple[int, int]) -> None:
    cid = Cid(*kind, digest)
    assert Cid.parse(str(cid)) == cid
    assert Cid.from_bytes(cid.to_bytes()) == cid
    assert cid.as_raw().digest == digest


@given(st.text(max_size=70) | st.text("Qmb234567abcdefgh", min_size=40, max_size=64))
def test_parse__any_text__is_a_cid_or_a_clear_error(text: str) -> None:
    try:
        cid = Cid.parse(text)
    except MalformedCid as error:
        assert "\n" not in str(error)
        assert "is no" in str(error) or "canonical" in str(error)
    else:
        assert str(cid) == text.removeprefix("/ipfs/")


@given(st.binary(max_size=40))
def test_from_bytes__any_bytes__is_a_cid_or_a_clear_error(data: bytes) -> None:
    try:
        cid = Cid.from_bytes(data)
    except MalformedCid:
        return
    assert cid.to_bytes() == data


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Qm",
        "b",
        "BAFKREIBM6JG3UX5QUMHCN2B3FLC3TYU6DMLB4XA7U5BF44YEGNRJHC4YEQ",
        "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq=",
        "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yer",
        "bafkqabtimvwgy3yk",  # an identity hash
        "zb2rhZfjRh2FHHB2RkHVEvL2vJnCTcu7kwRqgVsf9gpkLgteo",
    ],
)
def test_parse__not_canonical_or_not_sha256__is_refused(text: str) -> None:
    with pytest.raises(MalformedCid):
        Cid.parse(text)


def test_cid__wrong_parts__are_refused() -> None:
    for version, codec, digest in [(0, RAW, 32), (2, RAW, 32), (1, 0x71, 32), (1, RAW, 31)]:
        with pytest.raises(MalformedCid):
            Cid(version, codec, bytes(digest))
