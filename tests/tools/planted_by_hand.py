"""Faults that somebody thought of: each breaks a promise that a caller relies on."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs

from tests.tools.syntax_faults import Fault


@attrs.frozen
class ByHand:
    """A fault by its text.

    Attributes:
        breaks: What no longer holds.
        file: The file's path from the project's root.
        before: A text that stands in the file once.
        after: What takes its place, of no more lines.
    """

    breaks: str
    file: str
    before: str
    after: str


BY_HAND: Final = (
    # The client: what the attempts of a call have shown
    ByHand(
        "a lost attempt is forgotten when the next one never connects",
        "arize_roles_async/_calls/call.py",
        "self.unsettled |= self._is_change",
        "self.unsettled = self._is_change",
    ),
    ByHand(
        "a 503 of a gateway counts as the service's word that nothing was done",
        "arize_roles_async/_calls/call.py",
        "return not (failure.from_service and failure.status == _UNAVAILABLE)",
        "return failure.status != _UNAVAILABLE",
    ),
    ByHand(
        "a refusal in other words than the service's settles a change",
        "arize_roles_async/_calls/call.py",
        "if not (self._is_change and self.unsettled and failure.from_service):",
        "if not (self._is_change and self.unsettled):",
    ),
    ByHand(
        "a 409 to a repeated delete is retried and leaves the outcome open",
        "arize_roles_async/_calls/call.py",
        '"DELETE": {404: _Tells.MADE, 409: _Tells.NOT_MADE},',
        '"DELETE": {404: _Tells.MADE},',
    ),
    ByHand(
        "a 404 to a repeated update does not settle it",
        "arize_roles_async/_calls/call.py",
        '"PATCH": {404: _Tells.NOT_MADE, 409: _Tells.LOOK},',
        '"PATCH": {409: _Tells.LOOK},',
    ),
    ByHand(
        "a plan that is full by the role of a lost attempt is not looked into",
        "arize_roles_async/_calls/call.py",
        '"POST": {403: _Tells.LOOK, 409: _Tells.LOOK},',
        '"POST": {409: _Tells.LOOK},',
    ),
    ByHand(
        "a wait that ends exactly at the deadline is begun",
        "arize_roles_async/_calls/call.py",
        "now + delay < self.deadline",
        "now + delay <= self.deadline",
    ),
    ByHand(
        "an error tells that nothing was sent when time runs out under way",
        "arize_roles_async/_calls/call.py",
        "            sent=self._in_flight,",
        "            sent=False,",
    ),
    ByHand(
        "a change that is under way when time runs out counts as not made",
        "arize_roles_async/_calls/call.py",
        "if self.unsettled or (self._is_change and self._in_flight):",
        "if self.unsettled:",
    ),
    ByHand(
        "an answer that makes no sense settles a change",
        "arize_roles_async/_calls/call.py",
        "        case InvalidResponseError():\n            return True",
        "        case InvalidResponseError():\n            return False",
    ),
    ByHand(
        "a predefined role is returned as made by this call",
        "arize_roles_async/_client.py",
        "is_new = not found.is_predefined and found",
        "is_new = found",
    ),
    ByHand(
        "an old role of the same name is returned as made by this call",
        "arize_roles_async/_client.py",
        "found.created_at.timestamp() >= since",
        "found.created_at.timestamp() >= 0",
    ),
    ByHand(
        "an update by name of a role renamed meanwhile goes unnoticed",
        "arize_roles_async/_client.py",
        "                raise renamed\n",
        "                pass\n",
    ),
    ByHand(
        "another role than the one that was asked for is returned",
        "arize_roles_async/_client.py",
        'role.id.rstrip("=") != role_id.rstrip("=")',
        'role.id == ""',
    ),
    ByHand(
        "another role than the one that was created is returned",
        "arize_roles_async/_client.py",
        "    if _fold(role.name) != _fold(name):\n        raise",
        "    if not role.name:\n        raise",
    ),
    ByHand(
        "a page longer than was asked for is returned",
        "arize_roles_async/_client.py",
        "if len(page.roles) > limit:",
        "if len(page.roles) > 100:",
    ),
    ByHand(
        "clients of other limits share one walk",
        "arize_roles_async/_client.py",
        "limits=(call.timeouts, call.retry),",
        "limits=None,",
    ),
    # The client: the socket
    ByHand(
        "the read limit goes on while the client waits to try again",
        "arize_roles_async/_aiohttp/client.py",
        "            call.time_limit.reset()\n",
        "            pass\n",
    ),
    ByHand(
        "a slow body whose pieces each come in time is given up",
        "arize_roles_async/_aiohttp/client.py",
        "        before_each()\n",
        "        pass\n",
    ),
    ByHand(
        "aiohttp sends a GET or DELETE again by itself",
        "arize_roles_async/_aiohttp/client.py",
        "        attempt.refuse_second()\n",
        "        pass\n",
    ),
    ByHand(
        "cookies of the service are sent back",
        "arize_roles_async/_aiohttp/client.py",
        "cookie_jar=aiohttp.DummyCookieJar(),",
        "cookie_jar=None,",
    ),
    ByHand(
        "redirects are followed, with the key",
        "arize_roles_async/_aiohttp/client.py",
        "allow_redirects=False",
        "allow_redirects=True",
    ),
    ByHand(
        "an error that quotes the key is a cause",
        "arize_roles_async/_aiohttp/client.py",
        "return RolesError(self._redacted(failure))",
        "return failure",
    ),
    ByHand(
        "a connection with an answer that nobody asked for is used",
        "arize_roles_async/_aiohttp/client.py",
        "        if not client.connections.may_carry(protocol):",
        "        if False:",
    ),
    ByHand(
        "a request that was given up may still leave later",
        "arize_roles_async/_aiohttp/client.py",
        "        transport.abort()\n",
        "        pass\n",
    ),
    ByHand(
        "connections that one break has shown to be dead are used",
        "arize_roles_async/_aiohttp/client.py",
        "        connections.distrusted = max(connections.distrusted, self._opened)",
        "        pass",
    ),
    ByHand(
        "a tracer of the application's is told the key",
        "arize_roles_async/_aiohttp/client.py",
        "        headers = request.headers\n",
        "        headers = {**request.headers, **self._config.headers.reveal()}\n",
    ),
    ByHand(
        "a half-read answer goes back to the pool",
        "arize_roles_async/_aiohttp/client.py",
        "                response.close()\n",
        "                pass\n",
    ),
    ByHand(
        "a proxy may have port 0",
        "arize_roles_async/_aiohttp/config.py",
        "is_whole = port != 0 and not",
        "is_whole = not",
    ),
    # The client: bytes, lookups, listings, rules
    ByHand(
        "a body that is not UTF-8 raises an error of Python's",
        "arize_roles_async/_wire/wire.py",
        ", UnicodeDecodeError, RecursionError):\n        pass\n",
        ", RecursionError):\n        pass\n",
    ),
    ByHand(
        "superscript digits in Retry-After raise an error of Python's",
        "arize_roles_async/_wire/wire.py",
        "if value.isascii() and value.strip().isdigit():",
        "if value.strip().isdigit():",
    ),
    ByHand(
        "a filter for custom roles is not sent",
        "arize_roles_async/_wire/wire.py",
        "if page.is_predefined is not None:",
        "if page.is_predefined:",
    ),
    ByHand(
        "an ID of dots alone is a step up the path",
        "arize_roles_async/_wire/wire.py",
        'role_id.replace(".", "%2E")',
        "role_id",
    ),
    ByHand(
        "the closest names are lost to calls that share a walk",
        "arize_roles_async/_calls/lookup.py",
        "raise await _not_found(name, shared.names)",
        "raise await _not_found(name, shared.names[:0])",
    ),
    ByHand(
        "a cursor that comes again later is followed for ever",
        "arize_roles_async/_calls/paging.py",
        "if hash(cursor) in self._seen or cursor == asked.cursor:",
        "if cursor == asked.cursor:",
    ),
    ByHand(
        "a name of 256 characters is sent",
        "arize_roles_async/_values/requests.py",
        "MAX_NAME: Final = 255",
        "MAX_NAME: Final = 256",
    ),
    # The fake
    ByHand(
        "updated_at stays when permissions alone change",
        "arize_roles_fake/_service/service.py",
        "updated_at=self._now())",
        'updated_at=self._now() if {*given} - {"permissions"} else role.updated_at)',
    ),
    ByHand(
        "cursors of another account are taken",
        "arize_roles_fake/_service/service.py",
        "secrets.token_bytes(16)",
        "bytes(16)",
    ),
    ByHand(
        "a role that is bound is deleted",
        "arize_roles_fake/_service/service.py",
        "        if bindings:\n",
        "        if False:\n",
    ),
    ByHand(
        "a page that is just full says that more follows",
        "arize_roles_fake/_service/service.py",
        "if len(page) > size:",
        "if len(page) >= size:",
    ),
    ByHand(
        "a key without ROLE_READ may list",
        "arize_roles_fake/_service/service.py",
        "        _require(key, Permission.ROLE_READ)\n        asked",
        "        pass\n        asked",
    ),
    ByHand(
        "two chosen IDs in a row are given out again",
        "arize_roles_fake/_service/store.py",
        "while chosen in self._roles:  # A",
        "if chosen in self._roles:  # A",
    ),
    ByHand(
        "a fault's `after` counts the calls of other operations",
        "arize_roles_fake/_testing/faults.py",
        "or operation not in OPERATIONS:\n            return False",
        "or operation not in OPERATIONS:\n            self._seen += 1; return False",
    ),
    ByHand(
        "a rate limit refills a hundredth too slowly",
        "arize_roles_fake/_testing/faults.py",
        "self._refill = 1.0 / per_second",
        "self._refill = 1.01 / per_second",
    ),
    ByHand(
        "keys are compared without case",
        "arize_roles_fake/_account.py",
        "key = Secret(_bearer(request))",
        "key = Secret({k.lower(): k for k in self._keys}.get(_bearer(request).lower(), ''))",
    ),
    ByHand(
        "restoring a snapshot forgets none of the permissions learnt since",
        "arize_roles_fake/_account.py",
        "self._service.extra_permissions = snapshot.extra_permissions",
        "pass",
    ),
    ByHand(
        "accounts are reset without their lock",
        "arize_roles_fake/_account.py",
        "        with self._lock:\n            self._set_up()\n",
        "        if True:\n            self._set_up()\n",
    ),
    ByHand(
        "a dump whose key grants a newer permission cannot be loaded",
        "arize_roles_fake/_account.py",
        "        self._service.extra_permissions = frozenset(data.extra_permissions)",
        "        pass",
    ),
    ByHand(
        "waits of calls that are under way together add up",
        "arize_roles_fake/_client.py",
        "await self._waits.until(moment, self._account)",
        "self._account.advance(waited)",
    ),
    ByHand(
        "in the fake, a call notices that its time is up only when it gets a slot",
        "arize_roles_fake/_client.py",
        "        if min(seconds, left) > _FOREVER:",
        "        if seconds > _FOREVER:",
    ),
    ByHand(
        "a call that waits for a hold learns that it has grown when the shorter one ends",
        "arize_roles_async/_calls/turnstile.py",
        "        self._now = now\n        self._tell_late()",
        "        self._now = now",
    ),
    ByHand(
        "a truncated answer has no byte of its body",
        "arize_roles_fake/_server/server.py",
        "reply.body[: len(reply.body) // 2]",
        "reply.body[:0]",
    ),
    ByHand(
        "the log drops the filter for custom roles",
        "arize_roles_fake/_testing/call_log.py",
        '{"true": True, "false": False}.get(value, value)',
        '{"true": True}.get(value, value)',
    ),
    ByHand(
        "the log is bounded in entries alone",
        "arize_roles_fake/_testing/call_log.py",
        "len(self._rows) > self._max_calls or self._bytes > self._max_bytes",
        "len(self._rows) > self._max_calls",
    ),
    ByHand(
        "of two markers on a test the outer one counts",
        "arize_roles_fake/pytest_plugin.py",
        "paths[-1]",
        "paths[0]",
    ),
)


def by_hand(root: Path, listed: Iterable[ByHand] = BY_HAND) -> list[Fault]:
    """Return each of the faults as it is planted now.

    Raises:
        ValueError: The texts of some faults are no longer there, or more than once.
    """
    found: list[Fault] = []
    flaws: list[str] = []
    for hand in listed:
        source = (root / hand.file).read_bytes()
        before = hand.before.encode()
        if source.count(before) != 1:
            flaws.append(
                f"{hand.file} has {source.count(before)} places for the fault {hand.breaks!r}, not"
                f" 1; its text is {hand.before!r}: write it anew in planted_by_hand.py"
            )
            continue
        start = source.index(before)
        end = start + len(before)
        found.append(
            Fault.between(hand.file, source, start, end, after=hand.after, breaks=hand.breaks)
        )
    if flaws:
        raise ValueError("\n".join(flaws))
    return found
