#!/usr/bin/env python3
"""gen_docs.py -- writes the tables of docs/ from what the program says about itself, and checks that
what is written by hand has forgotten nothing.

Between the two lines `<!-- NAME: begin -->` and `<!-- NAME: end -->` a page's text is generated:
  parameters   in docs/methods/METHOD.md, from `ladle methods METHOD --json`; methods of recipes have
               their table in docs/recipes.md, under the name `recipe methods`
  methods      in docs/index.md, from `ladle methods --json`
By hand, and checked: a page for each method and a method for each page; each flag of
`ladle merge --help` in the man page and in coming-from-paddlenlp.md; links that lead somewhere.

usage: gen_docs.py [--check]     --check writes nothing; exit status 1 when something is stale
The program is build/ladle, or what LADLE_BIN names.
SPDX-License-Identifier: Apache-2.0"""
import json, os, pathlib, re, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
LADLE = os.environ.get("LADLE_BIN", str(ROOT / "build" / "ladle"))


def ladle(*words):
    try:
        return subprocess.run([LADLE, *words], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as e:
        sys.exit(f"gen_docs.py: {e}; build it first with ./dev build")


def table(head, rows):
    def line(cells):
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    return line(head) + "|" + "---|" * len(head) + "\n" + "".join(map(line, rows))


def parameters(method):
    return table(["parameter", "values", "default", "what it does", "part"],
                 [[f"`{p['name']}`", p["range"], p["default"] or "none", p["help"], p["part"]]
                  for p in method["parameters"]])


def methods_table(methods):
    return table(["method", "what it does", "sparsifier", "combiner", "models"],
                 [[f"[{m['name']}](methods/{m['name']}.md)", m["summary"], m["sparsifier"] or "none", m["combiner"],
                   f"{m['min_models']} or more" if m["max_models"] > m["min_models"] else f"exactly {m['min_models']}"]
                  for m in methods])


def replaced(path, name, text):
    """The page with `text` between its two lines; None when the lines are not there once."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    page = path.read_text(encoding="utf-8")
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        return None
    return page[:page.index(begin) + len(begin)] + text + page[page.index(end):]


def recipe_table(methods):
    rows = []
    for m in methods:
        ps = [f"`{p['name']}`" + (f" ({p['default']})" if p["default"] else "") for p in m["parameters"]]
        rows.append([f"`{m['name']}`", m["summary"], ", ".join(ps) or "none"])
    return table(["merge_method", "what it does", "parameters (and defaults)"], rows)


def tables(methods, write):
    """Brings the generated parts up to date, or says which are not."""
    recipes = [m for m in methods if m["language"] == "mergekit"]
    methods = [m for m in methods if m["language"] != "mergekit"]
    wanted = {DOCS / "methods" / f"{m['name']}.md": ("parameters", parameters(m)) for m in methods}
    for path in sorted((DOCS / "methods").glob("*.md")):
        if path not in wanted:
            yield f"{path.relative_to(ROOT)}: there is no such method; remove the page"
    wanted[DOCS / "index.md"] = ("methods", methods_table(methods))
    wanted[DOCS / "recipes.md"] = ("recipe methods", recipe_table(recipes))
    for path, (name, text) in wanted.items():
        shown = path.relative_to(ROOT)
        if not path.exists():
            yield f"{shown}: missing; write it, with a line <!-- {name}: begin --> and one <!-- {name}: end -->"
            continue
        page = replaced(path, name, text)
        if page is None:
            yield f"{shown}: needs one line <!-- {name}: begin --> and after it one <!-- {name}: end -->"
        elif page != path.read_text(encoding="utf-8"):
            if write:
                path.write_text(page, encoding="utf-8")
                print(f"{shown}: written")
            else:
                yield f"{shown}: the {name} table is stale; run ./dev docs"


def flags():
    """Flags that a hand-written page forgot."""
    names = re.findall(r"^  --(\w+)", ladle("merge", "--help").split("usage: ladle merge RECIPE")[0], re.M)
    if not names:
        yield "ladle merge --help lists no flags that this script can find"
    pages = {DOCS / "coming-from-paddlenlp.md": "`{}`", DOCS / "ladle.1": "Fl -{}"}
    for path, form in pages.items():
        text = path.read_text(encoding="utf-8")
        for name in names:
            if not re.search(re.escape(form.format(name)) + r"(?!\w)", text):
                yield f"{path.relative_to(ROOT)}: does not name the flag {name}"


def links():
    """Relative links of all pages that lead nowhere."""
    for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
            if "://" not in target and not (path.parent / target).exists():
                yield f"{path.relative_to(ROOT)}: the link to {target} leads nowhere"


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    problems = [*tables(json.loads(ladle("methods", "--json")), write=len(sys.argv) == 1), *flags(), *links()]
    print("\n".join(problems) or "docs: up to date")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
