"""Errors a person or another program may see. Each carries one clear sentence and a code."""

from __future__ import annotations


class VitaError(Exception):
    """Base of all expected errors. `code` is stable; `str(error)` says what to do.

    `exit_code` is what the `vita` command returns, `http_status` what an HTTP door answers.
    """

    code = "error"
    exit_code = 1
    http_status = 500


class ConfigurationError(VitaError):
    """A setting, a file or a lines entry is wrong."""

    code = "configuration"
    exit_code = 2


class DatabaseAwayError(ConfigurationError):
    """The database does not answer at its address."""

    code = "database_away"
    http_status = 503


class LineNotFoundError(VitaError):
    """A call came in for a number no line is configured for."""

    code = "line_not_found"
    http_status = 404


class TokenRejectedError(VitaError):
    """A stream token is unknown, expired, used, or belongs to another call."""

    code = "token_rejected"
    http_status = 403


class CapacityError(VitaError):
    """No room for another call right now."""

    code = "at_capacity"
    http_status = 503


class AfterHoursError(VitaError):
    """The line is closed and its calls are not answered. The sentence is what a caller is told."""

    code = "after_hours"
    http_status = 403


class CallEndedError(VitaError):
    """The carrier asks about a call that has ended for good."""

    code = "call_ended"
    http_status = 409


class SessionStoreError(VitaError):
    """Redis did not answer within its budget."""

    code = "session_store_unavailable"
    http_status = 503


class ModelUnavailableError(VitaError):
    """No model server could be reached, or it refused the session."""

    code = "model_unavailable"
    http_status = 503


class ToolError(VitaError):
    """A tool could not do what was asked. The sentence is for the model and the log."""

    code = "tool_failed"


class ToolUnsureError(ToolError):
    """A tool broke off: nobody knows how far it came. What must happen once is not done again."""

    code = "tool_unsure"


class CarrierError(VitaError):
    """The carrier's REST interface refused or did not answer."""

    code = "carrier"
    http_status = 502


class PortInUseError(VitaError):
    """A server could not bind its address."""

    code = "port_in_use"
    exit_code = 3


class BadAudioError(VitaError):
    """An audio file cannot be read."""

    code = "bad_audio"
    exit_code = 4


class NotSignedInError(VitaError):
    """No key or session was given, or it is wrong, expired or revoked."""

    code = "not_signed_in"
    http_status = 401


class PermissionDeniedError(VitaError):
    """The role of who asks does not include what was asked."""

    code = "permission_denied"
    http_status = 403


class NotFoundError(VitaError):
    """There is no such call, note, user, key, recording or page."""

    code = "not_found"
    http_status = 404


class InvalidRequestError(VitaError):
    """What was asked makes no sense; the sentence says what would."""

    code = "invalid_request"
    exit_code = 2
    http_status = 422


class ConflictError(VitaError):
    """It exists already, or has changed in the meantime."""

    code = "conflict"
    http_status = 409


class TooManyRequestsError(VitaError):
    """Asked too often. `retry_after_s` is when to ask again, in seconds."""

    code = "too_many_requests"
    http_status = 429

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CallLogUnavailableError(VitaError):
    """The call log's database is away or busy."""

    code = "call_log_unavailable"
    http_status = 503
