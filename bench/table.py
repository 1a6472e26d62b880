"""table.py -- figures as a Markdown table, a line at a time, and as JSON.

Standard library only. SPDX-License-Identifier: Apache-2.0"""
import json

import machine


class Table:
    """columns: (heading, width, how to make the cell's text of a row). Rows are dicts, and are kept."""
    def __init__(self, columns):
        self.columns, self.rows, self.begun = columns, [], False

    def line(self, cells):
        out = (c.ljust(w) if i == 0 else c.rjust(w) for i, (c, (_, w, _)) in enumerate(zip(cells, self.columns)))
        print("| " + " | ".join(out) + " |", flush=True)

    def add(self, row):
        if not self.begun:
            self.line([h for h, _, _ in self.columns])
            self.line(["-" * w if i == 0 else "-" * (w - 1) + ":" for i, (_, w, _) in enumerate(self.columns)])
            self.begun = True
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
    """What one verb prints: machine, tables, and at the end all of it as JSON."""
    def __init__(self, verb, folder, json_path, **about):
        self.json_path, self.company = json_path, machine.Company()
        self.all = {"verb": verb, "machine": machine.facts(folder), **about}
        m = self.all["machine"]
        print(f"{m['cpu']}, {m['cores']} cores, {m['memory']}; Linux {m['kernel']}; {m['file_system']}; {m['ladle']}")

    def say(self, words):
        print(words, flush=True)

    def table(self, name, title, columns):
        print(f"\n{title}\n", flush=True)
        t = Table(columns)
        self.all[name] = t.rows
        return t

    def done(self):
        self.all["other_programs"] = self.company.share()
        print(f"\nMeanwhile other programs used {100 * self.all['other_programs']:.0f} % of the processors.\n")
        words = json.dumps(self.all, indent=2)
        print(words)
        if self.json_path:
            with open(self.json_path, "w") as f:
                f.write(words + "\n")
