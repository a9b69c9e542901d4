from tests.integration.conftest import crd, operate, runs, staged

__all__ = ["crd", "operate", "runs", "staged"]
