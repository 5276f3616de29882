"""What Dapr and Kafka are told is what the processes do; on one machine as in a cluster."""

from pathlib import Path

import pytest
import yaml

from cluster.documents import ROOT, Document, dapr_objects
from domain.outbox import Topic
from tests.manifests import (
    components,
    every_overlay,
    metadata,
    objects,
    of,
    pod,
    values,
    with_dapr,
    with_kafka,
)
from workers.app import DRAIN_MAX_S, PROBES_ENOUGH
from workers.routes import (
    API,
    APPS,
    HEALTH_PATH,
    INVOKE_PREFIX,
    PUBSUB,
    RELAY,
    SECRET_STORE,
    STATE_STORE,
)

IDS = {app.id for app in APPS}
# Past it, a rebalance takes a partition away from a consumer that is still busy.
DELIVERY_MAX_S = 60.0


@with_dapr
def test_app_ids_are_the_deployments_names_and_sidecars_know_their_ports(folder: Path) -> None:
    deployments = of(folder, "Deployment")
    notes = {name: pod(each)["metadata"]["annotations"] for name, each in deployments.items()}

    assert {name: each["dapr.io/app-id"] for name, each in notes.items()} == {
        name: name for name in IDS
    }
    for app in APPS:
        assert notes[app.id]["dapr.io/app-port"] == str(app.port)
        assert notes[app.id]["dapr.io/app-health-check-path"] == HEALTH_PATH
        assert notes[app.id]["dapr.io/enable-native-sidecar"] == "true"


@with_dapr
def test_every_dapr_object_is_for_apps_that_exist(folder: Path) -> None:
    for kind in ("Component", "Subscription", "Resiliency"):
        for name, each in of(folder, kind, "dapr.io/").items():
            assert each["scopes"], name
            assert set(each["scopes"]) <= IDS, name


@with_dapr
def test_subscriptions_are_the_routes_of_the_workers(folder: Path) -> None:
    said = [
        (app, each["spec"]["topic"], each["spec"]["routes"], each["spec"]["deadLetterTopic"])
        for each in of(folder, "Subscription").values()
        for app in each["scopes"]
        if each["spec"]["pubsubname"] == PUBSUB
    ]
    done = [
        (app.id, topic.value, {"default": path}, app.dead_letters)
        for app in APPS
        for topic, path in app.subscriptions.items()
    ]

    assert sorted(said, key=str) == sorted(done, key=str)


@with_dapr
def test_bindings_are_the_routes_of_the_workers(folder: Path) -> None:
    said = {
        (app, name, metadata(each)["route"], metadata(each)["direction"])
        for name, each in components(folder).items()
        if each["spec"]["type"].startswith("bindings.")
        for app in each["scopes"]
    }

    assert said == {
        (app.id, name, path, "input") for app in APPS for name, path in app.bindings.items()
    }


@with_dapr
def test_each_app_gets_the_components_that_it_uses(folder: Path) -> None:
    said = {(app, name) for name, each in components(folder).items() for app in each["scopes"]}

    assert said == {(app.id, name) for app in APPS for name in {*app.components, *app.bindings}}


@with_dapr
def test_only_the_relay_publishes_the_log_and_each_consumer_its_dead_letters(folder: Path) -> None:
    pubsub = components(folder)[PUBSUB]
    said = metadata(pubsub)
    consumers = [app for app in APPS if app.subscriptions]
    topics = {*Topic} | {app.dead_letters for app in consumers}

    assert scopes(said["publishingScopes"]) == {
        RELAY.id: {*Topic},
        **{app.id: {app.dead_letters} for app in consumers},
    }
    assert scopes(said["subscriptionScopes"]) == {app.id: {*app.subscriptions} for app in consumers}
    assert set(said["protectedTopics"].split(",")) == topics
    assert set(said["allowedTopics"].split(",")) == topics
    assert set(pubsub["scopes"]) == {RELAY.id} | {app.id for app in consumers}


def scopes(text: str) -> dict[str, set[str]]:
    parted = (part.split("=") for part in text.replace(" ", "").split(";"))
    return {app: set(topics.split(",")) for app, topics in parted}


@with_dapr
def test_the_stores_are_there_under_the_names_that_the_code_uses(folder: Path) -> None:
    state, secrets = (components(folder)[name] for name in (STATE_STORE, SECRET_STORE))

    assert (state["spec"]["type"], state["spec"]["version"]) == ("state.postgresql", "v2")
    assert secrets["spec"]["type"] == "secretstores.kubernetes"
    (config,) = of(folder, "ConfigMap").values()
    assert config["data"]["CARILLON_SECRET_STORE"] == SECRET_STORE


@every_overlay
def test_the_api_calls_the_workers_and_nobody_else_calls_anybody(folder: Path) -> None:
    access = of(folder, "Configuration")["carillon"]["spec"]["accessControl"]
    (namespace,) = of(folder, "Namespace")

    assert access["defaultAction"] == "deny"
    (policy,) = access["policies"]
    assert (policy["appId"], policy["namespace"]) == (API.id, namespace)
    assert policy["defaultAction"] == "deny"
    (operation,) = policy["operations"]
    assert operation["name"] == f"{INVOKE_PREFIX}**"


def test_one_machine_loads_what_the_local_cluster_does() -> None:
    local = ROOT / "overlays" / "local"
    (namespace,) = of(local, "Namespace")

    def plain(each: Document) -> Document:
        names = {"name": each["metadata"]["name"]}
        text = yaml.safe_dump({**each, "metadata": names}).replace(
            f"namespace: {namespace}", "namespace: default"
        )
        return dict(yaml.safe_load(text))

    ours = {(each["kind"], each["metadata"]["name"]): plain(each) for each in dapr_objects()}
    clusters = {
        (each["kind"], each["metadata"]["name"]): plain(each)
        for each in objects(local)
        if each["apiVersion"].startswith("dapr.io/")
    }

    assert ours == clusters


# ---------------------------------------------------------------- resiliency


@pytest.fixture(scope="module")
def resiliency() -> Document:
    (found,) = [each for each in dapr_objects() if each["kind"] == "Resiliency"]
    spec: Document = found["spec"]
    return spec


def seconds(duration: str) -> float:
    for unit, factor in (("ms", 0.001), ("s", 1.0)):
        if duration.endswith(unit):
            return float(duration.removesuffix(unit)) * factor
    raise AssertionError(duration)


def test_a_delivery_ends_before_its_partition_is_taken_away(resiliency: Document) -> None:
    policies = resiliency["policies"]
    inbound = {
        name: target["inbound"]
        for name, target in resiliency["targets"]["components"].items()
        if "inbound" in target
    }

    assert inbound.keys() == {PUBSUB} | {name for app in APPS for name in app.bindings}
    for target in inbound.values():
        retry = policies["retries"][target["retry"]]
        wait_s = seconds(retry.get("maxInterval") or retry["duration"])
        timeout_s = seconds(policies["timeouts"][target["timeout"]])
        assert (retry["maxRetries"] + 1) * (timeout_s + wait_s) < DELIVERY_MAX_S
        # An open one would turn events into dead letters that nobody tried.
        assert "circuitBreaker" not in target


@with_dapr
def test_an_app_that_is_gone_is_found_so_before_a_delivery_is_given_up(
    folder: Path, resiliency: Document
) -> None:
    inbound = resiliency["targets"]["components"][PUBSUB]["inbound"]
    retry = resiliency["policies"]["retries"][inbound["retry"]]
    attempts_s = retry["maxRetries"] * seconds(retry["duration"])

    for deployment in of(folder, "Deployment").values():
        notes = pod(deployment)["metadata"]["annotations"]
        # The first probe may have begun just before.
        probes = int(notes["dapr.io/app-health-threshold"])
        interval_s = int(notes["dapr.io/app-health-probe-interval"])
        assert retry["policy"] == "constant"
        assert probes == PROBES_ENOUGH
        assert probes * interval_s < DRAIN_MAX_S
        assert probes * interval_s + 1 < attempts_s


def test_the_relay_hears_at_once_what_was_not_published(resiliency: Document) -> None:
    outbound = resiliency["targets"]["components"][PUBSUB]["outbound"]

    assert resiliency["policies"]["retries"][outbound["retry"]]["maxRetries"] == 0


def test_long_waits_are_for_invocations_only(resiliency: Document) -> None:
    timeouts = {name: seconds(text) for name, text in resiliency["policies"]["timeouts"].items()}
    waited = [*values(resiliency["targets"]["components"], "timeout")]

    assert sorted(timeouts.values()) == [5, 30, 120, 300]
    assert {timeouts[name] for name in waited} == {5, 30}
    assert resiliency["targets"]["apps"].keys() == IDS


def test_every_policy_is_there_and_used(resiliency: Document) -> None:
    for kind, key in (
        ("timeouts", "timeout"),
        ("retries", "retry"),
        ("circuitBreakers", "circuitBreaker"),
    ):
        assert {*values(resiliency["targets"], key)} == resiliency["policies"][kind].keys()
    trips = [each["trip"] for each in resiliency["policies"]["circuitBreakers"].values()]
    assert [int(trip.removeprefix("consecutiveFailures >= ")) for trip in trips] == [3, 5, 10]


# ---------------------------------------------------------------- Kafka


@with_kafka
def test_every_topic_is_made_with_its_partitions_and_takes_what_is_sent(folder: Path) -> None:
    topics = of(folder, "KafkaTopic")
    message_bytes = int(metadata(components(folder)[PUBSUB])["maxMessageBytes"])

    assert topics.keys() == {*Topic} | {app.dead_letters for app in APPS if app.dead_letters}
    assert {topics[name]["spec"]["partitions"] for name in Topic} == {12}
    for topic in topics.values():
        assert topic["spec"]["config"]["max.message.bytes"] == message_bytes


@with_kafka
def test_the_sidecars_may_do_in_kafka_what_dapr_lets_them(folder: Path) -> None:
    acls = of(folder, "KafkaUser")["carillon-sidecar"]["spec"]["authorization"]["acls"]
    granted = {
        (each["resource"]["type"], each["resource"]["name"], operation)
        for each in acls
        for operation in each["operations"]
        if operation != "Describe"
    }
    said = metadata(components(folder)[PUBSUB])
    written = set().union(*scopes(said["publishingScopes"]).values())
    consumers = scopes(said["subscriptionScopes"])

    assert granted == (
        {("topic", topic, "Write") for topic in written}
        | {("topic", topic, "Read") for topic in set().union(*consumers.values())}
        | {("group", app, "Read") for app in consumers}
    )
