import torch
import torch.nn.functional as F
from torch import nn


class Settings(nn.Module):
    """Settings of torch's own layers and functions that a config may change, and that the text folds."""

    def __init__(self, width=8, causal=False, activation="relu", threshold=20.0, scale=2, mode="nearest"):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        layer = nn.TransformerEncoderLayer(width, 2, 12, activation=activation, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.up = nn.Upsample(scale_factor=scale, mode=mode)
        self.causal = causal
        self.threshold = threshold

    def forward(self, x, mask=None):
        length = x.shape[1]
        hidden = torch.ones(length, length, dtype=torch.bool).triu(1) if self.causal else None
        x, _ = self.attention(x, x, x, attn_mask=hidden)
        if mask is not None and mask.dtype == torch.bool:
            x = x.masked_fill(mask[..., None], 0.0)
        x = F.softplus(self.encoder(x), threshold=self.threshold)
        up = self.up(x[:, None])
        heads = x.view(*x.shape[:2], 2, -1).transpose(1, 2)
        out = F.scaled_dot_product_attention(heads[:, :, :3], heads, heads, is_causal=True)
        both = F.scaled_dot_product_attention(heads, heads, heads, is_causal=mask is None)
        return up, out, both
