"""TiCodec: speech to codes and back, with a time-invariant code that carries the voice."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vita_model.config import CodecConfig

_SLOPE = 0.1


def along_time(convolution: nn.Conv1d, maps: Tensor) -> Tensor:
    """A convolution over `[batch, channels, 1, n]`.

    The extra axis lets channels lie next to each other in memory, which 1-d convolutions cannot ask
    for: on a CPU that is up to twice as fast where channels are few and samples many.
    """
    return F.conv2d(
        maps,
        convolution.weight[:, :, None],
        convolution.bias,
        stride=(1, *convolution.stride),
        padding=(0, *cast(tuple[int], convolution.padding)),
        dilation=(1, *convolution.dilation),
    )


def _upsampled(convolution: nn.ConvTranspose1d, maps: Tensor) -> Tensor:
    """Likewise, for a transposed convolution."""
    return F.conv_transpose2d(
        maps,
        convolution.weight[:, :, None],
        convolution.bias,
        stride=(1, *convolution.stride),
        padding=(0, *cast(tuple[int], convolution.padding)),
    )


class ResBlock(nn.Module):
    """Residual dilated convolutions; type 1 follows each with an undilated one."""

    def __init__(self, kind: str, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()

        def convolution(dilation: int) -> nn.Conv1d:
            padding = dilation * (kernel - 1) // 2
            return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=padding)

        self.doubled = kind == "1"
        used = dilations[: 3 if self.doubled else 2]
        dilated = nn.ModuleList(convolution(dilation) for dilation in used)
        if self.doubled:
            self.convs1 = dilated
            self.convs2 = nn.ModuleList(convolution(1) for _ in used)
        else:
            self.convs = dilated

    @override
    def forward(self, maps: Tensor) -> Tensor:
        """`[batch, channels, 1, n]` to the same."""
        for number, dilated in enumerate(self.convs1 if self.doubled else self.convs):
            inner = along_time(cast(nn.Conv1d, dilated), F.leaky_relu(maps, _SLOPE))
            if self.doubled:
                second = cast(nn.Conv1d, self.convs2[number])
                inner = along_time(second, F.leaky_relu_(inner, _SLOPE))
            maps = maps + inner
        return maps


class Generator(nn.Module):
    """Latent frames and a voice vector to a waveform."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        width = config.initial_channels
        self.conv_pre = nn.Conv1d(config.latent_size, width, 7, padding=3)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(config.upsample_rates, config.upsample_kernels, strict=True):
            padding = (kernel - rate) // 2
            self.ups.append(nn.ConvTranspose1d(width, width // 2, kernel, rate, padding))
            width //= 2
            for size, dilations in zip(
                config.resblock_kernels, config.resblock_dilations, strict=True
            ):
                self.resblocks.append(ResBlock(config.resblock, width, size, dilations))
        self.conv_post = nn.Conv1d(width, 1, 7, padding=3)

    @override
    def forward(self, latent: Tensor, voice: Tensor) -> Tensor:
        """`[batch, latent, frames]` and `[batch, global]` to `[batch, 1, frames * hop]` in [-1, 1]."""
        maps = latent.to(self.conv_pre.weight)[:, :, None]
        maps = along_time(self.conv_pre, maps.contiguous(memory_format=torch.channels_last))
        kernels = len(self.config.resblock_kernels)
        for number, up in enumerate(self.ups):
            maps = _upsampled(cast(nn.ConvTranspose1d, up), F.leaky_relu(maps, _SLOPE))
            blocks = [self.resblocks[number * kernels + index] for index in range(kernels)]
            total = blocks[0](maps)
            for block in blocks[1:]:
                total = total + block(maps)
            maps = total / kernels
            if maps.shape[1] == voice.shape[1]:
                maps = maps + voice.to(maps)[:, :, None, None]
        found = along_time(self.conv_post, F.leaky_relu(maps, _SLOPE))[:, :, 0]
        return found.float().tanh()


class GlobalTokenEncoder(nn.Module):
    """Features of one encoder stage to a single vector: convolutions, mean over time, norm."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        inputs, inner, kernel = config.global_conv
        size, half = config.global_size, kernel // 2
        self.conv = nn.Sequential(
            nn.Conv1d(inputs, inner, kernel, padding=half, bias=False),
            nn.LeakyReLU(_SLOPE),
            nn.Conv1d(inner, inner, kernel, padding=half, bias=False),
            nn.LeakyReLU(_SLOPE),
            nn.Conv1d(inner, size, kernel, padding=half, bias=False),
            nn.LeakyReLU(_SLOPE),
        )
        self.fn = nn.Sequential(nn.Linear(size, size), nn.LeakyReLU(_SLOPE), nn.BatchNorm1d(size))

    @override
    def forward(self, maps: Tensor) -> Tensor:
        """`[batch, inputs, n]` to `[batch, global]`."""
        return cast(Tensor, self.fn(self.conv(maps).mean(dim=2)))


class Encoder(nn.Module):
    """A waveform to latent frames and a voice vector."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        width = config.encoder_channels
        self.conv_pre = nn.Conv1d(1, width, 7, padding=3)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        self.normalize = nn.ModuleList()
        stages = zip(config.upsample_rates[::-1], config.upsample_kernels[::-1], strict=True)
        for rate, kernel in stages:
            padding = (kernel - rate) // 2
            self.ups.append(nn.Conv1d(width, 2 * width, kernel, rate, padding))
            width *= 2
            for size, dilations in zip(
                config.resblock_kernels[::-1], config.resblock_dilations[::-1], strict=True
            ):
                self.resblocks.append(ResBlock(config.resblock, width, size, dilations))
                self.normalize.append(nn.GroupNorm(width // 16, width, eps=1e-6))
        self.conv_post = nn.Conv1d(width, config.latent_size, 3, padding=1)
        # Takes no part in the computation, but stands in every published checkpoint.
        self.linear = nn.Sequential(nn.Linear(config.global_size, config.global_size))
        self.GlobalTokenEncoder = GlobalTokenEncoder(config)

    @override
    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """`[batch, 1, samples]` to `[batch, latent, frames]` and `[batch, global]`."""
        maps = self.conv_pre(waveform)
        kernels = len(self.config.resblock_kernels)
        voice: Tensor | None = None
        for number, up in enumerate(self.ups):
            maps = up(F.leaky_relu(maps, _SLOPE))
            total = torch.zeros_like(maps)
            for index in range(number * kernels, (number + 1) * kernels):
                total = self.normalize[index](
                    total + self.resblocks[index](maps[:, :, None])[:, :, 0]
                )
            maps = total / kernels
            if voice is None and maps.shape[1] == self.config.global_conv[0]:
                voice = self.GlobalTokenEncoder(maps)
        if voice is None:
            raise ValueError("codec.global_conv names a width that no encoder stage has")
        return self.conv_post(F.leaky_relu(maps)), voice


class Codebook(nn.Module):
    """Vectors that stand for codes."""

    def __init__(self, codes: int, size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, size)

    def nearest(self, rows: Tensor) -> Tensor:
        """Code of the closest vector: `[..., size]` to int64 `[...]`."""
        table = self.embedding.weight
        distance = table.square().sum(1) - 2 * rows @ table.T
        return distance.argmin(dim=-1)

    @override
    def forward(self, codes: Tensor) -> Tensor:
        """int64 `[...]` to `[..., size]`."""
        return cast(Tensor, self.embedding(codes))


class Quantized(NamedTuple):
    """Quantiser output: `latent` and `voice` snapped to codebooks, their codes, training loss."""

    latent: Tensor
    voice: Tensor
    codes: Tensor
    global_codes: Tensor
    loss: Tensor


class Quantizer(nn.Module):
    """Codebooks of the latent frames (groups by residual layers) and of the voice vector."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        size = config.latent_size // config.groups
        for layer in range(config.residual_layers):
            books = nn.ModuleList(Codebook(config.codes, size) for _ in range(config.groups))
            self.add_module(f"quantizer_modules{layer + 1 if layer else ''}", books)
        count = len(config.global_tokens)
        self.quantizer_modules_globaltokens = nn.ModuleList(
            Codebook(config.codes, config.global_size // count) for _ in range(count)
        )

    def _layers(self) -> list[nn.ModuleList]:
        names = ["", *map(str, range(2, self.config.residual_layers + 1))]
        return [
            cast(nn.ModuleList, self.get_submodule(f"quantizer_modules{name}")) for name in names
        ]

    def embed(self, codes: Tensor) -> Tensor:
        """int64 `[batch, frames, layers * groups]`, layer by layer, to `[batch, latent, frames]`."""
        groups = self.config.groups
        total = codes.new_zeros((), dtype=torch.float32)
        for number, books in enumerate(self._layers()):
            part = codes[..., number * groups : (number + 1) * groups]
            total = total + torch.cat([book(part[..., i]) for i, book in enumerate(books)], dim=-1)
        return total.transpose(1, 2)

    def embed_voice(self, global_codes: Tensor) -> Tensor:
        """int64 `[batch, 1, count]` to `[batch, global]`."""
        books = self.quantizer_modules_globaltokens
        return torch.cat([book(global_codes[:, 0, i]) for i, book in enumerate(books)], dim=-1)

    def _snap(self, rows: Tensor, books: nn.ModuleList) -> tuple[Tensor, Tensor, Tensor]:
        parts = zip(books, rows.chunk(len(books), dim=-1), strict=True)
        codes = torch.stack([cast(Codebook, book).nearest(part) for book, part in parts], dim=-1)
        snapped = torch.cat([book(codes[..., i]) for i, book in enumerate(books)], dim=-1)
        loss = self.config.codebook_weight * F.mse_loss(snapped, rows.detach())
        loss = loss + self.config.commitment_weight * F.mse_loss(rows, snapped.detach())
        return rows + (snapped - rows).detach(), codes, loss

    @override
    def forward(self, latent: Tensor, voice: Tensor) -> Quantized:
        """Snap `[batch, latent, frames]` and `[batch, global]`; gradients pass straight through."""
        rest = latent.transpose(1, 2)
        total = torch.zeros_like(rest)
        codes, losses = [], []
        for books in self._layers():
            snapped, found, loss = self._snap(rest, books)
            rest, total = rest - snapped, total + snapped
            codes.append(found)
            losses.append(loss)
        spoken, global_codes, loss = self._snap(voice, self.quantizer_modules_globaltokens)
        return Quantized(
            total.transpose(1, 2),
            spoken,
            torch.cat(codes, dim=-1),
            global_codes[:, None],
            torch.stack(losses).mean() + loss,
        )


class TiCodec(nn.Module):
    """The whole codec; the encoder is only built when the configuration asks for it."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = Generator(config)
        self.quantizer = Quantizer(config)
        if config.encoder:
            self.encoder = Encoder(config)

    def decode(self, codes: Tensor, global_codes: Tensor | None = None) -> Tensor:
        """Codes to a waveform.

        Args:
            codes: int64 `[batch, frames, layers * groups]`.
            global_codes: int64 `[batch, 1, count]`; None takes the configured voice.

        Returns:
            `[batch, 1, frames * hop]` in [-1, 1].
        """
        if global_codes is None:
            voice = torch.tensor(self.config.global_tokens, device=codes.device)
            global_codes = voice.expand(codes.shape[0], 1, -1)
        latent = self.quantizer.embed(codes)
        return cast(Tensor, self.generator(latent, self.quantizer.embed_voice(global_codes)))

    def encode(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """A waveform `[batch, 1, samples]` to `codes` and `global_codes` as `decode` takes them."""
        if not self.config.encoder:
            raise ValueError("this codec was built without its encoder and cannot encode")
        found = self.quantizer(*self.encoder(waveform))
        return found.codes, found.global_codes
