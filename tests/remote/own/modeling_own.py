# Copyright 2026 the authors of this model
import torch
from torch import nn
from transformers import PreTrainedModel

from .configuration_own import OwnConfig


class OwnLayer(nn.Module):
    """A gated mixer of one token with the one before it."""

    def __init__(self, config):
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size)
        self.gate = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.scale = config.scale

    def forward(self, hidden):
        # The first token has nothing before it.
        before = torch.nn.functional.pad(hidden, (0, 0, 1, 0))[:, :-1]
        mixed = self.norm(hidden + self.scale * before)
        return hidden + torch.sigmoid(self.gate(mixed)) * self.value(mixed)


class OwnModel(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([OwnLayer(config) for _ in range(config.num_hidden_layers)])
        self.post_init()

    def forward(self, input_ids):
        hidden = self.embed(input_ids)
        for layer in self.layers:
            hidden = layer(hidden)
        return (hidden,)
