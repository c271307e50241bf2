"""Compares every module with tensors that the reference implementation computed."""
