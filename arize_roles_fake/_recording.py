"""What a service answers to a fixed script of calls, written down and compared with the fake.

A recording is JSON: the calls, with placeholders for what differs from run to run, and beside each
what was answered. It holds no API key, no role but those that the script made, and of what the
answers say in prose only that they say something.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, cast
from urllib.parse import quote, urlencode

import attrs
import msgspec

from arize_roles_async._call import Operation
from arize_roles_async._config import configure
from arize_roles_async._lookup import is_role_id
from arize_roles_async._options import RetryPolicy, Timeouts, retry_after
from arize_roles_async._secrets import Secret
from arize_roles_async._transport import Call
from arize_roles_async._wire import ROLES_PATH, Request, Response, role_path
from arize_roles_fake._account import FakeAccount
from arize_roles_fake._script import SCRIPT, Step

Send = Callable[[Request], Awaitable[Response]]
"""Sends a request to whom is recorded; an `Authorization` header goes before its own."""

# Kept as they are; every other value is only named by its type.
_KEPT: Final = frozenset(
    {
        *("roles", "pagination", "name", "description", "permissions", "is_predefined"),
        *("has_more", "title", "status", "type"),
    }
)
_TIMES: Final = frozenset({"created_at", "updated_at"})
_FOREIGN: Final = "<another role>"
_OPERATIONS: Final[dict[str, Operation]] = {
    "GET": "get",
    "POST": "create",
    "PATCH": "update",
    "DELETE": "delete",
}
_BUSY: Final = 429
_TRIES: Final = 5
_LONGEST_WAIT: Final = 60.0
_NOBODY: Final = {"Authorization": "Bearer no-such-key"}


@attrs.frozen(kw_only=True)
class Answer:
    """What was answered to a step, without anything that differs from run to run."""

    status: int
    content_type: str | None
    body: Any


@attrs.frozen(kw_only=True)
class Recorded:
    """A step and its answer."""

    step: Step
    answer: Answer


async def record(
    send: Send, sleep: Callable[[float], Awaitable[object]], steps: tuple[Step, ...] = SCRIPT
) -> tuple[Recorded, ...]:
    """Run a script and return what was answered; the roles that it made are deleted again.

    Args:
        send: Sends one request.
        sleep: Waits the seconds that a 429 asks for.
        steps: The script.

    Raises:
        RolesError: A request got no answer.
    """
    recorder = _Recorder(send, sleep)
    try:
        return tuple([await recorder.run(step) for step in steps])
    finally:
        await recorder.clean_up()


async def record_service(
    base_url: str | None,
    *,
    timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> tuple[Recorded, ...]:
    """Record a service over HTTP; the key, and what is not given, come from the environment.

    Args:
        base_url: The service, as for `AiohttpRolesClient`.
        timeouts: The limits of each request.
        sleep: Waits the seconds that a 429 asks for.

    Raises:
        RolesError: The configuration is wrong, or a request got no answer.
    """
    from arize_roles_async._aiohttp import AiohttpTransport

    config = configure(
        api_key=Secret(None),
        base_url=Secret(base_url),
        region=None,
        verify=None,
        ca_file=None,
        proxy=Secret(None),
        headers=Secret(None),
        allow_http=False,
    )
    transport = AiohttpTransport(config, None, 1, sleep)

    async def send(request: Request) -> Response:
        transport.check_open()
        call = Call(_OPERATIONS[request.method], timeouts, RetryPolicy(), transport.now())
        call.limit = transport.time_limit(call)
        with call.limit:
            response = await transport.send(request, call)
        body = response.redacted_body()
        return msgspec.structs.replace(response, body=body, secret=None)

    try:
        return await record(send, sleep)
    finally:
        await transport.aclose()


async def replay(recorded: tuple[Recorded, ...], account: FakeAccount) -> Iterator[str]:
    """Run a recording's script on the fake and return each difference, as a line of text.

    Args:
        recorded: The recording.
        account: What it is compared with; fresh.
    """
    authorization = {"Authorization": f"Bearer {account.api_key}"}

    async def send(request: Request) -> Response:
        headers = {**authorization, **request.headers}
        return account.handle(msgspec.structs.replace(request, headers=headers))

    again = await record(send, asyncio.sleep, tuple(each.step for each in recorded))
    return (
        f"{was.step.rule}: {difference}"
        for was, now in zip(recorded, again, strict=True)
        for difference in _differences(
            "", attrs.asdict(was.answer, recurse=False), attrs.asdict(now.answer, recurse=False)
        )
    )


def encode(recorded: tuple[Recorded, ...]) -> bytes:
    """Return a recording as the JSON of a file."""
    return msgspec.json.format(msgspec.json.encode(recorded)) + b"\n"


def decode(text: bytes) -> tuple[Recorded, ...]:
    """Return the recording that a file holds.

    Raises:
        ValueError: It holds none.
    """
    try:
        return msgspec.json.decode(text, type=tuple[Recorded, ...])
    except msgspec.MsgspecError as error:
        raise ValueError(f"this is no recording: {error}") from error


class _Recorder:
    def __init__(self, send: Send, sleep: Callable[[float], Awaitable[object]]) -> None:
        self._send = send
        self._sleep = sleep
        self._run = f"recording {secrets.token_hex(8)}"
        self._saved = {"run": self._run}
        self._made: set[str] = set()

    async def run(self, step: Step) -> Recorded:
        body = None if step.body is None else msgspec.json.encode(self._filled(step.body))
        if step.raw_body is not None:
            body = step.raw_body.encode()
        query = urlencode(self._filled(step.query), quote_via=quote, safe="")
        path = ROLES_PATH if step.role is None else role_path(self._filled(step.role))
        answer = await self._answer(
            Request(
                method=step.method,
                target=f"{path}?{query}" if query else path,
                body=body,
                headers={} if step.with_key else _NOBODY,
            )
        )
        data = _object_of(answer)
        if isinstance(data, dict):
            if step.method == "POST":
                self._made.add(data.get("id", ""))
            if step.save is not None:
                self._save(step.save, data)
        media_type = answer.headers.get("Content-Type")
        return Recorded(
            step=step,
            answer=Answer(
                status=answer.status,
                content_type=None if media_type is None else media_type.partition(";")[0].strip(),
                body=self._shown("", data) if isinstance(data, dict) else data,
            ),
        )

    async def clean_up(self) -> None:
        """Delete every role of this run, those that it did not mean to make among them."""
        cursor = ""
        while True:
            query = f"limit=100&is_predefined=false{cursor}"
            target = f"{ROLES_PATH}?{query}"
            page = _object_of(await self._answer(Request(method="GET", target=target)))
            if isinstance(page, str) or "roles" not in page:
                return
            for role in filter(self._is_own, page["roles"]):
                await self._answer(Request(method="DELETE", target=role_path(role["id"])))
            if "next_cursor" not in page["pagination"]:
                return
            cursor = f"&cursor={quote(page['pagination']['next_cursor'], safe='')}"

    async def _answer(self, request: Request) -> Response:
        answer = await self._send(request)
        for _ in range(_TRIES):
            if answer.status != _BUSY:
                break
            wait = retry_after(answer.headers.get("Retry-After"), None, 0.0)
            await self._sleep(min(1.0 if wait is None else wait, _LONGEST_WAIT))
            answer = await self._send(request)
        return answer

    def _filled(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        """Return JSON with what was saved in the place of placeholders."""
        if isinstance(value, str):
            return re.sub(r"<(.+?)>", lambda found: self._saved.get(found[1], ""), value)
        if isinstance(value, dict):
            return {k: self._filled(v) for k, v in cast("dict[str, Any]", value).items()}
        return value

    def _save(self, name: str, answer: dict[str, Any]) -> None:
        role = answer["roles"][0] if answer.get("roles") else answer
        self._saved[f"{name}.id"] = role.get("id", "")
        self._saved[f"{name}.name"] = role.get("name", "")
        self._saved[f"{name}.cursor"] = answer.get("pagination", {}).get("next_cursor", "")

    def _shown(self, field: str, value: object) -> object:
        """Return JSON with placeholders for what differs from run to run or is not ours to keep."""
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            if not self._is_own(members):
                return _FOREIGN
            return {name: self._shown(name, members[name]) for name in sorted(members)}
        if isinstance(value, list):
            shown = [self._shown(field, item) for item in cast("list[object]", value)]
            return [item for item in shown if item != _FOREIGN]
        return self._value(field, value)

    def _value(self, field: str, value: object) -> object:
        if field == "id":
            return self._role_id(str(value))
        if field in _TIMES:
            return "<time>" if _is_time(value) else "<no time with an offset>"
        if field not in _KEPT:
            return f"<{type(value).__name__}>"
        return value.replace(self._run, "<run>") if isinstance(value, str) else value

    def _is_own(self, members: dict[str, Any]) -> bool:
        is_role = "id" in members and "name" in members
        return not is_role or self._run in members["name"] or members["id"] in self._made

    def _role_id(self, role_id: str) -> str:
        names = [name for name, saved in self._saved.items() if saved == role_id]
        known = names[0] if names else "id"
        return f"<{known}>" if is_role_id(role_id) else f"<{known}, no base64 with a colon inside>"


def _object_of(answer: Response) -> dict[str, Any] | str:
    """Return the object that an answer's body is, or what it is instead."""
    if not answer.body:
        return "<empty>"
    try:
        return msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "<no JSON object>"


def _is_time(value: object) -> bool:
    try:
        return datetime.fromisoformat(str(value)).tzinfo is not None
    except ValueError:
        return False


def _differences(where: str, was: object, now: object) -> Iterator[str]:
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        recorded, fake = cast("Mapping[str, Any]", was), cast("Mapping[str, Any]", now)
        for name in sorted(recorded.keys() | fake.keys()):
            missing = "<absent>"
            yield from _differences(
                f"{where}.{name}".lstrip("."), recorded.get(name, missing), fake.get(name, missing)
            )
    elif was != now:
        yield f"{where} is {was!r} in the recording and {now!r} in the fake"
