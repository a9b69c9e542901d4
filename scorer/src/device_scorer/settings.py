"""The settings of all commands, read once from the environment and `--store` into a frozen object.

The defaults are those of a fleet, so `--store ./folder` needs no environment.
"""

import argparse
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from device_scorer.contract import blob_paths
from device_scorer.errors import UsageInvalid
from device_scorer.quality import NO_QUALITY, Quality, parse_quality
from device_scorer.window import parse_duration

CONTAINER_ROLES = ("models", "data", "predictions")
AUTH_KINDS = ("workloadIdentity", "connectionString", "sas")
_CONTAINER_PATTERN = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
_SHARE_PATTERN = re.compile(r"(\d+(?:\.\d+)?)%")


class Limits(NamedTuple):
    """Limits on the inputs of one device.

    Attributes:
        max_data_bytes: The largest size of a data blob, in bytes.
        max_rows: The largest number of rows of a device in a window.
        max_model_bytes: The largest size of a model bundle, in bytes.
        max_model_unpacked_bytes: The largest size of a decompressed model bundle, in bytes.
        max_bad_share: The largest share of malformed rows, from 0 to 1.
    """

    max_data_bytes: int = 128 * 2**20
    max_rows: int = 3_000_000
    max_model_bytes: int = 64 * 2**20
    max_model_unpacked_bytes: int = 256 * 2**20
    max_bad_share: float = 0.5


class AnomalousWhen(NamedTuple):
    """The rule that makes a device anomalous: both thresholds are reached.

    Attributes:
        share: The smallest share of anomalies among the labelled rows, from 0 to 1.
        min_rows: The smallest number of anomalies.
    """

    share: float = 0.01
    min_rows: int = 3

    def is_anomalous(self, rows: int, anomalies: int) -> bool:
        """Return True if a device is anomalous. A device without an anomaly is never anomalous.

        Args:
            rows: The number of labelled rows.
            anomalies: The number of anomalies among them.
        """
        return anomalies >= max(1, self.min_rows) and anomalies / max(1, rows) >= self.share


_DEFAULT_LIMITS, _DEFAULT_ANOMALOUS_WHEN = Limits(), AnomalousWhen()
_DEFAULT_CONTAINERS = MappingProxyType({role: role for role in CONTAINER_ROLES})


class Settings(NamedTuple):
    """The location of a fleet's blobs, and the rules for reading and writing them.

    Attributes:
        folder: The local folder that is used instead of Blob Storage.
        account_url: The URL of the storage account.
        auth: The kind of the credential, one of AUTH_KINDS.
        connection_string: The connection string, a secret.
        sas_token: The SAS token without its question mark, a secret.
        secret: The Secret with the credential, for error texts, such as "the key sas of the Secret fleet-storage".
        containers: The name of the container for each role.
        data_path: The template of the names of data blobs.
        data_partition: The length of the partition that one data blob covers.
        models_path: The template of the names of model bundles.
        trust_any_model: True to load models that name code outside the allow-list.
        predictions_path: The template of the names of predictions.
        allow_overwrite: True if a request may overwrite complete predictions.
        anomalous_when: The rule that makes a device anomalous.
        quality: The fleet's expectations of its sensors.
        limits: The limits on the inputs of one device.
    """

    folder: Path | None = None
    account_url: str = ""
    auth: str = "workloadIdentity"
    connection_string: str = ""
    sas_token: str = ""
    secret: str = ""
    containers: Mapping[str, str] = _DEFAULT_CONTAINERS
    data_path: str = "{yyyy}{MM}{dd}T{HH}{mm}Z/{device}.csv"
    data_partition: timedelta = timedelta(hours=1)
    models_path: str = "{device}.joblib"
    trust_any_model: bool = False
    predictions_path: str = "{window}/{device}.csv"
    allow_overwrite: bool = False
    anomalous_when: AnomalousWhen = _DEFAULT_ANOMALOUS_WHEN
    quality: Quality = NO_QUALITY
    limits: Limits = _DEFAULT_LIMITS

    def __repr__(self) -> str:
        """Return the settings without the secrets."""
        shown = (f"{name}={value!r}" for name, value in self._asdict().items() if name not in _SECRET_FIELDS)
        return f"Settings({', '.join(shown)})"

    def check_folder(self) -> None:
        """Check that the folder exists, if the blobs are in a folder.

        Raises:
            UsageInvalid: There is no such folder.
        """
        if self.folder is not None and not self.folder.is_dir():
            raise UsageInvalid(f"--store {self.folder} is invalid: it is not a folder; name one with models and data")


_SECRET_FIELDS = ("connection_string", "sas_token")
_DEFAULTS = Settings()
STORAGE_HELP = """\
environment without --store (the defaults are in brackets):
  FLEETSCORE_ACCOUNT_URL                  URL of the account, such as https://ACCOUNT.blob.core.windows.net
  FLEETSCORE_AUTH                         workloadIdentity, connectionString or sas (workloadIdentity)
  AZURE_STORAGE_CONNECTION_STRING         with FLEETSCORE_AUTH=connectionString
  AZURE_STORAGE_SAS_TOKEN                 with FLEETSCORE_AUTH=sas
  FLEETSCORE_{MODELS,DATA,PREDICTIONS}_CONTAINER  names of the containers (models, data, predictions)

environment with and without --store:
  FLEETSCORE_MODELS_PATH                  ({device}.joblib)
  FLEETSCORE_DATA_PATH                    ({yyyy}{MM}{dd}T{HH}{mm}Z/{device}.csv)
  FLEETSCORE_DATA_PARTITION               length of the time that a file of readings covers (PT1H)
  FLEETSCORE_PREDICTIONS_PATH             ({window}/{device}.csv)
  FLEETSCORE_QUALITY                      the fleet's quality settings as JSON, such as {"badValues": [-9999]}"""


def add_store_argument(parser: argparse.ArgumentParser) -> None:
    """Add the flag `--store` to a command.

    Args:
        parser: The command's parser.
    """
    parser.epilog = "\n\n".join(part for part in (parser.epilog, STORAGE_HELP) if part)
    parser.add_argument(
        "--store",
        metavar="FOLDER",
        help="work on FOLDER/models, FOLDER/data, FOLDER/predictions in place of Blob Storage (see below)",
    )


def read_settings(environment: Mapping[str, str], store_folder: str | None = None) -> Settings:
    """Read the settings of a fleet from environment variables.

    Args:
        environment: The environment variables.
        store_folder: The value of `--store`: a local folder to use instead of Blob Storage.

    Raises:
        UsageInvalid: A variable is missing or invalid; the text names the variable.
    """
    get = _EnvironmentReader(environment)
    auth = get.choice("FLEETSCORE_AUTH", AUTH_KINDS)
    settings = Settings(
        folder=Path(store_folder) if store_folder else None,
        account_url=get.text("FLEETSCORE_ACCOUNT_URL", "").rstrip("/"),
        auth=auth,
        connection_string=get.text("AZURE_STORAGE_CONNECTION_STRING", ""),
        sas_token=get.text("AZURE_STORAGE_SAS_TOKEN", "").lstrip("?"),
        secret=get.secret("FLEETSCORE_STORAGE_SECRET"),
        containers=MappingProxyType({role: get.container(role) for role in CONTAINER_ROLES}),
        data_path=get.template("FLEETSCORE_DATA_PATH", _DEFAULTS.data_path, blob_paths.DATA_PLACEHOLDERS),
        data_partition=get.duration("FLEETSCORE_DATA_PARTITION", "PT1H"),
        models_path=get.template("FLEETSCORE_MODELS_PATH", _DEFAULTS.models_path, blob_paths.MODELS_PLACEHOLDERS),
        trust_any_model=get.choice("FLEETSCORE_MODELS_TRUST", ("allowlist", "any")) == "any",
        predictions_path=get.template(
            "FLEETSCORE_PREDICTIONS_PATH",
            _DEFAULTS.predictions_path,
            blob_paths.PREDICTIONS_PLACEHOLDERS,
        ),
        allow_overwrite=get.choice("FLEETSCORE_ALLOW_OVERWRITE", ("false", "true")) == "true",
        anomalous_when=AnomalousWhen(
            share=get.share("FLEETSCORE_ANOMALOUS_SHARE", "1%"),
            min_rows=get.number("FLEETSCORE_ANOMALOUS_MIN_ROWS", _DEFAULTS.anomalous_when.min_rows),
        ),
        quality=get.quality("FLEETSCORE_QUALITY"),
        limits=read_limits(environment),
    )
    if settings.folder is None:
        _check_account(settings)
    return settings


def read_limits(environment: Mapping[str, str]) -> Limits:
    """Read the limits on the inputs of one device from environment variables.

    Args:
        environment: The environment variables.

    Raises:
        UsageInvalid: A variable is invalid; the text names the variable.
    """
    get, defaults = _EnvironmentReader(environment), _DEFAULTS.limits
    return Limits(
        max_data_bytes=get.number("FLEETSCORE_MAX_DATA_BYTES", defaults.max_data_bytes),
        max_rows=get.number("FLEETSCORE_MAX_ROWS", defaults.max_rows),
        max_model_bytes=get.number("FLEETSCORE_MAX_MODEL_BYTES", defaults.max_model_bytes),
        max_model_unpacked_bytes=get.number("FLEETSCORE_MAX_MODEL_UNPACKED_BYTES", defaults.max_model_unpacked_bytes),
        max_bad_share=get.share("FLEETSCORE_MAX_BAD_ROWS", "50%"),
    )


def _check_account(settings: Settings) -> None:
    needed = {
        "workloadIdentity": ("FLEETSCORE_ACCOUNT_URL", settings.account_url),
        "connectionString": ("AZURE_STORAGE_CONNECTION_STRING", settings.connection_string),
        "sas": ("AZURE_STORAGE_SAS_TOKEN", settings.sas_token and settings.account_url),
    }
    variable, value = needed[settings.auth]
    if not value:
        raise UsageInvalid(
            f"the storage settings are incomplete: give --store FOLDER, or set {variable} "
            f"(FLEETSCORE_AUTH is {settings.auth}; sas needs FLEETSCORE_ACCOUNT_URL too)",
        )
    if settings.account_url and not re.fullmatch(r"https?://[^\s?#@]+", settings.account_url):  # a query may be a SAS
        raise UsageInvalid(
            "FLEETSCORE_ACCOUNT_URL is invalid: it must be an http(s) URL without user and query; "
            "set a URL such as https://acc.blob.core.windows.net"
        )


class _EnvironmentReader:
    """A reader of variables by kind. An empty variable counts as unset; each error names the variable."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str) -> str:
        return self._environment.get(name, "").strip() or default

    def secret(self, name: str) -> str:
        """Return the Secret that a variable names as NAME/KEY, for error texts."""
        secret, _, key = self.text(name, "").partition("/")
        return f"the key {key} of the Secret {secret}" if key else f"the Secret {secret}" if secret else ""

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of the choices; the first is the default."""
        value = self.text(name, choices[0])
        if value not in choices:
            raise UsageInvalid(f"{name} is invalid: {value!r} is not one of {', '.join(choices)}")
        return value

    def container(self, role: str) -> str:
        """Return a container name. Azure allows 3 to 63 lower-case letters, digits and single dashes."""
        name = f"FLEETSCORE_{role.upper()}_CONTAINER"
        value = self.text(name, role)
        if not _CONTAINER_PATTERN.fullmatch(value):
            raise UsageInvalid(
                f"{name} is invalid: {value!r} must have 3 to 63 lower-case letters, digits, single dashes"
            )
        return value

    def duration(self, name: str, default: str) -> timedelta:
        try:
            return parse_duration(self.text(name, default))
        except UsageInvalid as error:
            raise UsageInvalid(f"{name}: {error}") from error

    def template(self, name: str, default: str, allowed: frozenset[str]) -> str:
        required = frozenset() if allowed is blob_paths.DATA_PLACEHOLDERS else allowed
        try:
            return blob_paths.validate_template(self.text(name, default), allowed, required=required)
        except UsageInvalid as error:
            raise UsageInvalid(f"{name}: {error}") from error

    def number(self, name: str, default: int) -> int:
        value = self.text(name, str(default))
        if not value.isdecimal():
            raise UsageInvalid(f"{name} is invalid: {value!r} must be a whole number of at least 0")
        return int(value)

    def quality(self, name: str) -> Quality:
        try:
            return parse_quality(self.text(name, ""))
        except UsageInvalid as error:
            raise UsageInvalid(f"{name}: {error}") from error

    def share(self, name: str, default: str) -> float:
        """Return a share as a number from 0 to 1."""
        value = self.text(name, default)
        match = _SHARE_PATTERN.fullmatch(value)
        if match is None or float(match[1]) > 100:
            raise UsageInvalid(f"{name} is invalid: {value!r} must be a share from 0% to 100%, such as 1%")
        return float(f"{match[1]}e-2")  # the same number as N/M, if N is exactly this share of M
