"""Settings of the training tasks: frozen, checked at construction, saved with every run."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from doctored.core.errors import ConfigError
from doctored.core.forgery import TECHNIQUES
from doctored.models.constrained_rcnn.settings import FEATURE_STRIDE
from doctored.synth.histories import DOMAIN_SHARES
from doctored.synth.imc385 import Balance


@dataclass(frozen=True)
class LoopSettings:
    """What every task's training loop needs.

    Attributes:
        steps: Optimiser steps in all.
        batch_size: Pictures per step.
        optimizer: "adamw", or "sgd" with momentum.
        momentum: Of SGD.
        learning_rate: After the warm-up.
        final_rate_share: The cosine schedule ends at this share of the learning rate; 1 keeps it constant.
        rate_drops: Steps at which the learning rate falls to a tenth.
        warmup_steps: Steps over which the rate rises linearly from 0.
        weight_decay: Of the optimiser.
        clip_norm: Gradients are scaled down to this L2 norm; 0 leaves them as they are.
        ema_decay: Of the moving average of the weights; the average is what gets evaluated and exported.
        precision: "bf16" runs convolutions in bfloat16; the first layer, ManTra-Net from the adaptation to the Z
            scores, and boxes stay in float32 either way.
        checkpoint_minutes: Time between checkpoints.
        log_steps: Steps between two lines of the log.
        workers: Processes that make training pictures.
        seed: Of the start weights and of every picture.
        held_out_crops: Crops of held-out pictures on which every checkpoint is scored; 0 leaves that out.
    """

    steps: int = 100_000
    batch_size: int = 32
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.9
    learning_rate: float = 1e-4
    final_rate_share: float = 1.0
    rate_drops: tuple[int, ...] = ()
    warmup_steps: int = 1000
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    precision: Literal["bf16", "fp32"] = "fp32"
    checkpoint_minutes: float = 5.0
    log_steps: int = 20
    workers: int = 2
    seed: int = 0
    held_out_crops: int = 128

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "learning_rate", "checkpoint_minutes", "log_steps"):
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"the training setting {name} is {getattr(self, name)}; it needs to be above 0"
                )
        for name in ("warmup_steps", "weight_decay", "clip_norm", "workers", "seed", "held_out_crops"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"the training setting {name} is {getattr(self, name)}; it cannot be below 0"
                )
        for name in ("ema_decay", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"the training setting {name} is {getattr(self, name)}; it lies in 0..1, 1 excluded"
                )
        if self.optimizer not in ("adamw", "sgd"):
            raise ConfigError(
                f"the training setting optimizer is {self.optimizer!r}; choose 'adamw' or 'sgd'"
            )
        if not 0 <= self.final_rate_share <= 1:
            raise ConfigError(
                f"the training setting final_rate_share is {self.final_rate_share}; it lies in 0..1"
            )
        if self.precision not in ("bf16", "fp32"):
            raise ConfigError(
                f"the training setting precision is {self.precision!r}; choose 'bf16' or 'fp32'"
            )

    def to_json(self) -> dict[str, Any]:
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """Settings as `to_json` saved them.

        Raises:
            ConfigError: A key that these settings do not have.
        """
        unknown = sorted(set(saved) - {field.name for field in fields(cls)})
        if unknown:
            raise ConfigError(
                f"{cls.__name__} has no setting {', '.join(unknown)}; remove it or check the spelling"
            )
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()
        }
        return cls(**values)


@dataclass(frozen=True)
class ImcSettings(LoopSettings):
    """Image manipulation classification: which of 385 manipulations a region has been through.

    Attributes:
        crop_px: Side of a training crop.
        work_px: Side of the patch that is manipulated and then cropped, so that no crop shows the manipulation's
            own border effects.
        regions: 1, or 4 for four differently manipulated quarters per crop: four labels for one crop's cost.
        balance: What is drawn alike for training: "classes"; "types", and then the classes of the type; or
            "families", and then the classes of the family. Held-out crops are always drawn by classes.
        extractor: "full" trains everything, "frozen" the head alone: for a network whose features later training has
            moved, as `train mantranet` does, and which is to name manipulations.
    """

    crop_px: int = 128
    work_px: int = 256
    regions: int = 1
    balance: Balance = "classes"
    extractor: Literal["full", "frozen"] = "full"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.regions not in (1, 4):
            raise ConfigError(f"the training setting regions is {self.regions}; choose 1 or 4")
        if self.balance not in get_args(Balance):
            raise ConfigError(
                f"the training setting balance is {self.balance!r}; choose one of {', '.join(get_args(Balance))}"
            )
        if self.extractor not in ("full", "frozen"):
            raise ConfigError(
                f"the training setting extractor is {self.extractor!r}; choose 'full' or 'frozen'"
            )
        if not 32 <= self.crop_px <= self.work_px:
            raise ConfigError(
                f"crop_px is {self.crop_px} and work_px {self.work_px}; a crop has 32 px or more and fits in the patch"
            )

    @classmethod
    def paper(cls) -> Self:
        """The published recipe: Adam at 1e-4 on 128 px crops of 256 px patches, batches of 32."""
        return cls()

    @classmethod
    def cpu(cls) -> Self:
        """Tuned for a few CPU cores: small crops, small batches, four labels a crop, a higher rate."""
        return cls(
            batch_size=4,
            crop_px=64,
            work_px=96,
            regions=4,
            learning_rate=4e-4,
            warmup_steps=200,
            weight_decay=1e-4,
            precision="bf16",
            workers=1,
        )


@dataclass(frozen=True)
class RcnnImcSettings(ImcSettings):
    """Image manipulation classification with the shared layers of Constrained R-CNN.

    One cell of their features is 16 px, so a crop is a multiple of it.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.extractor != "full":
            raise ConfigError(
                "extractor=frozen is for ManTra-Net, whose head names manipulations; leave it out"
            )
        if self.crop_px % FEATURE_STRIDE:
            raise ConfigError(
                f"crop_px is {self.crop_px}; for Constrained R-CNN it needs to be a multiple of {FEATURE_STRIDE}"
            )

    @classmethod
    def cpu(cls) -> Self:
        """Tuned for a few CPU cores: a hundred small crops a second and core, a label each."""
        return cls(
            batch_size=16,
            crop_px=64,
            work_px=96,
            learning_rate=1e-3,
            warmup_steps=200,
            weight_decay=1e-4,
            precision="bf16",
            workers=1,
            held_out_crops=512,
        )


@dataclass(frozen=True)
class MantranetSettings(LoopSettings):
    """ManTra-Net end to end on forgeries made on the fly.

    Attributes:
        crop_px: Side of a training crop; the anomaly detector sees 77 px around a pixel and the whole crop.
        kinds: Kinds of forgery to learn from, of `core.forgery.TECHNIQUES`.
        domains: Histories of forgeries to learn from: "web" (small JPEGs), "lossless" or "chain" (saved several times).
        extractor: "frozen" trains the anomaly detector alone, "low_rate" also the later half of the extractor
            (from the second layer of block 4) at a tenth of the learning rate, "full" everything at one rate.
        curriculum: Draw kinds and domains of forgery in proportion to their running loss; on one device only.
        curriculum_steps: Steps between two changes of that mix.
    """

    held_out_crops: int = 64
    crop_px: int = 224
    kinds: tuple[str, ...] = TECHNIQUES
    domains: tuple[str, ...] = tuple(DOMAIN_SHARES)
    extractor: Literal["frozen", "low_rate", "full"] = "low_rate"
    curriculum: bool = False
    curriculum_steps: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.curriculum_steps < 1:
            raise ConfigError(f"curriculum_steps is {self.curriculum_steps}; give 1 or more")
        if self.extractor not in ("frozen", "low_rate", "full"):
            raise ConfigError(
                f"the training setting extractor is {self.extractor!r}; choose 'frozen', 'low_rate' or 'full'"
            )
        _check_chosen("kinds", self.kinds, TECHNIQUES)
        _check_chosen("domains", self.domains, tuple(DOMAIN_SHARES))
        _check_surroundings(self.crop_px)

    @classmethod
    def paper(cls) -> Self:
        """The published recipe: Adam at 1e-4 on 224 px crops."""
        return cls()

    @classmethod
    def cpu(cls) -> Self:
        """Tuned for a few CPU cores: the anomaly detector alone, two crops a step, a higher rate."""
        return cls(
            batch_size=2,
            crop_px=192,
            extractor="frozen",
            learning_rate=1e-3,
            warmup_steps=100,
            weight_decay=1e-4,
            precision="bf16",
            workers=1,
        )


@dataclass(frozen=True)
class RcnnSettings(LoopSettings):
    """Constrained R-CNN, on forgeries made on the fly or on a prepared set.

    Attributes:
        crop_px: Side of a training crop, at the pictures' own resolution.
        kinds: Kinds of generated forgery to learn from, of `core.forgery.TECHNIQUES`.
        halved_share: Share of the generated forgeries that are made at twice the crop's side and then halved, as
            large pictures are seen later.
        two_classes: Tell manipulated from authentic regions only, not the techniques apart.
        rpn_batch: Anchors per picture that the region proposal network is trained on.
        roi_batch: Proposals per picture that the box head is trained on.
        noise: Where Gaussian noise of variance 5 is added to some samples: "whole" pictures; or only in the true
            "boxes", as the original does, which gives away where they are.
        noise_share: Share of the samples with that noise.
        filter_share: Share of the samples that are filtered, the whole picture: by a median of up to 7 px or a Gaussian
            blur of up to 19, after which authentic pictures may look manipulated to a network that never saw any.
        jpeg_share: Share of the samples that are saved once more as JPEG, of quality 60 to 95, the whole picture.
    """

    steps: int = 110_000
    batch_size: int = 1
    optimizer: Literal["adamw", "sgd"] = "sgd"
    learning_rate: float = 1e-3
    rate_drops: tuple[int, ...] = (40_000, 90_000)
    warmup_steps: int = 0
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    held_out_crops: int = 64
    crop_px: int = 512
    kinds: tuple[str, ...] = TECHNIQUES
    halved_share: float = 0.0
    two_classes: bool = False
    rpn_batch: int = 256
    roi_batch: int = 256
    noise: Literal["whole", "boxes"] = "whole"
    noise_share: float = 0.5
    filter_share: float = 0.0
    jpeg_share: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_chosen("kinds", self.kinds, TECHNIQUES)
        _check_surroundings(self.crop_px)
        if self.noise not in ("whole", "boxes"):
            raise ConfigError(f"the training setting noise is {self.noise!r}; choose 'whole' or 'boxes'")
        for name in ("halved_share", "noise_share", "filter_share", "jpeg_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"the training setting {name} is {getattr(self, name)}; it lies in 0..1")

    @classmethod
    def paper(cls) -> Self:
        """The released code's schedule: SGD at 1e-3, one picture a step, a tenth of the rate at two steps."""
        return cls()

    @classmethod
    def cpu(cls) -> Self:
        """Tuned for a few CPU cores and the small network: four crops a step, AdamW, few RoIs."""
        return cls(
            batch_size=4,
            optimizer="adamw",
            learning_rate=5e-4,
            rate_drops=(),
            warmup_steps=200,
            weight_decay=1e-4,
            clip_norm=10.0,
            ema_decay=0.999,
            precision="bf16",
            workers=1,
            crop_px=256,
            rpn_batch=64,
            roi_batch=16,
            noise_share=0.1,
            jpeg_share=0.1,
        )


@dataclass(frozen=True)
class RcnnStage1Settings(RcnnSettings):
    """Stage 1 alone, which the released code pre-trains on half as many anchors and RoIs, without noise."""

    rpn_batch: int = 128
    roi_batch: int = 128
    noise_share: float = 0.0


def _check_chosen(name: str, chosen: tuple[str, ...], of: tuple[str, ...]) -> None:
    if not chosen or not set(chosen) <= set(of):
        raise ConfigError(f"{name} is {chosen}; choose some of {', '.join(of)}")


def _check_surroundings(crop_px: int) -> None:
    if crop_px < 64:
        raise ConfigError(f"crop_px is {crop_px}; anomalies need surroundings, so give 64 or more")


@dataclass(frozen=True)
class FinetuneSettings(LoopSettings):
    """The anomaly detector alone, on a user's own forgeries with masks.

    Attributes:
        crop_px: Side of a training crop, cut at the pictures' own resolution.
    """

    steps: int = 2000
    warmup_steps: int = 100
    held_out_crops: int = 64
    crop_px: int = 224

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_surroundings(self.crop_px)

    @classmethod
    def paper(cls) -> Self:
        """As stage two is trained: 1e-4, batches of 32 crops of 224 px."""
        return cls()

    @classmethod
    def cpu(cls) -> Self:
        """Tuned for a few CPU cores: four crops of 192 px a step."""
        return cls(steps=1000, batch_size=4, crop_px=192, weight_decay=1e-4, precision="bf16", workers=1)
