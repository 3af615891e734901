"""What a loader delivered, and what it waited for."""

from dataclasses import dataclass, fields


@dataclass(slots=True)
class LoaderStats:
    """Sums over the batches that a loader has delivered since it was made.

    Attributes:
        batches: Batches.
        samples: Samples.
        cached: Samples that came from the RAM cache.
        consumer_wait_s: Seconds that the consumer waited for the next batch.
        read_s: Seconds that threads waited for storage, summed over threads, as are the following.
        decode_s: Seconds of CRC and decompression.
        prepare_s: Seconds of resizing, normalising, and reading annotations.
        buffer_bytes: Bytes of the buffers in use now: of batches ahead, and of batches that the consumer still holds.
    """

    batches: int = 0
    samples: int = 0
    cached: int = 0
    consumer_wait_s: float = 0.0
    read_s: float = 0.0
    decode_s: float = 0.0
    prepare_s: float = 0.0
    buffer_bytes: int = 0

    def add(self, part: "LoaderStats") -> None:
        """Add the sums of a batch or of a part of one."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(part, field.name))
