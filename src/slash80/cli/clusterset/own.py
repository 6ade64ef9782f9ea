"""What a cluster itself says of who it is to the others. Of its Secret the public half alone is looked at."""

from __future__ import annotations

import base64
import binascii
import ssl

from slash80.cli.clusterset.contexts import NAMESPACE, found
from slash80.cluster.api import Api
from slash80.cluster.objects.reading import mapping, text
from slash80.errors import InvalidConfig

_NAME = "slash80-clusterset"
_SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/{_NAME}"
_CERTIFICATE = "tls.crt"


def certificate(context: str, api: Api) -> bytes:
    """Return a cluster's certificate, DER; raise InvalidConfig, which says what has to be done first."""
    document = found(api, _SECRET)
    if document is None:
        what = f"there is no Secret {_NAME} in namespace {NAMESPACE}"
        raise InvalidConfig(f"{what}; kubectl --context {context} apply -k manifests/clusterset brings it")
    kept = text(mapping(document, "data"), _CERTIFICATE)
    if not kept:
        where = f"kubectl --context {context} -n {NAMESPACE} get pods"
        raise InvalidConfig(
            f"the program has not put its certificate into the Secret {_NAME} yet; try again when it runs: {where}"
        )
    try:
        return ssl.PEM_cert_to_DER_cert(base64.b64decode(kept, validate=True).decode("ascii").strip())
    except (ValueError, binascii.Error) as error:
        then = f"empty it and restart the Deployment {_NAME}, which makes another one"
        raise InvalidConfig(f"{_CERTIFICATE} of the Secret {_NAME} is not a certificate in PEM; {then}") from error
