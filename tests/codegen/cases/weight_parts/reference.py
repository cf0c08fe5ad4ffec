import torch
from torch import nn
from torch.nn.utils import parametrizations, weight_norm


class Vocoder(nn.Module):
    """A waveform, upsampled by convolutions in groups and by others whose weight is held in two parts."""

    def __init__(self, channels=8, groups=2, stride=2):
        super().__init__()
        self.up = nn.ConvTranspose1d(channels, 2 * channels, 4, stride, 1, groups=groups)
        self.old = weight_norm(nn.Conv1d(2 * channels, channels, 3, padding=1))
        self.wide = weight_norm(nn.ConvTranspose1d(channels, 4, 4, 2, padding=1))
        self.new = parametrizations.weight_norm(nn.Conv1d(4, 3, 3))

    def forward(self, x):
        return self.new(self.wide(torch.tanh(self.old(self.up(x)))))
