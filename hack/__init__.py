"""Scripts for maintainers: generated files, advisories, banned words. Nothing here is part of a distribution."""
