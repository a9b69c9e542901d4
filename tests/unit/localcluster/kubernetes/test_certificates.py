import ipaddress
from pathlib import Path

from cryptography import x509

from localcluster.kubernetes.certificates import CertificateAuthority, kubeconfig_user, write_kubeconfig


def test_certificate_names_its_owner_and_its_addresses(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path, "ca").create()
    certificate, key = authority.issue("node", "system:node:a", ["system:nodes"], names=["10.0.0.1", "a"])
    parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    parsed.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate.read_bytes()))
    assert parsed.subject.rfc4514_string() == "CN=system:node:a,O=system:nodes"
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("10.0.0.1")]
    assert names.get_values_for_type(x509.DNSName) == ["a"]
    assert key.stat().st_mode & 0o077 == 0


def test_kubeconfig_is_self_contained_and_readable_only_by_its_owner(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path, "ca").create()
    user = kubeconfig_user(*authority.issue("a", "a"))
    path = write_kubeconfig(tmp_path / "config", server="https://x", ca=authority.certificate, user=user)
    assert str(tmp_path) not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
