"""What a bare machine is told of the way to the package registries, and what it is not."""

import pytest

from fresh import registries

NEEDED = {
    "PIP_INDEX_URL": "https://pypi.example.org/simple",
    "GOPROXY": "https://go.example.org",
    "https_proxy": "http://proxy.example.org:3128",
    "NO_PROXY": "example.org",
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    "REQUESTS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt",
}
OTHERS = {"GOFLAGS": "-mod=mod", "GOROOT": "/usr/local/go", "PYTHONPATH": "/x", "PATH": "/y", "API_TOKEN": "secret"}


def test_bare_machine_gets_only_registry_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes, proxies and authorities are passed on; secrets and other settings of this machine are not."""
    for name in registries.environment():
        monkeypatch.delenv(name)
    for name, value in (NEEDED | OTHERS).items():
        monkeypatch.setenv(name, value)

    assert NEEDED == registries.environment()


@pytest.mark.parametrize(("place", "carried"), [("/opt/wheels", False), ("https://wheels.example.org/", True)])
def test_local_package_directory_is_not_passed_on(monkeypatch: pytest.MonkeyPatch, place: str, carried: bool) -> None:  # noqa: FBT001 -- a parameter
    """The bare machine would not find it, and pip complains about it at every call."""
    monkeypatch.setenv("PIP_FIND_LINKS", place)

    assert carried == ("PIP_FIND_LINKS" in registries.environment())
