"""The model server: the OpenAI Realtime protocol over WebSocket in front of a voice model."""
