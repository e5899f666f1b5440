"""Speed of the engine against plain PyTorch: ``python -m scripts.bench minilm``.

Both run in one process on the same inputs with the same number of threads, by turns, so that a busy
machine slows both; figures are medians over the repetitions, the ratio the median of the ratios.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import client
from client.models import minilm
from protocol.hashing import tensors_root
from protocol.spec.types import Program
from provider.engine import Engine, Profile
from provider.engine.trace import EngineTrace

SENTENCES = Path(__file__).with_name("sentences.txt")
ROWS = 10
"""Templates that the profile shows."""

MIB = 1 << 20

TRACE_MOST = 5.0
COMMIT_MOST = 0.02
"""What a trace, and committing a result, may cost: of a plain run's time."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a bench reports: seconds are medians, ``ratio`` is engine over PyTorch fp32.

    ``trace_ratio`` is a run with its whole trace over a plain run, ``trace_mb`` what it hashes and
    ``trace_mb_per_second`` how much of that it gets done a second, the run included;
    ``commit_share`` the time to hash the outputs, of a run's.
    """

    model: str
    precision: str
    device: str
    threads: int
    sentences: int
    tokens: int
    repeats: int
    torch_seconds: float
    engine_seconds: float
    ratio: float
    ratio_best: float
    sentences_per_second: float
    min_cosine: float
    compile_seconds: float
    prepare_seconds: float
    planned_mib: float
    peak_mib: float
    scratch_mib: float
    trace_ratio: float
    trace_mb: float
    trace_mb_per_second: float
    commit_share: float


@dataclass(frozen=True, slots=True)
class Row:
    """Time of one template in one run."""

    seconds: float
    share: float
    calls: int
    template: int
    what: str
    source: str


def read_sentences(count: int) -> list[str]:
    """The first ``count`` sentences of the demo's text, repeated if it has fewer."""
    lines = [line.strip() for line in SENTENCES.read_text().splitlines() if line.strip()]
    return [lines[k % len(lines)] for k in range(count)]


def timed(run: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def place(source: str) -> str:
    """``file:line`` of a source line as the compiler records it."""
    found = re.search(r'File "(?:.*/)?([^/"]+)", line (\d+)', source)
    return f"{found[1]}:{found[2]}" if found else source


def profile_rows(program: Program, sources: Sequence[str], profile: Profile) -> list[Row]:
    """The slowest templates first."""
    whole = sum(profile.seconds.values())
    first: dict[int, int] = {}
    places = [i.template for phase in program.phases for i in phase.instances]
    for number, template in enumerate(places):
        first.setdefault(template, number)
    rows = []
    for number, seconds in sorted(profile.seconds.items(), key=lambda item: -item[1]):
        t = program.templates[number]
        terms = f" over {'x'.join(map(str, t.r))}" if t.r else ""
        fold = f" {t.fold.name}" if t.fold else ""
        shape = "x".join(map(str, t.shape))
        code = len(t.pre) + len(t.post)
        what = f"{t.kind.name}{fold} {t.dtype.name.lower()}[{shape}]{terms}, {code} instructions"
        source = place(sources[first[number]]) if first[number] < len(sources) else ""
        rows.append(
            Row(seconds, seconds / whole, profile.calls[number], number, what, source)
        )
    return rows


def bench_minilm(args: argparse.Namespace) -> tuple[Figures, list[Row]]:
    """MiniLM on real sentences, padded to the longest of them (or to ``--tokens``)."""
    model = minilm.load()
    ids, mask = minilm.Tokenizer()(read_sentences(args.sentences), args.tokens)
    start = time.perf_counter()
    compiled = client.compile(model, (ids, mask), args.precision)
    compile_seconds = time.perf_counter() - start
    start = time.perf_counter()
    engine = Engine(compiled.program, compiled.constants, threads=args.threads)
    inputs = compiled.bind(ids, mask)
    outputs = engine.run(inputs)
    prepare_seconds = time.perf_counter() - start
    torch.set_num_threads(engine.pool.threads)
    plain, ours, traced, commits = [], [], [], []
    decls = [compiled.program.states[n].tensor for n in compiled.program.outputs]
    with torch.no_grad():
        reference = model(ids, mask)
        for _ in range(args.repeats):
            plain.append(timed(lambda: model(ids, mask)))
            ours.append(timed(lambda: engine.run(inputs)))
            traced.append(timed(lambda: EngineTrace(engine, inputs)))
            commits.append(timed(lambda: tensors_root(decls, outputs)))
    engine.run(inputs)
    memory = engine.memory
    hashed = EngineTrace(engine, inputs).hashed
    engine.profile = Profile()
    engine.run(inputs)
    vectors = torch.from_numpy(compiled.unbind(outputs)[0])
    cosine = torch.nn.functional.cosine_similarity(vectors.double(), reference.double())
    figures = Figures(
        model="minilm",
        precision=args.precision,
        device=str(engine.device),
        threads=engine.pool.threads,
        sentences=args.sentences,
        tokens=ids.shape[1],
        repeats=args.repeats,
        torch_seconds=statistics.median(plain),
        engine_seconds=statistics.median(ours),
        ratio=statistics.median(b / a for a, b in zip(plain, ours, strict=True)),
        ratio_best=min(ours) / min(plain),
        sentences_per_second=args.sentences / statistics.median(ours),
        min_cosine=float(cosine.min()),
        compile_seconds=compile_seconds,
        prepare_seconds=prepare_seconds,
        planned_mib=memory.planned / MIB,
        peak_mib=memory.peak / MIB,
        scratch_mib=memory.scratch / MIB,
        trace_ratio=statistics.median(b / a for a, b in zip(ours, traced, strict=True)),
        trace_mb=hashed / 1e6,
        trace_mb_per_second=hashed / 1e6 / statistics.median(traced),
        commit_share=statistics.median(b / a for a, b in zip(ours, commits, strict=True)),
    )
    return figures, profile_rows(compiled.program, compiled.sources, engine.profile)


MODELS = {"minilm": bench_minilm}


def show(f: Figures, rows: Sequence[Row]) -> None:
    """For a person."""
    print(f"{f.model} {f.precision}: {f.sentences} sentences of {f.tokens} tokens, "
          f"{f.threads} threads, {f.device}")  # fmt: skip
    print(f"  PyTorch fp32    {f.torch_seconds:8.3f} s")
    print(f"  Assay engine    {f.engine_seconds:8.3f} s   {f.sentences_per_second:.1f} sentences/s")
    print(f"  ratio           {f.ratio:8.2f}     median of {f.repeats} interleaved pairs "
          f"(best against best {f.ratio_best:.2f})")  # fmt: skip
    print(f"  min cosine      {f.min_cosine:.8f}  to the fp32 model")
    print(f"  peak memory     {f.peak_mib:8.1f} MiB (planned {f.planned_mib:.1f}) "
          f"+ {f.scratch_mib:.1f} scratch")  # fmt: skip
    print(f"  with a trace    {f.trace_ratio:8.2f}     of a plain run, {f.trace_mb:.0f} MB hashed, "
          f"{f.trace_mb_per_second:.0f} MB/s with the run")  # fmt: skip
    print(f"  commit hashes   {f.commit_share:8.2%}     of a run's time")
    print(f"  once            {f.compile_seconds:8.2f} s compile, "
          f"{f.prepare_seconds:.2f} s self-test, preparation and first run")  # fmt: skip
    for r in rows:
        print(f"  {r.seconds:7.3f} s {r.share:6.1%} {r.calls:3d} x  {r.what}  {r.source}")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0; 1 if a figure is beyond what ``--most``, ``--most-trace`` or ``--most-commit``
    allow."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument("model", nargs="?", choices=sorted(MODELS), default="minilm")
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=None, help="length (default: the longest)")
    parser.add_argument("--precision", default="i16", choices=["i16", "i14", "i8w", "i8"])
    parser.add_argument("--threads", type=int, default=None, help="default: all cores")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="the slowest templates")
    parser.add_argument("--json", action="store_true", help="figures as JSON on stdout")
    parser.add_argument("--most", type=float, default=None, help="fail beyond this ratio")
    parser.add_argument("--most-trace", type=float, default=TRACE_MOST, metavar="RATIO",
                        help=f"fail beyond this ratio with a trace (default {TRACE_MOST:g})")
    parser.add_argument("--most-commit", type=float, default=COMMIT_MOST, metavar="SHARE",
                        help=f"fail beyond this share of hashing (default {COMMIT_MOST:g})")
    args = parser.parse_args(argv)
    figures, rows = MODELS[args.model](args)
    rows = rows[:ROWS] if args.profile else []
    if args.json:
        print(json.dumps({**asdict(figures), "profile": [asdict(r) for r in rows]}, indent=1))
    else:
        show(figures, rows)
    found = [
        f"{what} {got:.3g}, at most {most:g} wanted"
        for what, got, most in (
            ("ratio", figures.ratio, args.most),
            ("ratio with a trace", figures.trace_ratio, args.most_trace),
            ("share of hashing the outputs", figures.commit_share, args.most_commit),
        )
        if most is not None and got > most
    ]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
