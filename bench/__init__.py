"""The figures of docs/development/performance.md, each a ratio against something measured in the same minutes."""
