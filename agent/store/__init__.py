"""The call log: a local spool that never waits, and the SQL database it is shipped to."""
