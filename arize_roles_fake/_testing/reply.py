"""An answer of the account, with the ways in which a test disturbs it."""

import msgspec

from arize_roles_async._wire.response import Response
from arize_roles_fake._testing.blocked import Blocked
from arize_roles_fake._testing.fault_rules import Breakage


class Reply(Response, frozen=True, kw_only=True):
    """An answer of the account."""

    delay: float = 0.0
    """Seconds until the answer is sent."""
    broken: Breakage | None = None
    """The way in which the answer breaks off; None if it arrives whole."""
    real_time: bool = False
    """True if `delay` is in real seconds in process, too."""
    blocked: Blocked | None = None
    """Keeps the call open until a test releases it."""


def reply_of(answer: Response) -> Reply:
    """Return an answer of `FakeAccount.handle`; that of a subclass may be a plain response."""
    return answer if isinstance(answer, Reply) else Reply(**msgspec.structs.asdict(answer))
