"""Seeing: tiles, InternViT and the projector."""
