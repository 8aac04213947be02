"""Every find is replayed, and some changes of sound inputs are tried: a result or a JaxrecError, nothing else."""

import itertools

import pytest

from fuzz.mutation import finds, inputs, mutated, seeds
from fuzz.targets import TARGETS, check, checkpoint

WITH_PYARROW, WITH_ORBAX = {"read-a.parquet"}, {"checkpoint-arrays"}


@pytest.mark.parametrize("name", TARGETS)
def test_finds_and_changes_of_sound_inputs_are_taken_or_refused(name):
    if name in WITH_PYARROW:
        pytest.importorskip("pyarrow")
    if name in WITH_ORBAX:
        pytest.importorskip("orbax.checkpoint")
    for content in [*finds(name), *itertools.islice(inputs(name), 10 if name in WITH_ORBAX else 30)]:
        check(name, content)


def test_every_file_of_a_checkpoint_may_have_any_byte_flipped_and_no_wrong_array_is_read():
    pytest.importorskip("orbax.checkpoint")
    _, files, sound = checkpoint()
    assert len(sound) == 2
    for at in range(len(files)):
        check("checkpoint-arrays", bytes([at % 256, at // 256, 0]) + b"\x07\x00\x04")


@pytest.mark.parametrize("name", sorted(set(TARGETS) - WITH_PYARROW - WITH_ORBAX - {"run-arrays.npz"}))
def test_the_first_seed_is_sound(name):
    assert check(name, seeds(name)[0])


def test_another_error_of_a_target_is_noticed(monkeypatch):
    def broken(content, folder):
        raise KeyError(content)

    monkeypatch.setitem(TARGETS, "labels", broken)
    with pytest.raises(KeyError):
        check("labels", b"1,a\n")


def test_changes_are_changes():
    import random

    rng = random.Random(0)
    assert len({mutated(b"user,item\n1,2\n", rng) for _ in range(100)}) > 80
