"""Calls of the contracts as data, and the domain's types to and from the ABI's.  No node here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from eth_abi import decode, encode
from eth_abi.exceptions import DecodingError

from protocol.chain import amounts
from protocol.chain.abi import AbiError, Interface, interface
from protocol.chain.deployment import Deployment
from protocol.spec.answers import ANSWER_ABI, TENSORS, Answer, Part, ProgramAnswer, TensorAnswer
from protocol.spec.job import Deal, JobTerms, Task
from protocol.spec.legality_proofs import ABI as CASE_ABI
from protocol.spec.legality_proofs import Case, Illegality
from protocol.spec.proofs import ABI, AnyProof
from protocol.spec.referee import JUDGED, Proof
from protocol.spec.strategy import (
    Enter,
    Move,
    Open,
    OpenStep,
    Point,
    Prove,
    Reveal,
    RevealBlock,
)

PROOFS: Final[Mapping[type, str]] = {**ABI, **ANSWER_ABI, **CASE_ABI}
"""ABI type of everything that travels as a proof."""


@dataclass(frozen=True)
class Call:
    """A transaction to be: receiver, calldata, wei, and what it does in words.

    ``sent`` is the calldata that travels where it is not ``data``, with which the call is tried and
    its gas estimated: a call that may leave something out succeeds with too little gas as well.
    """

    to: bytes
    data: bytes
    value: int
    what: str
    sent: bytes = b""


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


def encoded(proof: AnyProof) -> bytes:
    """A proof or an answer as calldata: the struct of its name in DisputeProofs.sol,
    DemandProofs.sol or LegalityProofs.sol."""
    return encode([PROOFS[type(proof)]], [_plain(proof)])


def _plain(part: Any) -> Any:
    if isinstance(part, tuple):
        return tuple(_plain(x) for x in part)
    return [_plain(x) for x in part] if isinstance(part, list) else part


ProofT = TypeVar("ProofT", bound=tuple[Any, ...])


def decoded(kind: type[ProofT], data: bytes) -> ProofT:
    """The proof that ``encoded`` gave as calldata.  Raises AbiError."""
    try:
        (values,) = decode([PROOFS[kind]], data)
    except (DecodingError, OverflowError) as error:
        raise AbiError(f"got {len(data)} bytes, which are no {kind.__name__}: {error}") from error
    made: ProofT = _shaped(kind, values)
    return made


def _shaped(kind: Any, value: Any) -> Any:
    if get_origin(kind) is list:
        return [_shaped(get_args(kind)[0], part) for part in value]
    if not hasattr(kind, "_fields"):
        return value
    kinds = [get_type_hints(kind)[name] for name in kind._fields]
    return kind(*(_shaped(part, x) for part, x in zip(kinds, value, strict=True)))


def answer_of(part: Part, proof: bytes) -> Answer:
    """The answer to a demand for ``part`` that its event carries.  Raises AbiError."""
    if part in TENSORS:
        return decoded(TensorAnswer, proof)
    return decoded(ProgramAnswer, proof)


class Proven(NamedTuple):
    """A proof in calldata: of which challenge, and its bytes."""

    claim: bytes
    number: int
    kind: Proof
    proof: bytes


def proofs_in(data: bytes) -> list[Proven]:
    """The proofs that a call of the game brings, in the order of its moves.

    None of a call of another contract, also where that passes moves on to the game.
    """
    found, rest = [], [data]
    while rest:
        try:
            name, values = interface("DisputeGame").decode_input(rest.pop())
        except AbiError:
            continue
        if name == "play":
            rest += reversed(values[0])
        elif name == "prove":
            claim, number, _, kind, proof = values
            if kind in JUDGED:  # the game refuses others
                found.append(Proven(claim, number, Proof(kind), proof))
    return found


class Money:
    """Credits of one contract: the calls that market, registry and game share."""

    def __init__(self, name: str, address: bytes) -> None:
        self.abi: Interface = interface(name)
        self.name = name
        self.address = address

    def _call(self, what: str, function: str, *values: Any, value: int = 0) -> Call:
        return Call(self.address, self.abi.encode(function, *values), value, what)

    def withdraw(self, to: bytes, amount: int) -> Call:
        what = f"withdraw {amounts.tokens(amount)} from {self.name}"
        return self._call(what, "withdraw", to, amount)

    def withdraw_native(self, to: bytes, amount: int) -> Call:
        what = f"withdraw {amounts.native(amount)} from {self.name}"
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
        what = f"stake {amounts.tokens(tokens)} and {amounts.native(native)}"
        return self._call(what, "stake", tokens, value=native)

    def stake_with_permit(
        self, tokens: int, native: int, deadline: int, signature: tuple[int, bytes, bytes]
    ) -> Call:
        what = f"stake {amounts.tokens(tokens)} and {amounts.native(native)} with a permit"
        return self._call(what, "stakeWithPermit", tokens, deadline, *signature, value=native)

    def unbond(self, tokens: int, native: int) -> Call:
        what = f"unbond {amounts.tokens(tokens)} and {amounts.native(native)}"
        return self._call(what, "unbond", tokens, native)

    def claim_unbonded(self) -> Call:
        return self._call("claim what has unbonded", "claimUnbonded")


class Game(Money):
    """Calls of DisputeGame.  A challenge is named by its claim and its number there."""

    def __init__(self, address: bytes) -> None:
        super().__init__("DisputeGame", address)

    def _move(self, claim: bytes, number: int, function: str, *values: Any) -> Call:
        what = f"{function} in challenge {number} of {short(claim)}"
        return self._call(what, function, claim, number, *values)

    def challenge(self, terms: JobTerms, claim: bytes, wei: int) -> Call:
        what = f"challenge {short(claim)}"
        return self._call(what, "challenge", terms_values(terms), claim, value=wei)

    def point(
        self,
        claim: bytes,
        number: int,
        levels: int,
        index: int,
        child: bytes,
        siblings: Sequence[bytes],
    ) -> Call:
        return self._move(claim, number, "point", levels, index, child, list(siblings))

    def enter(
        self, claim: bytes, number: int, terms: JobTerms, into: int, proof: AnyProof
    ) -> Call:
        return self._move(claim, number, "enter", terms_values(terms), into, encoded(proof))

    def open(self, claim: bytes, number: int, nodes: Sequence[bytes]) -> Call:
        return self._move(claim, number, "open", list(nodes))

    def open_step(self, claim: bytes, number: int, step: int, nodes: Sequence[bytes]) -> Call:
        return self._move(claim, number, "openStep", step, list(nodes))

    def reveal(self, claim: bytes, number: int, nodes: Sequence[bytes]) -> Call:
        return self._move(claim, number, "reveal", list(nodes))

    def reveal_block(self, claim: bytes, number: int, data: bytes) -> Call:
        return self._move(claim, number, "revealBlock", data)

    def prove(
        self, claim: bytes, number: int, terms: JobTerms, kind: int, proof: AnyProof
    ) -> Call:
        return self._move(claim, number, "prove", terms_values(terms), kind, encoded(proof))

    def timeout_provider(self, claim: bytes, number: int, terms: JobTerms) -> Call:
        return self._move(claim, number, "timeoutProvider", terms_values(terms))

    def timeout_challengers(self, claim: bytes, numbers: Sequence[int]) -> Call:
        what = f"timeoutChallengers in challenge {', '.join(map(str, numbers))} of {short(claim)}"
        return self._call(what, "timeoutChallengers", claim, list(numbers))

    def collect(self, claim: bytes, number: int) -> Call:
        return self._move(claim, number, "collect")

    def move(self, claim: bytes, number: int, terms: JobTerms, move: Move) -> Call:
        """The call that makes a player's move."""
        match move:
            case Point(levels, index, child, siblings):
                return self.point(claim, number, levels, index, child, siblings)
            case Enter(into, proof):
                return self.enter(claim, number, terms, into, proof)
            case Open(nodes):
                return self.open(claim, number, nodes)
            case OpenStep(step, nodes):
                return self.open_step(claim, number, step, nodes)
            case Reveal(nodes):
                return self.reveal(claim, number, nodes)
            case RevealBlock(data):
                return self.reveal_block(claim, number, data)
            case Prove(kind, proof):
                return self.prove(claim, number, terms, kind, proof)

    def play(self, claim: bytes, terms: JobTerms, moves: Sequence[tuple[int, Move]]) -> Call:
        """The call that makes moves, (number of the challenge, move) each, in order: all or none.

        One move alone is its own call, which costs less.
        """
        return self.together([self.move(claim, number, terms, move) for number, move in moves])

    def together(self, calls: Sequence[Call], *, every: bool = True) -> Call:
        """The call that makes others of this contract that bring no wei, in order: ``every`` one or
        none; else, when it is mined, those that are not refused by then."""
        return calls[0] if len(calls) == 1 else self.parts(calls, every=every)

    def parts(self, calls: Sequence[Call], *, every: bool) -> Call:
        """``together``, also of one call: as a part of others, it may be left out alone."""
        functions, places = zip(*(call.what.partition(" in ")[::2] for call in calls), strict=True)
        what = f"{', '.join(dict.fromkeys(functions))} in {', '.join(dict.fromkeys(places))}"
        call = self._call(what, "play", [call.data for call in calls], True)
        sent = self.abi.encode("play", [call.sent or call.data for call in calls], every)
        return call if sent == call.data else replace(call, sent=sent)


class Court(Money):
    """Calls of Court: data that is withheld, jobs that are illegal."""

    def __init__(self, address: bytes) -> None:
        super().__init__("Court", address)

    def demand(
        self, terms: JobTerms, claim: bytes, part: Part, item: int, index: int, wei: int
    ) -> Call:
        what = f"demand {part.name} {item} {index} of {short(claim)}"
        values = (terms_values(terms), claim, part, item, index)
        return self._call(what, "demand", *values, value=wei)

    def answer(
        self, terms: JobTerms, claim: bytes, part: Part, item: int, index: int, proof: Answer
    ) -> Call:
        what = f"answer {part.name} {item} {index} of {short(claim)}"
        values = (terms_values(terms), claim, part, item, index, encoded(proof))
        return self._call(what, "answer", *values)

    def timeout(self, terms: JobTerms, claim: bytes, number: int) -> Call:
        what = f"timeout of demand {number} of {short(claim)}"
        return self._call(what, "timeout", terms_values(terms), claim, number)

    def collect(self, claim: bytes, numbers: Sequence[int]) -> Call:
        what = f"collect the fees of demands {', '.join(map(str, numbers))} of {short(claim)}"
        return self._call(what, "collect", claim, list(numbers))

    def prove_illegal(
        self, terms: JobTerms, kind: Illegality, proof: Case, job: bytes = b""
    ) -> Call:
        what = f"prove {short(job)} illegal, {kind.name}"
        return self._call(what, "proveIllegal", terms_values(terms), kind, encoded(proof))


class Token:
    """Calls of the ERC-20; ``mint`` exists on the development token alone."""

    def __init__(self, address: bytes) -> None:
        self.abi: Interface = interface("DevToken")
        self.address = address

    def _call(self, what: str, function: str, *values: Any) -> Call:
        return Call(self.address, self.abi.encode(function, *values), 0, what)

    def approve(self, spender: bytes, amount: int) -> Call:
        return self._call(f"approve {amounts.tokens(amount)}", "approve", spender, amount)

    def transfer(self, to: bytes, amount: int) -> Call:
        return self._call(f"send {amounts.tokens(amount)}", "transfer", to, amount)

    def mint(self, to: bytes, amount: int) -> Call:
        return self._call(f"mint {amounts.tokens(amount)}", "mint", to, amount)


@dataclass(frozen=True)
class Contracts:
    """The calls of one deployment."""

    market: Market
    registry: Registry
    token: Token
    game: Game
    court: Court

    @classmethod
    def of(cls, deployment: Deployment) -> Contracts:
        return cls(
            Market(deployment.market),
            Registry(deployment.registry),
            Token(deployment.token),
            Game(deployment.game),
            Court(deployment.court),
        )

    @property
    def money(self) -> dict[str, Money]:
        """The contracts that owe credits, by the names of ``Balances.credits``."""
        return {
            "market": self.market, "registry": self.registry, "game": self.game,
            "court": self.court,
        }  # fmt: skip
