"""The REST edges over a real server: every documented answer, good and bad."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.running import Running


@pytest.fixture
def api(demo: Running) -> Iterator[httpx.Client]:
    """A client with the demo's API key."""
    headers = {"Authorization": f"Bearer {demo.ready['api_key']}"}
    with httpx.Client(base_url=demo.url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def public(demo: Running) -> Iterator[httpx.Client]:
    """A client without a credential."""
    with httpx.Client(base_url=demo.url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def other(demo: Running, public: httpx.Client) -> Iterator[httpx.Client]:
    """Another tenant's client."""
    answer = public.post(
        "/v1/tenants",
        json={"name": "Other", "owner_email": f"o{uuid.uuid4().hex[:8]}@other.example"},
        headers={"Authorization": "Bearer operator-for-tests"},
    )
    assert answer.status_code == 201, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['api_key']}"}
    with httpx.Client(base_url=demo.url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["x-request-id"]
    return str(body["code"])


def wait_until_ready(api: httpx.Client, document: str, seconds: float = 60) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        body: dict[str, Any] = api.get(f"/v1/documents/{document}").json()
        if body["status"] in {"ready", "failed"}:
            return body
        time.sleep(0.1)
    raise AssertionError(f"still {body['status']}")


def new_bot(api: httpx.Client, **config: Any) -> dict[str, Any]:
    answer = api.post("/v1/bots", json={"config": {"name": "Test", **config}})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def upload(api: httpx.Client, bot: str, name: str, content: bytes) -> httpx.Response:
    return api.post(f"/v1/bots/{bot}/documents", files={"file": (name, content)})


# Bots -----------------------------------------------------------------------------------------------------------------
def test_a_bot_is_made_changed_and_removed(api: httpx.Client) -> None:
    bot = new_bot(api, persona="Short.")
    assert bot["version"] == 1
    changed = api.patch(
        f"/v1/bots/{bot['id']}", json={"config": {"theme": {"accent": "#112233"}}}, headers={"If-Match": '"1"'}
    )
    assert changed.status_code == 200
    assert changed.headers["etag"] == '"2"'
    assert changed.json()["config"]["theme"] == {"accent": "#112233", "mode": "auto", "position": "right"}
    assert changed.json()["config"]["persona"] == "Short."
    stale = api.patch(f"/v1/bots/{bot['id']}", json={"config": {"name": "Late"}}, headers={"If-Match": '"1"'})
    assert (stale.status_code, code_of(stale)) == (412, "version_conflict")
    assert [row["version"] for row in api.get(f"/v1/bots/{bot['id']}/versions").json()["data"]] == [2, 1]
    assert api.delete(f"/v1/bots/{bot['id']}").status_code == 204
    assert code_of(api.get(f"/v1/bots/{bot['id']}")) == "not_found"


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"temperature": 1}, "unknown_field"),
        ({"model": {"temperature": 3}}, "bad_message"),
        ({"theme": {"accent": "red"}}, "bad_message"),
        ({"allowed_origins": ["https://shop.example/path"]}, "bad_message"),
        ({"allowed_origins": ["*"]}, "bad_message"),
        ({"animations": {"positive": "dance"}}, "bad_message"),
        ({"starters": ["x"] * 7}, "bad_message"),
        ({"name": ""}, "bad_message"),
    ],
)
def test_a_bad_configuration_names_its_field(api: httpx.Client, config: dict[str, Any], code: str) -> None:
    answer = api.post("/v1/bots", json={"config": {"name": "Test", **config}})
    assert (answer.status_code, code_of(answer)) == (422, code)
    assert answer.json()["errors"][0]["pointer"].startswith("/config/")


def test_lists_come_in_pages(api: httpx.Client) -> None:
    made = {new_bot(api)["id"] for _ in range(3)}
    seen: list[str] = []
    cursor = None
    while True:
        body = api.get("/v1/bots", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [row["id"] for row in body["data"]]
        cursor = body["next_cursor"]
        if not body["has_more"]:
            break
    assert made <= set(seen)
    assert len(seen) == len(set(seen))
    assert code_of(api.get("/v1/bots", params={"cursor": "not-ours"})) == "bad_cursor"
    assert code_of(api.get("/v1/bots", params={"limit": 0})) == "bad_message"


def test_a_create_with_the_same_key_is_done_once(api: httpx.Client) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = api.post("/v1/bots", json={"config": {"name": "Once"}}, headers=headers)
    again = api.post("/v1/bots", json={"config": {"name": "Once"}}, headers=headers)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = api.post("/v1/bots", json={"config": {"name": "Else"}}, headers=headers)
    assert (other.status_code, code_of(other)) == (422, "idempotency_conflict")


# Bodies that are not what they should be ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "bad_json"),
        (b'{"config": {"name": NaN}}', "application/json", 400, "bad_json"),
        (b'{"config": {"model": {"temperature": 1e999}}}', "application/json", 400, "bad_json"),
        (b'{"config": {}, "config": {}}', "application/json", 400, "duplicate_key"),
        (b'{"config": {"name": "\\ud800"}}', "application/json", 422, "bad_text"),
        (b'{"config": {"name": "a\\u0000"}}', "application/json", 422, "bad_text"),
        (b"[" * 100_000, "application/json", 400, "bad_json"),
        (b"\xff\xfe{\x00}\x00", "application/json", 400, "bad_encoding"),
        (b"[]", "application/json", 422, "bad_message"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b'{"config": {}, "tenant_id": "x"}', "application/json", 422, "unknown_field"),
        (b'{"config": {"persona": "' + b"x" * 300_000 + b'"}}', "application/json", 413, "too_large"),
        (b'{"config": {}} trailing', "application/json", 400, "bad_json"),
    ],
)
def test_bad_bodies_get_their_documented_error(
    api: httpx.Client, body: bytes, kind: str, status: int, code: str
) -> None:
    answer = api.post("/v1/bots", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, code_of(answer)) == (status, code)


def test_unknown_paths_methods_and_ids(api: httpx.Client) -> None:
    assert code_of(api.get("/v1/nothing")) == "not_found"
    assert code_of(api.put("/v1/bots")) == "method_not_allowed"
    for bot in ("bot_x", "..%2f..%2fetc%2fpasswd", "' OR 1=1--", "x" * 5000):
        assert code_of(api.get(f"/v1/bots/{bot}")) == "not_found"


# Credentials ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("key", ["x", "sk_live_wrong", "' OR 1=1--", "sk_live_" + "A" * 49])
def test_wrong_keys_are_refused(public: httpx.Client, key: str) -> None:
    answer = public.get("/v1/bots", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, code_of(answer)) == (401, "unauthorized")


def test_credentials_in_the_url_are_refused(public: httpx.Client, demo: Running) -> None:
    assert code_of(public.get("/v1/bots", params={"api_key": demo.ready["api_key"]})) == "token_in_url"


def test_a_key_is_shown_once_and_dies_when_revoked(api: httpx.Client, demo: Running) -> None:
    made = api.post("/v1/api-keys", json={"name": "ci"})
    assert made.status_code == 201
    key = made.json()["key"]
    assert key.startswith("sk_live_")
    assert key not in json.dumps(api.get("/v1/api-keys").json())
    with httpx.Client(base_url=demo.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as mine:
        assert mine.get("/v1/bots").status_code == 200
        assert api.delete(f"/v1/api-keys/{made.json()['id']}").status_code == 204
        assert mine.get("/v1/bots").status_code == 401


def test_another_tenant_sees_nothing(api: httpx.Client, other: httpx.Client, demo: Running) -> None:
    bot = demo.ready["bot_id"]
    document = api.get(f"/v1/bots/{bot}/documents").json()["data"][0]["id"]
    asked = api.post(f"/v1/bots/{bot}/messages", json={"text": "Hello"}).json()
    foreign = [
        other.get(f"/v1/bots/{bot}"),
        other.patch(f"/v1/bots/{bot}", json={"config": {"name": "Mine"}}),
        other.delete(f"/v1/bots/{bot}"),
        other.get(f"/v1/bots/{bot}/documents"),
        other.get(f"/v1/bots/{bot}/documents/events"),
        other.get(f"/v1/documents/{document}"),
        other.delete(f"/v1/documents/{document}"),
        other.post(f"/v1/documents/{document}/reindex"),
        upload(other, bot, "x.txt", b"hello there"),
        other.post(f"/v1/bots/{bot}/messages", json={"text": "Hello"}),
        other.get(f"/v1/conversations/{asked['conversation_id']}"),
        other.get(f"/v1/conversations/{asked['conversation_id']}/messages"),
        other.post(f"/v1/conversations/{asked['conversation_id']}/messages", json={"text": "Hi"}),
        other.delete(f"/v1/conversations/{asked['conversation_id']}"),
    ]
    assert {(answer.status_code, code_of(answer)) for answer in foreign} == {(404, "not_found")}
    assert other.get("/v1/bots").json()["data"] == []
    assert other.get("/v1/conversations").json()["data"] == []


def test_the_console_session_needs_its_csrf_token(public: httpx.Client, demo: Running) -> None:
    wrong = public.post("/v1/session", json={"email": demo.ready["owner_email"], "password": "wrong"})
    assert (wrong.status_code, code_of(wrong)) == (401, "login_failed")
    opened = public.post(
        "/v1/session", json={"email": demo.ready["owner_email"], "password": demo.ready["owner_password"]}
    )
    assert opened.status_code == 200
    assert "httponly" in opened.headers["set-cookie"].lower()
    token = opened.json()["csrf_token"]
    assert public.get("/v1/session").json()["csrf_token"] == token
    refused = public.post("/v1/bots", json={"config": {"name": "x"}})
    assert (refused.status_code, code_of(refused)) == (403, "csrf_failed")
    both = public.get("/v1/bots", headers={"Authorization": f"Bearer {demo.ready['api_key']}"})
    assert (both.status_code, code_of(both)) == (400, "two_credentials")
    assert public.post("/v1/bots", json={"config": {"name": "x"}}, headers={"X-CSRF-Token": token}).status_code == 201
    assert public.delete("/v1/session", headers={"X-CSRF-Token": token}).status_code == 204
    assert public.get("/v1/session").status_code == 401


# Documents ------------------------------------------------------------------------------------------------------------
def test_a_document_is_answered_from_replaced_and_removed(api: httpx.Client) -> None:
    bot = new_bot(api)["id"]
    first = upload(
        api, bot, "hours.md", b"# Opening hours\n\nThe shop in Lindau opens at nine in the morning and closes at six.\n"
    )
    assert first.status_code == 202, first.text
    document = first.json()["id"]
    assert wait_until_ready(api, document)["status"] == "ready"
    question = {"text": "When does the shop in Lindau open?"}
    answer = api.post(f"/v1/bots/{bot}/messages", json=question).json()
    assert "nine" in answer["text"]
    assert answer["sources"][0]["title"] == "Opening hours"
    second = upload(
        api,
        bot,
        "hours.md",
        b"# Opening hours\n\nThe shop in Lindau opens at eleven in the morning and closes at six.\n",
    )
    assert second.json()["id"] == document
    assert wait_until_ready(api, document)["version"] == 2
    answer = api.post(f"/v1/bots/{bot}/messages", json=question).json()
    assert "eleven" in answer["text"]
    assert "nine" not in answer["text"]
    assert api.delete(f"/v1/documents/{document}").status_code == 202
    answer = api.post(f"/v1/bots/{bot}/messages", json=question).json()
    assert "eleven" not in answer["text"]
    assert not answer["sources"]


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("empty.txt", b"", 422, "empty_file"),
        ("setup.pdf", b"MZ\x90\x00" + b"\x00" * 200, 415, "file_type_unknown"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + b"\x00" * 50, 415, "file_type_unknown"),
    ],
)
def test_files_that_cannot_be_read_are_refused(
    api: httpx.Client, name: str, content: bytes, status: int, code: str
) -> None:
    answer = upload(api, new_bot(api)["id"], name, content)
    assert (answer.status_code, code_of(answer)) == (status, code)


def test_a_file_over_the_limit_is_refused(api: httpx.Client) -> None:
    answer = upload(api, new_bot(api)["id"], "big.txt", b"word " * 4_100_000)
    assert (answer.status_code, code_of(answer)) == (413, "too_large")


def test_an_upload_without_a_file_is_refused(api: httpx.Client) -> None:
    bot = new_bot(api)["id"]
    assert code_of(api.post(f"/v1/bots/{bot}/documents", files={"other": b"x"}, data={"a": "b"})) == "bad_message"
    assert code_of(api.post(f"/v1/bots/{bot}/documents", json={})) == "unsupported_media_type"


def test_document_progress_is_pushed(api: httpx.Client) -> None:
    bot = new_bot(api)["id"]
    seen: list[str] = []
    with api.stream("GET", f"/v1/bots/{bot}/documents/events") as events:
        lines = events.iter_lines()
        assert next(line for line in lines if line.startswith("event:")) == "event: snapshot"
        upload(api, bot, "a.txt", b"Parlour answers from documents. " * 40)
        for line in lines:
            if line.startswith("data:") and '"status"' in line:
                seen.append(json.loads(line[5:])["status"])
            if "ready" in seen:
                break
    assert seen[-1] == "ready"
    assert {"parsing", "embedding"} & set(seen)


# Messages -------------------------------------------------------------------------------------------------------------
def test_a_question_is_answered_from_the_handbook_with_a_source(api: httpx.Client, demo: Running) -> None:
    answer = api.post(f"/v1/bots/{demo.ready['bot_id']}/messages", json={"text": "Which file formats can I upload?"})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert "PDF" in body["text"]
    assert body["sources"]
    assert body["role"] == "assistant"
    assert body["provider"] == "rules"
    assert body["animation"] in {
        "talk_calm",
        "talk_explain",
        "idle",
        "happy",
        "nod",
        "thumbs_up",
        "thinking",
        "confused",
        "wave",
    }


def test_what_is_in_no_document_is_not_invented(api: httpx.Client, demo: Running) -> None:
    body = api.post(f"/v1/bots/{demo.ready['bot_id']}/messages", json={"text": "What is the capital of France?"}).json()
    assert "Paris" not in body["text"]
    assert not body["sources"]


def test_the_same_events_stream_over_http_and_a_repeat_replays_them(api: httpx.Client, demo: Running) -> None:
    headers = {"Accept": "text/event-stream", "Idempotency-Key": uuid.uuid4().hex}
    conversation = api.post(f"/v1/bots/{demo.ready['bot_id']}/messages", json={"text": "Hello"}).json()[
        "conversation_id"
    ]
    path, body = f"/v1/conversations/{conversation}/messages", {"text": "How do I embed the widget?"}
    runs = [read_events(api, path, body, headers) for _ in range(2)]
    for events in runs:
        kinds = [event["type"] for event in events]
        assert kinds[:2] == ["message", "stream_start"]
        assert kinds[-1] == "stream_complete"
        assert kinds.count("stream_complete") == 1
        text = "".join(event.get("chunk", "") for event in events)
        assert len(text.encode("utf-16-le")) // 2 == events[-1]["chars"]
    assert runs[0] == runs[1]


def read_events(api: httpx.Client, path: str, body: dict[str, Any], headers: dict[str, str]) -> list[dict[str, Any]]:
    with api.stream("POST", path, json=body, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [json.loads(line[5:]) for line in answer.iter_lines() if line.startswith("data:")]


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "empty_message"), (" \u200b ", "empty_message"), ("x" * 4001, "too_long"), ("\ufdfa" * 1000, "too_long")],
)
def test_texts_that_cannot_be_asked(api: httpx.Client, demo: Running, text: str, code: str) -> None:
    assert code_of(api.post(f"/v1/bots/{demo.ready['bot_id']}/messages", json={"text": text})) == code


# Widget ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("origin", "status", "code"),
    [
        ("https://shop.example", 200, ""),
        ("https://a.shop.example", 200, ""),
        ("HTTPS://SHOP.EXAMPLE", 200, ""),
        ("https://shop.example.evil.com", 403, "origin_not_allowed"),
        ("https://evil-shop.example", 403, "origin_not_allowed"),
        ("http://shop.example", 403, "origin_not_allowed"),
        ("https://shop.example:8443", 403, "origin_not_allowed"),
        ("null", 403, "origin_not_allowed"),
        (None, 403, "origin_missing"),
    ],
)
def test_only_listed_origins_see_the_widget(
    api: httpx.Client, public: httpx.Client, origin: str | None, status: int, code: str
) -> None:
    bot = new_bot(api, allowed_origins=["https://shop.example", "https://*.shop.example"])["id"]
    answer = public.get(f"/v1/bots/{bot}/widget-config", headers={"Origin": origin} if origin else {})
    assert answer.status_code == status, answer.text
    if code:
        assert code_of(answer) == code
    if origin:
        assert answer.headers["access-control-allow-origin"] == origin


def test_an_unknown_bot_has_no_widget(public: httpx.Client) -> None:
    assert code_of(public.get("/v1/bots/bot_x/widget-config", headers={"Origin": "https://a.example"})) == "bot_unknown"


def test_a_preflight_is_answered(public: httpx.Client, demo: Running) -> None:
    answer = public.options(
        f"/v1/bots/{demo.ready['bot_id']}/visitor-tokens",
        headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"},
    )
    assert answer.status_code == 204
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()


# Operations -----------------------------------------------------------------------------------------------------------
def test_health_metrics_and_description(public: httpx.Client) -> None:
    assert public.get("/health/live").json() == {"status": "live"}
    assert public.get("/health/ready").json() == {"status": "ready"}
    metrics = public.get("/metrics").text
    for name in (
        "ai_requests_total",
        "ai_response_duration_seconds",
        "ai_tokens_used_total",
        "ai_cache_hits_total",
        "ai_queue_depth",
    ):
        assert name in metrics
    assert public.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 401
    description = public.get("/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    assert "/v1/bots/{bot}/messages" in description["paths"]
    page = public.get("/docs")
    assert page.status_code == 200
    assert "http" not in page.headers["content-security-policy"]
    assert "rate_limited" in public.get("/docs/errors").text
