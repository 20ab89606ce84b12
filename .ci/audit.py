"""Known vulnerabilities of what is installed here, by pip-audit; needs the network, so it is run by hand."""

import json
import subprocess
import sys


def sentence(output: str) -> tuple[str, int]:
    """What an audit came to, and the exit status for that: 0 nothing found, 1 something, 2 it could not be done.

    Args:
        output: What pip-audit printed as JSON; anything else if it failed.
    """
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        packages = []
    asked = [package for package in packages if "vulns" in package]
    if not asked:
        return (
            "pip-audit could not reach its service, or that knows none of the packages; try again with a network",
            2,
        )
    wrong = [
        f"{p['name']} {p['version']}: {', '.join(v['id'] for v in p['vulns'])}" for p in asked if p["vulns"]
    ]
    skipped = len(packages) - len(asked)
    note = f"; {skipped} could not be looked up" if skipped else ""
    if wrong:
        return f"{len(wrong)} of {len(asked)} packages have known vulnerabilities{note}:\n" + "\n".join(
            wrong
        ), 1
    return f"{len(asked)} packages have no known vulnerability{note}", 0


def main() -> None:
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--format", "json"]
    text, status = sentence(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    print(text)
    sys.exit(status)


if __name__ == "__main__":
    main()
