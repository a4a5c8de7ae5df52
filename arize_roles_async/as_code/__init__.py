"""Roles as code: a file declares an account's custom roles, a plan shows what has to change.

`plan` makes a plan, which is a diff, and `apply` makes its changes; the guide shows both.
"""

from arize_roles_async.as_code.apply import (
    ApplyError,
    ApplyResult,
    Refusal,
    TooManyRemovalsError,
    apply,
)
from arize_roles_async.as_code.declaration import Declaration, DeclaredPlace, DeclaredRole
from arize_roles_async.as_code.files import load, loads
from arize_roles_async.as_code.places import BindingChange, PlannedPlace
from arize_roles_async.as_code.planning import Change, Plan, PlanError, export, plan
from arize_roles_async.as_code.steps import StalePlanError
from arize_roles_async.as_code.toml import FileViolation

__all__ = [
    "ApplyError",
    "ApplyResult",
    "BindingChange",
    "Change",
    "Declaration",
    "DeclaredPlace",
    "DeclaredRole",
    "FileViolation",
    "Plan",
    "PlanError",
    "PlannedPlace",
    "Refusal",
    "StalePlanError",
    "TooManyRemovalsError",
    "apply",
    "export",
    "load",
    "loads",
    "plan",
]
