"""Results as JSON trees: JSON sorts the keys of objects, and a result's fields keep their order all the same."""

from __future__ import annotations

import json
from typing import Any

from portwright.verify import tree


def is_tensor(value: Any) -> bool:
    return isinstance(value, bytes)


def test_fields_of_a_result_keep_their_order_through_json() -> None:
    """`hidden_states` comes after `last_hidden_state`, where the reference has it, though its name sorts before."""
    result = {"last_hidden_state": b"last", "cache": object(), "hidden_states": (b"first", b"second"), "loss": None}
    node = tree.encode_result(result, is_tensor, lambda tensor: tensor.decode())
    again = tree.decode(json.loads(json.dumps(node, sort_keys=True)), lambda key: key.encode())
    assert tree.flatten(again, is_tensor) == {"000": b"last", "001.000": b"first", "001.001": b"second"}


def test_what_cannot_be_handed_on_is_found_within_dicts_and_lists() -> None:
    """A dtype in a dict of features makes the whole call one that no port can be fed."""

    def node(value: Any) -> tree.Node:
        return tree.encode(value, is_tensor, lambda tensor: tensor.decode())

    assert tree.holds_opaque(node({"mask": b"m", "dtypes": [object()]}))
    assert not tree.holds_opaque(node({"mask": b"m", "sizes": [1, (2, None)]}))
