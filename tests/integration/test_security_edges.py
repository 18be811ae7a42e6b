"""What an attacker tries at the edges of a real server: tokens, origins, bodies, paths, headers, leftovers.

A test marked as an expected failure stands for a hole that is known and open; it is strict, so closing the hole turns it
red until the mark is removed.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import select
import socket
import sqlite3
import stat
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from sqlalchemy import text as sql

from server.ids import BotId, ConversationId, TenantId, VisitorId
from server.settings import Settings
from server.storage import queues
from server.storage.database import Database
from server.storage.secrets import Secrets, load_secrets
from tests.running import Running, running_server

CANARY = "canary" + uuid.uuid4().hex


@pytest.fixture
def client(demo: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=demo.url, timeout=60, trust_env=False) as opened:
        yield opened


@pytest.fixture
def key(demo: Running) -> dict[str, str]:
    return {"Authorization": f"Bearer {demo.ready['api_key']}"}


def new_visitor(client: httpx.Client, demo: Running, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/bots/{demo.ready['bot_id']}/visitor-tokens", json=body, headers={"Origin": demo.url})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def new_bot(client: httpx.Client, key: dict[str, str]) -> str:
    return str(client.post("/v1/bots", json={"config": {"name": "Edge"}}, headers=key).json()["id"])


def wait_for_document(client: httpx.Client, key: dict[str, str], document: str) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = client.get(f"/v1/documents/{document}", headers=key).json()["status"]
        if status in {"ready", "failed"}:
            return str(status)
        time.sleep(0.1)
    raise AssertionError("the document was not read")


def raw(url: str, request: bytes, *, wait_s: float = 5, until: bytes | None = None) -> bytes:
    """Bytes as they are, and what comes back until the server closes, the time is up or `until` was seen."""
    address = urlsplit(url)
    received = b""
    with socket.create_connection((address.hostname, address.port), wait_s) as opened:
        opened.sendall(request)
        deadline = time.monotonic() + wait_s
        while (left := deadline - time.monotonic()) > 0:
            opened.settimeout(left)
            try:
                part = opened.recv(65536)
            except TimeoutError:
                break
            received += part
            if not part or (until is not None and until in received):
                break
    return received


# Tokens ---------------------------------------------------------------------------------------------------------------
def forgeries(secrets: Secrets, real: str, visitor: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A name and a token that must open nothing; many carry a good signature."""
    claims = jwt.decode(real, options={"verify_signature": False})
    signing = secrets.derive("visitor tokens")

    def signed(**changes: Any) -> str:
        body = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(body, signing, "HS256")

    head, body, signature = real.split(".")
    yield "no signature", f"{head}.{body}."
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    yield "alg none", f"{none}.{body}."
    yield "alg none with a signature", f"{none}.{body}.{signature}"
    yield "another key", jwt.encode(claims, secrets.derive("answer cache"), "HS256")
    yield "another hash", jwt.encode(claims, signing * 2, "HS512")
    yield "a path as key id", jwt.encode(claims, b"\0" * 32, "HS256", headers={"kid": "../../../dev/null"})
    yield "another conversation", signed(cid="conv_00000000000000000000000000")
    yield "another kind", signed(typ="member")
    yield "no kind", signed(typ=None)
    yield "no end", signed(exp=None)
    yield "two conversations", signed(cid=[claims["cid"]])
    yield "another tenant", signed(ten="ten_00000000000000000000000000")
    yield "the renewal token", str(visitor["renewal_token"])
    yield "not canonical", real[:-1] + chr(ord(real[-1]) + 1 if real[-1] != "Z" else ord("Y"))
    yield "a very long one", "a" * 20_000


def test_no_forged_token_opens_a_conversation(client: httpx.Client, demo: Running) -> None:
    secrets, visitor = load_secrets(Settings(data_dir=demo.data_dir)), new_visitor(client, demo)
    address = f"/v1/conversations/{visitor['conversation_id']}/commands"
    frame = {"type": "history", "id": "h1", "limit": 1}
    good = client.post(address, json=frame, headers={"Authorization": f"Bearer {visitor['token']}"})
    assert good.status_code == 200
    for name, token in forgeries(secrets, visitor["token"], visitor):
        answer = client.post(address, json=frame, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid"), name
    expired, _ = secrets.sign_visitor_token(
        tenant=TenantId("ten_x"), bot=BotId("bot_x"), origin=demo.url, visitor=VisitorId("vis_x"),
        conversation=ConversationId(visitor["conversation_id"]), life_s=-1,
    )  # fmt: skip
    answer = client.post(address, json=frame, headers={"Authorization": f"Bearer {expired}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")


def test_a_token_is_worth_nothing_on_another_site(client: httpx.Client, demo: Running) -> None:
    visitor = new_visitor(client, demo)
    answer = client.post(
        f"/v1/conversations/{visitor['conversation_id']}/commands",
        json={"type": "typing", "state": "on"},
        headers={"Authorization": f"Bearer {visitor['token']}", "Origin": "https://evil.example"},
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


def test_a_renewal_token_works_once_and_for_its_own_bot(
    client: httpx.Client, demo: Running, key: dict[str, str]
) -> None:
    first = new_visitor(client, demo)
    elsewhere = client.post(
        f"/v1/bots/{new_bot(client, key)}/visitor-tokens",
        json={"renewal_token": first["renewal_token"]},
        headers={"Origin": demo.url},
    )
    assert elsewhere.json()["visitor_id"] != first["visitor_id"]
    renewed = new_visitor(client, demo, renewal_token=first["renewal_token"])
    assert (renewed["visitor_id"], renewed["conversation_id"]) == (first["visitor_id"], first["conversation_id"])
    stolen = new_visitor(client, demo, renewal_token=first["renewal_token"])
    assert stolen["visitor_id"] != first["visitor_id"]


ORIGINS = (
    "null", "https://evil.example", "http://127.0.0.1.evil.example:{port}", "http://127.0.0.1:{port}/", "file://",
    "http://user@127.0.0.1:{port}", "http://127.0.0.1:1", "https://127.0.0.1:{port}", "http://127.0.0.1:{port}#a",
    "http://127.0.0.1:{port}\\.evil.example", "http://0177.0.0.1:{port}", "http://127.0.0.1:{port} http://evil.example",
    "http://127.0.0.1:{port}?", "http://2130706433:{port}", "chrome-extension://127.0.0.1:{port}", "http://[::1", "//",
)  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS)
def test_no_foreign_site_gets_a_token(client: httpx.Client, demo: Running, origin: str) -> None:
    sent = {"Origin": origin.format(port=urlsplit(demo.url).port)}
    answer = client.post(f"/v1/bots/{demo.ready['bot_id']}/visitor-tokens", json={}, headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")


def test_a_rebound_name_is_no_origin_of_ours(client: httpx.Client, demo: Running) -> None:
    """A foreign name that resolves to this machine: its page is same-origin to the browser, and not to us."""
    sent = {"Host": "evil.example", "Sec-Fetch-Site": "same-origin"}
    answer = client.get(f"/v1/bots/{demo.ready['bot_id']}/widget-config", headers=sent)
    assert answer.status_code == 403


# Bodies ---------------------------------------------------------------------------------------------------------------
HOSTILE = {
    "deep list": b"[" * 50_000, "deep object": b'{"a":' * 10_000, "backslashes": b'"' + b"\\" * 200_000,
    "long integer": b'{"text":' + b"1" * 200_000 + b"}", "overflow": b'{"text":1e999}', "nan": b'{"text":NaN}',
    "surrogate": b'{"text":"\\ud800"}', "nul": b'{"text":"\\u0000"}', "utf-16": '{"text":"x"}'.encode("utf-16"),
    "mark": b'\xef\xbb\xbf{"text":"x"}', "bad utf-8": b'{"text":"\xff"}', "twice": b'{"text":"x","text":"y"}',
    "empty": b"", "trailing": b'{"text":"x"} {}', "scalar": b"1", "null": b"null", "list": b"[]",
    "proto": b'{"__proto__":{"role":"owner"},"constructor":{}}', "tenant": b'{"tenant_id":"ten_x","role":"owner"}',
    "wrong types": b'{"text":[],"config":[],"name":{},"type":9,"id":{}}', "large": b'{"text":"' + b"a" * 400_000 + b'"}',
    "numbers": b'{"config":{"limits":{"messages_per_minute":1e308}},"name":"x"}',
}  # fmt: skip
JSON_ROUTES = (
    "POST /v1/session", "POST /v1/bots", "PATCH /v1/bots/{bot}", "POST /v1/tenants", "PATCH /v1/tenants/x",
    "POST /v1/api-keys", "POST /v1/bots/{bot}/messages", "POST /v1/conversations/{conversation}/messages",
    "POST /v1/bots/{bot}/visitor-tokens", "POST /v1/conversations/{conversation}/commands",
)  # fmt: skip


@pytest.mark.parametrize("route", JSON_ROUTES)
def test_hostile_bodies_are_refused_in_our_own_words(
    client: httpx.Client, demo: Running, key: dict[str, str], route: str
) -> None:
    visitor = new_visitor(client, demo)
    method, _, path = route.partition(" ")
    path = path.replace("{bot}", demo.ready["bot_id"]).replace("{conversation}", visitor["conversation_id"])
    headers = key | {"Origin": demo.url, "Content-Type": "application/json"}
    if path.endswith("/commands"):
        headers["Authorization"] = f"Bearer {visitor['token']}"
    if path == "/v1/tenants":
        headers["Authorization"] = "Bearer operator-for-tests"
    for name, body in HOSTILE.items():
        answer = client.request(method, path, content=body, headers=headers)
        assert 400 <= answer.status_code < 500, (name, answer.text)
        assert answer.headers["content-type"] == "application/problem+json", name
        assert not [sign for sign in ("Traceback", "/server/", "site-packages") if sign in answer.text], name


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_form_of_another_site_cannot_sign_anybody_in(client: httpx.Client, kind: str) -> None:
    """What a browser sends across origins without asking first is never read as JSON."""
    sent = {"Content-Type": kind} if kind else {}
    answer = client.post("/v1/session", content=b'{"email":"a@b.example","password":"x"}', headers=sent)
    assert answer.status_code in {400, 415, 422}
    assert "set-cookie" not in answer.headers


SMUGGLED = {
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6",
    "negative length": b"Content-Length: -1",
    "plus length": b"Content-Length: +5",
    "strange coding": b"Transfer-Encoding: xchunked",
    "folded": b"Content-Length: 0\r\n X: y\r\nTransfer-Encoding\x0b: chunked",
}


@pytest.mark.parametrize("name", sorted(SMUGGLED))
def test_no_request_hides_in_another(demo: Running, name: str) -> None:
    hidden = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    request = b"POST /v1/bots HTTP/1.1\r\nHost: x\r\n" + SMUGGLED[name] + b"\r\n\r\n0\r\n\r\n" + hidden
    answer = raw(demo.url, request, wait_s=1)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert not answer.startswith(b"HTTP/1.1 2")


PATHS = (
    "/widget/../server/settings.py", "/widget/%2e%2e/%2e%2e/pyproject.toml", "/demo/..%2f..%2fpyproject.toml",
    "/console/assets/../../../pyproject.toml", "/docs/..%5c..%5cpyproject.toml", "/docs/%00", "/widget//etc/passwd",
    "/v1/bots/%00", "/v1/bots/%ff", "/v1/documents/..%2f..%2fsecret.key", "/v1/conversations/%7b%7d:*",
    "/v1/bots/" + "a" * 5000, "/v1/bots/99999999999999999999999", "//v1/bots", "/v1/bots/x'%20OR%201=1--",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_to_a_file_or_a_fault(demo: Running, key: dict[str, str], path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key['Authorization']}\r\nConnection: close\r\n\r\n"
    answer = raw(demo.url, request.encode())
    assert answer.split(b" ", 2)[1] in {b"400", b"404"}, answer[:200]
    assert not [sign for sign in (b"[project]", b"root:") if sign in answer]


def docx(*entries: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, body in entries:
            archive.writestr(name, body)
    return made.getvalue()


FILES = {
    "page named pdf": ("a.pdf", b"<!doctype html><html><body>x</body></html>"),
    "program named text": ("a.txt", b"MZ\x90\x00\x03" + b"\x00" * 500),
    "program with a pdf in it": ("a.pdf", b"MZ\x90\x00" + b"\x00" * 50 + b"%PDF-1.7\n"),
    "page with a pdf in it": ("a.html", b"<html>%PDF-1.7\n</html>"),
    "archive": ("a.zip", docx(("x.txt", b"x"))),
    "archive named word": ("a.docx", docx(("evil.sh", b"x"))),
    "picture": ("a.png", b"\x89PNG\r\n\x1a\n" + b"\x00" * 50),
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_that_is_not_what_it_says_is_refused(
    client: httpx.Client, demo: Running, key: dict[str, str], name: str
) -> None:
    answer = client.post(f"/v1/bots/{demo.ready['bot_id']}/documents", files={"file": FILES[name]}, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (415, "file_type_unknown")


@pytest.mark.parametrize("name", ["../../../x.txt", "..\\..\\x.txt", "/etc/x.txt", "CON", "a\u202etxt.exe", "x" * 5000])
def test_a_file_name_never_becomes_a_path(client: httpx.Client, demo: Running, key: dict[str, str], name: str) -> None:
    bot = new_bot(client, key)
    answer = client.post(f"/v1/bots/{bot}/documents", files={"file": (name, b"A text.")}, headers=key)
    if len(name) > 1000:
        assert answer.status_code == 422  # longer than a part's head may be
        return
    assert answer.status_code == 202
    shown = answer.json()["name"]
    assert not set(shown) & set("/\\\u202e")
    client.delete(f"/v1/bots/{bot}", headers=key)


# What is left behind --------------------------------------------------------------------------------------------------
def test_the_data_folder_is_ours_alone(demo: Running) -> None:
    assert stat.S_IMODE(demo.data_dir.stat().st_mode) == 0o700
    for name in ("demo.json", "secret.key"):
        assert stat.S_IMODE((demo.data_dir / name).stat().st_mode) == 0o600
    for name in ("files", "run", "valkey", "vectors"):
        assert stat.S_IMODE((demo.data_dir / name).stat().st_mode) == 0o700


def test_no_credential_and_no_message_lies_about(client: httpx.Client, demo: Running, key: dict[str, str]) -> None:
    """Keys and tokens are in no file at all; what was said is in no log."""
    made = client.post(
        "/v1/api-keys", json={"name": "Leak"}, headers=key | {"Idempotency-Key": uuid.uuid4().hex}
    ).json()["key"]
    visitor = new_visitor(client, demo)
    said = {"type": "message", "id": "leak", "text": f"My address is {CANARY}@leak.example"}
    client.post(
        f"/v1/conversations/{visitor['conversation_id']}/commands", json=said,
        headers={"Authorization": f"Bearer {visitor['token']}"},
    )  # fmt: skip
    client.post("/v1/session", json={"email": f"{CANARY}@leak.example", "password": CANARY})
    client.get("/v1/bots", headers={"Authorization": f"Bearer {made}x"})
    time.sleep(1)
    files = [path for path in demo.data_dir.rglob("*") if path.is_file()]
    for secret in (made, visitor["token"], visitor["renewal_token"]):
        assert [path.name for path in [*files, demo.log] if secret.encode() in path.read_bytes()] == []
    logs = [path for path in files if path.name.endswith(".log")]
    assert [path.name for path in [*logs, demo.log] if CANARY.encode() in path.read_bytes()] == []


def test_a_replayed_create_holds_no_secret(client: httpx.Client, demo: Running, key: dict[str, str]) -> None:
    sent = key | {"Idempotency-Key": uuid.uuid4().hex}
    first = client.post("/v1/api-keys", json={"name": "Once"}, headers=sent)
    again = client.post("/v1/api-keys", json={"name": "Once"}, headers=sent)
    assert ("key" in first.json(), "key" in again.json()) == (True, False)
    assert again.headers["idempotency-replayed"] == "true"
    rows = sqlite3.connect(demo.data_dir / "parlour.db")
    assert not [answer for (answer,) in rows.execute("SELECT answer FROM idempotency") if "sk_live_" in (answer or "")]
    rows.close()


def test_two_tenants_may_use_the_same_idempotency_key(client: httpx.Client, key: dict[str, str]) -> None:
    other = client.post(
        "/v1/tenants",
        json={"name": "Edge", "owner_email": f"e{uuid.uuid4().hex[:10]}@edge.example"},
        headers={"Authorization": "Bearer operator-for-tests"},
    ).json()["api_key"]
    repeat, body = {"Idempotency-Key": uuid.uuid4().hex}, {"config": {"name": "Edge"}}
    mine = client.post("/v1/bots", json=body, headers=key | repeat)
    theirs = client.post("/v1/bots", json=body, headers={"Authorization": f"Bearer {other}"} | repeat)
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


def test_a_pickle_in_the_queue_is_no_job() -> None:
    with pytest.raises(Exception, match=r"."):
        queues.unpack(pickle.dumps({"f": print}))


# Headers --------------------------------------------------------------------------------------------------------------
def test_pages_are_locked_down(client: httpx.Client) -> None:
    for page in ("/console/", "/demo", "/docs"):
        sent = client.get(page).headers
        policy = sent["content-security-policy"]
        assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy.split("; "))
        assert "unsafe" not in policy
        assert (sent["x-content-type-options"], sent["x-frame-options"]) == ("nosniff", "DENY")


def test_no_other_site_may_send_our_cookies(client: httpx.Client, demo: Running, key: dict[str, str]) -> None:
    visitor = new_visitor(client, demo)
    for path in (
        "/v1/session",
        "/v1/bots",
        f"/v1/conversations/{visitor['conversation_id']}/commands",
        "/openapi.json",
    ):
        for method in ("GET", "POST", "OPTIONS"):
            sent = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
            answer = client.request(method, path, headers=sent | key)
            assert "access-control-allow-credentials" not in answer.headers
            if not path.endswith("/commands"):
                assert "access-control-allow-origin" not in answer.headers


def test_a_session_cookie_cannot_be_read_by_scripts(client: httpx.Client, demo: Running) -> None:
    login = {"email": demo.ready["owner_email"], "password": demo.ready["owner_password"]}
    cookie = client.post("/v1/session", json=login).headers["set-cookie"].lower()
    assert {"httponly", "samesite=lax", "path=/"} <= set(cookie.split("; "))
    assert "domain" not in cookie


# Behind a proxy -------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """A server as it stands behind a proxy on the same machine, with its real address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {
        "PARLOUR_PUBLIC_URL": "https://chat.example", "PARLOUR_PORT": str(port),
        "PARLOUR_TRUSTED_PROXIES": "127.0.0.0/8", "PARLOUR_MAX_SOCKETS_PER_ADDRESS": "3",
    }  # fmt: skip
    with running_server(tmp_path_factory.mktemp("proxied") / "data", environ=environ) as running:
        yield running, f"http://127.0.0.1:{port}"


def test_metrics_are_hidden_from_what_a_proxy_forwards(proxied: tuple[Running, str]) -> None:
    answer = httpx.get(f"{proxied[1]}/metrics", headers={"X-Forwarded-For": "203.0.113.9"}, trust_env=False)
    assert answer.status_code == 401


def test_metrics_need_their_token_when_a_proxy_stands_in_front(proxied: tuple[Running, str]) -> None:
    assert httpx.get(f"{proxied[1]}/metrics", trust_env=False).status_code == 401


def test_the_cookie_of_an_https_site_is_bound_to_it(proxied: tuple[Running, str]) -> None:
    running, url = proxied
    login = {"email": running.ready["owner_email"], "password": running.ready["owner_password"]}
    cookie = httpx.post(f"{url}/v1/session", json=login, trust_env=False).headers["set-cookie"]
    assert cookie.startswith("__Host-parlour_session=")
    assert "secure" in cookie.lower()


def test_a_cookie_a_neighbour_domain_can_set_is_not_read(proxied: tuple[Running, str]) -> None:
    running, url = proxied
    login = {"email": running.ready["owner_email"], "password": running.ready["owner_password"]}
    value = httpx.post(f"{url}/v1/session", json=login, trust_env=False).cookies["__Host-parlour_session"]
    tossed = httpx.get(f"{url}/v1/session", headers={"Cookie": f"parlour_session={value}"}, trust_env=False)
    assert tossed.status_code == 401


def test_one_address_cannot_lock_everybody_out(proxied: tuple[Running, str]) -> None:
    def sign_in(number: int, address: str) -> int:
        body = {"email": f"n{number}@lock.example", "password": "x"}
        sent = {"X-Forwarded-For": address}
        return httpx.post(f"{proxied[1]}/v1/session", json=body, headers=sent, trust_env=False).status_code

    assert 429 in {sign_in(number, "203.0.113.9") for number in range(35)}
    assert sign_in(99, "198.51.100.7") == 401


def test_event_streams_count_as_sockets_do(proxied: tuple[Running, str]) -> None:
    running, url = proxied
    origin = {"Origin": "https://chat.example"}
    visitor = httpx.post(
        f"{url}/v1/bots/{running.ready['bot_id']}/visitor-tokens", json={}, headers=origin, trust_env=False
    ).json()
    request = (
        f"GET /v1/conversations/{visitor['conversation_id']}/events HTTP/1.1\r\nHost: chat.example\r\n"
        f"Authorization: Bearer {visitor['token']}\r\n\r\n"
    ).encode()
    address, opened = urlsplit(url), []
    try:
        statuses = []
        for _ in range(8):
            stream = socket.create_connection((address.hostname, address.port), 5)
            opened.append(stream)
            stream.sendall(request)
            statuses.append(stream.recv(12))
    finally:
        for stream in opened:
            stream.close()
    assert statuses.count(b"HTTP/1.1 200") <= 3


# Known holes ----------------------------------------------------------------------------------------------------------
def test_removing_one_bot_leaves_the_files_of_another(client: httpx.Client, key: dict[str, str]) -> None:
    one, other = new_bot(client, key), new_bot(client, key)
    content = f"The house has a number of its own: {uuid.uuid4()}.".encode()
    made = [
        client.post(f"/v1/bots/{bot}/documents", files={"file": ("a.txt", content)}, headers=key).json()["id"]
        for bot in (one, other)
    ]
    assert [wait_for_document(client, key, document) for document in made] == ["ready", "ready"]
    client.delete(f"/v1/bots/{one}", headers=key)
    client.post(f"/v1/documents/{made[1]}/reindex", headers=key)
    time.sleep(0.5)
    assert wait_for_document(client, key, made[1]) == "ready"


def test_a_removed_conversation_is_told_to_nobody(client: httpx.Client, demo: Running, key: dict[str, str]) -> None:
    visitor, said = new_visitor(client, demo), uuid.uuid4().hex
    address = f"/v1/conversations/{visitor['conversation_id']}"
    bearer = {"Authorization": f"Bearer {visitor['token']}"}
    sent = client.post(f"{address}/commands", json={"type": "message", "id": "m1", "text": said}, headers=bearer)
    assert sent.status_code == 200
    start = f"GET {address}/events HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer['Authorization']}\r\n"
    welcome = raw(demo.url, (start + "\r\n").encode(), until=b"event: welcome\ndata: {", wait_s=3).decode()
    epoch = json.loads(welcome.partition("event: welcome\ndata: ")[2].partition("\n")[0])["epoch"]
    assert client.delete(address, headers=key).status_code == 204
    replay = raw(demo.url, f"{start}Last-Event-ID: {epoch}:0\r\n\r\n".encode(), wait_s=2)
    assert said.encode() not in replay


def test_an_upload_without_a_length_is_cut_at_the_limit(demo: Running, key: dict[str, str]) -> None:
    address, sent = urlsplit(demo.url), 0
    head = (
        f"POST /v1/bots/{demo.ready['bot_id']}/documents HTTP/1.1\r\nHost: x\r\nAuthorization: {key['Authorization']}\r\n"
        "Content-Type: multipart/form-data; boundary=X\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    part = b'--X\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    with socket.create_connection((address.hostname, address.port), 10) as opened:
        opened.sendall(head + b"%x\r\n%s\r\n" % (len(part), part))
        while sent < 80_000_000 and not select.select([opened], [], [], 0)[0]:
            try:
                opened.sendall(b"f4240\r\n" + b"a" * 1_000_000 + b"\r\n")
            except OSError:
                break
            sent += 1_000_000
    assert sent < 60_000_000


async def test_a_database_error_does_not_tell_the_values(tmp_path: Path) -> None:
    db = Database(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
    try:
        with pytest.raises(Exception) as failure:
            async with db.engine.connect() as connection:
                await connection.execute(sql("SELECT missing FROM nowhere WHERE x = :said"), {"said": CANARY})
        assert CANARY not in str(failure.value)
    finally:
        await db.close()
