"""Small modules about model outputs: held in dicts, changed after they are made, there or not."""

import torch
import torch.nn as nn
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPooling


class Encoder(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Linear(dim, dim)

    def forward(self, image):
        return BaseModelOutput(last_hidden_state=torch.tanh(self.proj(image)))


class OutputsByKey(nn.Module):
    """Outputs under a dict's keys: one that some calls have, one that none has."""

    def __init__(self, dim=4):
        super().__init__()
        self.image_encoder, self.head = Encoder(dim), nn.Linear(dim, dim)

    def encode(self, image):
        found = self.image_encoder(image)
        made = BaseModelOutputWithPooling(last_hidden_state=found.last_hidden_state)
        made.pooler_output = self.head(found.last_hidden_state).mean(1)
        return made

    def forward(self, x, image=None, sound=None, encoded=None):
        encoded = encoded if encoded is not None else {}
        if encoded.get("image") is None and image is not None:
            encoded["image"] = self.encode(image)
        if sound is not None:
            encoded["sound"] = self.encode(sound)
        if isinstance(encoded, dict) and encoded.get("image") is not None:
            x = x + encoded["image"].pooler_output[:, None]
        if encoded.get("sound") is not None:
            x = x - encoded["sound"].pooler_output[:, None]
        return BaseModelOutputWithPooling(last_hidden_state=x, pooler_output=encoded.get("image"))


class RowsOfPictures(nn.Module):
    """Pictures that are all zeros are left out before a convolution."""

    def __init__(self, dim=4):
        super().__init__()
        self.conv = nn.Conv2d(3, dim, 3)

    def forward(self, x):
        empty = (x == 0).sum(dim=(-1, -2, -3)) == x.shape[1:].numel()
        return self.conv(x[~empty].contiguous())


class BiasGivenLater(nn.Module):
    def __init__(self, dim=4, biased=True):
        super().__init__()
        self.proj = nn.Linear(dim, dim, bias=False)
        if biased:
            self.proj.bias = nn.Parameter(torch.cat((torch.ones(dim // 2), torch.zeros(dim - dim // 2))))

    def forward(self, x):
        return self.proj(x)


class FlagGiven(nn.Module):
    """A flag that callers give, always as its default."""

    def __init__(self, dim=4):
        super().__init__()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, doubled=False):
        x = self.proj(x)
        return x * 2 if doubled else x


X, IMAGE = "f 2 5 4", "f 2 3 4"
ZOO = {
    "OutputsByKey": {
        "seen": [{"x": X}, {"x": X, "image": IMAGE}],
        "unseen": [{"x": "f 3 2 4", "image": "f 3 6 4"}, {"x": "f 3 2 4"}],
        "others": [{"dim": 4}],
    },
    "RowsOfPictures": {"seen": [{"x": "f 2 3 7 9"}], "unseen": [{"x": "f 3 3 8 5"}], "others": [{"dim": 6}]},
    "FlagGiven": {
        "seen": [{"x": X, "doubled": False}],
        "unseen": [{"x": "f 3 2 4", "doubled": False}, {"x": "f 3 2 4"}],
        "others": [{"dim": 4}],
    },
    "BiasGivenLater": {"seen": [{"x": X}], "unseen": [{"x": "f 3 2 4"}], "others": [{"biased": False}]},
}
