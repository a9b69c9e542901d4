"""Hook of mkdocs: point links from docs/ to other files of the repository to the repository's web page.

On the repository's web page, such relative links work as they are. In the site they need the repository's address.
"""

import logging
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOG = logging.getLogger("mkdocs.hooks.site_links")
LINK = re.compile(r"\]\((?P<target>(?:\.\./)+[^)#\s]+)(?P<anchor>#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001  # the hook's signature
    """Return the page with absolute links to files outside docs/; a missing file is a warning, an error if strict."""
    docs = Path(config["docs_dir"]).resolve()

    def absolute(match: re.Match[str]) -> str:
        target = (docs / page.file.src_uri).parent.joinpath(match["target"]).resolve()
        if target.is_relative_to(docs):
            return match[0]
        if not target.exists():
            LOG.warning("%s links to %s, which is missing", page.file.src_uri, match["target"])
        return f"]({config['extra']['repository']}/blob/main/{target.relative_to(ROOT)}{match['anchor'] or ''})"

    return LINK.sub(absolute, markdown)
