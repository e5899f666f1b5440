"""Load of this machine: processor, memory, and GPUs through NVML.

A machine without a GPU, without a driver or without the NVML package is a normal case: ``gpus``
then is empty and ``note`` says why.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU. Memory in bytes, load in percent, temperature in degrees Celsius, power in watts.

    ``power`` and ``temperature`` are None where the card does not tell.
    """

    index: int
    name: str
    memory_total: int
    memory_used: int
    load: int
    temperature: int | None
    power: float | None


@dataclass(frozen=True, slots=True)
class Telemetry:
    """One reading. ``load`` is the 1-minute run queue, memory in bytes (0 where unknown)."""

    processors: int
    load: float
    memory_total: int
    memory_free: int
    gpus: tuple[Gpu, ...]
    note: str


def _memory() -> tuple[int, int]:
    """Total and available bytes, from the kernel's table; zeros where there is none."""
    table = Path("/proc/meminfo")
    if not table.exists():
        return 0, 0
    fields = dict(line.split(":", 1) for line in table.read_text().splitlines() if ":" in line)
    kilobytes = [int(fields[name].split()[0]) for name in ("MemTotal", "MemAvailable")]
    return kilobytes[0] * 1024, kilobytes[1] * 1024


def _gpus() -> tuple[tuple[Gpu, ...], str]:
    try:
        import pynvml
    except ImportError:
        return (), "no GPU telemetry: the package nvidia-ml-py is not installed"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return (), f"no GPU: {error}"
    try:
        count = pynvml.nvmlDeviceGetCount()
        return tuple(_read(k) for k in range(count)), f"{count} GPUs"
    except pynvml.NVMLError as error:
        return (), f"GPU telemetry failed: {error}"
    finally:
        pynvml.nvmlShutdown()


def _read(index: int) -> Gpu:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    raw = pynvml.nvmlDeviceGetName(handle)
    try:
        temperature = pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
    except pynvml.NVMLError_NotSupported:
        temperature = None
    try:
        power = pynvml.nvmlDeviceGetPowerUsage(handle) / 1000
    except pynvml.NVMLError_NotSupported:
        power = None
    return Gpu(
        index=index,
        name=raw.decode() if isinstance(raw, bytes) else raw,
        memory_total=int(memory.total),
        memory_used=int(memory.used),
        load=int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        temperature=temperature,
        power=power,
    )


def read() -> Telemetry:
    """The state of this machine now."""
    total, free = _memory()
    cards, note = _gpus()
    return Telemetry(os.cpu_count() or 1, os.getloadavg()[0], total, free, cards, note)
