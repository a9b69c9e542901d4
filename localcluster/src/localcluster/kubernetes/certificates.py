"""The authorities, certificates and keys of a cluster, as kubeadm creates them.

A client's certificate contains its identity: the common name is its user, the organisations are its groups.
"""

import base64
import datetime as dt
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALIDITY_DAYS = 3650


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.touch(mode=0o600)
    path.write_bytes(pem)


def _subject(common_name: str, groups: Sequence[str]) -> x509.Name:
    organisations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organisations, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate_builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    # Valid from a day ago: the clocks of pods and of the machine may differ.
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=_VALIDITY_DAYS))
    )


@dataclass(frozen=True)
class CertificateAuthority:
    """A certificate authority with the files ``<folder>/<name>.crt`` and ``.key``."""

    folder: Path
    name: str

    @property
    def certificate(self) -> Path:
        """The file of the authority's certificate."""
        return self.folder / f"{self.name}.crt"

    @property
    def key(self) -> Path:
        """The file of the authority's key."""
        return self.folder / f"{self.name}.key"

    def create(self) -> "CertificateAuthority":
        """Write a new key and its self-signed certificate."""
        self.folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(self.name, [])
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            _certificate_builder(subject, subject, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write_key(self.key, key)
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return self

    def issue(
        self, file_stem: str, common_name: str, groups: Sequence[str] = (), names: Sequence[str] = ()
    ) -> tuple[Path, Path]:
        """Issue a certificate for a client, and also for a server if `names` is given.

        Args:
            file_stem: The name of the two files in the authority's folder, without a suffix.
            common_name: The user's name.
            groups: The user's groups.
            names: The server's DNS names and IP addresses.

        Returns:
            The file of the certificate and the file of the key.
        """
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        issuer_key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)  # noqa: S101  create() wrote it
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if names else [])]
        builder = (
            _certificate_builder(_subject(common_name, groups), issuer.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
        certificate_path, key_path = self.folder / f"{file_stem}.crt", self.folder / f"{file_stem}.key"
        _write_key(key_path, key)
        certificate = builder.sign(issuer_key, hashes.SHA256())
        certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return certificate_path, key_path


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def create_service_account_keys(folder: Path) -> tuple[Path, Path]:
    """Write the key pair for service account tokens.

    Returns:
        The file of the private key and the file of the public key.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private, public = folder / "service-account.key", folder / "service-account.pub"
    _write_key(private, key)
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def write_kubeconfig(path: Path, *, server: str, ca: Path, user: dict[str, str]) -> Path:
    """Write a self-contained kubeconfig and return its path.

    Args:
        path: The file to write.
        server: The URL of the API server.
        ca: The file with the certificate of the server's authority.
        user: The kubeconfig user with a certificate or a token.
    """
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "local",
        "clusters": [{"name": "local", "cluster": {"server": server, "certificate-authority-data": read_base64(ca)}}],
        "users": [{"name": "local", "user": user}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local"}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))  # every JSON document is YAML
    return path


def kubeconfig_user(certificate: Path, key: Path) -> dict[str, str]:
    """Return the kubeconfig user of a client certificate."""
    return {"client-certificate-data": read_base64(certificate), "client-key-data": read_base64(key)}


def read_base64(path: Path) -> str:
    """Return a file's content in base64."""
    return base64.b64encode(path.read_bytes()).decode()
