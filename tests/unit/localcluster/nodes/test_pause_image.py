import hashlib
import io
import tarfile
from pathlib import Path

from localcluster.nodes import pause_image


def test_pause_image_is_reproducible_with_correct_digests() -> None:
    archive = pause_image.build_image(b"program")
    assert archive == pause_image.build_image(b"program") != pause_image.build_image(b"other")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for name in files.getnames():
            if name.startswith("blobs/"):
                content = files.extractfile(name)
                assert content is not None
                assert hashlib.sha256(content.read()).hexdigest() == Path(name).name
