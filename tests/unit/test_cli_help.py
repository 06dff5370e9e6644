"""The help of every command teaches by example, and the command starts quickly."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli_run import every_command, idv

COMMANDS = sorted(every_command())
WITHOUT_JSON = {("up",), ("bench",)}  # they write a ready file and a result file instead


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_shows_an_example_of_the_command_itself(words: tuple[str, ...]) -> None:
    ended = idv(*words, "--help")
    assert ended.code == 0
    examples = ended.out.partition("Examples")[2]
    assert "# " in examples
    assert f"idv {' '.join(words)}" in " ".join(examples.split())


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_a_json_twin(words: tuple[str, ...]) -> None:
    assert ("--json" in idv(*words, "--help").out) == (words not in WITHOUT_JSON)


def test_overview_names_every_command_and_exit_code() -> None:
    ended = idv("--help")
    assert ended.code == 0
    for word in {words[0] for words in COMMANDS} | {
        "refused",
        "wrong usage",
        "unavailable",
        "not as promised",
    }:
        assert word in ended.out


def test_overview_imports_nothing_slow() -> None:
    code = (
        "import sys; from services.cli import main; sys.argv = ['idv', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "slow = {'grpc', 'sqlalchemy', 'asyncpg', 'cryptography', 'PIL', 'aiobotocore'} & set(sys.modules)\n"
        "sys.exit(f'imported: {slow}' if slow else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_unknown_command_is_wrong_usage_and_suggests_the_right_one() -> None:
    ended = idv("recrod")
    assert ended.code == 2
    assert "record" in ended.err
