"""The URLs of databases, as operators copy them from consoles of providers."""

import pytest

from infra.postgres.url import UrlRefused, address

HOME = "postgresql://ada:secret@db.example:6432/tasks"
NEON = "?sslmode=require&channel_binding=require"


@pytest.mark.parametrize(
    "_case,query",
    [
        ("nothing", ""),
        ("TLS by a file", "?sslmode=verify-full&sslrootcert=/etc/ca.pem&sslcert=/etc/a.pem"),
        ("options of the server", "?options=endpoint%3Dep-1"),
        ("a setting", "?search_path=tasks"),
        ("several hosts", "?target_session_attrs=read-write"),
        ("a socket", "?host=/run/postgresql&port=5433"),
    ],
)
def test_what_the_driver_knows_is_left_as_it_is(_case: str, query: str) -> None:
    found = address(HOME + query)

    assert found.url.replace("%2F", "/") == HOME + query
    assert (found.tls, found.timeout_s, found.left_out) == (None, None, ())


def test_what_has_no_effect_here_is_left_out_and_named() -> None:
    found = address(f"{HOME}?keepalives_idle=30&sslmode=require&gssencmode=prefer&sslsni=1")

    assert found.url == f"{HOME}?sslmode=require"
    assert found.left_out == ("keepalives_idle", "gssencmode", "sslsni")


@pytest.mark.parametrize("query, seconds", [("15", 15), ("0", None), ("-1", None), ("", None)])
def test_a_time_to_connect_in_is_taken_out(query: str, seconds: float | None) -> None:
    found = address(f"{HOME}?connect_timeout={query}")

    assert (found.url, found.timeout_s) == (HOME, seconds)


@pytest.mark.parametrize(
    "_case,given,url,tls",
    [
        (
            "as Neon writes it",
            NEON,
            HOME,
            {"sslmode": "verify-full", "sslrootcert": "system"},
        ),
        (
            "an authority of one's own",
            f"{NEON}&sslrootcert=ca.pem",
            f"{HOME}?sslmode=verify-full&sslrootcert=ca.pem",
            None,
        ),
        (
            "verified without the name",
            "?sslmode=verify-ca&channel_binding=require&sslrootcert=ca.pem",
            f"{HOME}?sslmode=verify-ca&sslrootcert=ca.pem",
            None,
        ),
        (
            "only wished for",
            "?sslmode=require&channel_binding=prefer",
            f"{HOME}?sslmode=require",
            None,
        ),
    ],
)
def test_who_asks_for_channel_binding_gets_a_verified_server(
    _case: str, given: str, url: str, tls: dict[str, str] | None
) -> None:
    found = address(HOME + given)

    assert (found.url, found.tls) == (url, tls)


def test_the_systems_authorities_vouch_with_all_else_that_was_asked_of_tls() -> None:
    tls = {"sslrootcert": "system", "sslcert": "a.pem", "ssl_min_protocol_version": "TLSv1.3"}

    found = address(f"{HOME}?application_name=x&{'&'.join(map('='.join, tls.items()))}")

    assert (found.url, found.tls) == (f"{HOME}?application_name=x", tls)


@pytest.mark.parametrize(
    "_case,url,says",
    [
        ("another database", "mysql://ada:secret@h/d", "must begin with postgresql://"),
        ("a port that is none", "postgresql://ada:secret@h:high/d", "is no URL of PostgreSQL"),
        ("a query that is none", f"{HOME}?sslmode", "is no URL of PostgreSQL"),
        ("a time that is none", f"{HOME}?connect_timeout=soon", "is no URL of PostgreSQL"),
        (
            "a weaker mode",
            f"{HOME}?sslrootcert=system&sslmode=require",
            "needs sslmode=verify-full",
        ),
        ("no TLS to bind to", f"{HOME}?channel_binding=require&sslmode=disable", "encrypted"),
        ("a way to sign in", f"{HOME}?require_auth=scram-sha-256", "require_auth=scram-sha-256"),
        ("another encryption", f"{HOME}?gssencmode=require", "gssencmode=require"),
        ("no such TLS", f"{HOME}?sslrootcert=system&ssl_min_protocol_version=9", "as TLSv1.3"),
    ],
)
def test_what_cannot_be_given_is_refused_and_no_secret_is_quoted(
    _case: str, url: str, says: str
) -> None:
    with pytest.raises(UrlRefused, match=says) as refused:
        address(url)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url, place",
    [
        (HOME, "db.example:6432"),
        ("postgresql://ada@/tasks?host=/run/postgresql", "/run/postgresql"),
        ("postgresql:///tasks", "a local socket"),
        ("postgresql://ada@[::1],h:5433/tasks", "[::1],h:5433"),
    ],
)
def test_a_place_tells_neither_user_nor_password(url: str, place: str) -> None:
    assert address(url).place == place
