"""Certificates for tests, from an authority that lives as long as one test."""

import hashlib
import ssl
import tempfile
from pathlib import Path

import trustme
from cryptography import x509


class Authority:
    """A certificate authority; a client that trusts another one gets a wrong CA."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._ca = trustme.CA()
        self._directory = directory
        self.pem = directory / f"{name}.pem"
        """Its certificate as a file, for a client to trust."""
        self._ca.cert_pem.write_to_path(self.pem)

    def issue(self, *identities: str) -> Path:
        """Return a new certificate for hosts or a person, with its key in the same file."""
        path = Path(tempfile.mkstemp(".pem", dir=self._directory)[1])
        self._ca.issue_cert(*identities).private_key_and_cert_chain_pem.write_to_path(path)
        return path

    def hashed_name(self) -> str:
        """Return the name by which OpenSSL looks for the authority's certificate in a folder."""
        subject = x509.load_pem_x509_certificate(self.pem.read_bytes()).subject
        canonical = x509.Name(
            [x509.NameAttribute(part.oid, str(part.value).lower()) for part in subject]
        )
        # Without the two bytes that say how long the sequence of its parts is.
        digest = hashlib.sha1(canonical.public_bytes()[2:], usedforsecurity=False).digest()
        return f"{int.from_bytes(digest[:4], 'little'):08x}.0"

    def right(self) -> ssl.SSLContext:
        """Return a server's context that clients of this host should accept."""
        return _server(self._ca.issue_cert("127.0.0.1", "::1", "localhost"))

    def wrong_host(self) -> ssl.SSLContext:
        """Return a server's context with a certificate for a host elsewhere."""
        return _server(self._ca.issue_cert("elsewhere.example"))


def _server(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with certificate.private_key_and_cert_chain_pem.tempfile() as path:
        context.load_cert_chain(path)
    return context
