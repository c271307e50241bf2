"""Calls and lines: what a call is, which line it came in on, how it is admitted."""
