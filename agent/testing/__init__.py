"""For authors of tools: pytest fixtures, a scripted model, a phone. Not imported by the agent."""
