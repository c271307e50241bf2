"""The live state of calls, kept in Redis."""
