"""What daprd loads on one machine: the cluster's Dapr objects, with what a loopback has instead.

Topics, scopes, subscriptions, bindings, resiliency and access control are the cluster's own.
What differs is in `_DIFFERENCES`, and nowhere else.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from cluster.documents import Document, dapr_objects
from workers.routes import SECRET

# What a broker of the cluster asks for, and one on the loopback does not have.
CERTIFICATES = frozenset({"caCert", "clientCert", "clientKey"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Loopback:
    """What this machine has in the cluster's place.

    Attributes:
        kafka_servers: brokers, without encryption and authentication.
        settings: secret settings by their names, as CARILLON_DATABASE_DIRECT_URL, which the state
            store needs.
        schedules: other times for bindings, by their names; the cluster's are too rare for tests.
    """

    kafka_servers: str
    settings: Mapping[str, str]
    schedules: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Where the rendered files are, and the tokens that sidecars and apps prove themselves by.

    Attributes:
        folder: components, subscriptions, resiliency; one file each, since daprd reads no more.
        config: the Configuration.
        api_token: what an app sends to its sidecar, as `dapr-api-token`.
        app_token: what a sidecar sends to its app, under the same name.
    """

    folder: Path
    config: Path
    api_token: str
    app_token: str


def write(
    folder: Path,
    *,
    kafka_servers: str,
    settings: Mapping[str, str],
    schedules: Mapping[str, str] | None = None,
) -> Resources:
    """Writes what the sidecars of one machine share; see `Loopback` for the arguments."""
    loopback = Loopback(kafka_servers=kafka_servers, settings=settings, schedules=schedules or {})
    resources = folder / "resources"
    resources.mkdir(parents=True)
    config = folder / "config.yaml"
    for document in dapr_objects():
        kind, name = document["kind"], document["metadata"]["name"]
        for concerns, change in _DIFFERENCES:
            if concerns in {kind, document["spec"].get("type")}:
                change(document, loopback, folder)
        path = config if kind == "Configuration" else resources / f"{kind}-{name}.yaml"
        path.write_text(yaml.safe_dump(document))
    return Resources(
        folder=resources,
        config=config,
        api_token=secrets.token_urlsafe(),
        app_token=secrets.token_urlsafe(),
    )


def _own_broker(pubsub: Document, loopback: Loopback, _: Path) -> None:
    _set(pubsub, brokers=loopback.kafka_servers, authType="none", disableTls="true")
    kept = [item for item in pubsub["spec"]["metadata"] if item["name"] not in CERTIFICATES]
    pubsub["spec"]["metadata"] = kept


def _secrets_in_a_file(store: Document, loopback: Loopback, folder: Path) -> None:
    path = folder / "secrets.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({SECRET: dict(loopback.settings)}))
    store["spec"]["type"] = "secretstores.local.file"
    # With `multiValued`, a secret has keys, as one of Kubernetes has.
    _set(store, secretsFile=str(path), multiValued="true")


def _other_times(binding: Document, loopback: Loopback, _: Path) -> None:
    schedule = loopback.schedules.get(binding["metadata"]["name"])
    if schedule is not None:
        _set(binding, schedule=schedule)


def _names_in_a_file(config: Document, _: Loopback, folder: Path) -> None:
    # Multicast, the default outside of a cluster, leaves the loopback.
    config["spec"]["nameResolution"] = {
        "component": "sqlite",
        "version": "v1",
        "configuration": {"connectionString": str(folder / "names.db")},
    }


_DIFFERENCES: tuple[tuple[str, Callable[[Document, Loopback, Path], None]], ...] = (
    ("pubsub.kafka", _own_broker),
    ("secretstores.kubernetes", _secrets_in_a_file),
    ("bindings.cron", _other_times),
    ("Configuration", _names_in_a_file),
)


def _set(component: Document, **values: str) -> None:
    """Gives metadata of a component these values, in place or at the end."""
    by_name = {item["name"]: item for item in component["spec"]["metadata"]}
    by_name |= {name: {"name": name, "value": value} for name, value in values.items()}
    component["spec"]["metadata"] = list(by_name.values())
