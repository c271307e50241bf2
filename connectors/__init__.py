"""Carriers: how calls reach the agent."""
