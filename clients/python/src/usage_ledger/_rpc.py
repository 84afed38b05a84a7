"""The process `usage-ledger rpc`, which answers one line of JSON for each line."""

import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

from . import _errors

NAME = "usage-ledger.exe" if os.name == "nt" else "usage-ledger"
#: Seconds for the process to finish after its input ends.
PATIENCE = 10


def find_command() -> str:
    """The command: `USAGE_LEDGER_COMMAND`, else that of this package, else the first one on the PATH."""
    if named := os.environ.get("USAGE_LEDGER_COMMAND"):
        return named
    for scheme in (None, f"{os.name}_user"):
        scripts = sysconfig.get_path("scripts", scheme) if scheme else sysconfig.get_path("scripts")
        if (Path(scripts) / NAME).is_file():
            return str(Path(scripts) / NAME)
    if found := shutil.which(NAME):
        return found
    remedy = "install the wheel of usage-ledger, or set USAGE_LEDGER_COMMAND"
    raise _errors.LedgerError(_errors.problem("unavailable", "there is no command usage-ledger", remedy))


class Rpc:
    """A process that is started when it is needed. Threads may share it."""

    def __init__(self, command: str, options: list[str], arguments: list[str]) -> None:
        self._line = [command, *options, "rpc", *arguments]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._owner = 0
        self._last = 0

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        """Runs an operation. Members that are None are left out."""
        given = {name: value for name, value in params.items() if value is not None}
        with self._lock:
            process = self._start()
            self._last += 1
            request = {"jsonrpc": "2.0", "id": self._last, "method": method, "params": given}
            try:
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except OSError:
                line = b""
            except BaseException:
                # The answer is still to come, so the process cannot take another request.
                self._stop(kill=True)
                raise
            if not line.endswith(b"\n"):
                why = self._stop(kill=True)
                detail = f"usage-ledger rpc ended: {why or 'it printed no reason'}"
                raise _errors.LedgerError(_errors.problem("unavailable", detail, "correct the cause, and repeat the call"))
        answer = json.loads(line)
        if "error" in answer:
            raise _errors.of(answer["error"]["data"], answer["error"]["code"])
        return answer["result"]

    def close(self) -> None:
        """Ends the process. The next request starts another one."""
        with self._lock:
            self._stop(kill=False)

    def _start(self) -> subprocess.Popen[bytes]:
        # A fork shares the pipes of its parent, so it needs its own process.
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        if self._process is not None and self._owner == os.getpid():
            self._stop(kill=True)
        self._errors = tempfile.TemporaryFile()
        self._owner, self._process = os.getpid(), None
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(self._line, stdin=pipe, stdout=pipe, stderr=self._errors)
        except OSError as error:
            self._errors.close()
            detail = f"usage-ledger cannot be started: {error}"
            remedy = "install it, or set USAGE_LEDGER_COMMAND"
            raise _errors.LedgerError(_errors.problem("unavailable", detail, remedy)) from error
        return self._process

    def _stop(self, *, kill: bool) -> str:
        """Ends the process, and returns what it printed to stderr."""
        process, errors, self._process, self._errors = self._process, self._errors, None, None
        if process is None or errors is None or self._owner != os.getpid():
            return ""
        with errors:
            try:
                if process.stdin is not None:
                    process.stdin.close()
                process.wait(PATIENCE)
            except (OSError, subprocess.TimeoutExpired):
                kill = True
            finally:
                if kill:
                    process.kill()
                    process.wait()
                if process.stdout is not None:
                    process.stdout.close()
            errors.seek(0)
            return errors.read().decode(errors="replace").strip()
