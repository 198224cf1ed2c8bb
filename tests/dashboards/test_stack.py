"""The stack of docker-compose.yml, checked without Docker: schema, files, addresses, identifiers.

``compose-spec.json`` is the schema of the Compose Specification (Apache-2.0), as docker-compose 1.29.2 carries it.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from h2o_otel.cli.main import make_parser
from tests.support.programs import require_program

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
COLLECTOR = yaml.safe_load((ROOT / "deploy/collector/config.yml").read_text())
DATASOURCES = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/datasources.yml").read_text())["datasources"]


def test_compose_file_keeps_its_schema() -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema, cls=jsonschema.Draft7Validator)


def test_schema_finds_mistakes() -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"demo": {"imagee": "x"}}}, schema, cls=jsonschema.Draft7Validator)


@pytest.mark.parametrize(
    ("service", "image"),
    [
        ("grafana", "grafana/grafana:13.2.0"),
        ("prometheus", "prom/prometheus:v3.14.0"),
        ("tempo", "grafana/tempo:3.0.3"),
        ("loki", "grafana/loki:3.7.6"),
        ("collector", "otel/opentelemetry-collector-contrib:0.159.0"),
    ],
)
def test_images_are_pinned(service: str, image: str) -> None:
    assert SERVICES[service]["image"] == image


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_bound_to_this_machine(service: str) -> None:
    for port in SERVICES[service].get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("service", SERVICES)
def test_mounts_exist(service: str) -> None:
    for mount in SERVICES[service].get("volumes", []):
        source = mount.split(":")[0]
        if source.startswith("."):
            assert (ROOT / source).exists()
            assert mount.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("service", SERVICES)
def test_dependencies_have_what_is_waited_for(service: str) -> None:
    for name, how in SERVICES[service].get("depends_on", {}).items():
        assert name in SERVICES
        assert (how["condition"] == "service_healthy") == ("healthcheck" in SERVICES[name])


def test_loki_and_tempo_ask_themselves_whether_they_are_ready() -> None:
    """Their images have no shell, and no wget."""
    assert SERVICES["loki"]["healthcheck"]["test"] == ["CMD", "/usr/bin/loki", "-health"]
    assert SERVICES["tempo"]["healthcheck"]["test"] == ["CMD", "/tempo", "-health"]


def test_nothing_is_reported_to_makers() -> None:
    assert SERVICES["grafana"]["environment"]["GF_ANALYTICS_REPORTING_ENABLED"] == "false"
    for service, section in (("loki", "analytics"), ("tempo", "usage_report")):
        assert yaml.safe_load((ROOT / "deploy" / service / "config.yml").read_text())[section] == {"reporting_enabled": False}


@pytest.mark.parametrize("service", ["demo", "load"])
def test_commands_are_ones_of_ours(service: str) -> None:
    args = make_parser().parse_args(SERVICES[service]["command"])
    assert args.run is not None


def test_pipelines_use_what_is_defined() -> None:
    for pipeline in COLLECTOR["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(COLLECTOR[kind])
    used = {name for pipeline in COLLECTOR["service"]["pipelines"].values() for name in pipeline["exporters"]}
    assert used == set(COLLECTOR["exporters"])
    assert set(COLLECTOR["service"]["pipelines"]) == {"metrics", "traces", "logs"}


def test_addresses_are_services_of_the_stack() -> None:
    texts = [p.read_text() for p in (ROOT / "deploy").rglob("*.yml")] + [(ROOT / "docker-compose.yml").read_text()]
    hosts = {host for text in texts for host in re.findall(r"https?://([a-z0-9.]+):\d+", text)}
    assert hosts - {"127.0.0.1", "localhost"} <= set(SERVICES)


def test_load_trusts_the_certificate_that_the_demo_makes() -> None:
    demo, load = SERVICES["demo"]["command"], SERVICES["load"]["command"]
    url = next(arg for arg in load if arg.startswith("--load-only=")).partition("=")[2]
    assert url == "https://demo:8443"
    assert {"--name=demo", "--port=8443", "--certificates=/certificates"} <= set(demo)
    assert "--ca=/certificates/authority.pem" in load


def test_datasources_are_known_to_each_other_and_to_the_dashboards() -> None:
    uids = {source["uid"] for source in DATASOURCES}
    text = (ROOT / "deploy/grafana/provisioning/datasources/datasources.yml").read_text()
    assert set(re.findall(r"datasourceUid: (\w+)", text)) <= uids
    for path in (ROOT / "dashboards").glob("*.json"):
        named = set(re.findall(r'"(?:datasourceUid|uid)": "(tempo|loki|prometheus)"', path.read_text()))
        assert named <= uids


def test_dollars_in_provisioning_are_doubled() -> None:
    for path in (ROOT / "deploy/grafana").rglob("*.yml"):
        values = re.sub(r"#.*", "", path.read_text())
        assert not re.search(r"(?<!\$)\$(?!\$)[{a-zA-Z_]", values)


def test_home_dashboard_is_mounted() -> None:
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "dashboards" / Path(home).name).exists()


def test_prometheus_configuration(tmp_path: Path) -> None:
    """Keys that only version 3 knows are left out: Debian's promtool is older."""
    promtool = require_program("promtool")
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    del config["otlp"]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    (tmp_path / "rules").symlink_to(ROOT / "deploy/prometheus/rules")
    done = subprocess.run([promtool, "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_what_it_is_sent() -> None:
    command = SERVICES["prometheus"]["command"]
    assert {"--web.enable-otlp-receiver", "--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage"} <= set(command)
    exporters = {name: exporter["endpoint"] for name, exporter in COLLECTOR["exporters"].items()}
    assert exporters == {
        "otlp_http/prometheus": "http://prometheus:9090/api/v1/otlp",
        "otlp_http/tempo": "http://tempo:4318",
        "otlp_http/loki": "http://loki:3100/otlp",
    }


def test_dashboards_are_read_from_where_they_are_mounted() -> None:
    provider = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/dashboards.yml").read_text())["providers"][0]
    assert f"./dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]


def test_rate_interval_knows_the_export_interval() -> None:
    prometheus = next(source for source in DATASOURCES if source["type"] == "prometheus")
    for service in ("demo", "load"):
        assert SERVICES[service]["environment"]["OTEL_METRIC_EXPORT_INTERVAL"] == "5000"
    assert prometheus["jsonData"]["timeInterval"] == "5s"


def test_exemplars_lead_to_traces_and_traces_to_logs() -> None:
    by_uid = {source["uid"]: source["jsonData"] for source in DATASOURCES}
    exemplars = by_uid["prometheus"]["exemplarTraceIdDestinations"]
    assert [(e["name"], e["datasourceUid"]) for e in exemplars] == [("trace_id", "tempo")]
    assert by_uid["tempo"]["tracesToLogsV2"]["datasourceUid"] == "loki"
    assert by_uid["loki"]["derivedFields"][0]["datasourceUid"] == "tempo"


def test_the_build_context_has_what_the_image_copies() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.M):
        for source in line.split():
            assert f"!{source}" in ignored


def test_image_builds_what_exists() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M):
        for source in line.split():
            assert (ROOT / source).exists(), source
    assert "USER demo" in text
