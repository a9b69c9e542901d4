"""The cluster's authorities, certificates and keys, as an installer of a real cluster makes them.

Who a client is stands in its certificate: the common name is its user, the organisations are its groups.
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
    # From a day ago: clocks of pods and machine may differ.
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
    """A certificate authority whose files are ``<folder>/<name>.crt`` and ``.key``."""

    folder: Path
    name: str

    @property
    def certificate(self) -> Path:
        """Its certificate's file."""
        return self.folder / f"{self.name}.crt"

    @property
    def key(self) -> Path:
        """Its key's file."""
        return self.folder / f"{self.name}.key"

    def create(self) -> "CertificateAuthority":
        """Write a new key and a certificate that it signs itself."""
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
        """Issue a certificate for a client, and for a server where it has names.

        Args:
            file: the files' name without ending, in the authority's folder.
            common_name: the user's name.
            groups: the user's groups.
            names: DNS names and addresses under which a server is reached.

        Returns:
            The certificate's and the key's file.
        """
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        issuer_key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)  # noqa: S101  what create() wrote
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
    """Write the pair of keys that signs and checks service account tokens; returns private and public file."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private, public = folder / "service-account.key", folder / "service-account.pub"
    _write_key(private, key)
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def write_kubeconfig(path: Path, *, server: str, ca: Path, user: dict[str, str]) -> Path:
    """Write a kubeconfig that needs no other file; `user` is what identifies the client (certificate or token)."""
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
    """The kubeconfig user that a certificate identifies."""
    return {"client-certificate-data": read_base64(certificate), "client-key-data": read_base64(key)}


def read_base64(path: Path) -> str:
    """A file's content in base64."""
    return base64.b64encode(path.read_bytes()).decode()
