"""The journal of pins: what was said is kept, a torn line is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.storage.cid import Cid
from protocol.storage.errors import IpfsRefused, NodeError
from protocol.storage.node.pins import Pins

A, B = Cid.of_block(b"a"), Cid.of_block(b"b")


def test_pins__added_and_removed__survive_a_restart(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "pins")
    pins.add(A)
    pins.add(B)
    pins.add(A)
    pins.remove(A)
    assert pins.roots() == [B]
    assert Pins(tmp_path / "pins").roots() == [B]
    assert (tmp_path / "pins").read_text() == f"+{B}\n"
    with pytest.raises(IpfsRefused, match="not pinned"):
        pins.remove(A)


def test_pins__line_cut_by_a_crash__is_no_change(tmp_path: Path) -> None:
    (tmp_path / "pins").write_text(f"+{A}\n-{A}"[:-20])
    assert Pins(tmp_path / "pins").roots() == [A]


@pytest.mark.parametrize("text", ["*Qm\n", f"?{A}\n", "+\n", "\n", "é\n"])
def test_pins__damaged_journal__is_a_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "pins").write_text(text, "utf-8")
    with pytest.raises(NodeError, match="journal of pins"):
        Pins(tmp_path / "pins")
