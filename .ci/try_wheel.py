"""Install the wheel of a folder into an empty environment, and use it as README.md says, away from the repository."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import venv

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Of the environment of `make`, what would let the repository or the flags of the tests in.
LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "XLA_FLAGS")


def main(folder: str) -> None:
    """Try the one wheel of a folder."""
    (wheel,) = pathlib.Path(folder).resolve().glob("jaxrec-*.whl")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    surroundings = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}

    with tempfile.TemporaryDirectory() as place:

        def run(*words: str) -> None:
            print("+", *(word if len(word) < 90 else "..." for word in words), flush=True)
            subprocess.run(words, cwd=work, env=surroundings, check=True)

        work = pathlib.Path(place, "work")
        work.mkdir()
        venv.create(pathlib.Path(place, "venv"), with_pip=True)
        bin = pathlib.Path(place, "venv", "bin")
        run(f"{bin}/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[data]")
        where = "import jaxrec, pathlib; assert 'site-packages' in jaxrec.__file__, jaxrec.__file__"
        run(f"{bin}/python", "-I", "-W", "error", "-c", where)
        run(f"{bin}/jaxrec", "--version")
        run(f"{bin}/python", "-I", "-c", "\n".join(blocks))  # the ten lines
        # The report needs the styles and scripts of the package.
        run(f"{bin}/jaxrec", "fit", "movielens-small", "--model", "ease", "--out", "runs/ease", "--quiet")
        run(f"{bin}/jaxrec", "recommend", "runs/ease", "--user", "42", "-k", "10")
        run(f"{bin}/jaxrec", "report", "runs/ease", "--out", "report.html", "--quiet")
        page = (work / "report.html").read_text("utf-8")
        missing = [name for name in ("<style", "<script") if name not in page]
        if missing:
            sys.exit(f"the report lacks {missing}")
    print(f"{wheel.name} works in an empty environment")


if __name__ == "__main__":
    main(*sys.argv[1:])
