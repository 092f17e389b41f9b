"""Units that know nothing of OPZO: streams of bytes, arithmetic, memories."""
