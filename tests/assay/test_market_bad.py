"""What goes wrong on a market: one clear line, an exit code that says which, nothing lost."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay import exits
from client.compiled import PROGRAM, Compiled
from protocol.spec.encoding import encode
from protocol.spec.types import Array
from scripts.evm import anvil, free_port
from tests.assay.conftest import Assay, Env, EnvOf, Market, rewrite
from tests.assay.test_market import agent_of, submit, work
from tests.storage.fake_rpc import Handler, fake_rpc

pytestmark = pytest.mark.chain

CLIENT, POOR = 1, 8
NOTHING = "0x" + "5" * 64


def _state(assay: Assay, env: Env) -> tuple[dict[str, Any], int]:
    """What the client has, and how many jobs there are."""
    wallet = assay("wallet", "--json", env=env).json
    return {k: wallet[k] for k in ("token", "native", "credit")}, len(
        assay("jobs", "--json", "--limit", "1000", env=env).json
    )


# --- jobs that are not there ----------------------------------------------------------------------


@pytest.mark.parametrize("verb", ("status", "fetch", "verify", "cancel"))
@pytest.mark.parametrize("job", (NOTHING, "0x55", "zz", "0x"))
def test_a_verb__an_unknown_job__is_one_line(
    assay: Assay, env_of: EnvOf, verb: str, job: str
) -> None:
    assay(verb, job, env=env_of(CLIENT)).fails(exits.UNKNOWN, repr(job))


def test_status__a_prefix_of_several_jobs__asks_for_more(
    assay: Assay, env_of: EnvOf, model_file: Path, input_file: Path
) -> None:
    env = env_of(CLIENT)
    jobs: list[str] = []
    while len({job[2] for job in jobs}) == len(jobs):
        given = ("--input", input_file, "--price", "0.01", "--json")
        jobs.append(assay("submit", model_file, *given, env=env).json["job"])
    twice = next(j[:3] for j in jobs if sum(j[2] == k[2] for k in jobs) == 2)
    assay("status", twice, env=env).fails(exits.UNKNOWN, "jobs begin with", "more digits")


def test_provider_status__an_address_that_never_registered__is_one_line(
    assay: Assay, env_of: EnvOf
) -> None:
    address = "0x" + "5" * 40
    assay("provider", "status", address, env=env_of(CLIENT)).fails(exits.UNKNOWN, address)


# --- terms and inputs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--price", "0"), ("--price", "more than 0")),
        (("--price", "free"), ("--price", "'free'")),
        (("--price", "-1"), ("--price",)),
        ((), ("--price",)),
        (("--price", "1", "--window", "1"), ("windowSeconds", "1")),
        (("--price", "1", "--run", "40d"), ("runSeconds",)),
        (("--price", "1", "--attempts", "200"), ("attempts", "200")),
        (("--price", "1", "--stake-bps", "1"), ("stakeBps",)),
        (("--price", "1", "--open", "soon"), ("--open", "soon")),
        (("--price", "1", "--steps", "2"), ("2",)),
        (("--price", "1", "--text", "hello"), ("--input and --text",)),
    ],
    ids=lambda value: "-".join(value).replace("--", ""),
)
def test_submit__terms_that_cannot_be__are_one_line_and_post_nothing(
    assay: Assay, env_of: EnvOf, model_file: Path, input_file: Path,
    arguments: tuple[str, ...], words: tuple[str, ...],
) -> None:  # fmt: skip
    env = env_of(CLIENT)
    before = _state(assay, env)
    done = assay("submit", model_file, "--input", input_file, *arguments, "--json", env=env)
    done.fails(exits.USAGE, *words)
    assert _state(assay, env) == before


def test_submit__input_of_wrong_dtype_or_shape__posts_nothing(
    assay: Assay, env_of: EnvOf, somewhere: Path, model_file: Path
) -> None:
    env = env_of(CLIENT)
    before = _state(assay, env)
    for array, word in ((np.zeros((3, 70)), "float64"), (np.zeros((9,), np.float32), "(9,)")):
        np.save("x.npy", array)
        given = ("--input", "x.npy", "--price", "1")
        assay("submit", model_file, *given, env=env).fails(exits.USAGE, word)
    assert _state(assay, env) == before


def test_submit__an_altered_or_illegal_model__posts_nothing(
    assay: Assay, env_of: EnvOf, somewhere: Path, model_file: Path, input_file: Path,
    small_model: tuple[Compiled, Array],
) -> None:  # fmt: skip
    env = env_of(CLIENT)
    before = _state(assay, env)
    program = small_model[0].program
    weights = bytearray(small_model[0].constants[0].tobytes())
    weights[3] ^= 8
    k = next(k for k, t in enumerate(program.templates) if t.bound_b)
    wild = replace(program.templates[k], bound_b=1)
    templates = (*program.templates[:k], wild, *program.templates[k + 1 :])
    illegal = encode(replace(program, templates=templates))
    changes = {"constants/0000.bin": bytes(weights)}, {PROGRAM: illegal}, {PROGRAM: b"\0" * 64}
    for change, word in zip(changes, ("altered", "illegal", PROGRAM), strict=True):
        rewrite(model_file, Path("bad.assay"), change)
        given = ("--input", input_file, "--price", "1")
        assay("submit", "bad.assay", *given, env=env).fails(exits.INVALID, word)
    assert _state(assay, env) == before


# --- money ----------------------------------------------------------------------------------------


def test_submit__a_wallet_without_tokens__is_told_how_many_are_missing(
    assay: Assay, env_of: EnvOf, model_file: Path, input_file: Path
) -> None:
    env = env_of(POOR)
    before = _state(assay, env)
    done = assay("submit", model_file, "--input", input_file, "--price", "7", "--json", env=env)
    done.fails(exits.MONEY, "0 ADT", "7 ADT", "mint 7")
    assert _state(assay, env) == before


def test_submit__an_allowance_that_is_too_small__is_one_line(
    assay: Assay, env_of: EnvOf, model_file: Path, input_file: Path
) -> None:
    env = env_of(CLIENT)
    before = _state(assay, env)
    given = ("--input", input_file, "--price", "7", "--pay", "allowance", "--json")
    assay("submit", model_file, *given, env=env).fails(exits.MONEY, "approve")
    given = ("--input", input_file, "--price", "7", "--pay", "credit", "--json")
    assay("submit", model_file, *given, env=env).fails(exits.MONEY, "credit")
    assert _state(assay, env) == before


def test_any_transaction__a_wallet_without_native_money__is_one_line(
    assay: Assay, env_of: EnvOf, model_file: Path, input_file: Path
) -> None:
    env = env_of(CLIENT)
    del env["ASSAY_DEV_ACCOUNT"]
    env["ASSAY_PRIVATE_KEY"] = secrets.token_hex(32)
    assay("wallet", "mint", "5", env=env).fails(exits.MONEY, "has 0 ETH", "mint 5 ADT")
    assay("provider", "register", "--deposit", "1", env=env).fails(exits.MONEY, "0 ETH", "1 ETH")


def test_provider_stake__more_than_there_is__is_one_line(assay: Assay, env_of: EnvOf) -> None:
    env = env_of(POOR)
    assay("provider", "stake", "9", env=env).fails(exits.MONEY, "0 ADT", "9 ADT")
    assay("wallet", "send", "0x" + "5" * 40, "9", env=env).fails(exits.MONEY, "9 ADT")
    assay("provider", "unbond", "9", env=env).fails(exits.MONEY, "StakeTooLow")


# --- the chain ------------------------------------------------------------------------------------

READING = (
    ("wallet",), ("jobs",), ("providers",), ("provider", "status"), ("status", "0x12"),
    ("fetch", "0x12"), ("verify", "0x12"), ("keeper", "--once"), ("keeper", "--check"),
    ("provider", "run", "--check"),
)  # fmt: skip


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_verb__the_node_is_down__is_one_line(
    assay: Assay, env_of: EnvOf, tmp_path: Path, command: tuple[str, ...]
) -> None:
    env = env_of(CLIENT) | {
        "ASSAY_RPC_URL": f"http://127.0.0.1:{free_port()}", "ASSAY_RPC_ATTEMPTS": "1"
    }  # fmt: skip
    if command[:2] == ("provider", "run"):
        command = (*command, "--dir", str(tmp_path / "agent"))
    assay(*command, env=env).fails(exits.UNAVAILABLE, env["ASSAY_RPC_URL"], "assay devnet")


def test_a_verb__the_node_of_another_chain__is_one_line(assay: Assay, env_of: EnvOf) -> None:
    with anvil(chain_id=4242) as other:
        env = env_of(CLIENT) | {"ASSAY_RPC_URL": other.url}
        for verb in ("wallet", "jobs"):
            assay(verb, env=env).fails(exits.USAGE, "4242", "31337")
        mint = ("wallet", "mint", "1")
        assay(*mint, env=env).fails(exits.USAGE, "4242")


def test_a_verb__another_chain_is_configured__is_one_line(assay: Assay, env_of: EnvOf) -> None:
    assay("wallet", env=env_of(CLIENT) | {"ASSAY_CHAIN_ID": "1"}).fails(exits.USAGE, "31337", "1")


def test_a_verb__contracts_that_are_not_there__is_one_line(
    assay: Assay, env_of: EnvOf, market: Market, tmp_path: Path
) -> None:
    entry = json.loads(market.deployment.read_text())
    file = tmp_path / "d.json"
    file.write_text(json.dumps(entry | {"market": "0x" + "12" * 20}))
    env = env_of(CLIENT) | {"ASSAY_DEPLOYMENT": str(file)}
    assay("jobs", env=env).fails(exits.USAGE, "no contract", "0x" + "12" * 20)


@pytest.mark.parametrize(
    "contents, code, word",
    [(None, exits.UNKNOWN, "d.json"), ("{", exits.USAGE, "d.json"), ("[]", exits.USAGE, "d.json")],
)
def test_a_verb__a_deployment_file_that_is_none__is_one_line(
    assay: Assay, env_of: EnvOf, tmp_path: Path, contents: str | None, code: int, word: str
) -> None:
    file = tmp_path / "d.json"
    if contents is not None:
        file.write_text(contents)
    assay("jobs", env=env_of(CLIENT) | {"ASSAY_DEPLOYMENT": str(file)}).fails(code, word)


def test_a_verb__settings_that_are_wrong__are_named_in_one_line(
    assay: Assay, env_of: EnvOf
) -> None:
    env = env_of(CLIENT) | {"ASSAY_POLL_SECONDS": "often", "ASSAY_LOG_RANGE": "many"}
    assay("jobs", env=env).fails(exits.USAGE, "ASSAY_POLL_SECONDS", "ASSAY_LOG_RANGE")


def test_a_verb__without_a_key__is_one_line_where_one_is_wanted(
    assay: Assay, env_of: EnvOf, model_file: Path, input_file: Path
) -> None:
    env = env_of(CLIENT)
    del env["ASSAY_DEV_ACCOUNT"]
    assert assay("jobs", "--json", env=env).code == 0
    assert assay("providers", "--json", env=env).code == 0
    given = ("submit", str(model_file), "--input", str(input_file), "--price", "1")
    for command in (("wallet",), ("jobs", "--mine"), ("wallet", "mint", "1"), given):
        assay(*command, env=env).fails(exits.USAGE, "ASSAY_KEY_FILE")


def test_a_verb__a_key_file_that_is_none__is_one_line_without_the_key(
    assay: Assay, env_of: EnvOf, tmp_path: Path
) -> None:
    env = env_of(CLIENT)
    del env["ASSAY_DEV_ACCOUNT"]
    file = tmp_path / "key"
    assay("wallet", env=env | {"ASSAY_KEY_FILE": str(file)}).fails(exits.USAGE, "key")
    secret = secrets.token_hex(31)
    file.write_text(secret)
    done = assay("wallet", env=env | {"ASSAY_KEY_FILE": str(file)})
    done.fails(exits.USAGE, "64 hex digits")
    assert secret not in done.err


# --- IPFS -----------------------------------------------------------------------------------------


def test_submit__ipfs_down__is_one_line_and_posts_nothing(
    assay: Assay, env_of: EnvOf, model_file: Path, input_file: Path
) -> None:
    env = env_of(CLIENT)
    before = _state(assay, env)
    down = env | {"ASSAY_IPFS_API": f"/ip4/127.0.0.1/tcp/{free_port()}"}
    given = ("--input", input_file, "--price", "1", "--json")
    assay("submit", model_file, *given, env=down).fails(exits.UNAVAILABLE, "assay ipfs")
    assert _state(assay, env) == before


def test_submit__an_ipfs_address_that_is_none__is_one_line(
    assay: Assay, env_of: EnvOf, model_file: Path, input_file: Path
) -> None:
    env = env_of(CLIENT) | {"ASSAY_IPFS_API": "localhost:5001"}
    given = ("--input", input_file, "--price", "1", "--json")
    assay("submit", model_file, *given, env=env).fails(exits.USAGE, "localhost:5001")
    assay("ipfs", "status", env=env).fails(exits.USAGE, "localhost:5001")


@pytest.fixture
def committed(assay: Assay, env_of: EnvOf, market: Market, tmp_path: Path, model_file: Path,
              input_file: Path) -> str:  # fmt: skip
    """A job with a result."""
    job = submit(assay, env_of(CLIENT), model_file, input_file)
    with agent_of(market, tmp_path / "agent") as agent:
        work(agent, job)
    return job


Spoil = Callable[[Handler, bytes], None]


def _other_bytes(handler: Handler, data: bytes) -> None:
    handler.whole(bytes(byte ^ 1 for byte in data))


def _nothing(handler: Handler, data: bytes) -> None:
    handler.whole(b"")


def _refusal(handler: Handler, data: bytes) -> None:
    handler.json({"Message": "block was not found locally", "Code": 0}, 500)


@pytest.mark.parametrize(
    "spoil, code",
    [
        (_other_bytes, exits.INVALID),
        (_nothing, exits.INVALID),
        (_refusal, exits.UNAVAILABLE),
    ],
)
def test_fetch__ipfs_down_or_lying__is_one_line_and_writes_nothing(
    assay: Assay, env_of: EnvOf, somewhere: Path, committed: str, spoil: Spoil, code: int
) -> None:
    env = env_of(CLIENT) | {"ASSAY_CACHE": str(somewhere / "empty")}
    with fake_rpc(b"lies" * 2000, spoil) as liar:
        for verb in ("fetch", "verify"):
            more = ("-o", "out") if verb == "fetch" else ()
            lying = env | {"ASSAY_IPFS_API": liar.api}
            assay(verb, committed, *more, env=lying).fails(code)
            assert liar.cats > 0
    down = env | {"ASSAY_IPFS_API": f"/ip4/127.0.0.1/tcp/{free_port()}"}
    assay("fetch", committed, "-o", "out", env=down).fails(exits.UNAVAILABLE, "assay ipfs")
    assert not Path("out").exists()
    assert assay("fetch", committed, "-o", "out", env=env).code == 0
