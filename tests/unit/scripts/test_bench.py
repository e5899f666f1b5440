"""The bench fails when a figure is beyond what is allowed."""

from __future__ import annotations

import pytest

from scripts import bench
from scripts.bench import Figures


def figures(*, ratio: float = 3.0, trace: float = 1.4, commit: float = 0.001) -> Figures:
    return Figures(
        model="minilm", precision="i16", device="cpu", threads=2, sentences=64, tokens=18,
        repeats=3, torch_seconds=0.2, engine_seconds=0.6, ratio=ratio, ratio_best=ratio,
        sentences_per_second=100.0, min_cosine=1.0, compile_seconds=3.0, prepare_seconds=1.0,
        planned_mib=1.0, peak_mib=1.0, scratch_mib=1.0, trace_ratio=trace, trace_mb=206.0,
        trace_mb_per_second=200.0, commit_share=commit,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("got", "options", "code", "said"),
    [
        (figures(), [], 0, ""),
        (figures(trace=5.1), [], 1, "ratio with a trace 5.1, at most 5 wanted"),
        (figures(commit=0.03), [], 1, "share of hashing the outputs 0.03, at most 0.02 wanted"),
        (figures(ratio=3.0), ["--most", "2.5"], 1, "ratio 3, at most 2.5 wanted"),
        (figures(trace=2.0), ["--most-trace", "1.5"], 1, "at most 1.5 wanted"),
    ],
)
def test_main__figure_beyond_its_limit__fails_and_says_which(
    got: Figures, options: list[str], code: int, said: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(bench.MODELS, "minilm", lambda args: (got, []))
    assert bench.main(options) == code
    out, err = capsys.readouterr()
    assert said in err
    assert "206 MB hashed, 200 MB/s" in out


@pytest.mark.long
def test_main__minilm_on_this_machine__trace_and_commit_are_within_what_is_promised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench.main(["minilm", "--repeats", "3"]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "of a plain run, 206 MB hashed" in out
