"""Twilio: voice webhooks, media streams, call control by REST."""
