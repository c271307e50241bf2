"""Stage 3.2: the speech decoder learns to speak text in codes; the language model stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch.nn.utils.rnn import pad_sequence

from vita_model.config import CodecConfig
from vita_model.speech.codec import TiCodec
from vita_model.speech.decoder import SpeechDecoder
from vita_model.training.parts import Learner
from vita_model.training.tasks.recordings import Recording
from vita_model.training.tasks.task import Batch, Loss


class Speaking:
    """Teacher-forced cross entropy of the codes, given the language model's rows of the text.

    `vita-1.5`, section 5.4: embedding rows of the text, each cut into rows of the decoder's width;
    the condition sees itself both ways, codes see what came before, the end has a code of its own.
    """

    def __init__(
        self, recordings: Sequence[Recording], tokenizer: Tokenizer, config: CodecConfig
    ) -> None:
        self._recordings = recordings
        self._tokenizer = tokenizer
        self._config = config

    @property
    def size(self) -> int:
        """Number of recordings."""
        return len(self._recordings)

    def batch(self, indices: Sequence[int], seed: int) -> Batch:
        """`ids` (list of int64 `[n]`), `waveforms` `[batch, 1, samples]` and `frames` `[batch]`."""
        del seed
        ids, sounds = [], []
        for index in indices:
            one = self._recordings[index]
            sound = one.samples(self._config.sample_rate)
            words = self._tokenizer.encode(one.text, add_special_tokens=False).ids
            ids.append(torch.tensor(words))
            sounds.append(sound[: len(sound) - len(sound) % self._config.hop])
        lengths = torch.tensor([len(sound) // self._config.hop for sound in sounds])
        return {
            "ids": ids,
            "waveforms": pad_sequence(sounds, batch_first=True)[:, None],
            "frames": lengths,
        }

    def count(self, batch: Batch) -> float:
        """Codes, the end of each utterance among them."""
        return float(batch["frames"].sum() + len(batch["frames"]))

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        """See the class."""
        decoder = cast(SpeechDecoder, learner.speech)
        codec = cast(TiCodec, learner.codec)
        table = learner.language.get_input_embeddings()
        width = decoder.config.hidden_size
        with torch.no_grad():
            codes = codec.encode(batch["waveforms"])[0][:, :, 0]
            rows = [table(words).reshape(-1, width) for words in batch["ids"]]
        hidden = pad_sequence(rows, batch_first=True).to(decoder.norm.weight.dtype)
        lengths = torch.tensor([len(row) for row in rows], device=hidden.device)
        frames = batch["frames"].clamp_max(codes.shape[1])
        codes = F.pad(codes, (0, max(0, int(frames.max()) - codes.shape[1])))
        found = decoder(hidden, lengths, codes[:, : int(frames.max())], frames)
        counted = found.targets != decoder.config.pad
        right = ((found.logits.detach().argmax(-1) == found.targets) & counted).sum()
        return Loss(found.loss, {"codes": found.loss.detach(), "right": right.float()})
