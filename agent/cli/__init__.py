"""The `vita` command: one file per group of commands."""
