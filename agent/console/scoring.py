"""The scorecard of a call: one's own answers, and what others gave."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from agent.console.controls import main_button
from agent.console.markup import Markup, join, tag
from agent.console.parts import Parts
from agent.console.shell import show
from agent.console.visitor import Visitor, handled, say
from agent.supervisor.review import Review
from agent.supervisor.scorecard import Scorecard, ScoreItem


class Scoring:
    """The reviews of one call. Answers count when they are saved, all of them at once."""

    def __init__(self, parts: Parts, visitor: Visitor, call_id: str) -> None:
        self._reviews = parts.desk.reviews
        self._visitor = visitor
        self._call_id = call_id
        self._values: dict[str, int] = {}

    async def build(self) -> None:
        """Put the scorecard on the page."""
        actor = self._visitor.actor
        self._card = await self._reviews.scorecard(actor)
        given = await self._reviews.list(actor, self._call_id)
        mine = next((each for each in given if each.reviewer_id == actor.id), None)
        if mine is not None and (mine.scorecard, mine.scorecard_version) == _version(self._card):
            self._values = dict(mine.values)
        with ui.element("section").classes("paper"):
            show(tag("h2", self._card.name), "head")
            with ui.element("div").classes("body"):
                self._total = show(Markup(""))
                if actor.may("review"):
                    self._form(mine)
                self._others = show(Markup(""))
        self._show_total()
        self._show_others(given)

    def _form(self, mine: Review | None) -> None:
        for item in self._card.items:
            with ui.element("div").classes("ask"):
                show(tag("span", item.question), "what")
                self._answer(item)
        self._comment = ui.textarea(
            value=mine.comment if mine else "", placeholder="Comment (if you like)"
        )
        self._comment.props("outlined dense autogrow").classes("w-all comment")
        with ui.element("div").classes("row-flex"):
            ui.space()
            _ = main_button("Save score", handled(self._visitor, self._save))

    def _answer(self, item: ScoreItem) -> None:
        value = self._values.get(item.key)
        if item.scale == "stars":
            stars = ui.rating(value=value or 0, max=5, size="19px", color="amber-7")
            stars.mark(f"score-{item.key}").props(f'aria-label="{item.key}"')
            stars.on_value_change(lambda e: self._take(item.key, int(e.value)))
        else:
            choice = ui.toggle({1: "Yes", 0: "No"}, value=value)
            choice.props("dense unelevated no-caps toggle-color=primary size=sm").classes("yes-no")
            choice.mark(f"score-{item.key}")
            choice.on_value_change(lambda e: self._take(item.key, e.value))

    def _take(self, key: str, value: int | None) -> None:
        if value is None or (value == 0 and self._scale(key) == "stars"):
            self._values.pop(key, None)
        else:
            self._values[key] = value
        self._show_total()

    def _scale(self, key: str) -> str:
        return next(item.scale for item in self._card.items if item.key == key)

    async def _save(self) -> None:
        actor = self._visitor.actor
        review = await self._reviews.submit(
            actor, self._call_id, self._values, comment=self._comment.value or ""
        )
        self._show_others(await self._reviews.list(actor, self._call_id))
        say(f"Saved: {review.total:.0f} of 100.")

    def _show_total(self) -> None:
        answered = len(self._values) == len(self._card.items)
        if not answered:
            left_words = f"of {len(self._card.items)} answered"
            self._total.set_content(_total(str(len(self._values)), left_words, 0))
        else:
            total = self._card.total(self._values)
            self._total.set_content(_total(f"{total:.0f}", "of 100", total))
        self._total.set_visibility(self._visitor.actor.may("review"))

    def _show_others(self, given: Sequence[Review]) -> None:
        rows = [
            tag(
                "div",
                tag("div", tag("b", each.reviewer), self._visitor.when(each.created_at), cls="by"),
                tag("span", f"{each.total:.0f}", cls="strong num"),
                tag("p", each.comment) if each.comment else None,
                cls="note given",
            )
            for each in given
        ]
        if not rows and not self._visitor.actor.may("review"):
            rows = [tag("p", "Not scored yet.", cls="muted")]
        self._others.set_content(join(*rows))


def _total(value: str, about: str, share: float) -> Markup:
    bar = tag("div", tag("i", style=f"width: {share:.0f}%"), cls="bar")
    line = tag("div", tag("span", value, cls="value"), tag("span", about, cls="muted"), cls="total")
    return join(line, bar)


def _version(card: Scorecard) -> tuple[str, int]:
    return card.name, card.version
