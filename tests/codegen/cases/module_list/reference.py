from torch import nn


class Block(nn.Module):
    def __init__(self, dim, hidden, last=False):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(0.1), nn.Linear(hidden, dim))
        self.unused = nn.Linear(dim, dim)

    def forward(self, x, return_input=False):
        out = x + self.mlp(x)
        return out, x


class Stack(nn.Module):
    def __init__(self, dim=8, hidden=20, depth=3):
        super().__init__()
        self.blocks = nn.ModuleList([Block(dim, hidden, last=i == depth - 1) for i in range(depth)])
        self.norms = nn.ModuleList()
        for _ in range(depth):
            self.norms.append(nn.LayerNorm(dim))

    def forward(self, x):
        for i, (block, norm) in enumerate(zip(self.blocks, self.norms)):
            x, _ = block(norm(x))
        return x
