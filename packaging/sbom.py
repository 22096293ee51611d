#!/usr/bin/env python3
"""Write the bundled libraries as a CycloneDX SBOM: for each its version, licence and the wheel's SHA-256.

    sbom.py DIRECTORY

The file is ``rolewatch-VERSION.cdx.json`` in DIRECTORY. Run from the root of the project, after `make vendor`.
"""

from __future__ import annotations

import hashlib
import os
import sys
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from email.message import Message
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from lay_out import PRIVATE, about, metadata

WHEELS = PRIVATE.with_name(f"{PRIVATE.name}.wheels")
SPOKEN = {"Apache License 2.0": "Apache-2.0", "Dual License": "Apache-2.0 OR BSD-3-Clause"}
"""Licence names that are not SPDX's, and their SPDX expressions. dateutil's is from its LICENSE."""


def component(of: Message, kind: ComponentType, **more: Any) -> Component:
    """Return the component with the Python metadata *of*."""
    name, version = of["Name"], of["Version"]
    licence = of["License-Expression"] or of["License"]
    return Component(
        type=kind,
        name=name,
        version=version,
        bom_ref=f"{name}@{version}",
        licenses=[LicenseFactory().make_from_string(SPOKEN.get(licence, licence))],
        **more,
    )


def libraries() -> Iterator[Component]:
    """Yield every library of the private directory."""
    for path in sorted(PRIVATE.glob("vendor*/*.dist-info/METADATA")):
        library = path.parents[1].name
        (wheel,) = (WHEELS / library).glob(f"{path.parent.name[: -len('.dist-info')]}-*.whl")
        of = metadata(path)
        yield component(
            of,
            ComponentType.LIBRARY,
            purl=PackageURL("pypi", name=of["Name"].lower().replace("_", "-"), version=of["Version"]),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(wheel.read_bytes()).hexdigest())],
            properties=[Property(name="rolewatch:directory", value=f"/usr/lib/rolewatch/{library}")],
        )


def main(directory: Path) -> None:
    """Write the bill of materials to *directory*."""
    ours = component(about(), ComponentType.APPLICATION)
    brought = list(libraries())
    names = ",".join(sorted(str(one.bom_ref.value) for one in [ours, *brought]))
    time = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), timezone.utc)
    bom = Bom(
        components=brought,
        metadata=BomMetaData(component=ours, timestamp=time),
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, names),
    )
    bom.register_dependency(ours, brought)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    (directory / f"rolewatch-{ours.version}.cdx.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
