"""Who calls: service account keys, the token endpoint, and the bearer on every request."""

import secrets
import time
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import exceptions, jwt

from tests.google.errors import GoogleError, info
from tests.google.state import State

TOKEN_SECONDS = 3600
AUDIENCE = "https://oauth2.googleapis.com/token"
"""What google-auth writes into an assertion, whatever the key file's token_uri."""

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MISSING = (
    "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or "
    "other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
)
INVALID = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
    "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
)


class Refused(Exception):
    """The token endpoint's own way to say no: {error, error_description}."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.body = {"error": error, "error_description": description}


def key_file(state: State, base_url: str, project: str, account: str) -> dict[str, Any]:
    """The JSON key file of a service account of the operator; google-auth reads it as it reads Google's."""
    email = f"{account}@{project}.iam.gserviceaccount.com"
    kept = state.table("keys").setdefault(email, {})
    if not kept:
        kept.update(_new_key(), id=secrets.token_hex(20))
    return {
        "type": "service_account",
        "project_id": project,
        "private_key_id": kept["id"],
        "private_key": kept["private"],
        "client_email": email,
        "client_id": "100000000000000000001",
        "token_uri": f"{base_url}/token",
        "auth_uri": f"{base_url}/auth",
    }


def grant(state: State, form: dict[str, str], base_url: str) -> dict[str, Any]:
    """An access token for a signed assertion (RFC 7523), as google-auth asks for it."""
    if form.get("grant_type") != GRANT:
        raise Refused("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type')}")
    email, claims = _verified(state, form.get("assertion", ""))
    if email is None or claims.get("aud") not in (AUDIENCE, f"{base_url}/token"):
        raise Refused("invalid_grant", "Invalid JWT Signature.")
    if not claims.get("scope"):
        raise Refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
    token = f"ya29.{secrets.token_urlsafe(32)}"
    state.table("tokens")[token] = {"email": email, "until": time.time() + TOKEN_SECONDS}
    return {"access_token": token, "expires_in": TOKEN_SECONDS, "token_type": "Bearer"}


def principal(state: State, header: str | None) -> str:
    """Whose bearer this is: an issued token, or a token that the account signed for itself.

    Raises:
        GoogleError: 401, there is none or it is not good.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise _unauthenticated(MISSING, "CREDENTIALS_MISSING")
    issued = state.table("tokens").get(token)
    if issued and issued["until"] > time.time():
        return str(issued["email"])
    email, claims = _verified(state, token) if token.count(".") == 2 else (None, {})
    if email is None:
        raise _unauthenticated(INVALID, "ACCESS_TOKEN_TYPE_UNSUPPORTED")
    # Checking a signature costs more than most calls.
    state.table("tokens")[token] = {"email": email, "until": claims["exp"]}
    return email


def _verified(state: State, token: str) -> tuple[str | None, dict[str, Any]]:
    """The account that signed a token, and its claims; None if nobody whom we know did."""
    try:
        email = jwt.decode(token, verify=False).get("iss", "")
        kept = state.table("keys").get(email)
        if kept is None:
            return None, {}
        return email, dict(jwt.decode(token, certs=kept["public"], clock_skew_in_seconds=10))
    except (ValueError, exceptions.GoogleAuthError):
        return None, {}


def _new_key() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form, secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    return {
        "private": key.private_bytes(serialization.Encoding.PEM, form, secret).decode(),
        "public": key.public_key().public_bytes(serialization.Encoding.PEM, public).decode(),
    }


def _unauthenticated(message: str, reason: str) -> GoogleError:
    return GoogleError(401, message, "required", details=(info(reason, "googleapis.com"),))
