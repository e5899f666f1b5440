"""``assay provider``: register, put money at stake, run, collect, leave."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import click

from assay.errors import UnknownProvider
from assay.kinds import ADDRESS, AMOUNT, DURATION
from assay.output import emit_json, market_json_option, pairs, plain_warnings, relative, say
from assay.session import Account, account, address_text, market, native, outcome_json, tokens
from assay.signals import stopping

HOME = Path.home() / ".assay" / "provider"


@click.group(name="provider")
def provider_command() -> None:
    """Be a provider: run jobs for money, with money at stake.

    \b
    assay provider register --stake 500 --deposit 1
    assay provider run
    assay provider status
    assay provider unbond 500 --deposit 1      begin to leave
    assay provider claim                       when the waiting time is over
    """


class Capabilities(click.ParamType[bytes]):
    """Bits that jobs may ask for; the value is 32 bytes."""

    name = "bits"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            return int(str(value), 0).to_bytes(32, "big")
        except (ValueError, OverflowError):
            self.fail(f"got {value!r}, want a number such as 3 or 0x3", param, ctx)


@provider_command.command(short_help="enter the registry, or change your entry")
@click.option("--stake", type=AMOUNT, default="0", help="Tokens to put at stake.")
@click.option("--deposit", type=AMOUNT, default="0",
              help="Native money: prepays the gas of disputes.")  # fmt: skip
@click.option("--capabilities", type=Capabilities(), default="0", help="Bits that jobs may want.")
@click.option("--delegate", type=ADDRESS, help="Another account that may make moves.")
@click.option("--endpoint", default="", help="Where you can be reached: free text.")
@market_json_option
def register(
    stake: int,
    deposit: int,
    capabilities: bytes,
    delegate: bytes | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """Enter the registry, or change your entry; --stake and --deposit add to what is there."""
    sent = []
    with account() as me:
        _check_money(me, stake, deposit)
        registry = me.chain.contracts.registry
        call = registry.register(capabilities, delegate or bytes(20), endpoint.encode())
        sent.append(me.send(call, "register"))
        if stake or deposit:
            sent.append(_add(me, stake, deposit))
        found = _state(me.chain, me.wallet.address)
    _done(as_json, sent, found)


@provider_command.command(short_help="put more tokens at stake")
@click.argument("amount", type=AMOUNT)
@click.option("--deposit", type=AMOUNT, default="0", help="Native money to add as well.")
@market_json_option
def stake(amount: int, deposit: int, as_json: bool) -> None:
    """Put more tokens at stake."""
    with account() as me:
        _check_money(me, amount, deposit)
        sent = [_add(me, amount, deposit)]
        found = _state(me.chain, me.wallet.address)
    _done(as_json, sent, found)


@provider_command.command(short_help="begin to take stake and deposit out")
@click.argument("amount", type=AMOUNT)
@click.option("--deposit", type=AMOUNT, default="0", help="Native money to take as well.")
@market_json_option
def unbond(amount: int, deposit: int, as_json: bool) -> None:
    """Begin to take free stake and deposit out; all of it is ready after one waiting time."""
    with account() as me:
        words = f"unbond {tokens(amount)} and {native(deposit)}"
        sent = [me.send(me.chain.contracts.registry.unbond(amount, deposit), words)]
        found = _state(me.chain, me.wallet.address)
    _done(as_json, sent, found)


@provider_command.command(short_help="take what has unbonded, and other credit")
@market_json_option
def claim(as_json: bool) -> None:
    """Take what has unbonded, and the registry's other credit, into the wallet."""
    with account() as me:
        registry = me.chain.contracts.registry
        at = me.chain.snapshot()
        leaving = me.chain.unbonding(me.wallet.address, at)
        sent = []
        if leaving.token or leaving.native:
            words = f"claim {tokens(leaving.token)} and {native(leaving.native)}"
            sent.append(me.send(registry.claim_unbonded(), words))
        me.refresh()
        credit = me.balances.registry_credit
        if credit.token:
            words = f"withdraw {tokens(credit.token)}"
            sent.append(me.send(registry.withdraw(me.wallet.address, credit.token), words))
        if credit.native:
            words = f"withdraw {native(credit.native)}"
            call = registry.withdraw_native(me.wallet.address, credit.native)
            sent.append(me.send(call, words))
        found = _state(me.chain, me.wallet.address)
    if not sent:
        say("nothing has unbonded, and there is no credit")
    _done(as_json, sent, found)


@provider_command.command(short_help="stake, deposit, work in hand and record")
@click.argument("address", type=ADDRESS, required=False)
@market_json_option
def status(address: bytes | None, as_json: bool) -> None:
    """Stake, deposit, work in hand and record: yours, or another provider's."""
    from protocol.chain.transactions import require_wallet

    with market() as chain:
        found = _state(chain, address or require_wallet(chain).address)
    if as_json:
        emit_json(found)
    else:
        _show(found)


def _check_money(me: Account, stake: int, deposit: int) -> None:
    if stake:
        me.need_tokens(stake, "staking")
    if deposit:
        me.need_native(deposit, "the deposit")


def _add(me: Account, amount: int, deposit: int) -> Any:
    """Stake by allowance where there is enough, else by a permit for exactly this much."""
    registry = me.chain.contracts.registry
    words = f"stake {tokens(amount)} and {native(deposit)}"
    allowed = me.chain.allowance(me.wallet.address, registry.address, me.chain.snapshot())
    if amount <= allowed:
        return me.send(registry.stake(amount, deposit), words)
    deadline, signature = me.permit(registry.address, amount)
    return me.send(registry.stake_with_permit(amount, deposit, deadline, signature), words)


def _state(chain: Any, address: bytes) -> dict[str, Any]:
    at = chain.snapshot()
    state, leaving = chain.provider(address, at), chain.unbonding(address, at)
    if not state.registered:
        raise UnknownProvider(
            f"{address_text(address)} is not registered as a provider: "
            f"assay provider register, or look at `assay providers`"
        )
    credit = chain.balances(address, at).registry_credit
    return {
        "address": address_text(address),
        "stake": state.stake,
        "deposit": state.deposit,
        "backlogMs": state.backlog_ms,
        "maxBacklogMs": chain.deployment.max_backlog_ms,
        "queueEnd": state.queue_end,
        "done": state.done,
        "late": state.late,
        "lost": state.lost,
        "delegate": address_text(state.delegate),
        "capabilities": state.capabilities,
        "unbonding": {
            "token": leaving.token, "native": leaving.native, "readyAt": leaving.ready_at,
        },
        "credit": {"token": credit.token, "native": credit.native},
        "time": at.next_timestamp,
    }  # fmt: skip


def _show(found: dict[str, Any]) -> None:
    leaving, credit = found["unbonding"], found["credit"]
    rows: list[tuple[str, object]] = [
        ("provider", found["address"]),
        ("free stake", tokens(found["stake"])),
        ("free deposit", native(found["deposit"])),
        ("unsettled work", f"{found['backlogMs'] / 1000:g} of {found['maxBacklogMs'] / 1000:g} s"),
        ("record", f"{found['done']} done, {found['late']} late, {found['lost']} lost"),
    ]
    bits = int.from_bytes(found["capabilities"], "big")
    if bits:
        rows.append(("capabilities", hex(bits)))
    if leaving["token"] or leaving["native"]:
        when = relative(leaving["readyAt"], found["time"])
        money = f"{tokens(leaving['token'])}, {native(leaving['native'])}"
        rows.append(("unbonding", f"{money}, ready {when}"))
    if credit["token"] or credit["native"]:
        rows.append(("credit", f"{tokens(credit['token'])}, {native(credit['native'])}"))
    pairs("", rows)


def _done(as_json: bool, sent: list[Any], found: dict[str, Any]) -> None:
    if as_json:
        emit_json({"sent": [outcome_json(o) for o in sent], **found})
    else:
        _show(found)


# --- run ------------------------------------------------------------------------------------------


@provider_command.command(short_help="take jobs, compute, commit, collect")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False),
              default=HOME, help="Finished results.  [default: ~/.assay/provider]")  # fmt: skip
@click.option("--check", is_flag=True, help="Test everything, and stop.")
@click.option("--min-price", type=AMOUNT, help="Take no job for less.")
@click.option("--price-per-second", type=AMOUNT, default="0", help="Nor for less a second of work.")
@click.option("--max-work", type=DURATION, default="1h", show_default=True,
              help="Longest job, as its client declares it.")  # fmt: skip
@click.option("--max-memory", type=click.FloatRange(min=0.001), default=8.0, show_default=True,
              help="GiB that a job may take.")  # fmt: skip
@click.option("--margin", type=click.FloatRange(min=1.0), default=2.0, show_default=True,
              help="Times the estimated run time that a job must allow.")  # fmt: skip
@click.option("--collect", type=AMOUNT, default="0",
              help="Withdraw credits from this many tokens on (0: never).")  # fmt: skip
@click.option("--settle-after", type=DURATION, default="30s", show_default=True,
              help="Finalize own results that no keeper finalized in this time.")  # fmt: skip
@click.option("--backend", type=click.Choice(["auto", "torch"]), default="auto", show_default=True)
@click.option("--device", help="Device of the torch backend, such as cpu or cuda:0.")
@click.option("--threads", type=click.IntRange(1, 1024), help="[default: one a core]")
def run(
    directory: Path,
    check: bool,
    min_price: int | None,
    price_per_second: int,
    max_work: int,
    max_memory: float,
    margin: float,
    collect: int,
    settle_after: int,
    backend: str,
    device: str | None,
    threads: int | None,
) -> None:
    """Take jobs that suit, compute them, commit, collect; until Ctrl-C.

    It may be stopped or killed at any time: accepted work goes on at the next start.

    \b
    assay provider run --check
    assay provider run --min-price 1 --price-per-second 0.1 --collect 10
    """
    from protocol.chain.config import ChainConfig
    from protocol.storage.config import StorageConfig
    from provider.agent import AgentConfig, run_agent
    from provider.decide import Habits
    from provider.policy import Rules

    rules = Rules(
        min_price=1 if min_price is None else max(1, min_price),
        price_per_second=price_per_second,
        max_work_seconds=float(max_work),
        max_memory=int(max_memory * (1 << 30)),
        margin=margin,
    )
    habits = Habits(settle_after=settle_after, collect_token=collect)
    config = AgentConfig(directory.expanduser(), rules, habits, backend, device, threads)
    stop = threading.Event()
    with stopping(stop), plain_warnings():
        run_agent(
            ChainConfig.from_env(), StorageConfig.from_env(), config, click.echo, stop,
            check_only=check,
        )  # fmt: skip
    if check:
        click.echo("everything is there: assay provider run")
