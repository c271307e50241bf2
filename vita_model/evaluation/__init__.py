"""How well a model does what it is for, on sets that are made here from a seed."""
