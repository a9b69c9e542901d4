"""Model bundles: one blob per device, a dict from tag to fitted pipeline, loaded so that nothing in it can run.

A bundle of pipelines in the trainer's shape is read into inert records and evaluated in closed form; one that names
other detectors of the allow-list is loaded by scikit-learn through the same list; `trust: any` loads whatever the
administrator answers for. Compressed files are unpacked no further than the limit.
"""

import bz2
import lzma
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from device_scorer.errors import ModelIncompatible, ModelInvalid, ModelRejected, PermanentError
from device_scorer.models import one_class_svm, unpickler
from device_scorer.models.unpickler import InertObject

META_KEY = "_meta"
FORMAT_VERSION = 1
_LZMA_MEMORY_LIMIT_BYTES = 100 * 2**20  # bytes: its strongest preset needs 65 MiB


class Model(Protocol):
    """A fitted detector over one feature."""

    @property
    def sklearn_version(self) -> str:
        """The scikit-learn that fitted it, or "unknown"."""

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float] | None]:
        """Labels (1 anomalous, 0 normal) of finite values, and their decision function where the model has one."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle has per tag: a model, or why there is none."""

    models: Mapping[str, Model | PermanentError]

    @property
    def sklearn_versions(self) -> list[str]:
        """The scikit-learn versions of the models, sorted, each once."""
        return sorted(
            {model.sklearn_version for model in self.models.values() if not isinstance(model, PermanentError)}
        )


def load(content: bytes, *, max_unpacked_bytes: int, engine: str = "auto", trust_any: bool = False) -> Bundle:
    """Load a bundle; `engine` is "auto" or "sklearn", `unpacked_limit` is in bytes.

    Raises ModelInvalid (no readable bundle), ModelRejected (it names what is not allowed), ModelIncompatible (it uses
    what is not built yet). A single unusable tag is an error in its place.
    """
    plain = decompress(content, max_unpacked_bytes)
    if engine == "auto":
        try:
            bundle = _load_closed_form(unpickler.load_inert(plain))
        except unpickler.NeedsScikitLearn:
            bundle = None
        except ModelRejected:
            if not trust_any:
                raise
            bundle = None
        if bundle is not None:
            return bundle
    from device_scorer.models import sklearn_loader  # noqa: PLC0415  imports scikit-learn, ten times a closed-form score

    loaded = models_by_tag(sklearn_loader.load_estimators(plain, trust_any=trust_any))
    return Bundle({tag: _result_or_error(sklearn_loader.to_detector, estimator) for tag, estimator in loaded.items()})


def load_pipeline(content: bytes, *, max_unpacked_bytes: int) -> InertObject:
    """One pickled pipeline of the trainer's shape, by any scikit-learn since 0.19, as a record of plain values.

    Raises ModelInvalid, ModelRejected, or ModelIncompatible where it is another kind of model.
    """
    try:
        record = unpickler.load_inert(decompress(content, max_unpacked_bytes))
    except unpickler.NeedsScikitLearn as error:
        raise ModelIncompatible(f"only StandardScaler -> OneClassSVM(rbf) can be brought over, not {error}") from error
    if one_class_svm.from_inert_object(record) is None:
        raise ModelIncompatible("only StandardScaler -> OneClassSVM(rbf) can be brought over")
    assert isinstance(record, InertObject)  # noqa: S101  from_record has refused everything else
    return record


def encode_bundle(pipelines: Mapping[str, InertObject]) -> bytes:
    """A joblib bundle of these pipelines by tag, readable by today's scikit-learn, with the very same numbers."""
    from device_scorer.models import sklearn_loader  # noqa: PLC0415  imports scikit-learn

    return sklearn_loader.encode_bundle(
        {tag: (record, one_class_svm.from_inert_object(record)) for tag, record in pipelines.items()}
    )


def models_by_tag(loaded: Any) -> dict[str, Any]:
    """The models by tag of what a bundle's file holds; the reserved `_meta` is looked at and left out."""
    if not isinstance(loaded, dict) or not loaded:
        raise ModelInvalid("the model file holds no bundle (a dict from tag to fitted pipeline)")
    meta = loaded.get(META_KEY, {})
    wanted = meta.get("format", FORMAT_VERSION) if isinstance(meta, dict) else None
    unknown = sorted(str(key)[:40] for key in meta if key != "format") if isinstance(meta, dict) else [META_KEY]
    if unknown or wanted != FORMAT_VERSION:
        what = f"uses {unknown[0]!r} of {META_KEY}" if unknown else "has another format"
        raise ModelIncompatible(f"the bundle {what}, which this version does not know: use a newer device-scorer")
    if not all(isinstance(tag, (str, int)) for tag in loaded):
        raise ModelInvalid("the bundle has a key that is no tag")
    return {str(tag): model for tag, model in loaded.items() if tag != META_KEY}


def decompress(content: bytes, max_bytes: int) -> bytes:
    """The file without its compression (zlib, gzip, bz2, xz, lzma), never more than `limit` bytes of it."""
    unpacker: Any
    if content.startswith((b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b")):
        unpacker = zlib.decompressobj(wbits=47)
    elif content.startswith(b"BZ"):
        unpacker = bz2.BZ2Decompressor()
    elif content.startswith((b"\xfd7zXZ", b"\x5d\x00")):
        unpacker = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY_LIMIT_BYTES)
    else:
        return content
    try:
        plain: bytes = unpacker.decompress(content, max_bytes + 1)
    except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError) as error:
        raise ModelInvalid(f"the model file is damaged: {error}") from error
    if len(plain) > max_bytes:
        text = f"the model file unpacks to more than the {max_bytes:,} bytes that are allowed"
        raise ModelInvalid(f"{text}: raise FLEETSCORE_MAX_MODEL_UNPACKED_BYTES if that is meant")
    if not unpacker.eof:
        raise ModelInvalid("the model file is cut short")
    return plain


def _load_closed_form(loaded: Any) -> Bundle | None:
    """The bundle in closed form; None where one of its models has another shape."""
    models = {
        tag: _result_or_error(one_class_svm.from_inert_object, record) for tag, record in models_by_tag(loaded).items()
    }
    known = {tag: model for tag, model in models.items() if model is not None}
    return Bundle(known) if len(known) == len(models) else None


def _result_or_error(function: Any, source: Any) -> Any:
    try:
        return function(source)
    except PermanentError as error:
        return error
