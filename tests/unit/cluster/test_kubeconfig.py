"""A person's kubeconfig, as kubectl would read it."""

import base64
import json
import shutil
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.certificates import make
from lab.kube import FakeApi, node
from lab.waiting import wait_until
from slash80.cluster import kubeconfig
from slash80.cluster.api import Api, Unreachable
from slash80.cluster.credentials import ClientConfig, MemoryFiles
from slash80.cluster.informer import Informer
from slash80.cluster.objects.node import NODES
from slash80.errors import InvalidConfig

SERVER = "https://[2001:db8::1]:6443"


def written(path: Path, *, cluster: object = None, user: object = None, **more: Any) -> dict[str, str]:  # noqa: ANN401 -- YAML
    """Write a kubeconfig with one context, and return the environment that names it."""
    document = {
        "current-context": "me@lab",
        "contexts": [{"name": "me@lab", "context": {"cluster": "lab", "user": "me"}}],
        "clusters": [{"name": "lab", "cluster": cluster or {"server": SERVER}}],
        "users": [{"name": "me", "user": user or {}}],
        **more,
    }
    path.write_text(yaml.safe_dump(document))
    return {"KUBECONFIG": str(path)}


def test_files_and_data_of_a_kubeconfig(tmp_path: Path, held: MemoryFiles) -> None:
    """Relative paths begin at the kubeconfig's folder, and only this user can read what data hold."""
    data = base64.b64encode(b"authority").decode()
    user = {"client-certificate": "me.crt", "client-key-data": "a2V5", "tokenFile": "token"}
    environ = written(
        tmp_path / "config", cluster={"server": f"{SERVER}/", "certificate-authority-data": data}, user=user
    )
    (tmp_path / "token").write_text("secret\n")
    found = kubeconfig.load(environ, held)

    assert SERVER == found.server
    assert found.authority
    assert b"authority" == found.authority.read_bytes()
    credential = found.current()
    assert ("secret", tmp_path / "me.crt") == (credential.token, credential.certificate)
    assert credential.key
    assert (b"key", 0o600) == (credential.key.read_bytes(), credential.key.stat().st_mode & 0o777)


def test_several_kubeconfigs_are_merged_as_kubectl_does(tmp_path: Path, held: MemoryFiles) -> None:
    """The first file to name something wins, as a whole; files that do not exist are left out."""
    (tmp_path / "other").mkdir()
    first = {"name": "lab", "cluster": {"server": "https://first", "certificate-authority": "ca"}}
    (tmp_path / "other/config").write_text(yaml.safe_dump({"clusters": [first]}))
    written(tmp_path / "config", cluster={"server": "https://second", "tls-server-name": "x"}, user={"token": "t"})
    found = kubeconfig.load({"KUBECONFIG": f"{tmp_path}/none::{tmp_path}/other/config:{tmp_path}/config"}, held)

    assert ("https://first", tmp_path / "other/ca", "") == (found.server, found.authority, found.tls_server_name)
    assert "t" == found.current().token


def test_a_context_without_a_user_is_anonymous(tmp_path: Path, held: MemoryFiles) -> None:
    """As with `kubectl proxy`, which signs in by itself."""
    contexts = [{"name": "me@lab", "context": {"cluster": "lab"}}]
    found = kubeconfig.load(written(tmp_path / "config", cluster={"server": "http://x"}, contexts=contexts), held)

    assert "" == found.current().token


@pytest.mark.parametrize(
    "user",
    [
        {"auth-provider": {"name": "gcp"}},
        {"username": "me", "password": "x"},
        {"as": "admin"},
        {"as-uid": "1"},
        {"as-groups": ["admins"]},
        {"as-user-extra": {"a": ["b"]}},
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, user: dict[str, Any], held: MemoryFiles) -> None:
    """Ignoring it would ask with other rights than kubectl does, and end in a 401 that explains nothing."""
    with pytest.raises(InvalidConfig, match=f"user 'me' has {next(iter(user))}, which is not supported: "):
        kubeconfig.load(written(tmp_path / "config", user=user), held)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"cluster": {"server": ""}}, "the server '', but it must begin with https"),
        ({"cluster": {"server": SERVER, "proxy-url": "socks5://x"}}, "only http and https are supported"),
        ({"cluster": {"server": SERVER, "insecure-skip-tls-verify": "yes"}}, "must be true or false"),
        (
            {"cluster": {"server": SERVER, "insecure-skip-tls-verify": True, "certificate-authority": "x"}},
            "not true with a certificate-authority",
        ),
        (
            {"cluster": {"server": SERVER, "certificate-authority-data": "%%%"}},
            "certificate-authority-data is not base64",
        ),
        ({"cluster": ["x"]}, "cluster is .*, but must be an object"),
        ({"user": {"client-key": "x"}}, "must have client-certificate and client-key together"),
        ({"user": {"token": 7}}, "token is 7, but must be a string"),
        ({"user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1"}}}, "exec.apiVersion"),
        ({"contexts": []}, "there is no context 'me@lab'"),
        ({"contexts": [{"name": "me@lab", "context": {"cluster": "x"}}]}, "there is no cluster 'x'"),
        ({"contexts": [{"name": "me@lab", "context": {"cluster": "lab", "user": "x"}}]}, "there is no user 'x'"),
        ({"contexts": 7}, "contexts is 7, but must be a list of objects"),
    ],
)
def test_a_section_that_cannot_be_used_is_named(
    tmp_path: Path, section: dict[str, Any], words: str, held: MemoryFiles
) -> None:
    """The error names file, key and value, and the next step."""
    with pytest.raises(InvalidConfig, match=words) as caught:
        kubeconfig.load(written(tmp_path / "config", **section), held)
    assert str(caught.value).startswith(f"kubeconfig {tmp_path}/config cannot be used: ")
    assert str(caught.value).endswith("; try it with kubectl version")


def test_a_kubeconfig_without_a_current_context_says_how_to_choose_one(tmp_path: Path, held: MemoryFiles) -> None:
    """An empty file is refused with the command that chooses a context."""
    (tmp_path / "config").write_text("")
    with pytest.raises(InvalidConfig, match="kubectl config use-context NAME"):
        kubeconfig.load({"KUBECONFIG": str(tmp_path / "config")}, held)


@pytest.mark.parametrize("text", ["[]", "a: [", "\0"])
def test_a_kubeconfig_that_is_not_a_mapping_is_named(tmp_path: Path, text: str, held: MemoryFiles) -> None:
    """The error names the file and the next step."""
    (tmp_path / "config").write_text(text)
    with pytest.raises(InvalidConfig, match=r"config is .*; try it with kubectl version"):
        kubeconfig.load({"KUBECONFIG": str(tmp_path / "config")}, held)


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path, held: MemoryFiles) -> None:
    """The error of a missing or unreadable file names it and the next step."""
    with pytest.raises(InvalidConfig, match="none does not exist; set KUBECONFIG"):
        kubeconfig.load({"KUBECONFIG": str(tmp_path / "none")}, held)
    with pytest.raises(InvalidConfig, match="Is a directory; set KUBECONFIG"):
        kubeconfig.load({"KUBECONFIG": str(tmp_path)}, held)


@dataclass
class Secured:
    """An API server with TLS that wants a client certificate, and the folder with the files for it."""

    api: FakeApi
    url: str
    folder: Path

    def nodes(self, cluster: Mapping[str, Any] | None = None, **user: Any) -> list[str]:  # noqa: ANN401 -- YAML
        """Ask it by a kubeconfig, and return the nodes' names."""
        section = {"server": self.url, "certificate-authority": "ca.crt", **(cluster or {})}
        section = {key: value for key, value in section.items() if value is not None}
        environ = written(self.folder / "config", cluster=section, user=user)
        with MemoryFiles() as held:
            return [one["metadata"]["name"] for one in Api(kubeconfig.load(environ, held)).items(NODES.path)]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an authority, a server's certificate for 127.0.0.1 and api.lab, and a client's."""
    folder = tmp_path_factory.mktemp("certificates")
    make(folder, "ca", "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")
    make(folder, "server", "subjectAltName=IP:127.0.0.1", "basicConstraints=CA:FALSE", issuer="ca")
    make(folder, "named", "subjectAltName=DNS:api.lab", "basicConstraints=CA:FALSE", issuer="ca")
    make(folder, "client", "basicConstraints=CA:FALSE", issuer="ca")
    return folder


def served(folder: Path, name: str, api: FakeApi, *, client: bool = True) -> str:
    """Start a server with a certificate, which wants one of its client; return the URL."""
    api.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    api.tls.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    api.tls.load_verify_locations(folder / "ca.crt")
    api.tls.verify_mode = ssl.CERT_REQUIRED if client else ssl.CERT_NONE
    api.put(NODES.path, node("a"))
    return api.start()


@pytest.fixture
def secured(server: FakeApi, certificates: Path, tmp_path: Path) -> Secured:
    """Run the server in question, with the files in a folder of the test's own."""
    for file in certificates.iterdir():
        shutil.copy(file, tmp_path)
    return Secured(server, served(tmp_path, "server", server), tmp_path)


def plugin(secured: Secured, script: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 -- YAML
    """Write an exec plugin, and return the kubeconfig's words for it."""
    path = secured.folder / "plugin"
    path.write_text(f"#!/usr/bin/python3\n{script}")
    path.chmod(0o755)
    return {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "interactiveMode": "Never", **spec}


def test_client_certificates_sign_in(secured: Secured) -> None:
    """A certificate is sent whether it is in files or in the kubeconfig; without one the server hangs up."""
    files = {"client-certificate": "client.crt", "client-key": "client.key"}
    assert ["a"] == secured.nodes(None, **files)
    data = {
        f"{key}-data": base64.b64encode((secured.folder / name).read_bytes()).decode() for key, name in files.items()
    }
    assert ["a"] == secured.nodes(None, **data)
    with pytest.raises(Unreachable):
        secured.nodes()


CERTIFICATES = """
import json, os, pathlib
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
here = pathlib.Path(__file__).parent
(here / "info").write_text(json.dumps(info["spec"]))
certificate, key = ((here / name).read_text() for name in ("client.crt", "client.key"))
status = {"clientCertificateData": certificate, "clientKeyData": key, "token": "of the plugin"}
print(json.dumps({"kind": "ExecCredential", "apiVersion": info["apiVersion"], "status": status}))
"""


def test_an_exec_plugin_signs_in_by_certificate_and_token(secured: Secured) -> None:
    """It learns which cluster it is about if it asks for that."""
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
    words = plugin(secured, CERTIFICATES, provideClusterInfo=True)
    assert ["a"] == secured.nodes({"extensions": [extension]}, exec=words)

    assert {"Bearer of the plugin"} == set(secured.api.tokens)
    authority = base64.b64encode((secured.folder / "ca.crt").read_bytes()).decode()
    told = {"server": secured.url, "certificate-authority-data": authority, "config": {"audience": "x"}}
    assert {"interactive": False, "cluster": told} == json.loads((secured.folder / "info").read_text())


def test_an_exec_plugin_is_run_again_when_its_token_is_refused(secured: Secured) -> None:
    """The server answers 401 to what was revoked; the request is then sent once more."""
    count = 'import pathlib\ncount = pathlib.Path(__file__).parent / "count"\ncount.open("a").write("x")\n'
    secured.api.faults = [401]
    assert ["a"] == secured.nodes(exec=plugin(secured, count + CERTIFICATES))
    assert "xx" == (secured.folder / "count").read_text()


def test_a_server_by_another_name(server: FakeApi, certificates: Path, tmp_path: Path) -> None:
    """`tls-server-name` is what its certificate must name; without it the address of the URL is."""
    for file in certificates.iterdir():
        shutil.copy(file, tmp_path)
    secured = Secured(server, served(tmp_path, "named", server, client=False), tmp_path)
    with pytest.raises(Unreachable, match="certificate verify failed"):
        secured.nodes()
    assert ["a"] == secured.nodes({"tls-server-name": "api.lab"})
    with pytest.raises(Unreachable, match="certificate verify failed"):
        secured.nodes({"tls-server-name": "other.lab"})


def test_a_certificate_is_checked_unless_the_kubeconfig_says_otherwise(
    server: FakeApi, certificates: Path, tmp_path: Path
) -> None:
    """With `insecure-skip-tls-verify` any certificate will do, and no warning is printed about it."""
    secured = Secured(server, served(certificates, "named", server, client=False), tmp_path)
    with pytest.raises(Unreachable, match="certificate verify failed"):
        secured.nodes({"certificate-authority": None})
    assert ["a"] == secured.nodes({"certificate-authority": None, "insecure-skip-tls-verify": True})


def test_stopping_is_prompt_over_tls(server: FakeApi, certificates: Path) -> None:
    """The thread that waits inside of the TLS library is woken, too."""
    url = served(certificates, "server", server, client=False)
    informer = Informer(Api(ClientConfig(url, authority=certificates / "ca.crt")), NODES)
    informer.start()
    wait_until(lambda: server.watched == 1)
    informer.stop()

    assert informer.join(100)


def test_requests_go_through_the_proxy_of_the_kubeconfig(server: FakeApi, tmp_path: Path, held: MemoryFiles) -> None:
    """It is asked for the server by its URL, with the user that the proxy-url names."""
    proxy = server.start()
    server.put(NODES.path, node("a"))
    cluster = {"server": "http://api.lab:8080", "proxy-url": proxy.replace("://", "://me:pw@")}
    config = kubeconfig.load(written(tmp_path / "config", cluster=cluster), held)

    assert ["a"] == [one["metadata"]["name"] for one in Api(config).items(NODES.path)]
    assert "GET http://api.lab:8080/api/v1/nodes?limit=250" == server.seen[0]
