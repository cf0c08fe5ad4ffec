"""Whole-program facts: what is used, live, kept and constant, grown to a fixpoint."""
