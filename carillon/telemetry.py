"""Logging: one line an event, for people or for programs; metrics, for Prometheus.

A message is a fixed event name (`server.ready`), its facts are in `extra`, the `trace_id` of the
request that a line belongs to among them.
"""

import json
import logging
import sys
from datetime import UTC, datetime

from opentelemetry import metrics as otel
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from carillon.settings import LogFormat, Settings

# What every record has; the rest came by `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(settings: Settings) -> None:
    """Sends this process's log to standard error in the form the settings ask for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter() if settings.log_format is LogFormat.JSON else ConsoleFormatter()
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    logging.captureWarnings(capture=True)
    # Alembic tells each step at INFO, uvicorn its banner: our own events say the same.
    for name in ("alembic", "uvicorn.error", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
    # Ten lines a second while a broker is away; `kafka.tail_lost` says it once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def measure() -> None:
    """Begins to collect what this process's instruments tell."""
    otel.set_meter_provider(MeterProvider([PrometheusMetricReader(disable_target_info=True)]))


def metrics() -> tuple[bytes, str]:
    """Returns all metrics in Prometheus' text format, and its media type."""
    return generate_latest(), CONTENT_TYPE_LATEST


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        line: dict[str, object] = {
            "at": _at(record).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
            "logger": record.name,
        }
        line |= _facts(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class ConsoleFormatter(logging.Formatter):
    """Time, level, event and facts; a traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, and a traceback's lines after it."""
        facts = _facts(record)
        # As JSON, so that no fact can break the line or pretend to be another.
        shown = "".join(
            f" {name}={json.dumps(value, ensure_ascii=False, default=str)}"
            for name, value in facts.items()
        )
        line = f"{_at(record):%H:%M:%S} {record.levelname:<7} {record.getMessage()}{shown}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


def _at(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _facts(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _OWN}
