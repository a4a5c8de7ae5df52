"""Certificates for tests, from an authority that lives as long as one test."""

import ssl
import tempfile
from pathlib import Path

import trustme


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
