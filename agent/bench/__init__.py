"""Measures what one call costs the agent, beside the barest Pipecat pipeline. Never part of a test.

Four kinds of processes run on loopback: the agent as `vita serve` starts it, a scripted model
server, a bare Pipecat echo, and the callers. Only the agent's and the echo's CPU time is counted.
"""
