"""``assay wallet``: what an account has, and how it moves."""

from __future__ import annotations

from typing import Any

import click

from assay.errors import BadInput
from assay.kinds import ADDRESS, AMOUNT, SOME
from assay.output import emit_json, market_json_option, pairs, say, working
from assay.session import account, address_text, market, native, outcome_json, tokens


@click.group(name="wallet", invoke_without_command=True)
@click.option("--of", "other", type=ADDRESS, help="Another account's balances.")
@market_json_option
@click.pass_context
def wallet_command(ctx: click.Context, other: bytes | None, as_json: bool) -> None:
    """Balances, credits and allowance of your account; withdraw what you earned.

    The key comes from ASSAY_KEY_FILE (64 hex digits), ASSAY_KEYSTORE with
    ASSAY_KEYSTORE_PASSWORD_FILE, or ASSAY_DEV_ACCOUNT (a number) on a local chain.

    \b
    assay wallet                       what there is
    assay wallet mint 1000             play money, on a local chain
    assay wallet withdraw              take all credits out
    assay wallet approve 50            let the market take 50 tokens
    assay wallet deposit 50            or bring them in advance
    """
    if ctx.invoked_subcommand is None:
        _show(other, as_json)
    elif other is not None or as_json:
        raise click.UsageError(f"give --of and --json to `assay wallet` alone, or after "
                               f"`{ctx.invoked_subcommand}`")  # fmt: skip


def _show(other: bytes | None, as_json: bool) -> None:
    from protocol.chain.transactions import require_wallet

    with market() as chain:
        address = other or require_wallet(chain).address
        at = chain.snapshot()
        has = chain.balances(address, at)
        registry_allowance = chain.allowance(address, chain.deployment.registry, at)
        found: dict[str, Any] = {
            "address": address_text(address),
            "chain": chain.chain_id,
            "block": at.number,
            "token": has.token,
            "native": has.native,
            "allowance": {
                "market": has.market_allowance,
                "registry": registry_allowance,
                "game": has.game_allowance,
            },
            "credit": {
                name: {"token": credit.token, "native": credit.native}
                for name, credit in has.credits.items()
            },
        }
    if as_json:
        emit_json(found)
        return
    rows: list[tuple[str, object]] = [
        ("address", found["address"]),
        ("chain", f"{found['chain']}, block {at.number}"),
        ("tokens", tokens(has.token)),
        ("native", native(has.native)),
        ("the market may take", tokens(has.market_allowance)),
    ]
    rows += [
        (f"credit with the {name}", f"{tokens(credit['token'])}, {native(credit['native'])}")
        for name, credit in found["credit"].items()
    ]
    for name, allowed in (("game", has.game_allowance), ("registry", registry_allowance)):
        if allowed:
            rows.insert(5, (f"the {name} may take", tokens(allowed)))
    pairs("", rows)
    if any(credit.token or credit.native for credit in has.credits.values()):
        say("credits can be taken out: assay wallet withdraw")


@wallet_command.command(short_help="create play money, on a local chain")
@click.argument("amount", type=SOME)
@click.option("--to", type=ADDRESS, help="Another account than yours.")
@market_json_option
def mint(amount: int, to: bytes | None, as_json: bool) -> None:
    """Create play money, on a local chain."""
    from protocol.chain.wallet import DEV_CHAINS

    with account() as me:
        if me.chain.chain_id not in DEV_CHAINS:
            raise BadInput(
                f"got chain {me.chain.chain_id}; tokens are minted on a local chain only "
                f"({', '.join(map(str, sorted(DEV_CHAINS)))}): buy or receive them"
            )
        call = me.chain.contracts.token.mint(to or me.wallet.address, amount)
        outcome = me.send(call, f"mint {tokens(amount)}")
        me.refresh()
    _done(as_json, outcome, f"the wallet has {tokens(me.balances.token)}")


@wallet_command.command(short_help="let market, registry or game take tokens")
@click.argument("amount", type=AMOUNT)
@click.option("--for", "spender", type=click.Choice(["market", "registry", "game"]),
              default="market", show_default=True, help="Who may take the tokens.")  # fmt: skip
@market_json_option
def approve(amount: int, spender: str, as_json: bool) -> None:
    """Let market (for prices), registry (for stake) or game (for bonds) take tokens; 0 ends it.

    Not needed for `assay submit` or `assay provider stake`: they sign a permit for exactly what
    they take. With an allowance in place their transactions are cheaper.
    """
    with account() as me:
        d = me.chain.deployment
        to = {"market": d.market, "registry": d.registry, "game": d.game}[spender]
        call = me.chain.contracts.token.approve(to, amount)
        outcome = me.send(call, f"approve {tokens(amount)} for the {spender}")
    _done(as_json, outcome, f"the {spender} may take {tokens(amount)}")


@wallet_command.command(short_help="bring money in for later jobs")
@click.argument("amount", type=AMOUNT)
@click.option("--native", "wei", type=AMOUNT, default="0", help="Native money, for bounties.")
@market_json_option
def deposit(amount: int, wei: int, as_json: bool) -> None:
    """Bring money to the market in advance: jobs paid from credit cost the least gas."""
    from client.jobs import Client

    with account() as me:
        if amount:
            me.need_tokens(amount, "the deposit")
        if wei:
            me.need_native(wei, "the deposit")
        with working("deposit"):
            outcome = Client(me.chain, sender=me.sender).deposit(amount, wei)
        me.refresh()
    credit = me.balances.market_credit
    _done(as_json, outcome, f"the credit is {tokens(credit.token)} and {native(credit.native)}")


@wallet_command.command(short_help="send tokens to another account")
@click.argument("to", type=ADDRESS)
@click.argument("amount", type=SOME)
@market_json_option
def send(to: bytes, amount: int, as_json: bool) -> None:
    """Send tokens to another account."""
    with account() as me:
        me.need_tokens(amount, "sending")
        call = me.chain.contracts.token.transfer(to, amount)
        outcome = me.send(call, f"send {tokens(amount)} to {address_text(to)}")
    _done(as_json, outcome, "")


@wallet_command.command(short_help="take credits out")
@click.option("--from", "source", type=click.Choice(["all", "market", "registry", "game", "court"]),
              default="all", show_default=True, help="Whose credit.")  # fmt: skip
@click.option("--to", type=ADDRESS, help="Another account than yours.")
@market_json_option
def withdraw(source: str, to: bytes | None, as_json: bool) -> None:
    """Take credits out: earnings, refunds, bounties, unbonded stake."""
    with account() as me:
        receiver = to or me.wallet.address
        contracts, has = me.chain.contracts, me.balances
        sent = []
        for name, credit, money in (
            ("market", has.market_credit, contracts.market),
            ("registry", has.registry_credit, contracts.registry),
            ("game", has.game_credit, contracts.game),
            ("court", has.court_credit, contracts.court),
        ):
            if source not in ("all", name):
                continue
            if credit.token:
                words = f"withdraw {tokens(credit.token)} from the {name}"
                sent.append(me.send(money.withdraw(receiver, credit.token), words))
            if credit.native:
                words = f"withdraw {native(credit.native)} from the {name}"
                sent.append(me.send(money.withdraw_native(receiver, credit.native), words))
    if as_json:
        emit_json({"sent": [outcome_json(o) | {"what": o.call.what} for o in sent]})
    elif not sent:
        say("no credit to take out")


def _done(as_json: bool, outcome: Any, words: str) -> None:
    if as_json:
        emit_json(outcome_json(outcome))
    elif words:
        click.echo(words)
