"""Secrets: the master key, what is derived from it, tokens and their hashes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from server import errors
from server.ids import BotId, ConversationId, TenantId, VisitorId
from server.settings import SettingError, Settings

# One algorithm, never read from the token's own header.
ALGORITHM = "HS256"
VISITOR = "visitor"
API_KEY_PREFIX = "sk_live_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY_LENGTH = 43
_CHECK_LENGTH = 6
SHORTEST_SECRET = 32
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class VisitorClaims:
    """What a visitor's token opens: one conversation of one bot, from one site."""

    tenant: TenantId
    bot: BotId
    origin: str
    visitor: VisitorId
    conversation: ConversationId
    expires_at: datetime


class Secrets:
    """Keys derived from one master secret, each for one purpose."""

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._visitor_key = self.derive("visitor tokens")
        self._kid = hashlib.sha256(self._visitor_key).hexdigest()[:8]

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose."""
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"parlour {purpose}".encode()).derive(self._master)

    def cache_key(self, tenant: TenantId) -> bytes:
        """The key under which a tenant's answers are cached: another tenant's cannot be computed."""
        return hmac.digest(self.derive("answer cache"), tenant.encode(), "sha256")

    def sign_visitor_token(
        self,
        *,
        tenant: TenantId,
        bot: BotId,
        origin: str,
        visitor: VisitorId,
        conversation: ConversationId,
        life_s: int,
    ) -> tuple[str, datetime]:
        """A token and the instant it ends."""
        now = datetime.now(UTC).replace(microsecond=0)
        expires_at = now + timedelta(seconds=life_s)
        claims = {
            "typ": VISITOR,
            "aud": bot,
            "org": origin,
            "sub": visitor,
            "cid": conversation,
            "ten": tenant,
            "iat": now,
            "exp": expires_at,
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(claims, self._visitor_key, ALGORITHM, headers={"kid": self._kid}), expires_at

    def read_visitor_token(
        self, token: str, *, bot: BotId | None = None, origin: str | None = None, leeway_s: int = 0
    ) -> VisitorClaims:
        """The claims of a token; raises TokenExpired or TokenInvalid. Give `bot` and `origin` to have them compared."""
        claims = self._decode(token, leeway_s)
        try:
            read = VisitorClaims(
                TenantId(claims["ten"]),
                BotId(claims["aud"]),
                claims["org"],
                VisitorId(claims["sub"]),
                ConversationId(claims["cid"]),
                datetime.fromtimestamp(claims["exp"], UTC),
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            raise errors.TokenInvalid from None
        if claims.get("typ") != VISITOR or (bot is not None and read.bot != bot):
            raise errors.TokenInvalid
        if origin is not None and read.origin != origin:
            raise errors.TokenInvalid
        return read

    def _decode(self, token: str, leeway_s: int) -> dict[str, Any]:
        if not _is_canonical(token):
            raise errors.TokenInvalid
        try:
            return jwt.decode(
                token,
                self._visitor_key,
                [ALGORITHM],
                leeway=leeway_s,
                # Whether `iat` lies ahead is not asked: the clock of the node that signed may run ahead of ours.
                options={"verify_aud": False, "verify_iat": False, "require": ["exp", "iat", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise errors.TokenExpired from None
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise errors.TokenInvalid from None


def _is_canonical(token: str) -> bool:
    """Whether the signature is written the one way it is made: base64 leaves two bits of its last character unread."""
    signature = token.rpartition(".")[2]
    if not _SIGNATURE.fullmatch(signature):
        return False
    raw = base64.urlsafe_b64decode(signature + "=")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == signature


def load_secrets(settings: Settings) -> Secrets:
    """The master secret from the settings, or one made once and kept in the data folder."""
    if settings.secret_key:
        if len(settings.secret_key) < SHORTEST_SECRET:
            raise SettingError(f"PARLOUR_SECRET_KEY needs at least {SHORTEST_SECRET} characters")
        return Secrets(settings.secret_key.encode())
    return Secrets(_kept_secret(settings.data_dir / "secret.key"))


def _kept_secret(path: Path) -> bytes:
    """Two processes may start at once: whoever creates the file first decides, and it appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        _make_secret(path)
    kept = path.read_bytes()
    if len(kept) < SHORTEST_SECRET:
        raise SettingError(f"{path.name} in the data folder is damaged: restore it, or remove it to end all sessions")
    return kept


def _make_secret(path: Path) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()


# Opaque tokens --------------------------------------------------------------------------------------------------------
def new_token() -> str:
    """256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What is stored of a token: it holds 256 random bits, so a plain hash cannot be turned back."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_api_key() -> str:
    """`sk_live_`, 256 random bits in base 62, and a checksum by which a typing mistake is seen without a look-up."""
    body = _base62(int.from_bytes(secrets.token_bytes(32)), _KEY_LENGTH)
    return f"{API_KEY_PREFIX}{body}{_checksum(body)}"


def looks_like_api_key(text: str) -> bool:
    """Whether a text has the form of a key: only then is the database asked."""
    if not text.startswith(API_KEY_PREFIX) or len(text) != len(API_KEY_PREFIX) + _KEY_LENGTH + _CHECK_LENGTH:
        return False
    body, check = text[len(API_KEY_PREFIX) : -_CHECK_LENGTH], text[-_CHECK_LENGTH:]
    return body.isascii() and body.isalnum() and check == _checksum(body)


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, rest = divmod(number, 62)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))
