"""The model side: the VITA-1.5 structure, its server, its training."""
