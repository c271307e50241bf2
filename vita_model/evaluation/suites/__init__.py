"""The suites of `vita eval`, by name."""
