"""Functions of attention that MLX has no counterpart of, as text that a port carries."""

WINDOW_MASK = '''def make_window_mask(inputs_embeds, window, attention_mask=None):
    """An additive mask: a token sees those at most `window` away on either side, and no padding."""
    places = mx.arange(inputs_embeds.shape[1])
    mask = (mx.abs(places[:, None] - places) <= window)[None, None]
    if attention_mask is not None:
        mask = mask & (attention_mask[:, None, None, :] != 0)
    dtype = inputs_embeds.dtype
    return mx.where(mask, 0.0, mx.finfo(dtype).min).astype(dtype)
'''

MASKED_ATTENTION = '''def masked_attention(query, key, value, scale, mask):
    """Attention that is zero where a mask leaves a query no key."""
    attended = mx.fast.scaled_dot_product_attention(query, key, value, scale=scale, mask=mask)
    if not isinstance(mask, mx.array):  # none, or MLX's causal one, which leaves each query its own key
        return attended
    return mx.where(mx.any(mask, axis=-1, keepdims=True), attended, 0.0)
'''

ATTEND_HEADS = '''def attend_heads(query, key, value, heads, weights, bias, out_weight, out_bias):
    """Multi-head attention over (length, batch, width), with weights that others hold."""
    parts = []
    for x, weight, shift in zip((query, key, value), weights, mx.split(bias, 3)):
        x = x @ weight.T + shift
        parts.append(x.reshape(*x.shape[:2], heads, -1).transpose(1, 2, 0, 3))
    out = mx.fast.scaled_dot_product_attention(*parts, scale=parts[0].shape[-1] ** -0.5)
    return out.transpose(2, 0, 1, 3).flatten(2) @ out_weight.T + out_bias
'''

ATTEND_WITH_SHARES = '''def attend_with_shares(
    query, key, value, heads, weights, bias, out_weight, out_bias, attn_mask=None, key_padding_mask=None
):
    """Multi-head attention over (length, batch, width), with weights that others hold, and the mean of its shares."""
    parts = []
    for x, weight, shift in zip((query, key, value), weights, mx.split(bias, 3)):
        x = x @ weight.T + shift
        parts.append(x.reshape(*x.shape[:2], heads, -1).transpose(1, 2, 0, 3))
    query, key, value = parts
    scores = query * query.shape[-1] ** -0.5 @ key.swapaxes(-1, -2)
    if attn_mask is not None and attn_mask.ndim == 3:  # (batch * heads, queries, keys)
        attn_mask = attn_mask.reshape(scores.shape)
    if key_padding_mask is not None:
        key_padding_mask = key_padding_mask[:, None, None]
    for mask in (attn_mask, key_padding_mask):
        if mask is not None:
            scores = mx.where(mask, -mx.inf, scores) if mask.dtype == mx.bool_ else scores + mask
    shares = mx.softmax(scores, axis=-1)
    out = (shares @ value).transpose(2, 0, 1, 3).flatten(2)
    return out @ out_weight.T + out_bias, mx.mean(shares, axis=1)
'''

ATTENTION_SNIPPETS = {
    "make_window_mask": WINDOW_MASK,
    "masked_attention": MASKED_ATTENTION,
    "attend_heads": ATTEND_HEADS,
    "attend_with_shares": ATTEND_WITH_SHARES,
}
