"""A job on its way, told to a person line by line."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from assay.output import say, seconds_text
from assay.session import address_text

if TYPE_CHECKING:
    from client.jobs import Client
    from client.views import JobView
    from protocol.spec.job import JobStatus

SAY_SECONDS = 15.0
"""How long nothing is said while nothing changes."""

ACTORS = frozenset({"accepted", "committed"})
"""States that a provider brings about itself; whoever ends a job may be anybody."""

MEANWHILE = {
    "open": "providers fetch program, weights and inputs before they take it",
    "committed": "watchtowers may compute it again",
}
"""What goes on where nothing is seen on the chain."""


def follow(
    client: Client, job: bytes, until: frozenset[JobStatus] = frozenset(),
    clock: Callable[[], float] = time.monotonic,
) -> JobView:  # fmt: skip
    """The job at its end, or in one of ``until``; each change on the way is a line on stderr, and
    so is it that nothing has changed for SAY_SECONDS."""
    began = said = clock()

    def waiting(view: JobView) -> None:
        nonlocal said
        now = clock()
        if now - said < SAY_SECONDS:
            return
        said = now
        left = view.seconds_left
        rest = f", {seconds_text(left)} left" if left is not None and left >= 0 else ""
        passed = seconds_text(now - began)
        say(f"still {view.status.name.lower()} after {passed}: {view.next}{rest}")

    for view in client.follow(job, until, waiting):
        began = said = clock()
        say(line(view))
    return view


def line(view: JobView) -> str:
    """What a job came to, who did it where that was its provider, and what goes on now."""
    record, status = view.record, view.status.name.lower()
    acted = record.provider if status in ACTORS else None
    who = f" by {address_text(acted)}" if acted else ""
    fault = record.attempts[-1].fault if record.attempts else None
    why = "" if fault is None else f" (the last provider lost it: {fault.name.lower()})"
    more = MEANWHILE.get(status) if (view.seconds_left or 0) > 0 and not record.holds else None
    return f"{status}{who}{why}: {view.next}{f'; {more}' if more else ''}"
