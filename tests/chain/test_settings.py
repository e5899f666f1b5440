"""Configuration, deployment files, wallets: read once, all problems together, no key in sight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from protocol.chain.config import GWEI, ChainConfig
from protocol.chain.deployment import Deployment, address_of, checksum
from protocol.chain.errors import ChainConfigError, DeploymentMissing, WalletError
from protocol.chain.wallet import KeyKind, KeySource, Wallet
from protocol.spec.limits import DEVNET
from scripts.deploy import Deployment as Deployed

KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def keystore() -> str:
    return json.dumps(Account.encrypt(bytes.fromhex(KEY), "secret", iterations=2))


def written() -> dict[str, Any]:
    token, registry, market, game, court = (checksum(bytes([n]) * 20) for n in range(1, 6))
    text = Deployed(31337, 3, token, registry, market, game, court, 60, 1000, DEVNET).to_json()
    entry: dict[str, Any] = json.loads(text)
    return entry


# --- configuration -------------------------------------------------------------------------------


def test_from_env__nothing_set__is_a_local_node_without_a_key() -> None:
    made = ChainConfig.from_env({})
    assert made == ChainConfig()
    assert made.rpc_url == "http://127.0.0.1:8545"
    assert made.key is None


def test_from_env__all_set__is_read() -> None:
    made = ChainConfig.from_env(
        {
            "ASSAY_RPC_URL": "https://node",
            "ASSAY_DEPLOYMENT": "x/y.json",
            "ASSAY_CHAIN_ID": "10",
            "ASSAY_CONFIRMATIONS": "3",
            "ASSAY_MAX_FEE_GWEI": "1.5",
            "ASSAY_KEYSTORE": "k.json",
            "ASSAY_KEYSTORE_PASSWORD_FILE": "p",
        }
    )
    assert (made.rpc_url, made.deployment) == ("https://node", Path("x/y.json"))
    assert (made.chain_id, made.confirmations, made.max_fee) == (10, 3, 3 * GWEI // 2)
    assert made.key == KeySource(KeyKind.KEYSTORE, "k.json", Path("p"))


def test_from_env__given_fields__win() -> None:
    made = ChainConfig.from_env({"ASSAY_RPC_URL": "http://a"}, rpc_url="http://b", key=None)
    assert made.rpc_url == "http://b"


def test_from_env__several_problems__are_named_together() -> None:
    with pytest.raises(ChainConfigError) as caught:
        ChainConfig.from_env(
            {
                "ASSAY_RPC_URL": "node",
                "ASSAY_CHAIN_ID": "one",
                "ASSAY_KEY_FILE": "a",
                "ASSAY_PRIVATE_KEY": KEY,
                "ASSAY_CONFIRMATIONS": "0",
            }
        )
    text = str(caught.value)
    for part in ("'node'", "ASSAY_CHAIN_ID", "one key at most", "confirmations is 0"):
        assert part in text
    assert KEY not in text


def test_from_env__keystore_without_password__is_refused() -> None:
    with pytest.raises(ChainConfigError, match="PASSWORD_FILE"):
        ChainConfig.from_env({"ASSAY_KEYSTORE": "k.json"})


def test_config__shown__hides_the_key() -> None:
    made = ChainConfig.from_env({"ASSAY_PRIVATE_KEY": KEY})
    assert KEY not in repr(made)
    assert KEY not in str(made.key)


# --- wallets -------------------------------------------------------------------------------------


def test_wallet__each_source__is_the_same_account(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"0x{KEY}\n")
    (tmp_path / "store").write_text(keystore())
    (tmp_path / "password").write_text("secret\n")
    sources = [
        KeySource(KeyKind.HEX, KEY),
        KeySource(KeyKind.FILE, str(tmp_path / "key")),
        KeySource(KeyKind.KEYSTORE, str(tmp_path / "store"), tmp_path / "password"),
        KeySource(KeyKind.DEV, "0"),
    ]
    for source in sources:
        wallet = Wallet.open(source, 31337)
        assert checksum(wallet.address) == ADDRESS
        assert repr(wallet) == f"Wallet({ADDRESS.lower()})"


def test_wallet__development_account_on_a_public_chain__is_refused() -> None:
    with pytest.raises(WalletError, match="everybody knows"):
        Wallet.open(KeySource(KeyKind.DEV, "0"), 1)


@pytest.mark.parametrize("text", ["", "12", "zz" * 32, "0" * 64, "f" * 64])
def test_wallet__no_key__is_refused_without_showing_it(text: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(WalletError) as caught:
        Wallet.open(KeySource(KeyKind.FILE, str(file)), 31337)
    assert not text or text not in str(caught.value)


def test_wallet__missing_file__names_it(tmp_path: Path) -> None:
    with pytest.raises(WalletError, match="nowhere"):
        Wallet.open(KeySource(KeyKind.FILE, str(tmp_path / "nowhere")), 1)


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"crypto": 1, "version": 3}'])
def test_wallet__broken_keystore__is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "store").write_text(content)
    (tmp_path / "password").write_text("x")
    source = KeySource(KeyKind.KEYSTORE, str(tmp_path / "store"), tmp_path / "password")
    with pytest.raises(WalletError, match="does not open"):
        Wallet.open(source, 31337)


def test_wallet__wrong_password__is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text(keystore())
    (tmp_path / "password").write_text("other")
    source = KeySource(KeyKind.KEYSTORE, str(tmp_path / "store"), tmp_path / "password")
    with pytest.raises(WalletError, match="does not open"):
        Wallet.open(source, 31337)


# --- deployments ---------------------------------------------------------------------------------


def test_load__what_the_deploy_script_writes__is_read(tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    path.write_text(json.dumps(written()))
    made = Deployment.load(path)
    assert (made.chain_id, made.block, made.token) == (31337, 3, b"\1" * 20)
    assert (made.registry, made.market, made.game) == (b"\2" * 20, b"\3" * 20, b"\4" * 20)
    assert made.limits == DEVNET


def test_load__missing_file__says_to_deploy(tmp_path: Path) -> None:
    with pytest.raises(DeploymentMissing, match="ASSAY_DEPLOYMENT"):
        Deployment.load(tmp_path / "none.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', "\udc80"])
def test_load__other_file__is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ChainConfigError, match=r"deployment\.json"):
        Deployment.load(path)


def test_from_dict__several_problems__are_named_together() -> None:
    entry = written()
    entry["market"] = "0x12"
    entry["chainId"] = "31337"
    del entry["limits"]["minLock"]
    with pytest.raises(ChainConfigError) as caught:
        Deployment.from_dict(entry)
    for part in ("market", "chainId", "minLock"):
        assert part in str(caught.value)


def test_address_of__wrong_checksum__is_refused() -> None:
    assert checksum(address_of(ADDRESS)) == ADDRESS
    assert address_of(ADDRESS.lower()) == address_of(ADDRESS)
    with pytest.raises(ChainConfigError, match="checksum"):
        address_of(ADDRESS.replace("Fd", "fD"))
