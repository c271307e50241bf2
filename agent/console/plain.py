"""Pages without scripts of the framework: the door, and what leads back to it."""

from __future__ import annotations

from agent.console.markup import Child, Markup, tag

LIGHT = Markup(
    "<script>document.cookie='vita_zone='+Intl.DateTimeFormat().resolvedOptions().timeZone+"
    "'; path=/; max-age=31536000; samesite=lax';"
    "const s=document.cookie.match(/vita_scheme=(dark|light)/);"
    "const d=s?s[1]==='dark':matchMedia('(prefers-color-scheme: dark)').matches;"
    "document.body.className=d?'body--dark':'body--light';</script>"
)
"""Remembers the visitor's time zone and chooses the light before anything is drawn."""


def plain_page(title: str, *content: Child) -> str:
    """A whole document."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} · vita"),
        tag("link", rel="stylesheet", href="/static/console.css"),
        tag("link", rel="stylesheet", href="/static/sign-in.css"),
        tag("link", rel="icon", href="/static/icon.svg"),
    )
    body = tag("body", LIGHT, *content, cls="body--light")
    return f"<!doctype html>{tag('html', head, body, lang='en')}"
