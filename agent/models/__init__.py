"""The model servers of an installation: which there are, how full each is, who has a place on which."""
