"""Nuke scripts as data: Tcl's words and lists, of which nothing is ever evaluated.

- `words`: the elements of a Tcl list, as Tcl itself splits it.
- `nodes`: the nodes of a script, each with its knobs.
- `quoted`: a text as one element of a list.

A variable, a command in brackets or an expression stays the text that it is. Every word knows its
line, so that whoever reads a value can say where it stands.

References
----------
The rules of Tcl(n), "Tcl language syntax", and of split lists, Tcl_SplitList(3), Tcl 8.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from semblance.errors import TrackError

__all__ = ["Node", "Word", "fault", "nodes", "quoted", "words"]

_REMEDY: Final = "Save or copy the node from Nuke again."

_BLANK: Final = re.compile(r"[ \t\n\r\f\v]*")
_BRACE: Final = re.compile(r"[\\{}]")
_QUOTE: Final = re.compile(r'[\\"\[]')
_QUOTE_OF_LIST: Final = re.compile(r'[\\"]')
_BARE_OF_LIST: Final = re.compile(r"(?:[^\\ \t\n\r\f\v]|\\\n[ \t]*|\\.|\\\Z)+", re.DOTALL)
_BARE: Final = re.compile(r"[\\\[; \t\n\r\f\v]")
_BRACKET: Final = re.compile(r"[\\\[\]]")
_BETWEEN: Final = re.compile(r"(?:[ \t\r\f\v]|\\\n[ \t]*)*")
_BEGINNING: Final = re.compile(r"(?:[ \t\n\r\f\v;]|\\\n)*")
_COMMENT: Final = re.compile(r"(?:[^\\\n]|\\.)*", re.DOTALL)
_ESCAPE: Final = re.compile(
    r"\\(?:\n[ \t]*|x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{1,4}|U[0-9A-Fa-f]{1,8}"
    r"|[0-3][0-7]{0,2}|[4-7][0-7]?|.)",
    re.DOTALL,
)
_CONTINUED: Final = re.compile(r"\\\n[ \t]*")
_ENDS: Final = " \t\n\r\f\v"
_LETTERS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_PLAIN: Final = re.compile(r"[\w.+\-/:#=@%*,]+", re.ASCII)


class Word(NamedTuple):
    """A word of a script or an element of a list.

    Parameters
    ----------
    text : str
        What it stands for; of a word in braces, what is between them.
    line : int
        Of the script, from 1.
    """

    text: str
    line: int


class Node(NamedTuple):
    """A node of a script.

    Parameters
    ----------
    kind : str
        Its class: ``Tracker4``.
    knobs : mapping of str to Word
        Values by name. User knobs are declared by ``addUserKnob``, which is left out here.
    line : int
        Where it begins.
    """

    kind: str
    knobs: Mapping[str, Word]
    line: int

    @property
    def name(self) -> str:
        """What the script calls it, or its class."""
        name = self.knobs.get("name")
        return name.text if name is not None else self.kind


def fault(line: int, fact: str) -> TrackError:
    """Return what is wrong at a line of a script."""
    return TrackError(f"line {line}: {fact}", _REMEDY)


def words(text: str, line: int = 1) -> list[Word]:
    """Return the elements of a Tcl list.

    Parameters
    ----------
    text : str
        The list.
    line : int
        The line at which it begins.

    Raises
    ------
    TrackError
        A brace or a quote is not closed, or is not followed by a blank.
    """
    found: list[Word] = []
    at, counted = 0, 0
    while True:
        at = _skip(_BLANK, text, at)
        if at >= len(text):
            return found
        line += text.count("\n", counted, at)
        counted = at
        if text[at] == "{":
            end = _closing(text, at, line)
            found.append(Word(text[at + 1 : end], line))
            at = _ended(text, end + 1, line, "}", _ENDS)
        elif text[at] == '"':
            end = _unquoted(text, at, line, _QUOTE_OF_LIST)
            found.append(Word(_plain(text[at + 1 : end]), line))
            at = _ended(text, end + 1, line, '"', _ENDS)
        else:
            end = _skip(_BARE_OF_LIST, text, at)
            found.append(Word(_plain(text[at:end]), line))
            at = end


def nodes(text: str) -> Iterator[Node]:
    """Yield the nodes of a Nuke script, those inside of groups too.

    Parameters
    ----------
    text : str
        The script, or what Nuke puts into the clipboard when nodes are copied.

    Raises
    ------
    TrackError
        It is no Tcl, or a node has a knob without a value.
    """
    for command in _commands(text):
        if len(command) != 2 or not command[0].text.isidentifier():
            continue
        kind, body = command
        if kind.text in ("push", "version", "define_window_layout_xml"):
            continue
        pairs = words(body.text, body.line)
        if len(pairs) % 2:
            raise fault(pairs[-1].line, f"knob {_shown(pairs[-1].text)!r} has no value")
        knobs = {
            name.text: value
            for name, value in zip(pairs[::2], pairs[1::2], strict=True)
            if name.text != "addUserKnob"
        }
        yield Node(kind.text, knobs, kind.line)


def quoted(text: str) -> str:
    """Return a text as one element of a list.

    >>> print(quoted("jaw_00"), quoted("left eye"))
    jaw_00 "left eye"
    """
    if _PLAIN.fullmatch(text) and not text.startswith("#"):
        return text
    return '"' + re.sub(r'([\\"\[\]${};])', r"\\\1", text).replace("\n", "\\n") + '"'


def _commands(text: str) -> Iterator[list[Word]]:
    """Yield a script's commands, each as its words."""
    at, counted, line = 0, 0, 1
    while True:
        at = _skip(_BEGINNING, text, at)
        if at >= len(text):
            return
        if text[at] == "#":
            at = _skip(_COMMENT, text, at)
            continue
        command: list[Word] = []
        while at < len(text) and text[at] not in "\n;":
            line += text.count("\n", counted, at)
            counted = at
            word, at = _word(text, at, line)
            command.append(word)
            at = _skip(_BETWEEN, text, at)
        yield command


def _word(text: str, at: int, line: int) -> tuple[Word, int]:
    """Return the word of a command that begins at a place, and where it ends."""
    ends = _ENDS + ";"
    if text[at] == "{":
        end = _closing(text, at, line)
        inside = _CONTINUED.sub(" ", text[at + 1 : end])
        return Word(inside, line), _ended(text, end + 1, line, "}", ends)
    if text[at] == '"':
        end = _unquoted(text, at, line, _QUOTE)
        return Word(_plain(text[at + 1 : end]), line), _ended(text, end + 1, line, '"', ends)
    end = at
    while (mark := _BARE.search(text, end)) is not None:
        if mark[0] == "[":
            end = _bracketed(text, mark.start(), line)
        elif mark[0] == "\\" and text[mark.end() : mark.end() + 1] not in ("\n", ""):
            end = mark.end() + 1
        else:
            break
    end = len(text) if mark is None else mark.start()
    return Word(_plain(text[at:end]), line), end


def _closing(text: str, at: int, line: int) -> int:
    """Return where the brace at a place is closed."""
    depth = 0
    skip = -1
    for mark in _BRACE.finditer(text, at):
        if mark.start() == skip:  # a brace behind a backslash is none
            continue
        if mark[0] == "\\":
            skip = mark.end()
            continue
        depth += 1 if mark[0] == "{" else -1
        if depth == 0:
            return mark.start()
    raise fault(line, "the brace that opens here is never closed")


def _unquoted(text: str, at: int, line: int, marks: re.Pattern[str]) -> int:
    """Return where the quote at a place is closed."""
    end = at + 1
    while (mark := marks.search(text, end)) is not None:
        if mark[0] == '"':
            return mark.start()
        end = _bracketed(text, mark.start(), line) if mark[0] == "[" else mark.end() + 1
    raise fault(line, "the quote that opens here is never closed")


def _bracketed(text: str, at: int, line: int) -> int:
    """Return the place behind the brackets that open at a place."""
    depth, end = 0, at
    while (mark := _BRACKET.search(text, end)) is not None:
        end = mark.end() + (mark[0] == "\\")
        depth += {"[": 1, "]": -1}.get(mark[0], 0)
        if depth == 0:
            return end
    raise fault(line, "the bracket that opens here is never closed")


def _ended(text: str, at: int, line: int, mark: str, ends: str) -> int:
    goes_on = ";" in ends and text.startswith("\\\n", at)  # a command does so, a list not
    if at < len(text) and text[at] not in ends and not goes_on:
        raise fault(line, f"expected a blank behind {mark!r}, found {_shown(text[at:])!r}")
    return at


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _plain(text: str) -> str:
    return _ESCAPE.sub(_meant, text) if "\\" in text else text


def _meant(escape: re.Match[str]) -> str:
    """Return what a backslash and what follows stand for."""
    body = escape[0][1:]
    if body[0] == "\n":
        return " "
    if len(body) > 1 and body[0] in "xuU":
        code = int(body[1:], 16)
        return chr(code) if code <= 0x10FFFF else "\ufffd"
    if body[0] in "01234567":
        return chr(int(body, 8))
    return _LETTERS.get(body, body)


def _shown(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= 40 else f"{line[:37]}..."
