"""The Python client with the real SDKs: each test starts with an empty ledger.

    python python_client.py ADDRESS_OF_THE_STUB
"""

import asyncio
import inspect
import os
import subprocess
import sys
import tempfile
import threading
import time
import types
import typing
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Union

import anthropic
import openai

import usage_ledger
from usage_ledger import AsyncLedger, Gated, Ledger, LedgerError, Receipt, Report, Reservation, Scan, Status, Tally, Verdict

ADDRESS = sys.argv[1]
GPT, CLAUDE = "gpt-5", "claude-opus-4-5"
chatgpt = openai.OpenAI(base_url=f"{ADDRESS}/v1", api_key="none", max_retries=0)
claude = anthropic.Anthropic(base_url=ADDRESS, api_key="none", max_retries=0)
async_chatgpt = openai.AsyncOpenAI(base_url=f"{ADDRESS}/v1", api_key="none", max_retries=0)
async_claude = anthropic.AsyncAnthropic(base_url=ADDRESS, api_key="none", max_retries=0)


def rows(ledger: Ledger, *by: str) -> dict[Any, Any]:
    """The counts of each row: requests, input, cache_read, output, reasoning."""
    classes = ("input", "cache_read", "output", "reasoning")
    report = ledger.report(by=list(by))
    return {
        tuple(row[key] for key in by): (row["requests"], *(row["tokens"][name] for name in classes))
        for row in report["rows"]
    }


def kinds(ledger: Ledger) -> list[str]:
    return [one["event"]["kind"] for one in ledger.ask("events")["events"]]


def conforms(answer: Any, shape: Any) -> None:
    """Refuses missing and unknown members, and members of another type."""
    if typing.is_typeddict(shape):
        assert isinstance(answer, dict), answer
        members = typing.get_type_hints(shape)
        assert shape.__required_keys__ <= set(answer) <= set(members), (shape, set(answer) ^ set(members))
        for name, value in answer.items():
            conforms(value, members[name])
        return
    origin, arguments = typing.get_origin(shape), typing.get_args(shape)
    if origin is list:
        assert isinstance(answer, list), answer
        for item in answer:
            conforms(item, arguments[0])
    elif origin is Literal:
        assert answer in arguments, (answer, arguments)
    elif origin in (Union, types.UnionType):
        matching = [one for one in arguments if fits(answer, one)]
        assert matching, (answer, shape)
    elif shape is not Any and origin is not dict:
        kinds = (int, float) if shape is float else (shape,)
        assert type(answer) in kinds, (answer, shape)


def fits(answer: Any, shape: Any) -> bool:
    try:
        conforms(answer, shape)
    except AssertionError:
        return False
    return True


def test_the_operations_answer_in_their_types(ledger: Ledger) -> None:
    first = ledger.record(provider="anthropic", model=CLAUDE, input=120, output=40, key="msg_1", project="acme")
    conforms(first, Receipt)
    again = ledger.record(provider="anthropic", model=CLAUDE, input=120, output=40, key="msg_1", project="acme")
    assert (again["recorded"], again["duplicates"], again["positions"]) == (0, 1, first["positions"])
    conforms(ledger.records([{"provider": "openai", "input": 1, "key": "a"}, {"provider": "openai", "input": 2}]), Tally)
    conforms(ledger.switch("openai", reason="a try"), Receipt)
    conforms(ledger.gate("anthropic", need="deep"), Verdict)
    reservation = ledger.reserve("anthropic", 500, lasts="5m", key="r")
    conforms(reservation, Reservation)
    conforms(ledger.settle(reservation["id"], model=CLAUDE, input=4), Receipt)
    other = ledger.reserve("anthropic", 500)
    conforms(ledger.release(other["id"], reason="not needed"), Receipt)
    conforms(ledger.scan(provider="openai", text="all is well"), Scan)
    conforms(ledger.report(by=["day", "model"]), Report)
    conforms(ledger.status(), Status)
    assert ledger.report(as_of="1")["total"]["requests"] == 1
    assert ledger.report()["total"]["requests"] == 4


def test_an_error_names_its_kind_and_remedy(ledger: Ledger) -> None:
    for ask, kind, code in (
        (lambda: ledger.gate("antropic"), "unknown-provider", -32001),
        (lambda: ledger.record(provider="openai"), "invalid-input", -32602),
        (lambda: ledger.status(as_of="99"), "not-found", -32002),
        (lambda: ledger.ask("nothing"), "no-method", -32601),
    ):
        try:
            ask()
        except LedgerError as error:
            assert (error.kind, error.code) == (kind, code) and error.remedy in str(error), error
        else:
            raise AssertionError(kind)


def test_a_call_records_what_the_response_reports(ledger: Ledger) -> None:
    with ledger.call("openai", model=GPT, project="acme", agent="a", labels={"team": "x"}) as call:
        # `record` keeps the overloads of the SDK.
        answer = call.record(chatgpt.chat.completions.create(model=GPT, messages=[{"role": "user", "content": "Hello"}]))
        assert answer.choices[0].message.content == "A SECRET ANSWER" and call.verdict["gated"] is False
        response = call.run(chatgpt.responses.create, model=GPT, input="Hello")
        # The same response is recorded once.
        call.record(response)
    assert [receipt["recorded"] for receipt in call.receipts] == [1, 1, 0]
    with ledger.call("anthropic", model=CLAUDE, project="acme") as call:
        message = call.record(claude.messages.create(model=CLAUDE, max_tokens=9, messages=[{"role": "user", "content": "Hi"}]))
        assert message.usage.input_tokens == 30
    assert rows(ledger, "provider", "model", "project") == {
        ("anthropic", CLAUDE, "acme"): (1, 30, 100, 9, 0),
        ("openai", GPT, "acme"): (2, 20, 12, 9, 3),
    }
    assert rows(ledger, "agent", "label:team")["a", "x"][0] == 2
    events = ledger.ask("events")
    assert "SECRET" not in str(events), "no text of a model is sent to the ledger"
    assert "web_search" in str(events), "uses of the provider's tools are counted"


def test_a_stream_is_recorded_when_it_ends(ledger: Ledger) -> None:
    with ledger.call("openai", model=GPT) as call:
        options: Any = {"include_usage": True}
        messages: Any = [{"role": "user", "content": "Hello"}]
        chunks = call.run(
            chatgpt.chat.completions.create, model=GPT, messages=messages, stream=True, stream_options=options
        )
        assert len(list(chunks)) == 3 and len(call.receipts) == 1
        with call.run(chatgpt.responses.create, model=GPT, input="Hello", stream=True) as events:
            assert [event.type for event in events][-1] == "response.completed"
    with ledger.call("anthropic", model=CLAUDE) as call:
        ask: Any = [{"role": "user", "content": "Hello"}]
        for _ in call.run(claude.messages.create, model=CLAUDE, max_tokens=9, messages=ask, stream=True):
            pass
        with claude.messages.stream(model=CLAUDE, max_tokens=9, messages=ask) as stream:
            assert "".join(stream.text_stream) == "A SECRET"
            call.record(stream.get_final_message())
    assert rows(ledger, "model") == {(CLAUDE,): (2, 60, 200, 18, 0), (GPT,): (2, 20, 12, 9, 3)}


def test_a_stream_that_is_left_early_records_what_it_reported(ledger: Ledger) -> None:
    ask: Any = [{"role": "user", "content": "Hello"}]
    with ledger.call("anthropic", model=CLAUDE) as call:
        for _ in call.run(claude.messages.create, model=CLAUDE, max_tokens=9, messages=ask, stream=True):
            break
    assert rows(ledger, "model") == {(CLAUDE,): (1, 30, 100, 1, 0)}
    # Without usage in the stream nothing is known, so nothing is recorded, and the caller is warned.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ledger.call("openai", model=GPT, tokens=100) as call:
            list(call.run(chatgpt.chat.completions.create, model=GPT, messages=ask, stream=True))
    assert "include_usage" in str(caught[-1].message)
    assert kinds(ledger) == ["tokens_recorded", "budget_reserved", "budget_released"]


def test_a_reservation_is_settled_or_released(ledger: Ledger) -> None:
    with ledger.call("openai", model=GPT, tokens=1000) as call:
        call.run(chatgpt.responses.create, model=GPT, input="Hello")
    try:
        with ledger.call("openai", model=GPT, tokens=1000) as call:
            call.run(chatgpt.responses.create, model=GPT, input="be broken")
    except openai.InternalServerError:
        pass
    else:
        raise AssertionError("an error of the call is raised")
    assert kinds(ledger)[:2] == ["budget_reserved", "tokens_recorded"]
    assert kinds(ledger)[-2:] == ["budget_reserved", "budget_released"]


def test_a_refusal_is_recorded_and_shuts_the_gate(ledger: Ledger) -> None:
    ask: Any = [{"role": "user", "content": "be refused"}]
    for provider, model, run, refused in (
        ("anthropic", CLAUDE, lambda: claude.messages.create(model=CLAUDE, max_tokens=9, messages=ask), anthropic.RateLimitError),
        ("openai", GPT, lambda: chatgpt.responses.create(model=GPT, input="be refused"), openai.RateLimitError),
    ):
        started = time.time()
        try:
            with ledger.call(provider, model=model, tokens=50) as call:
                call.run(run)
        except refused:
            pass
        else:
            raise AssertionError("the refusal is raised")
        assert kinds(ledger)[-3:] == ["budget_reserved", "quota_exhausted", "budget_released"]
        try:
            with ledger.call(provider, model=model):
                raise AssertionError("the gate is shut")
        except Gated as gated:
            assert gated.verdict is not None and gated.resumes_at is not None
            left = datetime.fromisoformat(gated.resumes_at).timestamp() - started
            # Two minutes, and ten more until the provider is asked again.
            assert 690 < left < 780, left
    assert rows(ledger, "provider") == {}


def test_a_call_that_does_not_fit_is_gated(ledger: Ledger) -> None:
    limit = ["limit", "set", "anthropic", "--session", "1000"]
    subprocess.run([usage_ledger._rpc.find_command(), *limit], check=True, capture_output=True)
    try:
        with ledger.call("anthropic", model=CLAUDE, tokens=5000):
            raise AssertionError("it does not fit")
    except Gated as gated:
        assert gated.verdict is None and gated.kind == "wait"


def test_threads_share_a_ledger_and_a_process_that_dies_is_replaced(ledger: Ledger) -> None:
    def work(number: int) -> None:
        for step in range(10):
            ledger.record(provider="openai", model=GPT, input=1, key=f"{number}-{step}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.report()["total"]["requests"] == 40
    assert ledger._rpc._process is not None
    ledger._rpc._process.kill()
    ledger._rpc._process.wait()
    assert ledger.record(provider="openai", model=GPT, input=1, key="0-0")["duplicates"] == 1


def test_a_fork_has_a_process_of_its_own(ledger: Ledger) -> None:
    ledger.record(provider="openai", model=GPT, input=1, key="parent")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        ledger.record(provider="openai", model=GPT, input=1, key="child")
        ledger.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert ledger.report()["total"]["requests"] == 2


def test_a_ledger_that_cannot_be_opened_says_why(ledger: Ledger) -> None:
    for other in (Ledger("/dev/null/usage.db"), Ledger(command="/dev/null/usage-ledger")):
        with other:
            try:
                other.status()
            except LedgerError as error:
                assert error.kind == "unavailable" and "/dev/null" in str(error) or "Not a directory" in str(error), error
            else:
                raise AssertionError("there is no such directory")


def test_asyncio(ledger: Ledger) -> None:
    ask: Any = [{"role": "user", "content": "Hello"}]

    async def work() -> None:
        async with AsyncLedger() as other:
            conforms(await other.gate("openai"), Verdict)
            async with other.call("openai", model=GPT, tokens=100) as call:
                await call.run(async_chatgpt.responses.create, model=GPT, input="Hello")
                chunks = await call.run(async_chatgpt.responses.create, model=GPT, input="Hello", stream=True)
                async for _ in chunks:
                    pass
            async with other.call("anthropic", model=CLAUDE) as call:
                stream = await call.run(
                    async_claude.messages.create, model=CLAUDE, max_tokens=9, messages=ask, stream=True
                )
                async for _ in stream:
                    pass
                await call.record(await async_claude.messages.create(model=CLAUDE, max_tokens=9, messages=ask))
            try:
                async with other.call("openai", model=GPT, tokens=50) as call:
                    await call.run(async_chatgpt.responses.create, model=GPT, input="be refused")
            except openai.RateLimitError:
                pass
            assert (await other.gate("openai", model=GPT))["gated"]

    asyncio.run(work())
    assert rows(ledger, "model") == {(CLAUDE,): (2, 60, 200, 18, 0), (GPT,): (2, 24, 16, 8, 6)}
    assert kinds(ledger)[-2:] == ["quota_exhausted", "budget_released"]


def test_the_types_find_a_wrong_answer(ledger: Ledger) -> None:
    receipt = ledger.record(provider="openai", input=1)
    assert fits(receipt, Receipt)
    assert not fits({**receipt, "more": 1}, Receipt) and not fits({**receipt, "recorded": "1"}, Receipt)
    assert not fits({name: value for name, value in receipt.items() if name != "id"}, Receipt)


def main() -> None:
    # The wheel's own command, not one of the PATH.
    command = usage_ledger._rpc.find_command()
    assert Path(command).parent == Path(sys.executable).parent, command
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    for name, test in tests:
        assert inspect.isfunction(test)
        with tempfile.TemporaryDirectory() as directory:
            os.environ["USAGE_LEDGER"] = f"{directory}/usage.db"
            with Ledger() as ledger:
                test(ledger)
                verified = ledger.ask("version")
                assert verified["name"] == "usage-ledger"
        print(f"ok {name}")
    print(f"{len(tests)} tests of the Python client passed")


main()
