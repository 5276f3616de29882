"""Every setting, typed and read once; no other module touches the environment."""

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, get_args
from urllib.parse import urlsplit

import platformdirs
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.reading import ANSWER_MAX_BYTES
from infra.postgres.data_folder import made
from infra.postgres.url import address

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
        description="PostgreSQL 15 or newer, its texts in UTF-8, with libpq's parameters:"
        " `postgresql://user:password@host/name?sslmode=verify-full&sslrootcert=system`. Unset:"
        " Carillon runs a PostgreSQL of its own in the data folder.",
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
    port: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="TCP port to listen on. Unset: 8000 for the API, 8001 for the notifications"
        " worker, 8002 for the recurrence worker, 8003 for the relay.",
    )
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
        " `https://tasks.example`: they get the headers of CORS, and need no cookies, for a token"
        " goes into `Authorization`. Pages of other origins are refused with 403, by HTTP and by"
        " websocket; programs send no `Origin`. Our own is what `Host` says, or a trusted proxy's"
        " `X-Forwarded-Host`.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses or networks whose `X-Forwarded-For`, `-Proto` and `-Host` are"
        " believed, comma-separated; sign-in attempts are counted by client address.",
    )
    shutdown_grace_seconds: int = Field(
        default=10,
        ge=1,
        le=600,
        description="Seconds that requests in flight get to finish after SIGTERM.",
    )
    body_max_bytes: int = Field(
        default=1_572_864,
        ge=1_024,
        description="Bytes of the largest request body or websocket message. A task's longest"
        " description takes 400 kB, and 1.2 MB from a client that escapes all but ASCII.",
    )
    answer_max_bytes: int = Field(
        default=ANSWER_MAX_BYTES,
        ge=1_048_576,
        description="Bytes of the longest answer; a longer one is LIMIT_EXCEEDED, and not made to"
        " its end. Few clients need more: a page of 200 tasks takes some 200 kB. The database makes"
        " a dozen answers at a time, each in some three times its size.",
    )
    connections_max: int | None = Field(
        default=None,
        ge=1,
        description="Open TCP connections of this process, live ones among them; one more is closed"
        " at once (metric `carillon_http_cut_off`). Unset: 2,000 more than `CARILLON_SOCKETS_MAX`."
        " At most what the limit of open files leaves.",
    )
    sockets_max: int = Field(
        default=10_000,
        ge=1,
        description="Open live connections of this process, at about 22 kB each. A tenth of them is"
        " for those without a token, and one address has no more than that before it signs in:"
        " set `CARILLON_TRUSTED_PROXIES`, or all clients behind a proxy share its address.",
    )
    sockets_per_user_max: int = Field(
        default=100, ge=1, description="Open live connections of one person to this process."
    )

    public_url: str | None = Field(
        default=None,
        description="Where people reach Carillon, as `https://tasks.example`: what links in mails"
        " and push messages begin with. Unset: they have none, and mails cannot be unsubscribed by"
        " a click.",
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="Mail server and sender: `smtp://user:password@host:587?from=tasks@example.org`;"
        " `smtps://` where it is encrypted from the first octet. Unset: no mail is sent.",
    )
    email_verification: bool = Field(
        default=False,
        description="Whether mail goes only to addresses whose owner has followed the link that was"
        " sent there. Needs a mail server and the public URL.",
    )
    vapid_key: SecretStr | None = Field(
        default=None,
        description="Private key by which push services know us: 32 bytes in base64url, the same"
        " for all replicas. Unset: generated once and kept in the data folder, with the embedded"
        " PostgreSQL only; with another one, no push messages are sent.",
    )
    push_contact: str | None = Field(
        default=None,
        description="Whom push services may write to, as `mailto:admin@example.org`. Unset:"
        " the public URL, or the sender of mails.",
    )
    push_loopback: bool = Field(
        default=False,
        description="Whether push endpoints on this machine are called: for development and tests.",
    )
    keep_trash_days: int = Field(
        default=30,
        ge=1,
        le=36_500,
        description="Days a deleted task can be restored; then it is purged. A month covers a"
        " holiday.",
    )
    keep_log_days: int = Field(
        default=365,
        ge=1,
        le=36_500,
        description="Days the log reaches back, for the audit trail and for clients that were away:"
        " one that was away longer reads everything again. What a consumer has not had stays.",
    )
    keep_idempotency_keys_days: int = Field(
        default=30,
        ge=1,
        le=36_500,
        description="Days in which a mutation that is sent again answers with what it did. Clients"
        " that were offline repeat late; answers are read from the log, so not above"
        " `CARILLON_KEEP_LOG_DAYS`.",
    )
    keep_sessions_days: int = Field(
        default=7,
        # An access token lives for a day at most, and must be known as revoked until then.
        ge=2,
        le=36_500,
        description="Days an ended session stays, to be looked into; its tokens are refused.",
    )
    keep_notifications_days: int = Field(
        default=90,
        # Who is told late, or snoozes, still needs what rang before.
        ge=7,
        le=36_500,
        description="Days what was sent stays in the ledger, and what was read or archived in the"
        " feed. The log tells longer what rang.",
    )

    dapr_url: str | None = Field(
        default=None,
        description="HTTP address of this process's Dapr sidecar, as `http://127.0.0.1:3500`. Set:"
        " the relay publishes through it, and replicas share state in its state store.",
    )
    dapr_api_token: SecretStr | None = Field(
        default=None, description="What the sidecar wants to see from us, if anything."
    )
    app_api_token: SecretStr | None = Field(
        default=None,
        description="What the sidecar shows us (`APP_API_TOKEN` of Dapr). Set: workers take events,"
        " ticks and calls with it only.",
    )
    secret_store: str | None = Field(
        default=None,
        description="Name of a Dapr secret store whose secret `carillon` holds settings that are"
        " secrets, by their names, as `CARILLON_TOKEN_SECRET`. The environment wins over it.",
    )
    kafka_servers: str | None = Field(
        default=None,
        description="Kafka brokers as `host:port`, comma-separated. Set: changes of other replicas"
        " arrive from the topics, and the log is polled seldom.",
    )
    kafka_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authority that signed the brokers' certificates. Set: the"
        " connection is encrypted.",
    )
    kafka_cert_file: Path | None = Field(
        default=None, description="PEM file of our own certificate, where the brokers want one."
    )
    kafka_key_file: Path | None = Field(
        default=None, description="PEM file of its key. Unset: it is in the certificate's file."
    )

    @field_validator("dapr_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError("must begin with http://")
        return url

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query:
            raise ValueError("must be an address such as https://tasks.example")
        return url.rstrip("/")

    @field_validator("smtp_url")
    @classmethod
    def _is_mail_server(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            from infra.mail import mail_server  # noqa: PLC0415 - most commands need none

            mail_server(url.get_secret_value())
        return url

    @field_validator("vapid_key")
    @classmethod
    def _is_vapid_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            from infra.vapid import VapidKey  # noqa: PLC0415 - most commands need none

            VapidKey(key.get_secret_value())
        return key

    @field_validator("push_contact")
    @classmethod
    def _is_contact(cls, contact: str | None) -> str | None:
        if contact is not None and not contact.startswith(("mailto:", "https://")):
            raise ValueError("must begin with mailto: or https://")
        return contact

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _is_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            # Refuses what cannot be used, before anything starts.
            address(url.get_secret_value())
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
        given = self.database_url is not None or self.secret_store is not None
        if not given and (self.database_direct_url is not None or self.database_pooler):
            raise ValueError("CARILLON_DATABASE_DIRECT_URL and _POOLER need CARILLON_DATABASE_URL")
        if self.email_verification and (self.smtp_url is None or self.public_url is None):
            raise ValueError(
                "CARILLON_EMAIL_VERIFICATION needs CARILLON_SMTP_URL and CARILLON_PUBLIC_URL"
            )
        if self.secret_store is not None and self.dapr_url is None:
            raise ValueError("CARILLON_SECRET_STORE needs CARILLON_DAPR_URL")
        if self.keep_idempotency_keys_days > self.keep_log_days:
            raise ValueError("CARILLON_KEEP_IDEMPOTENCY_KEYS_DAYS is more than _KEEP_LOG_DAYS")
        return self

    def with_secrets(self, found: Mapping[str, str]) -> "Settings":
        """Returns the settings with secrets that the environment does not have.

        Args:
            found: by variable, as `CARILLON_TOKEN_SECRET`; others than our secrets are left alone.

        Raises:
            ValidationError: a secret is not what its setting wants.
        """
        names = {f"{PREFIX}{name}".upper(): name for name in SECRETS}
        missing = {
            names[key]: value
            for key, value in found.items()
            if key in names and getattr(self, names[key]) is None
        }
        return Settings.model_validate({**self.model_dump(exclude_unset=True), **missing})


# The settings that a secret store may hold: all that are secrets.
SECRETS: Final = tuple(
    name
    for name, field in Settings.model_fields.items()
    if SecretStr in get_args(field.annotation) or field.annotation is SecretStr
)


class NotConfigured(Exception):
    """A setting that this process needs was not given; the message says which."""


def plain(secret: SecretStr | None) -> str | None:
    """Returns the secret's text."""
    return None if secret is None else secret.get_secret_value()


def require_database(settings: Settings) -> None:
    """Sees that the settings, with what a secret store holds, may mean a PostgreSQL of our own.

    Raises:
        NotConfigured: they name parts that processes share, and no database that they would share:
            one of our own would be another than that of all the others.
    """
    shared = [
        f"{PREFIX}{name}".upper()
        for name in ("secret_store", "dapr_url", "kafka_servers")
        if getattr(settings, name) is not None
    ]
    if settings.database_url is None and shared:
        where = ", or in the secret store" if settings.secret_store is not None else ""
        raise NotConfigured(f"CARILLON_DATABASE_URL is needed beside {shared[0]}{where}.")


def with_token_secret(settings: Settings) -> Settings:
    """Returns settings that have a token secret: the given, or the data folder's, made once.

    Raises:
        NotConfigured: it has to be given, since replicas share it, or a database has.
        OSError: the data folder cannot be read or written.
    """
    require_database(settings)
    if settings.token_secret is not None:
        return settings
    if settings.database_url is not None:
        raise NotConfigured(
            "CARILLON_TOKEN_SECRET is needed beside CARILLON_DATABASE_URL, for all replicas share"
            " it: openssl rand -hex 32"
        )
    secret = _kept(settings, "token-secret", lambda: secrets.token_hex(TOKEN_SECRET_MIN_BYTES))
    return settings.model_copy(update={"token_secret": secret})


def with_vapid_key(settings: Settings) -> Settings:
    """Returns settings that have a key for push messages, where nobody else needs to share it.

    Raises:
        OSError: the data folder cannot be read or written.
    """
    if settings.vapid_key is not None or settings.database_url is not None:
        return settings
    from infra.vapid import new_key  # noqa: PLC0415 - most commands need none

    return settings.model_copy(update={"vapid_key": _kept(settings, "vapid-key", new_key)})


def _kept(settings: Settings, name: str, make: Callable[[], str]) -> SecretStr:
    """Returns the data folder's secret of that name, made once."""
    path = made(settings.data_dir) / name
    if not path.exists():
        # Under another name first, so that a crash leaves no empty secret behind.
        new = path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    return SecretStr(path.read_text().strip())


def unknown() -> list[str]:
    """Returns the environment's variables with our prefix that are no setting: misspelt ones."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    present = os.environ  # noqa: TID251 - the one module that may
    return sorted(name for name in present if name.startswith(PREFIX) and name not in known)
