"""Model code that comes with its weights (`auto_map`): asked for, pinned, and run in an isolated process only."""
