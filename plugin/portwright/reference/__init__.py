"""The torch side: build a reference model, redraw its weights, make its probes. Runs in worker processes only."""
