"""Render a plate with the Semblance node, without a screen.

Inside Nuke, with the folder plugin/semblance_nuke on NUKE_PATH::

    nuke -t examples/nuke/render_headless.py examples/plate.%04d.exr 1001-1012 \
        examples/likeness.onnx examples/track.json out/nuke/result.%04d.exr

Nuke ends with an error where a frame fails: a failed frame is never the plate.
"""

from __future__ import annotations

import sys


def main(plate: str, frames: str, model: str, track: str, output: str) -> None:
    """Build Read, Semblance and Write, and render the frames."""
    import nuke

    import semblance_nuke

    first, last = (int(each) for each in frames.split("-"))
    read = nuke.createNode("Read", inpanel=False)
    for name, value in (("file", plate), ("first", first), ("last", last)):
        read[name].setValue(value)
    group = semblance_nuke.create()
    if group is None:
        sys.exit("the Semblance node is not installed")
    group.setInput(0, read)
    engine = group.node("ENGINE")
    engine["model"].setValue(model)
    engine["track_file"].setValue(track)
    write = nuke.createNode("Write", inpanel=False)
    write.setInput(0, group)
    write["file"].setValue(output)
    write["create_directories"].setValue(True)
    nuke.execute(write, first, last)


if __name__ == "__main__":
    main(*sys.argv[1:])
