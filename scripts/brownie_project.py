"""Brownie, loaded so that it keeps to the checkout: the one door to it for scripts and tests.

Brownie keeps its files in the home folder and looks for compilers there. Here its home is
``build/home`` in the checkout, and the compiler is the pinned one.
"""

from __future__ import annotations

import fcntl
import gc
import inspect
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from requests import Session
from web3 import HTTPProvider

from protocol.spec.errors import AssayError
from scripts import config, tools

HOME = tools.ROOT / "build" / "home"

RECEIPT_SECONDS = 30.0
"""Longest wait for a receipt; then Brownie decides."""

RPC_SECONDS = 60.0
"""Longest wait for a node's answer."""


class Node(Protocol):
    """What a connection needs of a running node: its program's name and its address."""

    @property
    def name(self) -> str:
        """``anvil`` or ``ganache``."""

    @property
    def url(self) -> str:
        """JSON-RPC over HTTP."""


class BrownieFailed(AssayError):
    """Brownie was asked for something that its state does not allow."""


def _settings() -> dict[str, str]:
    tools.solc()
    HOME.mkdir(parents=True, exist_ok=True)
    return {"HOME": str(HOME), "SOLCX_BINARY_PATH": str(tools.solc_folder())}


def brownie() -> ModuleType:
    """The module ``brownie``, imported with its home in the checkout.

    Importing it anywhere else first would make folders in the user's home; it also makes its own
    hypothesis profile the current one, which is put back here.
    """
    from hypothesis import settings

    profile = settings.default
    with config.environment(_settings()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import brownie as module
        import brownie.network
        import brownie.network.transaction
        import brownie.project
    if profile is not None:
        settings.register_profile("before-brownie", parent=profile)
        settings.load_profile("before-brownie")
    loaded: ModuleType = module
    _wait_for_receipts(brownie.network.transaction.TransactionReceipt)
    _ask_less(module.web3.middleware_onion, module.network.rpc)
    return loaded


def _ask_less(layers: Any, rpc: Any) -> None:
    """Takes away two checks that cost more than what they check.

    One asks the node for its chain's number before every call and every transaction. The other
    reads the whole stack with its sources to see who moves the chain's time or undoes blocks, and
    takes all callers that are compiled for users.
    """
    if "validation" in layers:
        layers.remove("validation")
    for name in ("sleep", "mine", "snapshot", "revert"):
        checked = inspect.getclosurevars(getattr(type(rpc), name)).nonlocals
        if "fn" in checked:
            setattr(type(rpc), name, checked["fn"])


def _wait_for_receipts(kind: Any) -> None:
    """Has transactions wait for their receipts first.

    A node counts a transaction's nonce a moment before it can be found by its hash, and Brownie
    takes one that is counted and not found for dropped.
    """
    if getattr(kind, "waits_for_receipt", False):
        return
    from brownie import web3

    def there(receipt: Any) -> None:
        until = time.monotonic() + RECEIPT_SECONDS
        while time.monotonic() < until:
            answer = web3.provider.make_request("eth_getTransactionReceipt", [str(receipt.txid)])
            if answer.get("result") is not None:
                return
            time.sleep(0.02)

    wait, confirmed = kind.wait, kind._await_confirmation

    def patient_wait(self: Any, required_confs: int) -> None:
        if required_confs >= 1:
            there(self)
        wait(self, required_confs)

    def patient_confirmation(
        self: Any, block_number: int | None = None, required_confs: int = 1
    ) -> None:
        if required_confs >= 1:
            there(self)
        confirmed(self, block_number, required_confs)

    kind.wait, kind._await_confirmation = patient_wait, patient_confirmation
    kind.waits_for_receipt = True


def load_project(root: Path = tools.ROOT, name: str = "Assay") -> Any:
    """Compiles what changed and gives Brownie's project (attributes are its contracts).

    Processes that compile at the same time wait for each other. A project that this process
    has loaded already is given again.
    """
    module = brownie()
    for project in module.project.get_loaded_projects():
        if project._path == root:
            return project
    build = root / "build"
    build.mkdir(exist_ok=True)
    with (build / "brownie.lock").open("w") as lock, config.environment(_settings()):
        fcntl.flock(lock, fcntl.LOCK_EX)
        (build / "brownie" / "interfaces").mkdir(parents=True, exist_ok=True)
        project = module.project.load(root, name)
    # Brownie collects garbage whenever blocks are undone: what is loaded by now stays anyway.
    gc.collect()
    gc.freeze()
    return project


@contextmanager
def connected(node: Node) -> Iterator[ModuleType]:
    """Connects Brownie to a running local node for the length of a block.

    Brownie treats it as a development network (it traces reverts, takes snapshots) and does not
    stop it. Only one connection can be open in a process.
    """
    module = brownie()
    if module.network.is_connected():
        raise BrownieFailed(
            f"Brownie is connected to {module.network.show_active()}; it has one connection a "
            f"process, and it is wanted for {node.url}: leave the other block first"
        )
    from brownie._config import CONFIG
    from brownie.network.rpc import anvil, ganache

    identity = f"assay-{node.name}"
    CONFIG.networks[identity] = {
        "id": identity,
        "name": identity,
        "host": node.url,
        "cmd": node.name,
        "cmd_settings": {},
        "timeout": RPC_SECONDS,
    }
    with warnings.catch_warnings():
        # A block height other than 0 is no surprise here.
        warnings.simplefilter("ignore", module.exceptions.BrownieEnvironmentWarning)
        module.network.connect(identity)
    module.network.rpc.backend = anvil if node.name == "anvil" else ganache
    # One HTTP connection for all threads (Brownie has one a transaction), and no look at the
    # environment for a proxy before each request.
    session = Session()
    session.trust_env = False
    timeout = {"timeout": RPC_SECONDS}
    module.web3.provider = HTTPProvider(node.url, timeout, session)
    # Brownie forgets the process: else it takes a snapshot in a thread after each transaction
    # (for `chain.undo`, which is not used), and that outlives the connection.
    module.network.rpc.process = None
    # The node's own price: Brownie's default of 0 is below the base fee of a block.
    module.network.gas_price("auto")
    try:
        yield module
    finally:
        module.network.chain._network_disconnected()
        module.network.disconnect(kill_rpc=False)
        del CONFIG.networks[identity]
        session.close()


def main() -> int:
    """Compiles the project's contracts and lists those that can be deployed."""
    project = load_project()
    for name in sorted(project.keys()):
        print(name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
