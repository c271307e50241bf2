"""Where pictures stand in a conversation, and what of it reaches the prompt."""

import pytest

from vita_model.backbone import open_backbone
from vita_model.engine.chat import Chat
from vita_model.engine.layout import LONGEST_PROMPT, WORDLESS, Laid, lay_out, with_pictures
from vita_model.engine.voice import (
    AssistantText,
    Entry,
    Request,
    Seen,
    ToolCall,
    ToolOutput,
    UserImage,
    UserText,
)

pytestmark = pytest.mark.model

RED, BLUE = Seen([40_001, 40_002, 40_003], 3), Seen([40_004, 40_005, 40_006], 3)
FIRST, SECOND = UserText("What colour is this?"), UserText("And now?")
REPLY = AssistantText("It is red.")


@pytest.fixture(scope="module")
def chat() -> Chat:
    return Chat(open_backbone().tokenizer())


def shown(*entries: Entry) -> list[Seen | None]:
    return [seen for _, seen in with_pictures(entries)]


def test_a_picture_goes_with_the_words_after_it() -> None:
    assert shown(UserImage(RED), FIRST, REPLY, UserImage(BLUE), SECOND) == [RED, None, BLUE]


def test_a_picture_that_comes_late_goes_with_the_words_before_it() -> None:
    assert shown(FIRST, UserImage(RED)) == [RED]
    assert shown(FIRST, UserImage(RED), REPLY, SECOND) == [RED, None, None]


def test_of_several_pictures_the_newest_counts() -> None:
    assert shown(UserImage(RED), UserImage(BLUE), FIRST) == [BLUE]


def test_a_picture_without_words_is_a_turn_only_at_the_end() -> None:
    assert with_pictures([FIRST, REPLY, UserImage(RED)])[-1] == (WORDLESS, RED)
    assert shown(UserImage(RED), REPLY, FIRST) == [None, None]


def test_a_tools_answer_carries_no_picture() -> None:
    call, output = ToolCall("c", "t", "{}"), ToolOutput("c", "{}")
    assert shown(UserImage(RED), FIRST, call, output) == [RED, None, None]


def laid(chat: Chat, *entries: Entry) -> Laid:
    return lay_out(Request("s", "Be brief.", [], entries), chat)


def test_rows_of_pictures_stand_before_the_words_and_are_counted(chat: Chat) -> None:
    with_one, without = laid(chat, UserImage(RED), FIRST), laid(chat, FIRST)
    assert (with_one.image_rows, without.image_rows) == (3, 0)
    names = list(with_one.prompt.names)
    at = names.index(RED.features[0])
    assert names[at : at + 3] == RED.features
    assert names[:at] + names[at + 3 :] == without.prompt.names


def test_a_conversation_that_goes_on_begins_with_the_same_rows(chat: Chat) -> None:
    before = laid(chat, UserImage(RED), FIRST).prompt.names
    after = laid(chat, UserImage(RED), FIRST, REPLY, UserImage(BLUE), SECOND).prompt.names
    assert after[: len(before)] == before


def test_the_oldest_pictures_leave_a_long_prompt_first(chat: Chat) -> None:
    turns: list[Entry] = []
    for _ in range(200):
        turns += [UserImage(RED), FIRST, REPLY]
    result = laid(chat, *turns, UserImage(BLUE), SECOND)
    assert len(result.prompt.names) <= LONGEST_PROMPT
    assert 0 < result.image_rows < 200 * 3
    assert BLUE.features[0] in result.prompt.names
