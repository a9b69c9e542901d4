"""The docker commands of docs/operations/install-aks.md, by localcluster's builder.

python -m tests.deploy.docker ARGUMENTS

Builds the two images and pushes them to the registry at $REGISTRY_OF_TEST, whatever registry their references name; a
login is taken as done. Other uses of docker it does not know.
"""

import os
import sys

from localcluster.toolchain import images


def main(arguments: list[str]) -> int:
    match arguments:
        case ["ps" | "login", *_]:
            return 0
        case ["build", "-f", file, "-t", _, "."]:
            images.build_image(file.rpartition(".")[2])
            return 0
        case ["push", reference]:
            path = reference.partition("/")[2]
            name = path.rpartition("/")[2].partition(":")[0]
            images.push_image(images.build_image(name), f"{os.environ['REGISTRY_OF_TEST']}/{path}", plain_http=True)
            return 0
    print(f"this replacement of docker does not support: {arguments}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
