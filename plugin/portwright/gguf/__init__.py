"""GGUF files as sources: their headers, their blocks, and the config and tokenizer that their metadata describe."""
