"""The operations of the ledger."""

import os
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self, Unpack, cast

from ._call import Call, CallState
from ._rpc import Rpc, find_command
from ._types import (
    FormatName,
    NeedName,
    Receipt,
    RecordInput,
    Report,
    ReportInput,
    Reservation,
    Scan,
    ScanInput,
    Status,
    Tally,
    TierName,
    Verdict,
)


class Ledger:
    """A ledger. Threads may share it. An error is a `LedgerError` with a remedy.

    `ledger` is the file; by default that of the command (`USAGE_LEDGER`, else the user's own). `command` is the program;
    by default that of this package. `options` are further options of the command, such as `["--tz", "UTC"]`.
    """

    def __init__(
        self,
        ledger: str | os.PathLike[str] | None = None,
        *,
        command: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        options: Iterable[str] = (),
    ) -> None:
        given = [*(["--ledger", os.fspath(ledger)] if ledger is not None else []), *options]
        arguments = ["--key", os.fspath(key)] if key is not None else []
        self._rpc = Rpc(os.fspath(command) if command is not None else find_command(), given, arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process of the command. A later request starts it again."""
        self._rpc.close()

    def ask(self, method: str, /, **params: Any) -> Any:
        """Runs any operation of docs/programs.md. Parameters that are None are left out."""
        return self._rpc.ask(method, params)

    def record(self, **call: Unpack[RecordInput]) -> Receipt:
        """Records a call. With a `key`, an `id` or a response with an id, a repeated request finds the first record."""
        return cast(Receipt, self.ask("record", **call))

    def records(self, calls: Iterable[RecordInput]) -> Tally:
        """Records many calls, all or none."""
        return cast(Tally, self.ask("records", records=list(calls)))

    def switch(self, provider: str, *, reason: str | None = None, key: str | None = None) -> Receipt:
        """Marks that work moves to another provider. No counter changes."""
        return cast(Receipt, self.ask("switch", provider=provider, reason=reason, key=key))

    def gate(
        self,
        provider: str | None = None,
        *,
        account: str | None = None,
        model: str | None = None,
        project: str | None = None,
        tier: TierName | None = None,
        need: NeedName | None = None,
        allow_undeclared: bool | None = None,
        as_of: str | None = None,
    ) -> Verdict:
        """Decides whether a run may start. A closed gate is an answer with `gated` true."""
        verdict = self.ask(
            "gate",
            provider=provider,
            account=account,
            model=model,
            project=project,
            tier=tier,
            need=need,
            allow_undeclared=allow_undeclared,
            as_of=as_of,
        )
        return cast(Verdict, verdict)

    def reserve(
        self,
        provider: str,
        tokens: int,
        *,
        lasts: str | None = None,
        account: str | None = None,
        model: str | None = None,
        tier: TierName | None = None,
        allow_undeclared: bool | None = None,
        key: str | None = None,
    ) -> Reservation:
        """Sets tokens aside for a call, for at most `lasts`, such as "10m". Raises `Gated` if they do not fit."""
        wanted = {"provider": provider, "tokens": tokens, "for": lasts, "account": account, "model": model}
        rest = {"tier": tier, "allow_undeclared": allow_undeclared, "key": key}
        return cast(Reservation, self.ask("reserve", **wanted, **rest))

    def settle(self, reservation: str, **call: Unpack[RecordInput]) -> Receipt:
        """Ends a reservation with the record of its call. Settling again with the same record changes nothing."""
        return cast(Receipt, self.ask("settle", reservation=reservation, **call))

    def release(self, reservation: str, *, reason: str | None = None) -> Receipt:
        """Ends a reservation without a call."""
        return cast(Receipt, self.ask("release", reservation=reservation, reason=reason))

    def scan(self, **output: Unpack[ScanInput]) -> Scan:
        """Detects an exhausted quota in the output of a run or in a provider's error, and records it."""
        return cast(Scan, self.ask("scan", **output))

    def report(self, **query: Unpack[ReportInput]) -> Report:
        """Sums requests, tokens and cost: `ledger.report(by=["day", "model"], since="2026-06-01")`."""
        return cast(Report, self.ask("report", **query))

    def status(self, *, as_of: str | None = None) -> Status:
        """The active provider, and the quota windows of each provider account."""
        return cast(Status, self.ask("status", as_of=as_of))

    def call(
        self,
        provider: str,
        *,
        model: str | None = None,
        account: str | None = None,
        project: str | None = None,
        conversation: str | None = None,
        agent: str | None = None,
        labels: Mapping[str, str] | None = None,
        tokens: int | None = None,
        lasts: str | None = None,
        tier: TierName | None = None,
        need: NeedName | None = None,
        format: FormatName | None = None,
        wait: bool = False,
    ) -> Call:
        """A call of a model, for `with`.

        The gate is asked at the beginning; `Gated` is raised if it is closed, or with `wait` the call begins when it
        opens. `tokens` are reserved until the response is recorded. `format` names the API if the response does not show it.
        """
        fields = {
            "conversation": conversation,
            "agent": agent,
            "labels": dict(labels) if labels is not None else None,
        }
        return Call(
            CallState(
                ledger=self,
                provider=provider,
                model=model,
                account=account,
                project=project,
                tier=tier,
                need=need,
                tokens=tokens,
                lasts=lasts,
                wait=wait,
                format=format,
                fields=fields,
            )
        )
