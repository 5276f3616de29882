"""The deployment says what the code does, and nothing in it points to what is not there."""

import os
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from carillon.settings import Settings
from cluster.documents import ROOT, Document, read, render
from cluster.parts import KAFKA_VERSION
from tests.manifests import (
    app_container,
    components,
    every_folder,
    every_overlay,
    external,
    metadata,
    need_kubectl,
    objects,
    of,
    pod,
    values,
    with_dapr,
    with_kafka,
    workloads,
)
from workers.app import DRAIN_MAX_S
from workers.routes import API, APPS, HEALTH_PATH, PUBSUB, READINESS_PATH, SECRET, SECRET_STORE

IDS = {app.id for app in APPS}
OVERLAY_MAX_LINES = 60


# ---------------------------------------------------------------- processes


@every_folder
def test_each_process_has_its_deployment_command_and_port(folder: Path) -> None:
    deployments = of(folder, "Deployment")

    assert deployments.keys() == IDS
    for app in APPS:
        container = app_container(deployments[app.id])
        assert container["args"][: len(app.command)] == [*app.command]
        assert container["ports"] == [{"name": "http", "containerPort": app.port}]
        (port,) = of(folder, "Service")[app.id]["spec"]["ports"]
        assert (port["port"], port["targetPort"]) == (app.port, "http")


@every_folder
def test_each_process_is_asked_at_the_paths_that_it_answers(folder: Path) -> None:
    for deployment in of(folder, "Deployment").values():
        container = app_container(deployment)
        asked = {
            name: container[f"{name}Probe"]["httpGet"]
            for name in ("startup", "liveness", "readiness")
        }

        assert asked["startup"] == asked["liveness"] == {"path": HEALTH_PATH, "port": "http"}
        assert asked["readiness"] == {"path": READINESS_PATH, "port": "http"}


@every_folder
def test_a_process_has_time_to_drain(folder: Path) -> None:
    (config,) = of(folder, "ConfigMap").values()
    drain_s = int(config["data"]["CARILLON_SHUTDOWN_GRACE_SECONDS"])
    for deployment in of(folder, "Deployment").values():
        pre_stop_s = app_container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
        spec = pod(deployment)["spec"]

        assert spec["terminationGracePeriodSeconds"] > pre_stop_s + DRAIN_MAX_S + drain_s


@every_folder
def test_every_selector_picks_the_pods_of_its_name_and_no_others(folder: Path) -> None:
    labels = {
        each["metadata"]["name"]: pod(each)["metadata"]["labels"] for each in workloads(folder)
    }

    def picked(selector: dict[str, str]) -> set[str]:
        return {name for name, has in labels.items() if selector.items() <= has.items()}

    for name, service in of(folder, "Service").items():
        assert picked(service["spec"]["selector"]) == {name}
    for kind, path in (("PodDisruptionBudget", "selector"), ("Deployment", "selector")):
        found = of(folder, kind)
        assert found.keys() == IDS
        for name, each in found.items():
            assert picked(each["spec"][path]["matchLabels"]) == {name}
    policies = of(folder, "NetworkPolicy")
    assert policies.keys() >= IDS | {"carillon-migrate"}
    for name in IDS:
        assert picked(policies[name]["spec"]["podSelector"]["matchLabels"]) == {name}


@every_folder
def test_every_pod_is_restricted_and_holds_no_token_of_the_cluster(folder: Path) -> None:
    accounts = of(folder, "ServiceAccount")
    for workload in workloads(folder):
        spec, container = pod(workload)["spec"], app_container(workload)

        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10_001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert spec["automountServiceAccountToken"] is False
        assert accounts[spec["serviceAccountName"]]["automountServiceAccountToken"] is False
        assert {"cpu", "memory"} == container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]


@every_folder
def test_every_setting_is_one_that_the_code_reads(folder: Path) -> None:
    known = {f"CARILLON_{name}".upper() for name in Settings.model_fields}
    named = set()
    for config in of(folder, "ConfigMap").values():
        named |= config["data"].keys()
    for workload in workloads(folder):
        named |= {variable["name"] for variable in app_container(workload).get("env", [])}

    assert named <= known


# ---------------------------------------------------------------- releases


@every_overlay
def test_a_release_migrates_by_a_job_of_its_own_with_the_image_of_the_others(folder: Path) -> None:
    (job,) = of(folder, "Job").values()
    images = {app_container(each)["image"] for each in workloads(folder)}

    assert len(images) == 1
    name, _, tag = images.pop().rpartition(":")
    assert name
    assert job["metadata"]["name"] == f"carillon-migrate-{tag}"
    # Kubernetes warns of a Job with a dot in its name.
    assert "." not in tag


def test_staging_runs_the_version_that_we_are(pytestconfig: pytest.Config) -> None:
    project = tomllib.loads((pytestconfig.rootpath / "pyproject.toml").read_text())["project"]

    (kustomization,) = read(ROOT / "overlays" / "staging" / "kustomization.yaml")

    tag = "v" + project["version"].replace(".", "-")
    assert [image["newTag"] for image in kustomization["images"]] == [tag]


# ---------------------------------------------------------------- secrets and other references


@every_folder
def test_secrets_are_named_and_never_written(folder: Path) -> None:
    assert of(folder, "Secret") == {}
    for workload in workloads(folder):
        for variable in app_container(workload).get("env", []):
            if re.search("SECRET$|TOKEN$|DATABASE", variable["name"]):
                assert "secretKeyRef" in variable["valueFrom"], variable
    for component in components(folder).values():
        for item in component["spec"]["metadata"]:
            assert item["name"] not in {"connectionString", "clientKey"} or "value" not in item


@every_folder
def test_every_secret_and_its_key_will_be_there(folder: Path) -> None:
    there = external(folder)
    for user in of(folder, "KafkaUser"):
        there["Secret", user] = {"ca.crt", "user.crt", "user.key"}
    for cluster in of(folder, "Kafka"):
        there["Secret", f"{cluster}-cluster-ca-cert"] = {"ca.crt"}

    wanted = [
        (reference["name"], reference["key"])
        for each in objects(folder)
        for reference in values(each, "secretKeyRef")
    ]
    for workload in workloads(folder):
        for source in values(pod(workload)["spec"], "secret"):
            wanted += [(source["name"], item["key"]) for item in source["items"]]

    assert wanted
    for name, key in wanted:
        assert key in there["Secret", name], name


@with_dapr
def test_sidecars_may_read_the_secrets_that_they_need_and_no_others(folder: Path) -> None:
    (role,) = of(folder, "Role").values()
    needed = {
        reference["name"]
        for component in components(folder).values()
        for reference in values(component, "secretKeyRef")
    }

    (rule,) = role["rules"]
    assert set(rule["resourceNames"]) == needed | {SECRET}
    assert rule["verbs"] == ["get"]
    (binding,) = of(folder, "RoleBinding").values()
    bound = {(subject["name"], subject["namespace"]) for subject in binding["subjects"]}
    assert bound == {(name, role["metadata"]["namespace"]) for name in IDS}


@with_dapr
def test_names_that_kustomize_does_not_follow_lead_somewhere(folder: Path) -> None:
    for deployment in of(folder, "Deployment").values():
        notes = pod(deployment)["metadata"]["annotations"]
        volumes = {volume["name"] for volume in pod(deployment)["spec"]["volumes"]}
        secrets = {name for kind, name in external(folder) if kind == "Secret"}

        assert notes["dapr.io/config"] in of(folder, "Configuration")
        assert {notes["dapr.io/api-token-secret"], notes["dapr.io/app-token-secret"]} <= secrets
        assert notes["dapr.io/volume-mounts"].partition(":")[0] in volumes
    for component in components(folder).values():
        store = component.get("auth", {}).get("secretStore", SECRET_STORE)
        assert components(folder)[store]["spec"]["type"].startswith("secretstores.")


@with_dapr
def test_apps_prove_themselves_by_the_tokens_that_their_sidecars_know(folder: Path) -> None:
    for deployment in of(folder, "Deployment").values():
        notes = pod(deployment)["metadata"]["annotations"]
        env = {
            each["name"]: each["valueFrom"]
            for each in app_container(deployment)["env"]
            if "valueFrom" in each
        }

        for variable, note in (
            ("CARILLON_DAPR_API_TOKEN", "dapr.io/api-token-secret"),
            ("CARILLON_APP_API_TOKEN", "dapr.io/app-token-secret"),
        ):
            assert env[variable] == {"secretKeyRef": {"name": notes[note], "key": "token"}}


@with_kafka
def test_apps_and_sidecars_reach_the_same_brokers(folder: Path) -> None:
    env = {
        each["name"]: each.get("value")
        for each in app_container(of(folder, "Deployment")[API.id])["env"]
    }
    (cluster,) = of(folder, "Kafka").values()
    (listener,) = cluster["spec"]["kafka"]["listeners"]

    brokers = metadata(components(folder)[PUBSUB])["brokers"]

    assert brokers == env["CARILLON_KAFKA_SERVERS"]
    assert brokers == f"{cluster['metadata']['name']}-kafka-bootstrap:{listener['port']}"
    assert cluster["spec"]["kafka"]["version"] == KAFKA_VERSION


# ---------------------------------------------------------------- files


def test_no_two_files_say_the_same() -> None:
    files = [path for path in ROOT.rglob("*") if path.is_file()]
    contents = Counter(path.read_bytes() for path in files)

    assert [path for path in files if contents[path.read_bytes()] > 1] == []


@every_overlay
def test_an_overlay_is_short(folder: Path) -> None:
    assert len((folder / "kustomization.yaml").read_text().splitlines()) < OVERLAY_MAX_LINES


def test_the_base_belongs_to_no_place_and_no_release() -> None:
    base = objects(ROOT / "base")

    assert not any("namespace" in each["metadata"] for each in base)
    assert {*values(base, "image")} == {"carillon"}
    assert not any(each["kind"] == "Secret" for each in base)


def test_components_may_be_named_in_any_order(tmp_path: Path) -> None:
    need_kubectl()
    folder = ROOT / "tests" / "any-order"
    (kustomization,) = read(folder / "kustomization.yaml")
    # Kustomize takes no absolute paths.
    for key in ("resources", "components"):
        kustomization[key] = [
            os.path.relpath((folder / path).resolve(), tmp_path.resolve())
            for path in kustomization[key]
        ]
    kustomization["components"].reverse()
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))

    def ordered(found: list[Document]) -> list[Document]:
        return [
            sort(each)
            for each in sorted(found, key=lambda each: (each["kind"], each["metadata"]["name"]))
        ]

    assert ordered(list(yaml.safe_load_all(render(tmp_path)))) == ordered(objects(folder))


def sort(node: Any) -> Any:
    """Returns lists of named things by their names: their order means nothing to Kubernetes."""
    if isinstance(node, dict):
        return {name: sort(value) for name, value in node.items()}
    if isinstance(node, list):
        return sorted((sort(value) for value in node), key=str)
    return node


def test_what_does_not_build_is_told(tmp_path: Path) -> None:
    need_kubectl()
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")

    with pytest.raises(subprocess.CalledProcessError) as caught:
        render(tmp_path)

    assert "absent.yaml" in caught.value.stderr
