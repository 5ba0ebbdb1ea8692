"""The parameter panel: every declared knob as a control, on Qt.

`model` and `scores` need no Qt and `panel.Panel` is the widget; ``import semblance_panel`` alone
imports neither, so that a host without a screen may do it. Of Semblance only portable modules are
imported: what is heavy stays in the worker.
"""

from __future__ import annotations
