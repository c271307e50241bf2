"""Example tools for vita-agent: a practice's diary."""
