"""What a lab and those who join it must agree on: the form of tokens, the authority's pin, the shape of a request.

    gjt1-<secret, base32>-<pin>      joins: good for one certificate
    gat1-<secret, base32>-<pin>      an API token: sent with each call, over TLS only

The pin is the beginning of the SHA-256 of the authority's certificate: it tells whether who answers is the lab that
made the token, before anything is said to it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Tuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

JOIN, API = "gjt1", "gat1"
#: Bytes of the secrets: 160 bits for what lives an hour, 256 for what may live a year.
_SECRET_BYTES = {JOIN: 20, API: 32}
_TOKEN = re.compile(r"(gjt1|gat1)-([a-z2-7]{32}|[a-z2-7]{52})-([0-9a-f]{32})")
#: Every orchestrator's certificate carries this name too. A connection that is not trusted yet asks for it; a trusted
#: one asks for the host's own.
ANY_ORCHESTRATOR = "orchestrator.gauntlet.internal"


class TokenError(ValueError):
    """A text that is no token; a second line says what to do."""


@dataclass(frozen=True)
class Token:
    """A token's parts.

    Attributes:
        kind: `JOIN` or `API`.
        secret: proves that its holder was given it.
        pin: of the lab's authority.
    """

    kind: str
    secret: str
    pin: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.secret}-{self.pin}"

    def __repr__(self) -> str:
        return f"Token({self.kind}-…-{self.pin})"  # a traceback or a log must not give it away

    @property
    def digest(self) -> str:
        """What a lab keeps of it.

        A plain SHA-256 is enough: slow, salted hashes protect what people choose, and nobody can try 2^160 secrets.
        """
        return hashlib.sha256(f"{self.kind}-{self.secret}".encode()).hexdigest()


def make_token(kind: str, authority_pin: str) -> Token:
    """A new token with a secret of its own."""
    secret = base64.b32encode(secrets.token_bytes(_SECRET_BYTES[kind])).decode().rstrip("=").lower()
    return Token(kind, secret, authority_pin)


def parse_token(text: str) -> Token:
    """The token that somebody typed or pasted.

    Raises:
        TokenError: it is none.
    """
    match = _TOKEN.fullmatch(text.strip())
    if match is None:
        raise TokenError(
            "this is no token of a lab\npaste it whole: gjt1-… or gat1-…, as `gauntlet lab token` printed it"
        )
    return Token(match.group(1), match.group(2), match.group(3))


def pin_of(authority: x509.Certificate) -> str:
    """The pin of an authority: 128 bits of the SHA-256 of its certificate.

    To pass for it one would have to find another certificate with the same 128 bits, which costs 2^128 tries.
    """
    return authority.fingerprint(hashes.SHA256()).hex()[:32]


def new_request(name: str, holder: str = "") -> Tuple[bytes, bytes]:
    """A fresh key (P-256) and a signing request for it, both as PEM.

    What the request says of its holder binds the lab to nothing: it keeps a token from being used up by mistake.

    Args:
        name: that the certificate must be for; empty: whatever the token says.
        holder: what it must be for, "agent" or "person"; empty: either.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    said = ((x509.NameOID.COMMON_NAME, name), (x509.NameOID.ORGANIZATIONAL_UNIT_NAME, holder))
    subject = [x509.NameAttribute(kind, text) for kind, text in said if text]
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(key, hashes.SHA256())
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded, request.public_bytes(serialization.Encoding.PEM)
