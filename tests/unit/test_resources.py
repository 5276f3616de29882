"""What daprd loads on one machine is the cluster's, but for what a loopback lacks."""

import json
from pathlib import Path

from cluster.documents import Document, dapr_objects, read
from cluster.resources import Resources, write

SETTINGS = {"CARILLON_DATABASE_DIRECT_URL": "postgresql:///carillon"}


def rendered(folder: Path) -> tuple[Resources, dict[tuple[str, str], Document]]:
    resources = write(
        folder,
        kafka_servers="127.0.0.1:19092",
        settings=SETTINGS,
        schedules={"reminder-checker": "@every 1s"},
    )
    paths = [*resources.folder.iterdir(), resources.config]
    return resources, by_name(document for path in paths for document in read(path))


def by_name(documents: object) -> dict[tuple[str, str], Document]:
    assert hasattr(documents, "__iter__")
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


def metadata(component: Document) -> dict[str, object]:
    return {item["name"]: item.get("value") for item in component["spec"]["metadata"]}


def test_every_object_of_the_cluster_is_there_and_only_some_differ(tmp_path: Path) -> None:
    cluster = by_name(dapr_objects())

    _, ours = rendered(tmp_path)

    assert ours.keys() == cluster.keys()
    assert {name for name in ours if ours[name] != cluster[name]} == {
        ("Component", "pubsub"),
        ("Component", "secrets"),
        ("Component", "reminder-checker"),
        ("Configuration", "carillon"),
    }


def test_kafka_is_the_machines_and_everything_else_of_it_the_clusters(tmp_path: Path) -> None:
    cluster = metadata(by_name(dapr_objects())["Component", "pubsub"])

    ours = metadata(rendered(tmp_path)[1]["Component", "pubsub"])

    certificates = {"caCert", "clientCert", "clientKey"}
    changed = {"brokers": "127.0.0.1:19092", "authType": "none", "disableTls": "true"}
    kept = {name: value for name, value in cluster.items() if name not in certificates}
    assert ours == kept | changed


def test_secrets_lie_in_a_file_that_others_cannot_read(tmp_path: Path) -> None:
    store = metadata(rendered(tmp_path)[1]["Component", "secrets"])

    path = Path(str(store["secretsFile"]))
    assert json.loads(path.read_text()) == {"carillon": SETTINGS}
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_configuration_adds_how_names_are_found_and_keeps_the_rest(tmp_path: Path) -> None:
    cluster = by_name(dapr_objects())["Configuration", "carillon"]["spec"]

    ours = rendered(tmp_path)[1]["Configuration", "carillon"]["spec"]

    assert ours.pop("nameResolution")["component"] == "sqlite"
    assert ours == cluster


def test_each_rendering_has_tokens_of_its_own(tmp_path: Path) -> None:
    one, _ = rendered(tmp_path / "one")
    two, _ = rendered(tmp_path / "two")

    assert len({one.api_token, one.app_token, two.api_token, two.app_token}) == 4
