"""One real job from wallet to checked result, with a provider that dies, and one that lies.

``make demo`` starts a local chain, the contracts, IPFS nodes, two providers and a keeper as
processes; a client posts a job that embeds 64 sentences with MiniLM; the provider that took it is
killed while it computes, loses part of its stake, and the other one finishes.

In the second act a provider flips one bit of one number in the middle of the third layer; a
watchtower finds it, the contract recomputes the number, the stake is gone, and an honest provider
does the job.  The last line is ``demo: ok``, or says what failed (exit 1).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from client.jobs import Client
from protocol.chain.book import Attempt, Finalized, JobRecord, Posted, Slashed
from protocol.chain.chain import Chain
from protocol.chain.config import ChainConfig
from protocol.chain.event import Event
from protocol.chain.state import Snapshot
from protocol.chain.wallet import Wallet
from protocol.spec.errors import AssayError
from protocol.spec.job import DEAD, Fault, JobStatus
from scripts.cheat import middle_of_layer
from scripts.devnet import (
    CHEAT,
    CLIENT,
    FIRST_PROVIDER,
    KEEPER,
    TOKENS,
    WATCHTOWER,
    Devnet,
    Process,
    interrupts,
)
from scripts.gas import gas_table

SENTENCES = Path(__file__).with_name("sentences.txt")
PRICE = "20"
RUN_SECONDS = 40
WINDOW_SECONDS = 6
WATCHED_SECONDS = 60
"""The window of the second act: a watchtower needs time to fetch the weights and compute."""

LIE_LAYER = 3
DEADLINE_SECONDS = 900.0
MINIMUM_COSINE = 0.99999


class DemoFailed(AssayError):
    """The demonstration did not go as it should."""


@dataclass(frozen=True)
class Ledger:
    """Tokens of everybody at one block, wherever they are kept, in smallest units."""

    shares: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.shares.values())


def reasons(events: Iterable[Event], client: bytes) -> dict[bytes, list[tuple[str, int]]]:
    """Why tokens moved, account by account: (words, smallest units) of each gain and loss."""
    found: dict[bytes, list[tuple[str, int]]] = {}

    def add(who: bytes, words: str, tokens: int) -> None:
        if tokens:
            found.setdefault(who, []).append((words, tokens))

    for event in events:
        match event:
            case Posted():
                add(event.client, "price", -event.terms.deal.price_ceiling)
            case Finalized():
                add(event.provider, "price", event.price)
            case Slashed():
                add(event.provider, "stake lost", -event.token)
                add(DEAD, "part of the stake", event.burned)
                for p in event.payouts:
                    add(p.to, "compensation" if p.to == client else "reward", p.token)
    return found


def expect(ok: bool, message: str) -> None:
    """DemoFailed with ``message`` unless ``ok``."""
    if not ok:
        raise DemoFailed(message)


class Demo:
    """The story, one method a chapter."""

    def __init__(self, market: Devnet, chain: Chain, console: Console) -> None:
        self.market = market
        self.chain = chain
        self.client = Client(chain)
        self.console = console
        self.until = time.monotonic() + DEADLINE_SECONDS
        self.names = {
            Wallet.dev(CLIENT).address: "client",
            Wallet.dev(KEEPER).address: "keeper",
            Wallet.dev(WATCHTOWER).address: "watchtower",
            Wallet.dev(CHEAT).address: "cheat",
            DEAD: "burned",
        }
        for k in range(market.count):
            self.names[Wallet.dev(FIRST_PROVIDER + k).address] = f"provider-{k + 1}"

    def say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)

    def name(self, address: bytes) -> str:
        return self.names.get(address, "0x" + address.hex())

    def wait(self, job: bytes, status: JobStatus, provider: bytes | None = None) -> JobRecord:
        """Follow the job until it has a status (and provider); DemoFailed if it ends otherwise."""
        return self._until(
            job, status.name, lambda r: r.status is status and provider in (None, r.provider)
        )

    def lost(self, job: bytes, attempt: int) -> Attempt:
        """Follow the job until an attempt is lost, however short a time it is open then."""
        record = self._until(
            job, f"without attempt {attempt}",
            lambda r: len(r.attempts) > attempt and r.attempts[attempt].fault is not None,
        )  # fmt: skip
        return record.attempts[attempt]

    def _until(self, job: bytes, what: str, there: Callable[[JobRecord], bool]) -> JobRecord:
        for view in self.client.follow(job, frozenset()):
            record = view.record
            if there(record):
                return record
            name = record.status.name
            expect(record.live, f"the job ended {name}, {what} was wanted")
            expect(time.monotonic() < self.until, f"the job is still {name}")
        raise DemoFailed(f"the job was not followed until {what}")

    def pass_time(self, what: str, seconds: int) -> None:
        """Nobody waits for what only a clock decides."""
        self.say(f"   {what} passes: the local chain's clock is moved on by {seconds} s")
        self.chain.rpc.call("evm_increaseTime", seconds)
        self.chain.rpc.call("evm_mine")

    # --- money -------------------------------------------------------------------------------

    def ledger(self) -> Ledger:
        """Every token of the demonstration: wallets, stakes, locks, escrow, credits."""
        at = self.chain.snapshot()
        registry = {n: self.chain.provider(a, at) for a, n in self.names.items()}
        shares: dict[str, int] = {}
        for address, name in self.names.items():
            has = self.chain.balances(address, at)
            out = self.chain.unbonding(address, at).token
            credits = sum(credit.token for credit in has.credits.values())
            shares[name] = has.token + credits + registry[name].stake + out
        held = self._held(at)
        shares["locked or in escrow"] = held - sum(self._inside(a, at) for a in self.names)
        return Ledger(shares)

    def _held(self, at: Snapshot) -> int:
        """Tokens that the contracts hold."""
        d = self.chain.deployment
        where = (d.market, d.registry, d.game, d.court)
        return sum(self.chain.balances(a, at).token for a in where)

    def _inside(self, address: bytes, at: Snapshot) -> int:
        """Tokens of one account that lie in the contracts and are free or credited."""
        has = self.chain.balances(address, at)
        free = self.chain.provider(address, at).stake + self.chain.unbonding(address, at).token
        return free + sum(credit.token for credit in has.credits.values())

    def show_money(self, before: Ledger, after: Ledger, block: int) -> None:
        """Who has how many tokens more or less since ``block``, and why."""
        book, _ = self.client.book()
        news = [event for event in book.events if event.place.block > block]
        why = {
            self.name(who): ", ".join(f"{words} {n / TOKENS:+.4g}" for words, n in lines)
            for who, lines in reasons(news, Wallet.dev(CLIENT).address).items()
        }
        table = Table(title="who was paid what (tokens)", title_justify="left")
        table.add_column("who")
        for column in ("before", "after", "change"):
            table.add_column(column, justify="right")
        table.add_column("for")
        for name, start in before.shares.items():
            end = after.shares[name]
            change = f"{(end - start) / TOKENS:+.4g}" if end != start else ""
            table.add_row(name, f"{start / TOKENS:.10g}", f"{end / TOKENS:.10g}", change,
                          why.get(name, ""))  # fmt: skip
        table.add_section()
        totals = (f"{before.total / TOKENS:.10g}", f"{after.total / TOKENS:.10g}")
        table.add_row("sum", *totals, f"{(after.total - before.total) / TOKENS:+.4g}")
        self.console.print(table)
        has = self.chain.balances(Wallet.dev(KEEPER).address, self.chain.snapshot())
        earned = sum(credit.native for credit in has.credits.values())
        self.say(f"the keeper is paid in native money: {earned / 10**18:.6f} in bounties, credited")
        expect(earned > 0, "the keeper earned nothing")
        expect(before.total == after.total, "tokens appeared or vanished")
        expect(after.shares["locked or in escrow"] == 0, "tokens are still locked")

    # --- chapters ----------------------------------------------------------------------------

    def compile(self, model: Path, tokens: int) -> None:
        self.say("\n[bold]1. Compile[/bold] MiniLM (22M parameters, real weights)")
        options = ("-o", str(model), "--batch", "64", "--tokens", str(tokens))
        self.say(self.market.assay(self.market.client, "compile", "minilm", *options))

    def submit(self, model: Path, window: int = WINDOW_SECONDS) -> bytes:
        deal = (
            *("--run", str(RUN_SECONDS), "--window", str(window), "--attempts", "3"),
            *("--open", "120", "--work-ms", "30000"),
        )
        posted = self.market.json(
            self.market.client, "submit", str(model), "--text-file", str(SENTENCES),
            "--price", PRICE, *deal,
        )  # fmt: skip
        job = bytes.fromhex(posted["job"].removeprefix("0x"))
        self.say(f"   job 0x{job.hex()}, price {PRICE} tokens")
        return job

    def kill_one(self, job: bytes, processes: dict[bytes, Process]) -> bytes:
        self.say("[bold]3. A provider takes it[/bold] and is killed while it computes")
        victim = self.wait(job, JobStatus.ACCEPTED).provider
        expect(victim in processes, "an unknown provider took the job")
        assert victim is not None
        process = processes[victim]
        process.wait_for(lambda line: line.endswith("running"), "the word 'running'", 60)
        process.kill()
        record, _ = self.client.record(job)
        expect(record.status is JobStatus.ACCEPTED, "the provider was too quick to be killed")
        self.say(f"   {self.name(victim)} accepted, began to compute, and was killed (-9)")
        return victim

    def recover(self, job: bytes, victim: bytes) -> JobRecord:
        self.say("[bold]4. The keeper[/bold] finds it late; the other provider finishes")
        self.pass_time("its time", RUN_SECONDS)
        lost = self.lost(job, 0)
        expect(lost.fault is Fault.LATE and lost.provider == victim, "the wrong one was slashed")
        self.say(f"   {self.name(victim)} was slashed for lateness, the job is open again")
        record = self.wait(job, JobStatus.COMMITTED)
        assert record.provider is not None
        expect(record.provider != victim, "the loser took the job again")
        self.say(f"   {self.name(record.provider)} committed 0x{(record.result_root or b'').hex()}")
        record = self.wait(job, JobStatus.FINALIZED)
        self.say("   nobody challenged it in time: finalized and credited")
        return record

    def check(self, job: bytes, out: Path) -> None:
        self.say("[bold]5. Fetch and verify[/bold]: the plain interpreter computes every bit again")
        self.market.assay(self.market.client, "fetch", "0x" + job.hex(), "-o", str(out))
        verified = self.market.json(self.market.client, "verify", "0x" + job.hex())
        expect(verified["equal"] is True, "the result differs from the interpreter's")
        self.say(f"   {verified['elements']} numbers, every bit equal")
        worst = minimum_cosine(out)
        self.say(f"   minimum cosine to the fp32 model over 64 sentences: {worst:.8f}")
        expect(worst >= MINIMUM_COSINE, f"cosine {worst} is below {MINIMUM_COSINE}")

    def run(self, directory: Path) -> None:
        """The whole story."""
        from client.models.minilm import Tokenizer

        model = directory / "minilm.assay"
        ids, _ = Tokenizer()(SENTENCES.read_text().splitlines())
        self.compile(model, ids.shape[1])
        processes = {
            Wallet.dev(FIRST_PROVIDER + k).address: self.market.start_provider(k)
            for k in range(self.market.count)
        }
        self.market.start_keeper()
        before, block = self.ledger(), self.chain.snapshot().number
        self.say("[bold]2. Submit[/bold] the job: model, sentences, price")
        job = self.submit(model)
        victim = self.kill_one(job, processes)
        record = self.recover(job, victim)
        self.check(job, directory / "result")
        self.say("[bold]6. The account[/bold]")
        self.show_money(before, self.ledger(), block)
        self.console.print(gas_table(self.chain, record.job, block + 1, self.name))
        self.second_act(model, directory, [p for p in processes.values() if p.running])

    # --- the second act ----------------------------------------------------------------------

    def second_act(self, model: Path, directory: Path, honest: Sequence[Process]) -> None:
        """A lie in the middle of a layer, found, proven, punished; the job done all the same."""
        self.say("\n[bold]7. A cheat[/bold] takes the next job: the honest providers are away")
        operation, element = self.place_of_the_lie(model)
        for process in honest:
            process.stop()
        party = self.market.register("cheat", CHEAT)
        self.market.start_cheat(party, operation, element)
        self.market.start_watchtower()
        before, block = self.ledger(), self.chain.snapshot().number
        job = self.submit(model, WATCHED_SECONDS)
        record = self.wait(job, JobStatus.COMMITTED, Wallet.dev(CHEAT).address)
        self.say(f"   the cheat committed 0x{(record.result_root or b'').hex()}")
        self.say("[bold]8. The watchtower[/bold] computes it again, challenges and proves")
        expect(self.lost(job, 0).fault is Fault.WRONG, "the lie was not proven wrong")
        self.say(self.market.assay(
            self.market.client, "dispute", "0x" + job.hex(), "--model", str(model)
        ))  # fmt: skip
        self.say("[bold]9. An honest provider[/bold] does the job; the watchtower agrees")
        self.market.start_provider(self.market.count - 1)
        record = self.wait(job, JobStatus.COMMITTED)
        expect(self.name(record.provider or b"").startswith("provider"), "the cheat came again")
        tower = self.market.processes["watchtower"]
        tower.wait_for(lambda line: "result is right" in line, "'the result is right'", 120)
        self.pass_time("the window", WATCHED_SECONDS)
        self.wait(job, JobStatus.FINALIZED)
        self.same_bits(job, directory)
        self.say("[bold]10. The account[/bold]")
        tower.wait_for(
            lambda line: "withdraw" in line and " gas, " in line, "the watchtower's reward", 60
        )
        self.show_money(before, self.ledger(), block)
        self.console.print(gas_table(self.chain, job, block + 1, self.name))

    def place_of_the_lie(self, model: Path) -> tuple[int, int]:
        """The operation that begins the network of layer LIE_LAYER, and the middle of its result's
        second row."""
        from client.compiled import Compiled

        compiled = Compiled.load(model)
        operation, element = middle_of_layer(compiled.program, LIE_LAYER)
        self.say(f"   it flips one bit in operation {operation} ({compiled.sources[operation]})")
        return operation, element

    def same_bits(self, job: bytes, directory: Path) -> None:
        """The result is the one of the first act, of which every bit was computed again."""
        import numpy as np

        out = directory / "again"
        self.market.assay(self.market.client, "fetch", "0x" + job.hex(), "-o", str(out))
        first, again = (np.load(d / "0.npy") for d in (directory / "result", out))
        same = np.array_equal(first.view(np.uint32), again.view(np.uint32))
        expect(same, "the honest result differs from the first act's")
        self.say("   every bit equal to the first act's verified result")


def minimum_cosine(out: Path) -> float:
    """Smallest cosine between the fetched embeddings and those of the original fp32 model."""
    import numpy as np

    from client.models.minilm import embed

    got = np.load(out / "0.npy").astype(np.float64)
    wanted = embed(SENTENCES.read_text().splitlines()).numpy().astype(np.float64)
    norms = np.linalg.norm(got, axis=1) * np.linalg.norm(wanted, axis=1)
    return float(((got * wanted).sum(axis=1) / norms).min())


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the story; 0 if everything in it held."""
    parser = argparse.ArgumentParser(prog="demo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--evm", choices=("anvil", "ganache"), default="anvil")
    given = parser.parse_args(arguments)
    console = Console(width=100)
    started = time.monotonic()
    try:
        with interrupts(), tempfile.TemporaryDirectory(prefix="assay-demo-") as place:
            directory = Path(place)
            console.print("[bold]0. Start[/bold] a chain, contracts, IPFS nodes, a market")

            def say(line: str) -> None:
                console.print(f"   {line}", highlight=False, soft_wrap=True)

            with Devnet(directory / "market", evm_name=given.evm, say=say) as market:
                config = ChainConfig(rpc_url=market.url, deployment=market.deployment)
                with Chain.connect(config) as chain:
                    Demo(market, chain, console).run(directory)
    except KeyboardInterrupt:
        print("demo: interrupted, everything is stopped", file=sys.stderr)
        return 130
    except (AssayError, json.JSONDecodeError, KeyError) as error:
        print(f"demo: failed: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    console.print(f"took {time.monotonic() - started:.0f} s", highlight=False)
    print("demo: ok")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
