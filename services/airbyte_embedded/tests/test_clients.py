"""Airbyte's official Python client as a user of the service."""

from __future__ import annotations

from collections.abc import Callable

import airbyte_api
import pytest
from airbyte_api import api, models
from airbyte_api.errors import SDKError

from tests.server import ADMIN, ORCHESTRATOR, Server


def client(server: Server, credentials: tuple[str, str]) -> airbyte_api.AirbyteAPI:
    return airbyte_api.AirbyteAPI(
        server_url=server.base,
        security=models.Security(
            client_credentials=models.SchemeClientCredentials(
                client_id=credentials[0],
                client_secret=credentials[1],
                token_url=f"{server.base}/applications/token",
            )
        ),
    )


def test_the_official_client_does_a_whole_round(make_server: Callable[..., Server]) -> None:
    server = make_server(connector="faker")
    sdk = client(server, ADMIN)
    assert sdk.health.get_health_check().status_code == 200
    listed = sdk.workspaces.list_workspaces(request=api.ListWorkspacesRequest())
    assert listed.workspaces_response
    workspace = listed.workspaces_response.data[0].workspace_id
    made = sdk.sources.create_source(
        request=models.SourceCreateRequest(
            name="by the client",
            workspace_id=workspace,
            configuration=models.SourceFaker(count=10),
        )
    ).source_response
    assert made
    assert made.source_type == "faker"
    assert isinstance(made.configuration, models.SourceFaker)
    stored = sdk.destinations.create_destination(
        request=models.DestinationCreateRequest(
            name="file",
            workspace_id=workspace,
            configuration=models.DestinationDuckdb(destination_path="/local/x.duckdb"),
        )
    ).destination_response
    assert stored
    assert isinstance(stored.configuration, models.DestinationDuckdb)
    connection = sdk.connections.create_connection(
        request=models.ConnectionCreateRequest(source_id=made.source_id, destination_id=stored.destination_id)
    ).connection_response
    assert connection
    assert [stream.name for stream in connection.configurations.streams or []] == ["items", "more"]

    airflow = client(server, ORCHESTRATOR)
    job = airflow.jobs.create_job(
        request=models.JobCreateRequest(
            connection_id=connection.connection_id, job_type=models.JobTypeEnum.SYNC
        )
    ).job_response
    assert job
    with pytest.raises(SDKError) as caught:
        airflow.jobs.create_job(
            request=models.JobCreateRequest(
                connection_id=connection.connection_id, job_type=models.JobTypeEnum.SYNC
            )
        )
    assert caught.value.status_code == 409
    cancelled = airflow.jobs.cancel_job(request=api.CancelJobRequest(job_id=job.job_id)).job_response
    assert cancelled
    assert cancelled.status == models.JobStatusEnum.CANCELLED
    with pytest.raises(SDKError) as caught:
        airflow.workspaces.create_workspace(request=models.WorkspaceCreateRequest(name="not mine"))
    assert caught.value.status_code == 403
