"""``assay ipfs``: an embedded IPFS node in the foreground, and a look at the configured one."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from assay.output import emit_json, json_option, pairs
from assay.signals import interruptible

HOME = Path.home() / ".assay" / "ipfs"


@click.group(name="ipfs", invoke_without_command=True)
@click.option("--repo", type=click.Path(path_type=Path, file_okay=False), default=HOME,
              help="Directory of the node.  [default: ~/.assay/ipfs]")  # fmt: skip
@click.option("--api-port", type=click.IntRange(0, 65535), default=0,
              help="Port of the RPC (0: last time's, or a free one).")  # fmt: skip
@click.option("--swarm-port", type=click.IntRange(0, 65535), default=0,
              help="Port for other nodes (0: the same).")  # fmt: skip
@json_option
@click.pass_context
def ipfs_command(
    ctx: click.Context, repo: Path, api_port: int, swarm_port: int, as_json: bool
) -> None:
    """Run an IPFS node until Ctrl-C: private, on loopback, nothing to install.

    Other commands find it by ASSAY_IPFS_API; any Kubo node's RPC does as well.

    \b
    assay ipfs                         run a node
    assay ipfs status                  look at the node of ASSAY_IPFS_API
    """
    if ctx.invoked_subcommand is None:
        _run(repo, api_port, swarm_port, as_json)


def _run(repo: Path, api_port: int, swarm_port: int, as_json: bool) -> None:
    from protocol.storage.errors import NodeError
    from protocol.storage.process import NodeProcess

    node = NodeProcess(repo, api_port=api_port, swarm_port=swarm_port)
    with interruptible(), node as ready:
        if as_json:
            emit_json({**asdict(ready), "repo": str(ready.repo)})
        else:
            rows: list[tuple[str, object]] = [
                ("RPC", ready.api),
                ("peer", ready.peer_id),
                ("for peers", ", ".join(ready.swarm)),
                ("directory", ready.repo),
            ]
            pairs("IPFS node", rows)
            click.echo(f"\nexport ASSAY_IPFS_API={ready.api}\nCtrl-C stops it")
        # Not reaped here: the context does that.
        os.waitid(os.P_PID, node.pid, os.WEXITED | os.WNOWAIT)
        raise NodeError(f"the IPFS node ended by itself; its words are in {repo}/node.log")


@ipfs_command.command()
@json_option
def status(as_json: bool) -> None:
    """Who the configured node is, whom it knows, what it keeps."""
    from protocol.storage.store import Store

    with Store() as store:
        info, peers, pins = store.node(), store.peers(), store.pins()
        api = store.config.api
    found: dict[str, Any] = {
        "api": api, "id": info.peer_id, "addresses": list(info.addresses), "peers": peers,
        "pins": pins,
    }  # fmt: skip
    if as_json:
        emit_json(found)
        return
    rows: list[tuple[str, object]] = [
        ("RPC", api),
        ("peer", info.peer_id),
        ("addresses", "\n".join(info.addresses) or "none"),
        ("connected to", "\n".join(peers) or "nobody"),
        ("keeps", f"{len(pins)} pinned objects"),
    ]
    pairs("", rows)
