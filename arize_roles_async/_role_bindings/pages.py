"""The result of `role_bindings.list()`: awaited for one page, or iterated for every binding."""

from arize_roles_async._calls.paging import Pages
from arize_roles_async._role_bindings.models import ListRoleBindingsResponse, RoleBinding
from arize_roles_async._role_bindings.requests import ListRoleBindings


class RoleBindingPages(Pages[ListRoleBindings, ListRoleBindingsResponse, RoleBinding]):
    """A listing of role bindings, made and used as `RolePages` is."""

    _noun = "role bindings"
    _request_type = ListRoleBindings
