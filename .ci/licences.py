"""Licences and bill of materials of an environment; fails if a licence is not one of those that we accept.

    .ci/licences.py ENVIRONMENT FOLDER

ENVIRONMENT has what is to be listed and nothing else; this program runs in another, with the extra `dev`. FOLDER gets
`licences.json` and `sbom.cdx.json`, in the format of CycloneDX.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ALLOWED = frozenset(
    {
        *(
            "0BSD",
            "Apache-2.0",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "CC0-1.0",
            "ISC",
            "MIT",
            "MIT-CMU",
            "PSF-2.0",
            "Zlib",
        ),
        # What packages that do not say it in SPDX's words call the same.
        *("Apache Software License", "BSD License", "ISC License (ISCL)", "MIT License"),
        "Python Software Foundation License",
    }
)
"""Licences that ask for their text to be passed on, and for no more."""


def terms(licence: str) -> list[str]:
    """The licences that one text joins by AND, OR, a comma or a semicolon; each of them has to be accepted."""
    return [
        term.strip("() ") if " (" not in term else term.strip()
        for term in re.split(r" AND | OR |;|,", licence)
    ]


def refused(packages: list[dict[str, str]]) -> list[str]:
    """A line for every package with a licence that is not accepted."""
    return [
        f"{package['Name']} {package['Version']}: {package['License']}"
        for package in packages
        if not set(terms(package["License"])) <= ALLOWED
    ]


def main() -> None:
    environment, folder = Path(sys.argv[1]), Path(sys.argv[2])
    python = environment / "bin" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    listed = subprocess.run(
        [
            sys.executable,
            "-m",
            "piplicenses",
            "--python",
            python,
            "--from=mixed",
            "--format=json",
            "--with-urls",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    (folder / "licences.json").write_text(listed, encoding="utf-8")
    bill = folder / "sbom.cdx.json"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "cyclonedx_py",
            "environment",
            python,
            "--output-reproducible",
            "--output-file",
            bill,
        ],
        check=True,
    )
    packages = [package for package in json.loads(listed) if package["Name"] != "doctored"]
    components = json.loads(bill.read_text("utf-8"))["components"]
    missing = {package["Name"] for package in packages} - {component["name"] for component in components}
    if not packages or missing:
        sys.exit(f"the bill of materials lacks {', '.join(sorted(missing)) or 'everything'}")
    if wrong := refused(packages):
        sys.exit("licences that are not accepted:\n" + "\n".join(wrong))
    print(f"{len(packages)} packages, all under licences that are accepted; see {folder}")


if __name__ == "__main__":
    main()
