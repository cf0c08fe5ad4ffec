"""Its presence puts tests/ on the import path, so that tests share what lies in tests/support."""
