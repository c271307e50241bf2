"""The REST interface: the supervisors' services, and the lines, tools and calls of this agent."""
