"""YAML documents in the ConfigMaps of a release, which other clients can write. Pure."""

import yaml

from fleetscore.errors import DataInvalid


def parse_yaml(text: str, name: str) -> object:
    """Return a YAML document.

    Args:
        text: The text of the document.
        name: The name of the file, for messages.

    Raises:
        DataInvalid: The text is not YAML, or is nested too deeply.
    """
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: such as a date without a month
        reason = " ".join(str(error).split())[:200]
        raise DataInvalid(f"{name} is invalid: {reason}; `helm upgrade` writes it again") from error
