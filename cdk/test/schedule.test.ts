// The series of scheduled rotations: a deployment never starts one, and never moves the series.

import { describe, expect, it } from "vitest";
import { nextOfSeries } from "../lib/schedule";

const FIRST = new Date("2026-01-05T13:00:00Z");
const next = (now: string, days = 85) => nextOfSeries(FIRST, days, new Date(now)).toISOString();

describe("the next scheduled rotation", () => {
  it("is the first one, while that lies a day or more ahead", () => {
    expect(next("2025-12-01T00:00:00Z")).toBe("2026-01-05T13:00:00.000Z");
    expect(next("2026-01-04T13:00:00Z")).toBe("2026-01-05T13:00:00.000Z");
  });

  it("is the one after, where a deployment would come within a day of it", () => {
    expect(next("2026-01-04T13:00:01Z")).toBe("2026-03-31T13:00:00.000Z");
    expect(next("2026-01-05T13:00:00Z")).toBe("2026-03-31T13:00:00.000Z");
  });

  it("is the same for every deployment between two of them", () => {
    const deployments = ["2026-01-10T00:00:00Z", "2026-02-28T23:59:59Z", "2026-03-30T13:00:00Z"];
    expect(new Set(deployments.map((now) => next(now)))).toEqual(new Set(["2026-03-31T13:00:00.000Z"]));
  });

  it("lies at least a day and at most an interval and a day ahead, whenever it is deployed", () => {
    for (let hour = 0; hour < 24 * 40; hour += 1) {
      const now = new Date(FIRST.getTime() + hour * 3_600_000 + 1);
      const ahead = (nextOfSeries(FIRST, 16, now).getTime() - now.getTime()) / 86_400_000;
      expect(ahead).toBeGreaterThanOrEqual(1);
      expect(ahead).toBeLessThan(17);
    }
  });
});
