"""The generated forms of the knob table, read back by the programs that they are made for."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from semblance import forms
from semblance.knobs import declared, digest

ROOT = Path(__file__).resolve().parents[1]
NUKE_CODES = {"text": "1", "file": "2", "int": "3", "choice": "4", "bool": "6", "float": "7"}
NAMES = [knob.name for knob in declared()]

READER = r"""
#include <stdio.h>
#include "knobs_table.h"
int main(void) {
    puts(SEMBLANCE_KNOBS_DIGEST);
    for (int i = 0; i < SEMBLANCE_KNOB_COUNT; i++) {
        const semblance_knob *k = &semblance_knobs[i];
        printf("%s\t%s\t%s\t%d\t%d\t%.17g\t%s\t%.17g\t%.17g", k->name, k->help, k->unit, k->kind,
               k->animates, k->number, k->text, k->low, k->high);
        printf("\t%d\t%.17g\t%d", k->idles, k->idle, k->inspects);
        for (const char *const *c = k->choices; c && *c; c++) printf("\t%s", *c);
        putchar('\n');
    }
    return 0;
}
"""

TCL_READER = r"""
set rows {}
proc addUserKnob {words} {
    global rows
    if {[lindex $words 0] != 20} {
        set rest [lrange $words 2 end]
        set end [lsearch $rest +STARTLINE]
        if {$end >= 0} { set rest [lreplace $rest $end $end] }
        set tip ""; set choices {}
        for {set i 0} {$i < [llength $rest]} {incr i 2} {
            if {[lindex $rest $i] eq "t"} { set tip [lindex $rest [expr {$i + 1}]] }
            if {[lindex $rest $i] eq "M"} { set choices [lindex $rest [expr {$i + 1}]] }
            if {[lindex $rest $i] eq "R"} break
        }
        lappend rows [list [lindex $words 0] [lindex $words 1] $tip $choices]
    }
}
proc unknown {name value} { global rows; lappend rows [list value $name $value {}] }
"""


@pytest.mark.parametrize("path", forms.generated())
def test_generated_files_in_the_repository_are_what_the_table_says(path):
    committed = (ROOT / path).read_bytes().decode()
    assert committed == forms.generated()[path], "run `make knobs`"


def test_the_files_are_written_by_running_the_module(tmp_path):
    subprocess.run([sys.executable, "-m", "semblance.forms", str(tmp_path)], check=True)
    for path, text in forms.generated().items():
        assert (tmp_path / path).read_bytes() == text.encode()


def test_the_reference_page_has_one_row_for_each_knob_with_its_help():
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", forms.markdown(), re.MULTILINE))
    assert rows == {knob.name: knob.help for knob in declared()}


def test_the_header_compiles_strictly_and_holds_the_table(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    (tmp_path / "knobs_table.h").write_text(forms.ofx_header())
    (tmp_path / "reader.c").write_text(READER)
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    program = tmp_path / "reader"
    subprocess.run([compiler, *strict, "reader.c", "-o", program], cwd=tmp_path, check=True)
    said = subprocess.run([program], capture_output=True, check=True).stdout.decode()
    first, *rows = said.rstrip("\n").split("\n")
    assert first == digest()
    kinds = ["float", "int", "bool", "choice", "text", "file"]
    for knob, row in zip(declared(), rows, strict=True):
        name, tip, unit, kind, animates, number, text, low, high, *others = row.split("\t")
        idles, idle, inspects, *choices = others
        assert bool(int(idles)) == (knob.idle is not None)
        assert bool(int(inspects)) == knob.inspects
        if isinstance(knob.idle, float):
            assert float(idle) == knob.idle
        assert (name, tip, unit) == (knob.name, knob.help, knob.unit)
        assert kinds[int(kind)] == knob.kind
        assert bool(int(animates)) == knob.animates
        assert (float(low), float(high)) == (knob.range or (0.0, 0.0))
        assert tuple(choices) == knob.choices
        if knob.kind == "choice":
            assert choices[int(float(number))] == knob.default
        elif knob.kind in ("text", "file"):
            assert text == knob.default
        else:
            assert float(number) == knob.default


def test_c_strings_keep_every_byte(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    text = 'a "quoted" \\ path ??/ × − 1\n{[$x]}'
    source = f"#include <stdio.h>\nint main(void) {{ fputs({forms._c_string(text)}, stdout); }}\n"
    (tmp_path / "string.c").write_text(source)
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *strict, "string.c", "-o", "string"], cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "string"], capture_output=True, check=True).stdout
    assert said.decode() == text


def _tcl(script: str) -> list[tuple[str, ...]]:
    """Run a script in a real Tcl interpreter; `rows` is what it leaves."""
    if importlib.util.find_spec("_tkinter"):
        import tkinter

        tcl = tkinter.Tcl()
        tcl.eval(script)
        rows = tcl.splitlist(tcl.eval("set rows"))
        return [tuple(map(str, tcl.splitlist(row))) for row in rows]
    if (shell := shutil.which("tclsh")) is not None:
        say = '\nforeach row $rows { puts [join $row "\\t"] }\n'
        said = subprocess.run([shell], input=script + say, capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
        return [tuple(line.split("\t")) for line in said.stdout.splitlines()]
    pytest.skip("no Tcl interpreter on this machine")


def test_tcl_reads_every_gizmo_knob_with_its_help_choices_and_default():
    rows = _tcl(TCL_READER + forms.gizmo_knobs())
    made = {row[1]: row for row in rows if row[0] != "value"}
    values = {row[1]: row[2] for row in rows if row[0] == "value"}
    assert list(made) == NAMES
    for knob in declared():
        code, _, tip, choices = made[knob.name]
        assert code == NUKE_CODES[knob.kind]
        assert tip.startswith(knob.help)
        assert knob.unit in tip
        assert tuple(choices.split()) == knob.choices
        assert values.get(knob.name, "") == forms._plain(knob.default)


def test_tcl_words_are_never_evaluated():
    text = 'say "hi" [exit 3] $env(HOME) {brace \\'
    rows = _tcl(
        f"set rows {{}}\nproc keep words {{global rows; lappend rows $words}}\n"
        f"keep {{x {forms._tcl_string(text)}}}\n"
    )
    assert rows == [("x", text)]


def test_farm_parameters_are_of_the_published_schema():
    template = forms.farm_parameters()["parameterDefinitions"]
    assert [parameter["name"] for parameter in template] == NAMES
    kinds = {"STRING": str, "PATH": str, "INT": int, "FLOAT": float}
    controls = {
        "STRING": {"LINE_EDIT", "DROPDOWN_LIST", "CHECK_BOX"},
        "PATH": {"CHOOSE_INPUT_FILE"},
        "INT": {"SPIN_BOX"},
        "FLOAT": {"SPIN_BOX"},
    }
    for knob, parameter in zip(declared(), template, strict=True):
        kind, shown = parameter["type"], parameter["userInterface"]
        assert re.fullmatch(r"[A-Za-z_]\w{0,63}", parameter["name"])
        assert len(parameter["description"]) <= 2048
        assert max(len(shown["label"]), len(shown["groupLabel"])) <= 64
        assert shown["control"] in controls[kind]
        assert type(parameter["default"]) is kinds[kind]
        assert parameter["default"] in parameter.get("allowedValues", [parameter["default"]])
        if knob.range is not None:
            assert (parameter["minValue"], parameter["maxValue"]) == knob.range
