from functools import partial
from types import SimpleNamespace

import torch.nn.functional as F
from torch import nn

LAYERS = {}


class Mixer(nn.Module):
    def __init__(self, width, act_layer=nn.GELU, ratio=2, **others):
        super().__init__()
        self.up = nn.Linear(width, width * ratio)
        self.act = act_layer()
        self.down = nn.Linear(width * ratio, width)

    def forward(self, x):
        return self.down(self.act(self.up(x)))


LAYERS["mixer"] = Mixer


def make(name, **settings):
    return LAYERS[name](**settings)


class Told(nn.Module):
    """A layer that an object tells which function to call."""

    def __init__(self, settings):
        super().__init__()
        self.linear = nn.Linear(settings.width, settings.width)
        self.function = getattr(F, settings.function)
        self.settings = settings

    def forward(self, x):
        x = self.function(self.linear(x)) * self.settings.gain
        return x.argmax(-1) - 9 if self.settings.places else x


class Objects(nn.Module):
    """What chooses a function goes through objects, partials and keywords."""

    def __init__(self, width=8, function="relu", gain=2.0, places=False, approximate="none", last=None):
        super().__init__()
        settings = SimpleNamespace(width=width, function=function, gain=gain, places=places)
        self.mixer = make("mixer", width=width, act_layer=partial(nn.GELU, approximate=approximate))
        self.told = Told(settings)
        self.last = last and nn.Linear(width, last)

    def forward(self, x):
        x = self.told(self.mixer(x))
        places = x.argmax(-1) - 9
        return (self.last(x) if self.last is not None else x), places, x.max(1)[1] * -1, x.argsort(-1)
