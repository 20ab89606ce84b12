"""The API against its own OpenAPI description."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from apps.web.conftest import finish, running, send
from core.made_files import jpeg_bytes, scene

PATHS = {
    "GET /health",
    "POST /inspect",
    "GET /jobs/{job_id}",
    "DELETE /jobs/{job_id}",
    "GET /jobs/{job_id}/result",
    "GET /jobs/{job_id}/files/{name}",
    "GET /jobs/{job_id}/tiles/{kind}/{halving}/{column}/{row}",
    "POST /session",
}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with running(tmp_path_factory.mktemp("described"), max_megapixels=1, max_megabytes=1) as client:
        yield client


@pytest.fixture(scope="module")
def description(client):
    return schemathesis.openapi.from_dict(client.get("/openapi.json").json())


def test_every_route_is_described(description):
    assert {operation.ok().label for operation in description.get_all_operations()} == PATHS


@pytest.mark.parametrize("label", sorted(PATHS))
def test_answers_are_as_described(client, description, label):
    operation = next(o.ok() for o in description.get_all_operations() if o.ok().label == label)

    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def check(case):
        # That what arrives is a picture cannot be described.
        excluded = [positive_data_acceptance] if label == "POST /inspect" else []
        case.call_and_validate(base_url=str(client.base_url), excluded_checks=excluded)

    check()


def test_answers_about_a_real_job_are_as_described(client, description):
    job = finish(client, send(client, jpeg_bytes(scene(80, 70))))
    for path in ("/jobs/{job_id}", "/jobs/{job_id}/result"):
        operation = description[path]["GET"]
        case = operation.Case(path_parameters={"job_id": job["id"]})
        response = case.call_and_validate(base_url=str(client.base_url))
        assert response.status_code == 200
