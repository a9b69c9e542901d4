from types import SimpleNamespace

import pytest
from hack import site_links

CONFIG = {"docs_dir": str(site_links.ROOT / "docs"), "extra": {"repository": "https://example.com/repository"}}
PAGE = SimpleNamespace(file=SimpleNamespace(src_uri="development/testing.md"))


@pytest.mark.parametrize(
    ("link", "rendered"),
    [
        ("[a](../../Makefile)", "[a](https://example.com/repository/blob/main/Makefile)"),
        ("[a](../../hack/krew.py#L1)", "[a](https://example.com/repository/blob/main/hack/krew.py#L1)"),
        ("[a](../user/sensors.md)", "[a](../user/sensors.md)"),
        ("[a](contract.md)", "[a](contract.md)"),
        ("[a](https://example.com/a)", "[a](https://example.com/a)"),
    ],
    ids=["file", "anchor", "page", "neighbour", "web"],
)
def test_only_links_to_files_outside_of_docs_get_the_address_of_the_repository(link: str, rendered: str) -> None:
    assert site_links.on_page_markdown(link, PAGE, CONFIG, None) == rendered


def test_link_to_a_missing_file_is_a_warning_with_the_page(caplog: pytest.LogCaptureFixture) -> None:
    site_links.on_page_markdown("[a](../../none.txt)", PAGE, CONFIG, None)
    assert caplog.messages == ["development/testing.md links to ../../none.txt, which is missing"]
