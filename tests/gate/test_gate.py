"""The gate lets a proven port through, and says exactly what is wrong with any other."""

from __future__ import annotations

from portrepo import PortRepo


def test_good_port_passes_and_says_what_was_not_run(port: PortRepo) -> None:
    """A port whose files agree is let through, with the devices that nobody measured on."""
    judgement = port.gate()
    assert judgement.lines == ("minilm: 18 checks hold on cpu; metal: not run",)
    assert not judgement.blocked


def test_edited_model_blocks_with_file_and_command(port: PortRepo) -> None:
    """A model.py that changed after it was measured is named with both digests and the command."""
    port.write("ported/model.py", "import mlx.core as mx\n")
    port.git("add", "-A")
    judgement = port.gate()
    assert judgement.blocked
    assert judgement.lines == (
        "ported/model.py: it changed after it was measured "
        "(sha256:bcd51628793a was measured, sha256:cb25b0385927 is here)\n"
        "    fix: doit port:minilm, then git add port.* ported",
        "1 problem in the index; 1 of 1 port blocked",
    )
