"""The settings of retention: every key file that cannot be used is named at once, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from idv.cosignature import WitnessKey

from services.local.authority import DevelopmentAuthority
from services.retention import sealing, signing
from services.retention.settings import RetentionSettings
from services.runtime.settings_loading import SettingsError, load_settings


def written(folder: Path, **changes: object) -> Path:
    """A settings file with good keys, changed as told."""
    files = DevelopmentAuthority(folder).service("retention")
    signing.generate(folder / "log.pem")
    sealing.generate(folder / "request.key")
    values: dict[str, object] = {
        "deployment": "test",
        "trust_domain": "idv.example",
        "listen_mtls": "127.0.0.1:0",
        "tls": {name: str(path) for name, path in vars(files).items()},
        "database": {"dsn": "postgresql://user:password@127.0.0.1:5432/idv"},
        "storage_target": "127.0.0.1:1",
        "notice_target": "127.0.0.1:2",
        "log": {"origin": "idv.example/log", "signing_key": str(folder / "log.pem")},
        "request_key": str(folder / "request.key"),
    }
    file = folder / "retention.yaml"
    file.write_text(yaml.safe_dump(values | changes))
    return file


def test_good_settings_are_taken(tmp_path: Path) -> None:
    settings = load_settings(RetentionSettings, written(tmp_path))
    assert settings.opening_days == 30, "openings are kept as long as the data was"
    assert settings.log.former_keys == ()


def test_every_unusable_key_is_named_at_once(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("no key!")
    log = {"origin": "two words", "signing_key": str(broken), "former_keys": ["no key"]}
    with pytest.raises(SettingsError) as refusal:
        load_settings(RetentionSettings, written(tmp_path, log=log, request_key=str(broken)))
    faults = {fault.field for fault in refusal.value.faults}
    assert faults == {"log.origin", "log.signing_key", "log.former_keys.0", "request_key"}
    assert "no key!" not in str(refusal.value)


ONE, TWO = (str(WitnessKey(f"witness.example/{name}", bytes(32))) for name in ("one", "two"))


def with_witnesses(folder: Path, **log: object) -> Path:
    known = {"origin": "idv.example/log", "signing_key": str(folder / "log.pem")}
    return written(folder, log=known | log)


def test_witnesses_and_a_second_signing_key_are_taken(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    following = tmp_path_factory.mktemp("next") / "log.pem"
    signing.generate(following)
    witnesses = [{"url": "https://witness.example/in", "key": key} for key in (ONE, TWO)]
    file = with_witnesses(tmp_path, witnesses=witnesses, quorum=2, also_signing_keys=[str(following)])
    settings = load_settings(RetentionSettings, file)
    assert [one.key for one in settings.log.witnesses] == [ONE, TWO]
    assert settings.log.quorum == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"witnesses": [{"url": "https://witness.example", "key": "no key"}]}, "log.witnesses.0.key"),
        ({"witnesses": [{"url": "file:///etc/passwd", "key": ONE}]}, "log.witnesses.0.url"),
        ({"witnesses": [{"url": "https://a.example", "key": ONE}] * 2}, "log"),
        ({"witnesses": [{"url": "https://a.example", "key": ONE}], "quorum": 2}, "log"),
        ({"also_signing_keys": ["/no/such/file"]}, "log.also_signing_keys.0"),
    ],
)
def test_a_witness_that_could_never_count_stops_the_start(
    tmp_path: Path, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(RetentionSettings, with_witnesses(tmp_path, **changes))
    assert [fault.field for fault in refusal.value.faults] == [field]


def test_evidence_that_would_go_before_its_opening_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(RetentionSettings, written(tmp_path, opening_days=60, evidence_days=60))
    (fault,) = refusal.value.faults
    assert "evidence_days" in fault.problem
    assert fault.remedy == "raise evidence_days or lower opening_days"
