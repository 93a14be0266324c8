"""Prints the CycloneDX list of what an image has: Python's packages and Debian's.

python sbom.py NAME [--version VERSION] [--environment FOLDER] [--debian FILE]

Runs in the build, in an environment of its own (locks/sbom.txt). The list has no serial number and
no time, so that two builds of the same packages print the same.
"""

import json
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL


def python_packages(environment: Path) -> Bom:
    """Returns the packages that are installed in a virtual environment."""
    program = Path(sys.executable).with_name("cyclonedx-py")
    command = [program, "environment", "--output-reproducible", "--spec-version", "1.6"]
    done = subprocess.run([*command, environment], capture_output=True, check=True)
    bom: Bom = Bom.from_json(json.loads(done.stdout))
    return bom


def debian_packages(status: Path) -> Iterator[Component]:
    """Yields the installed packages in a status file of dpkg."""
    for text in status.read_text(encoding="utf-8").strip().split("\n\n"):
        fields = HeaderParser().parsestr(text)
        if fields["Status"] == "install ok installed":
            name, version = fields["Package"], fields["Version"]
            url = PackageURL("deb", "debian", name, version, {"arch": fields["Architecture"]})
            yield Component(name=name, version=version, purl=url, bom_ref=str(url))


def describe(bom: Bom, name: str, version: str | None) -> None:
    """Names the image as that which has all components of `bom`."""
    image = Component(name=name, version=version, type=ComponentType.CONTAINER, bom_ref="image")
    bom.metadata.component = image
    bom.register_dependency(image, bom.components)


def without_moment(bom: Bom) -> dict[str, Any]:
    """Returns the document without what differs from build to build."""
    document: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["serialNumber"], document["metadata"]["timestamp"]
    return document


def main() -> None:
    """Prints the list of one image."""
    parser = ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--version")
    parser.add_argument("--environment", type=Path)
    parser.add_argument("--debian", type=Path, required=True)
    options = parser.parse_args()
    bom = python_packages(options.environment) if options.environment else Bom()
    bom.components.update(debian_packages(options.debian))
    describe(bom, options.name, options.version)
    json.dump(without_moment(bom), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
