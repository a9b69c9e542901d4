"""The places at which the chart's values take effect: the rendered objects, and the Job that the operator creates.

The values are those of ci/everything-values.yaml. "Job" is the scoring Job that the operator creates with the rendered
fleets and its own settings: for the fleet `presses`, which sets everything itself, and for `pumps`, which leaves all to
`scorer`.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any

import yaml

from scoring_operator.api.fleets import parse_fleets
from scoring_operator.resources.jobs import ScorerImage, build_job
from scoring_operator.runtime import settings
from tests.testkit.builders import a_batch, a_run
from tests.testkit.chart import EVERYTHING, Manifest, a_fleet, a_schedule, environment, pod_templates, render

DEFAULTS = {
    "fleets": [a_fleet(name="presses"), a_fleet(name="pumps")],
    "console": {"enabled": True},
    "schedules": [a_schedule(fleet="pumps", cron="0 * * * *")],
}


def scoring_job(manifests: list[Manifest], fleet: str) -> Manifest:
    """Return the Job that an operator with these manifests makes for one device of a fleet."""
    name, template = next(each for each in pod_templates(manifests).items() if each[0].endswith("-operator"))
    read = settings.from_environment(environment(template) | {"POD_NAME": name, "POD_NAMESPACE": "scoring"})
    image = ScorerImage(read.scorer_image, read.scorer_image_pull_policy, read.scorer_image_pull_secrets)
    (file,) = [m["data"]["fleets.yaml"] for m in manifests if "fleets.yaml" in m.get("data", {})]
    return build_job(
        a_run(), parse_fleets(yaml.safe_load(file))[fleet], image, name="job", batch=a_batch(), devices=["press-1"]
    )


@functools.cache
def rendered(*, everything: bool) -> dict[str, Manifest]:
    """Return the rendered objects, and the settings that operator and create-run read from them, by "Kind/name"."""
    manifests = render(EVERYTHING if everything else DEFAULTS)
    found = {f"{manifest['kind']}/{manifest['metadata']['name']}": manifest for manifest in reversed(manifests)}
    for manifest in manifests:
        for key, text in manifest.get("data", {}).items() if manifest["kind"] == "ConfigMap" else ():
            for kind in ("fleets", "schedules"):
                if key == f"{kind}.yaml":
                    found |= {
                        f"{kind[:-1].capitalize()}/{entry['name']}": entry for entry in yaml.safe_load(text)[kind]
                    }
    return found | {f"Job/{fleet}": scoring_job(manifests, fleet) for fleet in ("presses", "pumps")}


def look(manifests: Mapping[str, Manifest], place: str) -> Any:
    """Return the value at "Kind/name path", or None; list items are found by name or number."""
    name, _, path = place.partition(" ")
    found: Any = manifests.get(name)
    # The dots of an annotation do not separate steps.
    for step in re.findall(r"azure\.workload\.identity/[\w-]+|[^.]+", path):
        if isinstance(found, list):
            found = {str(number): item for number, item in enumerate(found)} | {
                item["name"]: item for item in found if isinstance(item, dict) and "name" in item
            }
        found = found.get(step) if found else None
    return found


def holds(found: Any, wanted: Any) -> bool:
    """Return True if a value is found; a mapping or a list may contain further items."""
    if isinstance(wanted, dict):
        return bool(found) and all(holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return bool(found) and all(item in found for item in wanted)
    return found is not None and str(found).lower() == str(wanted).lower()


def check(place: str, *path: str | int) -> None:
    """Check that the value of ci/everything-values.yaml is found at the place, and not by default."""
    wanted: Any = yaml.safe_load(EVERYTHING.read_text())
    for key in path:
        wanted = wanted[key]
    assert holds(look(rendered(everything=True), place), wanted)
    assert not holds(look(rendered(everything=False), place), wanted), "the default would look the same"
