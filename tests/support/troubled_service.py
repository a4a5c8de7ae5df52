"""A service that loses, delays, repeats and refuses requests, while others act between them.

It is a small fake account for one call of `tests.tools.judge`, which notes what each request did.
"""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from email.utils import format_datetime
from random import Random
from typing import Any, Final, NamedTuple, cast

import attrs
import msgspec

from arize_roles_async import Request, Response
from arize_roles_fake import Assumptions, FakeAccount
from arize_roles_fake._testing.faults import Reply, reply_of

ADDRESSES: Final = ("mike@x.org", "Mike@x.org", "MIKE@X.ORG", "xmike@x.org", "mike@x.org.br")
NAMES: Final = ("ML", "ml", "ML 2", "html", "Ops")
RIGHTS: Final = ("ROLE_BINDING_READ", "ROLE_BINDING_CREATE", "ROLE_BINDING_DELETE")
PRECISIONS: Final = ("microseconds", "milliseconds", "seconds")
OTHER: Final[tuple[Any, ...]] = (None, True, -1, 9**99, "", "\ud800", "\x1b[2J", [], {}, [{}])
AFTER: Final = ("twice", "overtaken", "spoiled")
KINDS: Final = ("lost", "silent", "500", "503", "page200", "page404", "page502", "page503")
FAULTS: Final = (
    *("refused", "late", "401", "403", "429", *AFTER),
    *(f"{kind} {when}" for kind in KINDS for when in ("before", "after")),
)
"""What becomes of an attempt, before or after the service did what it asks.

`late` is lost, and arrives at one of the next requests or never. `twice` is done twice, and the
second answer arrives. The answer to an `overtaken` update shows what others made of it meanwhile.
Of a `spoiled` answer, a member is of another kind. A `page` is a gateway's.
"""
ACTS: Final = {
    "roles": ("delete", "take", "take similar", "edit", "swap", "rights"),
    "role_bindings": ("bind", "unbind", "rebind", "reassign", "rights"),
    "by_name": ("bind", "unbind", "reassign", "rename user", "rename space", "block"),
}
"""What others do, by the resource of the call."""


@attrs.frozen
class Story:
    """A call of a method, what goes wrong, and what others do."""

    method: str
    seed: int
    """Of the account's content, and of what others do."""
    precision: str
    faults: Mapping[str, str]
    """By a word, `change` or `read`, and the number of the request."""
    acts: Mapping[int, str]
    """What others do before a request, by its number."""
    attempts: int = 3
    total: float | None = None
    ahead: float = 0.0
    """Seconds that the clock of gateways is ahead of the service's."""
    has_other_key: bool = False
    """After a 401, the key function returns the key of another account."""


class Moment(NamedTuple):
    """Roles and bindings by their IDs, and the names of what is visible, by kind and ID."""

    items: Mapping[str, Mapping[str, Any]]
    names: Mapping[str, Mapping[str, str]]


class TroubledService(FakeAccount):
    """An account for one call."""

    def __init__(self, story: Story, **options: Any) -> None:  # noqa: ANN401 - the account's
        drawn = self.drawn = Random(story.seed)  # noqa: S311 - no secret
        choices = {k: x for k, x in Assumptions.choices().items() if drawn.random() < 0.3}
        settings: Any = {name: drawn.choice(values) for name, values in choices.items()}
        # By offset, a walk may leave out what is there.
        settings |= {"timestamps": story.precision, "paging": "by-position"}
        super().__init__(predefined=False, assumptions=Assumptions(**settings), **options)
        self.story, self.resource = story, story.method.partition(".")[0]
        self.key, self.in_process = f"key-of-the-call-{story.seed}", "clock" in options
        self.other_key, self.asked = f"key-of-others-{story.seed}", 0
        self.other = FakeAccount(api_key=self.other_key, predefined=False, clock=self.now)
        """The account of that key, which is empty and stays so: the key cannot create."""
        self.other.add_key(
            self.other_key, grants=("ROLE_READ", "ROLE_UPDATE", "ROLE_DELETE", "USER_READ")
        )
        self.own: dict[str, bool] = {}
        """What the call's requests changed, by IDs; True if the answers said they did not."""
        self.deleted: set[str] = set()
        """What of that they deleted."""
        self.theirs: set[str] = set()
        """What others changed during the call."""
        self.requests: list[tuple[str, str, str, str]] = []
        """Method, path, number of retries, and the fault or else the status of the answer."""
        self.late: list[Request] = []
        self.has_rights = True
        """The key has every right all the time."""
        self.jumped = 0.0
        """Seconds that passed in jumps, which no limit of the call shortens."""
        self._draw_content(drawn)
        self.given = METHODS[story.method](self)
        """The arguments of the call."""
        self.moments = [self._moment()]
        """At the beginning, and after each act and request."""
        self.advance(drawn.uniform(5.0, 60.0))

    def _draw_content(self, drawn: Random) -> None:
        self.role_ids = [self.add_role(name, ["PROJECT_READ"]).id for name in ("Analyst", "Editor")]
        is_small = self.resource == "roles"
        if is_small and drawn.random() < 0.2:
            self.add_role("Made", ["PROJECT_READ"], description="New.")
        self.addresses: dict[str, str] = {}
        self.places: dict[str, tuple[str, str]] = {}
        """The kind and the name of spaces and projects."""
        for number in range(1 if is_small else drawn.randint(1, 4)):
            self._name_user(self.id(f"u{number}"), drawn.choice(ADDRESSES))
        self.users = [*self.addresses]
        self.spaces = [self.id(f"Space:{n}") for n in range(1 if is_small else drawn.randint(1, 3))]
        for number, space in enumerate(self.spaces):
            self._name_space(space, drawn.choice(NAMES))
            if drawn.random() < 0.6:
                project = self.add_project(drawn.choice(NAMES), space=space, id=f"Project:{number}")
                self.places[project.id] = "project", project.name
        for user, place in ((u, p) for u in self.users for p in self.places):
            if drawn.random() < 0.5:
                self.bind(drawn.choice(self.role_ids), user=user, resource=place)
        self.user, self.place = drawn.choice(self.users), drawn.choice([*self.places])
        self.role_id = drawn.choice(self.role_ids)
        self._draw_rights(drawn.choice([1.0, 0.7]))
        if drawn.random() < 0.5:
            self.shorten_pages(*[1] * 20)

    def _name_user(self, user: str, address: str) -> None:
        self.addresses[user] = str(self.add_user(address, id=user).email).lower()

    def _name_space(self, space: str, name: str) -> None:
        self.places[space] = "space", self.add_space(name, id=space, organization=space[-9:]).name

    def _draw_rights(self, share: float) -> None:
        """Give the call's key this share of the rights on bindings, or on roles perhaps none."""
        self.has_rights = self.has_rights and share == 1.0
        self.add_key(self.key)
        if self.resource == "role_bindings":
            random = self.drawn.random
            on = {each: [x for x in RIGHTS if random() < share] for each in self.places}
            self.add_key(self.key, grants=(), on=on)
        elif self.resource == "roles" and share < 0.7:
            self.add_key(self.key, grants=("ROLE_READ",))

    def api_key_now(self) -> str:
        """Return the key of the call as its function does."""
        self.asked += 1
        is_other = self.story.has_other_key and "401" in self.ends()
        return self.other_key if is_other else self.key

    def ends(self) -> list[str]:
        return [end for *_, end in self.requests]

    def changes(self) -> list[str]:
        """Return what became of the requests for a change."""
        return [end for method, _, _, end in self.requests if method != "GET"]

    def binding(self) -> str:
        """Return the ID of the binding of the call's user on its place, or one of none."""
        target = self.user, self.place
        found = [b.id for b in self.bindings() if (b.user_id, b.resource_id) == target]
        return found[0] if found else "Um9sZUJpbmRpbmc6MDpub25l"

    def _moment(self) -> Moment:
        names = {"user": self.addresses.copy(), "role": {each.id: each.name for each in self.roles}}
        for kind in ("space", "project"):
            names[kind] = {place: name for place, (of, name) in self.places.items() if of == kind}
        items = {x.id: plain(x) for x in self.roles} | {x.id: plain(x) for x in self.bindings()}
        return Moment(items, names)

    def _note(self, *, is_denied: bool | None = None) -> None:
        """Note what has changed: by the call, or without an answer by others."""
        before, now = self.moments[-1].items, self._moment()
        changed = {x for x in {**before, **now.items} if before.get(x) != now.items.get(x)}
        if is_denied is None:
            self.theirs |= changed
        else:
            self.own |= {each: is_denied and self.own.get(each, True) for each in changed}
            self.deleted |= changed - now.items.keys()
        self.moments.append(now)

    def handle(self, request: Request) -> Response:
        """Answer a request of the call, as its fault says."""
        is_change, retries = request.method != "GET", request.headers.get("sdk-retry-count", "")
        if (act := self.story.acts.get(len(self.requests) + 1)) is not None:
            self._act(act)
        # Between two pages of the last look at the account, no call could know of it.
        is_seen = is_change or not self.requests or self.requests[-1][0] != "GET"
        while self.late and is_seen and self.drawn.random() < 0.5:
            self._carry_out(self.late.pop())
        number = 1 + [method != "GET" for method, *_ in self.requests].count(is_change)
        fault = self.story.faults.get(f"{'change' if is_change else 'read'} {number}")
        if request.headers["Authorization"].endswith(self.other_key):
            fault = None
        reply = self._carry_out(request) if fault is None else self._reply(request, fault)
        self.requests.append((request.method, request.path, retries, fault or f"{reply.status}"))
        return msgspec.structs.replace(reply, delay=self.drawn.choice([0.0, 0.1, 0.9]))

    def _reply(self, request: Request, fault: str) -> Reply:
        what, _, when = fault.partition(" ")
        status = what.removeprefix("page")
        if what not in AFTER:
            date = format_datetime(self.now() + timedelta(seconds=self.story.ahead), usegmt=True)
            page: Any = {"body": "<html>Busy", "headers": {"Date": date}} if what != status else {}
            failure: Any = int(status) if status.isdecimal() else what.replace("late", "lost")
            self.fail("any", failure, when=cast("Any", when or "before"), **page)
        if what == "late":
            self.late.append(request)
        if what == "twice":
            self._carry_out(request)
        reply = self._carry_out(request, is_denied=what == "503")
        if what == "overtaken" and request.method == "PATCH" and reply.status == 200:
            self._act("edit" if self.resource == "roles" else "reassign")
            reply = self._ask("GET", request.path, {})
        if what == "spoiled":
            document = json.loads(reply.body or b"{}")
            document |= {self.drawn.choice([*document, ""]): self.drawn.choice(OTHER)}
            reply = msgspec.structs.replace(reply, body=json.dumps(document).encode())
        return reply

    def _carry_out(self, request: Request, *, is_denied: bool = False) -> Reply:
        is_other = request.headers["Authorization"].endswith(self.other_key)
        reply = reply_of(self.other.handle(request) if is_other else super().handle(request))
        self._note(is_denied=is_denied)
        return reply

    def _ask(self, method: str, path: str, members: Mapping[str, Any]) -> Reply:
        headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
        body = json.dumps(members).encode() if members else None
        request = Request(method=method, target=path, headers=headers, body=body)
        return reply_of(super().handle(request))

    def _act(self, what: str) -> None:
        # Over sockets, time is the client's, too, which does not jump.
        drawn, jump = self.drawn, self.drawn.uniform(0.0, 3.0) * self.in_process
        self.advance(jump)
        self.jumped += jump
        named = {each.name: f"/v2/roles/{each.id}" for each in self.roles}
        name = next((each for each in ("Made", "Analyst", *named) if each in named), "")
        role, binding = named.get(name, "/v2/roles/none"), f"/v2/role-bindings/{self.binding()}"
        new = {"permissions": [drawn.choice(["PROJECT_READ", "TAG_READ"])], "description": "New."}
        bound = {**_target(self), "role_id": drawn.choice(self.role_ids)}
        another = next((path for path in named.values() if path != role), role)
        requests: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
            "delete": [("DELETE", role, {})],
            "take": [("POST", "/v2/roles", {**new, "name": "Made"})],
            "take similar": [("POST", "/v2/roles", {**new, "name": "made"})],
            "edit": [("PATCH", role, {"description": "Theirs."})],
            "swap": [("PATCH", role, {"name": "Aside"}), ("PATCH", another, {"name": name})],
            "bind": [("POST", "/v2/role-bindings", bound)],
            "unbind": [("DELETE", binding, {})],
            "rebind": [("DELETE", binding, {}), ("POST", "/v2/role-bindings", bound)],
            "reassign": [("PATCH", binding, {"role_id": bound["role_id"]})],
        }
        for method, path, members in requests.get(what, ()):
            self._ask(method, path, members)
        if what == "rights":
            self._draw_rights(drawn.choice([1.0, 0.5]))
        elif what == "rename user":
            self._name_user(drawn.choice(self.users), drawn.choice(ADDRESSES))
        elif what == "rename space":
            self._name_space(drawn.choice(self.spaces), drawn.choice(NAMES))
        elif what == "block":
            self.block_user(self.user)
            self.addresses.pop(self.user, None)
        self._note()


def plain(item: Any) -> dict[str, Any]:  # noqa: ANN401 - of any resource
    """Return an item as the service writes it, without its times."""
    return {name: value for name, value in item.to_dict().items() if not name.endswith("_at")}


def _target(service: TroubledService) -> dict[str, str]:
    kind = service.places[service.place][0].upper()
    return {"user_id": service.user, "resource_type": kind, "resource_id": service.place}


def _names(service: TroubledService) -> dict[str, str]:
    (kind, name), user = service.places[service.place], service.addresses[service.user]
    return {"user": service.drawn.choice([user, user.upper()]), kind: name}


_NEW: Final = {"name": "Made", "permissions": ["PROJECT_READ"], "description": "New."}
METHODS: Final[Mapping[str, Callable[[TroubledService], dict[str, Any]]]] = {
    "roles.create": lambda _: _NEW,
    "roles.update": lambda s: {"role_id": s.role_ids[0], "description": "New."},
    "roles.update the name": lambda s: {"role_id": s.role_ids[0], "name": "Made"},
    "roles.update by name": lambda _: {"role": "Analyst", "description": "New."},
    "roles.delete": lambda s: {"role_id": s.role_ids[0]},
    "roles.delete by name": lambda _: {"role": "Analyst"},
    "role_bindings.create": lambda s: {**_target(s), "role_id": s.role_id},
    "role_bindings.update": lambda s: {"binding_id": s.binding(), "role_id": s.role_id},
    "role_bindings.delete": lambda s: {"binding_id": s.binding()},
    "role_bindings.ensure": lambda s: {**_target(s), "role_id": s.role_id},
    "role_bindings.remove": _target,
    "by_name.ensure": lambda s: {**_names(s), "role": s.drawn.choice(["Analyst", "Editor"])},
    "by_name.remove": _names,
}
"""Every change, with its arguments."""
