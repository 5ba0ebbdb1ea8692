"""What a training run is told: one frozen dataclass, each field with its help and range."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from semblance.errors import TrainingError

__all__ = ["FREE_FIELDS", "TrainConfig"]

FREE_FIELDS = frozenset({"seconds", "parts", "device", "preview_every", "save_every"})
"""Fields that may differ when a run goes on; all others decide what is learned."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run; two runs with equal settings and facesets are equal.

    Every field's metadata holds `help` (one sentence), and `range` (lowest, highest) or `choices`.

    Raises
    ------
    TrainingError
        A value is outside its range or not among its choices.
    """

    steps: int = field(
        default=20000,
        metadata={"help": "Training steps; the schedules span them.", "range": (1, 10_000_000)},
    )
    seconds: float | None = field(
        default=None,
        metadata={
            "help": "Time limit: the schedules end with it where it comes before the last step.",
            "range": (1.0, 1e7),
        },
    )
    size: int = field(
        default=128,
        metadata={
            "help": "Canonical picture size in pixels.",
            "choices": (32, 64, 128, 256, 512, 1024),
        },
    )
    batch: int = field(
        default=8,
        metadata={
            "help": "Faces of each person per step, over all processes.",
            "range": (1, 256),
        },
    )
    parts: int = field(
        default=1,
        metadata={
            "help": "Parts that a process takes its share of a batch in, one after the other: "
            "less memory, the same result.",
            "range": (1, 256),
        },
    )
    lr: float = field(
        default=1e-3, metadata={"help": "Highest learning rate.", "range": (1e-6, 1e-1)}
    )
    seed: int = field(
        default=1, metadata={"help": "Seed of everything random.", "range": (0, 2**31 - 1)}
    )
    warp: float = field(
        default=0.35,
        metadata={
            "help": "Strength of the input's warp, 1 is 0.24 of a grid cell.",
            "range": (0.0, 2.0),
        },
    )
    light: float = field(
        default=0.6,
        metadata={"help": "Share of samples under a random light.", "range": (0.0, 1.0)},
    )
    degrade: float = field(
        default=0.6,
        metadata={
            "help": "Share of inputs with the blur and grain of an archive.",
            "range": (0.0, 1.0),
        },
    )
    grey: float = field(
        default=0.25, metadata={"help": "Share of inputs without colour.", "range": (0.0, 1.0)}
    )
    mining: float = field(
        default=0.5,
        metadata={
            "help": "How much more often badly drawn faces come, 1 is up to twice as often.",
            "range": (0.0, 1.0),
        },
    )
    precision: str = field(
        default="auto",
        metadata={
            "help": "Numbers of the network's layers; auto is bf16 where the device is fast in it.",
            "choices": ("auto", "bf16", "fp32"),
        },
    )
    device: str = field(
        default="auto",
        metadata={"help": "Where to compute.", "choices": ("auto", "cpu", "cuda")},
    )
    preview_every: int = field(
        default=500,
        metadata={"help": "Steps between preview sheets, 0 for none.", "range": (0, 10_000_000)},
    )
    save_every: int = field(
        default=1000,
        metadata={"help": "Steps between checkpoints.", "range": (1, 10_000_000)},
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None and each.default is None:
                continue
            _check(each.name, value, each.metadata)

    def to_json(self) -> dict[str, Any]:
        """Plain values by field name, for the run's `config.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainConfig:
        """Read back what `to_json` gave.

        Raises
        ------
        TrainingError
            A field is unknown or its value is not accepted.
        """
        unknown = sorted(set(values) - {each.name for each in fields(cls)})
        if unknown:
            raise TrainingError(
                f"the training settings hold the unknown field {unknown[0]!r}",
                "Use the version of semblance that wrote them.",
            )
        return cls(**values)


def _check(name: str, value: Any, metadata: Any) -> None:
    if "choices" in metadata:
        if value not in metadata["choices"]:
            listed = ", ".join(str(choice) for choice in metadata["choices"])
            raise TrainingError(
                f"training setting {name!r} must be one of {listed}, found {value!r}",
                "Choose one of these.",
            )
        return
    low, high = metadata["range"]
    if not isinstance(value, (int, float)) or not low <= value <= high:
        raise TrainingError(
            f"training setting {name!r} must be between {low} and {high}, found {value!r}",
            "Choose a value in this range.",
        )
