import importlib.util

# Fixtures known to every test; a part that is not there yet brings none.
pytest_plugins = [name for name in ("tests.support.cluster", "tests.support.azurite") if importlib.util.find_spec(name)]
