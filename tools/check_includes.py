#!/usr/bin/env python3
"""check_includes.py [ROOT] -- includes point down only (DOWN, as ARCHITECTURE.md has it), and members
of a folder that users extend (named by its list.def) never include each other. Prints file:line for
each offence. Every run first proves on a planted tree that it finds what it should.
SPDX-License-Identifier: Apache-2.0"""
import pathlib, re, sys, tempfile

DOWN = {"api": "engine", "engine": "plan device", "plan": "recipe model", "recipe": "method", "method": "sparsify",
        "sparsify": "reduce", "reduce": "kern", "model": "format", "format": "kern", "device": "kern", "kern": "base", "base": ""}


def below(folder):
    return {folder}.union(*(below(f) for f in DOWN[folder].split()))


def fault(root, file, quote, target):
    """Why this include is wrong, or None."""
    top, folder, other = file.relative_to(root).parts, target.split("/")[0], pathlib.Path(target).stem
    if top[0] == "cli":
        known = quote == "<" or (root / "cli" / target).exists()
        return None if known else f"cli may include <ladle/ladle.h> only, not {target}"
    if folder == "ladle":
        return None if top[1] == "api" else "only cli and api know the public header"
    if quote == "<":
        return None
    if "/" not in target or folder not in DOWN:
        return f'"{target}" is no path from src/'
    if folder not in below(top[1]):
        return f"{top[1]}/ may not include {folder}/: that points up or aside"
    rows = root / "src" / folder / "list.def"
    members = re.findall(r"^LDL_[A-Z]+\((\w+)", rows.read_text(), re.M) if rows.exists() else []
    if folder == top[1] and file.stem != other and {file.stem, other} <= set(members):
        return f"{file.stem} and {other} are members of {folder}/ and may not know each other"


def check(root):
    for file in sorted([*root.glob("src/*/*.[ch]"), *root.glob("cli/*.[ch]")]):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            m = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            why = m and fault(root, file, *m.groups())
            if why:
                yield f"{file.relative_to(root)}:{number}: {why}"


def self_test():
    bad = {"src/base/a.c": '#include "kern/k.h"', "src/method/ties.c": '#include "method/slerp.h"', "cli/m.c": '# include "base/e.h"',
           "src/plan/p.c": "\n#include <ladle/ladle.h>", "src/format/f.c": '#include "model/v.h"', "src/recipe/r.c": '#include "r.h"'}
    fine = {"src/api/x.c": '#include <ladle/ladle.h>\n#include "base/err.h"', "src/method/slerp.c": '#include "kern/k.h"',
            "cli/b.c": "#include <ladle/ladle.h>", "src/method/list.def": "LDL_METHOD(ties)\nLDL_METHOD(slerp)"}
    with tempfile.TemporaryDirectory() as folder:
        for path, text in ((pathlib.Path(folder, name), text) for name, text in {**bad, **fine}.items()):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        found = {line.split(":")[0] for line in check(pathlib.Path(folder))}
        assert found == set(bad), f"check_includes.py is broken: found {sorted(found)}, planted {sorted(bad)}"


self_test()
offences = list(check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()))
print("\n".join(offences) or "includes: all point down")
sys.exit(1 if offences else 0)
