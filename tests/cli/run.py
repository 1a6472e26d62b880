#!/usr/bin/env python3
"""run.py -- what the program prints, and its exit codes, as golden text.

A *.test file beside this one is a list of commands, each with what it must print:

    # a comment
    $ ladle merge --merge_method foo          a line for sh; the folder is a new one with models()
    > a line on stdout
    2> a line on stderr
    = 2                                       the exit code; 0 when there is no such line

<TMP> stands for the folder, [...] for any text within a line; a line that is [...] alone, for any
number of lines. Nothing else may be printed.
usage: run.py [--update] [FILE.test ...]      --update writes what was printed into the files
SPDX-License-Identifier: Apache-2.0"""
import glob, os, re, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import ladletest as lt  # noqa: E402


def models(folder):
    """base and its fine-tunes a, b, c; wide (another shape), more (one tensor more), short (cut)."""
    def write(name, move, shape=(2, 4), extra=()):
        n = shape[0] * shape[1]
        w = [move * (i % 5 - 2) + 0.25 * i for i in range(n)]
        tensors = {"embed.weight": lt.Tensor("F32", shape, lt.encode("F32", w)),
                   "norm.weight": lt.Tensor("BF16", (4,), lt.encode("BF16", [1 + move] * 4)),
                   "steps": lt.Tensor("I64", (), lt.encode("I64", [7]))}
        for key in extra:
            tensors[key] = lt.Tensor("F32", (1,), lt.encode("F32", [0.0]))
        lt.write_model(os.path.join(folder, name), tensors)
    for i, name in enumerate(("base", "a", "b", "c")):
        write(name, 0.125 * i)
    write("wide", 0, (2, 5))
    write("more", 0, extra=("head.weight", "head.bias"))
    write("short", 0)
    path = os.path.join(folder, "short", "model.safetensors")
    os.truncate(path, os.path.getsize(path) - 9)
    os.mkdir(os.path.join(folder, "empty"))


class Step:
    """One command: the lines of the file from "$ " to the next one."""
    def __init__(self, line, number):
        self.command, self.number, self.lines = line[2:], number, []

    def expected(self, mark):
        return [l[len(mark):].removeprefix(" ") for l in self.lines if l.startswith(mark)]

    def code(self):
        return int((self.expected("=") or ["0"])[0])


def parse(path):
    """(lines before the first command, steps)"""
    head, steps = [], []
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f.read().splitlines(), 1):
            if line.startswith("$ "):
                steps.append(Step(line, number))
            elif not re.match(r"#|$|>|2>|= ", line):
                raise SystemExit(f"{path}:{number}: not a line of a test: {line}")
            else:
                (steps[-1].lines if steps else head).append(line)
    return head, steps


def matches(want, got):
    """Do the printed lines fit the expected ones?"""
    part = lambda line: ".*".join(map(re.escape, line.split("[...]")))  # noqa: E731
    pattern = "".join(r"(.*\n)*" if line == "[...]" else part(line) + "\n" for line in want)
    return re.fullmatch(pattern, "".join(line + "\n" for line in got)) is not None


def execute(step, folder, programs):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LADLE_", "HF_", "LC_", "LANG"))}
    env.update(PATH=programs + ":" + env["PATH"], HOME=folder, LC_ALL="C")
    p = subprocess.run(["sh", "-c", step.command], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=120)
    clean = [s.decode("utf-8", "replace").replace(os.path.realpath(folder), "<TMP>").splitlines()
             for s in (p.stdout, p.stderr)]
    return p.returncode, clean[0], clean[1]


def run_file(path, update, report):
    head, steps = parse(path)
    text = head
    with lt.workdir() as folder, lt.workdir() as programs:
        models(folder)
        os.symlink(lt.BIN, os.path.join(programs, "ladle"))
        for step in steps:
            code, out, err = execute(step, folder, programs)
            problems = [f"exit {code}, expected {step.code()}"] if code != step.code() else []
            for mark, got in ((">", out), ("2>", err)):
                if not matches(step.expected(mark), got):
                    problems += [f"want {mark} {l}" for l in step.expected(mark)]
                    problems += [f"got  {mark} {l}" for l in got] or [f"got  {mark} nothing"]
            text += ["$ " + step.command]
            if update and problems:
                text += [f"> {l}".rstrip() for l in out] + [f"2> {l}".rstrip() for l in err]
                text += [f"= {code}"] if code else []
                text += [l for l in step.lines if not re.match(r">|2>|= ", l)]
            else:
                text += step.lines
            report.case(f"{os.path.basename(path)}:{step.number} {step.command}", [] if update else problems)
    if update:
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(text) + "\n")


def main():
    words = [w for w in sys.argv[1:] if w != "--update"]
    lt.need_program()
    report = lt.Report()
    for path in words or sorted(glob.glob(os.path.join(HERE, "*.test"))):
        run_file(path, "--update" in sys.argv, report)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
