"""The frame of the checks that compare files of the project: they must also notice what is broken on purpose."""
import pathlib
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def unnoticed(parts, cases):
    """Breaks a copy of `parts`, files and folders below the root, once for each case, and returns how many nobody noticed.

    A case is: the file, a text in it, its replacement, what must be said about it, and the check, which takes the copy's root.
    A part that ends in a slash is an empty folder in the copy.
    """
    failures = 0
    for file, old, new, expected, check in cases:
        with tempfile.TemporaryDirectory() as scratch:
            copy = pathlib.Path(scratch)
            for part in parts:
                if part.endswith("/"):
                    (copy / part).mkdir(parents=True)
                elif (ROOT / part).is_dir():
                    shutil.copytree(ROOT / part, copy / part)
                else:
                    shutil.copy(ROOT / part, copy / part)
            text = (copy / file).read_text()
            (copy / file).write_text(text.replace(old, new))
            found = check(copy) if old in text else [f"{file} has no {old!r} to break"]
            if not any(expected in mistake for mistake in found):
                print(f"self-test: {file}: {old!r} -> {new!r}: expected {expected!r}, got {found}", file=sys.stderr)
                failures += 1
    return failures


def report(name, found):
    """Prints the mistakes; the exit status."""
    for mistake in found:
        print(mistake, file=sys.stderr)
    print(f"{name}: {len(found)} mistakes")
    return 1 if found else 0


def report_self_test(name, parts, cases):
    """Breaks everything once; the exit status."""
    failures = unnoticed(parts, cases)
    print(f"{name}: {len(cases)} breakages, {failures} not noticed")
    return 1 if failures else 0


def main(name, mistakes, parts, breakages):
    """For a check without further options: NAME [--self-test | ROOT]."""
    if sys.argv[1:] == ["--self-test"]:
        return report_self_test(name, parts, [(*breakage, mistakes) for breakage in breakages])
    return report(name, mistakes(pathlib.Path(sys.argv[1]) if sys.argv[1:] else ROOT))
