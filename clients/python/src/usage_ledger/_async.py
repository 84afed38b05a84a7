"""The same for programs with asyncio. The ledger works on another thread, so the event loop is never blocked."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack, cast

from . import _response
from ._call import Call, CallState
from ._errors import LedgerError
from ._ledger import Ledger
from ._types import (
    Receipt,
    RecordInput,
    Report,
    ReportInput,
    Reservation,
    Scan,
    ScanInput,
    Status,
    Tally,
    Verdict,
)

P = ParamSpec("P")
T = TypeVar("T")


class AsyncObserved(AsyncIterator[Any]):
    """An asynchronous stream of an SDK, with the same attributes, whose tokens are recorded when it ends."""

    def __init__(self, stream: Any, state: CallState) -> None:
        self._stream, self._state, self._chunks = stream, state, _response.Chunks()
        state.streams.append(self._chunks)

    async def __anext__(self) -> Any:
        try:
            chunk = await anext(self._stream)
        except StopAsyncIteration:
            await asyncio.to_thread(self._state.finish, self._chunks)
            raise
        self._chunks.add(chunk)
        return chunk

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the stream early. The tokens that it reported are recorded."""
        if hasattr(self._stream, "close"):
            await self._stream.close()
        await asyncio.to_thread(self._state.finish, self._chunks)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class AsyncCall:
    """A call of a model: `async with ledger.call("openai", model=…) as call`."""

    def __init__(self, call: Call) -> None:
        self._call, self._state = call, call._state

    async def __aenter__(self) -> Self:
        while seconds := await asyncio.to_thread(self._state.ask_gate):
            await asyncio.sleep(seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # A cancelled call still ends its reservation.
            await asyncio.shield(asyncio.to_thread(self._state.end, error))
        except LedgerError as failed:
            if error is None:
                raise
            error.add_note(f"usage-ledger: {failed}")

    @property
    def verdict(self) -> Verdict:
        """The decision of the gate."""
        return self._call.verdict

    @property
    def receipts(self) -> list[Receipt]:
        """The records of this call."""
        return self._call.receipts

    async def run(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a function of an SDK, records what its response reports, and returns the response."""
        return await self.record(await function(*args, **kwargs))

    async def record(self, response: T) -> T:
        """Records what a response of an SDK reports, and returns the response. A stream is recorded when it ends."""
        if _response.is_stream(response):
            if not hasattr(response, "__anext__"):
                raise TypeError("this stream is synchronous: use Ledger")
            return cast(T, AsyncObserved(response, self._state))
        body = _response.body(response, self._state.format, self._state.provider)
        await asyncio.to_thread(self._state.save, body, response)
        return response


class AsyncLedger:
    """A ledger for programs with asyncio: the operations of `Ledger`, which are awaited."""

    def __init__(
        self,
        ledger: str | os.PathLike[str] | None = None,
        *,
        command: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        options: Iterable[str] = (),
    ) -> None:
        self._ledger = Ledger(ledger, command=command, key=key, options=options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the process of the command. A later request starts it again."""
        await asyncio.to_thread(self._ledger.close)

    async def ask(self, method: str, /, **params: Any) -> Any:
        """Runs any operation of docs/programs.md. Parameters that are None are left out."""
        return await asyncio.to_thread(self._ledger.ask, method, **params)

    async def record(self, **call: Unpack[RecordInput]) -> Receipt:
        """Records a call. With a `key`, an `id` or a response with an id, a repeated request finds the first record."""
        return await asyncio.to_thread(self._ledger.record, **call)

    async def records(self, calls: Iterable[RecordInput]) -> Tally:
        """Records many calls, all or none."""
        return await asyncio.to_thread(self._ledger.records, calls)

    async def switch(self, provider: str, *, reason: str | None = None, key: str | None = None) -> Receipt:
        """Marks that work moves to another provider. No counter changes."""
        return await asyncio.to_thread(self._ledger.switch, provider, reason=reason, key=key)

    async def gate(self, provider: str | None = None, **options: Any) -> Verdict:
        """Decides whether a run may start. The options are those of `Ledger.gate`."""
        return await asyncio.to_thread(self._ledger.gate, provider, **options)

    async def reserve(self, provider: str, tokens: int, **options: Any) -> Reservation:
        """Sets tokens aside for a call. The options are those of `Ledger.reserve`."""
        return await asyncio.to_thread(self._ledger.reserve, provider, tokens, **options)

    async def settle(self, reservation: str, **call: Unpack[RecordInput]) -> Receipt:
        """Ends a reservation with the record of its call."""
        return await asyncio.to_thread(self._ledger.settle, reservation, **call)

    async def release(self, reservation: str, *, reason: str | None = None) -> Receipt:
        """Ends a reservation without a call."""
        return await asyncio.to_thread(self._ledger.release, reservation, reason=reason)

    async def scan(self, **output: Unpack[ScanInput]) -> Scan:
        """Detects an exhausted quota in the output of a run or in a provider's error, and records it."""
        return await asyncio.to_thread(self._ledger.scan, **output)

    async def report(self, **query: Unpack[ReportInput]) -> Report:
        """Sums requests, tokens and cost."""
        return await asyncio.to_thread(self._ledger.report, **query)

    async def status(self, *, as_of: str | None = None) -> Status:
        """The active provider, and the quota windows of each provider account."""
        return await asyncio.to_thread(self._ledger.status, as_of=as_of)

    def call(self, provider: str, **options: Any) -> AsyncCall:
        """A call of a model, for `async with`. The options are those of `Ledger.call`."""
        return AsyncCall(self._ledger.call(provider, **options))
