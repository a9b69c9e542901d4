"""Safe YAML loaders that keep values as text which YAML 1.1 would convert."""

import yaml


def text_loader(*types: str) -> type[yaml.CSafeLoader]:
    """Return a safe loader that does not resolve some types of plain scalars, so that these stay text.

    Args:
        types: The last parts of the types' tags, such as "timestamp" (https://yaml.org/type/).
    """
    resolvers = {
        first: [one for one in found if one[0].rpartition(":")[2] not in types]
        for first, found in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }
    return type("TextLoader", (yaml.CSafeLoader,), {"yaml_implicit_resolvers": resolvers})
