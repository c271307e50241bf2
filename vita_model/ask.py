"""One question to the whole model, its answer as it is written, and spoken if it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import soundfile
from torch import Tensor

from vita_model.answering import answering
from vita_model.assembly import VitaModel
from vita_model.media import MediaError
from vita_model.processor import Message, VitaProcessor
from vita_model.prompt import GLYPHS, Marker
from vita_model.speech.player import playing
from vita_model.speech.speak import voice_parts
from vita_model.speech.synthesis import to_int16
from vita_model.tool_calls import without_calls


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model made of a question.

    Attributes:
        marker: The state it began with.
        probabilities: How likely each state was.
        text: What it wrote; empty after noise.
        seconds: Length of the speech that was made; 0 if none was.
    """

    marker: Marker | None
    probabilities: dict[Marker, float]
    text: str
    seconds: float


def ask(
    model: VitaModel,
    processor: VitaProcessor,
    message: Message,
    write: Callable[[str], None],
    *,
    persona: str = "",
    save: Path | None = None,
    play: bool = False,
    most_tokens: int = 256,
) -> Answer:
    """Put one question to the model; speech is made and heard while the rest is being written.

    Args:
        model: The whole model.
        processor: Of the same checkpoint.
        message: The question with all that belongs to it.
        write: Gets each further piece of the answer's text, in another thread.
        persona: Instructions of the business.
        save: Where the spoken answer goes, a WAV file.
        play: Play the spoken answer on this machine.
        most_tokens: Longest answer, the state included.

    Raises:
        MediaError: A file cannot be used.
        ContextError: The question is too long.
        VoicelessError: Speech is wanted of a model without a voice.
        PlayerError: There is nothing to play it on.
    """
    inputs = processor(message, persona=persona, reserve=most_tokens)
    device = model.language.get_input_embeddings().weight.device
    state = processor.state()
    options = {"state": state, "max_new_tokens": most_tokens}
    samples = 0
    with ExitStack() as stack:
        rate, sinks = _sinks(stack, model, save, play=play)
        live = stack.enter_context(
            answering(model.language, processor, inputs.to(device), write=write, **options)
        )
        if not sinks:
            live.wait()
        else:
            for piece in model.language.speak(without_calls(live), processor.tokenizer):
                sound = piece.float().cpu()
                samples += sound.shape[0]
                for sink in sinks:
                    sink(sound)
    seconds = samples / rate if sinks else 0.0
    return Answer(live.marker, state.probabilities[0], live.text, seconds)


def _sinks(
    stack: ExitStack, model: VitaModel, save: Path | None, *, play: bool
) -> tuple[int, list[Callable[[Tensor], None]]]:
    """The samples a second of speech, and what takes its pieces."""
    sinks: list[Callable[[Tensor], None]] = []
    if save is None and not play:
        return 0, sinks
    rate = voice_parts(model)[1].config.sample_rate
    if save is not None:
        file = stack.enter_context(_wav(save, rate))
        sinks.append(lambda piece: file.write(to_int16(piece)))
    if play:
        player = stack.enter_context(playing(rate))
        sinks.append(lambda piece: player.play(piece.numpy()))
    return rate, sinks


def _wav(path: Path, rate: int) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(path, "w", rate, 1)
    except soundfile.LibsndfileError as error:
        raise MediaError(
            f"The speech cannot be saved as {path}: give a WAV file's name."
        ) from error


def state_line(answer: Answer) -> str:
    """The states and how likely each was: `☞ 93 %, ☜ 6 %, ☟ 1 %`."""
    return ", ".join(f"{GLYPHS[name]} {100 * p:.0f} %" for name, p in answer.probabilities.items())
