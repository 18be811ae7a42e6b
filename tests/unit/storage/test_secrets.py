"""Visitor tokens, API keys and the master secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from server import errors
from server.ids import BotId, ConversationId, TenantId, VisitorId
from server.settings import SettingError, Settings
from server.storage.secrets import (
    Secrets,
    VisitorClaims,
    hash_token,
    load_secrets,
    looks_like_api_key,
    new_api_key,
    new_token,
)

SECRETS = Secrets(b"k" * 32)
KEY = SECRETS.derive("visitor tokens")
BOT, ORIGIN = BotId("bot_1"), "https://shop.example"


def token_of(secrets: Secrets = SECRETS, *, life_s: int = 900) -> str:
    return secrets.sign_visitor_token(
        tenant=TenantId("ten_1"),
        bot=BOT,
        origin=ORIGIN,
        visitor=VisitorId("vis_1"),
        conversation=ConversationId("conv_1"),
        life_s=life_s,
    )[0]


def claims_of(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    claims = {
        "typ": "visitor",
        "aud": BOT,
        "org": ORIGIN,
        "sub": "vis_1",
        "cid": "conv_1",
        "ten": "ten_1",
        "iat": now,
        "exp": now + timedelta(minutes=15),
    } | changes
    return {name: value for name, value in claims.items() if value is not None}


def forged(header: dict[str, Any] | str, claims: dict[str, Any], key: bytes | None) -> str:
    """A token made by hand, for what no library would sign."""
    moments = {name: int(value.timestamp()) for name, value in claims.items() if isinstance(value, datetime)}
    head = header if isinstance(header, str) else json.dumps(header)
    parts = [
        base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in (head, json.dumps(claims | moments))
    ]
    signature = b"" if key is None else hmac.digest(key, ".".join(parts).encode(), "sha256")
    return ".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=").decode()])


def test_a_token_opens_what_it_was_made_for() -> None:
    token, expires_at = SECRETS.sign_visitor_token(
        tenant=TenantId("ten_1"),
        bot=BOT,
        origin=ORIGIN,
        visitor=VisitorId("vis_1"),
        conversation=ConversationId("conv_1"),
        life_s=60,
    )
    assert SECRETS.read_visitor_token(token, bot=BOT, origin=ORIGIN) == VisitorClaims(
        TenantId("ten_1"), BOT, ORIGIN, VisitorId("vis_1"), ConversationId("conv_1"), expires_at
    )


def test_a_token_signed_by_a_clock_that_runs_ahead_is_good() -> None:
    ahead = jwt.encode(claims_of(iat=datetime.now(UTC) + timedelta(seconds=5)), KEY, "HS256")
    assert SECRETS.read_visitor_token(ahead).bot == BOT


def refused() -> dict[str, str]:
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    good = token_of()
    head, body, signature = good.split(".")
    return {
        "empty": "",
        "no token": "token",
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.x",
        "no signature": f"{head}.{body}.",
        "none": forged({"alg": "none", "typ": "JWT"}, claims_of(), None),
        "None": forged({"alg": "None"}, claims_of(), None),
        "none, signed": forged({"alg": "none"}, claims_of(), KEY),
        "HS512": jwt.encode(claims_of(), KEY + KEY, "HS512"),
        "RS256": jwt.encode(claims_of(), private, "RS256"),
        "HS by a public key": forged({"alg": "HS256"}, claims_of(), pem),
        "RS in the header": forged({"alg": "RS256"}, claims_of(), KEY),
        "other master": token_of(Secrets(b"o" * 32)),
        "other purpose": jwt.encode(claims_of(), SECRETS.derive("answer cache"), "HS256"),
        "the master itself": jwt.encode(claims_of(), b"k" * 32, "HS256"),
        "kid as a path": forged({"alg": "HS256", "kid": "../../../dev/null"}, claims_of(), hashlib.sha256().digest()),
        "typ changed": jwt.encode(claims_of(typ="member"), KEY, "HS256"),
        "typ missing": jwt.encode(claims_of(typ=None), KEY, "HS256"),
        "aud changed": jwt.encode(claims_of(aud="bot_2"), KEY, "HS256"),
        "aud a list": jwt.encode(claims_of(aud=[BOT]), KEY, "HS256"),
        "aud missing": jwt.encode(claims_of(aud=None), KEY, "HS256"),
        "org changed": jwt.encode(claims_of(org="https://shop.example.evil.com"), KEY, "HS256"),
        "org missing": jwt.encode(claims_of(org=None), KEY, "HS256"),
        "tenant missing": jwt.encode(claims_of(ten=None), KEY, "HS256"),
        "exp missing": jwt.encode(claims_of(exp=None), KEY, "HS256"),
        "exp text": jwt.encode(claims_of(exp="tomorrow"), KEY, "HS256"),
        "exp beyond every calendar": jwt.encode(claims_of(exp=10**30), KEY, "HS256"),
        "not before tomorrow": jwt.encode(claims_of(nbf=datetime.now(UTC) + timedelta(days=1)), KEY, "HS256"),
        "body swapped": f"{head}.{token_of(life_s=9000).split('.')[1]}.{signature}",
        "padded": f"{good}=",
        "a line break after it": f"{good}\n",
        "nested header": forged("[" * 3000, claims_of(), KEY),
        "not UTF-8 at all": f"{head}.{body}.\udcff",
        "another script": f"{head}.{body}.{'é' * 43}",
    }


@pytest.mark.parametrize("token", refused().values(), ids=refused().keys())
def test_forged_tokens_are_refused(token: str) -> None:
    with pytest.raises(errors.TokenInvalid):
        SECRETS.read_visitor_token(token, bot=BOT, origin=ORIGIN)


def test_an_expired_token_says_so_and_only_its_own_grace_helps() -> None:
    old = jwt.encode(claims_of(exp=datetime.now(UTC) - timedelta(seconds=10)), KEY, "HS256")
    with pytest.raises(errors.TokenExpired):
        SECRETS.read_visitor_token(old)
    assert SECRETS.read_visitor_token(old, leeway_s=25).bot == BOT
    with pytest.raises(errors.TokenInvalid):
        SECRETS.read_visitor_token(jwt.encode(claims_of(exp=0), b"o" * 32, "HS256"))


def test_no_flipped_bit_goes_unseen() -> None:
    token = token_of().encode()
    places = random.Random(7).sample(range(len(token) * 8), 500) + [(len(token) - 1) * 8 + bit for bit in range(8)]
    for place in places:
        changed = bytearray(token)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(errors.TokenInvalid):
            SECRETS.read_visitor_token(changed.decode("latin-1"))


def test_keys_differ_by_purpose_tenant_and_master() -> None:
    other = Secrets(b"o" * 32)
    made = [KEY, SECRETS.derive("x"), other.derive("x")]
    made += [owner.cache_key(TenantId(name)) for owner in (SECRETS, other) for name in ("ten_1", "ten_2")]
    assert len(set(made)) == len(made)
    assert all(len(key) == 32 for key in made)


def test_api_keys_have_one_form() -> None:
    keys = {new_api_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(looks_like_api_key(key) and len(key) == 57 for key in keys)


def test_a_mistyped_api_key_is_seen_without_a_look_up() -> None:
    key = new_api_key()
    for place in range(len(key)):
        changed = "a" if key[place] != "a" else "b"
        assert not looks_like_api_key(key[:place] + changed + key[place + 1 :])


@pytest.mark.parametrize(
    "text",
    ["", "sk_live_", "sk_live_" + "a" * 49, "sk_test_" + "a" * 49, "' OR 1=1--", "sk_live_" + "é" * 49, "x" * 10_000],
)
def test_other_texts_are_no_keys(text: str) -> None:
    assert not looks_like_api_key(text)


def test_tokens_are_long_and_stored_as_hashes() -> None:
    assert len({new_token() for _ in range(100)}) == 100
    assert len(new_token()) == 43
    assert hash_token("x") == hashlib.sha256(b"x").hexdigest()


def test_the_master_secret_is_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    first = load_secrets(settings)
    assert load_secrets(settings).derive("x") == first.derive("x")
    kept = settings.data_dir / "secret.key"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in settings.data_dir.iterdir()] == ["secret.key"]


def test_a_damaged_or_short_secret_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_bytes(b"short")
    with pytest.raises(SettingError, match="damaged"):
        load_secrets(Settings(data_dir=tmp_path))
    with pytest.raises(SettingError, match="32"):
        load_secrets(Settings(data_dir=tmp_path, secret_key="short"))
    assert load_secrets(Settings(data_dir=tmp_path, secret_key="k" * 32)).derive("x") == SECRETS.derive("x")
