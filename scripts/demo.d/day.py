"""What the worlds of the demo have in common: how a day goes, in seconds and in parts of a day."""

# A day: a peak, the queue that it leaves, a move with its trial, and time to see it coming.
DAY_S = 240
# What comes with a day is told from a day and a quarter on. Then the second peak is nearer than a move takes: one peak is
# little to go by, and a plan that is made on it may not hold after its trial. The third peak comes into sight when two are known.
PEAK_AT, PEAK_WIDTH, PEAK_RAMP = 0.55, 0.2, 0.05
# The neighbour goes slowly: a queue that is worked off in a rush is the peak of what is served.
NOISE_WIDTH, NOISE_RAMP = 0.22, 0.09
# After this part of the last day nothing of its peak is left.
LAST_DAY = 0.78
LEARNING_DAYS = 2


def seconds_of(days):
    """How long a load goes on that ends after this many days."""
    return round((days - 1 + LAST_DAY) * DAY_S)


def day(day_start_unix_ms):
    """Options of a load that keep step with the others."""
    return ["--day-seconds", DAY_S, "--peak-at", PEAK_AT, "--day-start-unix-ms", day_start_unix_ms, "--connections", 64,
            "--timeout-ms", 30_000]


# How the requests to the services rise to their peak, and those to the neighbours.
SERVICE_PEAK = ["--peak-width", PEAK_WIDTH, "--peak-ramp", PEAK_RAMP]
NOISE_PEAK = ["--peak-width", NOISE_WIDTH, "--peak-ramp", NOISE_RAMP]
