"""``assay devnet``: the local market of a checkout, in the foreground."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

import assay
from assay.errors import ToolsMissing

ROOT = Path(assay.__file__).resolve().parent.parent


@click.command(name="devnet")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False),
              default=Path(".assay/devnet"), show_default=True, help="Logs and data.")  # fmt: skip
@click.option("--providers", type=click.IntRange(0, 5), default=2, show_default=True,
              help="How many providers run.")  # fmt: skip
@click.option("--evm", type=click.Choice(["anvil", "ganache"]), default="anvil", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8545, show_default=True,
              help="RPC port of the chain (0: any).")  # fmt: skip
def devnet_command(directory: Path, providers: int, evm: str, port: int) -> None:
    """Run a whole market on this machine until Ctrl-C.

    A chain, the contracts, an IPFS node each for a client, the providers and a watchtower, the
    providers, a keeper and the watchtower, each a process of its own. It writes a file of settings
    for other terminals:

    \b
    assay devnet                        in one terminal
    source .assay/devnet/env            in another
    assay wallet; assay providers; assay submit minilm.assay --text "hello" --price 1
    """
    if not (ROOT / "scripts" / "devnet.py").is_file():
        raise ToolsMissing(
            f"got an installed package at {ROOT}; the local market needs a checkout with its "
            f"toolchain: clone the repository and run `make setup` in it"
        )
    arguments = ["--dir", str(directory.resolve()), "--providers", str(providers)]
    arguments += ["--evm", evm, "--port", str(port)]
    sys.stdout.flush()
    os.chdir(ROOT)
    # In place of this process, so that a signal reaches the one that stops everything.
    os.execv(sys.executable, [sys.executable, "-m", "scripts.devnet", *arguments])
