"""The specification's jobs are the contract's jobs: hashes, constants, states, limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.spec import job
from protocol.spec.errors import LimitExceeded
from protocol.spec.job import Deal, JobStatus, JobTerms, Task
from protocol.spec.limits import DEVNET, Limits, check_terms
from scripts import tools
from tests.contracts.market import Market, address, deal_tuple, task_tuple

pytestmark = pytest.mark.chain

TYPES = tools.ROOT / "contracts" / "types"


def uint(bits: int) -> st.SearchStrategy[int]:
    """Integers of a type, the ends more often."""
    most = 2**bits - 1
    return st.one_of(st.sampled_from([0, 1, most]), st.integers(0, most))


def blob(size: int) -> st.SearchStrategy[bytes]:
    """Bytes of one length."""
    return st.binary(min_size=size, max_size=size)


TASKS = st.builds(
    Task,
    referee=blob(20),
    program_root=blob(32),
    constants_root=blob(32),
    inputs_root=blob(32),
    locators_hash=blob(32),
    steps=uint(256),
    seed=st.integers(-(2**63), 2**63 - 1),
    first_step=uint(64),
    task_count=uint(32),
)
DEALS = st.builds(
    Deal,
    client=blob(20),
    nonce=uint(64),
    capability=blob(32),
    price_floor=uint(128),
    price_ceiling=uint(128),
    ramp_seconds=uint(32),
    stake_bps=uint(32),
    attempts=uint(8),
    work_ms=uint(64),
    gas_price=uint(64),
    open_seconds=uint(32),
    run_seconds=uint(32),
    window_seconds=uint(24),
    move_seconds=uint(32),
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(task=TASKS, deal=DEALS)
def test_job_hash__any_terms__is_the_contracts(world: Market, task: Task, deal: Deal) -> None:
    hashed = job.task_hash(task)
    assert world.market.hashTask(task_tuple(task)) == "0x" + hashed.hex()
    mine = job.job_hash(world.chain_id, address(world.market), JobTerms(task, deal))
    assert world.market.hashJob(hashed, deal_tuple(deal)) == "0x" + mine.hex()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deal=DEALS)
def test_lock_of__any_deal__is_the_contracts(world: Market, deal: Deal) -> None:
    theirs = tuple(int(v) for v in world.market.lockOf(deal_tuple(deal)))
    assert theirs == job.lock_of(deal, DEVNET.schedule)
    assert world.market.bountyOf(deal_tuple(deal)) == job.bounty_of(deal, DEVNET.schedule)


def test_domain_separator__this_market__is_the_contracts(world: Market) -> None:
    mine = job.domain_separator(world.chain_id, address(world.market))
    assert world.market.DOMAIN_SEPARATOR() == "0x" + mine.hex()


def test_domain_separator__eip712_domain__says_the_same(world: Market) -> None:
    _, name, version, chain_id, contract, _, _ = world.market.eip712Domain()
    assert (name, version, chain_id) == (job.NAME, job.VERSION, world.chain_id)
    assert contract == world.market


def test_job_hash__each_field_alone__changes_it(world: Market) -> None:
    terms = world.terms()
    seen = {world.key(terms)}
    for part in ("task", "deal"):
        inner: Any = getattr(terms, part)
        for field in fields(inner):
            value = getattr(inner, field.name)
            other = value + 1 if isinstance(value, int) else bytes([value[0] ^ 1]) + value[1:]
            seen.add(world.key(replace(terms, **{part: replace(inner, **{field.name: other})})))
    assert len(seen) == 1 + len(fields(Task)) + len(fields(Deal))


def test_job_hash__another_chain_or_market__differs(world: Market) -> None:
    terms = world.terms()
    market = address(world.market)
    here = job.job_hash(world.chain_id, market, terms)
    assert here != job.job_hash(world.chain_id + 1, market, terms)
    assert here != job.job_hash(world.chain_id, address(world.registry), terms)


def solidity_constants() -> Iterator[tuple[str, int]]:
    """The integers of Constants.sol."""
    text = (TYPES / "Constants.sol").read_text()
    for name, value in re.findall(r"^uint256 constant (\w+) = ([0-9_]+);", text, re.MULTILINE):
        yield name, int(value.replace("_", ""))


def test_constants__solidity_and_python__are_equal() -> None:
    found = dict(solidity_constants())
    assert len(found) == 10
    for name, value in found.items():
        assert getattr(job, name) == value, name
    text = (TYPES / "Constants.sol").read_text()
    dead = re.search(r"DEAD = (0x[0-9a-fA-F]{40});", text)
    assert dead is not None
    assert bytes.fromhex(dead[1][2:]) == job.DEAD
    parts = re.search(r"CLAIM_TYPEHASH = keccak256\((.*?)\);", text, re.DOTALL)
    assert parts is not None
    assert "".join(re.findall(r'"(.*?)"', parts[1])).encode() == job.CLAIM_TYPE


def test_states__solidity_and_python__are_equal() -> None:
    text = (TYPES / "JobState.sol").read_text()
    for enum, twin in (("JobStatus", JobStatus), ("Fault", job.Fault)):
        body = re.search(rf"enum {enum} \{{(.*?)\}}", text, re.DOTALL)
        assert body is not None
        names = [name.strip().upper() for name in body[1].split(",")]
        assert names == [member.name for member in twin]


def test_transitions__documented_table__is_the_pythons() -> None:
    text = (TYPES / "JobState.sol").read_text()
    found: dict[tuple[str, str], set[str]] = {}
    for line in re.findall(r"^///   (\w+ -.*)$", text, re.MULTILINE):
        origin, moves = line.split(" ", 1)
        for action, targets in re.findall(r"-(\w+)-> (\w+(?: or \w+)*)", moves):
            name = "voidJob" if action == "void" else action
            found[origin.upper(), name] = {t.upper() for t in targets.split(" or ")}
    twin = {
        (status.name, action): {target.name for target in targets}
        for status, moves in job.TRANSITIONS.items()
        for action, targets in moves.items()
    }
    assert found == twin


def test_limits__deployed__are_those_asked_for(world: Market) -> None:
    assert tuple(int(v) for v in world.market.limits()) == DEVNET.values()
    names = [output["components"] for output in abi(world, "limits")["outputs"]][0]
    camel = [re.sub(r"_(\w)", lambda m: m[1].upper(), f.name) for f in fields(Limits)]
    assert [component["name"] for component in names] == camel


def abi(world: Market, name: str) -> dict[str, Any]:
    """A function's entry in the market's ABI."""
    return next(entry for entry in world.market.abi if entry.get("name") == name)


def test_struct_fields__abi__have_the_twins_order(world: Market) -> None:
    components = abi(world, "post")["inputs"][0]["components"]
    for component, twin in zip(components, (job.TASK_TYPE, job.DEAL_TYPE), strict=True):
        written = ",".join(f"{c['type']} {c['name']}" for c in component["components"])
        name = component["name"].capitalize()
        assert f"{name}({written})".encode() == twin


# --- checks of the twin --------------------------------------------------------------------------


def test_check_terms__ordinary__passes(world: Market) -> None:
    check_terms(world.terms(), DEVNET, address(world.game))


@pytest.mark.parametrize(
    ("deal", "named"),
    [
        ({"price_floor": 0, "price_ceiling": 0}, "priceFloor"),
        ({"ramp_seconds": 1}, "rampSeconds"),
        ({"attempts": 0}, "attempts"),
        ({"window_seconds": 0}, "windowSeconds"),
        ({"stake_bps": 1_000_001}, "stakeBps"),
    ],
)
def test_check_terms__out_of_range__names_the_term(
    world: Market, deal: dict[str, Any], named: str
) -> None:
    with pytest.raises(LimitExceeded, match=named):
        check_terms(world.terms(**deal), DEVNET, address(world.game))


def test_check_terms__another_referee__says_so(world: Market) -> None:
    with pytest.raises(LimitExceeded, match="referee"):
        check_terms(world.terms(), DEVNET, bytes(20))
