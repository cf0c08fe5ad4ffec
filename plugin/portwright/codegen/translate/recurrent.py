"""Recurrent layers and cells, which MLX has with other weights and states, as text that a port carries."""

from __future__ import annotations

RECURRENT = '''class Recurrent(nn.Module):
    """Layers of a recurrent cell in one or both directions; the weights are named and laid out as in torch."""

    gates = 1

    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, bidirectional=False):
        super().__init__()
        self.hidden_size, self.num_layers, self.batch_first = hidden_size, num_layers, batch_first
        self.suffixes = ("", "_reverse") if bidirectional else ("",)
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * len(self.suffixes)
            for suffix in self.suffixes:
                self[f"weight_ih_l{layer}{suffix}"] = mx.zeros((rows, width))
                self[f"weight_hh_l{layer}{suffix}"] = mx.zeros((rows, hidden_size))
                if bias:
                    self[f"bias_ih_l{layer}{suffix}"] = mx.zeros((rows,))
                    self[f"bias_hh_l{layer}{suffix}"] = mx.zeros((rows,))

    def affine(self, kind, name, x):
        y = x @ self[f"weight_{kind}_{name}"].T
        return y + self[f"bias_{kind}_{name}"] if f"bias_{kind}_{name}" in self else y

    def direction(self, x, name, state):
        """One layer along (length, batch, width); every step's output, and the last state."""
        given = self.affine("ih", name, x)
        steps = range(x.shape[0])
        outputs = [None] * x.shape[0]
        for i in reversed(steps) if name.endswith("_reverse") else steps:
            state = self.step(given[i], self.affine("hh", name, state[0]), state)
            outputs[i] = state[0]
        return mx.stack(outputs), state

    def __call__(self, x, state=None):
        x = x.swapaxes(0, 1) if self.batch_first else x
        names = [f"l{layer}{suffix}" for layer in range(self.num_layers) for suffix in self.suffixes]
        if state is None:
            zeros = mx.zeros((len(names), x.shape[1], self.hidden_size), dtype=x.dtype)
            state = (zeros,) * self.states
        elif self.states == 1:
            state = (state,)
        last = []
        for first in range(0, len(names), len(self.suffixes)):
            both = []
            for place in range(first, first + len(self.suffixes)):
                output, end = self.direction(x, names[place], tuple(s[place] for s in state))
                both.append(output)
                last.append(end)
            x = mx.concatenate(both, axis=-1)
        ends = tuple(mx.stack([s[i] for s in last]) for i in range(self.states))
        return x.swapaxes(0, 1) if self.batch_first else x, ends if self.states > 1 else ends[0]
'''

LSTM = """class LSTM(Recurrent):
    gates, states = 4, 2

    def step(self, given, kept, state):
        i, f, g, o = mx.split(given + kept, 4, axis=-1)
        cell = mx.sigmoid(f) * state[1] + mx.sigmoid(i) * mx.tanh(g)
        return mx.sigmoid(o) * mx.tanh(cell), cell
"""

GRU = """class GRU(Recurrent):
    gates, states = 3, 1

    def step(self, given, kept, state):
        (r, z, n), (kept_r, kept_z, kept_n) = mx.split(given, 3, axis=-1), mx.split(kept, 3, axis=-1)
        z = mx.sigmoid(z + kept_z)
        n = mx.tanh(n + mx.sigmoid(r + kept_r) * kept_n)
        return ((1 - z) * n + z * state[0],)
"""

RNN = """class RNN(Recurrent):
    gates, states = 1, 1

    def step(self, given, kept, state):
        return (mx.tanh(given + kept),)
"""

CELL = '''class RecurrentCell(nn.Module):
    """One step of a recurrent layer, from (batch, width) and a state of zeros where none is given."""

    def __init__(self, input_size, hidden_size, bias=True):
        super().__init__()
        self.hidden_size = hidden_size
        rows = self.gates * hidden_size
        self.weight_ih, self.weight_hh = mx.zeros((rows, input_size)), mx.zeros((rows, hidden_size))
        if bias:
            self.bias_ih, self.bias_hh = mx.zeros((rows,)), mx.zeros((rows,))

    def __call__(self, x, state=None):
        if state is None:
            state = (mx.zeros((*x.shape[:-1], self.hidden_size), x.dtype),) * self.states
        state = state if isinstance(state, (tuple, list)) else (state,)
        given, kept = x @ self.weight_ih.T, state[0] @ self.weight_hh.T
        if "bias_ih" in self:
            given, kept = given + self.bias_ih, kept + self.bias_hh
        out = self.step(given, kept, state)
        return out if len(out) > 1 else out[0]
'''

KINDS = ("LSTM", "GRU", "RNN")
CELL_OF = "class KINDCell(RecurrentCell):\n    gates, states, step = KIND.gates, KIND.states, KIND.step\n"
CELLS = {f"{kind}Cell": CELL_OF.replace("KIND", kind) for kind in KINDS}
SNIPPETS = {"Recurrent": RECURRENT, "LSTM": LSTM, "GRU": GRU, "RNN": RNN, "RecurrentCell": CELL, **CELLS}
# What a snippet needs before it.
NEEDS: dict[str, tuple[str, ...]] = dict.fromkeys(KINDS, ("Recurrent",))
NEEDS |= {f"{kind}Cell": ("Recurrent", kind, "RecurrentCell") for kind in KINDS}
