"""Settings: what the environment may say, and what is refused with the way out."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from carillon import settings_page
from carillon.settings import LogFormat, NotConfigured, Settings, unknown, with_token_secret

SECRET = "s" * 32


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CARILLON_{name}".upper(), raising=False)
    return monkeypatch


def test_nothing_has_to_be_set() -> None:
    settings = Settings()

    assert settings.database_url is None
    assert settings.token_secret is None
    assert (settings.host, settings.port) == ("127.0.0.1", None)


def test_the_environment_says_what_arguments_do_not(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CARILLON_PORT", "9000")
    environment.setenv("CARILLON_HOST", "::1")
    environment.setenv("CARILLON_LOG_FORMAT", "json")
    environment.setenv("CARILLON_ALLOWED_ORIGINS", "https://a.example, https://b.example:8443")

    settings = Settings(port=9001)

    assert (settings.host, settings.port) == ("::1", 9001)
    assert settings.log_format is LogFormat.JSON
    assert settings.allowed_origins == ("https://a.example", "https://b.example:8443")


@pytest.mark.parametrize(
    "_case,name,value,says",
    [
        ("not a port", "PORT", "0", "greater than or equal to 1"),
        ("not a database", "DATABASE_URL", "mysql://h/d", "must begin with postgresql://"),
        ("a short secret", "TOKEN_SECRET", "s" * 31, "needs at least 32 bytes"),
        ("a path in an origin", "ALLOWED_ORIGINS", "https://a.example/app", "a scheme and a host"),
        ("any origin", "ALLOWED_ORIGINS", "*", "a scheme and a host"),
        ("a pooler of nothing", "DATABASE_POOLER", "true", "need CARILLON_DATABASE_URL"),
        ("a store without a sidecar", "SECRET_STORE", "secrets", "needs CARILLON_DAPR_URL"),
        ("a log shorter than its keys", "KEEP_LOG_DAYS", "29", "_KEYS_DAYS is more than _KEEP_LOG"),
        ("sessions gone before tokens", "KEEP_SESSIONS_DAYS", "1", "greater than or equal to 2"),
        ("no trash at all", "KEEP_TRASH_DAYS", "0", "greater than or equal to 1"),
        ("a sidecar without a scheme", "DAPR_URL", "127.0.0.1:3500", "must begin with http://"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    _case: str, name: str, value: str, says: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(f"CARILLON_{name}", value)

    with pytest.raises(ValidationError, match=says):
        Settings()


def test_no_secret_is_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CARILLON_DATABASE_URL", "postgresql://u:hunter2@h/d")
    environment.setenv("CARILLON_TOKEN_SECRET", SECRET)

    shown = repr(Settings())

    assert "hunter2" not in shown
    assert SECRET not in shown


def test_a_refusal_does_not_quote_a_password(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CARILLON_DATABASE_URL", "mysql://u:hunter2@h/d")

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert "hunter2" not in str(refused.value)


def test_settings_do_not_change_once_read() -> None:
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_the_generated_secret_is_private_and_stays(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")

    first, second = with_token_secret(settings), with_token_secret(settings)

    assert first.token_secret is not None
    assert len(first.token_secret.get_secret_value()) == 64
    assert first.token_secret == second.token_secret
    assert (tmp_path / "data" / "token-secret").stat().st_mode & 0o777 == 0o600


def test_a_given_secret_leaves_no_file(tmp_path: Path) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path / "data", "token_secret": SECRET})

    assert with_token_secret(settings) is settings
    assert not (tmp_path / "data").exists()


def test_a_misspelt_variable_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CARILLON_PROT", "9000")
    environment.setenv("CARILLON_PORT", "9000")

    assert "CARILLON_PROT" in unknown()
    assert "CARILLON_PORT" not in unknown()


def test_the_manual_says_what_the_code_does(pytestconfig: pytest.Config) -> None:
    page = pytestconfig.rootpath / settings_page.PAGE

    assert page.read_text() == settings_page.markdown(), "make docs"


def test_the_help_names_every_setting() -> None:
    for name in Settings.model_fields:
        assert f"CARILLON_{name}".upper() in settings_page.plain()


def test_replicas_need_a_token_secret_that_they_share(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("CARILLON_DATABASE_URL", "postgresql://h/d")
    environment.setenv("CARILLON_DATA_DIR", str(tmp_path))

    with pytest.raises(NotConfigured, match="CARILLON_TOKEN_SECRET is needed"):
        with_token_secret(Settings())

    assert list(tmp_path.iterdir()) == []


def test_a_store_gives_the_secrets_that_the_environment_does_not_have(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("CARILLON_DAPR_URL", "http://127.0.0.1:3500")
    environment.setenv("CARILLON_SECRET_STORE", "secrets")
    environment.setenv("CARILLON_TOKEN_SECRET", SECRET)
    found = {
        "CARILLON_DATABASE_URL": "postgresql://store/d",
        "CARILLON_TOKEN_SECRET": "t" * 32,
        "CARILLON_PORT": "1",
        "OTHER": "x",
    }

    settings = Settings().with_secrets(found)

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://store/d"
    assert settings.token_secret is not None
    assert settings.token_secret.get_secret_value() == SECRET
    assert (settings.port, settings.secret_store) == (None, "secrets")
    with pytest.raises(ValidationError, match="must begin with postgresql://"):
        Settings().with_secrets({"CARILLON_DATABASE_URL": "mysql://h/d"})


@pytest.mark.parametrize(
    "name,value", [("DAPR_URL", "http://127.0.0.1:3500"), ("KAFKA_SERVERS", "127.0.0.1:9092")]
)
def test_a_part_that_is_shared_needs_a_database_that_is_shared(
    name: str, value: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv(f"CARILLON_{name}", value)

    with pytest.raises(NotConfigured, match=f"CARILLON_DATABASE_URL is needed beside .*{name}."):
        with_token_secret(Settings(data_dir=tmp_path / "data"))

    assert not (tmp_path / "data").exists()
