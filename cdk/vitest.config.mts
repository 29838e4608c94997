// Synthesising is work for seconds, on cores that others use as well. The tests share one process: loading CDK takes
// longer than most of them.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    isolate: false,
    fileParallelism: false,
  },
});
