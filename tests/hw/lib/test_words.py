import pytest

from opzo.hw.lib.words import BytesToWords, WordsToBytes
from opzo.sim.benches.bench import run_bench


@pytest.mark.parametrize("size", [2, 4])
def test_bytes_are_joined(size):
    run(BytesToWords(size), f"bytes-to-words-{size}", "joins_bytes", size)


@pytest.mark.parametrize("size", [2, 4])
def test_words_are_taken_apart(size):
    run(WordsToBytes(size), f"words-to-bytes-{size}", "splits_words", size)


def run(unit, name, testcase, size):
    run_bench(unit, name=name, test_module="opzo.sim.benches.lib.words", testcase=testcase, parameters={"bytes": size})
