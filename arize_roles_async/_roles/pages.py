"""The result of `roles.list()`: awaited for one page, or iterated for every role."""

from arize_roles_async._calls.paging import Pages
from arize_roles_async._roles.models import ListRolesResponse, Role
from arize_roles_async._roles.requests import ListRoles


class RolePages(Pages[ListRoles, ListRolesResponse, Role]):
    """A listing that sends its requests only when it is awaited or iterated.

    `await roles.list()` gives one page, `async for role in roles.list()` every role, page after
    page, and `await roles.list().all()` every role in one `ListRolesResponse`. Nothing is sent
    before that, and each starts afresh. Clients make listings; a client of your own makes one with
    `from_fetch`.
    """

    _noun = "roles"
    _request_type = ListRoles
