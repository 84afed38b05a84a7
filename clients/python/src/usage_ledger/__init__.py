"""A ledger of LLM token usage, kept by the command `usage-ledger` of this package.

    from usage_ledger import Ledger

    with Ledger() as ledger:
        with ledger.call("anthropic", model="claude-opus-4-5") as call:
            message = call.run(client.messages.create, model="claude-opus-4-5", max_tokens=1024, messages=messages)

The gate is asked before the call. The tokens that the response reports are recorded. A refusal of the provider is
recorded, too, and closes the gate until the quota resets.
"""

from ._async import AsyncCall, AsyncLedger
from ._call import Call
from ._errors import Gated, LedgerError
from ._ledger import Ledger
from ._types import (
    FormatName,
    GateInput,
    NeedName,
    Problem,
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

__all__ = [
    "AsyncCall",
    "AsyncLedger",
    "Call",
    "FormatName",
    "GateInput",
    "Gated",
    "Ledger",
    "LedgerError",
    "NeedName",
    "Problem",
    "Receipt",
    "RecordInput",
    "Report",
    "ReportInput",
    "Reservation",
    "Scan",
    "ScanInput",
    "Status",
    "Tally",
    "TierName",
    "Verdict",
]
