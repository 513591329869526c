"""What clients may send, as Airbyte's OpenAPI document has it. Unknown fields are refused, never ignored."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


def _finite(value: Any) -> Any:
    """JSON has no word for other numbers: what was stored with one could never be answered again."""
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("finite_number", "Numbers should be finite")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _finite(part)
    return value


Configuration = Annotated[dict[str, Any], AfterValidator(_finite)]

Name = Annotated[str, StringConstraints(min_length=1, max_length=250)]
FieldPath = Annotated[list[str], Field(min_length=1)]

SyncMode = Literal[
    "full_refresh_overwrite",
    "full_refresh_overwrite_deduped",
    "full_refresh_append",
    "full_refresh_update",
    "full_refresh_soft_delete",
    "incremental_append",
    "incremental_deduped_history",
    "incremental_update",
    "incremental_soft_delete",
]
JobType = Literal["sync", "reset", "refresh", "clear"]
JobStatus = Literal["pending", "queued", "running", "incomplete", "failed", "succeeded", "cancelled"]
Namespace = Literal["source", "destination", "custom_format"]
SchemaUpdates = Literal["ignore", "disable_connection", "propagate_columns", "propagate_fully"]
ConnectionStatus = Literal["active", "inactive", "deprecated", "locked"]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    def sent(self) -> dict[str, Any]:
        """The fields that the client named, by our names."""
        return self.model_dump(mode="json", exclude_unset=True)

    def document(self) -> dict[str, Any]:
        """As JSON for the client, without what is absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class TokenRequest(Model):
    """OAuth's own spelling, in Airbyte too; other members of an OAuth request say nothing here."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=None)
    client_id: str
    client_secret: str
    grant_type: Literal["client_credentials"] = "client_credentials"


class ApplicationCreate(Model):
    name: Name
    scope: Literal["admin", "orchestrator"] = (
        "orchestrator"  # ours: Airbyte's applications inherit every right
    )


class Toggle(Model):
    enabled: bool | None = None
    url: str | None = None


class Notification(Model):
    email: Toggle | None = None
    webhook: Toggle | None = None


class Notifications(Model):
    failure: Notification | None = None
    success: Notification | None = None
    connection_update: Notification | None = None
    connection_update_action_required: Notification | None = None
    sync_disabled: Notification | None = None
    sync_disabled_warning: Notification | None = None


class WorkspaceCreate(Model):
    name: Name
    organization_id: UUID | None = None
    notifications: Notifications | None = None
    region_id: UUID | None = None


class WorkspaceUpdate(Model):
    name: Name | None = None
    notifications: Notifications | None = None
    region_id: UUID | None = None


class ActorCreate(Model):
    """A source or a destination."""

    name: Name
    workspace_id: UUID
    configuration: Configuration
    definition_id: UUID | None = None


class ActorPatch(Model):
    name: Name | None = None
    workspace_id: UUID | None = None
    configuration: Configuration | None = None


class ActorPut(Model):
    name: Name
    configuration: Configuration


class SelectedField(Model):
    field_path: FieldPath


class Stream(Model):
    name: Name
    namespace: str | None = None
    sync_mode: SyncMode | None = None
    cursor_field: FieldPath | None = None
    primary_key: list[FieldPath] | None = None
    include_files: bool | None = None
    destination_object_name: str | None = None
    selected_fields: list[SelectedField] | None = None
    mappers: list[dict[str, Any]] | None = None


class Streams(Model):
    streams: list[Stream] | None = None


class Schedule(Model):
    schedule_type: Literal["manual", "cron"]
    cron_expression: str | None = None


class Tag(Model):
    tag_id: UUID
    workspace_id: UUID
    name: str
    color: str


class ConnectionFields(Model):
    name: Name | None = None
    configurations: Streams | None = None
    schedule: Schedule | None = None
    data_residency: str | None = None
    namespace_definition: Namespace | None = None
    namespace_format: str | None = None
    prefix: str | None = None
    non_breaking_schema_updates_behavior: SchemaUpdates | None = None
    status: ConnectionStatus | None = None
    tags: list[Tag] | None = None


class ConnectionCreate(ConnectionFields):
    source_id: UUID
    destination_id: UUID


class ConnectionPatch(ConnectionFields):
    pass


class JobCreate(Model):
    connection_id: UUID
    job_type: JobType
