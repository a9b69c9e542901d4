"""Model bundles: one blob per device, a dict from tag to fitted pipeline. Loading does not execute code of the file.

A pipeline with a closed form is read into inert objects and evaluated in this process. A bundle with other detectors of
the allow-list is loaded by scikit-learn with the same list, in a process of its own (`sklearn_process`). With
`trust: any` every bundle is loaded, at the administrator's risk. Decompression stops at a limit.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from device_scorer import file_kinds
from device_scorer.decompression import decompress_members
from device_scorer.errors import ModelIncompatible, ModelInvalid, ModelRejected, PermanentError
from device_scorer.models import closed_form, unpickler
from device_scorer.models.descriptions import describe_object
from device_scorer.models.expectations import META_SENSORS_KEY, Expectation, decode_expectations
from device_scorer.models.inert import InertObject
from device_scorer.models.pickle_functions import ScikitLearnNeeded

if TYPE_CHECKING:
    from device_scorer.models.sklearn_bundle import RemoteBundle
    from device_scorer.models.sklearn_process import ScikitLearnProcess

META_KEY = "_meta"
"""The reserved key of a bundle, with its format version."""

FORMAT_VERSION = 1
_META_KEYS = frozenset({"format", META_SENSORS_KEY})
LZMA_MEMORY_LIMIT_BYTES = 100 * 2**20
"""Memory of the LZMA decoder. The strongest preset of xz needs 65 MiB (manual page of xz, option -9)."""


class UnpackedTooLarge(ModelInvalid):
    """A bundle that is larger without its compression than its reader allows. Its reason is that of a ModelInvalid."""

    @property
    def reason(self) -> str:
        """The reason in the outcome message."""
        return ModelInvalid.__name__


class Model(Protocol):
    """A fitted detector over one feature."""

    @property
    def sklearn_version(self) -> str:
        """The version of scikit-learn that fitted the model, or "unknown"."""

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float] | None]:
        """Label values.

        Args:
            values: Finite values, one per reading.

        Returns:
            The labels (1 anomaly, 0 normal), and the decision function of each value or None if the model has none.
            A value that the model cannot evaluate is an anomaly, and its score is NaN. Both lists have the length of
            values.

        Raises:
            ModelInvalid: The model fails.
        """


class Bundle(NamedTuple):
    """The content of a bundle.

    Attributes:
        models: The model of each tag, or the error that makes it unusable.
        remote: The bundle in a process of scikit-learn, which evaluates some of the models; None if none needs it.
        expectations: The behaviour of the sensors in training, by tag; empty if the bundle has none.
    """

    models: Mapping[str, Model | PermanentError]
    remote: "RemoteBundle | None" = None
    expectations: Mapping[str, Expectation] = MappingProxyType({})

    @property
    def sklearn_versions(self) -> list[str]:
        """The scikit-learn versions of the usable models, sorted, without duplicates."""
        return sorted(
            {model.sklearn_version for model in self.models.values() if not isinstance(model, PermanentError)}
        )

    def close(self) -> None:
        """End the process that evaluates models of the bundle, if there is one."""
        if self.remote is not None:
            self.remote.close()


def load(
    content: bytes,
    *,
    max_unpacked_bytes: int,
    engine: str = "auto",
    trust_any: bool = False,
    process: "ScikitLearnProcess | None" = None,
) -> Bundle:
    """Load a bundle. A single unusable tag has its error in place of a model.

    Args:
        content: The bundle, compressed or not.
        max_unpacked_bytes: The largest allowed size after decompression, in bytes.
        engine: "auto" for the closed form where possible, or "sklearn".
        trust_any: True to load a bundle that names code outside the allow-list.
        process: The fork server of scikit-learn, which is started if a model needs it; None for the shared one.

    Raises:
        UnpackedTooLarge: The bundle exceeds the limit.
        ModelInvalid: The content is not a readable bundle.
        ModelRejected: The bundle names code that is not on the allow-list.
        ModelIncompatible: The bundle uses a feature that this version does not support.
        ConfigurationInvalid: The process of scikit-learn cannot be started.
    """
    plain = decompress(content, max_unpacked_bytes)
    kind = file_kinds.describe(plain)
    if kind not in ("", "a pickle"):
        if kind.startswith("compressed") and plain is not content:
            kind = "compressed twice"
        cure = " without its compression, or with zlib, gzip, bz2 or xz" if kind.startswith("compressed") else ""
        raise ModelInvalid(f"the model file is invalid: it is {kind}; write the bundle with joblib.dump{cure}")
    closed, expectations = _closed_forms(plain, trust_any=trust_any) if engine == "auto" else ({}, {})
    known = {tag: model for tag, model in closed.items() if model is not None}
    if closed and len(known) == len(closed):
        return Bundle(known, expectations=expectations)
    from device_scorer.models.sklearn_bundle import RemoteBundle  # noqa: PLC0415  most processes need no other process
    from device_scorer.models.sklearn_process import shared_process  # noqa: PLC0415  as above

    try:
        remote = RemoteBundle(process or shared_process(), plain, trust_any=trust_any)
    except PermanentError as error:
        if not known:
            raise
        return Bundle({tag: model or error for tag, model in closed.items()}, expectations=expectations)
    return Bundle({**dict(remote.models()), **known}, remote, expectations or remote.expectations)


def load_pipeline(content: bytes, *, max_unpacked_bytes: int) -> InertObject:
    """Read one pickled pipeline of the trainer's shape, fitted by any scikit-learn since 0.19.

    Args:
        content: The pickle, compressed or not.
        max_unpacked_bytes: The largest allowed size after decompression, in bytes.

    Raises:
        ModelInvalid: The content is not a readable model.
        ModelRejected: The pickle names code that is not on the allow-list.
        ModelIncompatible: The model is of another kind.
    """
    try:
        record = unpickler.load_inert(decompress(content, max_unpacked_bytes))
    except ScikitLearnNeeded as error:
        raise ModelIncompatible(f"only StandardScaler -> OneClassSVM(rbf) can be converted, not {error}") from error
    if closed_form.read_trainer_model(record) is None:
        raise ModelIncompatible("only StandardScaler -> OneClassSVM(rbf) can be converted")
    assert isinstance(record, InertObject)  # noqa: S101  read_trainer_model has rejected everything else
    return record


def encode_converted_bundle(pipelines: Mapping[str, InertObject]) -> bytes:
    """Return a joblib bundle that the current scikit-learn can read and that has the same numbers.

    Args:
        pipelines: The pipelines by tag, from `load_pipeline`.
    """
    from device_scorer.models import sklearn_writer  # noqa: PLC0415  imports scikit-learn

    return sklearn_writer.encode_rebuilt_bundle(
        {tag: (record, closed_form.read_trainer_model(record)) for tag, record in pipelines.items()}
    )


def models_by_tag(loaded: Any) -> dict[str, Any]:
    """Return the models of a bundle by tag, without the reserved key `_meta`.

    Args:
        loaded: The object in the bundle's file.

    Raises:
        ModelInvalid: The object is not a dict of models, or has no model.
        ModelIncompatible: `_meta` has another format version or an unknown key.
    """
    if not isinstance(loaded, dict) or not loaded:
        found = "an empty dict" if isinstance(loaded, dict) else describe_object(loaded)
        text = f"the model file is invalid: it must contain a dict from tag to fitted pipeline, found {found}"
        raise ModelInvalid(f"{text}; write it with joblib.dump({{tag: pipeline}}, file)")
    meta = loaded.get(META_KEY, {})
    wanted = meta.get("format", FORMAT_VERSION) if isinstance(meta, dict) else None
    unknown = sorted(str(key)[:40] for key in meta if key not in _META_KEYS) if isinstance(meta, dict) else [META_KEY]
    if unknown or wanted != FORMAT_VERSION:
        feature = f"uses {unknown[0]!r} of {META_KEY}" if unknown else "has another format"
        raise ModelIncompatible(f"the bundle {feature}, which this version does not support; use a newer device-scorer")
    others = [key for key in loaded if not isinstance(key, str) and not hasattr(key, "__index__")]
    if others:
        text = f"the bundle is invalid: a key is not a tag but {describe_object(others[0])}"
        raise ModelInvalid(f"{text}; use the text of the column Tag for each key")
    models = {str(tag): model for tag, model in loaded.items() if tag != META_KEY}
    if not models:
        raise ModelInvalid("the bundle has no models; write it with joblib.dump({tag: pipeline}, file)")
    if len(models) < len(loaded) - (META_KEY in loaded):
        raise ModelInvalid("the bundle is invalid: two keys are the same tag, such as 1 and '1'; keep one of them")
    return models


def expectations_by_tag(loaded: Mapping[str, Any]) -> dict[str, Expectation]:
    """Return the behaviour of the sensors in training; empty if the bundle has none.

    Args:
        loaded: The object in the bundle's file, which `models_by_tag` has checked.
    """
    return decode_expectations(loaded.get(META_KEY, {}).get(META_SENSORS_KEY))


def decompress(content: bytes, max_bytes: int) -> bytes:
    """Return the content without its compression (zlib, gzip, bz2, xz, lzma).

    Args:
        content: The content, compressed or not.
        max_bytes: The largest allowed size after decompression, in bytes. Decompression stops there.

    Raises:
        UnpackedTooLarge: The content exceeds the limit.
        ModelInvalid: The content is damaged or truncated.
    """
    create, damage = _decompressor(content)
    if create is None:
        return content
    try:
        unpacker = create()
        plain: bytes = unpacker.decompress(content, max_bytes + 1)
        if unpacker.unused_data:  # bgzip, pbzip2 and others write a member a block
            plain = decompress_members(content, create, max_bytes)
    except (damage, OSError, EOFError, ValueError) as error:
        text = f"the model file is invalid: it cannot be decompressed ({error})"
        raise ModelInvalid(f"{text}; upload it again") from error
    if len(plain) > max_bytes:
        text = f"the model file decompresses to more than the {max_bytes:,} bytes that are allowed"
        raise UnpackedTooLarge(f"{text}; to allow it, raise FLEETSCORE_MAX_MODEL_UNPACKED_BYTES")
    if not unpacker.eof:
        raise ModelInvalid("the model file is invalid: it is truncated; upload it again")
    return plain


def _decompressor(content: bytes) -> tuple[Callable[[], Any] | None, type[Exception]]:
    """Return the function that creates a decompressor of the content, or None, and the error of damaged content.

    Few bundles use bzip2 or xz, and each import of one costs a scoring pod time.
    """
    if content.startswith(b"BZ"):
        import bz2  # noqa: PLC0415  see above

        return bz2.BZ2Decompressor, OSError
    if content.startswith((b"\xfd7zXZ", b"\x5d\x00")):
        import lzma  # noqa: PLC0415  see above

        return partial(lzma.LZMADecompressor, memlimit=LZMA_MEMORY_LIMIT_BYTES), lzma.LZMAError
    if content.startswith((b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b")):
        return partial(zlib.decompressobj, wbits=47), zlib.error
    return None, zlib.error


def _closed_forms(
    plain: bytes, *, trust_any: bool
) -> tuple[dict[str, Model | PermanentError | None], dict[str, Expectation]]:
    """Return the closed form of each model, an error, or None for a model that only scikit-learn can evaluate.

    The second result is the behaviour of the sensors in training. Both are empty if only scikit-learn can read the
    file. The inert reader knows the models of the trainer and little more, so that a file that it cannot read may be a
    sound one. Each model names a class of scikit-learn.
    """
    try:
        loaded = unpickler.load_inert(plain)
    except ScikitLearnNeeded:
        return {}, {}
    except ModelInvalid:
        if not trust_any and b"sklearn" not in plain:
            raise
        return {}, {}
    except (ModelRejected, ModelIncompatible):
        if not trust_any:
            raise
        return {}, {}
    converted: dict[int, Model | PermanentError | None] = {}
    models = models_by_tag(loaded)
    for record in models.values():  # tags may share a model
        if id(record) not in converted:
            converted[id(record)] = _result_or_error(closed_form.from_inert_object, record)
    return {tag: converted[id(record)] for tag, record in models.items()}, expectations_by_tag(loaded)


def _result_or_error(function: Any, source: Any) -> Any:
    try:
        return function(source)
    except PermanentError as error:
        return error
