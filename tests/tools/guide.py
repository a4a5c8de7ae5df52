"""Writes the examples of the guides into a folder, for type checkers and linters of workflows.

python -m tests.tools.guide FOLDER
"""

import re
import sys
from pathlib import Path

from tests.support.documentation import ROOT, examples, pages

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for title, page in pages().items():
        file = (folder / re.sub(r"\W", "_", title)).with_suffix(".py")
        file.write_text("# pyright: strict\n" + page, "utf-8")
    ci = (ROOT / "arize_roles_async/guide/roles-as-code-in-ci.md").read_text("utf-8")
    for number, text in enumerate(examples(ci, "yaml")):
        if "\njobs:" in text:
            (folder / f"{number}.yml").write_text(text, "utf-8")
