"""Speaking: the speech decoder, the codec and chunked synthesis."""
