"""A slow path written the way the published code computes, as the baseline of measurements.

Eager attention that makes the whole matrix of scores, one product per projection, keys and values
joined anew at every step, rotary angles and norms in separate small operations, one-dimensional
convolutions. It reads the weights of our modules, so both can be compared number for number. What
cannot be had outside the published code (its imports, its logging) is left out in its favour.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vita_model.audio.adapter import SubsamplingAdapter
from vita_model.audio.encoder import Layer, PositionalAttention, WhaleEncoder, sinusoids
from vita_model.speech import decoder as speech
from vita_model.speech.codec import Generator, ResBlock, TiCodec
from vita_model.vision import encoder as sight

_FLOAT16_LEAST = torch.finfo(torch.float16).min


def _heads(rows: Tensor, heads: int) -> Tensor:
    return rows.view(rows.shape[0], rows.shape[1], heads, -1).transpose(1, 2)


def _joined(heads: Tensor) -> Tensor:
    return heads.transpose(1, 2).reshape(heads.shape[0], heads.shape[2], -1)


def _see(layer: sight.Layer, rows: Tensor) -> Tensor:
    attention = layer.attn
    entered = layer.norm1(rows)
    split = attention.qkv(entered).reshape(*rows.shape[:2], 3, attention.heads, -1)
    query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    rows = rows + attention.proj(_joined(scores.softmax(dim=-1) @ value)) * layer.ls1
    return cast(Tensor, rows + layer.mlp(layer.norm2(rows)) * layer.ls2)


def see(tower: sight.VisionTower, projector: nn.Module, pixels: Tensor) -> Tensor:
    """Tiles `[n, 3, size, size]` to rows `[n, rows, width]`."""
    model = tower.vision_tower
    rows = model.embeddings(pixels)
    for layer in model.encoder.layers:
        rows = _see(cast(sight.Layer, layer), rows)
    return cast(Tensor, projector(sight.space_to_depth(rows[:, 1:] * 0.5)))


def _hear(attention: PositionalAttention, rows: Tensor, positions: Tensor, seen: Tensor) -> Tensor:
    query, key, value = (
        _heads(part(rows), attention.heads)
        for part in (attention.linear_q, attention.linear_k, attention.linear_v)
    )
    place = _heads(attention.linear_pos(positions), attention.heads)
    by_content = (query + attention.pos_bias_u[:, None]) @ key.transpose(-2, -1)
    by_place = (query + attention.pos_bias_v[:, None]) @ place.transpose(-2, -1)
    scores = (by_content + by_place) / math.sqrt(query.shape[-1])
    chances = scores.masked_fill(~seen, _FLOAT16_LEAST).softmax(dim=-1).masked_fill(~seen, 0.0)
    return cast(Tensor, attention.linear_out(_joined(chances @ value)))


def hear(
    encoder: WhaleEncoder, adapter: SubsamplingAdapter, features: Tensor, lengths: Tensor
) -> Tensor:
    """Filter banks `[batch, frames, bins]` to rows `[batch, n, width]`."""
    rows = encoder.subsampling(encoder.global_cmvn(features))
    rows = encoder.transformer.embed(rows)
    positions = sinusoids(0, rows.shape[1], rows.shape[2])[None].to(rows)
    rows = rows * math.sqrt(rows.shape[2])
    valid = torch.arange(features.shape[1], device=rows.device) < lengths[:, None]
    valid = valid[:, 2::2][:, 2::2]
    for layer in encoder.transformer.encoders:
        one = cast(Layer, layer)
        rows = rows + _hear(one.self_attn, one.norm1(rows), positions, valid[:, None, None])
        rows = rows + one.feed_forward(one.norm2(rows))
    return adapter(encoder.transformer.after_norm(rows), valid).hidden


class _Cache:
    """Keys and values of one layer, joined with the new ones at every step."""

    def __init__(self) -> None:
        self.parts: tuple[Tensor, Tensor] | None = None

    def update(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        if self.parts is not None:
            key = torch.cat([self.parts[0], key], dim=2)
            value = torch.cat([self.parts[1], value], dim=2)
        self.parts = key, value
        return self.parts


def _half_turned(heads: Tensor) -> Tensor:
    half = heads.shape[-1] // 2
    return torch.cat([-heads[..., half:], heads[..., :half]], dim=-1)


def _normed(norm: nn.Module, rows: Tensor, eps: float) -> Tensor:
    wide = rows.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return cast(Tensor, norm.weight) * wide.to(rows.dtype)


class Speaker:
    """The speech decoder's loop with the most likely code each time."""

    def __init__(self, decoder: speech.SpeechDecoder) -> None:
        self._decoder = decoder
        self._config = decoder.config
        self._caches = [_Cache() for _ in decoder.layers]
        self._position = 0

    def _layer(
        self, layer: speech.Layer, rows: Tensor, angles: Tensor, cache: _Cache | None
    ) -> Tensor:
        attention, mlp, eps = layer.self_attn, layer.mlp, self._config.rms_norm_eps
        entered = _normed(layer.input_layernorm, rows, eps)
        query, key, value = (
            _heads(part(entered), attention.heads)
            for part in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        cos, sin = angles.cos()[None, None], angles.sin()[None, None]
        query = query * cos + _half_turned(query) * sin
        key = key * cos + _half_turned(key) * sin
        if cache is not None:
            key, value = cache.update(key, value)
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
        chances = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
        rows = rows + attention.o_proj(_joined(chances @ value))
        entered = _normed(layer.post_attention_layernorm, rows, eps)
        gated = F.silu(mlp.gate_proj(entered)) * mlp.up_proj(entered)
        return cast(Tensor, rows + mlp.down_proj(gated))

    def _layers(self, layers: nn.ModuleList, rows: Tensor, caches: list[_Cache] | None) -> Tensor:
        start = 0 if caches is None else self._position
        positions = torch.arange(start, start + rows.shape[1], device=rows.device).float()
        width = self._config.hidden_size // self._config.heads
        steps = torch.arange(0, width, 2, device=rows.device).float() / width
        angles = positions[:, None] / self._config.rope_theta**steps
        angles = torch.cat([angles, angles], dim=-1)
        for number, layer in enumerate(layers):
            cache = None if caches is None else caches[number]
            rows = self._layer(cast(speech.Layer, layer), rows, angles, cache)
        return rows

    def _feed(self, code: int) -> Tensor:
        decoder = self._decoder
        ids = torch.tensor([[code]], device=decoder.embedding.weight.device)
        rows = self._layers(decoder.layers, decoder.embedding(ids), self._caches)
        self._position += 1
        rows = _normed(decoder.norm, rows, self._config.rms_norm_eps)
        return cast(Tensor, decoder.out_fnn(rows[:, -1]))

    def _begin(self, hidden: Tensor) -> Tensor:
        decoder = self._decoder
        front = self._layers(decoder.layers_pre_nn, hidden, None)
        ids = torch.tensor([[self._config.separator]], device=hidden.device)
        rows = torch.cat([decoder.embedding(ids), front], dim=1)
        self._layers(decoder.layers, rows, self._caches)
        self._position = rows.shape[1]
        return self._feed(self._config.start)

    def logits(self, hidden: Tensor, codes: list[int]) -> Tensor:
        """The logits `[len(codes), vocabulary]` before each of `codes`."""
        found = [self._begin(hidden)]
        found += [self._feed(code) for code in codes[:-1]]
        return torch.cat(found)

    def speak(self, hidden: Tensor, count: int) -> list[int]:
        """`count` codes for a text condition `[1, n, width]`."""
        logits, codes = self._begin(hidden), list[int]()
        while True:
            best = logits.softmax(dim=-1).topk(1)
            weights = best.values / best.values.sum()
            codes.append(int(best.indices[0, torch.multinomial(weights[0], 1)[0]]))
            if len(codes) == count:
                return codes
            logits = self._feed(codes[-1])


def _residual(block: ResBlock, maps: Tensor) -> Tensor:
    for dilated, plain in zip(block.convs1, block.convs2, strict=True):
        inner = dilated(F.leaky_relu(maps, 0.1))
        maps = plain(F.leaky_relu(inner, 0.1)) + maps
    return maps


def _waveform(generator: Generator, latent: Tensor, voice: Tensor) -> Tensor:
    maps = generator.conv_pre(latent)
    kernels = len(generator.config.resblock_kernels)
    for number, up in enumerate(generator.ups):
        maps = up(F.leaky_relu(maps, 0.1))
        total: Tensor | None = None
        for index in range(number * kernels, (number + 1) * kernels):
            part = _residual(cast(ResBlock, generator.resblocks[index]), maps)
            total = part if total is None else total + part
        maps = cast(Tensor, total) / kernels
        if maps.shape[1] == voice.shape[1]:
            maps = maps + voice[:, :, None]
    return torch.tanh(generator.conv_post(F.leaky_relu(maps, 0.1)))


def decode(codec: TiCodec, codes: Tensor) -> Tensor:
    """Codes `[1, frames, 1]` to a waveform `[1, 1, samples]` in the configured voice."""
    voice = torch.tensor(codec.config.global_tokens, device=codes.device)[None, None]
    latent, speaker = codec.quantizer.embed(codes), codec.quantizer.embed_voice(voice)
    return _waveform(codec.generator, latent, speaker)
