"""An account that writes down what each request really did, and the judge of what calls say."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final, Literal, TypeVar
from urllib.parse import quote

import attrs
import msgspec

from arize_roles_async import (
    ConflictError,
    ForbiddenError,
    ListRolesResponse,
    NotFoundError,
    OutcomeUnknownError,
    Request,
    Role,
    RoleRenamedError,
    RolesError,
)
from arize_roles_fake import Assumptions, FakeAccount, Reply
from arize_roles_fake._service.grants import Grants
from arize_roles_fake._service.service import answer

T = TypeVar("T")

NOBODY: Final = "Um9sZTo5OTk6bm9uZQ=="

Effect = Literal["created", "changed", "deleted"]
EFFECTS: Final[dict[str, Effect]] = {
    "create": "created",
    "update": "changed",
    "delete": "deleted",
}
READ_LIMIT: Final = 10.0
TOTAL_LIMIT: Final = 30.0


@attrs.frozen(kw_only=True)
class Ask:
    """A call to make."""

    operation: Literal["list", "walk", "get", "create", "update", "delete"]
    name: str
    by_id: bool
    new_name: str | None


@attrs.frozen(kw_only=True)
class Entry:
    """Something that a request did, or an administrator."""

    who: str
    effect: Effect
    role: Role
    """The role as it then was; one that was deleted, as it was before."""


@attrs.frozen(kw_only=True)
class Attempt:
    """A request of a caller's, and what it was answered."""

    caller: str
    request: Request
    reply: Reply
    at: datetime
    from_gateway: bool

    def __str__(self) -> str:
        who = "a gateway" if self.from_gateway else "the service"
        outcome = self.reply.broken or self.reply.status
        return f"{self.caller}: {self.request.method} {self.request.target}: {outcome} by {who}"

    @property
    def is_from_service(self) -> bool:
        """True if the service itself answered, and the answer came whole."""
        return not self.from_gateway and self.reply.broken is None

    def may_have_been_applied(self, deadline: datetime) -> bool:
        """Return True if its caller must expect that it may have made a change."""
        reply = self.reply
        if self.request.method == "GET" or reply.broken in {"refused", "unreachable"}:
            return False
        if reply.broken is not None or reply.delay >= READ_LIMIT:
            return True
        if self.at + timedelta(seconds=reply.delay) >= deadline:
            return True
        if self.from_gateway:
            return reply.status < 300 or reply.status >= 500
        return reply.status >= 500 and reply.status != 503


@attrs.frozen(kw_only=True)
class Page:
    """An answer of a gateway or proxy in place of the service's."""

    methods: frozenset[str]
    status: int = 200
    body: bytes = b""
    broken: Literal["lost", "truncated"] | None = None
    after: bool
    """True if the service did the work of the request before."""

    def reply(self, date: str) -> Reply:
        kind = "application/json" if self.body.startswith(b"{") else "text/html"
        headers = {"Content-Type": kind, "Date": date}
        if self.status == 302:
            headers["Location"] = "https://elsewhere.example/"
        return Reply(status=self.status, headers=headers, body=self.body, broken=self.broken)


class Journaled(FakeAccount):
    """An account whose requests may be answered by gateways and preceded by administrators."""

    def __init__(self, assumptions: Assumptions, callers: tuple[str, ...]) -> None:
        # Only `advance` moves its clock, so that no busy machine makes anything older than it is.
        start = datetime.now(UTC).replace(microsecond=250_000)
        super().__init__(predefined=False, assumptions=assumptions, clock=lambda: start)
        for key in callers:
            self.add_key(key)
        self.has_date = True
        """True if answers have a `Date`."""
        self.pages: list[Page] = []
        """Answers in the service's place, each once, to the next request of its kind."""
        self.meddling: list[tuple[int, Callable[[], None]]] = []
        """Changes by administrators, each before the request with its number, from 0."""
        self.deleted_names: set[str] = set()
        """The names of all roles that were ever deleted."""
        self.begin()

    def begin(self) -> None:
        """Forget what was done so far: new calls are about to be made."""
        self.journal: list[Entry] = []
        self.attempts: list[Attempt] = []
        self.before = self.roles
        self.ever: set[Role] = set(self.roles)
        self.began = self.now()
        self.clear_calls()

    def handle(self, request: Request) -> Reply:
        number = len(self.attempts)
        for action in [action for when, action in self.meddling if when == number]:
            self.write("administrator", action)
        caller = request.headers["Authorization"].removeprefix("Bearer ")
        page = next((page for page in self.pages if request.method in page.methods), None)
        if page is not None:
            self.pages.remove(page)
        at = self.now()
        reply: Reply | None = None
        if page is None or page.after:
            reply = self.write(caller, lambda: FakeAccount.handle(self, request))
        if page is not None:
            reply = page.reply(format_datetime(at, usegmt=True))
        assert reply is not None
        if not self.has_date:
            headers = {name: value for name, value in reply.headers.items() if name != "Date"}
            reply = msgspec.structs.replace(reply, headers=headers)
        self.attempts.append(
            Attempt(
                caller=caller,
                request=request,
                reply=reply,
                at=at,
                from_gateway=page is not None,
            )
        )
        return reply

    def write(self, who: str, act: Callable[[], T]) -> T:
        """Do something, and write down what it did to the roles."""
        before = {role.id: role for role in self.roles}
        result = act()
        after = {role.id: role for role in self.roles}
        for role in after.values():
            if role.id not in before:
                self.journal.append(Entry(who=who, effect="created", role=role))
            elif role != before[role.id]:
                self.journal.append(Entry(who=who, effect="changed", role=role))
        for role in before.values():
            if role.id not in after:
                self.journal.append(Entry(who=who, effect="deleted", role=role))
                self.deleted_names.add(role.name)
        self.ever.update(after.values())
        return result

    def administer(self, operation: str, role: Role, **changes: str) -> None:
        """Have an administrator update or delete a role, past every fault."""
        request = Request(
            method="PATCH" if operation == "update" else "DELETE",
            target=f"/v2/roles/{quote(role.id, safe='')}",
            headers={"Content-Type": "application/json"},
            body=json.dumps(changes).encode() if changes else None,
        )
        answer(self._state, operation, Grants(), request)

    # What the journal says of one caller.

    def done_by(self, caller: str) -> list[Entry]:
        """Return what a caller's requests did."""
        return [entry for entry in self.journal if entry.who == caller]

    def was_undone(self, caller: str) -> bool:
        """Return True if another changed the role of a caller's last change since."""
        own = [n for n, entry in enumerate(self.journal) if entry.who == caller]
        if not own:
            return False
        role_id = self.journal[own[-1]].role.id
        return any(entry.role.id == role_id for entry in self.journal[own[-1] + 1 :])

    def may_have_changed(self, caller: str) -> bool:
        """Return True if an attempt of a caller got no answer, or one that leaves it open."""
        deadline = self.began + timedelta(seconds=TOTAL_LIMIT)
        return any(a.may_have_been_applied(deadline) for a in self.attempts if a.caller == caller)

    def got_status(self, caller: str, status: int) -> bool:
        """Return True if the service itself answered a caller with a status."""
        return any(
            attempt.is_from_service and attempt.reply.status == status
            for attempt in self.attempts
            if attempt.caller == caller
        )

    def may_be_own(self, role: Role, mark: str) -> bool:
        """Return True if a caller cannot distinguish another's new role from its own.

        A `Date` is in whole seconds, of when an answer was made and not of when it came; without
        one, the caller's clock is taken to be less than five minutes off.
        """
        slack = 1.5 + max(attempt.reply.delay for attempt in self.attempts)
        if not self.has_date:
            slack += 300.0 + (self.now() - datetime.now(UTC)).total_seconds()
        is_new = role.created_at >= self.began - timedelta(seconds=slack)
        is_similar = role.description == mark or role.updated_at > role.created_at
        return is_new and is_similar and not role.is_predefined


def untrue(account: Journaled, caller: str, ask: Ask, mark: str, result: object) -> str:  # noqa: C901, PLR0911 - one a rule
    """Return what is wrong in what a call said, whatever others did; empty if nothing is.

    Args:
        account: The account that was asked.
        caller: Who made the call.
        ask: The call.
        mark: The description that the call gave, and no other.
        result: What it returned, or the error that it raised.
    """
    did = account.done_by(caller)
    effect = EFFECTS.get(ask.operation)
    if any(entry.effect != effect for entry in did):
        return f"it did {did}"
    if any(entry.effect != "deleted" and entry.role.description != mark for entry in did):
        return f"it did what another call was to do: {did}"
    match result:
        case OutcomeUnknownError():
            is_open = effect is not None and account.may_have_changed(caller)
            return "" if is_open else "everything is known"
        case RoleRenamedError():
            renamed = bool(did) and did[-1].role.name == result.renamed_to != ask.name
            return "" if renamed and not ask.by_id else "no role was renamed"
        case ForbiddenError() if account.was_undone(caller):
            return ""
        case NotFoundError() | ConflictError():
            if did and not account.was_undone(caller):
                return f"it did {did}"
            is_lookup = isinstance(result, NotFoundError) and result.name is not None
            status = 200 if is_lookup else result.status
            return "" if account.got_status(caller, status) else "the service never said so"
        case RolesError():
            return f"it did {did}" if did else ""
        case Role():
            return _untrue_role(account, caller, ask, mark, result)
        case ListRolesResponse():
            return _untrue_list(account, result)
        case _:
            if did:
                return ""
            is_likely = account.may_have_changed(caller) and account.got_status(caller, 404)
            return "" if is_likely else "nothing was deleted"


def _untrue_role(account: Journaled, caller: str, ask: Ask, mark: str, role: Role) -> str:
    if role not in account.ever:
        return "there never was such a role"
    if ask.operation == "get":
        return "" if ask.by_id or role.name == ask.name else "it has another name"
    # What the role has been since the caller's own request changed or made it.
    entries = [entry for entry in account.journal if entry.role.id == role.id]
    own = next((n for n, entry in enumerate(entries) if entry.who == caller), len(entries))
    is_own = role in [entry.role for entry in entries[own:]]
    if ask.operation == "create":
        is_likely = account.may_have_changed(caller) and account.may_be_own(role, mark)
        return "" if is_own or is_likely else f"another made it: {entries}"
    if not is_own:
        return f"it did {account.done_by(caller)}"
    is_another = not ask.by_id and ask.new_name is None and role.name != ask.name
    return "another role was changed" if is_another else ""


def _untrue_list(account: Journaled, response: ListRolesResponse) -> str:
    strange = set(response.roles) - account.ever
    if strange:
        return f"there never were {strange}"
    ids = [role.id for role in response]
    if len(set(ids)) < len(ids) and account.assumptions.paging == "by-position":
        return f"a role is there twice: {ids}"
    return ""


def untrue_alone(account: Journaled, ask: Ask, result: object) -> str:  # noqa: PLR0911
    """Return what is wrong in what a call said, if nobody else did anything meanwhile."""
    # An update that is sent again changes what it changed, to the same.
    if len({(entry.effect, entry.role.id) for entry in account.journal}) > 1:
        return f"it did more than once what it was asked: {account.journal}"
    names = {role.name for role in account.before}
    match result:
        case Role():
            return "" if result in account.roles else "it is not there"
        case ListRolesResponse():
            newest_first = account.assumptions.list_order == "newest-first"
            listed = result.roles if newest_first else result.roles[::-1]
            return "" if listed == account.before else f"the roles were {account.before}"
        case NotFoundError():
            return f"there is {ask.name!r}" if ask.name in names else ""
        case ConflictError() if ask.operation != "delete":
            name = ask.name if ask.operation == "create" else ask.new_name or ""
            taken = {fold(each) for each in names | account.deleted_names}
            return "" if fold(name) in taken else f"nobody has {name!r}"
        case ConflictError():
            return "" if any(map(account.bindings, account.before)) else "nobody holds it"
        case _:
            return ""


def fold(name: str) -> str:
    """Return a name without case and outer spaces."""
    return name.strip().casefold()
