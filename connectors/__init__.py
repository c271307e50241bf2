"""The doors callers come in by: carriers and, beside them, a carrier's local twin."""
