"""``assay providers``: who offers work, what they put at stake, how they did."""

from __future__ import annotations

from typing import Any

import click

from assay.output import emit_json, market_json_option, say, table
from assay.session import address_text, market, native, tokens


@click.command(name="providers")
@click.option("--all", "everybody", is_flag=True, help="Also those with nothing at stake.")
@market_json_option
def providers_command(everybody: bool, as_json: bool) -> None:
    """List providers: free stake and deposit, jobs done, late and lost.

    \b
    assay providers
    assay providers --json | jq '.[].address'
    """
    found = read_providers(everybody)
    if as_json:
        emit_json(found)
        return
    if not found:
        say("no provider has registered: assay provider register --help")
        return
    columns = ("provider!", "stake>", "deposit>", "unsettled>", "done / late / lost>")
    rows = [
        (
            p["address"],
            tokens(p["stake"]),
            native(p["deposit"]),
            f"{p['backlogMs'] / 1000:g} s",
            f"{p['done']} / {p['late']} / {p['lost']}",
        )
        for p in found
    ]
    table("", columns, rows)


def read_providers(everybody: bool) -> list[dict[str, Any]]:
    """Every registered provider at one block, oldest first."""
    from protocol.chain.history import History

    with market() as chain:
        at = chain.snapshot()
        book = History(chain).sync(at)
        states = [(p, chain.provider(p.provider, at)) for p in book.providers.values()]
    return [
        {
            "address": address_text(record.provider),
            "stake": state.stake,
            "deposit": state.deposit,
            "backlogMs": state.backlog_ms,
            "done": state.done,
            "late": state.late,
            "lost": state.lost,
            "capabilities": state.capabilities,
            "delegate": address_text(state.delegate),
            "endpoint": record.endpoint.decode("utf-8", "replace"),
        }
        for record, state in states
        if everybody or state.stake or state.backlog_ms
    ]
