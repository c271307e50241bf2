"""What the agent can do besides talking. Every tool, also the built-in ones, is a plugin."""
