"""What was said and done in a call, and how much of it was heard."""
