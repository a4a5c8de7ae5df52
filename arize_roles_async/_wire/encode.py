"""The request of each operation."""

from urllib.parse import quote as percent_encoded

import msgspec

from arize_roles_async._values.requests import CreateRole, ListRoles, UpdateRole
from arize_roles_async._wire.request import ROLES_PATH, Request, role_path


def list_request(page: ListRoles) -> Request:
    target = f"{ROLES_PATH}?limit={page.limit}"
    if page.cursor is not None:
        target += f"&cursor={percent_encoded(page.cursor, safe='')}"
    if page.is_predefined is not None:
        target += f"&is_predefined={'true' if page.is_predefined else 'false'}"
    return Request(method="GET", target=target)


def create_request(role: CreateRole) -> Request:
    return Request(method="POST", target=ROLES_PATH, body=encode_body(role))


def get_request(role_id: str) -> Request:
    return Request(method="GET", target=role_path(role_id))


def update_request(role_id: str, changes: UpdateRole) -> Request:
    return Request(method="PATCH", target=role_path(role_id), body=encode_body(changes))


def delete_request(role_id: str) -> Request:
    return Request(method="DELETE", target=role_path(role_id))


def encode_body(data: object) -> bytes:
    return msgspec.json.encode(data, enc_hook=str)  # str() is for permissions that are no members
