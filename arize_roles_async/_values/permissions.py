"""Permissions that a role can hold, known to this version or not."""

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import msgspec


class _Identifier:
    """The parts of a permission's identifier."""

    __slots__ = ()

    @property
    def resource(self) -> str:
        """Its resource: `DATASET_EXAMPLE` of `DATASET_EXAMPLE_READ`."""
        return str(self).rpartition("_")[0]

    @property
    def action(self) -> str:
        """Its action on the resource: `READ` of `DATASET_EXAMPLE_READ`."""
        return str(self).rpartition("_")[2]


class Permission(_Identifier, StrEnum):
    """A permission identifier of Arize's roles API, `RESOURCE_ACTION` in capitals.

    Members are strings: they compare equal to their identifier and print as it. These are the
    identifiers that the service's reference listed when this version was released; a later one
    arrives as an `UnknownPermission`.
    """

    _value_: str  # Else ty takes a member's value for anything.

    AGENT_ROLE_CREATE = "AGENT_ROLE_CREATE"
    AGENT_ROLE_DELETE = "AGENT_ROLE_DELETE"
    AGENT_ROLE_READ = "AGENT_ROLE_READ"
    AGENT_ROLE_UPDATE = "AGENT_ROLE_UPDATE"
    AI_PROVIDER_READ = "AI_PROVIDER_READ"
    ALYX_RUN = "ALYX_RUN"
    ANNOTATION_CONFIG_CREATE = "ANNOTATION_CONFIG_CREATE"
    ANNOTATION_CONFIG_DELETE = "ANNOTATION_CONFIG_DELETE"
    ANNOTATION_CONFIG_READ = "ANNOTATION_CONFIG_READ"
    ANNOTATION_CONFIG_UPDATE = "ANNOTATION_CONFIG_UPDATE"
    COST_CONFIG_CREATE = "COST_CONFIG_CREATE"
    COST_CONFIG_DELETE = "COST_CONFIG_DELETE"
    COST_CONFIG_READ = "COST_CONFIG_READ"
    COST_CONFIG_UPDATE = "COST_CONFIG_UPDATE"
    CUSTOM_METRIC_CREATE = "CUSTOM_METRIC_CREATE"
    CUSTOM_METRIC_DELETE = "CUSTOM_METRIC_DELETE"
    CUSTOM_METRIC_READ = "CUSTOM_METRIC_READ"
    CUSTOM_METRIC_UPDATE = "CUSTOM_METRIC_UPDATE"
    DASHBOARD_CREATE = "DASHBOARD_CREATE"
    DASHBOARD_DELETE = "DASHBOARD_DELETE"
    DASHBOARD_READ = "DASHBOARD_READ"
    DASHBOARD_RESTRICT = "DASHBOARD_RESTRICT"
    DASHBOARD_TEMPLATE_CREATE = "DASHBOARD_TEMPLATE_CREATE"
    DASHBOARD_TEMPLATE_DELETE = "DASHBOARD_TEMPLATE_DELETE"
    DASHBOARD_TEMPLATE_READ = "DASHBOARD_TEMPLATE_READ"
    DASHBOARD_TEMPLATE_UPDATE = "DASHBOARD_TEMPLATE_UPDATE"
    DASHBOARD_UPDATE = "DASHBOARD_UPDATE"
    DATASET_CREATE = "DATASET_CREATE"
    DATASET_DELETE = "DATASET_DELETE"
    DATASET_EXAMPLE_ANNOTATE = "DATASET_EXAMPLE_ANNOTATE"
    DATASET_EXAMPLE_CREATE = "DATASET_EXAMPLE_CREATE"
    DATASET_EXAMPLE_DELETE = "DATASET_EXAMPLE_DELETE"
    DATASET_EXAMPLE_READ = "DATASET_EXAMPLE_READ"
    DATASET_EXAMPLE_UPDATE = "DATASET_EXAMPLE_UPDATE"
    DATASET_READ = "DATASET_READ"
    DATASET_UPDATE = "DATASET_UPDATE"
    DATASET_VIEW_CREATE = "DATASET_VIEW_CREATE"
    DATASET_VIEW_DELETE = "DATASET_VIEW_DELETE"
    DATASET_VIEW_READ = "DATASET_VIEW_READ"
    DATASET_VIEW_UPDATE = "DATASET_VIEW_UPDATE"
    DATA_FABRIC_CONNECTOR_CREATE = "DATA_FABRIC_CONNECTOR_CREATE"
    DATA_FABRIC_CONNECTOR_DELETE = "DATA_FABRIC_CONNECTOR_DELETE"
    DATA_FABRIC_CONNECTOR_READ = "DATA_FABRIC_CONNECTOR_READ"
    DATA_FABRIC_CONNECTOR_UPDATE = "DATA_FABRIC_CONNECTOR_UPDATE"
    EVALUATOR_CREATE = "EVALUATOR_CREATE"
    EVALUATOR_DELETE = "EVALUATOR_DELETE"
    EVALUATOR_READ = "EVALUATOR_READ"
    EVALUATOR_UPDATE = "EVALUATOR_UPDATE"
    EXPERIMENT_CREATE = "EXPERIMENT_CREATE"
    EXPERIMENT_DELETE = "EXPERIMENT_DELETE"
    EXPERIMENT_EVAL_TASK_CREATE = "EXPERIMENT_EVAL_TASK_CREATE"
    EXPERIMENT_EVAL_TASK_DELETE = "EXPERIMENT_EVAL_TASK_DELETE"
    EXPERIMENT_EVAL_TASK_READ = "EXPERIMENT_EVAL_TASK_READ"
    EXPERIMENT_EVAL_TASK_UPDATE = "EXPERIMENT_EVAL_TASK_UPDATE"
    EXPERIMENT_READ = "EXPERIMENT_READ"
    EXPERIMENT_RUN_ANNOTATE = "EXPERIMENT_RUN_ANNOTATE"
    EXPERIMENT_RUN_READ = "EXPERIMENT_RUN_READ"
    EXPERIMENT_UPDATE = "EXPERIMENT_UPDATE"
    FILE_IMPORT_CREATE = "FILE_IMPORT_CREATE"
    FILE_IMPORT_DELETE = "FILE_IMPORT_DELETE"
    FILE_IMPORT_READ = "FILE_IMPORT_READ"
    FILE_IMPORT_UPDATE = "FILE_IMPORT_UPDATE"
    LLM_INTEGRATION_CREATE = "LLM_INTEGRATION_CREATE"
    LLM_INTEGRATION_DELETE = "LLM_INTEGRATION_DELETE"
    LLM_INTEGRATION_UPDATE = "LLM_INTEGRATION_UPDATE"
    MANAGED_AGENT_CREATE = "MANAGED_AGENT_CREATE"
    MANAGED_AGENT_DELETE = "MANAGED_AGENT_DELETE"
    MANAGED_AGENT_READ = "MANAGED_AGENT_READ"
    MANAGED_AGENT_UPDATE = "MANAGED_AGENT_UPDATE"
    ML_MODEL_CREATE = "ML_MODEL_CREATE"
    ML_MODEL_DELETE = "ML_MODEL_DELETE"
    ML_MODEL_READ = "ML_MODEL_READ"
    ML_MODEL_UPDATE = "ML_MODEL_UPDATE"
    MONITOR_CREATE = "MONITOR_CREATE"
    MONITOR_DELETE = "MONITOR_DELETE"
    MONITOR_READ = "MONITOR_READ"
    MONITOR_TRIGGER = "MONITOR_TRIGGER"
    MONITOR_UPDATE = "MONITOR_UPDATE"
    ORGANIZATION_CREATE = "ORGANIZATION_CREATE"
    ORGANIZATION_DELETE = "ORGANIZATION_DELETE"
    ORGANIZATION_READ = "ORGANIZATION_READ"
    ORGANIZATION_UPDATE = "ORGANIZATION_UPDATE"
    PLAYGROUND_RUN = "PLAYGROUND_RUN"
    PLAYGROUND_VIEW_CREATE = "PLAYGROUND_VIEW_CREATE"
    PLAYGROUND_VIEW_DELETE = "PLAYGROUND_VIEW_DELETE"
    PLAYGROUND_VIEW_READ = "PLAYGROUND_VIEW_READ"
    PLAYGROUND_VIEW_UPDATE = "PLAYGROUND_VIEW_UPDATE"
    PROJECT_CREATE = "PROJECT_CREATE"
    PROJECT_DELETE = "PROJECT_DELETE"
    PROJECT_EVAL_TASK_CREATE = "PROJECT_EVAL_TASK_CREATE"
    PROJECT_EVAL_TASK_DELETE = "PROJECT_EVAL_TASK_DELETE"
    PROJECT_EVAL_TASK_READ = "PROJECT_EVAL_TASK_READ"
    PROJECT_EVAL_TASK_UPDATE = "PROJECT_EVAL_TASK_UPDATE"
    PROJECT_READ = "PROJECT_READ"
    PROJECT_RESTRICT = "PROJECT_RESTRICT"
    PROJECT_SPAN_ANNOTATE = "PROJECT_SPAN_ANNOTATE"
    PROJECT_SPAN_CREATE = "PROJECT_SPAN_CREATE"
    PROJECT_SPAN_DELETE = "PROJECT_SPAN_DELETE"
    PROJECT_SPAN_EVAL_FEEDBACK_UPDATE = "PROJECT_SPAN_EVAL_FEEDBACK_UPDATE"
    PROJECT_SPAN_READ = "PROJECT_SPAN_READ"
    PROJECT_SPAN_UPDATE = "PROJECT_SPAN_UPDATE"
    PROJECT_UPDATE = "PROJECT_UPDATE"
    PROMPT_CREATE = "PROMPT_CREATE"
    PROMPT_DELETE = "PROMPT_DELETE"
    PROMPT_OPTIMIZE_TASK_CREATE = "PROMPT_OPTIMIZE_TASK_CREATE"
    PROMPT_OPTIMIZE_TASK_DELETE = "PROMPT_OPTIMIZE_TASK_DELETE"
    PROMPT_OPTIMIZE_TASK_READ = "PROMPT_OPTIMIZE_TASK_READ"
    PROMPT_OPTIMIZE_TASK_UPDATE = "PROMPT_OPTIMIZE_TASK_UPDATE"
    PROMPT_READ = "PROMPT_READ"
    PROMPT_RESTRICT = "PROMPT_RESTRICT"
    PROMPT_UPDATE = "PROMPT_UPDATE"
    QUEUE_CREATE = "QUEUE_CREATE"
    QUEUE_DELETE = "QUEUE_DELETE"
    QUEUE_READ = "QUEUE_READ"
    QUEUE_RECORD_ANNOTATE = "QUEUE_RECORD_ANNOTATE"
    QUEUE_RECORD_CREATE = "QUEUE_RECORD_CREATE"
    QUEUE_RECORD_DELETE = "QUEUE_RECORD_DELETE"
    QUEUE_RECORD_READ = "QUEUE_RECORD_READ"
    QUEUE_RECORD_UPDATE = "QUEUE_RECORD_UPDATE"
    QUEUE_UPDATE = "QUEUE_UPDATE"
    REMOTE_ENDPOINT_INTEGRATION_CREATE = "REMOTE_ENDPOINT_INTEGRATION_CREATE"
    REMOTE_ENDPOINT_INTEGRATION_DELETE = "REMOTE_ENDPOINT_INTEGRATION_DELETE"
    REMOTE_ENDPOINT_INTEGRATION_READ = "REMOTE_ENDPOINT_INTEGRATION_READ"
    REMOTE_ENDPOINT_INTEGRATION_UPDATE = "REMOTE_ENDPOINT_INTEGRATION_UPDATE"
    ROLE_BINDING_CREATE = "ROLE_BINDING_CREATE"
    ROLE_BINDING_DELETE = "ROLE_BINDING_DELETE"
    ROLE_BINDING_READ = "ROLE_BINDING_READ"
    ROLE_CREATE = "ROLE_CREATE"
    ROLE_DELETE = "ROLE_DELETE"
    ROLE_READ = "ROLE_READ"
    ROLE_UPDATE = "ROLE_UPDATE"
    SERVICE_KEY_CREATE = "SERVICE_KEY_CREATE"
    SERVICE_KEY_READ = "SERVICE_KEY_READ"
    SERVICE_KEY_REVOKE = "SERVICE_KEY_REVOKE"
    SPACE_CREATE = "SPACE_CREATE"
    SPACE_DELETE = "SPACE_DELETE"
    SPACE_READ = "SPACE_READ"
    SPACE_UPDATE = "SPACE_UPDATE"
    TAG_CREATE = "TAG_CREATE"
    TAG_DELETE = "TAG_DELETE"
    TAG_READ = "TAG_READ"
    TAG_UPDATE = "TAG_UPDATE"
    TRACE_VIEW_CREATE = "TRACE_VIEW_CREATE"
    TRACE_VIEW_DELETE = "TRACE_VIEW_DELETE"
    TRACE_VIEW_READ = "TRACE_VIEW_READ"
    TRACE_VIEW_UPDATE = "TRACE_VIEW_UPDATE"
    USER_CREATE = "USER_CREATE"
    USER_DELETE = "USER_DELETE"
    USER_PERMISSION_UPDATE = "USER_PERMISSION_UPDATE"
    USER_READ = "USER_READ"
    USER_UPDATE = "USER_UPDATE"

    @property
    def is_known(self) -> bool:
        """True: this version of the library knows the permission."""
        return True


class UnknownPermission(_Identifier, str):
    """A permission that the service returned and this version of the library does not know.

    It equals its identifier, prints as it, and can be sent back in an update. The set of
    permissions grows every few weeks, so code that reads roles should expect it.

    Construct one to send an identifier unchecked.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"UnknownPermission({str(self)!r})"

    @property
    def value(self) -> str:
        """The identifier, as on a `Permission`."""
        return str(self)

    @property
    def is_known(self) -> bool:
        """False: a newer version of the library may know the permission."""
        return False


AnyPermission = Permission | UnknownPermission
"""A permission of a role, known to this version or not."""

MAX_PERMISSIONS: Final = 1_000
"""Limit on the permissions of one role: far more than exist, and few enough to convert quickly."""


def enum_or_text(known: type[StrEnum], unknown: type[str]) -> type[StrEnum]:
    """Return the type that msgspec decodes as a member of `known`, or else as an `unknown` text.

    msgspec asks `_missing_` for a value of no member, and takes any object that it returns. So a
    page with one new permission takes no longer than any page. `known` itself has no `_missing_`,
    since that would turn the ValueError of `Permission("X")` into a TypeError.
    """

    class EnumOrText(StrEnum):
        @classmethod
        def _missing_(cls, value: object) -> str:
            return unknown(value)

    EnumOrText.__name__ = f"{known.__name__} | {unknown.__name__}"
    # msgspec looks values up in this map.
    EnumOrText._value2member_map_ = known._value2member_map_
    return EnumOrText


if TYPE_CHECKING:
    Permissions = tuple[AnyPermission, ...]
else:
    Permissions = Annotated[
        tuple[enum_or_text(Permission, UnknownPermission), ...],
        msgspec.Meta(max_length=MAX_PERMISSIONS),
    ]

PermissionsArgument = Iterable[AnyPermission | str]
"""Type of arguments for permissions: members and identifiers, in any iterable."""

known_permission: Final = Permission.__members__.get
"""Returns the member that an identifier names, as each has the name of its value, or None."""


def any_permission(identifier: str) -> AnyPermission:
    """Return the member that `identifier` names, or an `UnknownPermission`."""
    return known_permission(identifier) or UnknownPermission(identifier)
