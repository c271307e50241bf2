"""Reads TwiML strictly: what Twilio would refuse is refused, what it would ignore is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

MAX_DOCUMENT = 64 * 1024

_XML_TYPES = frozenset({"text/xml", "application/xml", "application/twiml+xml"})

_SAYABLE = frozenset({"Say", "Play", "Pause"})

_VERBS: dict[str, frozenset[str]] = {
    "Say": frozenset({"voice", "language", "loop"}),
    "Play": frozenset({"loop", "digits"}),
    "Pause": frozenset({"length"}),
    "Gather": frozenset(
        {
            "action",
            "method",
            "input",
            "numDigits",
            "timeout",
            "finishOnKey",
            "actionOnEmptyResult",
        }
    ),
    "Record": frozenset(
        {
            "action",
            "method",
            "timeout",
            "finishOnKey",
            "maxLength",
            "playBeep",
            "trim",
            "recordingStatusCallback",
            "recordingStatusCallbackMethod",
        }
    ),
    "Redirect": frozenset({"method"}),
    "Hangup": frozenset(),
    "Reject": frozenset({"reason"}),
    "Dial": frozenset(
        {"action", "method", "timeout", "callerId", "answerOnBridge", "timeLimit", "hangupOnStar"}
    ),
    "Connect": frozenset({"action", "method"}),
}

_NOUNS: dict[str, dict[str, frozenset[str]]] = {
    "Dial": {"Number": frozenset({"url", "method", "statusCallback", "statusCallbackEvent"})},
    "Connect": {
        "Stream": frozenset(
            {"url", "name", "track", "statusCallback", "statusCallbackMethod", "connectorName"}
        )
    },
    "Stream": {"Parameter": frozenset({"name", "value"})},
    "Gather": {verb: _VERBS[verb] for verb in _SAYABLE},
}


@dataclass(slots=True)
class Element:
    """One XML element."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def child(self, name: str) -> Element | None:
        """The first child of this name."""
        return next((child for child in self.children if child.name == name), None)


@dataclass(frozen=True, slots=True)
class Document:
    """Verbs to perform, and what was wrong but not fatal."""

    verbs: tuple[Element, ...]
    warnings: tuple[str, ...]


class TwimlError(Exception):
    """A document Twilio would not perform; `code` is its error code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def parse(body: bytes, content_type: str) -> Document:
    """Read an answer document.

    Raises:
        TwimlError: 12300 for a wrong content type, 12100 for XML that does not parse.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _XML_TYPES:
        raise TwimlError(12300, f"the content type is {kind or 'missing'}, not text/xml")
    if len(body) > MAX_DOCUMENT:
        raise TwimlError(12100, "the document is longer than 64 kB")
    root = _read(body)
    if root.name != "Response":
        raise TwimlError(12100, f"the root is <{root.name}>, not <Response>")
    warnings: list[str] = []
    verbs = []
    for verb in root.children:
        if verb.name in _VERBS:
            _check(verb, _VERBS[verb.name], warnings)
            verbs.append(verb)
        else:
            warnings.append(f"<{verb.name}> is not a verb of the twin")
    return Document(tuple(verbs), tuple(warnings))


def _read(body: bytes) -> Element:
    """The element tree; document types, and with them entities, are refused."""
    top = Element("", {})
    stack = [top]

    def start(name: str, attributes: dict[str, str]) -> None:
        element = Element(name, attributes)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_name: str) -> None:
        stack.pop()

    def text(data: str) -> None:
        stack[-1].text += data

    def doctype(*_: object) -> None:
        raise TwimlError(12100, "the document has a document type")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise TwimlError(12100, f"the document is not XML: {error}") from error
    return top.children[0]


def _check(element: Element, allowed: frozenset[str], warnings: list[str]) -> None:
    """Drop unknown attributes and children, each with a warning."""
    for name in sorted(element.attributes.keys() - allowed):
        warnings.append(f"{name} is not an attribute of <{element.name}>")
        del element.attributes[name]
    nouns = _NOUNS.get(element.name, {})
    for child in element.children:
        if child.name in nouns:
            _check(child, nouns[child.name], warnings)
        else:
            warnings.append(f"<{child.name}> does not belong in <{element.name}>")
    element.children = [child for child in element.children if child.name in nouns]
