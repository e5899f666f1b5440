"""Typed reads of one deployment at one block.

``Chain.snapshot`` picks the block; every read names it; ``Chain.confirm`` says afterwards whether
that block is still part of the chain (else Reorganised: read again).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise
from types import TracebackType
from typing import Any, Final, Self

from protocol.chain.abi import AbiError, interface
from protocol.chain.config import ChainConfig
from protocol.chain.contracts import Contracts, deal_values, raw_address
from protocol.chain.deployment import Deployment, checksum
from protocol.chain.errors import (
    BlockUnavailable,
    NodeRefused,
    NodeUnavailable,
    Reorganised,
    WrongChain,
)
from protocol.chain.reverts import Reverted, of_bytes
from protocol.chain.rpc import CallReverted, Rpc
from protocol.chain.state import (
    Balances,
    ClaimState,
    Credit,
    DemandEntry,
    JobState,
    ProviderState,
    Snapshot,
    StepState,
    Unbonding,
)
from protocol.chain.wallet import Wallet
from protocol.spec.demands import DemandState
from protocol.spec.dispute import Challenge, Outcome, Wait
from protocol.spec.job import Deal, JobStatus, domain_separator
from protocol.spec.limits import Limits
from protocol.spec.trace import Tree

Read = tuple[bytes, str, str, tuple[Any, ...]]
"""(address, interface, function, arguments)."""

BLOCKS_TIMED: Final = 32
"""Blocks from whose times the time of one is taken."""


def hex_bytes(text: object, size: int | None = None) -> bytes:
    """Bytes of the ``0x`` text that a node gave.  Raises NodeUnavailable for anything else."""
    try:
        raw = bytes.fromhex(str(text).removeprefix("0x"))
    except ValueError:
        raw = None
    if raw is None or (size is not None and len(raw) != size):
        raise NodeUnavailable(f"got {str(text)[:80]!r} from the node; hex text is wanted")
    return raw


def quantity(text: object) -> int:
    """A number of the ``0x`` text that a node gave.  Raises NodeUnavailable for anything else."""
    try:
        return int(str(text), 16)
    except ValueError:
        raise NodeUnavailable(
            f"got {str(text)[:80]!r} from the node; a quantity is wanted"
        ) from None


class Chain:
    """One deployment on one node; a context manager that closes its connections.

    ``stop``, when set, ends every wait with Interrupted.
    """

    def __init__(
        self,
        config: ChainConfig,
        deployment: Deployment | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.config = config
        self.deployment = deployment or Deployment.load(config.deployment)
        self.stop = stop or threading.Event()
        self.rpc = Rpc(
            config.rpc_url,
            timeout=config.rpc_timeout,
            attempts=config.rpc_attempts,
            backoff=config.rpc_backoff,
            stop=self.stop,
        )
        self.contracts = Contracts.of(self.deployment)
        self.chain_id = self.deployment.chain_id
        self._there: set[bytes] = set()

    @classmethod
    def connect(
        cls,
        config: ChainConfig,
        deployment: Deployment | None = None,
        stop: threading.Event | None = None,
    ) -> Chain:
        """A chain that has passed ``check``."""
        chain = cls(config, deployment, stop)
        try:
            chain.check()
        except BaseException:
            chain.close()
            raise
        return chain

    def close(self) -> None:
        """Closes the connections."""
        self.rpc.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def wallet(self) -> Wallet | None:
        """The configured wallet; None without a key.  Raises WalletError."""
        key = self.config.key
        return None if key is None else Wallet.open(key, self.chain_id)

    @property
    def has_game(self) -> bool:
        """Whether there is a dispute game: a market works without, its claims cannot be disputed.

        A contract stays; one that is missing may come.
        """
        return self._has(self.deployment.game)

    @property
    def has_court(self) -> bool:
        """Whether there is a court: without, no data can be demanded."""
        return self._has(self.deployment.court)

    def _has(self, address: bytes) -> bool:
        if address not in self._there:
            code = self.rpc.call("eth_getCode", checksum(address), "latest")
            if hex_bytes(code):
                self._there.add(address)
        return address in self._there

    # --- where we are -----------------------------------------------------------------------------

    def check(self) -> None:
        """Raises WrongChain unless node, contracts and this package are of one deployment."""
        wanted, d = self.config.chain_id, self.deployment
        if wanted is not None and wanted != d.chain_id:
            raise WrongChain(
                f"got a deployment of chain {d.chain_id}, the configuration wants {wanted}: name "
                f"the deployment of that chain"
            )
        got = self.rpc.number("eth_chainId")
        if got != d.chain_id:
            raise WrongChain(
                f"the node at {self.config.rpc_url} is of chain {got}, the deployment of chain "
                f"{d.chain_id}: change the node, or the deployment file"
            )
        named = {d.token: "token", d.registry: "registry", d.market: "market"}
        codes = self.rpc.many([("eth_getCode", (checksum(a), "latest")) for a in named])
        for (address, name), code in zip(named.items(), codes, strict=True):
            if not hex_bytes(code):
                raise WrongChain(
                    f"there is no contract at {checksum(address)}, where the {name} is wanted: "
                    f"the chain started anew, or this is another deployment's file; deploy again"
                )
        market, registry = "JobMarket", "ProviderRegistry"
        wants = [
            (d.market, market, "TOKEN", d.token),
            (d.market, market, "REGISTRY", d.registry),
            (d.market, market, "GAME", d.game),
            (d.market, market, "COURT", d.court),
            (d.registry, registry, "MARKET", d.market),
            (d.market, market, "DOMAIN_SEPARATOR", domain_separator(d.chain_id, d.market)),
        ]
        self._expect(wants)
        self._there.clear()
        if self.has_game:
            self._expect(
                [
                    (d.game, "DisputeGame", "MARKET", d.market),
                    (d.game, "DisputeGame", "REGISTRY", d.registry),
                    (d.game, "DisputeGame", "COURT", d.court),
                ]
            )
        if self.has_court:
            both = (("MARKET", d.market), ("GAME", d.game))
            self._expect([(d.court, "Court", name, want) for name, want in both])

    def _expect(self, wants: Sequence[tuple[bytes, str, str, bytes]]) -> None:
        """Raises WrongChain unless what contracts say of themselves is what is wanted."""
        try:
            answers = self._read_many("latest", [(to, abi, name, ()) for to, abi, name, _ in wants])
        except (Reverted, AbiError) as error:
            raise WrongChain(
                f"the contract at {checksum(wants[0][0])} is no {wants[0][1]} of this version "
                f"({error}): deploy again, or use the version that did"
            ) from error
        for (_, abi, name, want), (value,) in zip(wants, answers, strict=True):
            found = value if isinstance(value, bytes) else raw_address(value)
            if found != want:
                raise WrongChain(
                    f"{abi}.{name} is 0x{found.hex()}, the deployment file says 0x{want.hex()}: "
                    f"use the file of this deployment, and the version that made it"
                )

    def _block(self, which: str) -> dict[str, Any]:
        block = self.rpc.call("eth_getBlockByNumber", which, False)
        if not isinstance(block, dict):
            raise BlockUnavailable(f"the node does not know block {which}: it is behind, or pruned")
        return block

    def snapshot(self) -> Snapshot:
        """The newest block.  Raises NodeUnavailable."""
        asked = [("eth_getBlockByNumber", (which, False)) for which in ("latest", "pending")]
        try:
            latest, pending = self.rpc.many(asked)
        except NodeRefused:  # some nodes show no block that is not mined
            latest, pending = self.rpc.many(asked[:1])[0], None
        if not isinstance(latest, dict):
            raise BlockUnavailable("the node knows no newest block: it is starting")
        time = quantity(latest["timestamp"])
        ahead = quantity(pending["timestamp"]) if isinstance(pending, dict) else time
        base = latest.get("baseFeePerGas")
        return Snapshot(
            quantity(latest["number"]),
            hex_bytes(latest["hash"], 32),
            time,
            max(time, ahead),
            None if base is None else quantity(base),
        )

    def block_hash(self, number: int) -> bytes | None:
        """Hash of the block with a number; None when the chain is shorter."""
        block = self.rpc.call("eth_getBlockByNumber", hex(number), False)
        return hex_bytes(block["hash"], 32) if isinstance(block, dict) else None

    def confirm(self, at: Snapshot) -> None:
        """Raises Reorganised unless ``at`` is still the block of its number."""
        if self.block_hash(at.number) != at.hash:
            raise Reorganised(f"block {at.number} was replaced while it was read: read again")

    def block_seconds(self, at: Snapshot) -> int:
        """Seconds that a block takes: the least of the last ones.  A chain that mines on demand
        has one of 0, and longer ones while nobody sends."""
        first = max(0, at.number - BLOCKS_TIMED)
        asked = [("eth_getBlockByNumber", (hex(n), False)) for n in range(first, at.number)]
        found = self.rpc.many(asked)
        times = [quantity(block["timestamp"]) for block in found if isinstance(block, dict)]
        times.append(at.timestamp)
        return min((max(0, b - a) for a, b in pairwise(times)), default=0)

    # --- reads ------------------------------------------------------------------------------------

    def _read_many(self, at: str, reads: Sequence[Read]) -> list[tuple[Any, ...]]:
        calls = []
        for to, abi, function, values in reads:
            data = "0x" + interface(abi).encode(function, *values).hex()
            calls.append(("eth_call", ({"to": checksum(to), "data": data}, at)))
        try:
            answers = self.rpc.many(calls)
        except CallReverted as error:
            raise of_bytes(f"reading {reads[0][2]}", error.data, str(error)) from error
        return [
            interface(abi).decode(function, hex_bytes(answer))
            for (_, abi, function, _), answer in zip(reads, answers, strict=True)
        ]

    def _market(self, at: Snapshot, function: str, *values: Any) -> tuple[Any, ...]:
        reads = [(self.deployment.market, "JobMarket", function, values)]
        return self._read_many(hex(at.number), reads)[0]

    def _registry(self, at: Snapshot, function: str, *values: Any) -> tuple[Any, ...]:
        reads = [(self.deployment.registry, "ProviderRegistry", function, values)]
        return self._read_many(hex(at.number), reads)[0]

    def _token(self, at: Snapshot, function: str, *values: Any) -> tuple[Any, ...]:
        reads = [(self.deployment.token, "DevToken", function, values)]
        return self._read_many(hex(at.number), reads)[0]

    def job_states(self, jobs: Sequence[bytes], at: Snapshot) -> list[JobState]:
        """Where jobs are, in order; status NONE for one that was never posted."""
        reads = [(self.deployment.market, "JobMarket", "jobOf", (job,)) for job in jobs]
        return [
            JobState(JobStatus(v[0]), v[1], raw_address(v[2]), *v[3:])
            for (v,) in self._read_many(hex(at.number), reads)
        ]

    def job_state(self, job: bytes, at: Snapshot) -> JobState:
        """Where one job is."""
        return self.job_states([job], at)[0]

    def result_of(self, job: bytes, at: Snapshot) -> bytes:
        """The committed root of the current or final claim; 32 zero bytes before."""
        root: bytes = self._market(at, "resultOf", job)[0]
        return root

    def claim_of(self, job: bytes, at: Snapshot) -> bytes:
        """The current claim of a committed or finalized job.  Raises reverts.WrongStatus."""
        claim: bytes = self._market(at, "claimOf", job)[0]
        return claim

    def has_lost(self, job: bytes, provider: bytes, at: Snapshot) -> bool:
        """Whether ``provider`` lost an attempt at the job."""
        return bool(self._market(at, "hasLost", job, provider)[0])

    def limits(self, at: Snapshot) -> Limits:
        """What the market lets clients choose."""
        return Limits(*self._market(at, "limits")[0])

    def lock_of(self, deal: Deal, at: Snapshot) -> tuple[int, int]:
        """(tokens, wei) that accepting a job of this deal locks."""
        token, native = self._market(at, "lockOf", deal_values(deal))
        return token, native

    def bounty_of(self, deal: Deal, at: Snapshot) -> int:
        """Wei that posting a job of this deal adds."""
        return int(self._market(at, "bountyOf", deal_values(deal))[0])

    def provider(self, provider: bytes, at: Snapshot) -> ProviderState:
        """The registry's entry of a provider."""
        v = self._registry(at, "providerOf", provider)[0]
        values = (*v[:8], raw_address(v[8]), v[9])
        return ProviderState(*values)

    def unbonding(self, provider: bytes, at: Snapshot) -> Unbonding:
        """Money of a provider on its way out."""
        return Unbonding(*self._registry(at, "unbondingOf", provider)[0])

    def _game(self, at: Snapshot, function: str, values: Sequence[tuple[Any, ...]]) -> list[Any]:
        reads = [(self.deployment.game, "DisputeGame", function, v) for v in values]
        return [found[0] for found in self._read_many(hex(at.number), reads)]

    def claim_states(self, claims: Sequence[bytes], at: Snapshot) -> list[ClaimState]:
        """The game's entries of claims, in order."""
        found = self._game(at, "claimOf", [(claim,) for claim in claims])
        return [ClaimState(v[0], v[1], raw_address(v[2]), *v[3:]) for v in found]

    def claim_state(self, claim: bytes, at: Snapshot) -> ClaimState:
        """The game's entry of one claim."""
        return self.claim_states([claim], at)[0]

    def challenges_of(self, numbered: Sequence[tuple[bytes, int]], at: Snapshot) -> list[Challenge]:
        """Challenges, (claim, number) each, in order; outcome NONE for those never opened."""
        return [_challenge(v) for v in self._game(at, "challengeOf", numbered)]

    def challenge_of(self, claim: bytes, number: int, at: Snapshot) -> Challenge:
        """One challenge; an opening that others waited for too has passed its turn on."""
        return self.challenges_of([(claim, number)], at)[0]

    def deadline_of(self, claim: bytes, number: int, at: Snapshot) -> int:
        """Until when the present turn lasts.  Raises reverts NotLive, HasFallen."""
        return int(self._game(at, "deadlineOf", [(claim, number)])[0])

    def turns_of(
        self, numbered: Sequence[tuple[bytes, int]], at: Snapshot
    ) -> list[tuple[Challenge, int]]:
        """Live challenges, (claim, number) each, in order, and until when their turns last."""
        claims = list(dict.fromkeys(claim for claim, _ in numbered))
        states = dict(zip(claims, self.claim_states(claims, at), strict=True))
        found = self.challenges_of(numbered, at)
        ends = (states[claim].deadline(x) for (claim, _), x in zip(numbered, found, strict=True))
        return list(zip(found, ends, strict=True))

    def step_of(self, claim: bytes, step: int, at: Snapshot) -> StepState:
        """The opened operations of the step that leads to leaf ``step``."""
        return StepState(*self._game(at, "stepOf", [(claim, step)])[0])

    def bond_of(self, claim: bytes, deal: Deal, at: Snapshot) -> tuple[int, int]:
        """(tokens, wei) that challenging the claim of a job of this deal takes."""
        values = (claim, deal_values(deal))
        reads = [(self.deployment.game, "DisputeGame", "bondOf", values)]
        token, native = self._read_many(hex(at.number), reads)[0]
        return token, native

    def demands_of(
        self, numbered: Sequence[tuple[bytes, int]], at: Snapshot
    ) -> list[DemandEntry]:
        """Demands, (claim, number) each, in order; state NONE for those never opened."""
        reads = [(self.deployment.court, "Court", "demandOf", v) for v in numbered]
        found = self._read_many(hex(at.number), reads)
        return [DemandEntry(raw_address(v[0]), v[1], DemandState(v[2])) for (v,) in found]

    def balances(self, account: bytes, at: Snapshot) -> Balances:
        """What an account has, everywhere."""
        d = self.deployment
        reads: list[Read] = [
            (d.token, "DevToken", "balanceOf", (account,)),
            (d.token, "DevToken", "allowance", (account, d.market)),
            (d.market, "JobMarket", "credit", (account,)),
            (d.registry, "ProviderRegistry", "credit", (account,)),
            (d.token, "DevToken", "allowance", (account, d.game)),
        ]
        judges = [("DisputeGame", d.game)] if self.has_game else []
        judges += [("Court", d.court)] if self.has_court else []
        reads += [(address, name, "credit", (account,)) for name, address in judges]
        tokens, allowance, market, registry, game_allowance, *credits = self._read_many(
            hex(at.number), reads
        )
        native = self.rpc.number("eth_getBalance", checksum(account), hex(at.number))
        owed = {name: Credit(*v) for (name, _), v in zip(judges, credits, strict=True)}
        nothing = Credit(0, 0)
        return Balances(
            tokens[0], native, allowance[0], Credit(*market), Credit(*registry),
            game_allowance[0], owed.get("DisputeGame", nothing), owed.get("Court", nothing),
        )  # fmt: skip

    def allowance(self, owner: bytes, spender: bytes, at: Snapshot) -> int:
        """Tokens that ``spender`` may take from ``owner``."""
        return int(self._token(at, "allowance", owner, spender)[0])

    def permit(
        self, wallet: Wallet, spender: bytes, amount: int, deadline: int, at: Snapshot
    ) -> tuple[int, bytes, bytes]:
        """(v, r, s) of an EIP-2612 permit: ``spender`` may take exactly ``amount`` tokens.

        ``deadline`` is a time of the chain in seconds.
        """
        nonce = self._token(at, "nonces", wallet.address)[0]
        _, name, version, chain_id, contract, _, _ = self._token(at, "eip712Domain")
        domain = {"name": name, "version": version, "chainId": chain_id,
                  "verifyingContract": checksum(raw_address(contract))}  # fmt: skip
        kinds = {"name": "string", "version": "string", "chainId": "uint256",
                 "verifyingContract": "address"}  # fmt: skip
        parts = {"owner": "address", "spender": "address", "value": "uint256",
                 "nonce": "uint256", "deadline": "uint256"}  # fmt: skip
        message = {
            "primaryType": "Permit",
            "domain": domain,
            "types": {
                "EIP712Domain": [{"name": n, "type": kinds[n]} for n in domain],
                "Permit": [{"name": n, "type": kind} for n, kind in parts.items()],
            },
            "message": {
                "owner": checksum(wallet.address),
                "spender": checksum(spender),
                "value": amount,
                "nonce": nonce,
                "deadline": deadline,
            },
        }
        return wallet.sign_typed(message)


def _challenge(v: Sequence[Any]) -> Challenge:
    """A challenge from decoded values in the order of the Solidity struct."""
    return Challenge(
        challenger=raw_address(v[0]), outcome=Outcome(v[1]), wait=Wait(v[2]), tree=Tree(v[3]),
        level=v[4], known=v[5], since=v[6], node=v[7], index=v[8], count=v[9], step=v[10],
        item=v[11], last_bytes=v[12], price=v[13], challenger_budget=v[14], provider_budget=v[15],
        token=v[16], native=v[17],
    )  # fmt: skip
