"""Compares a recording of a service with the fake, and finds the assumptions that explain it."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import attrs
import msgspec
from msgspec.structs import asdict

from arize_roles_async._wire.request import Request
from arize_roles_async._wire.response import Response
from arize_roles_fake._account import FakeAccount
from arize_roles_fake._recording.record import Answer, Recording, record
from arize_roles_fake._service.assumptions import DEFAULT, Assumptions


async def replay(recording: Recording, account: FakeAccount) -> dict[tuple[str, str], str]:
    """Run a recording's script on a fresh account, and return the text of each difference.

    The keys are the question of the step and the place where its answer differs.
    """
    authorization = {"Authorization": f"Bearer {account.api_key}"}
    for number in range(recording.other_roles):
        account.add_role(f"another role {number}")

    async def send(request: Request) -> Response:
        headers = {**authorization, **request.headers}
        return account.handle(msgspec.structs.replace(request, headers=headers))

    again = await record(send, asyncio.sleep, tuple(each.step for each in recording.answers))
    answers = {each.step.question: each.answer for each in again.answers}
    found: dict[tuple[str, str], str] = {}
    for was in recording.answers:
        question = was.step.question
        now = answers.get(question, _NOT_ASKED)
        for where, difference in _differences("", asdict(was.answer), asdict(now)):
            found[question, where] = difference
    return found


_NOT_ASKED: Final = Answer(status=0, content_type=None, body="<not asked>")


async def compare(
    recording: Recording, assumptions: Assumptions = DEFAULT
) -> tuple[list[str], Assumptions]:
    """Return each difference to the fake as a line, and the assumptions with the fewest.

    The line of a difference that one of these assumptions removes names it.
    """
    chosen = assumptions
    differences = left = await replay(recording, FakeAccount(assumptions=assumptions))
    before = None
    # One assumption may hide the effect of another, so all are tried until none helps.
    while left and chosen != before:
        before = chosen
        for name, values in Assumptions.choices().items():
            for value in values:
                other = _with(chosen, name, value)
                if other == chosen or not left:
                    continue
                found = await replay(recording, FakeAccount(assumptions=other))
                if len(found) < len(left):
                    chosen, left = other, found
    # The notes come last, since the search may have changed an assumption back for a better one.
    notes: dict[tuple[str, str], str] = {}
    turned, shown = assumptions, differences
    for name in Assumptions.choices():
        value = getattr(chosen, name)
        if value == getattr(assumptions, name):
            continue
        turned = _with(turned, name, value)
        found = await replay(recording, FakeAccount(assumptions=turned))
        notes |= dict.fromkeys(shown.keys() - found.keys(), f" (--assume {name}={value})")
        shown = found
    lines = [
        f"{key[0]}: {difference}" + ("" if key in left else notes[key])
        for key, difference in differences.items()
    ]
    return lines, chosen


def _with(assumptions: Assumptions, name: str, value: int | str) -> Assumptions:
    settings: dict[str, Any] = {name: value}
    return attrs.evolve(assumptions, **settings)


def _differences(where: str, was: object, now: object) -> Iterator[tuple[str, str]]:
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        recorded, fake = cast("Mapping[str, Any]", was), cast("Mapping[str, Any]", now)
        for name in sorted(recorded.keys() | fake.keys()):
            missing = "<absent>"
            yield from _differences(
                f"{where}.{name}".lstrip("."), recorded.get(name, missing), fake.get(name, missing)
            )
    elif was != now:
        yield where, f"{where} is {was!r} in the recording and {now!r} in the fake"
