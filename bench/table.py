"""table.py -- figures as a Markdown table, a line at a time, and as JSON.

Standard library only. SPDX-License-Identifier: Apache-2.0"""
import json

import machine


class Table:
    """columns: (heading, width, how to make the cell's text of a row). Rows are dicts, and are kept."""
    def __init__(self, columns):
        self.columns, self.rows, self.lines = columns, [], []

    def line(self, cells):
        out = (c.ljust(w) if i == 0 else c.rjust(w) for i, (c, (_, w, _)) in enumerate(zip(cells, self.columns)))
        self.lines.append("| " + " | ".join(out) + " |")
        print(self.lines[-1], flush=True)

    def add(self, row):
        if not self.lines:
            self.line([h for h, _, _ in self.columns])
            self.line(["-" * w if i == 0 else "-" * (w - 1) + ":" for i, (_, w, _) in enumerate(self.columns)])
        self.rows.append(row)
        self.line([make(row) for _, _, make in self.columns])


def text(key):
    return lambda row: str(row.get(key, ""))


def number(key, digits=2):
    return lambda row: "" if row.get(key) is None else f"{row[key]:.{digits}f}"


def spread(prefix=""):
    """median (least - most) of Ratios.row(prefix)."""
    def make(row):
        if row.get(prefix + "ratio") is None:
            return ""
        return f"{row[prefix + 'ratio']:.2f} ({row[prefix + 'min']:.2f} - {row[prefix + 'max']:.2f})"
    return make


class Paper:
    """What one verb prints: machine, tables, and at the end all of it as JSON. --doc puts each table into a
    page, between the lines <!-- VERB.TABLE: begin --> and <!-- VERB.TABLE: end -->."""
    def __init__(self, verb, folder, a, **about):
        self.verb, self.a, self.company, self.tables = verb, a, machine.Company(), {}
        self.all = {"verb": verb, "machine": machine.facts(folder), **about}
        m = self.all["machine"]
        self.on = f"{m['cpu']}, {m['cores']} cores, {m['memory']}; Linux {m['kernel']}; {m['file_system']}; {m['ladle']}"
        print(self.on)

    def say(self, words):
        self.on += f"; {words}"
        print(words, flush=True)

    def table(self, name, title, columns):
        print(f"\n{title}\n", flush=True)
        self.tables[name] = t = Table(columns)
        self.all[name] = t.rows
        return t

    def done(self):
        self.all["other_programs"] = self.company.share()
        meanwhile = f"Meanwhile other programs used {100 * self.all['other_programs']:.0f} % of the processors."
        words = json.dumps(self.all, indent=2)
        print(f"\n{meanwhile}\n\n{words}")
        if self.a.json:
            with open(self.a.json, "w") as f:
                f.write(words + "\n")
        if self.a.doc:
            self.paste(f"{self.on}. {meanwhile}")

    def paste(self, note):
        with open(self.a.doc) as f:
            page = f.read()
        for name, t in self.tables.items():
            begin, end = (f"<!-- {self.verb}.{name}: {x} -->\n" for x in ("begin", "end"))
            if begin in page and end in page[page.index(begin):]:
                head, rest = page.split(begin, 1)
                page = head + begin + "\n".join(t.lines + ["", f"<sub>{note}</sub>", ""]) + end + rest.split(end, 1)[1]
        with open(self.a.doc, "w") as f:
            f.write(page)
