"""The table of row tests: a name, one torch expression over inputs, and the inputs' shapes.

`x y z` are float32 draws, `p` is positive, `i j` are int64 below 4. An expression over `F.conv2d(x, y)` shows a
row on a channels-last value. Rows of random numbers and of torch's own state have no test: nothing can be compared.
"""

from __future__ import annotations

# rows -> (expression over torch, F and the inputs, shapes of the inputs by name)
ELEMENTWISE = (
    "rsqrt sqrt log log2 log10 log1p reciprocal",
    "cos sin tan tanh sigmoid abs floor ceil expm1 isnan isinf isfinite logical_not erf sign square sinh cosh round",
)
UNARY: dict[str, str] = {n: f"torch.{n}(p)" for n in ELEMENTWISE[0].split()}
UNARY |= {n: f"torch.{n}(x)" for n in ELEMENTWISE[1].split()}

ROWS: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    **{n: (e, {"p" if "(p)" in e else "x": (2, 3, 5)}) for n, e in UNARY.items()},
    "exp": ("x.exp() + x * torch.sin(1000.0 * torch.exp(-9.0 * torch.arange(64).float() / 64))", {"x": (3, 64)}),
    "erfinv": ("torch.erfinv(torch.tanh(x))", {"x": (3, 4)}),
    "absolute": ("torch.absolute(x)", {"x": (3, 4)}),
    "asin arcsin": ("torch.asin(torch.tanh(x))", {"x": (3, 4)}),
    "acos arccos": ("torch.acos(torch.tanh(x))", {"x": (3, 4)}),
    "atan arctan": ("torch.atan(x)", {"x": (3, 4)}),
    "element_size": ("x * x.element_size()", {"x": (3, 4)}),
    "sinc": ("torch.sinc(torch.cat([x, x * 0]))", {"x": (3, 4)}),
    "kaiser_window": ("x * torch.kaiser_window(7, beta=4.5, periodic=False)", {"x": (3, 7)}),
    "kaiser_window periodic": ("x * torch.kaiser_window(8)", {"x": (3, 8)}),
    "hann_window": ("x * torch.hann_window(7) + torch.hann_window(7, periodic=False)", {"x": (3, 7)}),
    "hamming_window": ("x * torch.hamming_window(7)", {"x": (3, 7)}),
    "stft": (
        "torch.view_as_real(torch.stft(x, 8, 3, window=torch.hann_window(6), win_length=6, return_complex=True))",
        {"x": (2, 40)},
    ),
    "stft plain": (
        "torch.stft(x, 8, window=p, center=False, normalized=True, onesided=False, return_complex=True).abs()",
        {"x": (2, 40), "p": (8,)},
    ),
    "cumsum_": ("x.clone().cumsum_(1)", {"x": (3, 4)}),
    "linalg_qr": ("torch.linalg.qr(x)[0] @ torch.linalg.qr(x)[1] + torch.linalg.qr(x)[0].sum()", {"x": (5, 3)}),
    "diag_embed": ("torch.diag_embed(x)", {"x": (2, 3)}),
    "conv_transpose1d bias": (
        "F.conv_transpose1d(x, y, p, stride=2, padding=1, output_padding=1)",
        {"x": (2, 3, 9), "y": (3, 4, 4), "p": (4,)},
    ),
    "conv_transpose1d groups": (
        "F.conv_transpose1d(x, y, stride=2, padding=1, groups=4)",
        {"x": (2, 4, 9), "y": (4, 1, 5)},
    ),
    "conv_transpose2d groups": (
        "F.conv_transpose2d(x, y, padding=(1, 0), dilation=(1, 2), groups=2)",
        {"x": (2, 4, 9, 7), "y": (4, 3, 3, 2)},
    ),
    "conv_transpose3d stride": (
        "F.conv_transpose3d(x, y, stride=(1, 2, 1))",
        {"x": (2, 3, 4, 5, 4), "y": (3, 2, 2, 3, 2)},
    ),
    "conv_transpose3d groups": (
        "F.conv_transpose3d(x, y, stride=(1, 1, 2), groups=3)",
        {"x": (2, 3, 4, 5, 4), "y": (3, 1, 1, 1, 2)},
    ),
    "pad starred": ("F.pad(x, (*tuple(int(n) for n in (1, 2)), 0, 1))", {"x": (2, 3, 4)}),
    "conv3d groups": (
        "F.conv3d(x, y, stride=(2, 1, 1), padding=(1, 0, 1), dilation=(1, 2, 1), groups=2)",
        {"x": (2, 4, 5, 6, 4), "y": (4, 2, 3, 2, 2)},
    ),
    "atan2 arctan2": ("torch.atan2(x, y)", {"x": (3, 4), "y": (3, 4)}),
    "trunc fix": ("torch.trunc(x * 3)", {"x": (3, 4)}),
    "frac": ("torch.frac(x * 3)", {"x": (3, 4)}),
    "exp2": ("torch.exp2(x)", {"x": (3, 4)}),
    "neg negative": ("torch.neg(x)", {"x": (3, 4)}),
    "positive clone detach contiguous cpu alias requires_grad_ cuda": (
        "x.contiguous().clone().detach().cpu()",
        {"x": (3, 4)},
    ),
    "add": ("torch.add(x, y, alpha=2)", {"x": (3, 4), "y": (4,)}),
    "sub subtract": ("torch.sub(x, y)", {"x": (3, 4), "y": (4,)}),
    "mul multiply": ("torch.mul(x, y)", {"x": (3, 4), "y": (4,)}),
    "add_ sub_ mul_ div_": ("x.clone().add_(y).mul_(2.0).sub_(1.0).div_(3.0)", {"x": (3, 4), "y": (3, 4)}),
    "div divide true_divide": ("torch.div(x, p)", {"x": (3, 4), "p": (3, 4)}),
    "floor_divide": ("torch.div(x * 9, 2, rounding_mode='floor')", {"x": (3, 4)}),
    "minimum fmin": ("torch.minimum(x, y)", {"x": (3, 4), "y": (3, 4)}),
    "maximum fmax": ("torch.maximum(x, y)", {"x": (3, 4), "y": (3, 4)}),
    "eq": ("torch.eq(i, 2)", {"i": (3, 4)}),
    "ne not_equal": ("i.ne(2)", {"i": (3, 4)}),
    "lt less": ("torch.lt(x, y)", {"x": (3, 4), "y": (3, 4)}),
    "le less_equal": ("x.le(0)", {"x": (3, 4)}),
    "gt greater": ("torch.gt(x, y)", {"x": (3, 4), "y": (3, 4)}),
    "ge greater_equal": ("x.ge(0)", {"x": (3, 4)}),
    "logical_and": ("torch.logical_and(x > 0, y > 0)", {"x": (3, 4), "y": (3, 4)}),
    "logical_or": ("torch.logical_or(x > 0, y > 0)", {"x": (3, 4), "y": (3, 4)}),
    "logical_xor": ("torch.logical_xor(x > 0, y > 0)", {"x": (3, 4), "y": (3, 4)}),
    "bitwise_and __and__": ("torch.bitwise_and(i, j)", {"i": (3, 4), "j": (3, 4)}),
    "bitwise_or __or__": ("torch.bitwise_or(i, j)", {"i": (3, 4), "j": (3, 4)}),
    "remainder": ("torch.remainder(x * 5, 2)", {"x": (3, 4)}),
    "round_": ("x.clone().round_()", {"x": (3, 4)}),
    "byte": ("i.byte()", {"i": (3, 4)}),
    "fmod": ("torch.fmod(x * 5, -p)", {"x": (3, 4), "p": (3, 4)}),
    "deg2rad": ("torch.deg2rad(x * 90)", {"x": (3, 4)}),
    "rad2deg": ("torch.rad2deg(x)", {"x": (3, 4)}),
    "rsub": ("torch.rsub(x, 1.0)", {"x": (3, 4)}),
    "where": ("torch.where(x > 0, x, y)", {"x": (3, 4), "y": (3, 4)}),
    "masked_fill masked_fill_": ("x.masked_fill(y > 0, -7.0)", {"x": (3, 4), "y": (3, 4)}),
    "lerp": ("torch.lerp(x, y, 0.3)", {"x": (3, 4), "y": (3, 4)}),
    "addcmul": ("torch.addcmul(x, y, z, value=0.5)", {"x": (3, 4), "y": (3, 4), "z": (3, 4)}),
    "logaddexp": ("torch.logaddexp(x, y)", {"x": (3, 4), "y": (3, 4)}),
    "hypot": ("torch.hypot(x, y)", {"x": (3, 4), "y": (3, 4)}),
    "nan_to_num": ("torch.nan_to_num(x / (x * 0))", {"x": (3, 4)}),
    "zeros_like empty_like ones_like": (
        "torch.zeros_like(x) + torch.ones_like(x) + x[torch.ones_like(x[:, 0], dtype=torch.long)]",
        {"x": (3, 4)},
    ),
    "float double half bfloat16": ("i.float() * 2", {"i": (3, 4)}),
    "long int": ("(x * 4).long() + 1", {"x": (3, 4)}),
    "bool": ("i.bool()", {"i": (3, 4)}),
    "type_as": ("i.type_as(x) + x", {"i": (3, 4), "x": (3, 4)}),
    "logit": ("torch.logit(torch.sigmoid(x))", {"x": (3, 4)}),
    "pow pow_": ("x.pow(2) + p.pow(0.5) + torch.pow(2.0, x)", {"x": (3, 4), "p": (3, 4)}),
    "float_power": ("p**1.5", {"p": (3, 4)}),
    "clamp clip clamp_": ("x.clamp(-0.5, 0.5) + x.clamp(min=0.1) + x.clamp(max=0.2)", {"x": (3, 4)}),
    "clamp_min": ("torch.clamp_min(x, 0.1)", {"x": (3, 4)}),
    "clamp_max": ("torch.clamp_max(x, 0.1)", {"x": (3, 4)}),
    "to type": ("i.to(torch.float32) + i.to(x.dtype) + i.to(x)", {"i": (3, 4), "x": (3, 4)}),
    "full_like": ("torch.full_like(x, 3.0) * x", {"x": (3, 4)}),
    "zero_ fill_": ("x.clone().fill_(2.0) + x.clone().zero_() + x", {"x": (3, 4)}),
    "is_floating_point": ("x * float(torch.is_floating_point(x))", {"x": (3, 4)}),
    "polar view_as_real": ("torch.view_as_real(torch.polar(p, x))", {"x": (3, 4), "p": (3, 4)}),
    "view_as_complex real imag conj complex": (
        "torch.view_as_complex(x).real + torch.view_as_complex(x).conj().imag",
        {"x": (3, 4, 2)},
    ),
    # shape
    "view reshape": ("x.view(2, -1).reshape((3, 10))", {"x": (2, 3, 5)}),
    "view_as reshape_as": ("x.view_as(y) + y", {"x": (6, 5), "y": (2, 3, 5)}),
    "expand_as": ("x.expand_as(y) + y", {"x": (1, 5), "y": (3, 5)}),
    "flatten": ("x.flatten(1)", {"x": (2, 3, 4, 5)}),
    "unflatten": ("x.unflatten(-1, (2, 3))", {"x": (4, 6)}),
    "ravel": ("torch.ravel(x)", {"x": (2, 3)}),
    "permute": ("x.permute(2, 0, -2)", {"x": (2, 3, 4)}),
    "transpose swapaxes swapdims": ("x.transpose(-1, 1)", {"x": (2, 3, 4)}),
    "t": ("x.t()", {"x": (2, 3)}),
    "movedim moveaxis": ("x.movedim(0, -1)", {"x": (2, 3, 4)}),
    "unsqueeze": ("x.unsqueeze(0).unsqueeze(-1).unsqueeze(2)", {"x": (2, 3)}),
    "squeeze": ("x.squeeze(1)", {"x": (2, 1, 3)}),
    "expand broadcast_to": ("x.expand(4, -1, 3)", {"x": (4, 2, 1)}),
    "expand computed": ("(x + 1).expand(5, 4, -1, 3)", {"x": (4, 2, 1)}),
    "repeat tile": ("x.repeat(2, 1, 3)", {"x": (2, 3)}),
    "repeat_interleave": (
        "x.repeat_interleave(3, dim=1) + 0 * torch.repeat_interleave(x, i, dim=0).sum()",
        {"x": (2, 3), "i": (2,)},
    ),
    "unfold": ("x.unfold(1, 3, 2)", {"x": (2, 9, 4)}),
    "grid_sample": (
        "F.grid_sample(x, torch.tanh(y) * 1.2, align_corners=False) "
        "+ F.grid_sample(x, y, padding_mode='border', align_corners=True)",
        {"x": (2, 3, 5, 7), "y": (2, 4, 6, 2)},
    ),
    "grid_sample by cubes": (
        "F.grid_sample(x, torch.tanh(y) * 1.2, mode='bicubic', align_corners=False) "
        "+ F.grid_sample(x, y, mode='bicubic', padding_mode='border', align_corners=True)",
        {"x": (2, 3, 5, 7), "y": (2, 4, 6, 2)},
    ),
    "bucketize": (
        "torch.bucketize(x, torch.sort(p).values, right=True) + torch.bucketize(x, torch.sort(p).values)",
        {"x": (2, 5), "p": (4,)},
    ),
    "searchsorted": ("torch.searchsorted(torch.sort(x).values, y, right=True)", {"x": (2, 6), "y": (2, 3)}),
    "vector_norm linalg_vector_norm": ("torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)", {"x": (2, 3, 5)}),
    "solve_triangular linalg_solve_triangular": (
        "torch.linalg.solve_triangular(x, y, upper=False, unitriangular=True)",
        {"x": (4, 4), "y": (4, 2)},
    ),
    "nonzero": ("torch.nonzero(b).sum(0)", {"b": (3, 4)}),
    "masked_select": (
        "torch.masked_select(x, x > 0).sum() + x[x > 0].mean() + y[x > 0].sum(0).sum()",
        {"x": (3, 4), "y": (3, 4, 2)},
    ),
    "chunk": ("torch.cat(x.chunk(3, dim=-1)[::-1] + y.chunk(4, -1)[::-1], dim=-1)", {"x": (2, 6), "y": (2, 10)}),
    "split split_with_sizes": (
        "x.split([1, 2, 3], dim=1)[1] * x.split(2, dim=1)[2] * x.split(4, 1)[-1]",
        {"x": (2, 6)},
    ),
    "unbind": ("x.unbind(1)[1]", {"x": (2, 3, 4)}),
    "roll": ("torch.roll(x, 2, dims=1)", {"x": (2, 5)}),
    "flip": ("torch.flip(x, [1])", {"x": (2, 5)}),
    "size dim ndimension": ("x * x.size(1) + x.dim()", {"x": (2, 5)}),
    "numel nelement": ("x * x.numel()", {"x": (2, 5)}),
    "item tolist": ("x * i.max().item()", {"x": (2, 5), "i": (3,)}),
    # reduce
    **{
        n: (f"x.{n}(dim=1, keepdim=True) + x.{n}(-1)[..., None]", {"x": (2, 3, 4)})
        for n in ["mean", "sum", "amax", "amin", "logsumexp"]
    },
    "prod": ("x.prod(dim=1)", {"x": (2, 3, 4)}),
    "all": ("(x > -2).all(dim=1)", {"x": (2, 3)}),
    "any": ("(x > 1).any(dim=1)", {"x": (2, 3)}),
    "argmax": ("x.argmax(dim=-1)", {"x": (2, 5)}),
    "argmin": ("x.argmin(dim=-1)", {"x": (2, 5)}),
    "max": ("x.max(dim=1)[0] + x.max() + torch.max(x, y).sum()", {"x": (2, 3), "y": (2, 3)}),
    "min": ("x.min(dim=1).values + x.min()", {"x": (2, 3)}),
    "var": ("x.var(dim=-1) + x.var(-1, unbiased=False)", {"x": (2, 5)}),
    "std": ("x.std(dim=-1)", {"x": (2, 5)}),
    "norm vector_norm": ("x.norm(dim=-1, keepdim=True)", {"x": (2, 5)}),
    "logcumsumexp": ("torch.logcumsumexp(x, 1)", {"x": (2, 5)}),
    "cumsum": ("x.cumsum(1)", {"x": (2, 5)}),
    "cumprod": ("x.cumprod(1)", {"x": (2, 5)}),
    "topk": ("x.topk(2, dim=-1)[0]", {"x": (2, 5)}),
    "sort": ("x.sort(dim=-1, descending=True)[0]", {"x": (2, 5)}),
    "argsort": ("x.argsort(dim=-1)", {"x": (2, 5)}),
    # combine
    "matmul __matmul__": ("torch.matmul(x, y)", {"x": (2, 3, 4), "y": (4, 5)}),
    "bmm": ("torch.bmm(x, y)", {"x": (2, 3, 4), "y": (2, 4, 5)}),
    "mm": ("torch.mm(x, y)", {"x": (3, 4), "y": (4, 5)}),
    "outer ger": ("torch.outer(x, y)", {"x": (3,), "y": (4,)}),
    "dot": ("torch.dot(x, y)", {"x": (4,), "y": (4,)}),
    "addmm": ("torch.addmm(x, y, z)", {"x": (5,), "y": (3, 4), "z": (4, 5)}),
    "baddbmm of several scales": (
        "torch.stack([torch.baddbmm(x, y, z, beta=0, alpha=a) for a in (1.0, 0.5)])",
        {"x": (2, 3, 5), "y": (2, 3, 4), "z": (2, 4, 5)},
    ),
    "baddbmm": ("torch.baddbmm(x, y, z, beta=0.5, alpha=2)", {"x": (2, 3, 5), "y": (2, 3, 4), "z": (2, 4, 5)}),
    "einsum": ("torch.einsum('bij,bjk->bik', x, y)", {"x": (2, 3, 4), "y": (2, 4, 5)}),
    "cat concat concatenate": ("torch.cat([x, y], dim=1)", {"x": (2, 3), "y": (2, 4)}),
    "stack": ("torch.stack([x, y], dim=1)", {"x": (2, 3), "y": (2, 3)}),
    "hstack": ("torch.hstack([x, y])", {"x": (2, 3), "y": (2, 4)}),
    "meshgrid": ("torch.meshgrid(x, y, indexing='ij')[0]", {"x": (3,), "y": (4,)}),
    "broadcast_tensors": ("torch.broadcast_tensors(x, y)[0] + y", {"x": (1, 4), "y": (3, 4)}),
    # create
    "arange": (
        "x[:, : i.max() * 0 + 4] + torch.arange(1, 9, 2) + torch.arange(i.max() * 0 + 4)",
        {"x": (2, 4), "i": (3,)},
    ),
    "linspace": ("x + torch.linspace(0, 1, 4)", {"x": (2, 4)}),
    "zeros ones empty": ("x + torch.ones(2, 4) + torch.zeros((4,))", {"x": (2, 4)}),
    "new_zeros new_ones new_empty": ("x + x.new_ones(2, 4) + x.new_zeros((4,))", {"x": (2, 4)}),
    "full": ("x + torch.full((2, 4), 3.0)", {"x": (2, 4)}),
    "new_full": ("x + x.new_full((2, 4), 3.0)", {"x": (2, 4)}),
    "tensor as_tensor asarray": ("x * torch.tensor([1.0, 2.0, 3.0, 4.0])", {"x": (2, 4)}),
    "new_tensor scalar_tensor": ("x * x.new_tensor([1.0, 2.0, 3.0, 4.0])", {"x": (2, 4)}),
    "eye": ("x @ torch.eye(4)", {"x": (2, 4)}),
    "triu": ("torch.triu(x, diagonal=1)", {"x": (4, 4)}),
    "tril": ("torch.tril(x)", {"x": (4, 4)}),
    "diag": ("torch.diag(x)", {"x": (4,)}),
    "diagonal": ("torch.diagonal(x)", {"x": (4, 4)}),
    "finfo iinfo": ("torch.where(x > 0, x, torch.finfo(x.dtype).eps)", {"x": (4, 4)}),
    # indexing
    "gather": ("x.gather(1, i)", {"x": (3, 5), "i": (3, 5)}),
    "take_along_dim": ("torch.take_along_dim(x, i, dim=1)", {"x": (3, 5), "i": (3, 5)}),
    "index_select": ("x.index_select(1, i)", {"x": (3, 5), "i": (4,)}),
    "select": ("x.select(1, 2)", {"x": (3, 5)}),
    "narrow": ("x.narrow(1, 1, 3)", {"x": (3, 5)}),
    "one_hot": ("F.one_hot(i, 4)", {"i": (3, 5)}),
    # neural
    **{
        n: (f"F.{n}(x)", {"x": (3, 5)})
        for n in [
            "relu",
            "silu",
            "mish",
            "hardswish",
            "relu6",
            "elu",
            "celu",
            "selu",
            "softsign",
            "logsigmoid",
            "hardsigmoid",
            "hardtanh",
            "softplus",
        ]
    },
    "leaky_relu": ("F.leaky_relu(x, 0.2)", {"x": (3, 5)}),
    "relu_ silu_": ("torch.relu_(x.clone())", {"x": (3, 5)}),
    "dropout": ("F.dropout(x, 0.5, training=False)", {"x": (3, 5)}),
    "gelu": ("F.gelu(x) + F.gelu(x, approximate='tanh')", {"x": (3, 5)}),
    "glu": ("F.glu(x, dim=1)", {"x": (3, 6)}),
    "softmax": ("x.softmax(dim=1) + F.softmax(x, dim=-1, dtype=torch.float32)", {"x": (3, 6)}),
    "log_softmax": ("F.log_softmax(x, dim=-1)", {"x": (3, 6)}),
    "linear": ("F.linear(x, y, z) + F.linear(x, y)", {"x": (3, 6), "y": (4, 6), "z": (4,)}),
    "embedding": ("F.embedding(i, x)", {"i": (3, 5), "x": (4, 6)}),
    "layer_norm": ("F.layer_norm(x, (6,), y, z, 1e-5)", {"x": (3, 6), "y": (6,), "z": (6,)}),
    "rms_norm": ("F.rms_norm(x, (6,), y, 1e-6)", {"x": (3, 6), "y": (6,)}),
    "normalize": ("F.normalize(x, dim=-1)", {"x": (3, 6)}),
    "scaled_dot_product_attention": (
        "F.scaled_dot_product_attention(x, y, z) + F.scaled_dot_product_attention(x, y, z, is_causal=True)"
        " + F.scaled_dot_product_attention(x, y, z, attn_mask=(x[..., :1] > 0).expand(2, 3, 5, 5))",
        {"x": (2, 3, 5, 8), "y": (2, 3, 5, 8), "z": (2, 3, 5, 8)},
    ),
    "scatter scatter_": (
        "torch.zeros_like(x).scatter_(1, i, 1) + torch.scatter(x, 1, i, x[:, :1]) + x.scatter(1, i, -2.0)",
        {"x": (3, 4), "i": (3, 1)},
    ),
    "pad": (
        "F.pad(x, (1, 2, 0, 1)).sum(-1) + F.pad(x, (1, 2, 0, 1), value=2.0).sum(-1) + F.pad(x, (-1, 1, 1, 0)).sum(-1)",
        {"x": (2, 3, 5)},
    ),
    "conv1d": ("F.conv1d(x, y, z, stride=2, padding=1)", {"x": (2, 3, 9), "y": (4, 3, 3), "z": (4,)}),
    "conv2d": ("F.conv2d(x, y, padding=(1, 0), dilation=(1, 2))", {"x": (2, 3, 9, 7), "y": (4, 3, 3, 3)}),
    "conv3d": ("F.conv3d(x, y)", {"x": (2, 3, 5, 6, 7), "y": (4, 3, 3, 3, 3)}),
    "avg_pool1d": ("F.avg_pool1d(x, 2)", {"x": (2, 3, 8)}),
    "avg_pool2d": ("F.avg_pool2d(x, 3, stride=2, padding=1)", {"x": (2, 3, 9, 7)}),
    "max_pool1d": ("F.max_pool1d(x, 2)", {"x": (2, 3, 8)}),
    "max_pool2d over the edge": (
        "torch.cat([F.max_pool2d(x, k, 2, p, ceil_mode=True).flatten(2) for k, p in ((3, 1), ((3, 2), (1, 0)))], 2)",
        {"x": (2, 3, 10, 8)},
    ),
    "max_pool2d": ("F.max_pool2d(x, 3, stride=2, padding=1)", {"x": (2, 3, 9, 7)}),
    "adaptive_avg_pool1d": ("F.adaptive_avg_pool1d(x, 1)", {"x": (2, 3, 9)}),
    "adaptive_avg_pool2d": ("F.adaptive_avg_pool2d(x, (1, 1))", {"x": (2, 3, 9, 7)}),
    "pixel_shuffle": ("F.pixel_shuffle(x, 2)", {"x": (2, 8, 3, 5)}),
    "pixel_unshuffle": ("F.pixel_unshuffle(x, 2)", {"x": (2, 3, 4, 6)}),
    "group_norm": ("F.group_norm(x, 2, y, z, 1e-6)", {"x": (2, 6, 3, 5), "y": (6,), "z": (6,)}),
    "batch_norm": ("F.batch_norm(x, y, p, z)", {"x": (2, 6, 3, 5), "y": (6,), "p": (6,), "z": (6,)}),
    "upsample": (
        "F.interpolate(x, size=(7, 9)) + F.interpolate(y, scale_factor=3.0, mode='bilinear')[:, :, :7, :9]",
        {"x": (2, 3, 5, 4), "y": (2, 3, 3, 3)},
    ),
    "interpolate sizes": (
        "F.interpolate(x, size=(7, 9), mode='bilinear') + F.interpolate(x, size=(7, 9), mode='bicubic')"
        " + F.interpolate(x, size=(7, 9), mode='bicubic', align_corners=True)"
        " + F.interpolate(x, size=(7, 9), mode='bilinear', align_corners=True)"
        " + F.interpolate(x, size=(7, 9), mode='nearest-exact')",
        {"x": (2, 3, 5, 13)},
    ),
    "interpolate antialiased": (
        "F.interpolate(x, size=(4, 9), mode='bilinear', antialias=True)"
        " + F.interpolate(x, size=(4, 9), mode='bicubic', antialias=True)",
        {"x": (2, 3, 7, 5)},
    ),
    "interpolate scales": (
        "F.interpolate(x, scale_factor=1.7, mode='bilinear')"
        " + F.interpolate(x, scale_factor=(1.7, 1.7), mode='bicubic')"
        " + F.interpolate(x, scale_factor=1.7)",
        {"x": (2, 3, 5, 4)},
    ),
    "interpolate lines": (
        "F.interpolate(x, size=11, mode='linear').sum((1, 2))"
        " + F.interpolate(y, size=(3, 5, 4), mode='trilinear').sum((1, 2, 3, 4))",
        {"x": (2, 3, 7), "y": (2, 1, 4, 3, 5)},
    ),
    "pad by index": (
        "F.pad(x, (2, 1), mode='reflect') + F.pad(x, (2, 1), mode='circular') + F.pad(x, (2, 1), mode='replicate')",
        {"x": (2, 3, 5)},
    ),
    "pad by index in two axes": (
        "F.pad(x, (2, 1, 0, 3), mode='reflect') + F.pad(x, (2, 1, 0, 3), mode='circular')",
        {"x": (2, 3, 5, 4)},
    ),
    "adaptive to sizes": (
        "F.adaptive_avg_pool2d(x, (3, 5)) + F.adaptive_avg_pool2d(y, (3, 5))",
        {"x": (2, 3, 7, 4), "y": (2, 3, 3, 11)},
    ),
    "interpolate": ("F.interpolate(x, scale_factor=2.0)", {"x": (2, 3, 5, 4)}),
    "index_add index_add_": (
        "torch.zeros(4, 5).index_add(0, i, x) + torch.zeros(4, 5).index_add_(0, i, x, alpha=2.0)",
        {"x": (6, 5), "i": (6,)},
    ),
    "scatter_add scatter_add_": (
        "x.scatter_add(1, i, y) + x.clone().scatter_add_(-1, i, y)",
        {"x": (3, 5), "i": (3, 4), "y": (3, 6)},
    ),
    "scatter_reduce scatter_reduce_": (
        "x.scatter_reduce(1, i, y, 'amax') + x.scatter_reduce(1, i, y, 'mean', include_self=False)"
        " + x.scatter_reduce(1, i, y, 'prod') + x.scatter_reduce(1, i, y, 'sum', include_self=False)"
        " + x.scatter_reduce(1, i, y, 'mean') + x.scatter_reduce(1, i, y, 'amin', include_self=False)",
        {"x": (3, 5), "i": (3, 4), "y": (3, 6)},
    ),
    "masked_scatter masked_scatter_": (
        "x.masked_scatter((b > 0).unsqueeze(-1), y) + x.clone().masked_scatter_((b > 0).unsqueeze(-1), y)",
        {"x": (3, 4, 5), "b": (3, 4), "y": (12, 5)},
    ),
    "index_fill index_fill_": (
        "x.index_fill(1, i, 2.0) + x.clone().index_fill_(2, i, -1.0)",
        {"x": (2, 5, 5), "i": (2,)},
    ),
    "bincount": (
        "torch.bincount(i, minlength=6)[:6] + torch.bincount(i, weights=x, minlength=6)[:6]",
        {"i": (9,), "x": (9,)},
    ),
    "unique": ("torch.unique(i).sum()", {"i": (3, 4)}),
    "isin": ("torch.isin(i, j).float() + torch.isin(i, torch.tensor([1, 2])).float()", {"i": (3, 4), "j": (2,)}),
    "where places": ("x[torch.where(b > 0)].sum() + x[:, torch.where(b[0] > 0)[0]].sum()", {"x": (3, 4), "b": (3, 4)}),
    "masks of later axes": ("x[:, b > 0].sum(1) + x[:, b[0] > 0, :].sum(1).sum()", {"x": (2, 3, 3), "b": (3, 3)}),
    "bitwise_xor __xor__": ("torch.bitwise_xor(i, j) + (i ^ j)", {"i": (3, 4), "j": (3, 4)}),
    "div to zero": (
        "torch.div(x * 9, 2, rounding_mode='trunc') + torch.div(i - 3, 2, rounding_mode='trunc')"
        " + torch.div(x * 9, y, rounding_mode='trunc')",
        {"x": (3, 4), "i": (3, 4), "y": (3, 4)},
    ),
    "einops.rearrange": (
        "rearrange(x, 'b (h w) c -> b c h w', h=2) + rearrange(y, 'b ... c -> b c ...')"
        " + rearrange(z, '(b h) w c 1 -> b c h w', h=2)",
        {"x": (2, 6, 4), "y": (2, 2, 3, 4), "z": (4, 3, 4, 1)},
    ),
    "einops.repeat": (
        "repeat(x, 'b d -> b (d r) n', n=3, r=2) * repeat(y, '1 d -> b d 1', b=x.shape[0])",
        {"x": (2, 4), "y": (1, 8)},
    ),
    "einops.einsum": (
        "einsum(x, y, 'batch rows d, batch cols d -> batch rows cols')",
        {"x": (2, 3, 4), "y": (2, 5, 4)},
    ),
    "einops.reduce": (
        "reduce(x, 'b (n k) d -> b n', 'mean', k=2) + reduce(x, 'b (n k) d -> b n', 'max', k=2)",
        {"x": (2, 6, 4)},
    ),
    "adaptive maximum": (
        "F.adaptive_max_pool2d(x, (3, 5)) + F.adaptive_max_pool2d(y, (3, 5))",
        {"x": (2, 3, 7, 4), "y": (2, 3, 3, 11)},
    ),
    "pool3d": (
        "F.max_pool3d(x, 2).mean((2, 3, 4)) + F.avg_pool3d(x, (1, 2, 3)).mean((2, 3, 4))",
        {"x": (2, 3, 4, 6, 5)},
    ),
    "pairwise distances": ("torch.cdist(x, y)", {"x": (2, 5, 3), "y": (2, 4, 3)}),
    "triangles in place": ("x.clone().triu_(1) + x.clone().tril_(-1)", {"x": (5, 4)}),
    "Tensor FloatTensor LongTensor IntTensor BoolTensor": (
        "x[:, torch.LongTensor([2, 0])] * torch.Tensor([0.5, 2.0]) + torch.FloatTensor([1]) * torch.BoolTensor([True])",
        {"x": (2, 3)},
    ),
    "F.fold": (
        "F.fold(x, output_size=(5, 4), kernel_size=2, stride=(1, 2)) + F.fold(x, (5, 4), 2, stride=(1, 2))",
        {"x": (2, 12, 8)},
    ),
    "in place on a value": ("(x * y).abs_().clamp_(min=0.1).sqrt_()", {"x": (3, 4), "y": (3, 4)}),
    "hstack vstack row_stack": (
        "torch.hstack([x, y]).sum() * torch.hstack([x[0, 0], y[0, 0]]) + torch.vstack([x, x]).prod(2).sum()",
        {"x": (2, 3, 5), "y": (2, 4, 5)},
    ),
    "hstack of channels": (
        "torch.hstack([F.conv2d(x, y), F.conv2d(x, y) * 2])",
        {"x": (2, 3, 9, 7), "y": (4, 3, 3, 3)},
    ),
    "zeros_like of another type": (
        "x * (torch.zeros_like(i, dtype=torch.float32) + torch.ones_like(x, dtype=torch.bool) / 2).cumsum(1)",
        {"i": (3, 4), "x": (3, 4)},
    ),
    "softmax of no axis": ("F.softmax(x) + F.log_softmax(x.flatten(1))[..., None]", {"x": (4, 6, 1)}),
    "softplus beyond a threshold": ("F.softplus(x, beta=2.0, threshold=0.5)", {"x": (3, 5)}),
    "argmax of channels": ("F.conv2d(x, y).argmax() + F.conv2d(x, y).argmin()", {"x": (2, 3, 9, 7), "y": (4, 3, 3, 3)}),
    "roll of channels": ("torch.roll(F.conv2d(x, y), 3)", {"x": (2, 3, 9, 7), "y": (4, 3, 3, 3)}),
    "gather as far as the index": ("x.gather(1, i)", {"x": (3, 5, 4), "i": (2, 4, 1)}),
    "causal of fewer queries": (
        "F.scaled_dot_product_attention(x, y, y, is_causal=True)",
        {"x": (2, 3, 5, 8), "y": (2, 3, 7, 8)},
    ),
    "cross_entropy": (
        "F.cross_entropy(x, i) + F.cross_entropy(y, i, ignore_index=2, reduction='sum') * x",
        {"x": (5, 4), "y": (5, 4), "i": (5,)},
    ),
    "cross_entropy of places": ("F.cross_entropy(x, i, reduction='none')", {"x": (2, 4, 3), "i": (2, 3)}),
    "binary_cross_entropy_with_logits": (
        "F.binary_cross_entropy_with_logits(x, torch.sigmoid(y)) * y",
        {"x": (3, 4), "y": (3, 4)},
    ),
    "losses as layers": (
        "torch.nn.CrossEntropyLoss(ignore_index=1)(x, i) + torch.nn.MSELoss()(x, y) * torch.nn.L1Loss()(x, y) "
        "+ torch.nn.BCEWithLogitsLoss(reduction='sum')(x, y) * x",
        {"x": (5, 4), "y": (5, 4), "i": (5,)},
    ),
    "mse_loss l1_loss": (
        "F.mse_loss(x, y) * F.l1_loss(x, y, reduction='none') + F.mse_loss(x, y, reduction='sum')",
        {"x": (3, 4), "y": (3, 4)},
    ),
    "linalg_norm": (
        "torch.linalg.norm(x, ord=2, dim=-1, keepdim=True) + torch.linalg.norm(x, dim=1)[..., None]",
        {"x": (3, 4, 4)},
    ),
    "dtypes of Python": (
        "torch.ones(3, 4, dtype=bool).float() + torch.zeros(4, dtype=float).float() + x",
        {"x": (3, 4)},
    ),
    "asinh arcsinh acosh arccosh atanh arctanh": (
        "torch.asinh(x) + torch.acosh(p + 1) + torch.atanh(torch.sigmoid(x))",
        {"x": (3, 4), "p": (3, 4)},
    ),
    "fft_rfft fft_irfft": (
        "torch.fft.irfft(torch.fft.rfft(x, dim=1) * torch.fft.rfft(y, n=6, dim=1), n=6, dim=1)",
        {"x": (2, 6, 3), "y": (2, 5, 3)},
    ),
    "fft_fft fft_ifft fft_fft2 fft_ifft2 fft_fftn fft_ifftn fft_rfft2 fft_irfft2 fft_rfftn fft_irfftn": (
        "torch.fft.fft(x, norm='ortho').real + torch.fft.ifft2(torch.fft.fft2(x) * 2).real"
        " + torch.fft.irfftn(torch.fft.rfftn(x), s=x.shape) + torch.fft.irfft2(torch.fft.rfft2(x)).real"
        " + torch.fft.ifftn(torch.fft.fftn(x, dim=(0, 1)), dim=(0, 1)).real + torch.fft.ifft(torch.fft.fft(x)).real",
        {"x": (3, 4)},
    ),
    "fft_fftshift fft_ifftshift fft_fftfreq fft_rfftfreq": (
        "torch.fft.fftshift(x, dim=1) * torch.fft.fftfreq(5) + torch.fft.ifftshift(x, dim=(0, 1)) "
        "+ torch.fft.rfftfreq(9, 0.5)",
        {"x": (3, 5)},
    ),
    "diff": (
        "torch.diff(x, dim=1) + x.diff(n=2, dim=0, prepend=x[:2])[:, 1:] + torch.diff(x)",
        {"x": (3, 4)},
    ),
    "cummax cummin": (
        "torch.cummax(x, 1)[0] + torch.cummin(x, dim=0).values + torch.cummax(i, 1).indices + torch.cummin(i, 0)[1]",
        {"x": (3, 4), "i": (3, 4)},
    ),
    "index_copy index_copy_": (
        "x.index_copy(1, torch.tensor([2, 0]), y) + x.clone().index_copy_(-1, torch.tensor([1, 3]), y)",
        {"x": (3, 4), "y": (3, 2)},
    ),
    "unique_consecutive": ("torch.unique_consecutive(i).sum()", {"i": (12,)}),
    "embedding_bag": (
        "F.embedding_bag(i, x, per_sample_weights=y, mode='sum') + F.embedding_bag(i, x)",
        {"i": (3, 5), "x": (4, 6), "y": (3, 5)},
    ),
    "conv_transpose1d": (
        "F.conv_transpose1d(x, y, stride=2, padding=1, groups=2) + F.conv_transpose1d(x, z, stride=2, padding=1)",
        {"x": (2, 4, 7), "y": (4, 2, 5), "z": (4, 4, 5)},
    ),
    "conv_transpose2d": ("F.conv_transpose2d(x, y, z, stride=2)", {"x": (2, 4, 5, 3), "y": (4, 6, 3, 2), "z": (6,)}),
    "conv_transpose3d": ("F.conv_transpose3d(x, y)", {"x": (2, 4, 2, 3, 3), "y": (4, 6, 2, 2, 2)}),
    "norms of other orders": (
        "x.norm(p=1, dim=-1, keepdim=True) + torch.norm(x, float('inf'), 0)",
        {"x": (3, 4)},
    ),
    "several arguments": ("F.layer_norm(*(x, (6,), y, z, 1e-5))", {"x": (3, 6), "y": (6,), "z": (6,)}),
    "types by key": ("x * len(dict.fromkeys([1, 2, 1]))", {"x": (3, 4)}),
    "multi_head_attention_forward": (
        "F.multi_head_attention_forward(x, x, x, 8, 2, torch.empty(0), y.flatten(), None, None, False, 0.0, z, y[0],"
        " False, i.T < 1, attn_mask=torch.ones(5, 5).triu(1) * -3, use_separate_proj_weight=True,"
        " q_proj_weight=z, k_proj_weight=z, v_proj_weight=z)[0]",
        {"x": (5, 3, 8), "y": (3, 8), "z": (8, 8), "i": (5, 3)},
    ),
}
