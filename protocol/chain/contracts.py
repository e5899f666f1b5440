"""Calls of the contracts as data, and the domain's types to and from the ABI's.  No node here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from protocol.chain.abi import Interface, interface
from protocol.chain.deployment import Deployment
from protocol.spec.job import Deal, JobTerms, Task


@dataclass(frozen=True)
class Call:
    """A transaction to be: receiver, calldata, wei, and what it does in words."""

    to: bytes
    data: bytes
    value: int
    what: str


def short(value: bytes) -> str:
    """A hash or an address as people read it in a line."""
    return f"0x{value.hex()[:8]}…"


def task_values(task: Task) -> tuple[Any, ...]:
    """A task in the order of the Solidity struct."""
    return (
        task.referee,
        task.program_root,
        task.constants_root,
        task.inputs_root,
        task.locators_hash,
        task.steps,
        task.first_step,
        task.seed,
        task.task_count,
    )


def deal_values(deal: Deal) -> tuple[Any, ...]:
    """A deal in the order of the Solidity struct, which is the order of its fields here."""
    return tuple(getattr(deal, field.name) for field in fields(Deal))


def terms_values(terms: JobTerms) -> tuple[Any, ...]:
    """Terms in the order of the Solidity struct."""
    return (task_values(terms.task), deal_values(terms.deal))


def raw_address(text: Any) -> bytes:
    """20 bytes of an address as the ABI decoder gives it."""
    return bytes.fromhex(str(text)[2:])


def terms_of(values: Sequence[Any]) -> JobTerms:
    """Terms from decoded values in the order of the Solidity struct."""
    t, d = values
    task = Task(
        referee=raw_address(t[0]), program_root=t[1], constants_root=t[2], inputs_root=t[3],
        locators_hash=t[4], steps=t[5], first_step=t[6], seed=t[7], task_count=t[8],
    )  # fmt: skip
    return JobTerms(task, Deal(raw_address(d[0]), *d[1:]))


class Money:
    """Credits of one contract: the calls that market, registry and game share."""

    def __init__(self, name: str, address: bytes) -> None:
        self.abi: Interface = interface(name)
        self.name = name
        self.address = address

    def _call(self, what: str, function: str, *values: Any, value: int = 0) -> Call:
        return Call(self.address, self.abi.encode(function, *values), value, what)

    def withdraw(self, to: bytes, amount: int) -> Call:
        return self._call(f"withdraw {amount} tokens from {self.name}", "withdraw", to, amount)

    def withdraw_native(self, to: bytes, amount: int) -> Call:
        what = f"withdraw {amount} wei from {self.name}"
        return self._call(what, "withdrawNative", to, amount)

    def sweep_burned(self) -> Call:
        return self._call(f"sweep what {self.name} burned", "sweepBurned")


class Market(Money):
    """Calls of JobMarket; ``job`` in a description is the job hash, if the caller knows it."""

    def __init__(self, address: bytes) -> None:
        super().__init__("JobMarket", address)

    def post(self, terms: JobTerms, locators: bytes, bounty: int) -> Call:
        return self._call("post a job", "post", terms_values(terms), locators, value=bounty)

    def post_with_permit(
        self,
        terms: JobTerms,
        locators: bytes,
        bounty: int,
        deadline: int,
        signature: tuple[int, bytes, bytes],
    ) -> Call:
        return self._call("post a job with a permit", "postWithPermit", terms_values(terms),
                          locators, deadline, *signature, value=bounty)  # fmt: skip

    def post_from_credit(self, terms: JobTerms, locators: bytes) -> Call:
        what = "post a job from credit"
        return self._call(what, "postFromCredit", terms_values(terms), locators)

    def deposit(self, tokens: int, native: int) -> Call:
        return self._call("deposit with the market", "deposit", tokens, value=native)

    def cancel(self, task: bytes, deal: Deal, job: bytes = b"") -> Call:
        return self._call(f"cancel {short(job)}", "cancel", task, deal_values(deal))

    def accept(self, task: bytes, deal: Deal, job: bytes = b"") -> Call:
        return self._call(f"accept {short(job)}", "accept", task, deal_values(deal))

    def commit(self, job: bytes, result_root: bytes, locators: bytes) -> Call:
        what = f"commit the result of {short(job)}"
        return self._call(what, "commit", job, result_root, locators)

    def refund(self, task: bytes, deal: Deal, job: bytes = b"") -> Call:
        return self._call(f"refund {short(job)}", "refund", task, deal_values(deal))

    def slash_late(self, task: bytes, deal: Deal, job: bytes = b"") -> Call:
        return self._call(f"slashLate {short(job)}", "slashLate", task, deal_values(deal))

    def finalize(self, task: bytes, deal: Deal, job: bytes = b"") -> Call:
        return self._call(f"finalize {short(job)}", "finalize", task, deal_values(deal))


class Registry(Money):
    """Calls of ProviderRegistry."""

    def __init__(self, address: bytes) -> None:
        super().__init__("ProviderRegistry", address)

    def register(self, capabilities: bytes, delegate: bytes, endpoint: bytes) -> Call:
        return self._call("register", "register", capabilities, delegate, endpoint)

    def stake(self, tokens: int, native: int) -> Call:
        return self._call(f"stake {tokens} tokens and {native} wei", "stake", tokens, value=native)

    def stake_with_permit(
        self, tokens: int, native: int, deadline: int, signature: tuple[int, bytes, bytes]
    ) -> Call:
        return self._call(f"stake {tokens} tokens with a permit", "stakeWithPermit", tokens,
                          deadline, *signature, value=native)  # fmt: skip

    def unbond(self, tokens: int, native: int) -> Call:
        return self._call(f"unbond {tokens} tokens and {native} wei", "unbond", tokens, native)

    def claim_unbonded(self) -> Call:
        return self._call("claim what has unbonded", "claimUnbonded")


class Token:
    """Calls of the ERC-20; ``mint`` exists on the development token alone."""

    def __init__(self, address: bytes) -> None:
        self.abi: Interface = interface("DevToken")
        self.address = address

    def _call(self, what: str, function: str, *values: Any) -> Call:
        return Call(self.address, self.abi.encode(function, *values), 0, what)

    def approve(self, spender: bytes, amount: int) -> Call:
        return self._call(f"approve {amount} tokens", "approve", spender, amount)

    def transfer(self, to: bytes, amount: int) -> Call:
        return self._call(f"send {amount} tokens", "transfer", to, amount)

    def mint(self, to: bytes, amount: int) -> Call:
        return self._call(f"mint {amount} tokens", "mint", to, amount)


@dataclass(frozen=True)
class Contracts:
    """The calls of one deployment."""

    market: Market
    registry: Registry
    token: Token

    @classmethod
    def of(cls, deployment: Deployment) -> Contracts:
        return cls(
            Market(deployment.market), Registry(deployment.registry), Token(deployment.token)
        )
