"""Where a value of the chart takes effect: in what is rendered, and in the Job that the operator makes of it.

What is set is ci/everything-values.yaml. "Job" is the scoring Job that the operator makes of the rendered fleets and
its own settings: of the fleet `presses`, which says everything itself, and of `pumps`, which leaves all to `scorer`.
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
    "schedules": [a_schedule(fleet="pumps", cron="0 * * * *")],
}


def scoring_job(manifests: list[Manifest], fleet: str) -> Manifest:
    """Give the Job that an operator with these manifests makes for one device of a fleet."""
    name, template = next((n, t) for n, t in pod_templates(manifests).items() if n.startswith("Deployment"))
    read = settings.from_environment(environment(template) | {"POD_NAME": name, "POD_NAMESPACE": "scoring"})
    image = ScorerImage(read.scorer_image, read.scorer_image_pull_policy, read.scorer_image_pull_secrets)
    (file,) = [m["data"]["fleets.yaml"] for m in manifests if "fleets.yaml" in m.get("data", {})]
    return build_job(
        a_run(), parse_fleets(yaml.safe_load(file))[fleet], image, name="job", batch=a_batch(), devices=["press-1"]
    )


@functools.cache
def rendered(*, everything: bool) -> dict[str, Manifest]:
    """Give what the chart renders, and what operator and create-run read from it, by "Kind/name"."""
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
    """Give what stands at "Kind/name path"; list items are found by name or number. None: nothing is there."""
    name, _, path = place.partition(" ")
    found: Any = manifests.get(name)
    # An annotation's own dots are no steps.
    for step in re.findall(r"azure\.workload\.identity/[\w-]+|[^.]+", path):
        if isinstance(found, list):
            found = {str(number): item for number, item in enumerate(found)} | {
                item["name"]: item for item in found if isinstance(item, dict) and "name" in item
            }
        found = found.get(step) if found else None
    return found


def holds(found: Any, wanted: Any) -> bool:
    """Whether a value stands at a place; a mapping's or a list's items perhaps among others."""
    if isinstance(wanted, dict):
        return bool(found) and all(holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return bool(found) and all(item in found for item in wanted)
    return found is not None and str(found).lower() == str(wanted).lower()


def check(place: str, *path: str | int) -> None:
    """The value at a path of ci/everything-values.yaml stands at the place, and by default something else does."""
    wanted: Any = yaml.safe_load(EVERYTHING.read_text())
    for key in path:
        wanted = wanted[key]
    assert holds(look(rendered(everything=True), place), wanted)
    assert not holds(look(rendered(everything=False), place), wanted), "the default would look the same"
