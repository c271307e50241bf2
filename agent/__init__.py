"""The call side: lines, sessions, pipelines, tools, the call log."""
