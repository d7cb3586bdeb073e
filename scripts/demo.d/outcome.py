"""What a run brought, with Foremesh and without it, and whether that is what is promised."""

import os
import platform

from testbed import unix_s

# Least factor of violation seconds that is promised, as in the demo on plain hosts.
PROMISED_FACTOR = 5
# The target alone has served well, and the old pod goes.
SETTLED = "Settling(retiring)"


def misses(second, world):
    """Whether a second is over the objective: more requests than may be were slow or failed, or none ended and some wait."""
    ended = second["ok"] + second["failed"]
    if ended == 0:
        return second["in_flight"] > 0
    slow = sum(count for value, count in second["latency_us"].items() if int(value) > world.OBJECTIVE_MS * 1000)
    return slow + second["failed"] > (1 - world.QUANTILE) * ended


def breach_begins(seconds, from_s, world):
    """The first of three seconds in a row, from then on, that are over the objective; in seconds of the run."""
    over = {second["second"] for second in seconds if misses(second, world) and second["second"] >= from_s}
    return next((at for at in sorted(over) if {at + 1, at + 2} <= over), None)


def by_day(seconds, days, world):
    counts = [0] * days
    for second in seconds:
        if misses(second, world):
            counts[min(days - 1, int(second["second"] // world.DAY_S))] += 1
    return counts


class Outcome:
    """The comparison. `with_`, `without` are the loads on both services, `began` is the start of the first day."""

    def __init__(self, world, with_, without, days, began, relocations, printed, events):
        self.world = world
        learned = world.LEARNING_DAYS
        per_day = {"without": by_day(without.so_far(), days, world), "with": by_day(with_.so_far(), days, world)}
        done = [record for record in relocations if record["state"] == "Succeeded"]
        self.told = {
            "violation_seconds": {side: sum(counts[learned:]) for side, counts in per_day.items()},
            "learning_violation_seconds": {side: sum(counts[:learned]) for side, counts in per_day.items()},
            "violation_seconds_by_day": per_day,
            "requests": {"without": without.total["offered"], "with": with_.total["offered"]},
            "failed_requests": {"without": without.total["failed"], "with": with_.total["failed"]},
            "objective_ms": world.OBJECTIVE_MS, "quantile": world.QUANTILE,
            "moves": len(done), "other_moves": [{"state": r["state"], "why": r["why"]} for r in relocations if r not in done],
            "relocations": printed, "machine": {"cores": os.cpu_count(), "kernel": platform.release()},
        }
        if len(done) == 1:
            self.told |= self.of_move(done[0], without.so_far(), began) | {"events": events}
        self.told["broken"] = self.broken()

    def of_move(self, record, without, began):
        """Times are seconds of the run."""
        entered = {change["to"]: unix_s(change["at"]) - began for change in reversed(record["history"])}
        begun = unix_s(record["history"][0]["at"]) - began
        settled, predicted = entered[SETTLED], unix_s(record["breach_at"]) - began
        seen = breach_begins(without, begun, self.world)
        return {
            "move": {
                "id": record["id"], "from": record["from"], "to": record["to"],
                "states": [change["to"] for change in record["history"]],
                "entered_s": {state: round(at, 1) for state, at in sorted(entered.items(), key=lambda item: item[1])},
                "breach_probability": record["breach_probability"], "trial": record["trial"],
            },
            "begun_s": round(begun, 1), "settled_s": round(settled, 1), "took_s": round(settled - begun, 1),
            "breach_predicted_s": round(predicted, 1), "breach_without_s": seen,
            "lead_s": round(predicted - settled, 1), "lead_to_breach_without_s": None if seen is None else round(seen - settled, 1),
        }

    def broken(self):
        """What is promised and was not kept."""
        told, broken = self.told, []
        if told["moves"] != 1 or told["other_moves"]:
            broken.append(f"{told['moves']} moves succeeded instead of one, others: {told['other_moves']}")
        else:
            if self.world.TRIED and not told["move"]["trial"].startswith("passed"):
                broken.append(f"the trial: {told['move']['trial']}")
            if told["lead_s"] <= 0:
                broken.append(f"settled {-told['lead_s']} s after the predicted breach")
            if told["breach_without_s"] is None:
                broken.append("the service without Foremesh had no breach after the move was begun")
            elif told["lead_to_breach_without_s"] <= 0:
                broken.append(f"settled {-told['lead_to_breach_without_s']} s after the service without Foremesh had its breach")
        if told["failed_requests"]["with"]:
            broken.append(f"{told['failed_requests']['with']} requests failed")
        without, with_ = told["violation_seconds"]["without"], told["violation_seconds"]["with"]
        if without < PROMISED_FACTOR or with_ * PROMISED_FACTOR > without:
            broken.append(f"violation seconds: {with_} with and {without} without Foremesh, promised 5 times fewer")
        return broken

    def table(self):
        """For people."""
        told, world = self.told, self.world
        pair = {name: (told[name]["without"], told[name]["with"]) for name in
                ("violation_seconds", "learning_violation_seconds", "failed_requests", "requests")}
        without, with_ = pair["violation_seconds"]
        factor = ("no breach happened" if not without else
                  "all of them avoided" if not with_ else f"{without / with_:.1f} times fewer")
        row = "{:31}{:>10} {:>10}   {}".format
        days = {side: " ".join(map(str, counts)) for side, counts in told["violation_seconds_by_day"].items()}
        lines = [
            row("", "without", "with Foremesh", "").rstrip(),
            row(f"seconds over {world.OBJECTIVE_MS:5} ms (P{world.QUANTILE * 100:.0f})", without, with_, factor),
            row("the same while learning", *pair["learning_violation_seconds"], ""),
            row("failed requests", *pair["failed_requests"], ""),
            row("requests", *pair["requests"], ""),
            f"{'violation seconds by day':31}without: {days['without']}   with: {days['with']}",
        ]
        if "move" in told:
            move = told["move"]
            seen = told["breach_without_s"]
            lines += [
                f"{'begun, settled':31}{told['begun_s']} s, {told['settled_s']} s: {move['from']} to {move['to']} in "
                f"{told['took_s']} s{', trial and all' if world.TRIED else ''}",
                f"{'breach':31}predicted for {told['breach_predicted_s']} s: settled {told['lead_s']} s before; "
                + (f"without Foremesh it came at {seen} s" if seen is not None else "without Foremesh none came"),
                f"{'trial':31}{move['trial'] or world.UNTRIED}",
            ]
        return "\n".join([*(line.rstrip() for line in lines), "", world.LISTED, *told["relocations"]])
