"""Hearing: filter banks, the whale encoder and its adapter."""
