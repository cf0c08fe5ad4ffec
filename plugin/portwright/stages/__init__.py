"""The diagram's stages as tasks: each module here says what one stage reads, runs and writes.

fetch -> codegen -> bind -> remap -> verify -> port, with capture beside: see docs/design.md.
"""
