"""What a person looks at: contact sheets, wipe movies, reports and a project's shot list.

- `review_shot`: everything for one shot, in a folder.
- `contact_sheet`, `shot_sheet`, `WipeMovie`, `report`: its pieces.
- `shot_list`: all reviewed shots of a project on one page.
- `qc_summary`, `qc_score`: a few lines of text.

Nothing here is on the frame path. Pictures are display-referred 0..1 and become 8-bit only in the
file that is written.
"""

from __future__ import annotations

from semblance.review.files import Seal, unsealed
from semblance.review.frames import FIGURES, Finding, FrameReview, ShotReview
from semblance.review.material import Look, Material, shot_knobs
from semblance.review.movie import WipeMovie, frame_rate, movie_size
from semblance.review.package import REPORT, review_shot
from semblance.review.report import report
from semblance.review.sheet import MOST_ROWS, TEXT, contact_sheet, shot_sheet, spread
from semblance.review.shots import ShotList, shot_list
from semblance.review.words import qc_score, qc_summary
from semblance.review.worst import WORST_FILE, WorstFrame, worst_frames, write_worst

__all__ = [
    "FIGURES",
    "MOST_ROWS",
    "REPORT",
    "TEXT",
    "WORST_FILE",
    "Finding",
    "FrameReview",
    "Look",
    "Material",
    "Seal",
    "ShotList",
    "ShotReview",
    "WipeMovie",
    "WorstFrame",
    "contact_sheet",
    "frame_rate",
    "movie_size",
    "qc_score",
    "qc_summary",
    "report",
    "review_shot",
    "shot_knobs",
    "shot_list",
    "shot_sheet",
    "spread",
    "unsealed",
    "worst_frames",
    "write_worst",
]
