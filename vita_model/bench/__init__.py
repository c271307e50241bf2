"""Measurements of the model with their method; never a test."""
