"""A dispute on paper: its moves, the way down as a tree, the money."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from assay.output import hexa, pairs, relative, rounded, seconds_text, short, show, table
from assay.session import address_text
from protocol.chain.amounts import NATIVE, TOKEN

if TYPE_CHECKING:
    from rich.text import Text

    from client.descent import Finding, Known, Leg
    from client.disputes import ChallengeView, Disputed, DisputeView, MoveView
    from protocol.spec.job import Task


FEW = 3
"""More challenges that never moved than this share one table."""


def draw(now: Disputed, known: Known | None) -> None:
    """Everything about the disputes of a job."""
    for k, view in enumerate(now.disputes):
        if k:
            click.echo()
        _header(view)
        idle = [x for x in view.challenges if _is_idle(x)]
        idle = idle if len(idle) > FEW else []
        for x in view.challenges:
            if x not in idle:
                _moves(x)
                _descent(view, x, known, now.time)
        if idle:
            _idle(idle)
        if view.demands:
            _demands(view, now.time)
        _money(view)
        _costs(view)


def _header(view: DisputeView) -> None:
    from client.views import ENDED, NEXT

    record, attempt = view.record, view.attempt
    status = record.status.name.lower()
    words = NEXT.get(record.status) or ENDED.get(record.status, "")
    if record.holds:
        words = "held until the dispute is over"
    pairs("", [
        ("job", hexa(record.job)),
        ("attempt", f"{attempt.number + 1} of {record.terms.deal.attempts}, by "
                    f"{address_text(attempt.provider)}"),
        ("claimed root", hexa(view.dispute.result_root)),
        ("outcome", view.outcome),
        ("the job now", f"{status}: {words}"),
    ])  # fmt: skip
    click.echo()


def _is_idle(x: ChallengeView) -> bool:
    """Whether its challenger paid the bond and did nothing more."""
    from protocol.chain.disputes import Challenged, Collected, Defeated

    kinds = Challenged | Collected | Defeated
    return x.turn is None and all(isinstance(m.move.event, kinds) for m in x.moves)


def _idle(found: list[ChallengeView]) -> None:
    rows = [(str(x.record.number), address_text(x.record.challenger), x.outcome) for x in found]
    table("challenges that never moved", ("number>", "challenger!", "outcome"), rows)


def _demands(view: DisputeView, time: int) -> None:
    from client.disputes import roles_of

    rows = []
    for d in view.demands:
        outcome = f"{d.outcome}, due {relative(d.record.deadline, time)}" if d.live else d.outcome
        if d.live and time > d.record.deadline:
            outcome = "overdue: anybody may call time"
        who = f"{short(d.sent.sender)} {roles_of(view, d.sent.sender)}"
        rows.append((str(d.record.number), who, d.text, outcome, f"{d.sent.gas:,}"))
    table("demands for data", ("number>", "who!", "what", "outcome", "gas>"), rows)


def _moves(x: ChallengeView) -> None:
    record = x.record
    rows = [_row(move, record.begun.time) for move in x.moves]
    title = f"challenge {record.number} by {address_text(record.challenger)}: {x.outcome}"
    table(title, ("block>", "after>", "who!", "what", "gas>", "left>"), rows)


def _row(view: MoveView, start: int) -> tuple[str, ...]:
    place = view.move.event.place
    return (
        f"{place.block:,}",
        seconds_text(place.time - start),
        f"{short(view.sent.sender)} {view.role}",
        view.text,
        "" if view.gas is None else f"{view.gas:,}",
        "" if view.left is None else seconds_text(view.left),
    )


# --- the descent ---------------------------------------------------------------------------------


def _descent(view: DisputeView, x: ChallengeView, known: Known | None, time: int) -> None:
    from rich.text import Text
    from rich.tree import Tree as Drawing

    drawn = Drawing(Text("the descent", style="bold"))
    at = drawn
    for leg in x.legs:
        at = at.add(_text(_leg_lines(leg, view.record.terms.task, known)))
    at.add(_text(_end_lines(view, x, time)))
    show(drawn)
    click.echo()


def _text(lines: list[str]) -> Text:
    """Lines of a node, claimed and true values in their colours."""
    from rich.text import Text

    made = Text("\n".join(lines), overflow="fold")
    made.highlight_regex(r"(?m)^claimed .*$", "red")
    made.highlight_regex(r"(?m)^true .*$", "green")
    return made


def _leg_lines(leg: Leg, task: Task, known: Known | None) -> list[str]:
    """One tree: all its leaves, what each pointing left of them, and what is there."""
    from client.descent import (
        leaves_text,
        operation_text,
        printable,
        source_lines,
        source_of,
        template_of,
    )
    from protocol.spec.trace import Tree

    ranges = [leaves_text(leg.tree, 0, leg.count - 1)]
    ranges += [f"{first:,}..{last:,}" for first, last in leg.ranges]
    if leg.ranges:
        ranges[-1] = leaves_text(leg.tree, *leg.ranges[-1])
    lines = [" > ".join(ranges)]
    if not leg.arrived:
        return lines
    stop = leg.stop
    if leg.tree is Tree.STEPS and stop.index == 0:
        lines[0] += ": the states before the first step"
    if known is None:
        return lines
    if leg.tree is Tree.OPERATIONS:
        template = template_of(known, task, stop.step, stop.index)
        if template is not None:
            lines[0] += f": {operation_text(template)}"
        lines += source_lines(source_of(known, stop.index))
    elif leg.tree is Tree.STATES:
        tensor = known.program.states[stop.index].tensor
        lines[0] += f": {tensor.dtype.name.lower()} {list(tensor.shape)}"
    elif leg.tree is Tree.OUTPUTS and stop.index < len(known.outputs):
        lines[0] += f": {printable(known.outputs[stop.index])}"
    return lines


def _end_lines(view: DisputeView, x: ChallengeView, time: int) -> list[str]:
    """Where the challenge stands, or what it showed."""
    from client.disputes import fall_of
    from protocol.spec.dispute import Outcome
    from protocol.spec.job import Fault

    d = view.dispute
    if x.finding is not None:
        return _finding_lines(x.finding)
    if x.turn is not None:
        late = ": anybody may call time" if x.turn.deadline < time else ""
        return [f"{x.turn.text}, due {relative(x.turn.deadline, time)}{late}"]
    if x.record.outcome is Outcome.DEFEATED:
        return ["here the challenger did not move in time"]
    fell = fall_of(d)
    if fell is not None and (fell.number, fell.fault) == (x.record.number, Fault.SILENT):
        return ["here the provider did not answer in time"]
    return [f"here it ended: {view.outcome}"]


def _finding_lines(f: Finding) -> list[str]:
    from client.descent import value_text

    place = f" {list(f.place)}" if f.place else ""
    lines = [f"{f.what}{place} is wrong"]
    if f.claimed is not None and f.true is not None:
        lines += [f"claimed {value_text(f, f.claimed)}", f"true    {value_text(f, f.true)}"]
    if f.missing:
        lines.append(f"no values: {f.missing}")
    return lines


# --- money ---------------------------------------------------------------------------------------


def _money(view: DisputeView) -> None:
    from client.disputes import roles_of
    from client.spoils import Line

    rows = []
    for who in sorted({line.who: None for line in view.money}, key=view.rank):
        mine = [line for line in view.money if line.who == who]
        total = Line(who, "in all", sum(x.token for x in mine), sum(x.native for x in mine))
        for k, line in enumerate([*mine, total] if len(mine) > 1 else mine):
            names = ("", "") if k else (_name(who), roles_of(view, who))
            rows.append((*names, line.what, _signed(line.token), _signed(line.native)))
    table("the money", ("who!", "role", "what", f"{TOKEN}>", f"{NATIVE}>"), rows)


def _name(who: bytes) -> str:
    from protocol.spec.job import DEAD

    return "" if who == DEAD else short(who)


def _signed(value: int) -> str:
    return "" if value == 0 else f"{'+' if value > 0 else ''}{rounded(value)}"


def _costs(view: DisputeView) -> None:
    from client.spoils import Party

    names = {Party.CHALLENGER: "challengers", Party.DEMANDER: "demanders",
             Party.PROVIDER: "the provider's side",
             Party.CLIENT: "the client", Party.STRANGER: "strangers"}  # fmt: skip
    rows = [
        (names.get(c.party, c.party.name.lower()), f"{c.transactions:,}", f"{c.gas:,}",
         rounded(c.paid))
        for c in view.costs
    ]  # fmt: skip
    sums = (sum(c.transactions for c in view.costs), sum(c.gas for c in view.costs))
    paid = sum(c.paid for c in view.costs)
    rows.append(("all", f"{sums[0]:,}", f"{sums[1]:,}", rounded(paid)))
    table("the gas", ("sent by!", "transactions>", "gas>", f"paid {NATIVE}>"), rows)
