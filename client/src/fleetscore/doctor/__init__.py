"""The checks of an installation: facts are gathered in parallel, and pure functions turn them into findings."""
