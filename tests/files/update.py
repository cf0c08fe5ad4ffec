"""Write the .expected files anew: `python -m tests.files.update` from the top of the repository. Read the diff."""

from tests.support.filecases import ROOT, cases, said, update

if __name__ == "__main__":
    for path in update():
        print(path.relative_to(ROOT))
    for case in cases("negative"):
        if not said(case):
            print(f"{case.relative_to(ROOT)}: nothing is wrong with it")
