import torch
from torch import nn


class Embeddings(nn.Module):
    def __init__(self, vocab=40, dim=12, positions=64):
        super().__init__()
        self.tokens = nn.Embedding(vocab, dim)
        self.positions = nn.Embedding(positions, dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, ids, position_ids=None, scale=1.0):
        if position_ids is None:
            # as many as there are tokens
            position_ids = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
        x = self.tokens(ids) + self.positions(position_ids)
        return self.norm(x) * scale
