"""Which addresses of users are called: their spelling, and the networks they lead into."""

import ipaddress
from collections.abc import Sequence

import pytest

from domain.errors import Code, Refused
from infra.outbound import HOST_MAX_CHARS, URL_MAX_CHARS, NotAllowed, Outbound, is_public

PUBLIC = "203.0.114.1"


async def public(_host: str, _port: int) -> Sequence[str]:
    return [PUBLIC]


@pytest.mark.parametrize(
    "_case,url,written",
    [
        ("as it is", "https://push.example/a/b?c=d%20e", "https://push.example/a/b?c=d%20e"),
        ("no path", "https://push.example", "https://push.example/"),
        ("only a query", "https://push.example?a=b", "https://push.example/?a=b"),
        ("capitals", "HTTPS://Push.EXAMPLE/Path", "https://push.example/Path"),
        ("the usual port", "https://push.example:443/", "https://push.example/"),
        ("the other port", "https://push.example:8443/", "https://push.example:8443/"),
        ("a last dot", "https://push.example./", "https://push.example/"),
        ("a name in Unicode", "https://b\u00fccher.example/", "https://xn--bcher-kva.example/"),
        ("other dots", "https://push\u3002example/", "https://push.example/"),
        ("an address", f"https://{PUBLIC}/", f"https://{PUBLIC}/"),
        ("an address of six", "https://[2A00:1450:0::1]/", "https://[2a00:1450::1]/"),
        ("hyphens", "https://r3---sn-abc.push.example/", "https://r3---sn-abc.push.example/"),
    ],
)
async def test_an_address_has_one_form(_case: str, url: str, written: str) -> None:
    async with Outbound(resolve=public) as outbound:
        assert await outbound.check(url) == written


@pytest.mark.parametrize(
    "_case,url",
    [
        ("empty", ""),
        ("no scheme", "push.example"),
        ("another scheme", "ftp://push.example/"),
        ("a file", "file:///etc/passwd"),
        ("not encrypted", "http://push.example/"),
        ("no host", "https:///path"),
        ("a user", "https://ada@push.example/"),
        ("a password", "https://ada:secret@push.example/"),
        ("a host behind a user", "https://push.example@127.0.0.1/"),
        ("a backslash", "https://push.example\\@127.0.0.1/"),
        ("a fragment", "https://push.example/#@127.0.0.1"),
        ("a fragment before the path", "https://push.example#@127.0.0.1/"),
        ("a blank", "https://push.example /"),
        ("a tab", "https://push\t.example/"),
        ("a line feed", "https://push.example/\nHost: inside"),
        ("a NUL", "https://push.example\0.inside/"),
        ("a lone surrogate", "https://push.example/\ud800"),
        ("letters in the path", "https://push.example/\u00e9"),
        ("no port", "https://push.example:/"),
        ("port zero", "https://push.example:0/"),
        ("a port beyond all", "https://push.example:65536/"),
        ("a port of six digits", "https://push.example:000443/"),
        ("the port of mail", "https://push.example:25/"),
        ("a port of Redis", "https://push.example:6379/"),
        ("an encoded host", "https://%31%32%37.0.0.1/"),
        ("one number", "https://2130706433/"),
        ("a hexadecimal number", "https://0x7f000001/"),
        ("hexadecimal parts", "https://0x7f.0.0.1/"),
        ("a hexadecimal end", "https://127.0.0.0x1/"),
        ("octal parts", "https://0177.0.0.01/"),
        ("a short form", "https://127.1/"),
        ("an overflow", "https://127.0.0.257/"),
        ("five parts", "https://127.0.0.0.1/"),
        ("a number in other digits", "https://\uff12\uff11\uff13\uff10\uff17\uff10\uff16\uff14\uff13\uff13/"),
        ("a zone of an address", "https://[fe80::1%25eth0]/"),
        ("no address of six", "https://[::12345]/"),
        ("an address of six without brackets", "https://2a00:1450::1/"),
        ("half a bracket", "https://[2a00:1450::1/"),
        ("an empty label", "https://push..example/"),
        ("two last dots", "https://push.example../"),
        ("only a dot", "https://./"),
        ("a label that begins with a hyphen", "https://-push.example/"),
        ("an underscore", "https://push_1.example/"),
        ("a long label", f"https://{'a' * 64}.example/"),
        ("a long name", f"https://{'a.' * HOST_MAX_CHARS}example/"),
        ("a long address", "https://push.example/" + "a" * URL_MAX_CHARS),
        ("a long name in Unicode", "https://" + "\u00fc" * (URL_MAX_CHARS - 8)),
        ("what IDNA does not know", "https://push\u2028.example/"),
    ],
)  # fmt: skip
async def test_an_address_of_another_kind_is_refused_without_a_look_up(
    _case: str, url: str
) -> None:
    async def never(_host: str, _port: int) -> Sequence[str]:
        raise AssertionError("nobody shall be asked")

    async with Outbound(resolve=never) as outbound:
        with pytest.raises(Refused) as refused:
            await outbound.check(url, "input", "endpoint")

    [problem] = refused.value.problems
    assert (problem.code, problem.path) == (Code.INVALID, ("input", "endpoint"))


INSIDE = [
    ("this network", "0.0.0.0"),  # noqa: S104 - not to bind to
    ("this network's end", "0.255.255.255"),
    ("private, of ten", "10.0.0.1"),
    ("private, of 172", "172.31.255.255"),
    ("private, of 192", "192.168.0.1"),
    ("loopback", "127.0.0.1"),
    ("all of loopback", "127.255.255.254"),
    ("link-local", "169.254.0.1"),
    ("the clouds' metadata", "169.254.169.254"),
    ("behind a carrier's NAT", "100.64.0.1"),
    ("its end", "100.127.255.255"),
    ("protocols", "192.0.0.170"),
    ("documentation", "192.0.2.1"),
    ("benchmarks", "198.19.0.1"),
    ("6to4 relays", "192.88.99.1"),
    ("multicast", "224.0.0.1"),
    ("reserved", "240.0.0.1"),
    ("broadcast", "255.255.255.255"),
    ("unspecified", "::"),
    ("loopback of six", "::1"),
    ("mapped", "::ffff:10.0.0.1"),
    ("a public one, mapped", "::ffff:203.0.114.1"),
    ("compatible", "::127.0.0.1"),
    ("translated", "::ffff:0:127.0.0.1"),
    ("NAT64", "64:ff9b::7f00:1"),
    ("NAT64 of a network", "64:ff9b:1::7f00:1"),
    ("discard", "100::1"),
    ("Teredo", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    ("ORCHID", "2001:20::1"),
    ("documentation of six", "2001:db8::1"),
    ("new documentation", "3fff::1"),
    ("6to4 of loopback", "2002:7f00:1::1"),
    ("segment routing", "5f00::1"),
    ("unique local", "fd00::1"),
    ("link-local of six", "fe80::1"),
    ("link-local with a zone", "fe80::1%eth0"),
    ("a zone on a public one", "2a00:1450::1%eth0"),
    ("site-local", "fec0::1"),
    ("multicast of six", "ff02::1"),
]
OUTSIDE = [
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.0",
    "172.32.0.1",
    "203.0.114.1",
    "223.255.255.255",
]
OUTSIDE_OF_SIX = ["2001:200::1", "2001:4860:4860::8888", "2a00:1450::1", "2400:cb00::1"]


@pytest.mark.parametrize("_case,address", INSIDE)
async def test_a_name_that_leads_inside_is_refused(_case: str, address: str) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        # One of them is enough: which one is called is not for the name's owner to choose.
        return [PUBLIC, address]

    assert not is_public(ipaddress.ip_address(address))
    async with Outbound(resolve=resolve) as outbound:
        with pytest.raises(Refused, match="not public"):
            await outbound.check("https://push.example/")


@pytest.mark.parametrize("_case,address", [one for one in INSIDE if "%" not in one[1]])
async def test_an_address_inside_is_refused_as_it_stands(_case: str, address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    async with Outbound(resolve=public) as outbound:
        with pytest.raises(Refused, match="not public"):
            await outbound.check(f"https://{host}/")


@pytest.mark.parametrize("address", [*OUTSIDE, *OUTSIDE_OF_SIX])
def test_what_is_next_to_a_special_network_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


async def test_fullwidth_digits_are_the_digits_that_they_look_like() -> None:
    async with Outbound(resolve=public) as outbound:
        with pytest.raises(Refused, match="not public"):
            await outbound.check("https://\uff11\uff12\uff17.0.0.1/")


async def test_a_name_without_an_address_is_refused() -> None:
    async def nowhere(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    async def nothing(_host: str, _port: int) -> Sequence[str]:
        return []

    for resolve in (nowhere, nothing):
        async with Outbound(resolve=resolve) as outbound:
            with pytest.raises(Refused, match="cannot be found"):
                await outbound.check("https://push.example/")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://[::1]:9/", "https://localhost:9/"])
async def test_this_machine_is_called_in_development_only(url: str) -> None:
    async def here(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with Outbound(resolve=here, loopback=True) as outbound:
        assert await outbound.check(url) == url
    async with Outbound(resolve=here) as outbound:
        with pytest.raises(Refused):
            await outbound.check(url)


@pytest.mark.parametrize("url", ["http://push.example/", "http://10.0.0.1/", "https://[fd00::1]/"])
async def test_also_in_development_nothing_else_inside_is_called(url: str) -> None:
    async with Outbound(resolve=public, loopback=True) as outbound:
        with pytest.raises(Refused):
            await outbound.check(url)


def test_an_origin_has_its_port_only_where_it_is_another() -> None:
    outbound = Outbound(loopback=True)

    assert outbound.target("https://push.example:443/x").origin == "https://push.example"
    assert outbound.target("https://push.example:8443/x").origin == "https://push.example:8443"
    assert outbound.target("http://[::1]:8080/x").origin == "http://[::1]:8080"
    with pytest.raises(NotAllowed):
        outbound.target("https://push.example:70000/")
