"""Calls from a browser: the call page, its signalling, and the WebRTC leg."""
