"""Engines: the language model, and the voice model built around it."""
