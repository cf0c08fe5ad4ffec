"""torch's attention layer and the transformer layers around it, as text that a port carries.

The layers follow the forms that torch documents for `nn.TransformerEncoderLayer` and `nn.TransformerDecoderLayer`:
each sublayer is added to what it was given, normed before (`norm_first`) or after.
"""

from __future__ import annotations

ATTENTION = '''class MultiheadAttention(nn.Module):
    """Attention with its projections; gives the output and the weights, the mean over heads."""

    def __init__(self, embed_dim, num_heads, bias=True, batch_first=False):
        super().__init__()
        self.num_heads, self.batch_first = num_heads, batch_first
        self.in_proj_weight = mx.zeros((3 * embed_dim, embed_dim))
        if bias:
            self.in_proj_bias = mx.zeros((3 * embed_dim,))
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias=bias)

    def __call__(self, query, key, value, key_padding_mask=None, attn_mask=None):
        weights = mx.split(self.in_proj_weight, 3)
        biases = mx.split(self.in_proj_bias, 3) if "in_proj_bias" in self else (0, 0, 0)

        def heads(x, weight, bias):
            x = x if self.batch_first else x.swapaxes(0, 1)
            x = x @ weight.T + bias
            return x.reshape(*x.shape[:2], self.num_heads, -1).transpose(0, 2, 1, 3)

        q, k, v = (heads(x, w, b) for x, w, b in zip((query, key, value), weights, biases))
        scores = (q * q.shape[-1] ** -0.5) @ k.swapaxes(-1, -2)

        def masked(scores, mask):
            if mask.dtype == mx.bool_:
                return mx.where(mask, -mx.inf, scores)
            return scores + mask

        if attn_mask is not None:
            mask = attn_mask if attn_mask.ndim == 2 else attn_mask.reshape(-1, self.num_heads, *attn_mask.shape[1:])
            scores = masked(scores, mask)
        if key_padding_mask is not None:
            scores = masked(scores, key_padding_mask[:, None, None, :])
        weights = mx.softmax(scores, axis=-1)
        y = (weights @ v).transpose(0, 2, 1, 3).flatten(2)
        y = self.out_proj(y if self.batch_first else y.swapaxes(0, 1))
        return y, weights.mean(axis=1)
'''

ENCODER_LAYER = """class TransformerEncoderLayer(nn.Module):
    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        activation="relu",
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
    ):
        super().__init__()
        self.activation, self.norm_first = activation, norm_first
        self.self_attn = MultiheadAttention(d_model, nhead, bias=bias, batch_first=batch_first)
        self.linear1 = nn.Linear(d_model, dim_feedforward, bias=bias)
        self.linear2 = nn.Linear(dim_feedforward, d_model, bias=bias)
        self.norm1 = nn.LayerNorm(d_model, eps=layer_norm_eps, bias=bias)
        self.norm2 = nn.LayerNorm(d_model, eps=layer_norm_eps, bias=bias)

    def __call__(self, x, mask=None, key_padding_mask=None):
        def attend(x):
            return self.self_attn(x, x, x, key_padding_mask=key_padding_mask, attn_mask=mask)[0]

        def feed(x):
            return self.linear2(getattr(nn, self.activation)(self.linear1(x)))

        if self.norm_first:
            x = x + attend(self.norm1(x))
            return x + feed(self.norm2(x))
        x = self.norm1(x + attend(x))
        return self.norm2(x + feed(x))
"""

DECODER_LAYER = """class TransformerDecoderLayer(TransformerEncoderLayer):
    def __init__(self, d_model, nhead, layer_norm_eps=1e-5, batch_first=False, bias=True, **settings):
        super().__init__(d_model, nhead, layer_norm_eps=layer_norm_eps, batch_first=batch_first, bias=bias, **settings)
        self.multihead_attn = MultiheadAttention(d_model, nhead, bias=bias, batch_first=batch_first)
        self.norm3 = nn.LayerNorm(d_model, eps=layer_norm_eps, bias=bias)

    def __call__(self, x, memory, tgt_mask=None, memory_mask=None, tgt_padding_mask=None, memory_padding_mask=None):
        def attend(x):
            return self.self_attn(x, x, x, key_padding_mask=tgt_padding_mask, attn_mask=tgt_mask)[0]

        def read(x):
            masks = {"key_padding_mask": memory_padding_mask, "attn_mask": memory_mask}
            return self.multihead_attn(x, memory, memory, **masks)[0]

        def feed(x):
            return self.linear2(getattr(nn, self.activation)(self.linear1(x)))

        if self.norm_first:
            x = x + attend(self.norm1(x))
            x = x + read(self.norm2(x))
            return x + feed(self.norm3(x))
        x = self.norm1(x + attend(x))
        x = self.norm2(x + read(x))
        return self.norm3(x + feed(x))
"""

STACK = '''class TransformerStack(nn.Module):
    """Copies of a layer one after another, each given the same masks and memory, and a norm after the last."""

    def __init__(self, layer, num_layers, norm=None):
        super().__init__()
        self.layers = [copy.deepcopy(layer) for _ in range(num_layers)]
        if norm is not None:
            self.norm = norm

    def __call__(self, x, *given, **masks):
        for layer in self.layers:
            x = layer(x, *given, **masks)
        return self.norm(x) if "norm" in self else x
'''

SNIPPETS = {
    "MultiheadAttention": ATTENTION,
    "TransformerEncoderLayer": ENCODER_LAYER,
    "TransformerDecoderLayer": DECODER_LAYER,
    "TransformerStack": STACK,
}
IMPORTS = {"TransformerStack": ("import copy",)}
NEEDS = {
    "TransformerEncoderLayer": ("MultiheadAttention",),
    "TransformerDecoderLayer": ("MultiheadAttention", "TransformerEncoderLayer"),
}
