"""The judge of outcomes: what a call says is what happened, whatever goes wrong meanwhile.

    python -m tests.tools.judge [--calls 10000] [--seed 0]

Calls are made in process, on the account's clock, and over sockets, many at once, where some are
cancelled. `tests.support.troubled_service` has what goes wrong and what others do. The judge goes
by what the account did with each request:

- Only our exceptions leave, within the time of the call.
- A change that returns was made, and its result was so at some moment and is as asked.
- After an error, unless it leaves that open, the call has changed nothing.
- `OutcomeUnknownError` comes only if an answer was lost or odd.
- No right goes to a user or place that did not have the given name, and one of two is not picked.
- No attempt is sent twice.
- The function of the key is asked once, and after a 401 again, perhaps for another account's key.
- Over sockets, no call is stuck, and no task and no connection is left.

The guide ("What no client can know") says where an end cannot be true: there it is not judged.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import attrs

import arize_roles_async as client
from arize_roles_fake import FakeRolesClient
from arize_roles_fake._testing.fault_rules import WHOLE
from arize_roles_fake._testing.faults import reply_of
from tests.support.clients import START
from tests.support.raw_http import http_response, read_message
from tests.support.tls import Authority
from tests.support.troubled_service import ACTS, FAULTS, METHODS, PRECISIONS, Story, plain
from tests.support.troubled_service import TroubledService as Service

NAMED: Final = {"user", "role", "space", "project"}
CLEAR: Final = {"refused", "200", "201", "204", "401", "403", "404", "409", "429"}
"""The ends of requests that leave no doubt of what they did."""
DENIED: Final = {"503 before", "503 after"}
AHEAD: Final = (0.0, -90.0, 5.0, 90.0)
OTHER_KEYS: Final = 0.3
"""Part of the calls whose function may return the key of another account."""
SLOTS: Final = 8


def random_story(drawn: Random, methods: Iterable[str] = METHODS) -> Story:
    """Return a story of one of some methods."""
    method, share = drawn.choice([*methods]), drawn.choice([0.0, 0.3, 0.6])
    where = [*(f"change {n}" for n in range(1, 5)), *(f"read {n}" for n in range(1, 7))]
    faults = {each: drawn.choice(FAULTS) for each in where if drawn.random() < share}
    share, acts = drawn.choice([0.0, 0.2, 0.5]), ACTS[method.partition(".")[0]]
    others = {number: drawn.choice(acts) for number in range(1, 9) if drawn.random() < share}
    precision, total = drawn.choice(PRECISIONS), drawn.choice([None, None, 2.0, 30.0])
    seed, attempts = drawn.randrange(2**32), drawn.randint(1, 4)
    ahead, has_other_key = drawn.choice(AHEAD), drawn.random() < OTHER_KEYS
    if has_other_key:
        faults |= {f"change {drawn.randint(1, 3)}": "401"}
    return Story(method, seed, precision, faults, others, attempts, total, ahead, has_other_key)


def pairs(drawn: Random) -> Iterator[Story]:
    """Yield each change with each pair of outcomes of attempts and each precision of times.

    Once or twice somebody acts between two of its requests: which ones, and how, is drawn.
    """
    for method, one, two, precision in itertools.product(METHODS, FAULTS, FAULTS, PRECISIONS):
        acts = {drawn.randint(1, 6): drawn.choice(ACTS[method.partition(".")[0]]) for _ in range(2)}
        seed, faults = drawn.randrange(2**32), {"change 1": one, "change 2": two}
        ahead, has_other_key = drawn.choice(AHEAD), drawn.random() < OTHER_KEYS
        yield Story(method, seed, precision, faults, acts, 3, None, ahead, has_other_key)


def flaws(service: Service, end: Any) -> Iterator[str]:  # noqa: ANN401 - of any method
    """Yield what is wrong with the result of a call, or with its error."""
    faults, given = {end for *_, end in service.requests}, service.given
    yield from _misplaced(service)
    sent = Counter(each[:3] for each in service.requests if each[0] != "GET")
    if service.resource == "roles" and max(sent.values(), default=0) > 1:
        yield "an attempt was sent twice"
    if service.asked > 1 + ("401" in service.ends()):
        yield "the key was asked for too often"
    if not isinstance(end, Exception):
        if not faults & {"twice", "spoiled"}:
            yield from _untrue(service, end)
        return
    if not isinstance(end, client.RolesError):
        yield f"not ours: {end!r}"
    made, now = given.get("name"), service.moments[-1].items
    is_renamed = made is not None and any(now.get(x, {}).get("name") != made for x in service.own)
    if "twice" not in faults and not is_renamed:
        yield from _false_error(service, end)


def _false_error(service: Service, error: Exception) -> Iterator[str]:
    """Yield what is wrong with what an error says of the change."""
    ends = service.changes()
    # What others have changed since is theirs.
    made = bool(service.own) and "overtaken" not in ends
    is_ensure = service.story.method.endswith(".ensure") and service.has_rights
    match error:
        case client.OutcomeUnknownError():
            # An answer that came too late is lost, too.
            if {*ends} <= CLEAR and not service.story.total:
                yield "it is known what happened"
            is_there = service.own.keys() & service.moments[-1].items.keys()
            last = [(method, end) for method, *_, end in service.requests[-2:]]
            if is_ensure and last == [("POST", "409"), ("GET", "200")] and is_there:
                yield "the role was not given again"
        case client.ConflictError() if is_ensure and 0 < sum(x in {"404", "409"} for x in ends) < 3:
            yield "gave up before the third round"
        case client.ServerError(status=503) | client.RateLimitError() if all(service.own.values()):
            pass  # The service itself said that it did nothing.
        case client.InvalidResponseError() if made is ("change was made" in f"{error}"):
            pass
        case client.RateLimitError() | client.NotFoundError(name=str()) if made:
            yield f"changed, and raised {type(error).__name__}"
        case client.StatusError(from_service=False):
            pass  # A gateway's.
        case _:
            if made:
                yield f"changed, and raised {type(error).__name__}"


def _bearers(service: Service, kind: str) -> list[set[str]]:
    """Return the IDs of what had the given name, at each moment."""
    name = service.given[kind]
    wanted = name.lower() if kind == "user" else name
    return [{x for x, is_ in each.names[kind].items() if is_ == wanted} for each in service.moments]


def _misplaced(service: Service) -> Iterator[str]:
    """Yield what the call's own requests should not have changed."""
    given = service.given
    ever = {kind: set[str]().union(*_bearers(service, kind)) for kind in NAMED & given.keys()}
    users, roles = ({given.get(f"{x}_id"), *ever.get(x, ())} for x in ("user", "role"))
    places = {given.get("resource_id"), *ever.get("space", ()), *ever.get("project", ())}
    for each in service.own:
        states = [moment.items[each] for moment in service.moments if each in moment.items]
        if service.resource == "roles":
            is_right = each in roles or given.get("name") in {state["name"] for state in states}
        else:
            is_right = each == given.get("binding_id") or all(
                state["user_id"] in users and state["resource_id"] in places for state in states
            )
        is_ensured = service.story.method == "by_name.ensure" and each not in service.theirs
        if not is_right or (is_ensured and states[-1]["role_id"] not in roles):
            yield "a wrong role, user or place"
    if len(service.own.keys() - service.theirs) > 1:
        yield "more than one change"


def _untrue(service: Service, end: Any) -> Iterator[str]:  # noqa: ANN401 - a line a rule
    """Yield what is wrong with a result."""
    items, given = [moment.items for moment in service.moments], service.given
    bearing = [_bearers(service, kind) for kind in NAMED & given.keys()]
    item = {} if end is None or isinstance(end, bool) else plain(end)
    is_new = item.get("id") in service.own.keys() | service.theirs
    method = service.story.method.partition(" ")[0].partition(".")[2]
    is_role = {"name", "permissions", "description"} & given.keys()
    wanted = {name: given[name] for name in is_role or {"role_id"} & given.keys()}
    if any(len(moments[0].intersection(*moments)) > 1 for moments in bearing):
        yield "one of two was picked"
    if item and not any(item == each.get(item["id"]) for each in items):
        yield "it never was so"
    if item and service.resource == "roles" and given.get("name") not in {None, item["name"]}:
        yield "another name"
    if item and not is_role and method != "create" and not wanted.items() <= item.items():
        yield "another role"
    if method == "create" and not is_new:
        yield "it was there before"
    if method == "update" and not is_new and not wanted.items() <= item.items():
        yield "nothing was changed"
    if method == "delete" and not (service.deleted or service.theirs - items[-1].keys()):
        yield "nothing was deleted"
    if method == "remove" and end is False and service.own:
        yield "it was removed"
    is_clear = not service.story.total and {*service.changes()} <= {*CLEAR, *DENIED}
    if method == "remove" and end is True and not service.deleted and is_clear:
        yield "it was not removed by this call"


async def _called(roles: Any, service: Service) -> Any:  # noqa: ANN401 - of any method
    """Make a call, and return its result or its error."""
    owner, _, method = service.story.method.partition(" ")[0].partition(".")
    try:
        return await getattr(getattr(roles, owner, roles), method)(**service.given)
    except Exception as error:  # noqa: BLE001 - the verdict says which may leave
        return error


async def judged(story: Story) -> list[str]:
    """Make a call in process, and return what is wrong with its end."""
    service = Service(story, clock=lambda: START)
    began, total = service.now(), story.total
    retry = client.RetryPolicy(attempts=story.attempts, backoff=1e-9)
    roles = FakeRolesClient(service, api_key=service.api_key_now, timeout=total, retry=retry)
    end = await _called(roles, service)
    took = (service.now() - began).total_seconds() - service.jumped
    is_late = total is not None and took > total + 0.01
    return [*flaws(service, end), *["too late"] * is_late]


def wrong(stories: Iterable[Story]) -> Iterator[str]:
    """Make calls in process, and yield what is wrong with each."""
    with asyncio.Runner() as runner:
        for story in stories:
            if found := runner.run(judged(story)):
                yield f"{'; '.join(found)}: {story}"


class Server:
    """Serves troubled services on one socket, each to the call with its key."""

    def __init__(self, drawn: Random) -> None:
        self.services: dict[str, Service] = {}
        self.open = 0
        self.barrier = asyncio.Barrier(1)
        """Reached by so many requests before one is answered."""
        self._drawn = drawn

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.BrokenBarrierError):
            while await self._answer(reader, writer):
                pass
        self.open -= 1
        writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer a request, and return whether the connection goes on."""
        drawn, asked = self._drawn, await read_message(reader)
        service = self.services[asked.headers["authorization"].removeprefix("Bearer ")]
        await self.barrier.wait()
        method, target, _ = asked.start.split(" ")
        headers = {**{name.title(): x for name, x in asked.headers.items()}, **asked.headers}
        body = asked.body or None
        request = client.Request(method=method, target=target, headers=headers, body=body)
        reply = reply_of(service.handle(request))
        if not reply.delivery.ends:
            await reader.read()
            return False
        answer = http_response(reply.status, reply.body, *map(": ".join, reply.headers.items()))
        at = drawn.randrange(len(answer))
        if service.requests[-1][3] == "spoiled":
            spoiled = answer[:at] + drawn.randbytes(3) + answer[at:]
            answer = drawn.choice([answer, answer * 2, drawn.randbytes(60), spoiled])
        writer.write(answer if reply.delivery is WHOLE else answer[: drawn.choice([0, at])])
        return reply.delivery is WHOLE


async def over_sockets(stories: Iterable[Story], drawn: Random, tls: Authority) -> list[str]:
    """Make calls at once over sockets, cancel some, and return what is wrong with their ends."""
    server, found, host = Server(drawn), list[str](), "127.0.0.1"
    asyncio.get_running_loop().set_exception_handler(lambda _, about: found.append(f"{about}"))

    def begun(story: Story, read: float) -> tuple[Service, asyncio.Task[Any]]:
        # Each request arrives: a connection breaks, and none is refused. Answers may be late.
        faults = {key: x.replace("refused", "lost before") for key, x in story.faults.items()}
        service = Service(attrs.evolve(story, faults=faults, total=8.0))
        server.services |= dict.fromkeys((service.key, service.other_key), service)
        limits = client.Timeouts(total=8.0, connect=5.0, read=read)
        retry = client.RetryPolicy(attempts=story.attempts, backoff=1e-9)
        copy = roles.with_options(api_key=service.api_key_now, timeout=limits, retry=retry)
        return service, asyncio.create_task(_called(copy, service))

    async with await asyncio.start_server(server.serve, host, 0, ssl=tls.right()) as listening:
        url = f"https://{host}:{listening.sockets[0].getsockname()[1]}"
        roles = client.AiohttpRolesClient(
            "key", base_url=url, ca_file=tls.pem, max_concurrency=SLOTS
        )
        calls = dict(begun(story, 0.2) for story in stories)
        for task in drawn.sample([*calls.values()], len(calls) // 5):
            await asyncio.sleep(drawn.choice([0.0, 0.001, 0.003]))
            task.cancel()
        _, stuck = await asyncio.wait(calls.values(), timeout=10.0)
        for service, task in calls.items():
            if task.done() and not task.cancelled():
                found += [f"{each}: {service.story}" for each in flaws(service, task.result())]
        # As many as there are slots can still be under way at once.
        server.barrier = asyncio.Barrier(SLOTS)
        clean = [Story("roles.update", n, "seconds", {}, {}, 1) for n in range(3 * SLOTS)]
        probes = dict(begun(story, 5.0) for story in clean)
        await asyncio.wait(probes.values())
        found += ["a call is stuck"] * (len(stuck) + any(not each.own for each in probes))
        await server.barrier.abort()
        await roles.aclose()
        for _ in range(200):
            await asyncio.sleep(0.005 * bool(server.open))
        left = len(asyncio.all_tasks()) - 1
        found += ["a connection is left"] * server.open + ["a task is left"] * left
    return found


def main() -> None:
    """Judge calls: every pair of outcomes, and random ones; exit with 1 where one ends wrong."""
    parser = argparse.ArgumentParser("python -m tests.tools.judge", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=Random().randrange(2**32))  # noqa: S311
    given = parser.parse_args()
    drawn, found = Random(given.seed), 0  # noqa: S311
    print("seed", given.seed, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        ends = [wrong(random_story(drawn) for _ in range(given.calls)), wrong(pairs(drawn))]
        tls = Authority(Path(folder))
        rounds = ([random_story(drawn) for _ in range(100)] for _ in range(0, given.calls, 100))
        connected = (asyncio.run(over_sockets(each, drawn, tls)) for each in rounds)
        for found, text in enumerate(itertools.chain(*ends, *connected), 1):  # noqa: B007
            print(text, flush=True)
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
