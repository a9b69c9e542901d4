"""Credentials of an exec plugin: a program that a kubeconfig names, which prints an ExecCredential.

The protocol is that of client-go: https://kubernetes.io/docs/reference/access-authn-authz/authentication/
(client-go credential plugins). The program may ask a person to log in, so it has five minutes.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from scoring_operator.errors import InvalidSettings
from scoring_operator.kube.header_values import is_header_value

TIMEOUT_SECONDS = 300.0
MAX_OUTPUT_BYTES = 1_048_576
EXPIRY_MARGIN = timedelta(seconds=10)  # a token is renewed this long before it expires
API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


class ExecCredential(msgspec.Struct, frozen=True, rename="camel"):
    """The status that a plugin prints: a token, or a client certificate with its key; null means missing."""

    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None

    @property
    def expired(self) -> bool:
        """Whether the plugin has to be run again."""
        expiry = self.expiration_timestamp
        if expiry is None or expiry.year == 1:  # the zero time of Go, which client-go does not count as an expiry
            return False
        known = expiry if expiry.tzinfo else expiry.replace(tzinfo=UTC)
        return datetime.now(UTC) + EXPIRY_MARGIN >= known


class _Document(msgspec.Struct, rename="camel"):
    kind: str = ""
    api_version: str = ""
    status: ExecCredential | None = None


@dataclass(eq=False)
class ExecPlugin:
    """A plugin with its last credential.

    Attributes:
        user: The user of the kubeconfig, for messages.
        command: The program and its arguments.
        api_version: The version of the ExecCredential.
        variables: The environment variables that the kubeconfig adds.
        cluster: The cluster that the plugin gets (`provideClusterInfo`); None if it gets none.
        interactive_mode: Whether the plugin may read standard input: Never, IfAvailable or Always.
        install_hint: A sentence for people without the program.
        timeout_seconds: The time after which the program is killed.
    """

    user: str
    command: tuple[str, ...]
    api_version: str
    variables: Mapping[str, str] = field(default_factory=dict)
    cluster: Mapping[str, object] | None = None
    interactive_mode: str = "IfAvailable"
    install_hint: str = ""
    timeout_seconds: float = TIMEOUT_SECONDS
    _credential: ExecCredential | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def credential(self, *, renew: bool = False) -> ExecCredential:
        """Return the current credential; run the program if there is none or it has expired. The call blocks.

        Args:
            renew: Whether the API server has rejected the last credential.

        Raises:
            InvalidSettings: The program failed, or did not print a credential.
        """
        with self._lock:
            if self._credential is None or renew or self._credential.expired:
                self._credential = self._parse(self._run())
            return self._credential

    def _run(self) -> bytes:
        interactive = self.interactive_mode != "Never" and sys.stdin is not None and sys.stdin.isatty()
        if self.interactive_mode == "Always" and not interactive:
            raise self._error("it needs a terminal; run the command in one")
        spec: dict[str, object] = {"interactive": interactive} | ({"cluster": self.cluster} if self.cluster else {})
        info = {"apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec}
        environment = os.environ | dict(self.variables) | {"KUBERNETES_EXEC_INFO": msgspec.json.encode(info).decode()}
        try:
            process = subprocess.Popen(  # the program of the user's own kubeconfig
                self.command,
                env=environment,
                stdin=None if interactive else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
        except (OSError, ValueError) as error:
            raise self._error(f"{error}. {self.install_hint}".rstrip(". ") or str(error)) from error
        with process:
            timer = threading.Timer(self.timeout_seconds, process.kill)
            timer.start()
            try:
                output = process.stdout.read(MAX_OUTPUT_BYTES + 1) if process.stdout else b""
                if len(output) > MAX_OUTPUT_BYTES:
                    process.kill()
                    raise self._error(f"it printed more than {MAX_OUTPUT_BYTES:,} bytes")
                code = process.wait()
            finally:
                timer.cancel()
        if code:
            raise self._error(f"it ended with exit code {code}; check that `kubectl auth whoami` works")
        return output

    def _parse(self, output: bytes) -> ExecCredential:
        try:
            document = msgspec.json.decode(output, type=_Document)
        except msgspec.MsgspecError as error:
            raise self._error(f"it did not print an ExecCredential: {error}") from error
        if (document.kind, document.api_version) != ("ExecCredential", self.api_version):
            raise self._error(
                f"it printed {document.kind or 'nothing'} {document.api_version}, not ExecCredential {self.api_version}"
            )
        found = document.status
        if found is None or not (found.token or found.client_certificate_data):
            raise self._error("its ExecCredential has neither a token nor a client certificate")
        if bool(found.client_certificate_data) != bool(found.client_key_data):
            raise self._error("its ExecCredential has a client certificate or a key, and not both")
        if found.token and not is_header_value(found.token):
            raise self._error("its token has characters that a header must not have, such as a line break")
        return found

    def _error(self, reason: str) -> InvalidSettings:
        return InvalidSettings(f"exec plugin {self.command[0]!r} of user {self.user!r} failed: {reason}")
