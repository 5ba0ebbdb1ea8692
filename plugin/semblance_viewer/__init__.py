"""The standalone viewer behind ``semblance view``: the plate, the panel, and every door between.

`window.run` opens it. It renders through the live worker as any host does, reads EXR files and
shows them through OpenColorIO in threads of its own; nothing here writes a pixel but the child
process of `renderjob`, which is ``semblance apply``. Importing the package alone needs no Qt.
"""

from __future__ import annotations
