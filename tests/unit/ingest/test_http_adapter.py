"""HTTP to one host: what is kept between requests, and that nothing else is."""

import io
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse

from ingest.http_adapter import OneHostAdapter

URL = "https://graph.example/v1.0"


def request(url: str) -> requests.PreparedRequest:
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url = "GET", url
    prepared.headers = requests.structures.CaseInsensitiveDict()
    return prepared


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.touch()
    return str(path)


def test_a_host_has_one_pool_which_verifies_by_the_bundle(bundle: str) -> None:
    adapter = OneHostAdapter(URL, connections=3)
    first = adapter.get_connection_with_tls_context(request(f"{URL}/a"), bundle)
    assert (first.cert_reqs, first.ca_certs) == ("CERT_REQUIRED", bundle)
    assert adapter.get_connection_with_tls_context(request(f"{URL}/b"), bundle) is first


def test_another_host_gets_a_pool_of_its_own_with_certificates_of_its_own(bundle: str) -> None:
    adapter = OneHostAdapter(URL, connections=3)
    ours = adapter.get_connection_with_tls_context(request(f"{URL}/a"), bundle)
    other = adapter.get_connection_with_tls_context(request("https://graph.example.evil/v1.0/a"), verify=True)
    adapter.cert_verify(other, "https://graph.example.evil/v1.0/a", True, None)  # noqa: FBT003 - requests' own signature
    assert other is not ours
    assert other.ca_certs != bundle
    assert ours.ca_certs == bundle


def test_a_bundle_that_is_missing_is_an_error_of_each_request(tmp_path: Path) -> None:
    adapter = OneHostAdapter(URL, connections=3)
    for _ in range(2):
        with pytest.raises(OSError, match="CA certificate bundle"):
            adapter.get_connection_with_tls_context(request(f"{URL}/a"), str(tmp_path / "none.pem"))


@pytest.mark.parametrize("path", ["", "/", "/a", "/a/b%2Fc?$top=5", "/a?b=c+d"])
def test_the_url_behind_the_host_is_that_of_requests(path: str) -> None:
    asked = request(f"{URL}{path}")
    assert OneHostAdapter(URL, connections=3).request_url(asked, {}) == HTTPAdapter().request_url(asked, {})


def test_no_cookie_is_kept() -> None:
    headers = HTTPHeaderDict({"set-cookie": "a=b", "content-type": "application/json"})
    raw = HTTPResponse(io.BytesIO(b'{"a": 1}'), status=200, headers=headers, preload_content=False)
    response = OneHostAdapter(URL, connections=3).build_response(request(f"{URL}/a"), raw)
    assert (response.status_code, response.json(), len(response.cookies)) == (200, {"a": 1}, 0)
    assert response.headers["Content-Type"] == "application/json"
