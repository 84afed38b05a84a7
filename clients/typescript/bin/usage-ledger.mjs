#!/usr/bin/env node
// Runs the command of this package, or the first one on the PATH.
import { spawnSync } from "node:child_process";
import { findCommand } from "../dist/index.js";

const done = spawnSync(findCommand(), process.argv.slice(2), { stdio: "inherit" });
if (done.error) throw done.error;
process.exit(done.status ?? 1);
