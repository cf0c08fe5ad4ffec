import torch
import torch.nn.functional as F
from torch import nn


class Experts(nn.Module):
    """Every expert visits the tokens that were routed to it; its weights are stacked along the first axis."""

    def __init__(self, count, dim, hidden):
        super().__init__()
        self.count = count
        self.up = nn.Parameter(torch.randn(count, 2 * hidden, dim))
        self.up_bias = nn.Parameter(torch.randn(count, 2 * hidden))
        self.down = nn.Parameter(torch.randn(count, hidden, dim))

    def gate(self, both):
        left, right = both[..., ::2], both[..., 1::2]
        return torch.sigmoid(left.clamp(max=2.0)) * right

    def forward(self, tokens, chosen, shares):
        total = torch.zeros_like(tokens)
        with torch.no_grad():
            mask = F.one_hot(chosen, num_classes=self.count).permute(2, 1, 0)
            busy = torch.greater(mask.sum(dim=(-1, -2)), 0).nonzero()
        for expert in busy:
            expert = expert[0]
            place, token = torch.where(mask[expert])
            h = F.linear(tokens[token], self.up[expert], self.up_bias[expert])
            h = self.gate(h) @ self.down[expert]
            h = h * shares[token, place, None]
            total.index_add_(0, token, h.to(total.dtype))
        return total


class Routed(nn.Module):
    def __init__(self, dim=8, hidden=12, count=4, per_token=2, groups=2):
        super().__init__()
        self.per_token = per_token
        self.groups = groups
        self.router = nn.Linear(dim, count)
        self.experts = Experts(count, dim, hidden)

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        scores = self.router(tokens).sigmoid()
        # only the group with the best expert is eligible
        best = scores.view(tokens.shape[0], self.groups, -1).max(dim=-1).values
        mask = torch.zeros_like(best).scatter_(1, best.topk(1, dim=-1).indices, 1)
        mask = mask.repeat_interleave(scores.shape[-1] // self.groups, dim=-1)
        shares, chosen = scores.masked_fill(mask == 0, float("-inf")).topk(self.per_token, dim=-1)
        return self.experts(tokens, chosen, shares).view(x.shape)
