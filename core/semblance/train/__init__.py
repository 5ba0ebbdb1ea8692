"""Training of likenesses; the only part of the library that imports torch."""
