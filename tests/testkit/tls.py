"""The certificates of the tests' TLS servers."""

from dataclasses import dataclass
from pathlib import Path

from localcluster.kubernetes.certificates import CertificateAuthority


@dataclass(frozen=True)
class Tls:
    """A server's certificate, followed by the certificate of its authority, and its key."""

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def create(cls, folder: Path, *hosts: str) -> "Tls":
        """Create an authority and the certificate of a server at these addresses."""
        return cls.issue(CertificateAuthority(folder, "authority").create(), *hosts)

    @classmethod
    def issue(cls, authority: CertificateAuthority, *hosts: str) -> "Tls":
        """Issue the certificate of a server at these addresses by an existing authority."""
        leaf, key = authority.issue("server", "server", names=list(hosts))
        chain = leaf.with_name("chain.pem")
        chain.write_bytes(leaf.read_bytes() + authority.certificate.read_bytes())
        return cls(authority.certificate, chain, key)
