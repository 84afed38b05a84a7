"""One call of a model, from the gate to the record."""

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast

from . import _errors, _response
from ._errors import Gated, LedgerError
from ._types import FormatName, NeedName, Receipt, Reservation, TierName, Verdict

if TYPE_CHECKING:
    from ._ledger import Ledger

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds between two questions to the gate, at most.
POLL = 60.0
#: Errors after which the same request may succeed.
PASSING = ("busy", "unavailable")


@dataclass(kw_only=True)
class CallState:
    """What a call is, and how far it is. Its steps may run on another thread than the call itself."""

    ledger: "Ledger"
    provider: str
    model: str | None
    account: str | None
    project: str | None
    tier: TierName | None
    need: NeedName | None
    tokens: int | None
    lasts: str | None
    wait: bool
    format: FormatName | None
    fields: dict[str, Any]
    verdict: Verdict | None = None
    reservation: Reservation | None = None
    receipts: list[Receipt] = field(default_factory=list)
    streams: list[_response.Chunks] = field(default_factory=list)

    def ask_gate(self) -> float:
        """Asks the gate, and reserves tokens. Returns the number of seconds to wait, which is 0 if the call may start."""
        verdict = self.verdict = self.ledger.gate(
            self.provider,
            account=self.account,
            model=self.model,
            project=self.project,
            tier=self.tier,
            need=self.need,
        )
        try:
            if verdict["gated"]:
                problem = _errors.problem("wait", verdict["reason"], "wait until `resumes_at`, or use another provider")
                if verdict["resumes_at"] is not None:
                    problem["resumes_at"] = verdict["resumes_at"]
                raise Gated(problem, verdict=verdict)
            if self.tokens is not None:
                self.reservation = self.ledger.reserve(
                    self.provider,
                    self.tokens,
                    lasts=self.lasts,
                    account=self.account,
                    model=self.model,
                    tier=self.tier,
                )
        except Gated as gated:
            if not self.wait:
                raise
            return seconds_until(gated.resumes_at)
        return 0.0

    def save(self, body: dict[str, Any], response: object) -> None:
        """Records the tokens of a response, and settles the reservation with the first one."""
        named = {"model": self.model, "account": self.account, "project": self.project}
        # The response names the model that answered.
        if isinstance(body["response"], str) or "model" in body["response"]:
            del named["model"]
        call = {**named, **self.fields, **body, "provider": self.provider}
        for attempt in (1, 2):
            try:
                if self.reservation is not None:
                    receipt = self.ledger.ask("settle", reservation=self.reservation["id"], **call)
                else:
                    receipt = self.ledger.ask("record", **call)
            except LedgerError as error:
                if error.kind in PASSING and attempt == 1:
                    continue
                error.response = response
                raise
            break
        self.reservation = None
        self.receipts.append(receipt)
        for warning in receipt.get("warnings", []):
            warnings.warn(warning, RuntimeWarning, stacklevel=2)

    def finish(self, chunks: _response.Chunks) -> None:
        """Records a stream that has ended or that nobody reads any more."""
        if chunks not in self.streams:
            return
        self.streams.remove(chunks)
        if chunks.reports_usage:
            self.save(chunks.body(self.format, self.provider), None)
        else:
            warnings.warn(
                "the stream reported no tokens, so nothing is recorded: for chat completions of OpenAI, pass "
                'stream_options={"include_usage": True}',
                RuntimeWarning,
                stacklevel=2,
            )

    def end(self, error: BaseException | None) -> None:
        """Records what open streams reported and a refusal of the provider, and releases an unused reservation."""
        for chunks in self.streams.copy():
            self.finish(chunks)
        if (refused := _response.refusal(error)) is not None:
            self.ledger.ask("scan", provider=self.provider, account=self.account, model=self.model, **refused)
        if self.reservation is not None:
            reason = "the call reported no tokens" if error is None else type(error).__name__
            self.ledger.release(self.reservation["id"], reason=reason)
            self.reservation = None


def seconds_until(resumes_at: str | None) -> float:
    """How long to wait before the gate is asked again: at least a second, at most a minute."""
    if resumes_at is None:
        return POLL
    left = (datetime.fromisoformat(resumes_at) - datetime.now(UTC)).total_seconds()
    return min(max(left, 1.0), POLL)


class Observed(Iterator[Any]):
    """A stream of an SDK, with the same attributes, whose tokens are recorded when it ends."""

    def __init__(self, stream: Any, state: CallState) -> None:
        self._stream, self._state, self._chunks = stream, state, _response.Chunks()
        state.streams.append(self._chunks)

    def __next__(self) -> Any:
        try:
            chunk = next(self._stream)
        except StopIteration:
            self._state.finish(self._chunks)
            raise
        self._chunks.add(chunk)
        return chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the stream early. The tokens that it reported are recorded."""
        if hasattr(self._stream, "close"):
            self._stream.close()
        self._state.finish(self._chunks)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Call:
    """A call of a model: `with ledger.call("anthropic", model=…) as call`."""

    def __init__(self, state: CallState) -> None:
        self._state = state

    def __enter__(self) -> Self:
        while seconds := self._state.ask_gate():
            time.sleep(seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._state.end(error)
        except LedgerError as failed:
            if error is None:
                raise
            # The error of the call is the one to see.
            error.add_note(f"usage-ledger: {failed}")

    @property
    def verdict(self) -> Verdict:
        """The decision of the gate."""
        assert self._state.verdict is not None, "the call has not begun: use `with`"
        return self._state.verdict

    @property
    def receipts(self) -> list[Receipt]:
        """The records of this call."""
        return self._state.receipts

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a function of an SDK, records what its response reports, and returns the response."""
        return self.record(function(*args, **kwargs))

    def record(self, response: T) -> T:
        """Records what a response of an SDK reports, and returns the response. A stream is recorded when it ends."""
        if hasattr(response, "__anext__") or hasattr(response, "__await__"):
            raise TypeError("this response is asynchronous: use AsyncLedger")
        if _response.is_stream(response):
            return cast(T, Observed(response, self._state))
        self._state.save(_response.body(response, self._state.format, self._state.provider), response)
        return response
