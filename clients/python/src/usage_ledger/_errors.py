"""Errors of the ledger."""

from typing import Any

from ._types import Problem, Verdict


class LedgerError(Exception):
    """An error of the ledger. `kind` is a name of the list in docs/interfaces.md, such as `conflict`."""

    def __init__(self, problem: Problem, code: int | None = None) -> None:
        super().__init__(f"{problem['detail']} ({problem['remedy']})")
        self.problem = problem
        self.kind = problem["type"].rsplit(":", 1)[-1]
        self.remedy = problem["remedy"]
        self.code = code
        #: The response of the model whose tokens could not be recorded, if there is one.
        self.response: Any = None


class Gated(LedgerError):
    """The call must wait: the gate is closed, or the reservation does not fit."""

    def __init__(self, problem: Problem, code: int | None = None, verdict: Verdict | None = None) -> None:
        super().__init__(problem, code)
        #: The decision of the gate; `None` if a reservation was refused.
        self.verdict = verdict
        #: When a retry may succeed, in RFC 3339, if that is known.
        self.resumes_at = problem.get("resumes_at")


def problem(kind: str, detail: str, remedy: str) -> Problem:
    """A problem that this package finds itself."""
    return {
        "type": f"urn:usage-ledger:problem:{kind}",
        "title": kind,
        "status": 429 if kind == "wait" else 503,
        "detail": detail,
        "remedy": remedy,
    }


def of(problem: Problem, code: int) -> LedgerError:
    """The exception for a problem that the ledger answers."""
    return Gated(problem, code) if problem["type"].endswith(":wait") else LedgerError(problem, code)
