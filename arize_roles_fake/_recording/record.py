"""Records the answers of a service to a fixed script of calls.

A recording is JSON: each call and its answer, with placeholders for what differs from run to run.
It holds no API key and no role that the script did not create, and no prose of an answer. Of the
other roles it has the number, up to 100, since the answers to lists depend on it.

Recording is safe, whatever a service answers: a role is the script's own only if its name holds the
run's mark, and no other role is changed or deleted. Only one request concerns another role: it
gives a role that the service calls predefined the name that this role already has.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote, urlencode

import attrs
import msgspec

from arize_roles_async._aiohttp.config import Config
from arize_roles_async._calls.transport import Call
from arize_roles_async._roles.models import Role
from arize_roles_async._roles.operations import ROLES
from arize_roles_async._roles.requests import is_role_id
from arize_roles_async._values.models import Aware
from arize_roles_async._values.options import RetryPolicy, Timeouts
from arize_roles_async._values.text import one_line
from arize_roles_async._wire.problems import status_error
from arize_roles_async._wire.redaction import Secret
from arize_roles_async._wire.request import Request, item_path, item_request
from arize_roles_async._wire.response import Response
from arize_roles_async._wire.retry_after import retry_after
from arize_roles_fake._recording.script import SCRIPT, Step
from arize_roles_fake._service.service import operation_of
from arize_roles_fake._service.wire import parse_json
from arize_roles_fake._testing.account_file import check_format

_T = TypeVar("_T")

Send = Callable[[Request], Awaitable[Response]]
"""Sends a request to the recorded service, with the API key unless the request has its own."""

# These are recorded as they are; of every other value, only the type is recorded.
_TIMES: Final = {field.name for field in attrs.fields(Role) if field.type == Aware}
_KEPT: Final = {
    *(field.name for field in attrs.fields(Role) if field.name != "id"),
    *("has_more", "title", "status", "type"),
}
_FOREIGN: Final = "<another role>"
_REFUSED: Final = 401
_BUSY: Final = frozenset({429, 503})
_GONE: Final = frozenset({200, 202, 204, 404})
_MAX_RETRIES: Final = 5
_MAX_WAIT: Final = 60.0
_NO_KEY: Final = "no-such-key"
_PLACEHOLDER: Final = re.compile("<([^<>]+)>")
_MAX_DEPTH: Final = 20
_MAX_PAGES: Final = 50
_CUSTOM_ROLES: Final = f"{ROLES.path}?limit=100&is_predefined=false"
_FORMAT: Final = 1


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a step, without anything that differs from run to run."""

    status: int
    content_type: str | None
    body: Any


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A step and its answer."""

    step: Step
    answer: Answer


class Recording(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The answers to a script, as in a file of this version."""

    format: int = 0
    other_roles: int = 0
    """The number of custom roles that the account had before, up to 100."""
    questions: tuple[str, ...] = msgspec.field(name="rules")
    """The questions of all steps of the script."""
    answers: tuple[Recorded, ...]
    left: tuple[str, ...] = ()
    """The roles that the script may have created and not deleted again; in no file."""

    @property
    def missing(self) -> list[str]:
        """The questions of the steps without an answer."""
        answered = {recorded.step.question for recorded in self.answers}
        return [question for question in self.questions if question not in answered]


async def record(
    send: Send, sleep: Callable[[float], Awaitable[object]], steps: tuple[Step, ...] = SCRIPT
) -> Recording:
    """Run a script and return the answers; the roles that it created are deleted again.

    An error, and a cancellation, have a note for each role that may be left.

    Raises:
        AuthenticationError: The service refused the key.
        RateLimitError, ServerError: The service kept answering with 429 or 503.
        RolesError: A request got no answer.
    """
    recorder = _Recorder(send, sleep)
    try:
        try:
            other_roles = await recorder.count_roles()
            answers = [recorded for step in steps if (recorded := await recorder.run(step))]
        finally:
            await recorder.clean_up()
    except BaseException as error:
        for left in recorder.left:
            error.add_note(f"may be left behind: {left}")
        raise
    return Recording(
        answers=tuple(answers),
        questions=tuple(step.question for step in steps),
        other_roles=other_roles,
        left=tuple(recorder.left),
    )


async def record_service(
    base_url: str | None,
    *,
    timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Recording:
    """Record a service over HTTP; its key, and by default its URL, come from the environment.

    Raises:
        RolesError: The configuration is wrong, or a request got no answer.
    """
    from arize_roles_async._aiohttp.client import AiohttpTransport

    config = Config(base_url=base_url)
    transport = AiohttpTransport(config, None)

    async def send(request: Request) -> Response:
        transport.check_open()
        call = Call(ROLES, operation_of(request), timeouts, RetryPolicy(), transport.now())
        call.time_limit = transport.time_limit(call)
        with call.time_limit:
            # A step with a key of its own asks about an unknown key.
            headers = {**request.headers}
            is_stranger = headers.pop("Authorization", None) is not None
            request = msgspec.structs.replace(request, headers=headers)
            call.use_key(Secret(_NO_KEY) if is_stranger else await config.key_source.ask())
            call.begin(request)
            response = await transport.send(request, call)
        return msgspec.structs.replace(response, body=response.redacted_body())

    try:
        return await record(send, sleep)
    finally:
        await transport.aclose(0.0)


def encode(recording: Recording) -> bytes:
    """Return a recording as the JSON of a file."""
    file = msgspec.structs.replace(recording, format=_FORMAT, left=())
    return msgspec.json.format(msgspec.json.encode(file)) + b"\n"


def decode(text: bytes) -> Recording:
    """Return the recording that a file holds; version 0.3 wrote a list of the answers alone.

    Raises:
        ValueError: The text is not a recording, or lacks the answer to a step.
    """
    check_format(text, _FORMAT, "recording")
    try:
        data = msgspec.json.decode(text, type=Recording | tuple[Recorded, ...])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(f"this is not a recording: {error}") from error
    recording = (
        data
        if isinstance(data, Recording)
        else Recording(answers=data, questions=tuple(step.question for step in SCRIPT))
    )
    if missing := recording.missing:
        steps = f"{len(missing)} of {len(recording.questions)} steps"
        raise ValueError(f"the recording lacks the answers to {steps}: {', '.join(missing)}")
    return recording


class _Recorder:
    def __init__(self, send: Send, sleep: Callable[[float], Awaitable[object]]) -> None:
        self._send = send
        self._sleep = sleep
        self._mark = f"recording {secrets.token_hex(8)}"
        self._saved = {"run": self._mark}
        self._creations = 0
        """The number of roles that the run may have created."""
        self._made_ids: set[str] = set()
        self.left: list[str] = []
        """The roles that may have been created and not deleted again."""

    async def run(self, step: Step) -> Recorded | None:
        """Send a step, or return None if an earlier answer lacked a value for it."""
        try:
            request = self._request(step)
        except KeyError:
            return None
        # Before the request, since a run that is stopped meanwhile has to delete the role, too.
        self._creations += step.method == "POST"
        answer = await self._answer(request)
        if answer.status in _BUSY or (answer.status == _REFUSED and step.with_key):
            raise status_error(request, answer)
        data = _parse(answer)
        if step.method == "DELETE" and answer.status in _GONE:
            self._made_ids.discard(self._substitute(step.role))
        if step.method == "POST" and 200 <= answer.status < 300:  # noqa: PLR2004 - successes
            if self._is_of_run(data):
                self._made_ids |= {_member(data, "id", "")} - {""}
            else:
                self.left.append(f"{step.question}: a role was created without the run's mark")
        if step.save is not None:
            self._save(step.save, data)
        media_type = answer.headers.get("Content-Type")
        if media_type is not None:
            # On one line: bytes outside UTF-8 arrive as surrogates, which JSON cannot hold.
            media_type = one_line(answer.redacted(media_type.partition(";")[0].strip()))
        return Recorded(
            step=step,
            answer=Answer(
                status=answer.status,
                content_type=media_type,
                body=self._anonymous("", data, 0) if isinstance(data, dict) else data,
            ),
        )

    def _request(self, step: Step) -> Request:
        """Return the request of a step, or raise KeyError for a value that was not saved."""
        body = None if step.body is None else msgspec.json.encode(self._substitute(step.body))
        if step.raw_body is not None:
            body = step.raw_body.encode()
        query = urlencode(self._substitute(step.query), quote_via=quote)
        role = self._substitute(step.role)
        path = ROLES.path if role is None else item_path(ROLES.path, role)
        headers = {} if step.with_key else {"Authorization": f"Bearer {_NO_KEY}"}
        if step.content_type is not None:
            headers["Content-Type"] = step.content_type
        target = f"{path}?{query}" if query else path
        return Request(method=step.method, target=target, body=body, headers=headers)

    async def count_roles(self) -> int:
        """Return the number of custom roles that one page holds."""
        request = Request(method="GET", target=_CUSTOM_ROLES)
        answer = await self._answer(request)
        if answer.status == _REFUSED:
            raise status_error(request, answer)
        return len(_roles(_parse(answer)))

    async def clean_up(self) -> None:
        """Delete every role of this run, including those that an odd service created."""
        if not self._creations:
            return
        is_clean = False
        try:
            gone = [await self._delete(each) for each in sorted(self._made_ids)]
            # There are never more deletions than creations, whatever a listing contains.
            listed = (await self._listed())[: self._creations - len(gone)]
            is_clean = all(gone + [await self._delete(each) for each in listed])
        finally:
            if not is_clean:
                self.left.append(f"roles whose names hold {self._mark!r}")

    async def _listed(self) -> list[str]:
        """Return the IDs of the roles of this run that are listed."""
        ids, target, seen = list[str](), _CUSTOM_ROLES, set[str]()
        for _ in range(_MAX_PAGES):
            page = _parse(await self._answer(Request(method="GET", target=target)))
            ids += [_member(role, "id", "") for role in _roles(page) if self._is_of_run(role)]
            cursor = _next_cursor(page)
            if not cursor or cursor in seen:
                break
            seen.add(cursor)
            target = f"{_CUSTOM_ROLES}&cursor={quote(cursor, safe='')}"
        return [*filter(None, ids)]

    async def _delete(self, role_id: str) -> bool:
        """Delete a role, and return whether it is gone, or soon will be."""
        answer = await self._answer(item_request("DELETE", ROLES.path, role_id))
        return answer.status in _GONE

    async def _answer(self, request: Request) -> Response:
        for _ in range(_MAX_RETRIES):
            answer = await self._sent(request)
            if answer.status not in _BUSY:
                return answer
            wait = retry_after(answer.headers)
            await self._sleep(min(1.0 if wait is None else wait, _MAX_WAIT))
        return await self._sent(request)

    async def _sent(self, request: Request) -> Response:
        sending = asyncio.ensure_future(self._send(request))
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            # A role may still be created, which a clean-up that began at once would not find.
            await asyncio.gather(sending, return_exceptions=True)
            raise

    def _substitute(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        """Return JSON with the saved values in place of the placeholders."""
        if isinstance(value, str):
            return _PLACEHOLDER.sub(lambda found: self._saved[found[1]], value)
        if isinstance(value, dict):
            return {k: self._substitute(v) for k, v in cast("dict[str, Any]", value).items()}
        return value

    def _save(self, name: str, answer: object) -> None:
        role = next(iter(_roles(answer)), answer)
        is_predefined = _member(role, "is_predefined", default=False)
        found = {"cursor": _next_cursor(answer)}
        if is_predefined if name == "predefined" else self._is_of_run(role) and not is_predefined:
            found |= {"id": _member(role, "id", ""), "name": _member(role, "name", "")}
        self._saved |= {f"{name}.{field}": value for field, value in found.items() if value}

    def _anonymous(self, field: str, value: object, depth: int) -> object:
        """Return JSON with placeholders for values of one run, and of others' roles."""
        if depth > _MAX_DEPTH:
            return "<too deep>"
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            if members.keys() & {"id", "name"} and not self._is_of_run(members):
                return _FOREIGN
            return {n: self._anonymous(n, members[n], depth + 1) for n in sorted(members)}
        if isinstance(value, list):
            items = cast("list[object]", value)
            kept = [self._anonymous(field, item, depth + 1) for item in items]
            return [item for item in kept if item != _FOREIGN]
        return self._value(field, value)

    def _value(self, field: str, value: object) -> object:
        if field == "id":
            return self._role_id(str(value))
        if field in _TIMES:
            return "<time>" if _is_time(value) else "<not a time with an offset>"
        if field not in _KEPT:
            return f"<{type(value).__name__}>"
        return value.replace(self._mark, "<run>") if isinstance(value, str) else value

    def _is_of_run(self, role: object) -> bool:
        return self._mark in _member(role, "name", "")

    def _role_id(self, role_id: str) -> str:
        names = [name for name, saved in self._saved.items() if saved == role_id]
        known = names[0] if names else "id"
        return f"<{known}>" if is_role_id(role_id) else f"<{known}, not base64 with a colon inside>"


def _parse(answer: Response) -> dict[str, Any] | str:
    """Return the JSON object in an answer's body, or a text about another body."""
    if not answer.body:
        return "<empty>"
    data = parse_json(answer.body)
    return cast("dict[str, Any]", data) if isinstance(data, dict) else "<not a JSON object>"


def _member(data: object, name: str, default: _T) -> _T:
    """Return a member of a JSON object; a service may answer anything, so perhaps a default."""
    value = cast("dict[str, object]", data).get(name) if isinstance(data, dict) else None
    return value if isinstance(value, type(default)) else default


def _roles(data: object) -> list[dict[str, Any]]:
    return [each for each in _member(data, "roles", list[Any]()) if isinstance(each, dict)]


def _next_cursor(data: object) -> str:
    return _member(_member(data, "pagination", dict[str, Any]()), "next_cursor", "")


def _is_time(value: object) -> bool:
    try:
        return datetime.fromisoformat(str(value)).tzinfo is not None
    except ValueError:
        return False
