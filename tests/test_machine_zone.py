"""The zone of the demo is that of the machine, and never UTC: nobody's desk stands there."""

import pytest

from backoffice.machine_zone import machine_zone


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv("TZ", raising=False)


def link(tmp_path, zone):
    target = tmp_path / "zoneinfo" / zone
    target.parent.mkdir(parents=True)
    target.touch()
    made = tmp_path / "localtime"
    made.symlink_to(target)
    return made


def test_it_is_what_the_system_links_to(tmp_path):
    assert machine_zone(link(tmp_path, "America/New_York")) == "America/New_York"


def test_tz_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", ":Asia/Tokyo")

    assert machine_zone(link(tmp_path, "America/New_York")) == "Asia/Tokyo"


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "Nowhere/Land"])
def test_a_machine_in_utc_or_nowhere_shows_berlin(tmp_path, zone):
    assert machine_zone(link(tmp_path, zone)) == "Europe/Berlin"


def test_without_a_link_it_is_berlin(tmp_path):
    assert machine_zone(tmp_path / "nothing") == "Europe/Berlin"
