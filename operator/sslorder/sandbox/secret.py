"""Puts the credentials of an account into a Kubernetes Secret, for a sandbox that runs in a cluster.

Rules:
- The Secret must exist: who may patch one Secret by its name need not be allowed to create any.
"""

import json
from pathlib import Path

from kubernetes.client import ApiException, CoreV1Api
from kubernetes.config import ConfigException, load_config


def publish(place: str, credentials: Path) -> None:
    """Put what the file `credentials` holds into the Secret `place`, written `namespace/name`.

    Speaks to the API server as kubectl's own file says, else as the pod's service account.

    :raises OSError: the API server is not to be found, or it refuses.
    """
    namespace, _, name = place.partition("/")
    try:
        load_config()
        CoreV1Api().patch_namespaced_secret(
            name, namespace, {"stringData": json.loads(credentials.read_text())}
        )
    except ConfigException as error:
        raise OSError(f"no credentials for a Kubernetes API: {error}") from error
    except ApiException as error:
        raise OSError(
            f"the Secret {place} does not take the credentials: {error.reason}. It must exist, and this"
            " service account may patch it"
        ) from error
