"""Origins, addresses and numbers."""

from __future__ import annotations

import pytest

from server import errors
from server.hub.admission import Admission, address_group, check_origin, client_address, normal_origin, own_origins

LIST = ("https://shop.example", "https://*.example.com", "http://localhost:3000", "https://*.münchen.example")


@pytest.mark.parametrize(
    ("origin", "normal"),
    [
        ("https://Shop.Example", "https://shop.example"),
        ("https://shop.example.", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("http://shop.example:80", "http://shop.example"),
        ("https://shop.example:8443", "https://shop.example:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("null", None),
        ("", None),
        ("ftp://shop.example", None),
        ("https://shop.example/", None),
        ("https://shop.example?x", None),
        ("https://shop.example#x", None),
        ("https://user:pass@shop.example", None),
        ("https://shop.example:99999", None),
        ("https://", None),
    ],
)
def test_normal_origin(origin: str, normal: str | None) -> None:
    assert normal_origin(origin) == normal


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://shop.example", True),
        ("https://a.example.com", True),
        ("https://a.b.example.com", True),
        ("https://example.com", False),
        ("https://aexample.com", False),
        ("http://a.example.com", False),
        ("https://a.example.com:444", False),
        ("http://localhost:3000", True),
        ("http://localhost:3001", False),
        ("https://a.xn--mnchen-3ya.example", True),
        ("https://own.example", True),
        ("https://shop.example.evil.com", False),
    ],
)
def test_check_origin(origin: str, allowed: bool) -> None:
    if allowed:
        assert check_origin(origin, LIST, ("https://own.example",)) == origin
    else:
        with pytest.raises(errors.OriginNotAllowed):
            check_origin(origin, LIST, ("https://own.example",))


def test_a_missing_origin_is_its_own_error() -> None:
    with pytest.raises(errors.OriginMissing):
        check_origin(None, LIST, ())


def test_own_origins_know_the_other_names_of_this_machine() -> None:
    assert own_origins("https://chat.example") == ("https://chat.example",)
    assert "http://localhost:8000" in own_origins("http://127.0.0.1:8000")
    assert own_origins("nonsense") == ()


def test_forwarded_addresses_count_only_from_trusted_proxies() -> None:
    assert client_address("9.9.9.9", "1.1.1.1", ("10.0.0.0/8",)) == "9.9.9.9"
    assert client_address("10.0.0.1", "6.6.6.6, 1.1.1.1", ("10.0.0.0/8",)) == "1.1.1.1"
    assert client_address("10.0.0.1", "1.1.1.1, 10.0.0.2", ("10.0.0.0/8",)) == "1.1.1.1"
    assert client_address("10.0.0.1", "", ("10.0.0.0/8",)) == "10.0.0.1"


def test_an_ipv6_visitor_is_a_network() -> None:
    assert address_group("2001:db8::1") == address_group("2001:db8::ffff:1") == "2001:db8::/64"
    assert address_group("::ffff:1.2.3.4") == "1.2.3.4"
    assert address_group("unknown") == "unknown"


def test_numbers() -> None:
    admission = Admission(max_sockets=3, per_address=2, connects_per_minute=4)
    groups = [admission.admit("1.1.1.1", 100.0), admission.admit("1.1.1.1", 100.0)]
    with pytest.raises(errors.ConnectionLimit):
        admission.admit("1.1.1.1", 100.0)
    admission.admit("2.2.2.2", 100.0)
    with pytest.raises(errors.NodeFull):
        admission.admit("3.3.3.3", 100.0)
    for group in groups:
        admission.release(group)
    for _ in range(2):
        admission.release(admission.admit("1.1.1.1", 101.0))
    with pytest.raises(errors.RateLimited):
        admission.admit("1.1.1.1", 102.0)
    admission.release(admission.admit("1.1.1.1", 260.0))
    admission.ban("1.1.1.1", 261.0)
    with pytest.raises(errors.RateLimited):
        admission.admit("1.1.1.1", 300.0)
    admission.sweep(900.0)
    assert admission.admit("1.1.1.1", 901.0) == "1.1.1.1"
