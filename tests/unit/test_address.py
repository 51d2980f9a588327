"""The URL that says where Redis is."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from session_store.redis_address import Address, HostPort, Kind
from session_store.settings import StoreSettings, explain

SECRET = "hush"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("redis://box", Address(Kind.STANDALONE, (HostPort("box", 6379),))),
        ("redis://box:7000/3", Address(Kind.STANDALONE, (HostPort("box", 7000),), database=3)),
        ("REDIS://[::1]:7/", Address(Kind.STANDALONE, (HostPort("::1", 7),))),
        ("rediss://10.0.0.1", Address(Kind.STANDALONE, (HostPort("10.0.0.1", 6379),), tls=True)),
        ("valkeys://box", Address(Kind.STANDALONE, (HostPort("box", 6379),), tls=True)),
        (
            "redis+sentinel://a,b:5/main/2",
            Address(
                Kind.SENTINEL,
                (HostPort("a", 26379), HostPort("b", 5)),
                service="main",
                database=2,
            ),
        ),
        (
            "rediss+cluster://a,[fe80::1%eth0]:5",
            Address(Kind.CLUSTER, (HostPort("a", 6379), HostPort("fe80::1%eth0", 5)), tls=True),
        ),
        ("valkey+cluster://a/0", Address(Kind.CLUSTER, (HostPort("a", 6379),))),
        ("unix:///run/r.sock?db=4", Address(Kind.UNIX, path="/run/r.sock", database=4)),
        ("memory://", Address(Kind.MEMORY)),
    ],
)
def test_each_form_says_where_redis_is(url: str, meant: Address) -> None:
    """Scheme, hosts, ports, database, service and path are read, and defaults filled in."""
    assert Address.parse(url) == meant


@pytest.mark.parametrize(
    ("login", "user", "password"),
    [
        ("", None, None),
        ("app:hush@", "app", "hush"),
        (":hush@", None, "hush"),
        ("app@", "app", None),
        ("a%40b:%3A%2F%25%C3%A9,+@", "a@b", ":/%é,+"),
    ],
)
def test_user_and_password_are_decoded(login: str, user: str | None, password: str | None) -> None:
    """What is written with % is decoded, in every kind of URL, and + stays a +."""
    for url in ("redis://{}h", "redis+sentinel://{}h,i/s", "rediss+cluster://{}h", "unix://{}/s"):
        address = Address.parse(url.format(login))
        assert (address.user, address.password) == (user, password)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("", "begin with redis://"),
        ("box:6379", "begin with redis://"),
        ("http://box", "begin with redis://"),
        ("redis+pool://box", "begin with redis://"),
        (" redis://box", "begin with redis://"),
        ("redis://", "a host is a name"),
        ("redis:///0", "a host is a name"),
        ("redis://box:0", "a port up to 65535"),
        ("redis://box:65536", "a port up to 65535"),
        ("redis://bo x", "a host is a name"),
        ("redis://a,b", "redis+sentinel:// or redis+cluster://"),
        ("redis://box/one", "a database is a number"),
        ("redis://box/-1", "a database is a number"),
        ("redis://box/" + "1" * 5000, "a database is a number"),
        ("redis://box?db=1", "nothing may follow ?"),
        ("redis+sentinel://a,b", "write redis+sentinel://"),
        ("redis+sentinel://a,b/", "the name of the service is missing"),
        ("redis+sentinel://a,b/2/x", "a database is a number"),
        ("redis+cluster://a,,b", "write redis+cluster://"),
        ("redis+cluster://a/1", "a Cluster has no database but 0"),
        ("unix://box/run/r.sock", "a socket has a path and no host"),
        ("unix://", "a socket has a path and no host"),
        ("unix:///run/r.sock?x=1", "nothing but db= may follow"),
        ("memory://box", "write memory://"),
    ],
)
def test_a_mistake_is_answered_with_what_to_write(url: str, hint: str) -> None:
    """The error of the settings says which form is right."""
    with pytest.raises(ValidationError) as refused:
        StoreSettings.model_validate({"redis_url": url})
    assert hint in explain(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://app:{SECRET}@box:port",
        f"redis://app:1/{SECRET}@box",
        f"redis://app:1#{SECRET}@box",
        f"redis://app:1?{SECRET}@box",
        f"redis://app:{SECRET}@1@box",
        f"redis://app:a@[{SECRET}",
        f"redis://app:%ff{SECRET}@box",
        f"redis+sentinel://app:{SECRET}@box",
        f"redis+cluster://app:{SECRET}@box/7",
        f"unix://app:{SECRET}@box/r.sock",
        f"memory://app:{SECRET}@box",
        f"app:{SECRET}@box",
    ],
)
def test_no_mistake_repeats_the_password(url: str) -> None:
    """Neither the short nor the long text of the error contains a part of the URL."""
    with pytest.raises(ValidationError) as refused:
        StoreSettings.model_validate({"redis_url": url})
    for said in (explain(refused.value), str(refused.value), repr(refused.value)):
        assert SECRET not in said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://app:hush@box/3", "redis://box:6379/3"),
        ("valkeys://hush@box", "rediss://box:6379"),
        ("rediss+sentinel://app:hush@a,b:1/main/2", "rediss+sentinel://a:26379,b:1/main/2"),
        ("redis+cluster://:hush@[::1]:7", "redis+cluster://[::1]:7"),
        ("unix://app:hush@/run/r.sock?db=1", "unix:///run/r.sock?db=1"),
        ("memory://", "memory://"),
    ],
)
def test_an_address_is_shown_without_its_login(url: str, shown: str) -> None:
    """What is shown is a URL that can be parsed again, without user and password."""
    address = Address.parse(url)
    assert str(address) == shown
    assert Address.parse(shown).where == address.where
    assert SECRET not in repr(address)


def test_settings_show_no_password() -> None:
    """Settings can be printed and dumped as JSON; copies of them keep the password."""
    settings = StoreSettings.model_validate({"redis_url": f"redis://app:{SECRET}@box"})
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert SECRET not in shown
    copied = StoreSettings.model_validate(settings.model_dump())
    assert copied.redis_address.password == SECRET


def test_the_environment_names_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is taken as it is, also where it has commas or brackets."""
    monkeypatch.setenv("REJOIN_REDIS_URL", "redis+cluster://[::1]:1,b:2")
    assert StoreSettings().redis_address.hosts == (HostPort("::1", 1), HostPort("b", 2))
