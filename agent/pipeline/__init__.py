"""One Pipecat pipeline per call: caller's audio in, model server, paced audio out."""
