"""A dispute on paper: its moves, the way down as a tree, the money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.output import hexa, pairs, relative, rounded, seconds_text, short, show, table
from assay.session import NATIVE, TOKEN, address_text

if TYPE_CHECKING:
    from rich.text import Text

    from client.descent import Finding, Known, Leg
    from client.disputes import ChallengeView, Disputed, DisputeView, MoveView
    from protocol.spec.job import Task


def draw(now: Disputed, known: Known | None) -> None:
    """Everything about the disputes of a job."""
    for k, view in enumerate(now.disputes):
        if k:
            _blank()
        _header(view, now)
        for x in view.challenges:
            _moves(x)
            _descent(view, x, known, now.time)
        _money(view)
        _costs(view)


def _blank() -> None:
    pairs("", [("", "")])


def _header(view: DisputeView, now: Disputed) -> None:
    from client.views import ENDED, NEXT

    record, attempt = view.record, view.attempt
    status = record.status.name.lower()
    words = NEXT.get(record.status) or ENDED.get(record.status, "")
    if record.holds:
        words = f"{record.holds} challenges or demands are open"
    pairs("", [
        ("job", hexa(record.job)),
        ("attempt", f"{attempt.number + 1} of {record.terms.deal.attempts}, by "
                    f"{address_text(attempt.provider)}"),
        ("claimed root", hexa(view.dispute.result_root)),
        ("outcome", view.outcome),
        ("the job now", f"{status}: {words}"),
    ])  # fmt: skip


def _moves(x: ChallengeView) -> None:
    record = x.record
    rows = [_row(move, record.begun.time) for move in x.moves]
    title = f"challenge {record.number} by {address_text(record.challenger)}: {x.outcome}"
    table(title, ("block>", "after>", "who!", "what", "gas>", "time left>"), rows)


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
    from rich.tree import Tree as Drawing

    task = view.record.terms.task
    first, *rest = x.legs
    drawn = Drawing(_text("the descent", bold=True))
    at = drawn
    for leg in (first, *rest):
        at = at.add(_lines(_leg_lines(leg, task, known)))
    at.add(_lines(_end_lines(view, x, time)))
    show(drawn)


def _text(line: str, *, bold: bool = False) -> Text:
    from rich.text import Text

    return Text(line, style="bold" if bold else "", overflow="fold")


def _lines(lines: list[str]) -> Text:
    return _text("\n".join(lines))


def _leg_lines(leg: Leg, task: Task, known: Known | None) -> list[str]:
    """One tree: all its leaves, what each pointing left of them, and what is there."""
    from client.descent import leaves_text, operation_text, source_of, source_text, template_of
    from protocol.spec.trace import Tree

    *narrowed, last = ((0, leg.count - 1), *leg.ranges)
    ranges = [f"{first:,}..{end:,}" for first, end in narrowed]
    way = " > ".join([*ranges, leaves_text(leg.tree, *last)])
    lines = [way]
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
        source = source_text(source_of(known, stop.index))
        if source:
            lines.append(f"at {source}")
    elif leg.tree is Tree.STATES:
        tensor = known.program.states[stop.index].tensor
        lines[0] += f": {tensor.dtype.name.lower()} {list(tensor.shape)}"
    elif leg.tree is Tree.OUTPUTS and stop.index < len(known.outputs):
        lines[0] += f": {source_text(known.outputs[stop.index])}"
    return lines


def _end_lines(view: DisputeView, x: ChallengeView, time: int) -> list[str]:
    """Where the challenge stands, or what it showed."""
    from protocol.spec.dispute import Outcome
    from protocol.spec.job import Fault

    d = view.dispute
    if x.finding is not None:
        return _finding_lines(x.finding)
    if x.turn is not None:
        due = f"until {relative(x.turn.deadline, time)}"
        if x.turn.deadline < time:
            due = f"due {relative(x.turn.deadline, time)}: anybody may call time"
        return [f"{x.turn.text}, {due}"]
    if x.record.outcome is Outcome.DEFEATED:
        return ["here the challenger did not move in time"]
    if d.fall is not None and d.fall.number == x.record.number and d.fall.fault is Fault.SILENT:
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

    lines = sorted(view.money, key=lambda line: view.parties.of(line.who).value)
    rows = [
        (short(line.who), roles_of(view, line.who), line.what, _signed(line.token),
         _signed(line.native))
        for line in lines
    ]  # fmt: skip
    table("the money", ("who!", "role", "what", f"{TOKEN}>", f"{NATIVE}>"), rows)


def _signed(value: int) -> str:
    return "" if value == 0 else f"{'+' if value > 0 else ''}{rounded(value)}"


def _costs(view: DisputeView) -> None:
    rows = [
        (f"{cost.party.name.lower()}s' side", str(cost.transactions), f"{cost.gas:,}",
         rounded(cost.paid))
        for cost in view.costs
    ]  # fmt: skip
    total = [sum(c.transactions for c in view.costs), sum(c.gas for c in view.costs)]
    paid = sum(c.paid for c in view.costs)
    rows.append(("all", str(total[0]), f"{total[1]:,}", rounded(paid)))
    table("the gas", ("sent by!", "transactions>", "gas>", f"paid {NATIVE}>"), rows)
