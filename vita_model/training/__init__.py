"""Our own three-stage recipe, from synthetic speech to the weights of vita-tiny."""
