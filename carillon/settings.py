"""Every setting, typed and read once; no other module touches the environment."""

import os
import secrets
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "CARILLON_"
# RFC 7518, 3.2: a key at least as long as the hash, SHA-256.
TOKEN_SECRET_MIN_BYTES = 32


class LogFormat(StrEnum):
    """How a log line looks: CONSOLE for people, JSON for programs."""

    CONSOLE = "console"
    JSON = "json"


def default_data_dir() -> Path:
    """Returns where the platform keeps a program's data; for root, the machine's own folder."""
    if os.geteuid() == 0 and sys.platform != "darwin":
        return Path("/var/lib/carillon")
    return platformdirs.user_data_path("carillon")


def default_log_format() -> LogFormat:
    """Returns CONSOLE where somebody watches."""
    return LogFormat.CONSOLE if sys.stderr.isatty() else LogFormat.JSON


class Settings(BaseSettings):
    """What an operator can set, each by an environment variable with the prefix CARILLON_."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL 15 or newer, as `postgresql://user:password@host/name?sslmode="
        "verify-full`. Unset: Carillon runs a PostgreSQL of its own in the data folder.",
    )
    database_direct_url: SecretStr | None = Field(
        default=None,
        description="The same database without a pooler between, for migrations. Unset: the"
        " database URL; behind a pooler, `carillon migrate` then has to be run with it.",
    )
    database_pooler: bool = Field(
        default=False,
        description="Whether the database URL leads to a transaction pooler (PgBouncer, Neon), on"
        " which no session state may be kept.",
    )
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Folder of the embedded PostgreSQL and of the generated secret. Unset: the"
        " platform's place for data, `/var/lib/carillon` for root.",
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on. The default is heard on this machine only.",
    )
    port: int = Field(default=8000, ge=1, le=65_535, description="TCP port to listen on.")
    log_format: LogFormat = Field(
        default_factory=default_log_format,
        description="`console` for people, `json` for programs. Unset: console on a terminal.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severity that is logged."
    )
    token_secret: SecretStr | None = Field(
        default=None,
        description="Signs access tokens; at least 32 bytes, the same for all replicas. Unset:"
        " generated once and kept in the data folder, with the embedded PostgreSQL only.",
    )
    access_token_minutes: int = Field(
        default=60,
        ge=1,
        le=1_440,
        description="Minutes an access token is valid. Short, for a stolen one works so long.",
    )
    session_days: int = Field(
        default=30,
        ge=1,
        le=365,
        description="Days after which one has to sign in again, counted from the last refresh.",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Web origins besides our own whose pages may use the API, comma-separated, as"
        " `https://tasks.example`. Pages of other origins are refused.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses or networks whose X-Forwarded-For is believed, comma-separated;"
        " sign-in attempts are counted by client address.",
    )
    shutdown_grace_seconds: int = Field(
        default=10,
        ge=1,
        le=600,
        description="Seconds that requests in flight get to finish after SIGTERM.",
    )
    body_max_bytes: int = Field(
        default=524_288,
        ge=1_024,
        description="Bytes of the largest request body or websocket message. A task's longest"
        " description takes 400 kB.",
    )
    sockets_max: int = Field(
        default=10_000,
        ge=1,
        description="Open live connections of this process, at about 22 kB each.",
    )
    sockets_per_user_max: int = Field(
        default=100, ge=1, description="Open live connections of one person to this process."
    )

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _is_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and urlsplit(url.get_secret_value()).scheme not in {
            "postgres",
            "postgresql",
        }:
            raise ValueError("must begin with postgresql://")
        return url

    @field_validator("token_secret")
    @classmethod
    def _is_long(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().encode()) < TOKEN_SECRET_MIN_BYTES:
            raise ValueError(f"needs at least {TOKEN_SECRET_MIN_BYTES} bytes: openssl rand -hex 32")
        return secret

    @field_validator("allowed_origins", "trusted_proxies", mode="before")
    @classmethod
    def _parted(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in (part.strip() for part in value.split(",")) if part)
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if (
                parts.scheme not in {"http", "https"}
                or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise ValueError("an origin is a scheme and a host, as https://tasks.example")
        return origins

    @model_validator(mode="after")
    def _fit_together(self) -> "Settings":
        if self.database_url is None:
            if self.database_direct_url is not None or self.database_pooler:
                raise ValueError(
                    "CARILLON_DATABASE_DIRECT_URL and _POOLER need CARILLON_DATABASE_URL"
                )
        elif self.token_secret is None:
            raise ValueError(
                "CARILLON_TOKEN_SECRET is needed beside CARILLON_DATABASE_URL, for all replicas"
                " share it: openssl rand -hex 32"
            )
        return self


def with_secret(settings: Settings) -> Settings:
    """Returns settings that have a token secret: the given, or the data folder's, made once.

    Raises:
        OSError: the data folder cannot be read or written.
    """
    if settings.token_secret is not None:
        return settings
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    path = settings.data_dir / "token-secret"
    if not path.exists():
        # Under another name first, so that a crash leaves no empty secret behind.
        new = path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(TOKEN_SECRET_MIN_BYTES))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    return settings.model_copy(update={"token_secret": SecretStr(path.read_text().strip())})


def unknown() -> list[str]:
    """Returns the environment's variables with our prefix that are no setting: misspelt ones."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    present = os.environ  # noqa: TID251 - the one module that may
    return sorted(name for name in present if name.startswith(PREFIX) and name not in known)
