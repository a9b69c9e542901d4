#!/bin/sh
# The build steps that Dockerfile.operator, Dockerfile.scorer and Dockerfile.console share. No image contains this file.
#
#   build.sh uv                  install the pinned uv in /opt/uv
#   build.sh dependencies NAME   install exactly requirements/NAME.txt in the virtual environment /opt/NAME
#   build.sh distribution NAME   build the distribution in NAME/ and install it alone in /opt/distribution
#   build.sh stdlib              compile the standard library of the base image
#   build.sh hashes              let hashlib use CPython's own functions
#
# Two optional build secrets reach the first three steps and no layer: `ca`, a bundle of certificates; `index`, a shell
# file that exports the package indexes of pip and uv. `make images` passes those of the machine.
set -eu

# Unchecked hashes make the bytecode independent of file times, and spare each start a comparison with the source.
# Usage: compile PYTHON ARGUMENT...
compile() {
    python=$1
    shift
    "$python" -m compileall -q --invalidation-mode unchecked-hash "$@"
}

install_uv() {
    python3 -m venv /opt/uv
    /opt/uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/uv.txt
}

install_dependencies() {
    environment=/opt/$1
    /opt/uv/bin/uv venv --quiet --python "$(command -v python3)" "$environment"
    /opt/uv/bin/uv pip install --quiet --no-cache --python "$environment" --require-hashes -r "requirements/$1.txt"
    # Only `fleetscore compact` writes Parquet. pandas imports pyarrow if it is there, which costs the console memory.
    if [ "$1" = client ]; then /opt/uv/bin/uv pip uninstall --quiet --python "$environment" pyarrow; fi
    # Nothing uses tests, their extension modules, headers, static libraries, sample data and four parts of SciPy at run
    # time: Sobol numbers, the reader of Matrix Market files, ODRPACK and UNU.RAN. SciPy loads the four only when they
    # are called. The shared libraries in the *.libs folders are needed.
    find "$environment/lib" -type d \( -name tests -o -path '*/joblib/test' \
        -o -path '*/sklearn/datasets/data' -o -path '*/sklearn/datasets/images' -o -path '*/sklearn/datasets/descr' \
        -o -path '*/scipy/odr' -o -path '*/scipy/stats/_unuran' \
        -o -path '*/azure/storage/blob/aio' -o -path '*/azure/identity/aio' \) \
        -prune -exec rm -r {} +
    find "$environment/lib" -type f \( -name '*.h' -o -name '*.hpp' -o -name '*.c' -o -name '*.cpp' -o -name '*.pyx' \
        -o -name '*.pxd' -o -name '*.pxi' -o -name '*.tp' -o -name '*.pyi' -o -name '*.a' -o -name '*.f90' \
        -o -name '*_tests.cpython-*.so' -o -name '_test_*.cpython-*.so' -o -name '_ctest.*.so' -o -name '_cytest.*.so' \
        -o -path '*/numpy/_core/_simd.*.so' \
        -o -name '_sobol_direction_numbers.npz' -o -name '_fmm_core.*.so' \) -delete
    rm "$environment/.lock"
    compile "$environment/bin/python" -j 0 "$environment/lib"
}

install_distribution() {
    /opt/uv/bin/uv build --quiet --no-cache --wheel --require-hashes --build-constraint requirements/dev.txt \
        --out-dir wheels "$1"
    /opt/uv/bin/uv pip install --quiet --no-cache --python "/opt/$1" --no-deps --no-index --target /opt/distribution \
        wheels/*.whl
    compile "/opt/$1/bin/python" /opt/distribution
}

# The Python base images contain no bytecode of the standard library, and a read-only root never keeps any.
compile_stdlib() {
    compile python3 -j 0 -x 'site-packages|dist-packages|/test/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
}

# OpenSSL takes a twentieth of the CPU time of a scoring pod to load, which hashes a few KiB. hashlib works without it.
use_own_hashes() {
    python3 -c 'import _blake2, _hashlib, _md5, _sha1, _sha2, _sha3, os; os.remove(_hashlib.__file__)'
}

if [ -e /run/secrets/index ]; then . /run/secrets/index; fi
case "${1-}" in
    uv) install_uv ;;
    dependencies) install_dependencies "$2" ;;
    distribution) install_distribution "$2" ;;
    stdlib) compile_stdlib ;;
    hashes) use_own_hashes ;;
    *) echo "build.sh: the step is invalid: '${1-}'; use uv, dependencies, distribution, stdlib or hashes" >&2; exit 64 ;;
esac
