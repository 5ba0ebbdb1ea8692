"""The blend: the new face takes the plate's light, colour, sharpness and grain, and is laid in.

- `match`: what the new face changes of the plate's crop, in the canonical square.
- `lay_in`: that change at the plate's resolution, with the plate's own grain.
- `composite`: how much of it reaches the plate: over, multi-band or gradient-domain.

The new face travels as a *change* all the way, so where there is nothing to change the plate's own
pixels come through untouched, and no resampling ever shows.
"""

from __future__ import annotations

from semblance.blend.composite import composite
from semblance.blend.grain import Grain, grain_of
from semblance.blend.lay_in import expose, lay_in, packed, plate_grain
from semblance.blend.match import Colours, away_from_highlights, calmed, changed, colours, match

__all__ = [
    "Colours",
    "Grain",
    "away_from_highlights",
    "calmed",
    "changed",
    "colours",
    "composite",
    "expose",
    "grain_of",
    "lay_in",
    "match",
    "packed",
    "plate_grain",
]
