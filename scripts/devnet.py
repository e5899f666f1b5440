"""A whole market on this machine: a chain, the contracts, IPFS nodes, providers, two keepers.

Every part is a process of its own, started as a user would start it (``assay provider run``, …),
writes its log below one directory, and is stopped when the context ends, also on Ctrl-C.

``python -m scripts.devnet`` runs one until it is interrupted (``assay devnet`` calls it).
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from protocol.spec.errors import AssayError
from protocol.storage.process import NodeProcess, Ready
from scripts import config, evm, tools

CLIENT, KEEPER, FIRST_PROVIDER, CHEAT, WATCHTOWER = 1, 2, 3, 8, 9
"""Accounts of the development mnemonic; 0 deploys."""

MOST_PROVIDERS = CHEAT - FIRST_PROVIDER

TOKENS = 10**18
"""Smallest units of one token."""

CLIENT_TOKENS = 1_000
STAKE_TOKENS = 500
WATCHTOWER_TOKENS = 10_000
DEPOSIT_ETH = "1"
STOP_SECONDS = 15.0

OPTIONS = {"anvil": (), "ganache": ("--miner.blockTime", "1")}
"""Clocks are the chain's, and Ganache tells no time between blocks: so it mines each second."""

EXPORTED = (
    "ASSAY_RPC_URL",
    "ASSAY_DEPLOYMENT",
    "ASSAY_DEV_ACCOUNT",
    "ASSAY_CACHE",
    "ASSAY_IPFS_API",
)
"""What another terminal needs to be the client."""


class DevnetFailed(AssayError):
    """A part of the local market did not start, or a command on it failed."""


class Process:
    """A child process whose lines are kept in a log file and can be waited for."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(env),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None, "asked for as a pipe above"
        with self._process.stdout as output, self.log.open("a") as file:
            for line in output:
                file.write(line)
                file.flush()
                with self._news:
                    self._lines.append(line.rstrip())
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def lines(self) -> list[str]:
        with self._news:
            return list(self._lines)

    def wait_for(self, wanted: Callable[[str], bool], what: str, seconds: float) -> str:
        """The first line, old or new, that is wanted.

        Raises DevnetFailed with the last lines if the process ends or the time is over.
        """

        def found() -> str | None:
            return next((line for line in self._lines if wanted(line)), None)

        with self._news:
            self._news.wait_for(lambda: found() is not None or self._ended, timeout=seconds)
            line = found()
            if line is None:
                why = "it ended" if self._ended else f"{seconds:g} s passed"
                last = " | ".join(self._lines[-5:])
                raise DevnetFailed(f"waited for {what} of {self.name}, {why}; last lines: {last}")
            return line

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        self._process.kill()
        self._process.wait()
        self._reader.join(STOP_SECONDS)

    def stop(self) -> int:
        """SIGTERM, then kill -9 if it does not end in time; the exit code."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(STOP_SECONDS)
        return self._process.returncode


@dataclass(frozen=True)
class Party:
    """Somebody on the market: a development account, an IPFS node, an environment for commands."""

    name: str
    account: int
    ipfs: Ready | None
    env: Mapping[str, str]
    directory: Path


class Devnet:
    """The running market; a context manager.

    ``evm_name`` is ``anvil`` or ``ganache``; ``say`` gets one line for each part that is ready, and
    for what takes long.
    """

    def __init__(
        self,
        directory: Path,
        *,
        providers: int = 2,
        evm_name: str = "anvil",
        evm_options: Sequence[str] = (),
        port: int = 0,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.directory = directory
        self.count = providers
        self.evm_name = evm_name
        self.evm_options = (*OPTIONS[evm_name], *evm_options)
        self.port = port
        self.say = say
        self.deployment = directory / "deployment.json"
        self.processes: dict[str, Process] = {}
        self.providers: list[Party] = []
        self._stack = ExitStack()
        self.url = ""
        self.client: Party
        self.keeper: Party
        self.watchtower: Party

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything that was started."""
        for process in reversed(self.processes.values()):
            process.stop()
        self._stack.close()

    # --- parts --------------------------------------------------------------------------------

    def _start(self) -> None:
        start = {"anvil": evm.anvil, "ganache": evm.ganache}[self.evm_name]
        self.url = self._stack.enter_context(start(*self.evm_options, port=self.port)).url
        self.say(f"{self.evm_name} at {self.url}")
        self._deploy()
        self.client = self._party("client", CLIENT)
        self.keeper = self._party("keeper", KEEPER, ipfs=False)
        self.watchtower = self._party("watchtower", WATCHTOWER)
        self.assay(self.client, "wallet", "mint", str(CLIENT_TOKENS))
        self.assay(self.watchtower, "wallet", "mint", str(WATCHTOWER_TOKENS))
        for k in range(self.count):
            self.providers.append(self.register(f"provider-{k + 1}", FIRST_PROVIDER + k))

    def register(self, name: str, account: int) -> Party:
        """A provider with a stake and an IPFS node."""
        party = self._party(name, account)
        self.assay(party, "wallet", "mint", str(STAKE_TOKENS))
        register = ("register", "--stake", str(STAKE_TOKENS), "--deposit", DEPOSIT_ETH)
        self.assay(party, "provider", *register)
        self.say(f"{party.name} registered with {STAKE_TOKENS} tokens at stake")
        return party

    def _deploy(self) -> None:
        self.say("deploying the contracts; the first time they are compiled, up to a minute")
        arguments = ["--url", self.url, "--out", str(self.deployment)]
        done = subprocess.run(
            [sys.executable, "-m", "scripts.deploy", *arguments],
            cwd=tools.ROOT,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise DevnetFailed(f"deploying failed: {(done.stderr or done.stdout).strip()[-600:]}")
        market = json.loads(self.deployment.read_text())["market"]
        self.say(f"contracts deployed, market at {market}")

    def _party(self, name: str, account: int, *, ipfs: bool = True) -> Party:
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        ready = None
        if ipfs:
            node = NodeProcess(directory / "ipfs")
            ready = node.start()
            self._stack.callback(node.stop)
            self.say(f"IPFS node of {name} at {ready.api}")
        settings = {
            "ASSAY_RPC_URL": self.url,
            "ASSAY_DEPLOYMENT": str(self.deployment),
            "ASSAY_DEV_ACCOUNT": str(account),
            "ASSAY_CACHE": str(directory / "cache"),
            "ASSAY_POLL_SECONDS": "0.25",
            "PYTHONUNBUFFERED": "1",
        }
        if ready is not None:
            settings["ASSAY_IPFS_API"] = ready.api
        return Party(name, account, ready, config.child_environment(settings), directory)

    def start_provider(self, number: int, *options: str) -> Process:
        """Run the agent of provider ``number`` (from 0) until it watches the chain."""
        party = self.providers[number]
        command = ("provider", "run", "--dir", str(party.directory / "agent"), *options)
        return self._spawn(party, ("assay.cli", *command))

    def start_keeper(self) -> Process:
        """Run the timekeeper until it watches the chain."""
        return self._spawn(self.keeper, ("assay.cli", "keeper"))

    def start_watchtower(self) -> Process:
        """Run the watchtower until it watches the chain."""
        directory = str(self.watchtower.directory / "verdicts")
        return self._spawn(self.watchtower, ("assay.cli", "watchtower", "--dir", directory))

    def start_cheat(self, party: Party, operation: int, element: int) -> Process:
        """Run a provider that lies (``scripts.cheat``) until it watches the chain."""
        place = ("--operation", str(operation), "--element", str(element))
        directory = ("--dir", str(party.directory / "agent"))
        return self._spawn(party, ("scripts.cheat", *directory, *place))

    def _spawn(self, party: Party, module: Sequence[str]) -> Process:
        """A process of ``party``, once it watches the chain."""
        command = [sys.executable, "-m", *module]
        process = Process(party.name, command, party.env, party.directory / "log.txt")
        self.processes[party.name] = process
        process.wait_for(lambda line: "watching" in line, "the word 'watching'", 90)
        self.say(f"{party.name} watches the chain (process {process.pid})")
        return process

    # --- commands -----------------------------------------------------------------------------

    def assay(self, party: Party, *arguments: str, fails: bool = False) -> str:
        """Standard output of an ``assay`` command of ``party``.

        Raises DevnetFailed with the command's words unless it succeeds (or fails, as asked).
        """
        done = self.try_assay(party, *arguments)
        if (done.returncode != 0) is not fails:
            words = (done.stderr or done.stdout).strip()[-800:]
            raise DevnetFailed(f"`assay {' '.join(arguments)}` ended {done.returncode}: {words}")
        return done.stdout

    def try_assay(self, party: Party, *arguments: str) -> subprocess.CompletedProcess[str]:
        """An ``assay`` command of ``party``, ended: exit code, stdout, stderr."""
        return subprocess.run(
            [sys.executable, "-m", "assay.cli", *arguments],
            env=dict(party.env),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def json(self, party: Party, *arguments: str) -> Any:
        """What an ``assay`` command prints with --json."""
        return json.loads(self.assay(party, *arguments, "--json"))


@contextmanager
def interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP end the program as Ctrl-C does, so that everything is stopped."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {n: signal.signal(n, stop) for n in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> int:
    """A market until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="assay devnet", description="a market on this machine")
    parser.add_argument("--dir", type=Path, default=Path(".assay/devnet"), help="logs and data")
    parser.add_argument("--providers", type=int, default=2, choices=range(MOST_PROVIDERS + 1),
                        help="number of providers")  # fmt: skip
    parser.add_argument("--evm", choices=("anvil", "ganache"), default="anvil")
    parser.add_argument("--port", type=int, default=8545, help="RPC port of the chain (0: any)")
    given = parser.parse_args()
    market = Devnet(
        given.dir.resolve(), providers=given.providers, evm_name=given.evm, port=given.port,
        say=lambda line: print(f"devnet: {line}", flush=True),
    )  # fmt: skip
    try:
        with interrupts(), market:
            for k in range(given.providers):
                market.start_provider(k)
            market.start_keeper()
            market.start_watchtower()
            lines = [f"export {name}={market.client.env[name]}" for name in EXPORTED]
            script = market.directory / "env"
            script.write_text("\n".join(lines) + "\n")
            print(f"devnet: ready; in another terminal: source {script}", flush=True)
            print("devnet: Ctrl-C stops everything", flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    except KeyboardInterrupt:
        pass
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 6
    print("devnet: stopped")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
