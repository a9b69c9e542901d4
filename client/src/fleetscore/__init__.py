"""Python client of Fleetscore: runs, predictions, incidents and sensors of a fleet as pandas DataFrames.

The names are imported at their first use: the command line handles Ctrl-C before its imports begin.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:  # as typing.TYPE_CHECKING, without an import
    from fleetscore.contract.windows import Window
    from fleetscore.errors import FleetscoreError
    from fleetscore.fleet import Fleet

__version__ = "0.1.0"
__all__ = ["Fleet", "FleetscoreError", "Window"]

if not TYPE_CHECKING:
    _MODULES = {"Fleet": "fleet", "FleetscoreError": "errors", "Window": "contract.windows"}

    def __getattr__(name: str) -> object:
        import importlib  # noqa: PLC0415

        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        return found
