"""Devices that are asked for and that there are not: the refusal has a line that helps where it is read."""

import types

import jax
import pytest

from jaxrec.cli._flags import in_flags
from jaxrec.errors import JaxrecError
from jaxrec.parallel._mesh import devices_for

FAKE = "XLA_FLAGS=--xla_force_host_platform_device_count"
IN_EACH = f"start each of the 2 processes with {FAKE}=4 for fake ones on the CPU"


@pytest.mark.parametrize(
    ("platform", "there", "processes", "asked", "told"),
    [
        ("cpu", 2, 1, 8, f"(cpu); ask for 2, or start with {FAKE}=8 for fake ones on the CPU"),
        ("gpu", 1, 1, 8, f"(gpu); ask for 1, or start with JAX_PLATFORMS=cpu {FAKE}=8 for fake ones on the CPU"),
        ("tpu", 4, 1, 8, f"(tpu); ask for 4, or start with JAX_PLATFORMS=cpu {FAKE}=8 for fake ones on the CPU"),
        ("cpu", 2, 2, 8, f"(cpu); ask for 2, or {IN_EACH}"),
        ("gpu", 2, 2, 8, f"(gpu); ask for 2, or {IN_EACH.replace(FAKE, f'JAX_PLATFORMS=cpu {FAKE}')}"),
        ("cpu", 2, 2, 7, f"(cpu); ask for 2, or for 8, a multiple of the processes, and {IN_EACH}"),
    ],
)
def test_the_line_that_makes_fake_devices_makes_those(monkeypatch, platform, there, processes, asked, told):
    found = [types.SimpleNamespace(platform=platform) for _ in range(there)]
    monkeypatch.setattr(jax, "devices", lambda: found)
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    with pytest.raises(JaxrecError) as caught:
        devices_for(asked)
    message = f"{asked} devices are asked for and JAX has {there} {told}"
    assert str(caught.value) == in_flags(str(caught.value)) == message
